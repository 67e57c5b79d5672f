//! Who starts after whom, and stops before whom.
//!
//! Only starts and stops have an order. A restart has none: the sockets of what is restarted stay open.

use super::fact::Fact;
use super::service::{Ending, Service, Wish};
use super::supervisor::{Phase, Supervisor};
use super::tickets::Goal;
use super::{Action, Time};
use crate::plan::{Change, Definition, Generation, RestartOrder, ServiceId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

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
        self.announced.remove(&id);
        if waited {
            self.stir_around(id);
        }
    }

    /// One service stands otherwise than before.
    pub(super) fn stir_around(&mut self, id: ServiceId) {
        let Some(service) = self.services.get(id) else { return };
        let definition = service.definition.clone();
        let before = definition.predecessors().filter_map(|name| self.names.get(name)).copied();
        let after: Vec<ServiceId> = self.turns.dependents(&definition.name).collect();
        // One of its name, that came after it was removed.
        let second = self.some_end().then(|| self.names.get(&definition.name).copied()).flatten();
        self.turns.stir(before.chain(after).chain(second).chain([id]));
        if definition.predecessors().any(|name| !self.names.contains_key(name)) {
            // It came after one that a reload has removed, which still stops (simulation, seed 10786).
            self.turns.stir(self.stops.iter().copied());
        }
    }

    /// Other services, or others before them: who starts after whom is found anew.
    pub(super) fn order_all(&mut self) {
        let mut dependents: BTreeMap<ServiceName, BTreeSet<ServiceId>> = BTreeMap::new();
        for (id, service) in self.services.iter() {
            for name in service.definition.predecessors() {
                dependents.entry(name.clone()).or_default().insert(*id);
            }
        }
        self.turns.dependents = dependents;
    }

    /// Does a service that this changes wait for others, or has it done so?
    pub(super) fn is_ordered(&self, change: &Change) -> bool {
        let now = self.names.get(change.name()).and_then(|id| self.services.get(*id));
        let definitions = now.map(|service| &*service.definition).into_iter().chain(change.definition());
        definitions.flat_map(Definition::predecessors).next().is_some()
    }

    /// Other services, or another phase: everybody who waits is asked again.
    pub(super) fn stir_all(&mut self) {
        self.turns.stir(self.waiting.iter().chain(&self.stops).copied());
    }

    /// How many more services may start a process now.
    pub(super) fn room(&self) -> usize {
        self.plan.settings.start_concurrency.saturating_sub(self.turns.starting.len())
    }

    /// Starts, or tells to stop, whoever waits for nobody any more; what that changes may be waited for, too.
    pub(super) fn go_on(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut blocked = Vec::new();
        loop {
            self.stop_those_free(now, out);
            if !self.is_anybodys_turn() {
                break;
            }
            let Some(id) = self.turns.next() else { break };
            if !self.waiting.contains(&id) {
                continue;
            }
            if !self.may_start(id) {
                blocked.push(id);
                continue;
            }
            self.waiting.remove(&id);
            self.announced.remove(&id);
            // Others may have waited for it to go on (simulation, seed 126).
            self.stir_around(id);
            if self.replacing.remove(&id) {
                self.touch(id, out, |service, out| service.restart(now, out));
            } else {
                self.touch(id, out, |service, out| service.start(now, out));
            }
        }
        self.announce(&blocked, out);
    }

    fn stop_those_free(&mut self, now: Time, out: &mut Vec<Action>) {
        while let Some(id) = self.turns.next_stop() {
            if self.stops.contains(&id) && self.may_stop(id) {
                self.stops.remove(&id);
                self.touch(id, out, |service, out| service.end(Ending::Stop, now, out));
            }
        }
    }

    /// Starts are given out as long as there is room.
    fn is_anybodys_turn(&self) -> bool {
        match self.phase {
            Phase::Running => self.room() > 0,
            Phase::Booting | Phase::Stopping | Phase::Ended(_) => false,
        }
    }

    /// One that ought to have gone on by now: there is none between two events.
    pub(super) fn waits_for_nobody(&self) -> Option<ServiceId> {
        let start = self.waiting.iter().filter(|_| self.is_anybodys_turn()).find(|id| self.may_start(**id));
        start.or_else(|| self.stops.iter().find(|id| self.may_stop(**id))).copied()
    }

    /// Are all that it requires up, and all that it comes after up or not coming?
    fn may_start(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(id) else { return true };
        // It was told to stop, and to start again before it had.
        if service.is_ending() {
            return false;
        }
        // What runs waits for room to be restarted, and for nobody; it may have crashed meanwhile (simulation, seed
        // 7655).
        if self.replacing.contains(&id) && !service.is_down() || !service.lacks_a_worker() {
            return true;
        }
        if self.is_preceded(service) {
            return false;
        }
        let up = |name: &ServiceName| self.named(name).is_none_or(Service::is_up);
        let settled = |name: &ServiceName| {
            let waits = self.names.get(name).is_some_and(|id| self.waiting.contains(id));
            !waits && self.named(name).is_none_or(|other| other.is_up() || other.is_stuck())
        };
        service.definition.requires.iter().all(up) && service.definition.after.iter().all(settled)
    }

    /// Is one of the same name, which was removed, there still, and has it no socket of ours? It may have an address of its own.
    fn is_preceded(&self, service: &Service) -> bool {
        let is_second = service.workers.is_empty() && service.last != Generation::NONE;
        let alone = service.definition.policy.restart_order == RestartOrder::StopFirst;
        let in_the_way = |former: &Service| {
            former.definition.name == service.definition.name && former.definition.listeners.is_empty()
        };
        is_second && alone && self.formers().any(in_the_way)
    }

    /// Those that were removed and still end. Most of the time there are none, and nobody is asked.
    pub(super) fn formers(&self) -> impl Iterator<Item = &Service> {
        let all = self.some_end().then(|| self.services.values()).into_iter().flatten();
        all.filter(|service| service.is_removed())
    }

    /// Are there such?
    fn some_end(&self) -> bool {
        self.services.len() > self.names.len()
    }

    /// Have all that start after it ended, as far as they are to?
    fn may_stop(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(id) else { return true };
        let ends = |other: &ServiceId| {
            self.stops.contains(other) || self.services.get(*other).is_some_and(Service::is_ending)
        };
        let mut dependents = self.turns.dependents(&service.definition.name);
        let followed = |other: &ServiceId| *other != id && !self.is_quarantined(*other);
        !dependents.any(|other| followed(&other) && self.busy.contains(&other) && ends(&other))
    }

    fn named(&self, name: &ServiceName) -> Option<&Service> {
        self.names.get(name).and_then(|id| self.services.get(*id))
    }

    /// Does it wait for others, to start?
    pub fn waits(&self, id: ServiceId) -> bool {
        self.waiting.contains(&id)
    }

    /// The services that one of these waits for, if it does.
    pub fn waits_for(&self, id: ServiceId) -> Vec<&ServiceName> {
        let waiting = self.waiting.get(&id).and_then(|id| self.services.get(*id));
        let needed = waiting.into_iter().flat_map(|service| service.definition.predecessors());
        needed.filter(|name| !self.named(name).is_none_or(Service::is_up)).collect()
    }

    /// Is it to stop, once others have that need it?
    pub fn is_to_stop(&self, id: ServiceId) -> bool {
        self.stops.contains(&id)
    }

    /// Is it down, and needs others first, or is it just ending? It starts at the end of this event, or later.
    pub(super) fn has_to_wait(&self, id: ServiceId) -> bool {
        let Some(service) = self.services.get(id) else { return false };
        service.is_ending() || service.is_down() && service.definition.predecessors().next().is_some()
    }

    /// Whoever keeps a service that waits from starting, as far as nothing brings them up by itself; or, where it was ordered,
    /// only after a pause: they crash. Who waits for no order of his has all the time that he gave.
    pub(super) fn blockers(&self, id: ServiceId, goal: Goal) -> Vec<ServiceName> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::from([id]);
        let mut ahead = vec![id];
        while let Some(service) = ahead.pop().and_then(|id| self.services.get(id)) {
            for name in service.definition.predecessors() {
                let Some(other) = self.named(name).filter(|other| !other.is_up()) else { continue };
                let required = service.definition.requires.contains(name);
                if self.waits(other.id) {
                    ahead.extend(seen.insert(other.id).then_some(other.id));
                } else if other.wish == Wish::Hold
                    || goal != Goal::Settled && other.pauses()
                    || required && (other.wish == Wish::Stop || other.is_stuck())
                {
                    found.insert(name.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Says once of each service that cannot start yet for whom it waits.
    fn announce(&mut self, blocked: &[ServiceId], out: &mut Vec<Action>) {
        if self.phase != Phase::Running || blocked.is_empty() {
            return;
        }
        self.announced.retain(|id| self.waiting.contains(id));
        for id in blocked {
            if let Some(service) = self.services.get(*id)
                && self.announced.insert(*id)
            {
                let missing = |name: &&ServiceName| !self.named(name).is_none_or(Service::is_up);
                let names: BTreeSet<_> = service.definition.predecessors().filter(missing).cloned().collect();
                out.push(service.report(Fact::WaitsFor { names: names.into_iter().collect() }));
            }
        }
    }
}
