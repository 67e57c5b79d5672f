//! Who starts after whom, and stops before whom.
//!
//! Only starts and stops have an order. A restart has none: the sockets of what is restarted stay open.

use super::fact::Fact;
use super::service::Service;
use super::state::Then;
use super::supervisor::{Phase, Supervisor};
use super::worker::Order;
use super::{Action, Time};
use crate::plan::{ServiceId, ServiceName};

impl Supervisor {
    /// Starts, or tells to stop, whoever waits for nobody any more; what that changes may be waited for, too.
    pub(super) fn go_on(&mut self, now: Time, out: &mut Vec<Action>) {
        loop {
            let next = self.free();
            if next.is_empty() {
                return self.announce(out);
            }
            for id in next {
                self.waiting.remove(&id);
                if self.phase == Phase::Running {
                    self.touch(id, |service| service.start(now, out));
                } else if self.busy.contains(&id) {
                    self.touch(id, |service| service.order(Order::Stop(Then::Stopped), now, out));
                }
            }
        }
    }

    /// Those that wait for nobody any more.
    fn free(&self) -> Vec<ServiceId> {
        let waiting = self.waiting.iter().copied();
        match self.phase {
            Phase::Running => waiting.filter(|id| self.may_start(*id)).collect(),
            Phase::Stopping => waiting.filter(|id| self.may_stop(*id)).collect(),
            Phase::Booting | Phase::Ended(_) => Vec::new(),
        }
    }

    /// One that ought to have gone on by now: there is none between two events.
    pub(super) fn waits_for_nobody(&self) -> Option<ServiceId> {
        self.free().first().copied()
    }

    /// Are all that it requires up, and all that it comes after up or not coming?
    fn may_start(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return true };
        let up = |name: &ServiceName| self.named(name).is_none_or(Service::is_up);
        let settled = |name: &ServiceName| {
            let waits = self.names.get(name).is_some_and(|id| self.waiting.contains(id));
            !waits && self.named(name).is_none_or(|other| other.is_up() || !other.is_busy())
        };
        service.definition.requires.iter().all(up) && service.definition.after.iter().all(settled)
    }

    /// Have all that start after it ended?
    fn may_stop(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return true };
        let name = &service.definition.name;
        let needs_it = |other: &ServiceId| {
            *other != id && self.services[other].definition.predecessors().any(|needed| needed == name)
        };
        !self.busy.iter().any(needs_it)
    }

    fn named(&self, name: &ServiceName) -> Option<&Service> {
        self.names.get(name).and_then(|id| self.services.get(id))
    }

    /// Does it wait for others?
    pub fn waits(&self, id: ServiceId) -> bool {
        self.waiting.contains(&id)
    }

    /// The services that one of these waits for, if it does.
    pub fn waits_for(&self, id: ServiceId) -> Vec<&ServiceName> {
        let waiting = self.waiting.get(&id).and_then(|id| self.services.get(id));
        let needed = waiting.into_iter().flat_map(|service| service.definition.predecessors());
        needed.filter(|name| !self.named(name).is_none_or(Service::is_up)).collect()
    }

    /// Is it down, and needs others first? It starts at the end of this event, or when they are up.
    pub(super) fn has_to_wait(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return false };
        service.is_down() && service.definition.predecessors().next().is_some()
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
                let names = service.definition.predecessors().filter(missing).cloned().collect();
                out.push(service.report(Fact::WaitsFor { names }));
            }
        }
        self.announced = self.waiting.clone();
    }
}
