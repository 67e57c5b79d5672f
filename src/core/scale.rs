//! How many workers a service has.

use super::service::{Service, Wish};
use super::state::{State, Then};
use super::worker::{Order, Worker, kept};
use super::{Action, Time};

impl Service {
    /// Has it as many workers as its policy says, or will it? One that is down has, when it starts.
    pub(super) fn is_wanted(&self) -> bool {
        let runs = |worker: &Worker| {
            !matches!(worker.state, State::Stopping { .. } | State::Stopped | State::Crashed | State::Held)
        };
        match self.wish {
            Wish::Run => self.workers.iter().any(runs),
            Wish::Hold => true,
            Wish::Stop | Wish::Remove => false,
        }
    }

    /// Makes the number of workers what the policy says: starts what is missing, ends what is too much.
    pub(super) fn scale(&mut self, now: Time, out: &mut Vec<Action>) {
        self.grow(now, out);
        self.shrink(now, out);
    }

    /// Starts what is missing.
    pub(super) fn grow(&mut self, now: Time, out: &mut Vec<Action>) {
        let missing = self.populate(now);
        for at in missing..self.workers.len() {
            let order = if self.wish == Wish::Hold { Order::Hold } else { Order::Start };
            self.with(at, now, out, |worker, scene| worker.order(order, scene));
        }
    }

    /// Ends what is too much. One that is down may have more workers than it is to have.
    pub(super) fn shrink(&mut self, now: Time, out: &mut Vec<Action>) {
        let wanted = self.definition.policy.workers;
        self.each(now, out, |worker, scene| {
            if worker.index >= wanted {
                worker.order(Order::Stop(Then::Gone), scene);
            }
        });
    }

    /// Adds the workers that are missing, and gives the place of the first of them.
    pub(super) fn populate(&mut self, now: Time) -> usize {
        let first = self.workers.len();
        for index in 0..self.definition.policy.workers {
            if !kept(&self.workers).any(|worker| worker.index == index) {
                // Most services have one: no room for others is kept.
                self.workers.reserve_exact(1);
                self.workers.push(Worker::new(index, now));
            }
        }
        first
    }
}
