//! One service: its state, and the orders it takes. What happens to its runs is in `life.rs`.
//!
//! The serving run stands in the [`State`]; every run that was asked to leave moves to the list of
//! [`Leaving`] ones, whatever the reason, and escalates there by its own deadlines.

use super::backoff::Backoff;
use super::fact::{Fact, Report};
use super::leaving::{Leaving, Run};
use super::{Action, Time};
use crate::limits::TEXT_BUSY_PATIENCE;
use crate::plan::{Definition, Generation, ListenerId, RunId, ServiceId};
use std::mem;
use std::sync::Arc;

/// One service and all its runs that have not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// What its next generation will be, and how it is treated now.
    pub definition: Arc<Definition>,
    /// Its sockets, in the order of the definition.
    pub listeners: Vec<ListenerId>,
    /// Where it is in its life.
    pub state: State,
    /// Its runs that were asked to leave, oldest first.
    pub leaving: Vec<Leaving>,
    /// Its last generation.
    pub last: Generation,
    /// Its crashes in a row.
    pub(super) backoff: Backoff,
}

/// Where a service is in its life; each variant holds what is true only there.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Nothing serves and nothing is to: it ended well, or was stopped.
    Stopped,
    /// Nothing serves: it crashed and its policy does not bring it back.
    Crashed,
    /// A run was started and is not ready yet.
    Starting {
        /// The run.
        run: Run,
        /// When it is given up.
        ready_by: Time,
        /// Until when a program file that is still being written is tried again.
        busy_until: Time,
        /// A restart was asked for meanwhile: it runs once this start is done.
        again: bool,
    },
    /// The program's file was still open for writing (`ETXTBSY`): the start of this run is tried again.
    TextBusy {
        /// The run, which has not come to life.
        run: Run,
        /// When.
        retry_at: Time,
        /// When that is given up.
        busy_until: Time,
    },
    /// The run serves.
    Up {
        /// The run.
        run: Run,
    },
    /// The run that served was asked to stop accepting; its successor starts when it does.
    Restarting {
        /// It is in the list of leaving runs.
        old: Generation,
    },
    /// It crashed; the next start waits for the clock.
    Backoff {
        /// When it starts.
        until: Time,
    },
    /// It is to end: all its runs were asked to leave.
    Stopping {
        /// What it is then.
        then: Then,
    },
    /// It was removed from the config and its last run has ended.
    Gone,
}

/// What a stopping service is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Known, but not running.
    Stopped,
    /// Forgotten: the config has it no more.
    Gone,
}

/// What somebody wants of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A generation that starts after this order, without a client refused.
    Restart,
    /// No process any more, gracefully.
    Stop(Then),
    /// No process any more, now.
    Kill,
}

impl Service {
    /// A service that was never started.
    pub fn new(id: ServiceId, definition: Arc<Definition>, listeners: Vec<ListenerId>) -> Self {
        Self {
            id,
            definition,
            listeners,
            state: State::Stopped,
            leaving: Vec::new(),
            last: Generation::NONE,
            backoff: Backoff::default(),
        }
    }

    /// Starts a generation, whatever came before.
    pub fn start(&mut self, now: Time, out: &mut Vec<Action>) {
        self.last = self.last.next();
        let id = RunId { service: self.id, generation: self.last };
        let run = Run { id, definition: self.definition.clone(), pid: None, started: now, pipe_open: true };
        self.spawn(run, now + TEXT_BUSY_PATIENCE, now, out);
    }

    /// Orders the start of a run, for the first time or because the file of its program was being written.
    pub(super) fn spawn(&mut self, mut run: Run, busy_until: Time, now: Time, out: &mut Vec<Action>) {
        // A reload may have come between two tries.
        run.definition = self.definition.clone();
        let ready_by = now + run.definition.policy.ready_timeout;
        let (definition, listeners) = (run.definition.clone(), self.listeners.clone());
        out.push(Action::Spawn { run: run.id, worker: 0, definition, program_of: None, listeners });
        self.state = State::Starting { run, ready_by, busy_until, again: false };
    }

    /// Takes an order. One that is fulfilled already, or by what is under way, changes nothing.
    pub fn order(&mut self, order: Order, now: Time, out: &mut Vec<Action>) {
        match order {
            Order::Restart => self.restart(now, out),
            Order::Stop(then) => self.stop(then, now, out),
            Order::Kill => self.kill(now, out),
        }
    }

    pub(super) fn restart(&mut self, now: Time, out: &mut Vec<Action>) {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Stopped | State::Crashed | State::Backoff { .. } => self.start(now, out),
            State::Starting { run, ready_by, busy_until, again } => {
                if !again {
                    out.push(self.report_on(&run, Fact::RestartQueued));
                }
                self.state = State::Starting { run, ready_by, busy_until, again: true };
            }
            State::Up { run } => {
                self.state = State::Restarting { old: run.generation() };
                self.ask_to_leave(run, now, out);
            }
            // The start to come is later than this order, so it fulfils it: ten restarts are one. And what has
            // to end does not come back.
            state @ (State::TextBusy { .. }
            | State::Restarting { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }

    fn stop(&mut self, then: Then, now: Time, out: &mut Vec<Action>) {
        // One that is being removed stays removed.
        let then = self.stopping().unwrap_or(then);
        if let State::Starting { run, .. } | State::Up { run } =
            mem::replace(&mut self.state, State::Stopping { then })
        {
            self.ask_to_leave(run, now, out);
        }
        self.finish_if_alone(out);
    }

    fn kill(&mut self, now: Time, out: &mut Vec<Action>) {
        let then = self.stopping().unwrap_or(Then::Stopped);
        for leaving in &mut self.leaving {
            leaving.kill_now(now, out);
        }
        if let State::Starting { run, .. } | State::Up { run } =
            mem::replace(&mut self.state, State::Stopping { then })
        {
            self.leaving.push(Leaving::kill(run, now, out));
        }
        self.finish_if_alone(out);
    }

    fn stopping(&self) -> Option<Then> {
        if let State::Stopping { then } = self.state { Some(then) } else { None }
    }

    fn ask_to_leave(&mut self, run: Run, now: Time, out: &mut Vec<Action>) {
        let policy = &self.definition.policy;
        let leaving = Leaving::ask(run, now, policy, out);
        let awaits_word = leaving.run.can_answer();
        let timeout = leaving.patience(now);
        let asked = Fact::Asked { signal: policy.stop_signal, awaits_word, timeout };
        out.push(self.report_on(&leaving.run, asked));
        self.leaving.push(leaving);
    }

    /// Ends a stop when no run is left to wait for.
    pub(super) fn finish_if_alone(&mut self, out: &mut Vec<Action>) {
        let State::Stopping { then } = self.state else { return };
        if self.leaving.iter().any(Leaving::awaited) {
            return;
        }
        out.push(self.report(Fact::Stopped));
        match then {
            Then::Stopped => self.rest(State::Stopped, out),
            Then::Gone => self.state = State::Gone,
        }
    }

    /// Comes to rest: nobody will accept, so clients are to be refused at once.
    pub(super) fn rest(&mut self, state: State, out: &mut Vec<Action>) {
        self.park(out);
        self.state = state;
    }

    pub(super) fn park(&self, out: &mut Vec<Action>) {
        out.extend(self.listeners.iter().map(|&listener| Action::Park { listener }));
    }

    /// Takes another definition; what runs is not touched. Clients of a socket that came from a service at
    /// rest wait from now on (simulation, seed 10).
    pub fn redefine(
        &mut self,
        definition: Arc<Definition>,
        listeners: Vec<ListenerId>,
        out: &mut Vec<Action>,
    ) {
        if !matches!(self.state, State::Stopped | State::Crashed) {
            let new = listeners.iter().filter(|listener| !self.listeners.contains(listener));
            out.extend(new.map(|&listener| Action::Listen { listener }));
        }
        self.definition = definition;
        self.listeners = listeners;
    }

    /// The run that nobody has asked to leave.
    pub fn serving(&self) -> Option<&Run> {
        match &self.state {
            State::Starting { run, .. } | State::Up { run } => Some(run),
            State::Stopped
            | State::Crashed
            | State::TextBusy { .. }
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone => None,
        }
    }

    /// May it still change without anybody asking?
    pub fn is_busy(&self) -> bool {
        !matches!(self.state, State::Stopped | State::Crashed | State::Gone)
            || self.leaving.iter().any(Leaving::awaited)
    }

    /// Runs that have not ended, as far as is known.
    pub fn runs(&self) -> usize {
        self.leaving.len() + usize::from(self.serving().is_some())
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        self.leaving.iter().filter_map(Leaving::deadline).chain(self.deadline_of_state()).min()
    }

    pub(super) fn deadline_of_state(&self) -> Option<Time> {
        match self.state {
            State::Starting { ready_by, .. } => Some(ready_by),
            State::TextBusy { retry_at, .. } => Some(retry_at),
            State::Backoff { until } => Some(until),
            State::Stopped
            | State::Crashed
            | State::Up { .. }
            | State::Restarting { .. }
            | State::Stopping { .. }
            | State::Gone => None,
        }
    }

    /// A report about the service as a whole.
    pub(super) fn report(&self, fact: Fact) -> Action {
        let service = Some(self.definition.name.clone());
        Action::Report(Report { service, generation: None, pid: None, fact })
    }

    /// A report about one of its runs.
    pub(super) fn report_on(&self, run: &Run, fact: Fact) -> Action {
        let service = Some(self.definition.name.clone());
        Action::Report(Report { service, generation: Some(run.generation()), pid: run.pid, fact })
    }
}
