//! Whose turn may have come, so that no event has to ask everybody.

use super::Supervisor;
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
    dependents: BTreeMap<ServiceName, BTreeSet<ServiceId>>,
    /// Services of which a process starts, or is waited for to make way for one that will.
    pub(super) starting: BTreeSet<ServiceId>,
}

/// What others wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    up: bool,
    busy: bool,
    ending: bool,
}

impl Standing {
    pub(super) fn of(service: &Service) -> Self {
        Self { up: service.is_up(), busy: service.is_busy(), ending: service.is_ending() }
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

impl Supervisor {
    /// It goes on when its turn comes: at the end of this event, or later.
    pub(super) fn wait(&mut self, id: ServiceId) {
        self.waiting.insert(id);
        self.turns.stir([id]);
    }

    /// It does not wait any more, whatever for.
    pub(super) fn wait_no_more(&mut self, id: ServiceId) {
        let waited = self.waiting.remove(&id) | self.stops.remove(&id);
        self.replacing.remove(&id);
        if waited {
            self.stir_around(id);
        }
    }

    /// One service stands otherwise than before.
    pub(super) fn stir_around(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(&id) else { return };
        let definition = service.definition.clone();
        let before = definition.predecessors().filter_map(|name| self.names.get(name)).copied();
        let after: Vec<ServiceId> = self.turns.dependents(&definition.name).collect();
        self.turns.stir(before.chain(after).chain([id]));
    }

    /// Other services, or another phase: everybody who waits is asked again.
    pub(super) fn stir_all(&mut self) {
        let mut dependents: BTreeMap<ServiceName, BTreeSet<ServiceId>> = BTreeMap::new();
        for (id, service) in &self.services {
            for name in service.definition.predecessors() {
                dependents.entry(name.clone()).or_default().insert(*id);
            }
        }
        self.turns.dependents = dependents;
        self.turns.stir(self.waiting.iter().chain(&self.stops).copied());
    }

    /// How many more services may start a process now.
    pub(super) fn room(&self) -> usize {
        self.plan.settings.start_concurrency.saturating_sub(self.turns.starting.len())
    }
}
