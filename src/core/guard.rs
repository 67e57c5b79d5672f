//! Watching the program of a service: a change of its file restarts it, once the file is left alone.

use super::Time;
use crate::limits::{WATCH_MAX, WATCH_QUIET};
use crate::plan::RunId;
use serde::{Deserialize, Serialize};

/// What is watched of a service, and what has changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Guard {
    /// The run whose program is watched.
    of: Option<Box<RunId>>,
    /// A change that nothing followed from yet.
    change: Option<Box<Change>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Change {
    /// When nothing more has to come.
    quiet_at: Time,
    /// When it is not put off any longer.
    latest: Time,
}

impl Guard {
    /// When it must hear of the time, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.change.as_ref().map(|change| change.quiet_at.min(change.latest))
    }

    /// A file on the way to the program has changed; more may follow.
    pub(super) fn changed(&mut self, now: Time) {
        if self.of.is_some() {
            let latest = self.change.as_ref().map_or(now + WATCH_MAX, |change| change.latest);
            self.change = Some(Box::new(Change { quiet_at: now + WATCH_QUIET, latest }));
        }
    }

    /// The run whose program is watched.
    pub(super) fn watched(&self) -> Option<RunId> {
        self.of.as_deref().copied()
    }

    /// Watches the program of this run, or none. Tells whether that is another.
    pub(super) fn turn_to(&mut self, run: Option<RunId>) -> bool {
        let other = self.watched() != run;
        self.of = run.map(Box::new);
        if run.is_none() {
            self.change = None;
        }
        other
    }

    /// Is it time to restart? Tells so once.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        self.change.take_if(|change| change.quiet_at.min(change.latest) <= now).is_some()
    }
}
