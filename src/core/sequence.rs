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
        let mut blocked = Vec::new();
        while self.is_anybodys_turn() {
            let Some(id) = self.turns.next() else { break };
            if !self.waiting.contains(&id) {
                continue;
            }
            if !self.may_go_on(id) {
                blocked.push(id);
                continue;
            }
            self.waiting.remove(&id);
            if self.phase == Phase::Running {
                self.touch(id, |service| service.start(now, out));
            } else if self.busy.contains(&id) {
                self.touch(id, |service| service.order(Order::Stop(Then::Stopped), now, out));
            }
        }
        self.announce(&blocked, out);
    }

    /// Starts are given out as long as there is room; stops need none.
    fn is_anybodys_turn(&self) -> bool {
        match self.phase {
            Phase::Running => self.room() > 0,
            Phase::Stopping => true,
            Phase::Booting | Phase::Ended(_) => false,
        }
    }

    /// Does it wait for nobody any more?
    fn may_go_on(&self, id: ServiceId) -> bool {
        match self.phase {
            Phase::Running => self.may_start(id),
            Phase::Stopping => self.may_stop(id),
            Phase::Booting | Phase::Ended(_) => false,
        }
    }

    /// One that ought to have gone on by now: there is none between two events.
    pub(super) fn waits_for_nobody(&self) -> Option<ServiceId> {
        let mut waiting = self.waiting.iter().copied();
        if self.is_anybodys_turn() { waiting.find(|id| self.may_go_on(*id)) } else { None }
    }

    /// Are all that it requires up, and all that it comes after up or not coming?
    fn may_start(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return true };
        if !service.is_down() {
            // It waits for room to be restarted, and for nobody.
            return true;
        }
        let up = |name: &ServiceName| self.named(name).is_none_or(Service::is_up);
        let settled = |name: &ServiceName| {
            let comes = self.names.get(name).is_some_and(|id| self.waiting.contains(id));
            self.named(name).is_none_or(|other| other.is_up() || !(comes || other.is_busy()))
        };
        service.definition.requires.iter().all(up) && service.definition.after.iter().all(settled)
    }

    /// Have all that start after it ended?
    fn may_stop(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return true };
        let mut dependents = self.turns.dependents(&service.definition.name);
        !dependents.any(|other| other != id && self.busy.contains(&other))
    }

    fn named(&self, name: &ServiceName) -> Option<&Service> {
        self.names.get(name).and_then(|id| self.services.get(id))
    }

    /// Does it wait for others?
    pub fn waits(&self, id: ServiceId) -> bool {
        self.waiting.contains(&id)
    }

    /// Is it down, and needs others first? It starts at the end of this event, or when they are up.
    pub(super) fn has_to_wait(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(&id) else { return false };
        service.is_down() && service.definition.predecessors().next().is_some()
    }

    /// Says once of each service that cannot start yet for whom it waits.
    fn announce(&mut self, blocked: &[ServiceId], out: &mut Vec<Action>) {
        if self.phase != Phase::Running || blocked.is_empty() {
            return;
        }
        self.announced.retain(|id| self.waiting.contains(id));
        for id in blocked {
            if let Some(service) = self.services.get(id)
                && self.announced.insert(*id)
            {
                let missing = |name: &&ServiceName| !self.named(name).is_none_or(Service::is_up);
                let names = service.definition.predecessors().filter(missing).cloned().collect();
                out.push(service.report(Fact::WaitsFor { names }));
            }
        }
    }
}
