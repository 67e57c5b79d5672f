//! All services together: who an event is for, what a signal means, when it is over.

use super::deadlines::Deadlines;
use super::fact::{Fact, Report};
use super::log_writer::LogWriter;
use super::pack::pack;
use super::reconcile::Reload;
use super::request::{Request, Verb};
use super::service::{Ending, Service, Wish};
use super::services::Services;
use super::tickets::Tickets;
use super::turns::{Standing, Turns};
use super::{Action, Event, Orphan, Outcome, Repair, Time};
use crate::plan::{Address, ListenerId, Plan, ServiceId, ServiceName, Settings, WhenIdle};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The whole state of the supervisor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    pub(super) phase: Phase,
    /// What another supervisor left behind, until the sockets are there.
    pub(super) orphans: Vec<Orphan>,
    pub(super) reload: Reload,
    /// The plan that applies.
    pub(super) plan: Plan,
    pub(super) services: Services,
    /// The services of the plan; one that was removed and still ends is not here.
    pub(super) names: BTreeMap<ServiceName, ServiceId>,
    #[serde(with = "crate::plan::shared::pairs")]
    pub(super) sockets: BTreeMap<Address, ListenerId>,
    /// How many of the sockets the plan has; a few more may be held for servers that nobody asked to leave yet.
    pub(super) planned: usize,
    pub(super) deadlines: Deadlines,
    /// Services that may still change without anybody asking.
    pub(super) busy: BTreeSet<ServiceId>,
    pub(super) crashed: BTreeSet<ServiceId>,
    /// Services of which every worker serves.
    pub(super) up: BTreeSet<ServiceId>,
    /// Services that are to start when those are up that they need.
    pub(super) waiting: BTreeSet<ServiceId>,
    /// Those of them of which it was said.
    pub(super) announced: BTreeSet<ServiceId>,
    /// Those of them that run, and are restarted when there is room.
    pub(super) replacing: BTreeSet<ServiceId>,
    /// Services that are to be told to stop when those have ended that need them.
    pub(super) stops: BTreeSet<ServiceId>,
    /// Services with sockets that listen, although nobody of theirs serves them, or will.
    pub(super) idle_sockets: BTreeSet<ServiceId>,
    /// Services of which a run may accept at other sockets than they have now.
    pub(super) astray: BTreeSet<ServiceId>,
    pub(super) tickets: Tickets,
    /// Services that changed in this event; empty between two.
    pub(super) touched: BTreeSet<ServiceId>,
    pub(super) turns: Turns,
    pub(super) last_service: u32,
    pub(super) last_listener: u32,
    #[serde(default, skip_serializing_if = "LogWriter::is_unknown")]
    pub(super) writer: LogWriter,
    /// Services of which something that is written goes through it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) captured: BTreeSet<ServiceId>,
    /// Services that are left alone, because a step of theirs panicked.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) quarantined: BTreeSet<ServiceId>,
}

/// Where the supervisor is in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Nothing was started yet: the sockets are being bound.
    Booting,
    /// It supervises.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It is over.
    Ended(Outcome),
}

impl Supervisor {
    /// Begins with a plan: binds its sockets, and starts its services when they are bound.
    pub fn boot(plan: Plan, now: Time, out: &mut Vec<Action>) -> Self {
        Self::boot_among(plan, Vec::new(), now, out)
    }

    /// The same, where a supervisor that was killed has left processes behind.
    pub fn boot_among(plan: Plan, orphans: Vec<Orphan>, now: Time, out: &mut Vec<Action>) -> Self {
        let mut supervisor = Self {
            phase: Phase::Booting,
            orphans,
            reload: Reload::Idle,
            plan: Plan { settings: Settings::default(), services: Vec::new() },
            services: Services::default(),
            names: BTreeMap::new(),
            sockets: BTreeMap::new(),
            planned: 0,
            deadlines: Deadlines::default(),
            busy: BTreeSet::new(),
            crashed: BTreeSet::new(),
            up: BTreeSet::new(),
            waiting: BTreeSet::new(),
            announced: BTreeSet::new(),
            replacing: BTreeSet::new(),
            stops: BTreeSet::new(),
            idle_sockets: BTreeSet::new(),
            astray: BTreeSet::new(),
            tickets: Tickets::default(),
            touched: BTreeSet::new(),
            turns: Turns::default(),
            last_service: 0,
            last_listener: 0,
            writer: LogWriter::default(),
            captured: BTreeSet::new(),
            quarantined: BTreeSet::new(),
        };
        supervisor.bind(plan, false, now, out);
        supervisor.go_on(now, out);
        supervisor.answer_touched(out);
        supervisor.attend_writer(now, out);
        supervisor
    }

    /// Takes one event and appends what is to be done about it, in order.
    pub fn handle(&mut self, now: Time, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::DeadlinePassed => {
                for id in self.deadlines.due(now) {
                    self.touch(id, out, |service, out| service.deadline_passed(now, out));
                }
            }
            Event::Run(run, event) => {
                self.touch(run.service, out, |service, out| {
                    service.happened(run.generation, &event, now, out);
                });
            }
            Event::ProgramChanged { service } => {
                self.touch(service, out, |service, _| service.program_changed(now));
            }
            Event::Request(request) => self.requested(request, now, out),
            Event::StraySignal(signal) => out.push(report(Fact::StraySignal { signal })),
            Event::StoodStill { late } => out.push(report(Fact::StoodStill { late })),
            Event::TicketDropped(ticket) => self.tickets.forget(ticket),
            Event::SelectorRead(selector) => self.restart_selected(&selector, now, out),
            Event::SelectorRefused { reason } => out.push(report(Fact::SelectorRefused { reason })),
            Event::PlanLoaded(plan) => self.plan_loaded(*plan, now, out),
            Event::PlanRefused { mistakes } => self.plan_refused(mistakes, out),
            Event::Writer(event) => self.writer_happened(event, now, out),
            Event::LastWords { run, service, pid, lines } => {
                self.said_last(run, service, pid, lines, out);
            }
            Event::Repaired { listener, what } => self.repaired(listener, what, out),
            Event::NotWrittenDown { run, errno } => self.not_written_down(run, errno, out),
            Event::SuccessorFit => self.successor_fit(out),
            Event::UpgradeRefused(why) => Self::upgrade_refused(why, out),
            Event::Upgraded { from, took } => self.upgraded(from, took, out),
            Event::Bound => self.bound(now, out),
            Event::BindRefused { failures } => self.bind_refused(failures, out),
        }
        self.make_way_for_owners(now, out);
        self.go_on(now, out);
        self.close_sockets(out);
        self.park_sockets(out);
        self.answer_touched(out);
        self.attend_writer(now, out);
        self.end_if_over(out);
    }

    /// Keeps no more room than it needs: to be called when much was done and nothing is to be done.
    pub fn pack(&mut self) {
        self.services.pack();
        for services in [&mut self.busy, &mut self.up, &mut self.captured] {
            pack(services);
        }
    }

    /// When [`Event::DeadlinePassed`] is due, if ever.
    pub fn deadline(&self) -> Option<Time> {
        self.deadlines.first().into_iter().chain(self.writer.deadline()).min()
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Ended(outcome) => Some(outcome),
            Phase::Booting | Phase::Running | Phase::Stopping => None,
        }
    }

    /// All services, those that were removed and still end among them.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.services.values()
    }

    /// The plan that applies.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its settings; none before the sockets of the first one are bound.
    pub fn settings(&self) -> Option<&Settings> {
        matches!(self.phase, Phase::Running | Phase::Stopping).then_some(&self.plan.settings)
    }

    /// Is a socket held at this address?
    pub fn holds(&self, address: &Address) -> bool {
        self.sockets.contains_key(address)
    }

    /// Lets one service change, and keeps what is known of it beside it in step.
    pub(super) fn touch<T>(
        &mut self,
        id: ServiceId,
        out: &mut Vec<Action>,
        change: impl FnOnce(&mut Service, &mut Vec<Action>) -> T,
    ) -> Option<T> {
        let before = Standing::of(self.services.get(id)?);
        let outcome = self.step(id, out, change)?;
        let service = self.services.get(id)?;
        self.deadlines.set(id, service.deadline());
        keep(&mut self.busy, id, service.is_busy());
        keep(&mut self.crashed, id, service.is_crashed());
        keep(&mut self.up, id, service.is_up());
        keep(&mut self.turns.starting, id, service.is_starting());
        keep(&mut self.idle_sockets, id, service.has_idle_sockets());
        keep(&mut self.astray, id, service.is_astray());
        keep(&mut self.captured, id, service.is_captured());
        self.touched.insert(id);
        let (gone, changed) = (service.is_gone(), before != Standing::of(service));
        if changed {
            self.stir_around(id);
        }
        if gone {
            self.deadlines.set(id, None);
            self.waiting.remove(&id);
            self.captured.remove(&id);
            self.services.remove(id);
        }
        Some(outcome)
    }

    /// A socket is whole again; its service is the subject of the report.
    fn repaired(&mut self, listener: ListenerId, what: Repair, out: &mut Vec<Action>) {
        let address =
            self.sockets.iter().find(|(_, id)| **id == listener).map(|(address, _)| address.clone());
        let owner = self.services.values_mut().find(|service| service.listeners.contains(&listener));
        if let Some((address, owner)) = address.zip(owner) {
            owner.history.repairs += 1;
            out.push(owner.report(Fact::Repaired { address, what }));
        }
    }

    fn requested(&mut self, request: Request, now: Time, out: &mut Vec<Action>) {
        match request {
            Request::Restart => match self.phase {
                Phase::Running => {
                    out.push(Action::ReadSelector { env_file: self.plan.settings.env_file.clone() });
                }
                // What has not started yet will start after this request; what ends does not come back.
                Phase::Booting | Phase::Stopping | Phase::Ended(_) => {}
            },
            Request::Reload => self.reload_requested(out),
            Request::Upgrade => self.upgrade_requested(out),
            Request::Stop => match self.phase {
                Phase::Booting | Phase::Running => self.stop(now, out),
                Phase::Stopping | Phase::Ended(_) => self.stop_now(now, out),
            },
            Request::StopNow => self.stop_now(now, out),
            Request::Order { ticket, verb, selector, wait } => {
                self.ordered(ticket, verb, &selector, wait, now, out);
            }
            Request::ReloadFor { ticket, wait } => self.reload_ordered(ticket, wait, out),
        }
    }

    fn stop(&mut self, now: Time, out: &mut Vec<Action>) {
        self.give_up(now, out);
        out.push(report(Fact::Stopping { services: self.busy.len() }));
        self.end_quarantined(|run| Action::Terminate { run }, out);
        // Those that others need are told when these have ended.
        self.stops = self.busy.clone();
        self.turns.stir(self.stops.iter().copied());
    }

    fn stop_now(&mut self, now: Time, out: &mut Vec<Action>) {
        self.give_up(now, out);
        let processes = self.services.values().map(Service::runs).sum();
        out.push(report(Fact::StoppingNow { processes }));
        self.end_quarantined(|run| Action::Kill { run }, out);
        self.stops.clear();
        // What is down stays as it is, and crashed what crashed.
        for id in self.busy.clone() {
            self.touch(id, out, |service, out| service.end(Ending::Kill, now, out));
        }
    }

    /// Nothing is started any more.
    fn give_up(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.phase != Phase::Stopping {
            out.push(Action::LeaveSockets);
        }
        self.phase = Phase::Stopping;
        self.reload = Reload::Idle;
        for id in std::mem::take(&mut self.waiting) {
            self.touch(id, out, |service, out| service.rest(now, out));
        }
        self.refuse_reloads(out);
        for id in self.tickets.services() {
            self.supersede(id, Verb::Stop, out);
        }
    }

    fn end_if_over(&mut self, out: &mut Vec<Action>) {
        let outcome = match self.phase {
            Phase::Stopping if self.busy.is_empty() => Outcome::Stopped,
            Phase::Running
                if self.busy.is_empty()
                    && self.reload == Reload::Idle
                    && self.plan.settings.when_idle == WhenIdle::Exit =>
            {
                let stopped = |service: &Service| service.wish == Wish::Stop;
                if self.services.values().all(stopped) {
                    Outcome::Stopped
                } else if self.crashed.is_empty() {
                    Outcome::Done
                } else {
                    Outcome::Crashed
                }
            }
            Phase::Booting | Phase::Running | Phase::Stopping | Phase::Ended(_) => return,
        };
        self.phase = Phase::Ended(outcome);
        self.answer_all(out);
        out.push(report(Fact::Ended { outcome, crashed: self.crashed.len() }));
    }
}

/// A report about the supervisor itself.
pub(super) fn report(fact: Fact) -> Action {
    Action::Report(Report::of_supervisor(fact))
}

pub(super) fn keep(set: &mut BTreeSet<ServiceId>, id: ServiceId, member: bool) {
    if member {
        set.insert(id);
    } else {
        set.remove(&id);
    }
}
