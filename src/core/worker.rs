//! One worker of a service: its state, and the orders it takes. What happens to its runs is in `life.rs`.
//!
//! The serving run stands in the [`State`]; every run that was asked to leave moves to the list of
//! [`Leaving`] ones, whatever the reason, and escalates there by its own deadlines.

use super::backoff::Backoff;
use super::candidate::Candidate;
use super::fact::Fact;
use super::generation::Run;
use super::leaving::Leaving;
use super::pulse::Pulse;
use super::scene::Scene;
use super::state::{Back, Fallback, State, Successor, Then};
use super::{Action, Time};
use crate::limits::LEAVING;
use crate::plan::{Definition, Generation, RestartOrder};
use serde::{Deserialize, Serialize};
use std::mem;
use std::sync::Arc;
use thin_vec::ThinVec;

/// One worker and all its runs that have not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Which of the service's workers, from 0.
    pub index: u32,
    /// Where it is in its life.
    pub state: State,
    /// Its runs that were asked to leave, oldest first.
    pub leaving: ThinVec<Leaving>,
    /// Since when its state has the word that it has.
    pub since: Time,
    /// Its crashes in a row.
    pub(super) backoff: Backoff,
    /// What it is asked.
    pub(super) pulse: Pulse,
    /// What serves, or did until it crashed, after a restart that failed: its file is not what it was any more.
    #[serde(default)]
    pub(super) proven: Option<Box<Fallback>>,
}

/// What somebody wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A generation, where there is none.
    Start,
    /// A generation that starts after this order, without a client refused.
    Restart,
    /// No process until it is started, and clients wait.
    Hold,
    /// No process any more, gracefully.
    Stop(Then),
    /// No process any more, now.
    Kill,
}

impl Worker {
    /// A worker that was never started.
    pub fn new(index: u32, now: Time) -> Self {
        Self {
            index,
            state: State::Stopped,
            leaving: ThinVec::new(),
            since: now,
            backoff: Backoff::default(),
            pulse: Pulse::default(),
            proven: None,
        }
    }

    /// Starts a generation, once nobody is in its way.
    pub(super) fn start(&mut self, fallback: Option<Fallback>, scene: &mut Scene<'_>) {
        if let Some(old) = self.in_the_way(scene) {
            return self.wait_for(old, fallback, Successor::New, scene);
        }
        let candidate = Candidate::start(scene, self.index, scene.definition.clone(), None);
        self.state = State::Starting { candidate, fallback };
    }

    /// The last of those that have to end before another one can be started, where two must not run side by side.
    pub(super) fn in_the_way(&self, scene: &Scene<'_>) -> Option<Generation> {
        let alone = scene.policy().restart_order == RestartOrder::StopFirst;
        let mut left = self.leaving.iter().rev().filter(|leaving| alone && leaving.awaited());
        left.find(|leaving| leaving.has_to_end()).map(|leaving| leaving.run.generation())
    }

    /// Starts when that one has ended.
    pub(super) fn wait_for(
        &mut self,
        old: Generation,
        fallback: Option<Fallback>,
        successor: Successor,
        scene: &mut Scene<'_>,
    ) {
        scene.report(Fact::WaitsFor { names: Vec::new() });
        self.state = State::Restarting { old, fallback, successor };
    }

    /// Is no generation of it ready yet, and none failed?
    pub(super) fn is_at_its_first_start(&self) -> bool {
        matches!(self.state, State::Starting { .. }) && self.backoff == Backoff::default()
    }

    /// Does it start after a crash, and not because of an order or for the first time?
    pub(super) fn comes_back(&self) -> bool {
        matches!(self.state, State::Starting { fallback: None, .. }) && self.backoff != Backoff::default()
    }

    /// Takes an order. One that is fulfilled already, or by what is under way, changes nothing.
    pub(super) fn order(&mut self, order: Order, scene: &mut Scene<'_>) {
        match order {
            Order::Start => self.start_if_down(scene),
            Order::Restart => self.restart(scene),
            Order::Hold => self.hold(scene),
            Order::Stop(then) => self.stop(then, scene),
            Order::Kill => self.kill(scene),
        }
    }

    /// Counts crashes from now on: somebody looks after it.
    pub(super) fn forget_crashes(&mut self) {
        self.backoff = Backoff::default();
    }

    fn start_if_down(&mut self, scene: &mut Scene<'_>) {
        match self.state {
            State::Stopped | State::Crashed | State::Backoff { .. } => {
                self.count_start(scene);
                // What served before a restart that failed comes back, should this one fail as well.
                let fallback = self.proven.take().map(|proven| *proven);
                self.start(fallback, scene);
            }
            State::Held => {
                self.count_start(scene);
                self.start_when_quiet(scene);
            }
            // It runs, or will without this; and what has to end does not come back.
            State::Starting { .. }
            | State::Up { .. }
            | State::Preflight { .. }
            | State::Restarting { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Stopping { .. }
            | State::Gone => {}
        }
    }

    /// A start that somebody asked for is a restart, but for the first one.
    fn count_start(&self, scene: &mut Scene<'_>) {
        scene.history.restarts.asked += u32::from(self.index < scene.history.begun);
        scene.history.begun = scene.history.begun.max(self.index + 1);
    }

    /// Starts the next generation as a restart would: where the order is stop-first, not before the last run that
    /// was asked to leave accepts no more.
    pub(super) fn start_when_quiet(&mut self, scene: &mut Scene<'_>) {
        let stop_first = scene.policy().restart_order == RestartOrder::StopFirst;
        let mut last = self.leaving.iter_mut().rev().filter(|leaving| leaving.may_accept());
        match last.next().filter(|_| stop_first) {
            Some(leaving) => {
                if !leaving.run.can_answer() && !leaving.run.definition.listeners.is_empty() {
                    leaving.watch(scene.now);
                }
                let old = leaving.run.generation();
                self.state = State::Restarting { old, fallback: None, successor: Successor::New };
            }
            None => self.start(None, scene),
        }
    }

    pub(super) fn restart(&mut self, scene: &mut Scene<'_>) {
        match mem::replace(&mut self.state, State::Stopped) {
            // One that is held was released, and waited for its turn until now.
            state @ (State::Stopped | State::Crashed | State::Held | State::Backoff { .. }) => {
                self.state = state;
                self.start_if_down(scene);
            }
            State::Up { run } => match scene.policy().restart_order {
                RestartOrder::StopFirst => self.make_way(run, scene),
                RestartOrder::StartFirst => self.start_beside(run, scene),
            },
            // The start to come is later than this order, so it fulfils it; a start that is done already is
            // waited for by the rollout. And what has to end does not come back.
            state @ (State::Starting { .. }
            | State::Preflight { .. }
            | State::Restarting { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }

    /// Starts a successor beside what serves.
    pub(super) fn start_beside(&mut self, run: Run, scene: &mut Scene<'_>) {
        count_restart(&run, scene);
        let candidate = Candidate::start(scene, self.index, scene.definition.clone(), None);
        self.state = State::Replacing { old: Box::new(run), candidate };
    }

    /// Asks what serves to stop accepting; its successor starts when it does.
    pub(super) fn stop_first(&mut self, run: Run, scene: &mut Scene<'_>) {
        count_restart(&run, scene);
        let goes_back = scene.policy().rollback && run.definition.has_the_same_sockets(scene.definition);
        let fallback = goes_back.then(|| self.pin(&run, scene));
        self.state = State::Restarting { old: run.generation(), fallback, successor: Successor::New };
        if let Some(leaving) = self.ask_to_leave(run, scene) {
            leaving.watch(scene.now);
        }
    }

    fn stop(&mut self, then: Then, scene: &mut Scene<'_>) {
        // One that is being removed stays removed.
        let then = if self.is_being_removed() { Then::Gone } else { then };
        for run in self.leave_state(State::Stopping { then }, scene) {
            if let Some(leaving) = self.ask_to_leave(run, scene) {
                // Clients are refused once it will take none.
                leaving.watch_patiently(scene.now);
            }
        }
        self.finish_if_alone();
    }

    fn hold(&mut self, scene: &mut Scene<'_>) {
        if !self.is_being_removed() {
            for run in self.leave_state(State::Held, scene) {
                self.ask_to_leave(run, scene);
            }
        }
    }

    fn kill(&mut self, scene: &mut Scene<'_>) {
        let then = self.stopping().unwrap_or(Then::Stopped);
        for leaving in &mut self.leaving {
            leaving.kill_now(scene);
        }
        for run in self.leave_state(State::Stopping { then }, scene) {
            self.leaving.push(Leaving::kill(run, scene));
        }
        self.finish_if_alone();
    }

    fn stopping(&self) -> Option<Then> {
        if let State::Stopping { then } = self.state { Some(then) } else { None }
    }

    /// Enters a state in which nobody serves. Gives the runs that live and were not asked to leave, oldest first;
    /// nothing is kept to come back to.
    fn leave_state(&mut self, next: State, scene: &mut Scene<'_>) -> Vec<Run> {
        match mem::replace(&mut self.state, next) {
            State::Starting { candidate, fallback } => {
                unpin(fallback, scene);
                candidate.into_living_run().into_iter().collect()
            }
            State::Up { run } => vec![run],
            State::Preflight { run } => vec![*run],
            State::Replacing { old, candidate } => {
                [*old].into_iter().chain(candidate.into_living_run()).collect()
            }
            State::Baking { new, back: Back::Old(old), .. } => vec![*old, *new],
            State::Baking { new, back: Back::Fallback(fallback), .. } => {
                unpin(Some(fallback), scene);
                vec![*new]
            }
            State::Restarting { fallback, .. } => {
                unpin(fallback, scene);
                Vec::new()
            }
            State::Stopped
            | State::Crashed
            | State::Held
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => Vec::new(),
        }
    }

    /// Gives it, where it will not say that it accepts no more.
    pub(super) fn ask_to_leave(&mut self, run: Run, scene: &mut Scene<'_>) -> Option<&mut Leaving> {
        self.make_room_to_leave(scene);
        let leaving = Leaving::ask(run, scene);
        let asked = Fact::Asked {
            signal: leaving.policy().stop_signal,
            leave: leaving.run.leave(),
            timeout: leaving.patience(scene.now),
        };
        scene.report_on(&leaving.run, asked);
        self.leaving.push(leaving);
        self.leaving.last_mut().filter(|leaving| leaving.run.leaves_without_a_word())
    }

    /// Where very many leave already, the oldest is hurried before there is another.
    pub(super) fn make_room_to_leave(&mut self, scene: &mut Scene<'_>) {
        if self.leaving.len() < LEAVING {
            return;
        }
        for leaving in &mut self.leaving {
            if leaving.hurry(scene) {
                scene.report_on(&leaving.run, Fact::TooManyLeaving { limit: LEAVING });
                return;
            }
        }
    }

    /// Ends a stop when no run is left to wait for.
    pub(super) fn finish_if_alone(&mut self) {
        let State::Stopping { then } = self.state else { return };
        if self.leaving.iter().any(Leaving::awaited) {
            return;
        }
        self.state = match then {
            Then::Stopped => State::Stopped,
            Then::Gone => State::Gone,
        };
    }

    /// Takes another policy for the runs that stay, where their program is the same.
    pub(super) fn redefine(&mut self, definition: &Arc<Definition>) {
        if let Some(proven) =
            self.proven.as_mut().filter(|proven| proven.definition.runs_the_same(definition))
        {
            proven.definition = definition.clone();
        }
        for run in self.state.cast_mut().runs() {
            if run.definition.runs_the_same(definition) {
                run.redefine(definition);
            }
        }
    }
}

/// Somebody is to take the place of a run that serves: because it is sick, or because somebody asked.
fn count_restart(run: &Run, scene: &mut Scene<'_>) {
    let restarts = &mut scene.history.restarts;
    let sick = run.health.is_being_replaced(&scene.definition.policy);
    *(if sick { &mut restarts.unhealthy } else { &mut restarts.asked }) += 1;
}

/// Drops what was kept to come back to.
pub(super) fn unpin(fallback: Option<Fallback>, scene: &mut Scene<'_>) {
    scene.out.extend(fallback.map(|fallback| Action::Unpin { run: fallback.pinned }));
}

/// The workers that are to stay.
pub(super) fn kept(workers: &[Worker]) -> impl Iterator<Item = &Worker> + Clone {
    workers.iter().filter(|worker| !worker.is_being_removed())
}
