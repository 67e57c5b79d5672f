//! What can be said of a service as a whole; nothing changes here.

use super::Time;
use super::service::{Service, Wish};
use super::state::{State, Then};
use super::worker::{Worker, kept};

impl Service {
    /// Is all of it to end, and has not yet?
    pub(super) fn is_ending(&self) -> bool {
        let stops = |worker: &Worker| matches!(worker.state, State::Stopping { .. });
        let rests = |worker: &Worker| matches!(worker.state, State::Stopped | State::Crashed | State::Gone);
        self.workers.iter().any(stops) && self.workers.iter().all(|worker| stops(worker) || rests(worker))
    }

    /// Is there no run of it that nobody has asked to leave?
    pub(super) fn served_by_nobody(&self) -> bool {
        self.workers.iter().all(Worker::is_empty)
    }

    /// Is there a worker of it that a start would start now, or is it just ending?
    pub(super) fn lacks_a_worker(&self) -> bool {
        let down = |worker: &Worker| {
            matches!(
                worker.state,
                State::Stopped
                    | State::Crashed
                    | State::Held
                    | State::Backoff { .. }
                    | State::Stopping { then: Then::Stopped }
            )
        };
        let missing = kept(&self.workers).count() < self.definition.policy.workers as usize;
        missing || self.workers.iter().any(down)
    }

    /// Is all of it down, or held, with nothing to bring it back by itself?
    pub(super) fn is_down(&self) -> bool {
        let down = |worker: &Worker| matches!(worker.state, State::Stopped | State::Crashed | State::Held);
        self.workers.iter().all(down)
    }

    /// Will nothing bring all of it up by itself? A worker of it is down for good, even if others serve
    /// (simulation, seed 2616).
    pub(super) fn is_stuck(&self) -> bool {
        let down = |worker: &Worker| matches!(worker.state, State::Stopped | State::Crashed);
        let mut kept = kept(&self.workers);
        !self.rollout.is_under_way() && (kept.clone().next().is_none() || kept.any(down))
    }

    /// Has a worker of it crashed, and is started again after a pause?
    pub(super) fn pauses(&self) -> bool {
        self.workers.iter().any(|worker| matches!(worker.state, State::Backoff { .. }))
    }

    /// Does every worker of it serve?
    pub fn is_up(&self) -> bool {
        !self.workers.is_empty() && kept(&self.workers).all(|worker| worker.serving().is_some())
    }

    /// Does a process of it start, or is one waited for to make way for one that will? What comes back after a crash waits for no
    /// room, and takes none from others: it may do so again and again.
    pub(super) fn is_starting(&self) -> bool {
        let starts = |worker: &Worker| {
            matches!(
                worker.state,
                State::Starting { .. }
                    | State::Preflight { .. }
                    | State::Restarting { .. }
                    | State::Replacing { .. }
            ) && !worker.comes_back()
        };
        self.workers.iter().any(starts)
    }

    /// May it still change without anybody asking?
    pub fn is_busy(&self) -> bool {
        self.workers.iter().any(Worker::is_busy)
    }

    /// Is a worker of it down that nothing brings back?
    pub fn is_crashed(&self) -> bool {
        self.workers.iter().any(|worker| worker.state == State::Crashed)
    }

    /// Was it removed from the config that runs? What it has finishes.
    pub fn is_removed(&self) -> bool {
        self.wish == Wish::Remove
    }

    /// Was it removed, and has its last run ended?
    pub fn is_gone(&self) -> bool {
        self.is_removed() && self.workers.is_empty()
    }

    /// Runs that have not ended, as far as is known.
    pub fn runs(&self) -> usize {
        self.workers.iter().map(|worker| worker.leaving.len() + worker.staying().count()).sum()
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        self.workers.iter().filter_map(Worker::deadline).chain(self.guard.deadline()).min()
    }
}
