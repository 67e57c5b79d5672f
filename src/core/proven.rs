//! What a worker keeps of a program that has served, so that a crash does not start one that has failed.

use super::Action;
use super::candidate::Candidate;
use super::generation::Run;
use super::scene::Scene;
use super::state::{Fallback, State, Successor};
use super::worker::{Worker, unpin};
use crate::plan::RunId;
use std::mem;

impl Worker {
    /// The run whose program is kept, because what serves was started from it.
    pub fn proven(&self) -> Option<RunId> {
        self.proven.as_ref().map(|proven| proven.pinned)
    }

    /// Keeps the program of a run that lives, to come back to it.
    pub(super) fn pin(&mut self, run: &Run, scene: &mut Scene<'_>) -> Fallback {
        if let Some(proven) = self.proven.take_if(|proven| proven.pinned == run.id) {
            return *proven;
        }
        scene.out.push(Action::Pin { run: run.id });
        Fallback { definition: run.definition.clone(), pinned: run.id }
    }

    /// Its successor has failed. What its file is now is not to be started by a crash.
    pub(super) fn serve_on(&mut self, mut old: Run, scene: &mut Scene<'_>) {
        old.health.restart_was_tried(scene.now);
        self.state = State::Up { run: old };
        self.keep_what_serves(scene);
    }

    /// The same of one whose turn did not come, because the successor of another failed.
    pub(super) fn keep_what_serves(&mut self, scene: &mut Scene<'_>) {
        let State::Up { run } = &self.state else { return };
        if scene.policy().rollback && self.proven.is_none() {
            let run = run.clone();
            self.proven = Some(Box::new(self.pin(&run, scene)));
        }
    }

    /// Starts the program that is kept, as a generation of its own, once nobody is in its way; what applies, where there is none
    /// or its sockets are given up.
    pub(super) fn start_kept(&mut self, scene: &mut Scene<'_>) {
        let proven = self.proven.as_deref();
        let Some(kept) = proven.filter(|kept| kept.definition.has_the_same_sockets(scene.definition)) else {
            return self.start(None, scene);
        };
        let Fallback { definition, pinned } = kept.clone();
        if let Some(old) = self.in_the_way(scene) {
            return self.wait_for(old, None, Successor::Kept, scene);
        }
        let candidate = Candidate::start(scene, self.index, definition, Some(pinned));
        self.state = State::Starting { candidate, fallback: None };
    }

    /// Does anything serve that was started from it, or will it once a pause is over?
    pub(super) fn needs_proven(&self) -> bool {
        let proven = self.proven();
        let of_it = |run: &Run| Some(run.id) == proven || run.program_of.as_deref() == proven.as_ref();
        let is_to_come = matches!(
            self.state,
            State::Backoff { .. } | State::Restarting { successor: Successor::Kept, .. }
        );
        is_to_come || self.state.cast().runs().any(of_it)
    }

    /// Keeps it no longer than it is needed.
    pub(super) fn keep_proven(&mut self, scene: &mut Scene<'_>) {
        if self.proven.is_some() && !self.needs_proven() {
            self.let_go_of_proven(scene);
        }
    }

    pub(super) fn let_go_of_proven(&mut self, scene: &mut Scene<'_>) {
        unpin(mem::take(&mut self.proven).map(|proven| *proven), scene);
    }
}
