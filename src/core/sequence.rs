//! Who starts after whom, and stops before whom.
//!
//! Only starts and stops have an order. A restart has none: the sockets of what is restarted stay open.

use super::fact::Fact;
use super::service::{Ending, Service, Wish};
use super::supervisor::{Phase, Supervisor};
use super::{Action, Time};
use crate::plan::{ServiceId, ServiceName};
use std::collections::BTreeSet;

impl Supervisor {
    /// Starts, or tells to stop, whoever waits for nobody any more; what that changes may be waited for, too.
    pub(super) fn go_on(&mut self, now: Time, out: &mut Vec<Action>) {
        loop {
            let (starts, stops) = (self.free_to_start(), self.free_to_stop());
            if starts.is_empty() && stops.is_empty() {
                return self.announce(out);
            }
            for id in starts {
                self.waiting.remove(&id);
                self.touch(id, |service| service.start(now, out));
            }
            for id in stops {
                self.stops.remove(&id);
                self.touch(id, |service| service.end(Ending::Stop, now, out));
            }
        }
    }

    /// Those that start now: they wait for nobody.
    fn free_to_start(&self) -> Vec<ServiceId> {
        match self.phase {
            Phase::Running => self.waiting.iter().copied().filter(|id| self.may_start(*id)).collect(),
            Phase::Booting | Phase::Stopping | Phase::Ended(_) => Vec::new(),
        }
    }

    /// Those that are told to stop now: nobody who is to end, too, and has not yet, needs them.
    fn free_to_stop(&self) -> Vec<ServiceId> {
        if self.stops.is_empty() {
            return Vec::new();
        }
        let ends = |id: &&ServiceId| self.stops.contains(id) || self.services[id].is_ending();
        let needed: BTreeSet<&ServiceName> = self
            .busy
            .iter()
            .filter(ends)
            .flat_map(|id| self.services[id].definition.predecessors())
            .collect();
        let free = |id: &&ServiceId| {
            self.services.get(id).is_none_or(|service| !needed.contains(&service.definition.name))
        };
        self.stops.iter().filter(free).copied().collect()
    }

    /// One that ought to have gone on by now: there is none between two events.
    pub(super) fn waits_for_nobody(&self) -> Option<ServiceId> {
        self.free_to_start().first().or(self.free_to_stop().first()).copied()
    }

    /// Are all that it requires up, and all that it comes after up or not coming?
    fn may_start(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return true };
        // It was told to stop, and to start again before it had.
        if service.is_ending() {
            return false;
        }
        if !service.lacks_a_worker() {
            return true;
        }
        let up = |name: &ServiceName| self.named(name).is_none_or(Service::is_up);
        let settled = |name: &ServiceName| {
            let waits = self.names.get(name).is_some_and(|id| self.waiting.contains(id));
            !waits && self.named(name).is_none_or(|other| other.is_up() || !other.is_busy())
        };
        service.definition.requires.iter().all(up) && service.definition.after.iter().all(settled)
    }

    fn named(&self, name: &ServiceName) -> Option<&Service> {
        self.names.get(name).and_then(|id| self.services.get(id))
    }

    /// Does it wait for others, to start?
    pub fn waits(&self, id: ServiceId) -> bool {
        self.waiting.contains(&id)
    }

    /// Is it to stop, once others have that need it?
    pub fn is_to_stop(&self, id: ServiceId) -> bool {
        self.stops.contains(&id)
    }

    /// Is it down, and needs others first, or is it just ending? It starts at the end of this event, or later.
    pub(super) fn has_to_wait(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return false };
        service.is_ending() || service.is_down() && service.definition.predecessors().next().is_some()
    }

    /// Whoever keeps a service that waits from starting, as far as nothing brings them up by itself.
    pub(super) fn blockers(&self, id: ServiceId) -> Vec<ServiceName> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::from([id]);
        let mut ahead = vec![id];
        while let Some(service) = ahead.pop().and_then(|id| self.services.get(&id)) {
            for name in service.definition.predecessors() {
                let Some(other) = self.named(name).filter(|other| !other.is_up()) else { continue };
                let required = service.definition.requires.contains(name);
                if self.waits(other.id) {
                    ahead.extend(seen.insert(other.id).then_some(other.id));
                } else if other.wish == Wish::Hold
                    || required && (other.wish == Wish::Stop || !other.is_busy())
                {
                    found.insert(name.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Says once of each service that cannot start yet for whom it waits.
    fn announce(&mut self, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        self.announced.retain(|id| self.waiting.contains(id));
        for id in self.waiting.difference(&self.announced) {
            if let Some(service) = self.services.get(id) {
                let missing = |name: &&ServiceName| !self.named(name).is_none_or(Service::is_up);
                let names: BTreeSet<_> = service.definition.predecessors().filter(missing).cloned().collect();
                out.push(service.report(Fact::WaitsFor { names: names.into_iter().collect() }));
            }
        }
        self.announced = self.waiting.clone();
    }
}
