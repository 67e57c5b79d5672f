//! Who takes part in a state, and as what: the one place that knows which runs a state holds.

use super::candidate::Candidate;
use super::ending::Role;
use super::generation::Run;
use super::state::{Back, State};
use crate::plan::Generation;

/// The runs of a state that nobody has asked to leave, by the parts they play; `R` and `C` are references to runs
/// and candidates, to look at them or to change them.
#[derive(Clone, Copy)]
pub(super) struct Cast<R, C> {
    /// It serves beside the one that has yet to prove itself.
    pub(super) reserve: Option<R>,
    /// Clients are served by it, as far as is known.
    pub(super) serving: Option<R>,
    /// It is not ready yet.
    pub(super) candidate: Option<C>,
}

impl<R, C> Cast<R, C> {
    const fn new(reserve: Option<R>, serving: Option<R>, candidate: Option<C>) -> Self {
        Self { reserve, serving, candidate }
    }
}

/// The cast of a state; the same words do for `&State` and `&mut State`.
macro_rules! cast {
    ($state:expr) => {
        match $state {
            State::Starting { candidate, .. } => Cast::new(None, None, Some(candidate)),
            State::Up { run } => Cast::new(None, Some(run), None),
            State::Preflight { run } => Cast::new(None, Some(run), None),
            State::Replacing { old, candidate } => Cast::new(None, Some(old), Some(candidate)),
            State::Baking { new, back: Back::Old(old), .. } => Cast::new(Some(old), Some(new), None),
            State::Baking { new, back: Back::Fallback(_), .. } => Cast::new(None, Some(new), None),
            State::Stopped
            | State::Crashed
            | State::Held
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => Cast::new(None, None, None),
        }
    };
}

impl State {
    pub(super) fn cast(&self) -> Cast<&Run, &Candidate> {
        cast!(self)
    }

    pub(super) fn cast_mut(&mut self) -> Cast<&mut Run, &mut Candidate> {
        cast!(self)
    }
}

impl<'a> Cast<&'a Run, &'a Candidate> {
    /// All of them, oldest first: two at most.
    pub(super) fn runs(self) -> impl Iterator<Item = &'a Run> {
        let candidate = self.candidate.map(|candidate| &candidate.run);
        self.reserve.into_iter().chain(self.serving).chain(candidate)
    }

    /// The part that a generation plays.
    pub(super) fn role_of(self, generation: Generation) -> Option<Role> {
        let is = |run: &&Run| run.generation() == generation;
        let candidate = self.candidate.map(|candidate| &candidate.run);
        let parts =
            [(Role::Reserve, self.reserve), (Role::Serving, self.serving), (Role::Candidate, candidate)];
        parts.into_iter().find_map(|(role, run)| run.filter(is).map(|_| role))
    }
}

impl<'a> Cast<&'a mut Run, &'a mut Candidate> {
    /// All of them, oldest first.
    pub(super) fn runs(self) -> impl Iterator<Item = &'a mut Run> {
        let candidate = self.candidate.map(|candidate| &mut candidate.run);
        self.reserve.into_iter().chain(self.serving).chain(candidate)
    }

    /// The run that plays this part.
    pub(super) fn of(self, role: Role) -> Option<&'a mut Run> {
        match role {
            Role::Reserve => self.reserve,
            Role::Serving => self.serving,
            Role::Candidate => self.candidate.map(|candidate| &mut candidate.run),
        }
    }
}
