//! Who serves on after a restart that failed may do so at an address that was given to another service meanwhile. Its
//! clients would be answered by both without end: it makes way, although nothing better is there to take its place.

use super::fact::Fact;
use super::generation::Run;
use super::service::Service;
use super::state::State;
use super::supervisor::{Phase, Supervisor};
use super::{Action, Time};
use crate::plan::{Address, ServiceId, ServiceName};
use std::mem;

/// A run that has to make way: where its worker stands among those of its service, at which address, and for whom.
type Displaced = (usize, Address, ServiceName);

impl Supervisor {
    /// Has them make way, of those services that have changed in this event.
    pub(super) fn make_way_for_owners(&mut self, now: Time, out: &mut Vec<Action>) {
        let changed: Vec<ServiceId> = self.astray.intersection(&self.touched).copied().collect();
        for id in changed {
            let displaced = self.displaced(id);
            if !displaced.is_empty() {
                self.touch(id, out, |service, out| service.make_way_for_owners(displaced, now, out));
            }
        }
    }

    /// The runs of a service that have to make way. There are none between two events.
    pub(super) fn displaced(&self, id: ServiceId) -> Vec<Displaced> {
        // One that is to be restarted or stopped goes anyway, in its turn.
        let goes = self.phase != Phase::Running || self.replacing.contains(&id) || self.stops.contains(&id);
        let service = self.services.get(id).filter(|_| !goes && !self.is_quarantined(id));
        let settled = service.into_iter().flat_map(Service::settled_astray);
        settled
            .filter_map(|(at, run)| self.other_owner(run).map(|(address, name)| (at, address, name)))
            .collect()
    }

    /// The first of its addresses that is another service's by now, and whose.
    fn other_owner(&self, run: &Run) -> Option<(Address, ServiceName)> {
        let mut owners =
            self.plan.services.iter().filter(|owner| self.names.get(&owner.name) != Some(&run.id.service));
        owners.find_map(|owner| {
            let theirs = owner.listeners.iter().map(|spec| &spec.address);
            let mut shared = theirs.filter(|address| run.definition.listens_at(address));
            shared.next().map(|address| (address.clone(), owner.name.clone()))
        })
    }
}

impl Service {
    /// The workers that serve elsewhere than the service does, and of which nobody is to take the place.
    fn settled_astray(&self) -> impl Iterator<Item = (usize, &Run)> {
        self.workers.iter().enumerate().filter_map(|(at, worker)| {
            let State::Up { run } = &worker.state else { return None };
            let goes = self.rollout.has_turn_to_come(worker.index);
            (!goes && !run.definition.has_the_same_sockets(&self.definition)).then_some((at, run))
        })
    }

    fn make_way_for_owners(&mut self, displaced: Vec<Displaced>, now: Time, out: &mut Vec<Action>) {
        // What a restart that failed has left is not what serves from now on.
        self.history.restart_failed = false;
        for (at, address, owner) in displaced {
            self.with(at, now, out, |worker, scene| {
                if let State::Up { run } = mem::replace(&mut worker.state, State::Stopped) {
                    scene.report_on(&run, Fact::Displaced { address, owner });
                    worker.stop_first(run, scene);
                }
            });
        }
        self.settle(now, out);
    }
}
