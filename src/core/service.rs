//! One service: its workers, its sockets, and what holds for all of them together.

use super::backoff::Backoff;
use super::fact::{Fact, Report};
use super::guard::Guard;
use super::rollout::{Rollout, Turn};
use super::scene::Scene;
use super::state::{State, Then};
use super::worker::{Order, Worker};
use super::{Action, RunEvent, Time};
use crate::plan::{Address, Definition, Generation, ListenerId, ServiceId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One service and all its runs that have not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// What its next generation will be, and how it is treated now.
    #[serde(with = "crate::plan::shared")]
    pub definition: Arc<Definition>,
    /// Its sockets, in the order of the definition.
    pub listeners: Vec<ListenerId>,
    /// Its workers, by their index; those that are being removed come last.
    pub workers: Vec<Worker>,
    /// Its last generation.
    pub last: Generation,
    rollout: Rollout,
    sockets: Sockets,
    guard: Guard,
}

/// What the sockets of a service do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Sockets {
    /// They listen: somebody serves, or will.
    Open,
    /// They are held and refuse clients.
    Parked,
    /// They are no longer this service's.
    GivenUp,
}

impl Service {
    /// A service that was never started.
    pub fn new(id: ServiceId, definition: Arc<Definition>, listeners: Vec<ListenerId>) -> Self {
        Self {
            id,
            definition,
            listeners,
            workers: Vec::new(),
            last: Generation::NONE,
            rollout: Rollout::default(),
            sockets: Sockets::Open,
            guard: Guard::default(),
        }
    }

    /// Starts all workers; those that are down start again.
    pub fn start(&mut self, now: Time, out: &mut Vec<Action>) {
        if self.workers.is_empty() {
            self.scale(now, out);
            self.settle(now, out);
        } else {
            self.order(Order::Restart, now, out);
        }
    }

    /// Takes an order for all workers. A restart goes on as far as it may, and then worker by worker.
    pub fn order(&mut self, order: Order, now: Time, out: &mut Vec<Action>) {
        let ending = self.is_ending();
        match order {
            Order::Restart => {
                if self.rollout.begin(&kept(&self.workers)) {
                    self.scene(now, out).1.report(Fact::RestartQueued);
                }
            }
            Order::Stop(_) | Order::Kill => {
                self.rollout.cancel();
                if order == Order::Stop(Then::Gone) {
                    self.sockets = Sockets::GivenUp;
                }
                self.each(now, out, |worker, scene| worker.order(order, scene));
            }
        }
        self.report_end(ending || order != Order::Restart, out);
        self.settle(now, out);
    }

    /// Takes note of what happened to one of its runs.
    pub fn happened(&mut self, generation: Generation, event: &RunEvent, now: Time, out: &mut Vec<Action>) {
        let ending = self.is_ending();
        self.each(now, out, |worker, scene| worker.happened(generation, event.clone(), scene));
        self.report_end(ending, out);
        self.settle(now, out);
    }

    /// Does whatever the time has come for.
    pub fn deadline_passed(&mut self, now: Time, out: &mut Vec<Action>) {
        let ending = self.is_ending();
        self.each(now, out, Worker::deadline_passed);
        if self.guard.take_due(now) {
            self.scene(now, out).1.report(Fact::ProgramChanged);
            self.order(Order::Restart, now, out);
        }
        self.report_end(ending, out);
        self.settle(now, out);
    }

    /// Takes another definition; what runs is not touched, but for the number of workers. Clients of a socket
    /// that came from a service at rest wait from now on (simulation, seed 10).
    pub fn redefine(
        &mut self,
        definition: Arc<Definition>,
        listeners: Vec<ListenerId>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if self.sockets == Sockets::Open {
            let new = listeners.iter().filter(|listener| !self.listeners.contains(listener));
            out.extend(new.map(|&listener| Action::Listen { listener }));
        }
        let same = self.definition.runs_the_same(&definition);
        for worker in &mut self.workers {
            worker.redefine(&definition);
            if !same {
                // Another program has not crashed yet.
                worker.backoff = Backoff::default();
            }
        }
        self.definition = definition;
        self.listeners = listeners;
        // Other checks may apply from now on.
        self.each(now, out, |_, _| {});
        if self.is_wanted() {
            self.scale(now, out);
        }
        self.settle(now, out);
    }

    /// Is all of it to end, and has not yet?
    fn is_ending(&self) -> bool {
        let stops = |worker: &Worker| matches!(worker.state, State::Stopping { .. });
        let rests = |worker: &Worker| matches!(worker.state, State::Stopped | State::Crashed | State::Gone);
        self.workers.iter().any(stops) && self.workers.iter().all(|worker| stops(worker) || rests(worker))
    }

    /// Says once, for all workers, that it has ended.
    fn report_end(&mut self, was_ending: bool, out: &mut Vec<Action>) {
        if was_ending && !self.is_busy() {
            out.push(self.report(Fact::Stopped));
        }
    }

    /// Makes the number of workers what the policy says: starts what is missing, ends what is too much.
    pub(super) fn scale(&mut self, now: Time, out: &mut Vec<Action>) {
        let wanted = self.definition.policy.workers;
        for index in 0..wanted {
            if !self.workers.iter().any(|worker| worker.index == index && !worker.is_being_removed()) {
                self.workers.push(Worker::new(index));
                let at = self.workers.len() - 1;
                self.with(at, now, out, |worker, scene| worker.start(None, scene));
            }
        }
        for at in 0..self.workers.len() {
            if self.workers[at].index >= wanted {
                self.with(at, now, out, |worker, scene| worker.order(Order::Stop(Then::Gone), scene));
            }
        }
    }

    /// What follows for all from what one did: the next turn of a restart, workers that are gone, sockets that
    /// nobody will serve.
    pub(super) fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        for worker in &mut self.workers {
            if worker.take_restart(now) {
                self.rollout.ask_for(worker.index);
            }
        }
        loop {
            match self.rollout.turn(&kept(&self.workers), &self.definition.policy, self.last) {
                Turn::Nobody => break,
                Turn::Of(index) => {
                    let is = |worker: &Worker| worker.index == index && !worker.is_being_removed();
                    if let Some(at) = self.workers.iter().position(is) {
                        self.with(at, now, out, |worker, scene| worker.order(Order::Restart, scene));
                    }
                }
                Turn::Stopped(left) => self.scene(now, out).1.report(Fact::RolloutStopped { left }),
            }
        }
        self.workers.retain(|worker| worker.state != State::Gone);
        self.keep_sockets(out);
        self.keep_watch(out);
    }

    /// A file on the way to its program has changed; more may follow.
    pub(super) fn program_changed(&mut self, now: Time) {
        self.guard.changed(now);
    }

    /// Watches the program of the newest run that lives; nothing where there is none, or nobody wants it.
    fn keep_watch(&mut self, out: &mut Vec<Action>) {
        let living = self.workers.iter().flat_map(Worker::staying).filter(|run| run.pid.is_some());
        let newest = living.map(|run| run.id).max().filter(|_| self.definition.policy.watch);
        if self.guard.turn_to(newest) {
            out.push(newest.map_or(Action::Unwatch { service: self.id }, |run| Action::Watch { run }));
        }
    }

    fn keep_sockets(&mut self, out: &mut Vec<Action>) {
        // One that waits for others has no worker yet: its clients wait with it.
        let quiet = !self.workers.is_empty() && self.workers.iter().all(Worker::is_quiet);
        match (self.sockets, quiet) {
            (Sockets::Open, true) => {
                out.extend(self.listeners.iter().map(|&listener| Action::Park { listener }));
                self.sockets = Sockets::Parked;
            }
            // Whoever was started listens again.
            (Sockets::Parked, false) => self.sockets = Sockets::Open,
            (Sockets::Open, false) | (Sockets::Parked, true) | (Sockets::GivenUp, _) => {}
        }
    }

    pub(super) fn each(
        &mut self,
        now: Time,
        out: &mut Vec<Action>,
        mut step: impl FnMut(&mut Worker, &mut Scene<'_>),
    ) {
        for at in 0..self.workers.len() {
            self.with(at, now, out, &mut step);
        }
    }

    fn with(
        &mut self,
        at: usize,
        now: Time,
        out: &mut Vec<Action>,
        step: impl FnOnce(&mut Worker, &mut Scene<'_>),
    ) {
        let (workers, mut scene) = self.scene(now, out);
        if let Some(worker) = workers.get_mut(at) {
            step(worker, &mut scene);
            worker.attend(&mut scene);
        }
    }

    pub(super) fn scene<'a>(
        &'a mut self,
        now: Time,
        out: &'a mut Vec<Action>,
    ) -> (&'a mut [Worker], Scene<'a>) {
        let scene = Scene {
            now,
            out,
            service: self.id,
            definition: &self.definition,
            listeners: &self.listeners,
            last: &mut self.last,
        };
        (&mut self.workers, scene)
    }

    /// Is it to run, as far as somebody asked?
    fn is_wanted(&self) -> bool {
        self.sockets != Sockets::GivenUp
            && self.workers.iter().any(|worker| {
                !matches!(worker.state, State::Stopping { .. } | State::Stopped | State::Crashed)
            })
    }

    /// Where the runs that nobody has asked to leave serve, or will.
    pub(super) fn served_addresses(&self) -> impl Iterator<Item = &Address> {
        let runs = self.workers.iter().flat_map(Worker::staying);
        runs.flat_map(|run| &run.definition.listeners).map(|spec| &spec.address)
    }

    /// Is all of it down, with nothing to bring it back by itself?
    pub(super) fn is_down(&self) -> bool {
        self.workers.iter().all(|worker| matches!(worker.state, State::Stopped | State::Crashed))
    }

    /// Does every worker of it serve?
    pub fn is_up(&self) -> bool {
        !self.workers.is_empty() && kept(&self.workers).iter().all(|worker| worker.serving().is_some())
    }

    /// Was it started once, and is not ready yet? A start after a crash is another.
    pub(super) fn is_at_its_first_start(&self) -> bool {
        self.workers.iter().any(Worker::is_at_its_first_start)
    }

    /// Does a process of it start, or is one waited for to make way for one that will?
    pub(super) fn is_starting(&self) -> bool {
        let starts = |worker: &Worker| {
            matches!(
                worker.state,
                State::Starting { .. } | State::Restarting { .. } | State::Replacing { .. }
            )
        };
        self.workers.iter().any(starts)
    }

    /// A report about it as a whole.
    pub(super) fn report(&self, fact: Fact) -> Action {
        let service = Some(self.definition.name.clone());
        Action::Report(Report { service, generation: None, pid: None, fact })
    }

    /// May it still change without anybody asking?
    pub fn is_busy(&self) -> bool {
        self.workers.iter().any(Worker::is_busy)
    }

    /// Is a worker of it down that nothing brings back?
    pub fn is_crashed(&self) -> bool {
        self.workers.iter().any(|worker| worker.state == State::Crashed)
    }

    /// Was it removed, and has its last run ended?
    pub fn is_gone(&self) -> bool {
        self.sockets == Sockets::GivenUp && self.workers.is_empty()
    }

    /// Runs that have not ended, as far as is known.
    pub fn runs(&self) -> usize {
        self.workers.iter().map(|worker| worker.leaving.len() + worker.staying().len()).sum()
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        self.workers.iter().filter_map(Worker::deadline).chain(self.guard.deadline()).min()
    }
}

/// The workers that are to stay.
fn kept(workers: &[Worker]) -> Vec<&Worker> {
    workers.iter().filter(|worker| !worker.is_being_removed()).collect()
}
