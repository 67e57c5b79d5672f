//! A look before anybody is asked to leave: could the successor be started at all? Where it could not, what serves goes on
//! serving, and its clients notice nothing.

use super::fact::Fact;
use super::generation::Run;
use super::scene::Scene;
use super::state::State;
use super::worker::Worker;
use super::{Action, SpawnFailure};
use crate::plan::RestartOrder;
use std::mem;

impl Worker {
    /// Begins a restart that is stop-first.
    pub(super) fn make_way(&mut self, run: Run, scene: &mut Scene<'_>) {
        if may_stay(&run, scene) {
            scene.out.push(Action::Preflight { run: run.id, definition: scene.definition.clone() });
            self.state = State::Preflight { run: Box::new(run) };
        } else {
            self.stop_first(run, scene);
        }
    }

    /// The answer: what a start would fail with, if that is known. A reload may have come before it.
    pub(super) fn foreseen(&mut self, failure: Option<SpawnFailure>, scene: &mut Scene<'_>) {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Preflight { run } => match (failure, scene.policy().restart_order) {
                (Some(failure), _) if may_stay(&run, scene) => {
                    scene.report_failure_of_all(Fact::NotRestarted { failure, serves: run.generation() });
                    self.serve_on(*run, scene);
                }
                (Some(_) | None, RestartOrder::StopFirst) => self.stop_first(*run, scene),
                (Some(_) | None, RestartOrder::StartFirst) => self.start_beside(*run, scene),
            },
            // Somebody has asked otherwise meanwhile.
            state @ (State::Stopped
            | State::Crashed
            | State::Held
            | State::Starting { .. }
            | State::Up { .. }
            | State::Restarting { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }
}

/// A sick one is better replaced by the program that it runs than left as it is, where that comes back.
fn may_stay(run: &Run, scene: &Scene<'_>) -> bool {
    let policy = scene.policy();
    let comes_back = policy.rollback && run.definition.has_the_same_sockets(scene.definition);
    !(comes_back && run.health.is_being_replaced(policy))
}
