//! What happens to the runs of a worker, and what follows: readiness, the hand-over, the crash rule, the way back.

use super::candidate::{Candidate, Progress};
use super::ending::{Ending, Role, Why, end_for_good};
use super::event::Miss;
use super::fact::{Fact, Next};
use super::generation::Run;
use super::health::Health;
use super::history::LastExit;
use super::leaving::Leaving;
use super::scene::Scene;
use super::state::{Back, Fallback, State};
use super::worker::{Worker, unpin};
use super::{Action, PipeEnd, RunEvent};
use crate::plan::{Generation, Stream};
use crate::protocol::{Notice, Word};
use std::mem;
use std::time::Duration;

impl Worker {
    /// Takes note of what happened to one of its runs. A run that is over changes nothing (I3).
    pub(super) fn happened(&mut self, generation: Generation, event: RunEvent, scene: &mut Scene<'_>) {
        if let RunEvent::Exited { status, .. } = event
            && self.knows(generation)
        {
            scene.history.last_exit = Some(Box::new(LastExit { generation, status, at: scene.now }));
        }
        if let RunEvent::Probed { attempt, answer } = event {
            self.probed(generation, attempt, answer, scene);
        } else if let Some(at) =
            self.leaving.iter().position(|leaving| leaving.run.generation() == generation)
        {
            self.leaving_happened(at, event, scene);
        } else if let Some(role) = self.role_of(generation) {
            self.staying_happened(role, event, scene);
        }
    }

    fn knows(&self, generation: Generation) -> bool {
        self.role_of(generation).is_some()
            || self.leaving.iter().any(|leaving| leaving.run.generation() == generation)
    }

    fn role_of(&self, generation: Generation) -> Option<Role> {
        self.state.cast().role_of(generation)
    }

    fn staying_happened(&mut self, role: Role, event: RunEvent, scene: &mut Scene<'_>) {
        match event {
            RunEvent::Said(word @ (Word::Success | Word::Failed)) => {
                self.ended(role, Why::Said(word), scene);
            }
            RunEvent::PipeEnded(end) => self.pipe_ended(role, end, scene),
            RunEvent::Exited { status, group_left } => {
                self.ended(role, Why::Exited { status, group_left }, scene);
            }
            RunEvent::Foreseen(failure) => self.foreseen(failure, scene),
            RunEvent::Notified(notice @ (Notice::Ready | Notice::ExtendTimeout(_)))
                if role == Role::Candidate =>
            {
                self.candidate_happened(RunEvent::Notified(notice), scene);
            }
            RunEvent::Notified(notice) => self.notified(role, notice, scene),
            RunEvent::NotItsProcess(named) => {
                if let Some(run) = self.state.cast_mut().of(role) {
                    scene.report_on(run, Fact::NotItsProcess { named });
                }
            }
            RunEvent::Spawned { .. }
            | RunEvent::SpawnFailed(_)
            | RunEvent::Said(Word::Ready)
            | RunEvent::Seen(_) => {
                // Late answers about one that serves by now are not for its successor (simulation, seed 5).
                if role == Role::Candidate {
                    self.candidate_happened(event, scene);
                }
            }
            // Nobody asked it; and its group is not empty before its main process has ended.
            // Answers to questions were taken before.
            RunEvent::NotListening
            | RunEvent::GroupEmpty
            | RunEvent::LeftBehind { .. }
            | RunEvent::Probed { .. } => {}
        }
    }

    fn candidate_happened(&mut self, event: RunEvent, scene: &mut Scene<'_>) {
        let Some(candidate) = self.state.cast_mut().candidate else { return };
        let progress = match event {
            RunEvent::Spawned { pid } => candidate.spawned(pid, scene),
            RunEvent::Seen(sight) => candidate.seen(sight, scene),
            RunEvent::Said(_) | RunEvent::Notified(Notice::Ready) => {
                self.pulse.hurry(scene.now);
                candidate.said_ready()
            }
            RunEvent::Notified(Notice::ExtendTimeout(longer)) => candidate.needs(longer, scene.now),
            RunEvent::SpawnFailed(failure) => {
                if let Some(failure) = candidate.spawn_failed(failure, scene.now) {
                    self.ended(Role::Candidate, Why::SpawnFailed(failure), scene);
                }
                return;
            }
            RunEvent::PipeEnded(_)
            | RunEvent::NotItsProcess(_)
            | RunEvent::NotListening
            | RunEvent::Foreseen(_)
            | RunEvent::Probed { .. }
            | RunEvent::Exited { .. }
            | RunEvent::GroupEmpty
            | RunEvent::LeftBehind { .. }
            | RunEvent::Notified(_) => return,
        };
        self.advanced(progress, scene);
    }

    fn candidate_mut(&mut self) -> Option<&mut Candidate> {
        self.state.cast_mut().candidate
    }

    pub(super) fn candidate_probed(&mut self, answer: Result<(), Miss>, scene: &mut Scene<'_>) {
        let Some(candidate) = self.candidate_mut() else { return };
        let progress = candidate.probed(answer);
        self.advanced(progress, scene);
    }

    fn advanced(&mut self, progress: Progress, scene: &mut Scene<'_>) {
        match progress {
            Progress::Waits => {}
            Progress::Ready => self.ready(scene),
            Progress::TooLate => {
                let timeout = scene.policy().ready_timeout;
                let last = self.candidate_mut().and_then(|candidate| candidate.last_miss());
                self.ended(Role::Candidate, Why::NotReady(timeout, last), scene);
            }
        }
    }

    /// The candidate is ready.
    fn ready(&mut self, scene: &mut Scene<'_>) {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Starting { candidate, fallback } => {
                let run = Self::admit(candidate, scene);
                match fallback {
                    Some(fallback) if !scene.policy().bake_time.is_zero() => {
                        self.bake(run, Back::Fallback(fallback), scene);
                    }
                    fallback => {
                        unpin(fallback, scene);
                        self.state = State::Up { run };
                    }
                }
            }
            State::Replacing { old, candidate } => {
                let run = Self::admit(candidate, scene);
                if scene.policy().bake_time.is_zero() {
                    self.ask_to_leave(*old, scene);
                    self.state = State::Up { run };
                } else {
                    self.bake(run, Back::Old(old), scene);
                }
            }
            state @ (State::Stopped
            | State::Crashed
            | State::Held
            | State::Up { .. }
            | State::Preflight { .. }
            | State::Restarting { .. }
            | State::Baking { .. }
            | State::Backoff { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }

    fn admit(candidate: Box<Candidate>, scene: &mut Scene<'_>) -> Run {
        let after = scene.now - candidate.run.started;
        scene.history.ready = Some(after.into());
        scene.report_on(&candidate.run, Fact::Ready { after });
        candidate.into_ready_run(scene)
    }

    fn bake(&mut self, new: Run, back: Back, scene: &mut Scene<'_>) {
        let bake_time = scene.policy().bake_time;
        scene.report_on(&new, Fact::Baking { bake_time });
        self.state = State::Baking { new: Box::new(new), until: scene.now + bake_time, back };
    }

    /// It has proved itself.
    fn baked(&mut self, new: Run, back: Back, scene: &mut Scene<'_>) {
        match back {
            Back::Old(old) => _ = self.ask_to_leave(*old, scene),
            Back::Fallback(fallback) => unpin(Some(fallback), scene),
        }
        self.state = State::Up { run: new };
    }

    fn pipe_ended(&mut self, role: Role, end: PipeEnd, scene: &mut Scene<'_>) {
        let Some(run) = self.state.cast_mut().of(role) else { return };
        run.pipe_open = false;
        let run = run.clone();
        // That a server closed a pipe on which nothing was asked of it yet is worth no line.
        if let PipeEnd::Gibberish(_) = end {
            scene.report_on(&run, Fact::PipeEnded { end, left: None });
        }
    }

    /// A run that nobody asked to leave serves no more, or will not: what comes next depends on who is left.
    pub(super) fn ended(&mut self, role: Role, why: Why, scene: &mut Scene<'_>) {
        let ending = Ending { role, why };
        match (role, mem::replace(&mut self.state, State::Stopped)) {
            (Role::Serving, State::Up { run }) => self.crashed(&run, ending, scene),
            (Role::Serving, State::Preflight { run }) => self.crashed(&run, ending, scene),
            (Role::Candidate, State::Starting { candidate, fallback }) => {
                let run = candidate.run.clone();
                if run.program_of.is_some() && matches!(ending.why, Why::SpawnFailed(_)) {
                    // What served before cannot be executed any more: the next start is of the file again.
                    self.let_go_of_proven(scene);
                }
                self.roll_back(&run, fallback, ending, scene);
            }
            (Role::Candidate, State::Replacing { old, candidate }) => {
                self.dismiss(&candidate.run, ending, Next::OldServesOn(old.generation()), scene);
                self.serve_on(*old, scene);
            }
            (Role::Serving, State::Replacing { old, candidate }) => {
                self.dismiss(&old, ending, Next::SuccessorStarts(candidate.run.generation()), scene);
                let fallback = self.proven.take().map(|proven| *proven);
                self.state = State::Starting { candidate, fallback };
            }
            (Role::Serving, State::Baking { new, back: Back::Old(old), .. }) => {
                self.dismiss(&new, ending, Next::OldServesOn(old.generation()), scene);
                self.serve_on(*old, scene);
            }
            (Role::Serving, State::Baking { new, back: Back::Fallback(fallback), .. }) => {
                self.roll_back(&new, Some(fallback), ending, scene);
            }
            (Role::Reserve, State::Baking { new, back: Back::Old(old), .. }) => {
                self.dismiss(&old, ending, Next::SuccessorServes(new.generation()), scene);
                self.state = State::Up { run: *new };
            }
            // `role_of` gives these roles in these states only.
            (Role::Serving | Role::Candidate | Role::Reserve, state) => self.state = state,
        }
    }

    /// Says what happened and what comes next, and sees to it that nothing of the run is left behind.
    fn dismiss(&mut self, run: &Run, ending: Ending, next: Next, scene: &mut Scene<'_>) {
        if matches!(ending.why, Why::Exited { group_left: true, .. }) {
            // Before they are told to end.
            scene.out.push(Action::NameLeftovers { run: run.id });
        }
        let leaving = match ending.why {
            Why::Said(_) | Why::Stopping => Some(Leaving::by_itself(run.clone(), scene)),
            // It may have clients all the same.
            Why::Sick(_) => Some(Leaving::ask(run.clone(), scene)),
            Why::NotReady(..) => Some(Leaving::terminate(run.clone(), scene)),
            Why::Exited { group_left: true, .. } => {
                let (leaving, fact) = Leaving::ask_rest(run.clone(), scene);
                scene.report_on(run, fact);
                Some(leaving)
            }
            Why::SpawnFailed(_) | Why::Exited { group_left: false, .. } => None,
        };
        if let Some(leaving) = leaving {
            self.make_room_to_leave(scene);
            self.leaving.push(leaving);
        }
        let speaks = run.definition.program.captured().any(|stream| stream == Stream::Stderr);
        if speaks && run.pid.is_some() && !ending.is_success() {
            scene.out.push(Action::TellLastWords { run: run.id });
        }
        scene.report_failure(run, ending.into_fact(run, scene.now, next));
    }

    /// The crash rule: what follows an end that nobody asked for and that leaves nobody serving.
    fn crashed(&mut self, run: &Run, ending: Ending, scene: &mut Scene<'_>) {
        let lived = ending.life_of(run, scene.now);
        let next = self.next_after(lived, ending.is_success(), scene);
        self.dismiss(run, ending, next, scene);
        match next {
            Next::StartsNow(_) => self.start_again(scene),
            Next::StartsIn(_, pause) => self.state = State::Backoff { until: scene.now + pause },
            Next::Crashed => self.state = State::Crashed,
            Next::Stopped
            | Next::OldServesOn(_)
            | Next::SuccessorStarts(_)
            | Next::SuccessorServes(_)
            | Next::RollsBack(_)
            | Next::RestartsNow
            | Next::RestartsIn(_)
            | Next::LeftAlone
            | Next::Nothing => self.state = State::Stopped,
        }
    }

    /// Its policy brings nobody back any more.
    pub(super) fn stay_down(&mut self, scene: &mut Scene<'_>) {
        let success = scene.history.last_failure.as_ref().is_some_and(|last| last.report.fact.is_good_end());
        if let Some(next) = end_for_good(scene.policy().restart, success) {
            self.state = if next == Next::Crashed { State::Crashed } else { State::Stopped };
            scene.report(Fact::StaysDown);
        }
    }

    fn start_again(&mut self, scene: &mut Scene<'_>) {
        scene.history.restarts.crash += 1;
        self.start_kept(scene);
    }

    fn next_after(&mut self, lived: Duration, success: bool, scene: &Scene<'_>) -> Next {
        let policy = scene.policy();
        let generation = scene.last.next();
        end_for_good(policy.restart, success).unwrap_or_else(|| match self.backoff.fail(lived, policy) {
            Duration::ZERO => Next::StartsNow(generation),
            // Another worker may start first.
            pause => Next::StartsIn((policy.workers == 1).then_some(generation), pause),
        })
    }

    /// Starts what served before, as a generation of its own; its program stays pinned as long as that serves. Where
    /// there is nothing to go back to, or its sockets are given up, it is a crash.
    fn roll_back(&mut self, run: &Run, fallback: Option<Fallback>, ending: Ending, scene: &mut Scene<'_>) {
        match fallback {
            Some(Fallback { definition, pinned }) if definition.has_the_same_sockets(scene.definition) => {
                self.dismiss(run, ending, Next::RollsBack(scene.last.next()), scene);
                scene.history.restarts.rollback += 1;
                self.proven = Some(Box::new(Fallback { definition, pinned }));
                self.start_kept(scene);
            }
            fallback => {
                unpin(fallback, scene);
                self.crashed(run, ending, scene);
            }
        }
    }

    /// Does whatever the time has come for.
    pub(super) fn deadline_passed(&mut self, scene: &mut Scene<'_>) {
        let mut given_up = Vec::new();
        for leaving in &mut self.leaving {
            if let Some(fact) = leaving.deadline_passed(scene) {
                scene.report_on(&leaving.run, fact);
                given_up.extend((!leaving.awaited()).then_some(leaving.run.generation()));
            }
        }
        for generation in given_up {
            self.gone(generation, scene);
        }
        self.care_is_due(scene);
        if self.deadline_of_state().is_some_and(|deadline| deadline <= scene.now) {
            self.state_is_due(scene);
            // One that serves again may have fallen silent meanwhile (simulation, seed 1585).
            self.watchdog_is_due(scene);
        }
    }

    fn state_is_due(&mut self, scene: &mut Scene<'_>) {
        match mem::replace(&mut self.state, State::Stopped) {
            State::Backoff { .. } => self.start_again(scene),
            State::Baking { new, back, .. } => match (new.health.sign(), self.pulse.answer_by(new.id)) {
                // The last thing known of it has to be good.
                (Some(sign), _) => {
                    self.state = State::Baking { new, until: scene.now, back };
                    self.ended(Role::Serving, Why::Sick(sign), scene);
                }
                (None, Some(by)) if new.health == Health::Unknown => {
                    self.state = State::Baking { new, until: by, back };
                }
                (None, _) => self.baked(*new, back, scene),
            },
            state @ (State::Starting { .. } | State::Replacing { .. }) => {
                let alone = matches!(state, State::Starting { .. });
                self.state = state;
                if let Some(candidate) = self.candidate_mut() {
                    let progress = candidate.deadline_passed(alone, scene);
                    self.advanced(progress, scene);
                }
            }
            // These wait for nothing.
            state @ (State::Stopped
            | State::Crashed
            | State::Held
            | State::Up { .. }
            | State::Preflight { .. }
            | State::Restarting { .. }
            | State::Stopping { .. }
            | State::Gone) => self.state = state,
        }
    }
}
