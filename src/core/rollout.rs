//! The restart of a service with several workers: some at a time, and no further after one that failed.

use super::state::State;
use super::worker::Worker;
use crate::plan::{Generation, Policy, RestartOrder};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A restart of all workers, as far as it has come. Empty when none is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollout {
    /// Workers whose turn has not come.
    waiting: BTreeSet<u32>,
    /// Workers under way, each with the generation that served when its turn came.
    under_way: BTreeMap<u32, Generation>,
    /// Workers that have come through.
    through: u32,
    /// Another was asked for when this one had begun to start successors: it runs once after it.
    again: bool,
}

/// What a look at the rollout shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody's.
    Nobody,
    /// This worker's.
    Of(u32),
    /// A worker failed; so many others are not restarted.
    Stopped(usize),
}

impl Rollout {
    /// Begins, or begins anew once the present one is done. Tells whether that has to wait.
    ///
    /// Where no successor was started yet, the starts to come are later than this request and fulfil it.
    pub(super) fn begin(&mut self, workers: &[&Worker]) -> bool {
        if self.is_under_way() {
            let to_come = |index: &u32| workers.iter().any(|w| w.index == *index && w.starts_later());
            self.again |= self.through > 0 || !self.under_way.keys().all(to_come);
            if !self.again {
                // It may be under way for a sick worker only.
                let others =
                    workers.iter().filter(|w| !w.starts_later() && !self.under_way.contains_key(&w.index));
                self.waiting.extend(others.map(|worker| worker.index));
            }
            return self.again;
        }
        let to_do = |worker: &&&Worker| !worker.starts_later();
        self.waiting = workers.iter().filter(to_do).map(|worker| worker.index).collect();
        workers.iter().any(|worker| worker.in_transit() && !worker.starts_later())
    }

    /// Has one worker restarted in its turn, because it is sick.
    pub(super) fn ask_for(&mut self, worker: u32) {
        if !self.under_way.contains_key(&worker) {
            self.waiting.insert(worker);
        }
    }

    /// Forgets everything: the service is to end.
    pub(super) fn cancel(&mut self) {
        *self = Self::default();
    }

    /// Is a restart under way?
    pub(super) fn is_under_way(&self) -> bool {
        !self.waiting.is_empty() || !self.under_way.is_empty()
    }

    /// Takes note of the workers that have come through, and says whose turn it is.
    pub(super) fn turn(&mut self, workers: &[&Worker], policy: &Policy, last: Generation) -> Turn {
        if self.take_failure(workers) && !self.waiting.is_empty() {
            let left = std::mem::take(&mut self.waiting).len();
            return Turn::Stopped(left);
        }
        if !self.is_under_way() {
            self.through = 0;
            if !std::mem::take(&mut self.again) {
                return Turn::Nobody;
            }
            self.begin(workers);
        }
        if self.under_way.len() >= self.at_once(policy) {
            return Turn::Nobody;
        }
        let Some(index) = self.next(workers) else { return Turn::Nobody };
        self.waiting.remove(&index);
        self.under_way.insert(index, last);
        Turn::Of(index)
    }

    /// Lets go of the workers that are not on their way any more. Tells whether one of them failed.
    fn take_failure(&mut self, workers: &[&Worker]) -> bool {
        let mut failed = false;
        let through = &mut self.through;
        self.under_way.retain(|index, before| {
            let Some(worker) = workers.iter().find(|worker| worker.index == *index) else { return false };
            if worker.in_transit() {
                return true;
            }
            if came_through(worker, *before) {
                *through += 1;
            } else {
                failed = true;
            }
            false
        });
        self.waiting.retain(|index| workers.iter().any(|worker| worker.index == *index));
        failed
    }

    /// Those that are down come first: they cost nobody anything. One that is starting is waited for.
    fn next(&self, workers: &[&Worker]) -> Option<u32> {
        let mut ready = workers.iter().filter(|w| self.waiting.contains(&w.index) && !w.in_transit());
        let first = ready.clone().next().map(|worker| worker.index);
        ready.find(|worker| worker.serving().is_none()).map(|worker| worker.index).or(first)
    }

    fn at_once(&self, policy: &Policy) -> usize {
        let at_once = match policy.restart_order {
            RestartOrder::StartFirst => policy.max_surge,
            RestartOrder::StopFirst => policy.max_unavailable,
        };
        let at_once = if policy.canary && self.through == 0 { 1 } else { at_once };
        at_once.max(1) as usize
    }
}

/// Did the worker get a generation of its own that serves, and not by rolling back?
fn came_through(worker: &Worker, before: Generation) -> bool {
    match &worker.state {
        State::Up { run } => run.generation() > before && run.program_of.is_none(),
        State::Stopped
        | State::Crashed
        | State::Starting { .. }
        | State::Restarting { .. }
        | State::Replacing { .. }
        | State::Baking { .. }
        | State::Backoff { .. }
        | State::Stopping { .. }
        | State::Gone => false,
    }
}
