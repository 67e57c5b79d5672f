//! Starts that wait for the file of their program to be closed.
//!
//! A file that any process has open for writing cannot be executed (`ETXTBSY`), and a process that was forked
//! while somebody copied it keeps it open until it executes another one: soon, as a rule.

use crate::core::Time;
use crate::limits::{TEXT_BUSY_PATIENCE, TEXT_BUSY_PAUSE};
use crate::plan::{Definition, ListenerId, RunId};
use std::sync::Arc;

/// A start, to be tried until it comes about.
pub(super) struct Start {
    pub(super) run: RunId,
    pub(super) definition: Arc<Definition>,
    pub(super) listeners: Vec<ListenerId>,
    /// From then on a busy file is a failure.
    pub(super) give_up_at: Time,
}

/// The starts that wait, in the order in which they are due.
#[derive(Default)]
pub(super) struct Busy(Vec<(Time, Start)>);

impl Busy {
    /// When a start that is first tried at `now` is given up.
    #[expect(clippy::unused_self, reason = "the rule is this module's")]
    pub(super) fn give_up_at(&self, now: Time) -> Time {
        now + TEXT_BUSY_PATIENCE
    }

    /// Keeps a start for a later try.
    pub(super) fn try_later(&mut self, now: Time, start: Start) {
        self.0.push((now + TEXT_BUSY_PAUSE, start));
    }

    /// When the next one is due.
    pub(super) fn next_try(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out one that is due.
    pub(super) fn due(&mut self, now: Time) -> Option<Start> {
        (self.next_try()? <= now).then(|| self.0.remove(0).1)
    }

    /// Drops the start of this run; tells whether there was one.
    pub(super) fn abandon(&mut self, run: RunId) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, start)| start.run != run);
        self.0.len() < before
    }
}
