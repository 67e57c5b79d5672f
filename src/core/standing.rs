//! What can be said of a worker as it stands; nothing changes here.

use super::Time;
use super::candidate::Candidate;
use super::generation::Run;
use super::leaving::Leaving;
use super::state::{State, Successor, Then};
use super::supervisor::Supervisor;
use super::worker::Worker;
use crate::plan::{Address, Generation, Policy};

impl Supervisor {
    /// All runs that are known, and of each whether it serves.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, bool)> {
        self.services.values().flat_map(|service| &service.workers).flat_map(|worker| {
            let serves = |run: &Run| worker.serving_all().any(|serving| serving.id == run.id);
            let leaving = worker.leaving.iter().map(|leaving| (&leaving.run, false));
            worker.staying().map(move |run| (run, serves(run))).chain(leaving)
        })
    }
}

impl Worker {
    /// The run that clients are served by, as far as is known.
    pub fn serving(&self) -> Option<&Run> {
        self.state.cast().serving
    }

    /// The runs that nobody has asked to leave, oldest first: two at most.
    pub fn staying(&self) -> impl Iterator<Item = &Run> {
        self.state.cast().runs()
    }

    /// Has nobody been started who was not asked to leave?
    pub fn is_empty(&self) -> bool {
        self.staying().next().is_none()
    }

    /// The runs that clients are served by: two, while the newer one has yet to prove itself.
    pub fn serving_all(&self) -> impl Iterator<Item = &Run> {
        let cast = self.state.cast();
        cast.reserve.into_iter().chain(cast.serving)
    }

    /// The same, to take note of something.
    pub(super) fn serving_all_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        let cast = self.state.cast_mut();
        cast.reserve.into_iter().chain(cast.serving)
    }

    /// Is a start to come that was ordered already? It fulfils a restart that is asked for now.
    pub fn starts_later(&self) -> bool {
        let makes_way = matches!(
            self.state,
            State::Preflight { .. } | State::Restarting { successor: Successor::New, .. }
        );
        makes_way || self.busy().is_some()
    }

    /// The generation whose program is tried again, because its file was still being written or no process was to be had. A
    /// rollback does not count: what it starts is not what somebody asks for.
    pub fn busy(&self) -> Option<Generation> {
        let tried = self.state.cast().candidate.filter(|candidate| candidate.is_busy());
        let run = tried.map(|candidate| &candidate.run);
        run.filter(|run| run.program_of.is_none()).map(Run::generation)
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
                | State::Preflight { .. }
                | State::Restarting { .. }
                | State::Replacing { .. }
                | State::Baking { .. }
        )
    }

    /// Does nobody of it serve, and will somebody without being asked for?
    pub fn is_missing(&self) -> bool {
        self.serving().is_none() && (self.in_transit() || matches!(self.state, State::Backoff { .. }))
    }

    /// Is it sick, and is its restart due?
    pub(super) fn is_to_be_cured(&self, policy: &Policy) -> bool {
        self.serving().is_some_and(|run| run.health.is_being_replaced(policy))
    }

    /// May it still change without anybody asking? One that is held may not, but it is not over either.
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Crashed | State::Gone) || self.has_company()
    }

    /// Is there a run that was asked to leave and is waited for?
    pub fn has_company(&self) -> bool {
        self.leaving.iter().any(Leaving::awaited)
    }

    /// Is nobody to accept, and has everybody who might still do so said that he does not?
    pub fn is_quiet(&self) -> bool {
        matches!(self.state, State::Stopped | State::Crashed | State::Stopping { .. } | State::Gone)
            && !self.leaving.iter().any(Leaving::may_accept)
    }

    /// Does it take clients from this address, or will somebody who is on his way? One that serves on after a
    /// restart that failed may have other sockets than its service.
    pub fn reaches(&self, address: &Address) -> bool {
        match &self.state {
            State::Up { run } => run.definition.listens_at(address),
            State::Held
            | State::Starting { .. }
            | State::Preflight { .. }
            | State::Restarting { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Backoff { .. } => true,
            State::Stopped | State::Crashed | State::Stopping { .. } | State::Gone => !self.is_quiet(),
        }
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        let leaving = self.leaving.iter().filter_map(Leaving::deadline);
        leaving.chain(self.deadline_of_state()).chain(self.deadline_of_care()).min()
    }

    pub(super) fn deadline_of_state(&self) -> Option<Time> {
        if let State::Baking { until, .. } | State::Backoff { until } = &self.state {
            return Some(*until);
        }
        self.state.cast().candidate.map(Candidate::deadline)
    }
}
