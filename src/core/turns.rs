//! Whose turn may have come, so that no event has to ask everybody.

use super::service::Service;
use crate::plan::{ServiceId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of those that wait, beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Turns {
    /// Services that wait, and for which something may have changed; or there was no room to start them.
    stirred: BTreeSet<ServiceId>,
    /// Services that are to stop, and for which something may have changed.
    stirred_stops: BTreeSet<ServiceId>,
    /// Who starts after a service, and stops before it.
    pub(super) dependents: BTreeMap<ServiceName, BTreeSet<ServiceId>>,
    /// Services of which a process starts, or is waited for to make way for one that will.
    pub(super) starting: BTreeSet<ServiceId>,
}

/// What others wait for, and it itself: is it up, busy, ending, stuck, and does it lack a worker?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing([bool; 5]);

impl Standing {
    pub(super) fn of(service: &Service) -> Self {
        Self([
            service.is_up(),
            service.is_busy(),
            service.is_ending(),
            service.is_stuck(),
            service.lacks_a_worker(),
        ])
    }
}

impl Turns {
    /// Those that start after this one and stop before it.
    pub(super) fn dependents(&self, name: &ServiceName) -> impl Iterator<Item = ServiceId> {
        self.dependents.get(name).into_iter().flatten().copied()
    }

    /// Something changed that these may wait for.
    pub(super) fn stir(&mut self, ids: impl IntoIterator<Item = ServiceId>) {
        for id in ids {
            self.stirred.insert(id);
            self.stirred_stops.insert(id);
        }
    }

    /// The next that may have to stop now, if it is to.
    pub(super) fn next_stop(&mut self) -> Option<ServiceId> {
        self.stirred_stops.pop_first()
    }

    /// The next whose turn may have come.
    pub(super) fn next(&mut self) -> Option<ServiceId> {
        self.stirred.pop_first()
    }
}
