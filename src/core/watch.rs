//! Looking at a process again and again, with growing pauses: the kernel tells nobody when a server begins to
//! accept or ceases to.

use super::{Closeness, Time};
use crate::limits::{LOOK_FIRST, LOOK_MAX, LOOK_PATIENT, LOOKS_UNTIL_CLOSER};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A series of looks. One look at a time: while its answer is awaited there is no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    /// When to look next; none while the answer to the last look is awaited.
    pub(super) at: Option<Time>,
    pause: Duration,
    /// Looks in a row that showed nobody accepting.
    pub(super) misses: u32,
}

impl Watch {
    /// Looks first after a short pause.
    pub(super) fn from(now: Time) -> Self {
        Self { at: Some(now + LOOK_FIRST), pause: LOOK_FIRST, misses: 0 }
    }

    /// Looks now and then.
    pub(super) fn patient(now: Time) -> Self {
        Self { at: Some(now + LOOK_MAX), pause: LOOK_PATIENT, misses: 0 }
    }

    /// Has the time for a look come? If so, its answer is awaited from now on.
    pub(super) fn take_due(&mut self, now: Time) -> bool {
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.at = None;
        }
        due
    }

    /// How to look next, for somebody who is to begin to serve: with growing pauses more closely, since a server that is busy from its
    /// first client on is never seen to wait for the next.
    pub(super) fn closeness(&self) -> Closeness {
        let closer = self.misses >= LOOKS_UNTIL_CLOSER && self.misses.is_power_of_two();
        if closer { Closeness::Serving } else { Closeness::Waiting }
    }

    /// Nobody accepted: look again later.
    pub(super) fn missed(&mut self, now: Time) {
        self.wait(now);
        self.misses = self.misses.saturating_add(1);
    }

    /// Somebody still accepts: look again soon.
    pub(super) fn hit(&mut self, now: Time) {
        self.misses = 0;
        self.wait(now);
    }

    fn wait(&mut self, now: Time) {
        self.at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LOOK_MAX).max(self.pause);
    }
}
