//! The reload as a transaction: read and check everything, bind all new sockets, and only then act.
//!
//! The boot is the first one, from nothing to the first plan.

use super::fact::{Applied, Fact};
use super::service::Service;
use super::state::Then;
use super::supervisor::{Phase, Supervisor, report};
use super::worker::Order;
use super::{Action, BindFailure, Outcome, Time};
use crate::plan::{Address, Change, Definition, ListenerId, ListenerSpec, Plan, ServiceId, diff};
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
        out.push(Action::LoadPlan);
    }

    pub(super) fn plan_refused(&mut self, mistakes: Vec<String>, out: &mut Vec<Action>) {
        let Reload::Loading { again } = self.reload else { return };
        let count = mistakes.len();
        out.extend(mistakes.into_iter().map(|text| report(Fact::Mistake { text })));
        out.push(report(Fact::ReloadRefused { mistakes: count }));
        self.reload_done(again, out);
    }

    pub(super) fn plan_loaded(&mut self, plan: Plan, now: Time, out: &mut Vec<Action>) {
        if let Reload::Loading { again } = self.reload {
            self.bind(plan, again, now, out);
        }
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

    pub(super) fn bind_refused(&mut self, failures: Vec<BindFailure>, out: &mut Vec<Action>) {
        let Reload::Binding { again, .. } = self.reload else { return };
        let failed = failures.len();
        for failure in failures {
            let overlaps = self.sockets.keys().find(|held| held.overlaps(&failure.address)).cloned();
            out.push(report(Fact::BindFailed { failure, overlaps }));
        }
        let boot = self.phase == Phase::Booting;
        out.push(report(Fact::BindRefused { failed, boot }));
        self.reload_done(again && !boot, out);
        if boot {
            self.phase = Phase::Ended(Outcome::BindRefused);
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
        self.report_changes(boot, &plan, &changes, out);
        self.configure_sockets(&plan, out);
        for change in changes {
            self.apply(change, now, out);
        }
        self.plan = plan;
        self.planned = specs(&self.plan).count();
        self.adopt(now, out);
        self.stir_all();
        self.close_sockets(out);
        self.reload_done(again, out);
    }

    fn reload_done(&mut self, again: bool, out: &mut Vec<Action>) {
        self.reload = Reload::Idle;
        if again {
            self.load(out);
        }
    }

    fn report_changes(&self, boot: bool, plan: &Plan, changes: &[Change], out: &mut Vec<Action>) {
        if boot {
            let (sockets, services) = (self.sockets.len(), plan.services.len());
            out.push(report(Fact::Holding { sockets, services }));
            return;
        }
        out.extend(changes.iter().cloned().map(|change| report(Fact::Changed { change })));
        let count = |is: fn(&Change) -> bool| changes.iter().filter(|change| is(change)).count();
        let removed = count(|change| matches!(change, Change::Removed(_)));
        let applied = Applied {
            added: count(|change| matches!(change, Change::Added(_))),
            removed,
            restarted: count(|change| matches!(change, Change::Restarted(_))),
            in_place: count(|change| matches!(change, Change::InPlace(_))),
            untouched: (plan.services.len() + removed).saturating_sub(changes.len()),
        };
        out.push(report(Fact::Reloaded { applied }));
    }

    /// Writes new settings to the sockets that we keep, whichever service they now belong to.
    fn configure_sockets(&self, plan: &Plan, out: &mut Vec<Action>) {
        let old: BTreeMap<&Address, &ListenerSpec> = specs(&self.plan).collect();
        for (address, spec) in specs(plan) {
            if old.get(address).is_some_and(|old| *old != spec) {
                out.push(Action::Configure { listener: self.sockets[address], spec: spec.clone() });
            }
        }
    }

    fn apply(&mut self, change: Change, now: Time, out: &mut Vec<Action>) {
        match change {
            Change::Added(definition) => {
                self.last_service += 1;
                let id = ServiceId(self.last_service);
                let listeners = self.listeners(&definition);
                self.names.insert(definition.name.clone(), id);
                self.services.insert(id, Service::new(id, definition, listeners));
                // It starts at the end of this event, or when those it needs are up.
                self.wait(id);
            }
            Change::Removed(name) => {
                if let Some(id) = self.names.remove(&name) {
                    self.waiting.remove(&id);
                    self.touch(id, |service| service.order(Order::Stop(Then::Gone), now, out));
                }
            }
            Change::InPlace(definition) => self.redefine(&definition, None, now, out),
            Change::Restarted(definition) => self.redefine(&definition, Some(Order::Restart), now, out),
        }
    }

    fn redefine(
        &mut self,
        definition: &Arc<Definition>,
        order: Option<Order>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let listeners = self.listeners(definition);
        if let Some(&id) = self.names.get(&definition.name) {
            self.touch(id, |service| {
                service.redefine(definition.clone(), listeners, now, out);
                if let Some(order) = order {
                    service.order(order, now, out);
                }
            });
        }
    }

    fn listeners(&self, definition: &Definition) -> Vec<ListenerId> {
        definition.listeners.iter().map(|spec| self.sockets[&spec.address]).collect()
    }

    /// Gives up the addresses that the plan has no more. Servers that still leave have copies of their own; one
    /// that nobody has asked to leave keeps its address, for it may be the one that serves on.
    pub(super) fn close_sockets(&mut self, out: &mut Vec<Action>) {
        // A reload that is under way may count on one of them (simulation, seed 4077).
        if self.sockets.len() == self.planned || matches!(self.reload, Reload::Binding { .. }) {
            return;
        }
        let planned = specs(&self.plan).map(|(address, _)| address);
        let served = self.services.values().flat_map(Service::served_addresses);
        let kept: BTreeSet<&Address> = planned.chain(served).collect();
        self.sockets.retain(|address, listener| {
            let keep = kept.contains(address);
            if !keep {
                out.push(Action::Close { listener: *listener });
            }
            keep
        });
    }
}

fn specs(plan: &Plan) -> impl Iterator<Item = (&Address, &ListenerSpec)> {
    plan.services.iter().flat_map(|definition| &definition.listeners).map(|spec| (&spec.address, spec))
}
