//! One service: its workers, its sockets, and what holds for all of them together.

use super::fact::{Fact, Report};
use super::guard::Guard;
use super::history::History;
use super::rollout::{End, Rollout, Turn};
use super::scene::Scene;
use super::state::{State, Then};
use super::worker::{Order, Worker};
use super::{Action, RunEvent, Time};
use crate::plan::{Definition, Generation, ListenerId, ListenerIds, RunId, ServiceId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thin_vec::ThinVec;

/// How a service is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Gracefully.
    Stop,
    /// Now.
    Kill,
    /// Gracefully, and for good.
    Remove,
}

/// What a reload makes of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Redefinition {
    /// What its next generation will be.
    pub definition: Arc<Definition>,
    /// Its sockets, in the order of the definition.
    pub listeners: ListenerIds,
    /// Whether what runs is to be replaced.
    pub restart: bool,
}

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
    pub listeners: ListenerIds,
    /// Its workers, by their index; those that are being removed come last. None, before it is started for the
    /// first time.
    pub workers: Vec<Worker>,
    /// Its last generation.
    pub last: Generation,
    /// What it is to be, as far as people said.
    pub wish: Wish,
    /// What it has been through.
    pub history: History,
    /// Its sockets that refuse clients.
    pub(super) parked: ThinVec<ListenerId>,
    pub(super) rollout: Rollout,
    pub(super) guard: Guard,
    /// Restarts that have ended, and how, since somebody looked.
    ended: ThinVec<(u32, End)>,
}

/// What a service is to be, as far as people said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// It is to run, as its policy says.
    Run,
    /// An operator stopped it: it starts when somebody names it, and not before.
    Stop,
    /// An operator holds it: it starts when it is released, and not before.
    Hold,
    /// It is in the config no more.
    Remove,
}

impl Service {
    /// A service that was never started.
    pub fn new(id: ServiceId, definition: Arc<Definition>, listeners: ListenerIds) -> Self {
        Self {
            id,
            definition,
            listeners,
            workers: Vec::new(),
            last: Generation::NONE,
            wish: Wish::Run,
            history: History::default(),
            parked: ThinVec::new(),
            rollout: Rollout::default(),
            guard: Guard::default(),
            ended: ThinVec::new(),
        }
    }

    /// Starts the workers that are down or held.
    pub fn start(&mut self, now: Time, out: &mut Vec<Action>) {
        self.wish = Wish::Run;
        self.workers.iter_mut().filter(|worker| worker.is_empty()).for_each(Worker::forget_crashes);
        self.history.restart_failed &= !self.served_by_nobody();
        self.shrink(now, out);
        self.populate(now);
        self.each(now, out, |worker, scene| worker.order(Order::Start, scene));
        self.settle(now, out);
    }

    /// Restarts all workers: as far as it may, and then worker by worker. Gives the number of the restart.
    pub fn restart(&mut self, now: Time, out: &mut Vec<Action>) -> u32 {
        let round = self.begin_restart(now, out);
        self.settle(now, out);
        round
    }

    fn begin_restart(&mut self, now: Time, out: &mut Vec<Action>) -> u32 {
        self.workers.iter_mut().for_each(Worker::forget_crashes);
        self.shrink(now, out);
        let begun = self.rollout.begin(&self.workers, self.last);
        if begun.waits {
            self.scene(now, out).1.report(Fact::RestartQueued);
        }
        self.grow(now, out);
        begun.round
    }

    /// Ends all workers.
    pub fn end(&mut self, how: Ending, now: Time, out: &mut Vec<Action>) {
        self.rollout.cancel();
        let order = match how {
            Ending::Stop => Order::Stop(Then::Stopped),
            Ending::Kill => Order::Kill,
            Ending::Remove => {
                self.wish = Wish::Remove;
                Order::Stop(Then::Gone)
            }
        };
        self.each(now, out, |worker, scene| worker.order(order, scene));
        self.report_end(true, out);
        self.settle(now, out);
    }

    /// Ends all workers and starts none; clients wait.
    pub fn hold(&mut self, now: Time, out: &mut Vec<Action>) {
        self.wish = Wish::Hold;
        self.rollout.cancel();
        self.populate(now);
        out.push(self.report(Fact::Held { sockets: !self.listeners.is_empty() }));
        self.each(now, out, |worker, scene| worker.order(Order::Hold, scene));
        self.settle(now, out);
    }

    /// It is to be down, and is not to start before somebody names it. What runs is told to end in its turn.
    pub fn wish_stop(&mut self, now: Time, out: &mut Vec<Action>) {
        self.wish = Wish::Stop;
        self.rest(now, out);
    }

    /// It is not to be started after all: its clients do not wait any more.
    pub fn rest(&mut self, now: Time, out: &mut Vec<Action>) {
        self.populate(now);
        self.settle(now, out);
    }

    /// Sends a signal to the main process of each run that serves, and gives their number.
    pub fn signal(&mut self, signal: i32, now: Time, out: &mut Vec<Action>) -> usize {
        let mut runs = Vec::new();
        for worker in &mut self.workers {
            for run in worker.serving_all_mut() {
                run.signalled = u8::try_from(signal).ok();
                runs.push(run.clone());
            }
        }
        let (_, mut scene) = self.scene(now, out);
        for run in &runs {
            scene.out.push(Action::Signal { run: run.id, signal });
            scene.report_on(run, Fact::Signalled { signal });
        }
        runs.len()
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
            self.begin_restart(now, out);
        }
        self.report_end(ending, out);
        self.settle(now, out);
    }

    /// Takes another definition; what runs is not touched, but for the number of workers, and unless it is to be
    /// restarted: then the number of that restart is given.
    ///
    /// Sockets that came from another service stand as theirs from now on (simulation, seed 10).
    pub fn redefine(&mut self, new: Redefinition, now: Time, out: &mut Vec<Action>) -> Option<u32> {
        let Redefinition { definition, listeners, restart } = new;
        let same = self.definition.runs_the_same(&definition);
        let before = self.definition.policy.restart;
        for worker in &mut self.workers {
            worker.redefine(&definition);
            if !same {
                // Another program has not crashed yet.
                worker.forget_crashes();
            }
        }
        // And it may wait for clients in another way.
        self.history.was_seen &= same;
        self.definition = definition;
        let had = std::mem::replace(&mut self.listeners, listeners);
        self.parked.retain(|listener| self.listeners.contains(listener));
        // Other checks may apply from now on, and something else may follow from what they found.
        self.each(now, out, |worker, scene| worker.reconsider(before, scene));
        let round = restart.then(|| self.begin_restart(now, out));
        if self.is_wanted() {
            self.scale(now, out);
        }
        self.turn(now, out);
        self.take_sockets(&had, out);
        self.keep_sockets(out);
        self.keep_watch(out);
        round
    }

    /// Says once, for all workers, that it has ended.
    fn report_end(&mut self, was_ending: bool, out: &mut Vec<Action>) {
        if was_ending && !self.is_busy() {
            out.push(self.report(Fact::Stopped));
        }
    }

    /// What follows for all from what one did: the next turn of a restart, workers that are gone, sockets that
    /// nobody will serve.
    pub(super) fn settle(&mut self, now: Time, out: &mut Vec<Action>) {
        self.turn(now, out);
        self.keep_sockets(out);
        self.keep_watch(out);
    }

    fn turn(&mut self, now: Time, out: &mut Vec<Action>) {
        loop {
            match self.rollout.turn(&self.workers, &self.definition.policy, self.last) {
                // Only now: what has just failed is no turn of the one that is sick.
                Turn::Nobody if self.ask_for_the_sick(now) => {}
                Turn::Nobody => break,
                Turn::Of(index) => {
                    self.those(
                        |worker| worker == index,
                        now,
                        out,
                        |worker, scene| {
                            worker.order(Order::Restart, scene);
                        },
                    );
                }
                Turn::Stopped(left) => {
                    self.scene(now, out).1.report(Fact::RolloutStopped { left: left.len() });
                    self.those(|worker| left.contains(&worker), now, out, Worker::keep_what_serves);
                }
                // Nobody was restarted after all.
                Turn::Over(None, End::Through(Generation::NONE)) => {}
                Turn::Over(round, end) => {
                    self.history.restart_failed = !matches!(end, End::Through(_));
                    self.history.restarts.failed += u32::from(self.history.restart_failed);
                    if self.history.restart_failed {
                        // Of those that have come through as well: their file may be gone by now.
                        self.each(now, out, Worker::keep_what_serves);
                    }
                    self.ended.extend(round.map(|round| (round, end)));
                }
            }
        }
        self.workers.retain(|worker| worker.state != State::Gone);
    }

    /// Has the workers restarted in their turn that are sick, where it is time for that. Tells whether there are such.
    fn ask_for_the_sick(&mut self, now: Time) -> bool {
        let mut some = false;
        for worker in &mut self.workers {
            if worker.take_restart(now) {
                self.rollout.ask_for(worker.index);
                some = true;
            }
        }
        some
    }

    /// A file on the way to its program has changed; more may follow.
    pub(super) fn program_changed(&mut self, now: Time) {
        self.guard.changed(now);
    }

    /// Watches what the newest run was started from; nothing where there is none, or nobody wants it. Where that run has
    /// failed, process or not, and an older program serves or a pause comes, the next change is one of the file that failed.
    fn keep_watch(&mut self, out: &mut Vec<Action>) {
        let pauses = self.workers.iter().any(|worker| matches!(worker.state, State::Backoff { .. }));
        let stays = pauses || self.workers.iter().any(|worker| !worker.is_empty());
        let staying = self.workers.iter().flat_map(Worker::staying);
        let watched = self.guard.watched().filter(|_| stays);
        let living =
            staying.filter(|run| run.pid.is_some() && (run.program_of.is_none() || watched.is_none()));
        let newest = living.map(|run| run.id).chain(watched).max();
        let failed = pauses.then_some(RunId { service: self.id, generation: self.last });
        let newest = newest.or(failed).filter(|_| self.definition.policy.watch);
        if self.guard.turn_to(newest) {
            out.push(newest.map_or(Action::Unwatch { service: self.id }, |run| Action::Watch { run }));
        }
    }

    /// Restarts that have ended since the last call.
    pub(super) fn take_ended(&mut self) -> ThinVec<(u32, End)> {
        std::mem::take(&mut self.ended)
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

    /// The same for those of these numbers that are to stay.
    fn those(
        &mut self,
        are_meant: impl Fn(u32) -> bool,
        now: Time,
        out: &mut Vec<Action>,
        mut step: impl FnMut(&mut Worker, &mut Scene<'_>),
    ) {
        for at in 0..self.workers.len() {
            if are_meant(self.workers[at].index) && !self.workers[at].is_being_removed() {
                self.with(at, now, out, &mut step);
            }
        }
    }

    pub(super) fn with(
        &mut self,
        at: usize,
        now: Time,
        out: &mut Vec<Action>,
        step: impl FnOnce(&mut Worker, &mut Scene<'_>),
    ) {
        let (workers, mut scene) = self.scene(now, out);
        if let Some(worker) = workers.get_mut(at) {
            let before = worker.state.word();
            step(worker, &mut scene);
            worker.attend(&mut scene);
            worker.keep_proven(&mut scene);
            if worker.state.word() != before {
                worker.since = now;
            }
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
            history: &mut self.history,
        };
        (&mut self.workers, scene)
    }

    /// Was it started once, and is not ready yet? A start after a crash is another.
    pub(super) fn is_at_its_first_start(&self) -> bool {
        self.workers.iter().any(Worker::is_at_its_first_start)
    }

    /// A report about it as a whole.
    pub(super) fn report(&self, fact: Fact) -> Action {
        let service = Some(self.definition.name.clone());
        Action::Report(Report { service, generation: None, pid: None, fact })
    }
}
