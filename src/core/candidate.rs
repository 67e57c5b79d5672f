//! A run on its way to `up`: started, perhaps tried again, and then held to its gate.

use super::event::Miss;
use super::fact::Fact;
use super::generation::Run;
use super::health::{Health, Watchdog};
use super::scene::Scene;
use super::watch::Watch;
use super::{Action, Sight, SpawnFailure, SpawnStage, Time};
use crate::limits::{
    DURATION_MAX, NO_PROCESS_PATIENCE, NO_PROCESS_RETRY, TEXT_BUSY_PATIENCE, TEXT_BUSY_RETRY,
};
use crate::plan::{Definition, Handshake, Pid, Probe, Ready, RunId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A run that was started and is not ready yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The run.
    pub run: Run,
    /// When it is given up.
    pub ready_by: Time,
    /// Until when a program file that is still being written is tried again.
    busy_until: Time,
    step: Step,
    /// Why its last probe had no good answer.
    missed: Option<Miss>,
}

/// How far the start is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Step {
    /// The start was ordered; whether it worked is not known yet.
    Ordered,
    /// The file of the program was still open for writing, or there was no process to be had; it is tried again.
    Busy { retry_at: Time },
    /// It lives. It is ready when nothing is awaited any more.
    Gated { word: bool, not_before: Option<Time>, watch: Option<Watch>, probe: Option<Probe> },
}

/// What has become of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is not ready yet.
    Waits,
    /// It is.
    Ready,
    /// Its time is over.
    TooLate,
}

impl Candidate {
    /// Orders the start of the next generation of `worker`.
    pub fn start(
        scene: &mut Scene<'_>,
        worker: u32,
        definition: Arc<Definition>,
        program_of: Option<RunId>,
    ) -> Box<Self> {
        let id = scene.next_run();
        let run = Run {
            id,
            worker,
            watchdog: Watchdog::asleep(&definition),
            definition,
            program_of: program_of.map(Box::new),
            pid: None,
            started: scene.now,
            pipe_open: true,
            served: false,
            health: Health::Unknown,
            well_at: scene.now,
            status: None,
            reloading: None,
            signalled: None,
        };
        let mut candidate = Self {
            run,
            ready_by: scene.now,
            busy_until: scene.now + TEXT_BUSY_PATIENCE,
            step: Step::Ordered,
            missed: None,
        };
        candidate.order(scene);
        Box::new(candidate)
    }

    fn order(&mut self, scene: &mut Scene<'_>) {
        self.step = Step::Ordered;
        self.ready_by = scene.now + self.run.definition.policy.ready_timeout;
        scene.out.push(Action::Spawn {
            run: self.run.id,
            worker: self.run.worker,
            definition: self.run.definition.clone(),
            program_of: self.run.program_of.as_deref().copied(),
            listeners: scene.listeners.to_vec(),
        });
    }

    /// When it must hear of the time.
    pub fn deadline(&self) -> Time {
        match &self.step {
            Step::Ordered => self.ready_by,
            Step::Busy { retry_at } => *retry_at,
            Step::Gated { not_before, watch, .. } => {
                let look = watch.as_ref().and_then(|watch| watch.at);
                not_before.iter().copied().chain(look).chain([self.ready_by]).min().unwrap_or(self.ready_by)
            }
        }
    }

    /// The run, which is ready. From now on it is to say that it lives, if it has promised to.
    pub fn into_ready_run(mut self, scene: &mut Scene<'_>) -> Run {
        if !self.run.definition.is_up_by_its_start() {
            scene.out.push(Action::NoteServing { run: self.run.id });
        }
        self.run.watchdog.iter_mut().for_each(|watchdog| watchdog.fed(scene.now));
        self.run.served = true;
        self.run
    }

    /// The run, if it may live.
    pub fn into_living_run(self) -> Option<Run> {
        (!self.is_busy()).then_some(self.run)
    }

    /// Has its program not been started yet?
    pub fn is_busy(&self) -> bool {
        matches!(self.step, Step::Busy { .. })
    }

    /// Its program was started.
    pub fn spawned(&mut self, pid: Pid, scene: &mut Scene<'_>) -> Progress {
        self.run.pid = Some(pid);
        scene.report_on(&self.run, self.run.has_started());
        self.gate(scene)
    }

    /// A run of another supervisor that had not come as far as to serve: it is held to its gate from now on.
    pub fn adopt(mut run: Run, scene: &mut Scene<'_>) -> (Self, Progress) {
        run.watchdog = Watchdog::asleep(&run.definition);
        let ready_by = scene.now + run.definition.policy.ready_timeout;
        let mut candidate = Self { run, ready_by, busy_until: scene.now, step: Step::Ordered, missed: None };
        candidate.gate(scene);
        if let Step::Gated { word, watch: Some(_), .. } = &mut candidate.step
            && candidate.run.definition.program.handshake != Handshake::Pipe
        {
            // What is said on a socket while nobody has its other end is lost, where a pipe keeps it. That it accepts is enough.
            *word = false;
        }
        let progress = candidate.progress();
        (candidate, progress)
    }

    /// It lives: from now on it is held to its gate.
    fn gate(&mut self, scene: &Scene<'_>) -> Progress {
        // Its own sockets: a reload may have come meanwhile (simulation, seed 230).
        let watched = !self.run.definition.listeners.is_empty();
        let look = || watched.then(|| Watch::from(scene.now));
        let mut probe = None;
        let (word, not_before, watch) = match &self.run.definition.policy.ready {
            Ready::Assumed | Ready::Accepting => (false, None, look()),
            // Nor is an answer: with another process on the same address it may be that one's.
            Ready::Probe(wanted) => {
                probe = Some((**wanted).clone());
                (false, None, look())
            }
            // A word alone is not enough where more can be seen: some say READY before they can serve.
            Ready::Word => (true, None, look()),
            Ready::Started => (false, None, None),
            Ready::Delay(delay) => (false, Some(scene.now + *delay), None),
        };
        self.step = Step::Gated { word, not_before, watch, probe };
        self.progress()
    }

    fn progress(&self) -> Progress {
        match self.step {
            Step::Gated { word: false, not_before: None, watch: None, probe: None } => Progress::Ready,
            Step::Gated { .. } | Step::Ordered | Step::Busy { .. } => Progress::Waits,
        }
    }

    /// Takes note of a failed start; `None` if it is to be tried again.
    pub fn spawn_failed(&mut self, failure: SpawnFailure, now: Time) -> Option<SpawnFailure> {
        let (until, pause) = match (failure.stage, failure.errno) {
            (SpawnStage::Exec, libc::ETXTBSY) => (self.busy_until, TEXT_BUSY_RETRY),
            // The second is told at exec, where the process has become its user.
            (SpawnStage::Fork | SpawnStage::Exec, libc::EAGAIN) => {
                (self.run.started + NO_PROCESS_PATIENCE, NO_PROCESS_RETRY)
            }
            _ => return Some(failure),
        };
        if until <= now {
            return Some(failure);
        }
        self.step = Step::Busy { retry_at: now + pause };
        None
    }

    /// It says that it accepts. On the pipe that settles it, and where a word is awaited it is no longer.
    pub fn said_ready(&mut self) -> Progress {
        if let Step::Gated { word, watch, .. } = &mut self.step {
            *word = false;
            if self.run.can_answer() {
                *watch = None;
            }
        }
        self.progress()
    }

    /// What it is to be asked until there is a good answer.
    pub fn awaited_probe(&self) -> Option<&Probe> {
        match &self.step {
            Step::Gated { probe, .. } => probe.as_ref(),
            Step::Ordered | Step::Busy { .. } => None,
        }
    }

    /// The answer to that.
    pub fn probed(&mut self, answer: Result<(), Miss>) -> Progress {
        if let Step::Gated { probe, .. } = &mut self.step {
            match answer {
                Ok(()) => *probe = None,
                Err(miss) => self.missed = Some(miss),
            }
        }
        self.progress()
    }

    /// Why its last probe had no good answer, where one is awaited still.
    pub fn last_miss(&self) -> Option<Miss> {
        self.missed.clone().filter(|_| self.awaited_probe().is_some())
    }

    /// It asks for more time, from now on; never for less.
    pub fn needs(&mut self, longer: Duration, now: Time) -> Progress {
        self.ready_by = self.ready_by.max(now + longer.min(DURATION_MAX));
        self.progress()
    }

    /// The answer to a look.
    pub fn seen(&mut self, sight: Sight, scene: &mut Scene<'_>) -> Progress {
        let Step::Gated { watch: slot @ Some(_), .. } = &mut self.step else { return self.progress() };
        match sight {
            Sight::Accepting | Sight::Busy => {
                *slot = None;
                scene.history.was_seen = true;
            }
            Sight::NotAccepting | Sight::Closed => {
                if let Some(watch) = slot {
                    watch.missed(scene.now);
                }
            }
            Sight::Hidden => {
                *slot = None;
                scene.report_on(&self.run, Fact::CannotBeSeen);
            }
        }
        self.progress()
    }

    /// Does what the time has come for. Where it is `alone` no other run serves in its place meanwhile.
    pub fn deadline_passed(&mut self, alone: bool, scene: &mut Scene<'_>) -> Progress {
        if let Step::Busy { retry_at } = self.step {
            if retry_at <= scene.now {
                self.catch_up(scene);
                self.order(scene);
            }
            return Progress::Waits;
        }
        if let Step::Gated { not_before, watch, .. } = &mut self.step {
            not_before.take_if(|time| *time <= scene.now);
            if let Some(watch) = watch
                && watch.take_due(scene.now)
            {
                scene.out.push(Action::Look { run: self.run.id, closeness: watch.closeness() });
            }
        }
        match self.progress() {
            Progress::Waits if self.ready_by <= scene.now => self.too_late(alone, scene),
            progress @ (Progress::Waits | Progress::Ready | Progress::TooLate) => progress,
        }
    }

    /// A reload may have come between two tries: what is started is what applies now. A rollback stays one, as
    /// long as its sockets are held.
    fn catch_up(&mut self, scene: &mut Scene<'_>) {
        let rolls_back = self.run.program_of.is_some();
        if rolls_back && self.run.definition.has_the_same_sockets(scene.definition) {
            return;
        }
        self.run.program_of = None;
        self.run.definition = scene.definition.clone();
        self.run.watchdog = Watchdog::asleep(&self.run.definition);
    }

    /// Where nothing was configured that it could have missed, nobody else serves, and those before it could not be seen to accept
    /// either, it is taken for ready.
    fn too_late(&self, alone: bool, scene: &mut Scene<'_>) -> Progress {
        let policy = &self.run.definition.policy;
        let seen_alive = matches!(self.step, Step::Gated { word: false, .. });
        if policy.ready == Ready::Assumed && alone && seen_alive && !scene.history.was_seen {
            scene.report_on(&self.run, Fact::TakenForReady { after: policy.ready_timeout });
            return Progress::Ready;
        }
        Progress::TooLate
    }
}
