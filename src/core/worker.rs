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
use super::state::{Back, Fallback, State, Then};
use super::{Action, Time};
use crate::limits::LEAVING;
use crate::plan::{Definition, Handshake, RestartOrder};
use serde::{Deserialize, Serialize};
use std::mem;
use std::sync::Arc;

/// One worker and all its runs that have not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Which of the service's workers, from 0.
    pub index: u32,
    /// Where it is in its life.
    pub state: State,
    /// Its runs that were asked to leave, oldest first.
    pub leaving: Vec<Leaving>,
    /// Its crashes in a row.
    pub(super) backoff: Backoff,
    /// What it is asked.
    pub(super) pulse: Pulse,
}

/// What somebody wants of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A generation that starts after this order, without a client refused.
    Restart,
    /// No process any more, gracefully.
    Stop(Then),
    /// No process any more, now.
    Kill,
}

impl Worker {
    /// A worker that was never started.
    pub fn new(index: u32) -> Self {
        Self {
            index,
            state: State::Stopped,
            leaving: Vec::new(),
            backoff: Backoff::default(),
            pulse: Pulse::default(),
        }
    }

    /// Starts a generation, whatever came before.
    pub(super) fn start(&mut self, fallback: Option<Fallback>, scene: &mut Scene<'_>) {
        let candidate = Candidate::start(scene, self.index, scene.definition.clone(), None);
        self.state = State::Starting { candidate, fallback };
    }

    /// Is no generation of it ready yet, and none failed?
    pub(super) fn is_at_its_first_start(&self) -> bool {
        matches!(self.state, State::Starting { .. }) && self.backoff == Backoff::default()
    }

    /// Takes an order. One that is fulfilled already, or by what is under way, changes nothing.
    pub(super) fn order(&mut self, order: Order, scene: &mut Scene<'_>) {
        match order {
            Order::Restart => self.restart(scene),
            Order::Stop(then) => self.stop(then, scene),
            Order::Kill => self.kill(scene),
        }
    }

    pub(super) fn restart(&mut self, scene: &mut Scene<'_>) {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Stopped | State::Crashed | State::Backoff { .. } => self.start(None, scene),
            State::Up { run } => match scene.policy().restart_order {
                RestartOrder::StopFirst => self.stop_first(run, scene),
                RestartOrder::StartFirst => {
                    let candidate = Candidate::start(scene, self.index, scene.definition.clone(), None);
                    self.state = State::Replacing { old: run, candidate };
                }
            },
            // The start to come is later than this order, so it fulfils it; a start that is done already is
            // waited for by the rollout. And what has to end does not come back.
            state @ (State::Starting { .. }
            | State::Restarting { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }

    fn stop_first(&mut self, run: Run, scene: &mut Scene<'_>) {
        let goes_back = scene.policy().rollback && run.definition.has_the_same_sockets(scene.definition);
        let fallback = goes_back.then(|| Fallback::to(&run));
        scene.out.extend(fallback.as_ref().map(|fallback| Action::Pin { run: fallback.pinned }));
        self.state = State::Restarting { old: run.generation(), fallback };
        let definition = &run.definition;
        let unspoken = definition.program.handshake != Handshake::Pipe && !definition.listeners.is_empty();
        self.ask_to_leave(run, scene);
        if let Some(leaving) = self.leaving.last_mut().filter(|_| unspoken) {
            leaving.watch(scene.now);
        }
    }

    fn stop(&mut self, then: Then, scene: &mut Scene<'_>) {
        // One that is being removed stays removed.
        let then = self.stopping().unwrap_or(then);
        for run in self.enter_stopping(then, scene) {
            self.ask_to_leave(run, scene);
        }
        self.finish_if_alone();
    }

    fn kill(&mut self, scene: &mut Scene<'_>) {
        let then = self.stopping().unwrap_or(Then::Stopped);
        for leaving in &mut self.leaving {
            leaving.kill_now(scene);
        }
        for run in self.enter_stopping(then, scene) {
            self.leaving.push(Leaving::kill(run, scene));
        }
        self.finish_if_alone();
    }

    fn stopping(&self) -> Option<Then> {
        if let State::Stopping { then } = self.state { Some(then) } else { None }
    }

    /// Gives the runs that live and were not asked to leave, oldest first; nothing is kept to come back to.
    fn enter_stopping(&mut self, then: Then, scene: &mut Scene<'_>) -> Vec<Run> {
        match mem::replace(&mut self.state, State::Stopping { then }) {
            State::Starting { candidate, fallback } => {
                unpin(fallback, scene);
                candidate.into_living_run(scene).into_iter().collect()
            }
            State::Up { run } => vec![run],
            State::Replacing { old, candidate } => {
                [old].into_iter().chain(candidate.into_living_run(scene)).collect()
            }
            State::Baking { new, back: Back::Old(old), .. } => vec![old, new],
            State::Baking { new, back: Back::Fallback(fallback), .. } => {
                unpin(Some(fallback), scene);
                vec![new]
            }
            State::Restarting { fallback, .. } => {
                unpin(fallback, scene);
                Vec::new()
            }
            State::Stopped
            | State::Crashed
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => Vec::new(),
        }
    }

    pub(super) fn ask_to_leave(&mut self, run: Run, scene: &mut Scene<'_>) {
        if self.leaving.len() >= LEAVING {
            self.hurry_the_oldest(scene);
        }
        let leaving = Leaving::ask(run, scene);
        let asked = Fact::Asked {
            signal: leaving.policy().stop_signal,
            awaits_word: leaving.run.can_answer(),
            timeout: leaving.patience(scene.now),
        };
        scene.report_on(&leaving.run, asked);
        self.leaving.push(leaving);
    }

    fn hurry_the_oldest(&mut self, scene: &mut Scene<'_>) {
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

    /// The run that clients are served by, as far as is known.
    pub fn serving(&self) -> Option<&Run> {
        match &self.state {
            State::Up { run } | State::Replacing { old: run, .. } | State::Baking { new: run, .. } => {
                Some(run)
            }
            State::Stopped
            | State::Crashed
            | State::Starting { .. }
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => None,
        }
    }

    /// Takes another policy for the runs that stay, where their program is the same.
    pub(super) fn redefine(&mut self, definition: &Arc<Definition>) {
        let mut runs: Vec<&mut Run> = match &mut self.state {
            State::Up { run } => vec![run],
            State::Starting { candidate, .. } => vec![&mut candidate.run],
            State::Replacing { old, candidate } => vec![old, &mut candidate.run],
            State::Baking { new, back: Back::Old(old), .. } => vec![old, new],
            State::Baking { new, back: Back::Fallback(_), .. } => vec![new],
            State::Stopped
            | State::Crashed
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => Vec::new(),
        };
        for run in &mut runs {
            if run.definition.runs_the_same(definition) {
                run.definition = definition.clone();
            }
        }
    }

    /// The runs that nobody has asked to leave, oldest first: two at most.
    pub fn staying(&self) -> Vec<&Run> {
        match &self.state {
            State::Up { run } => vec![run],
            State::Starting { candidate, .. } => vec![&candidate.run],
            State::Replacing { old, candidate, .. } => vec![old, &candidate.run],
            State::Baking { new, back: Back::Old(old), .. } => vec![old, new],
            State::Baking { new, back: Back::Fallback(_), .. } => vec![new],
            State::Stopped
            | State::Crashed
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => Vec::new(),
        }
    }

    /// Is a start to come that was ordered already? It fulfils a restart that is asked for now.
    pub fn starts_later(&self) -> bool {
        match &self.state {
            State::Restarting { .. } => true,
            State::Starting { candidate, .. } | State::Replacing { candidate, .. } => candidate.is_busy(),
            State::Stopped
            | State::Crashed
            | State::Up { .. }
            | State::Baking { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => false,
        }
    }

    /// Is it to go for good, because the config wants fewer workers?
    pub fn is_being_removed(&self) -> bool {
        matches!(self.state, State::Stopping { then: Then::Gone } | State::Gone)
    }

    /// Is it on its way from one generation to the next?
    pub fn in_transit(&self) -> bool {
        matches!(
            self.state,
            State::Starting { .. }
                | State::Restarting { .. }
                | State::Replacing { .. }
                | State::Baking { .. }
        )
    }

    /// May it still change without anybody asking?
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Crashed | State::Gone)
            || self.leaving.iter().any(Leaving::awaited)
    }

    /// Is nobody to accept, and has everybody who might still do so said that he does not?
    pub fn is_quiet(&self) -> bool {
        matches!(self.state, State::Stopped | State::Crashed | State::Stopping { .. } | State::Gone)
            && self.leaving.iter().all(|leaving| leaving.quiet_since.is_some() || !leaving.awaited())
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        let leaving = self.leaving.iter().filter_map(Leaving::deadline);
        leaving.chain(self.deadline_of_state()).chain(self.deadline_of_care()).min()
    }

    pub(super) fn deadline_of_state(&self) -> Option<Time> {
        match &self.state {
            State::Starting { candidate, .. } | State::Replacing { candidate, .. } => {
                Some(candidate.deadline())
            }
            State::Baking { until, .. } | State::Backoff { until } => Some(*until),
            State::Stopped
            | State::Crashed
            | State::Up { .. }
            | State::Restarting { .. }
            | State::Stopping { .. }
            | State::Gone => None,
        }
    }
}

/// Drops what was kept to come back to.
pub(super) fn unpin(fallback: Option<Fallback>, scene: &mut Scene<'_>) {
    scene.out.extend(fallback.map(|fallback| Action::Unpin { run: fallback.pinned }));
}
