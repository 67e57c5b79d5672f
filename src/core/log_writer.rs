//! How far the process that writes logs is.

use super::Time;
use super::backoff::Backoff;
use crate::plan::Policy;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The log writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogWriter {
    pub(super) state: State,
    backoff: Backoff,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// There is none, and none is needed.
    #[default]
    Off,
    /// Its start was ordered.
    Starting { since: Time },
    /// It writes.
    Up { since: Time },
    /// It crashed, and another one starts then.
    Backoff { until: Time },
}

impl LogWriter {
    /// When it must hear of the time.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Backoff { until } => Some(until),
            State::Off | State::Starting { .. } | State::Up { .. } => None,
        }
    }

    /// Is there one, or will there be?
    pub(super) fn is_wanted(&self) -> bool {
        self.state != State::Off
    }

    /// Nothing was ever asked of it.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// It ended after this life; gives the pause before the next.
    pub(super) fn fail(&mut self, lived: Duration, now: Time) -> Duration {
        let pause = self.backoff.fail(lived, &Policy::default());
        self.state = State::Backoff { until: now + pause };
        pause
    }
}
