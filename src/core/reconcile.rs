//! The reload as a transaction: read and check everything, bind all new sockets, and only then act.
//!
//! The boot is the first one, from nothing to the first plan.

use super::fact::{Applied, Fact};
use super::leaving::Leaving;
use super::orders::Taken;
use super::pack::pack;
use super::request::Verb;
use super::service::{Ending, Redefinition, Service, Wish};
use super::supervisor::{Phase, Supervisor, keep, report};
use super::tickets::{Goal, Subject};
use super::{Action, BindFailure, Outcome, Time};
use crate::plan::{
    Address, Change, Definition, Generation, ListenerId, ListenerIds, ListenerSpec, Plan, ServiceId,
    ServiceName, diff,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far a reload is. `again` remembers that another was asked for meanwhile: it runs once this one is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Reload {
    /// None is under way.
    Idle,
    /// The file is being read.
    Loading {
        /// Once more after this one.
        again: bool,
    },
    /// The new sockets are being bound.
    Binding {
        /// What is to apply.
        plan: Plan,
        /// The new sockets.
        #[serde(with = "crate::plan::shared::pairs")]
        sockets: BTreeMap<Address, ListenerId>,
        /// Once more after this one.
        again: bool,
    },
}

impl Supervisor {
    pub(super) fn reload_requested(&mut self, out: &mut Vec<Action>) {
        match (self.phase, &mut self.reload) {
            (Phase::Stopping | Phase::Ended(_), _) => out.push(report(Fact::ReloadIgnored)),
            (Phase::Booting | Phase::Running, Reload::Idle) => self.load(out),
            (Phase::Booting | Phase::Running, Reload::Loading { again } | Reload::Binding { again, .. }) => {
                *again = true;
            }
        }
    }

    fn load(&mut self, out: &mut Vec<Action>) {
        self.reload = Reload::Loading { again: false };
        self.tickets.reload_begins();
        out.push(Action::LoadPlan);
    }

    pub(super) fn plan_refused(&mut self, mistakes: Vec<String>, out: &mut Vec<Action>) {
        let Reload::Loading { again } = self.reload else { return };
        let reasons: Vec<Fact> = mistakes.into_iter().map(|text| Fact::Mistake { text }).collect();
        out.extend(reasons.iter().cloned().map(report));
        out.push(report(Fact::ReloadRefused { mistakes: reasons.len() }));
        self.reload_refused(&reasons, out);
        self.reload_done(again, out);
    }

    pub(super) fn plan_loaded(&mut self, plan: Plan, now: Time, out: &mut Vec<Action>) {
        if let Reload::Loading { again } = self.reload {
            self.bind(plan, again, now, out);
        }
    }

    /// The first address of a plan that cannot be bound, and the one that is held and in its way.
    pub fn in_the_way<'a>(&'a self, plan: &'a Plan) -> Option<(&'a Address, &'a Address)> {
        let by_port = self.held_by_port();
        let mut new = specs(plan).map(|(address, _)| address).filter(|it| !self.sockets.contains_key(*it));
        new.find_map(|address| Some((address, overlapped(&by_port, address)?)))
    }

    /// The addresses that are held, by their ports: there may be ten thousand, and as many to be looked for.
    fn held_by_port(&self) -> BTreeMap<Option<u16>, Vec<&Address>> {
        let mut by_port: BTreeMap<_, Vec<&Address>> = BTreeMap::new();
        for held in self.sockets.keys() {
            by_port.entry(held.port()).or_default().push(held);
        }
        by_port
    }

    /// Binds what the plan has and we have not; with nothing to bind, the plan applies at once.
    pub(super) fn bind(&mut self, plan: Plan, again: bool, now: Time, out: &mut Vec<Action>) {
        let mut batch = Vec::new();
        let mut sockets = BTreeMap::new();
        // Those on which others serve still are held for as long as they do.
        let orphans = self.orphans.iter().filter(|orphan| orphan.held).map(|orphan| &orphan.definition);
        let definitions = plan.services.iter().chain(orphans);
        for spec in definitions.flat_map(|definition| &definition.listeners) {
            if !self.sockets.contains_key(&spec.address) && !sockets.contains_key(&spec.address) {
                self.last_listener += 1;
                let listener = ListenerId(self.last_listener);
                sockets.insert(spec.address.clone(), listener);
                batch.push((listener, spec.clone()));
            }
        }
        let nothing_new = batch.is_empty();
        self.reload = Reload::Binding { plan, sockets, again };
        if nothing_new {
            self.bound(now, out);
        } else {
            out.push(Action::Bind { sockets: batch });
        }
    }

    /// The addresses of runs that were asked to leave, and whose newest each is: where nobody else has one, its socket is that
    /// run's own by now.
    fn drained(&self) -> BTreeMap<&Address, (&ServiceName, Generation)> {
        let mut drained = BTreeMap::new();
        for service in self.services.values() {
            for Leaving { run, .. } in service.workers.iter().flat_map(|worker| &worker.leaving) {
                let told = (&service.definition.name, run.generation());
                drained.extend(run.definition.listeners.iter().map(|spec| (&spec.address, told)));
            }
        }
        drained
    }

    pub(super) fn bind_refused(&mut self, failures: Vec<BindFailure>, out: &mut Vec<Action>) {
        let Reload::Binding { again, .. } = self.reload else { return };
        let (by_port, drained) = (self.held_by_port(), self.drained());
        let reason = |failure: BindFailure| {
            let overlaps = overlapped(&by_port, &failure.address).cloned();
            let drains =
                drained.get(&failure.address).map(|(name, generation)| ((*name).clone(), *generation));
            Fact::BindFailed { failure, overlaps, drains }
        };
        let reasons: Vec<Fact> = failures.into_iter().map(reason).collect();
        out.extend(reasons.iter().cloned().map(report));
        let boot = self.phase == Phase::Booting;
        let orphans = self.orphans.len();
        out.push(report(Fact::BindRefused { failed: reasons.len(), boot, orphans }));
        self.reload_refused(&reasons, out);
        self.reload_done(again && !boot, out);
        if boot {
            self.phase = Phase::Ended(Outcome::BindRefused);
            // Who asked for something meanwhile is told (simulation, what a fuzzer may choose, seed 3).
            self.answer_all(out);
        }
    }

    /// The point of no return: everything that can be refused was not.
    pub(super) fn bound(&mut self, now: Time, out: &mut Vec<Action>) {
        let Reload::Binding { plan, sockets, again } = std::mem::replace(&mut self.reload, Reload::Idle)
        else {
            return;
        };
        self.sockets.extend(sockets);
        let boot = self.phase == Phase::Booting;
        self.phase = Phase::Running;
        let changes = diff(&self.plan, &plan);
        let applied = self.count(&changes, plan.services.len());
        self.report_changes(boot, &changes, applied, out);
        self.configure_sockets(&changes, out);
        let reordered = changes.iter().any(|change| self.is_ordered(change));
        let formers = self.last_of_formers();
        let mut taken = Vec::new();
        for change in changes {
            let name = change.name().clone();
            let last = formers.get(&name).copied().unwrap_or(Generation::NONE);
            let is_new = matches!(change, Change::Added(_));
            let Some((id, goal)) = self.apply(change, last, now, out) else { continue };
            taken.push((name, id, goal));
            // A socket that it took from another service may be parked (simulation, seeds 404 and 1994).
            if let Some(service) = self.services.get(id).filter(|_| is_new && !boot) {
                service.take_sockets(&[], out);
            }
        }
        self.plan = plan;
        self.planned = specs(&self.plan).count();
        // Their addresses may be others' from now on.
        self.touched.extend(&self.astray);
        self.adopt(now, out);
        if reordered {
            self.order_all();
        }
        self.stir_all();
        self.close_sockets(out);
        if boot {
            self.services.pack();
            pack(&mut self.names);
            pack(&mut self.sockets);
        }
        self.go_on(now, out);
        for (ticket, wait) in self.tickets.take_reloads() {
            let taken = taken.iter().map(|(name, id, goal)| (name.clone(), *id, Taken::Awaits(*goal)));
            self.open(ticket, Subject::Reload(applied), wait, taken.collect(), out);
        }
        for (ticket, selector, wait) in self.tickets.take_early() {
            self.ordered(ticket, Verb::Wait, &selector, wait, now, out);
        }
        self.reload_done(again, out);
    }

    fn reload_done(&mut self, again: bool, out: &mut Vec<Action>) {
        self.reload = Reload::Idle;
        if again {
            self.load(out);
        }
    }

    fn report_changes(&self, boot: bool, changes: &[Change], applied: Applied, out: &mut Vec<Action>) {
        if boot {
            let (sockets, services) = (self.sockets.len(), applied.added);
            out.push(report(Fact::Holding { sockets, services }));
        } else {
            let told = |change: &Change| {
                report(Fact::Changed { at_start: self.is_for_its_start(change), change: change.clone() })
            };
            out.extend(changes.iter().map(told));
            out.push(report(Fact::Reloaded { applied }));
        }
    }

    /// Is it about a service that an operator has stopped, or holds? It takes the change when it starts.
    pub fn is_for_its_start(&self, change: &Change) -> bool {
        let service = self.names.get(change.name()).and_then(|id| self.services.get(*id));
        let is_put_down = service.is_some_and(|service| matches!(service.wish, Wish::Stop | Wish::Hold));
        matches!(change, Change::Restarted(_)) && is_put_down
    }

    /// What these changes come to, for so many services.
    fn count(&self, changes: &[Change], services: usize) -> Applied {
        let mut applied = Applied::default();
        for change in changes {
            match change {
                Change::Added(_) => applied.added += 1,
                Change::Removed(_) => applied.removed += 1,
                Change::Restarted(_) if !self.is_for_its_start(change) => applied.restarted += 1,
                Change::Restarted(_) | Change::InPlace(_) => applied.in_place += 1,
            }
        }
        applied.untouched = (services + applied.removed).saturating_sub(changes.len());
        applied
    }

    /// Writes new settings to the sockets that we keep, whichever service they now belong to.
    fn configure_sockets(&self, changes: &[Change], out: &mut Vec<Action>) {
        let definitions = changes.iter().filter_map(Change::definition);
        let new: BTreeMap<&Address, &ListenerSpec> = definitions
            .flat_map(|definition| &definition.listeners)
            .map(|spec| (&spec.address, spec))
            .collect();
        if new.is_empty() {
            return;
        }
        for (address, old) in specs(&self.plan) {
            if let Some(spec) = new.get(address).filter(|spec| **spec != old) {
                out.push(Action::Configure { listener: self.sockets[address], spec: (*spec).clone() });
            }
        }
    }

    /// The last generations of those that were removed and still end: each process of a name has a number of its own.
    fn last_of_formers(&self) -> BTreeMap<ServiceName, Generation> {
        let mut last = BTreeMap::new();
        for former in self.formers() {
            let name = former.definition.name.clone();
            last.entry(name).and_modify(|last| *last = former.last.max(*last)).or_insert(former.last);
        }
        last
    }

    /// Gives whoever was added or restarted, or has more workers to start, and what its end will be. The generations of what
    /// is added follow `last`.
    fn apply(
        &mut self,
        change: Change,
        last: Generation,
        now: Time,
        out: &mut Vec<Action>,
    ) -> Option<(ServiceId, Goal)> {
        match change {
            Change::Added(definition) => {
                self.last_service += 1;
                let id = ServiceId(self.last_service);
                let listeners = self.listeners(&definition);
                self.names.insert(definition.name.clone(), id);
                let mut service = Service::new(id, definition, listeners);
                service.last = last;
                keep(&mut self.captured, id, service.is_captured());
                self.services.insert(service);
                // It starts at the end of this event, or when those it needs are up.
                self.wait(id);
                Some((id, Goal::Up))
            }
            Change::Removed(name) => {
                if let Some(id) = self.names.remove(&name) {
                    self.wait_no_more(id);
                    self.dismiss(id, out);
                    self.touch(id, out, |service, out| service.end(Ending::Remove, now, out));
                }
                None
            }
            Change::InPlace(definition) => self.redefine(definition, false, now, out),
            Change::Restarted(definition) => self.redefine(definition, true, now, out),
        }
    }

    /// What an operator has stopped or holds takes the new definition when it starts. So does what waits for
    /// others, and what is down and needs some (simulation).
    fn redefine(
        &mut self,
        definition: Arc<Definition>,
        changed: bool,
        now: Time,
        out: &mut Vec<Action>,
    ) -> Option<(ServiceId, Goal)> {
        let id = *self.names.get(&definition.name)?;
        let needs_others = definition.predecessors().next().is_some();
        let service = self.services.get(id)?;
        let (wish, is_down) = (service.wish, service.is_down());
        let runs = wish == Wish::Run;
        // Whoever ordered more workers wants to know whether they serve.
        let grows = runs && !is_down && definition.policy.workers > service.definition.policy.workers;
        if changed && runs && is_down && needs_others {
            self.wait(id);
        }
        let goal = match wish {
            Wish::Run | Wish::Remove => Goal::Up,
            Wish::Stop => Goal::Down,
            Wish::Hold => Goal::Held,
        };
        // One that waits for room to be restarted starts from the new definition then.
        let restart = changed && runs && !self.waits(id);
        let new = Redefinition { listeners: self.listeners(&definition), definition, restart };
        let round = self.touch(id, out, |service, out| service.redefine(new, now, out))?;
        (changed || grows).then_some((id, round.map_or(goal, Goal::Round)))
    }

    fn listeners(&self, definition: &Definition) -> ListenerIds {
        definition.listeners.iter().map(|spec| self.sockets[&spec.address]).collect()
    }

    /// Has clients refused where nobody serves them, or will. A server may still serve an address that was given to another
    /// service: it keeps it for as long as it may accept there, for a parked socket is shut down under it.
    pub(super) fn park_sockets(&mut self, out: &mut Vec<Action>) {
        if self.idle_sockets.is_empty() {
            return;
        }
        let astray = self.astray.iter().filter_map(|id| self.services.get(*id));
        let served: BTreeSet<Address> = astray.flat_map(Service::taken_addresses).cloned().collect();
        for id in self.idle_sockets.clone() {
            self.touch(id, out, |service, out| service.park_idle(&served, out));
        }
    }

    /// Gives up the addresses that the plan has no more, once nobody accepts there: whoever takes such a change back before has
    /// the address as it was. Servers that drain have copies of their own.
    pub(super) fn close_sockets(&mut self, out: &mut Vec<Action>) {
        // A reload that is under way may count on one of them (simulation, seed 4077).
        if self.sockets.len() == self.planned || matches!(self.reload, Reload::Binding { .. }) {
            return;
        }
        let planned = specs(&self.plan).map(|(address, _)| address);
        let taken = self.services.values().flat_map(Service::taken_addresses);
        let kept: BTreeSet<&Address> = planned.chain(taken).collect();
        self.sockets.retain(|address, listener| {
            let keep = kept.contains(address);
            if !keep {
                out.push(Action::Close { listener: *listener });
            }
            keep
        });
    }
}

/// What is held and cannot be bound together with this one.
fn overlapped<'a>(
    by_port: &BTreeMap<Option<u16>, Vec<&'a Address>>,
    address: &Address,
) -> Option<&'a Address> {
    address.port()?;
    by_port.get(&address.port())?.iter().copied().find(|held| held.overlaps(address))
}

fn specs(plan: &Plan) -> impl Iterator<Item = (&Address, &ListenerSpec)> {
    plan.services.iter().flat_map(|definition| &definition.listeners).map(|spec| (&spec.address, spec))
}
