//! Whoever serves on at an address that is another service's by now makes way.

use super::World;
use bootstrap::core::service::Service;
use bootstrap::core::state::State;
use bootstrap::plan::RunId;

impl World {
    /// Is it asked to leave because it has an address of another service?
    pub(super) fn makes_way_for_another(&self, run: RunId) -> bool {
        let service = self.core.services().find(|service| service.id == run.service);
        let waits_for_it = |service: &Service| {
            let states = service.workers.iter().map(|worker| &worker.state);
            states.into_iter().any(
                |state| matches!(state, State::Restarting { old, fallback: None, .. } if *old == run.generation),
            )
        };
        let has_it = |other: &Service| {
            let its = &self.processes[&run].definition.listeners;
            other.id != run.service && its.iter().any(|spec| other.definition.listens_at(&spec.address))
        };
        service.is_some_and(waits_for_it) && self.core.services().any(has_it)
    }
}
