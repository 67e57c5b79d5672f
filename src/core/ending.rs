//! Why a run serves no more although nobody asked it to leave, and which run that is.

use super::event::Miss;
use super::fact::{Fact, Next};
use super::generation::Run;
use super::health::Sign;
use super::{ExitStatus, SpawnFailure, Time};
use crate::protocol::Word;
use std::time::Duration;

/// Why a run serves no more, or never will, although nobody asked it to leave.
pub(super) enum Ending {
    Exited { status: ExitStatus, group_left: bool },
    SpawnFailed(SpawnFailure),
    NotReady(Duration, Option<Miss>),
    Said(Word),
    Stopping,
    Sick(Sign),
}

impl Ending {
    /// Is it an end that nothing went wrong with?
    pub(super) fn is_success(&self) -> bool {
        matches!(
            self,
            Self::Exited { status: ExitStatus::Code(0), .. } | Self::Said(Word::Success) | Self::Stopping
        )
    }

    /// What is told of it.
    pub(super) fn into_fact(self, run: &Run, now: Time, next: Next) -> Fact {
        match self {
            Self::Exited { status, .. } => {
                let signalled = matches!(status, ExitStatus::Signal { signal, .. } if run.signalled == Some(signal));
                Fact::Exited { status, lived: now - run.started, signalled, next }
            }
            Self::SpawnFailed(failure) => Fact::SpawnFailed { failure, next },
            Self::NotReady(timeout, last) => Fact::NotReady { timeout, last, next },
            Self::Said(word) => Fact::LeavesByItself { word, next },
            Self::Stopping => Fact::SaidStopping { next },
            Self::Sick(sign) => Fact::Unhealthy { sign, next },
        }
    }
}

/// Which of the runs that nobody asked to leave an event is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is not ready yet.
    Candidate,
    /// It serves.
    Serving,
    /// It serves beside its successor, which has yet to prove itself.
    Reserve,
}
