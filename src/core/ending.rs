//! Why a run serves no more although nobody asked it to leave, and which run that is.

use super::event::Miss;
use super::fact::{Fact, Next};
use super::generation::Run;
use super::health::Sign;
use super::{ExitStatus, SpawnFailure, Time};
use crate::plan::Restart;
use crate::protocol::Word;
use std::time::Duration;

/// That a run serves no more, or never will, although nobody asked it to leave.
pub(super) struct Ending {
    pub(super) role: Role,
    pub(super) why: Why,
}

/// Why it does not.
pub(super) enum Why {
    Exited { status: ExitStatus, group_left: bool },
    SpawnFailed(SpawnFailure),
    NotReady(Duration, Option<Miss>),
    Said(Word),
    Stopping,
    Sick(Sign),
}

impl Ending {
    /// Is it an end that nothing went wrong with? That of one that never became ready is none, whatever it says: such as
    /// a server that goes on in the background.
    pub(super) fn is_success(&self) -> bool {
        let well = matches!(
            self.why,
            Why::Exited { status: ExitStatus::Code(0), .. } | Why::Said(Word::Success) | Why::Stopping
        );
        well && self.role != Role::Candidate
    }

    /// How long it was what it was started for. One that never became ready was that for no time, however long it took: it
    /// would come again and again without a pause where `ready_timeout` is longer than `healthy_after` (simulation, moves).
    pub(super) fn life_of(&self, run: &Run, now: Time) -> Duration {
        if self.role == Role::Candidate { Duration::ZERO } else { now - run.started }
    }

    /// What is told of it.
    pub(super) fn into_fact(self, run: &Run, now: Time, next: Next) -> Fact {
        let before_ready = self.role == Role::Candidate;
        match self.why {
            Why::Exited { status, .. } => {
                let sent = |signal| run.signalled.map(i32::from) == Some(signal);
                let signalled = matches!(status, ExitStatus::Signal { signal, .. } if sent(signal));
                let said = run.status.as_deref().filter(|_| status != ExitStatus::Code(0)).cloned();
                Fact::Exited { status, lived: now - run.started, before_ready, signalled, said, next }
            }
            Why::SpawnFailed(failure) => Fact::SpawnFailed { failure, next },
            Why::NotReady(timeout, last) => {
                let awaited = Some(run.definition.policy.ready.clone());
                Fact::NotReady { timeout, awaited, last, next }
            }
            Why::Said(word) => Fact::LeavesByItself { word, next },
            Why::Stopping => Fact::SaidStopping { next },
            Why::Sick(sign) => Fact::Unhealthy { sign, next },
        }
    }
}

/// What follows an end, a `success` or not, from which this policy does not bring a worker back.
pub(super) fn end_for_good(policy: Restart, success: bool) -> Option<Next> {
    match (policy, success) {
        (Restart::Always, _) | (Restart::OnFailure, false) => None,
        (Restart::OnFailure | Restart::No, true) => Some(Next::Stopped),
        (Restart::No, false) => Some(Next::Crashed),
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
