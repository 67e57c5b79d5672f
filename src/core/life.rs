//! What happens to the runs of a service, and what follows: readiness, the hand-over, the crash rule.

use super::fact::{Fact, Next};
use super::leaving::{Leaving, Phase, Run};
use super::service::{Service, State, Then};
use super::{Action, ExitStatus, PipeEnd, RunEvent, SpawnFailure, SpawnStage, Time};
use crate::limits::TEXT_BUSY_RETRY;
use crate::plan::{Generation, Pid, Ready, Restart};
use crate::protocol::Word;
use std::mem;
use std::time::Duration;

/// Why the serving run serves no more, although nobody asked it to leave.
enum Ending {
    Exited(ExitStatus),
    SpawnFailed(SpawnFailure),
    NotReady(Duration),
    Said(Word),
}

impl Ending {
    fn is_success(&self) -> bool {
        matches!(self, Self::Exited(ExitStatus::Code(0)) | Self::Said(Word::Success))
    }

    fn into_fact(self, lived: Duration, next: Next) -> Fact {
        match self {
            Self::Exited(status) => Fact::Exited { status, lived, next },
            Self::SpawnFailed(failure) => Fact::SpawnFailed { failure, next },
            Self::NotReady(timeout) => Fact::NotReady { timeout, next },
            Self::Said(word) => Fact::LeavesByItself { word, next },
        }
    }
}

impl Service {
    /// Takes note of what happened to one of its runs. A run that is over changes nothing (I3).
    pub fn happened(&mut self, generation: Generation, event: RunEvent, now: Time, out: &mut Vec<Action>) {
        if let Some(at) = self.leaving.iter().position(|leaving| leaving.run.generation() == generation) {
            self.leaving_happened(at, event, now, out);
        } else if self.serving().is_some_and(|run| run.generation() == generation) {
            self.serving_happened(event, now, out);
        }
    }

    fn serving_happened(&mut self, event: RunEvent, now: Time, out: &mut Vec<Action>) {
        match event {
            RunEvent::Spawned { pid } => self.spawned(pid, now, out),
            RunEvent::SpawnFailed(failure) => self.spawn_failed(failure, now, out),
            RunEvent::Said(Word::Ready) => self.ready(now, out),
            RunEvent::Said(word @ (Word::Success | Word::Failed)) => {
                if let Some((run, again)) = self.take_serving() {
                    let leaving = Leaving::by_itself(run.clone(), now, &self.definition.policy);
                    self.leaving.push(leaving);
                    self.ended(&run, again, Ending::Said(word), now, out);
                }
            }
            RunEvent::PipeEnded(end) => self.pipe_ended(end, out),
            RunEvent::Exited { status, group_left } => {
                if let Some((run, again)) = self.take_serving() {
                    if group_left {
                        let policy = &self.definition.policy;
                        out.push(self.report_on(&run, Fact::Leftovers { stop_timeout: policy.stop_timeout }));
                        self.leaving.push(Leaving::terminate(run.clone(), now, policy, out));
                    }
                    self.ended(&run, again, Ending::Exited(status), now, out);
                }
            }
            // Nobody asked it; and its group is not empty before its main process has ended.
            RunEvent::NotListening | RunEvent::GroupEmpty | RunEvent::Seen(_) | RunEvent::Notified(_) => {}
        }
    }

    fn spawned(&mut self, pid: Pid, now: Time, out: &mut Vec<Action>) {
        let (State::Starting { run, .. } | State::Up { run }) = &mut self.state else { return };
        run.pid = Some(pid);
        let run = run.clone();
        out.push(self.report_on(&run, Fact::Started { definition: run.definition.clone() }));
        if run.definition.policy.ready == Ready::Started {
            self.up(now, out);
        }
    }

    fn spawn_failed(&mut self, failure: SpawnFailure, now: Time, out: &mut Vec<Action>) {
        let State::Starting { busy_until, .. } = self.state else { return };
        let Some((run, again)) = self.take_serving() else { return };
        let busy = failure.stage == SpawnStage::Exec && failure.errno == libc::ETXTBSY;
        if busy && now < busy_until {
            // A restart that was asked for meanwhile is fulfilled by the start to come.
            self.state = State::TextBusy { run, retry_at: now + TEXT_BUSY_RETRY, busy_until };
        } else {
            self.ended(&run, again, Ending::SpawnFailed(failure), now, out);
        }
    }

    /// It says that it accepts.
    fn ready(&mut self, now: Time, out: &mut Vec<Action>) {
        if let Some(run) = self.serving() {
            out.push(self.report_on(run, Fact::Ready { after: now - run.started }));
        }
        self.up(now, out);
    }

    fn up(&mut self, now: Time, out: &mut Vec<Action>) {
        if !matches!(self.state, State::Starting { .. }) {
            return;
        }
        if let Some((run, again)) = self.take_serving() {
            self.state = State::Up { run };
            if again {
                self.restart(now, out);
            }
        }
    }

    fn pipe_ended(&mut self, end: PipeEnd, out: &mut Vec<Action>) {
        let (State::Starting { run, .. } | State::Up { run }) = &mut self.state else { return };
        run.pipe_open = false;
        let run = run.clone();
        // That a server closed a pipe on which nothing was asked of it yet is worth no line.
        if let PipeEnd::Gibberish(_) = end {
            out.push(self.report_on(&run, Fact::PipeEnded { end, left: None }));
        }
    }

    /// The run that nobody asked to leave, out of the state; and whether a restart was asked for meanwhile.
    fn take_serving(&mut self) -> Option<(Run, bool)> {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Starting { run, again, .. } => Some((run, again)),
            State::Up { run } => Some((run, false)),
            state @ (State::Stopped
            | State::Crashed
            | State::TextBusy { .. }
            | State::Restarting { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone) => {
                self.state = state;
                None
            }
        }
    }

    /// The crash rule: what follows an end that nobody asked for.
    fn ended(&mut self, run: &Run, again: bool, ending: Ending, now: Time, out: &mut Vec<Action>) {
        let lived = now - run.started;
        let next = self.next_after(lived, again, ending.is_success());
        out.push(self.report_on(run, ending.into_fact(lived, next)));
        match next {
            Next::StartsNow(_) => self.start(now, out),
            Next::StartsIn(_, pause) => self.state = State::Backoff { until: now + pause },
            Next::Stopped => self.rest(State::Stopped, out),
            Next::Crashed => self.rest(State::Crashed, out),
            Next::Nothing => {}
        }
    }

    fn next_after(&mut self, lived: Duration, again: bool, success: bool) -> Next {
        let policy = &self.definition.policy;
        let generation = self.last.next();
        match (policy.restart, success) {
            _ if again => Next::StartsNow(generation),
            (Restart::Always, _) | (Restart::OnFailure, false) => match self.backoff.fail(lived, policy) {
                Duration::ZERO => Next::StartsNow(generation),
                pause => Next::StartsIn(generation, pause),
            },
            (Restart::OnFailure | Restart::No, true) => Next::Stopped,
            (Restart::No, false) => Next::Crashed,
        }
    }

    fn leaving_happened(&mut self, at: usize, event: RunEvent, now: Time, out: &mut Vec<Action>) {
        let generation = self.leaving[at].run.generation();
        match event {
            RunEvent::Spawned { pid } => {
                self.leaving[at].run.pid = Some(pid);
                let run = &self.leaving[at].run;
                out.push(self.report_on(run, Fact::Started { definition: run.definition.clone() }));
            }
            RunEvent::SpawnFailed(failure) => {
                let leaving = self.leaving.remove(at);
                out.push(self.report_on(&leaving.run, Fact::SpawnFailed { failure, next: Next::Nothing }));
                self.gone(generation, now, out);
            }
            RunEvent::Said(word @ (Word::Success | Word::Failed)) => self.answered(at, word, now, out),
            RunEvent::PipeEnded(end) => {
                self.leaving[at].run.pipe_open = false;
                if let Phase::Asked { by, .. } = self.leaving[at].phase {
                    out.push(
                        self.report_on(&self.leaving[at].run, Fact::PipeEnded { end, left: Some(by - now) }),
                    );
                }
            }
            RunEvent::NotListening => {
                if let Some(again_in) = self.leaving[at].not_listening(now) {
                    out.push(self.report_on(&self.leaving[at].run, Fact::AskedTooEarly { again_in }));
                }
            }
            RunEvent::Exited { status, group_left } => {
                let after = now - self.leaving[at].since;
                out.push(self.report_on(&self.leaving[at].run, Fact::Left { status, after, group_left }));
                if group_left {
                    self.leaving[at].quiet(now, &self.definition.policy);
                    self.quiet(generation, now, out);
                } else {
                    self.leaving.remove(at);
                    self.gone(generation, now, out);
                }
            }
            RunEvent::GroupEmpty => {
                let leaving = self.leaving.remove(at);
                out.push(self.report_on(&leaving.run, Fact::GroupEnded { after: now - leaving.since }));
                self.gone(generation, now, out);
            }
            // It was asked to leave; that it could serve does not matter any more.
            RunEvent::Said(Word::Ready) | RunEvent::Seen(_) | RunEvent::Notified(_) => {}
        }
    }

    fn answered(&mut self, at: usize, word: Word, now: Time, out: &mut Vec<Action>) {
        let policy = &self.definition.policy;
        let leaving = &mut self.leaving[at];
        if leaving.quiet_since.is_some() {
            return;
        }
        leaving.quiet(now, policy);
        let (generation, after, drain_timeout) =
            (leaving.run.generation(), now - leaving.since, policy.drain_timeout);
        out.push(self.report_on(&self.leaving[at].run, Fact::Answered { word, after, drain_timeout }));
        self.quiet(generation, now, out);
    }

    /// A leaving run accepts no more. Late counts too: a successor is due even if SIGTERM was sent meanwhile.
    fn quiet(&mut self, generation: Generation, now: Time, out: &mut Vec<Action>) {
        if self.is_restarting(generation) {
            self.start(now, out);
        } else if matches!(self.state, State::Stopping { then: Then::Stopped })
            && self.leaving.iter().all(|leaving| leaving.quiet_since.is_some())
        {
            self.park(out);
        }
    }

    /// A leaving run is over, or nothing waits for it any more.
    fn gone(&mut self, generation: Generation, now: Time, out: &mut Vec<Action>) {
        if self.is_restarting(generation) {
            self.start(now, out);
        } else {
            self.finish_if_alone(out);
        }
    }

    /// Does the next start wait for this run?
    fn is_restarting(&self, generation: Generation) -> bool {
        self.state == State::Restarting { old: generation }
    }

    /// Does whatever the time has come for.
    pub fn deadline_passed(&mut self, now: Time, out: &mut Vec<Action>) {
        let definition = self.definition.clone();
        let mut given_up = Vec::new();
        for at in 0..self.leaving.len() {
            if let Some(fact) = self.leaving[at].deadline_passed(now, &definition.policy, out) {
                out.push(self.report_on(&self.leaving[at].run, fact));
                if !self.leaving[at].awaited() {
                    given_up.push(self.leaving[at].run.generation());
                }
            }
        }
        for generation in given_up {
            self.gone(generation, now, out);
        }
        if self.deadline_of_state().is_some_and(|deadline| deadline <= now) {
            self.state_is_due(now, out);
        }
    }

    fn state_is_due(&mut self, now: Time, out: &mut Vec<Action>) {
        match mem::replace(&mut self.state, State::Stopped) {
            state @ State::Starting { .. } => {
                self.state = state;
                self.not_ready(now, out);
            }
            State::TextBusy { run, busy_until, .. } => self.spawn(run, busy_until, now, out),
            State::Backoff { .. } => self.start(now, out),
            // These wait for nothing.
            state @ (State::Stopped
            | State::Crashed
            | State::Up { .. }
            | State::Restarting { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }

    fn not_ready(&mut self, now: Time, out: &mut Vec<Action>) {
        if let Some((run, again)) = self.take_serving() {
            let policy = &self.definition.policy;
            let timeout = policy.ready_timeout;
            self.leaving.push(Leaving::terminate(run.clone(), now, policy, out));
            self.ended(&run, again, Ending::NotReady(timeout), now, out);
        }
    }
}
