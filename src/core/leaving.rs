//! A run that was asked to leave: from the first signal to the last process of its group.
//!
//! What becomes of the service meanwhile (a restart, a stop, a removal) is not known here; the escalation
//! is the same for all of them.

use super::fact::Fact;
use super::generation::Run;
use super::scene::Scene;
use super::watch::Watch;
use super::{Action, Closeness, Hearing, Sight, Time};
use crate::limits::{ASK_AGAIN_FIRST, ASK_AGAIN_MAX, DURATION_MAX, KILL_PATIENCE, LOOKS_UNTIL_QUIET};
use crate::plan::{Handshake, Policy};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A run that is on its way out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// The run.
    pub run: Run,
    /// When it was asked, or was seen to leave.
    pub since: Time,
    /// It was not asked: it said that it leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_itself: bool,
    /// Since when it accepts no more, as far as it said so.
    pub quiet_since: Option<Time>,
    /// How far it is.
    pub phase: Phase,
    /// Looks at whether it still accepts, where it cannot say so itself and somebody waits for it.
    watch: Option<Watch>,
}

/// How far a leaving run is. Each wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The stop signal was sent; its word that it accepts no more is awaited.
    Asked {
        /// Then SIGTERM follows.
        by: Time,
        /// When to ask once more.
        again_at: Option<Time>,
        /// The last pause before a new try, if the server did not listen for the signal yet.
        early: Option<Duration>,
    },
    /// It finishes what is in flight.
    Draining {
        /// Then SIGTERM follows.
        by: Time,
    },
    /// SIGTERM was sent.
    Terminating {
        /// Then SIGKILL follows.
        by: Time,
        /// When all of its group get it, where the main process alone has had it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        all_at: Option<Time>,
    },
    /// SIGKILL was sent to its group.
    Killed {
        /// Then we go on without it.
        by: Time,
    },
    /// The kernel does not end it. Nothing waits for it any more; its exit is still welcome.
    Stuck,
}

impl Leaving {
    /// Asks a run to leave. One that cannot say when it accepts no more is only waited for.
    pub fn ask(run: Run, scene: &mut Scene<'_>) -> Self {
        let policy = &run.definition.policy;
        let hearing = run.hearing(scene.now);
        scene.out.push(Action::Ask { run: run.id, signal: policy.stop_signal, hearing });
        // A server whose runtime swallowed the first signal (no handler of its own yet), or that still ignored it,
        // gets a second chance before it is terminated.
        let again_at = Some(scene.now + policy.handover_timeout / 2);
        let speaks = run.definition.program.handshake == Handshake::Pipe;
        Self::asked(run, speaks, again_at, scene)
    }

    /// Takes note of a run that was asked before, by another supervisor: it has as long as if that was now.
    pub fn asked_before(run: Run, scene: &Scene<'_>) -> Self {
        let speaks = run.can_answer();
        Self::asked(run, speaks, None, scene)
    }

    fn asked(run: Run, speaks: bool, again_at: Option<Time>, scene: &Scene<'_>) -> Self {
        let policy = &run.definition.policy;
        let phase = if speaks {
            Phase::Asked { by: scene.now + policy.handover_timeout, again_at, early: None }
        } else {
            Phase::Draining { by: scene.now + policy.drain_timeout }
        };
        Self::new(run, phase, scene)
    }

    /// Takes note of a run that leaves by itself, having said so.
    pub fn by_itself(run: Run, scene: &Scene<'_>) -> Self {
        let phase = Phase::Draining { by: scene.now + run.definition.policy.drain_timeout };
        Self { quiet_since: Some(scene.now), by_itself: true, ..Self::new(run, phase, scene) }
    }

    /// Sends SIGTERM to a run.
    pub fn terminate(run: Run, scene: &mut Scene<'_>) -> Self {
        let mut leaving = Self::new(run, Phase::Stuck, scene);
        leaving.terminate_now(scene);
        leaving
    }

    /// Its main process has crashed. What is left of its group may serve clients: it is asked to finish them, since another main
    /// process gets their socket all the same. Without one it is in the way of the next.
    pub fn ask_rest(run: Run, scene: &mut Scene<'_>) -> (Self, Fact) {
        let policy = &run.definition.policy;
        let (stop_timeout, drain_timeout) = (policy.stop_timeout, policy.drain_timeout);
        if run.definition.listeners.is_empty() {
            return (Self::terminate_rest(run, scene), Fact::Leftovers { stop_timeout });
        }
        // Who speaks on the pipe is the main process, and its signal may be the death of others.
        let speaks = run.definition.program.handshake == Handshake::Pipe;
        let signal = if speaks { libc::SIGTERM } else { policy.stop_signal };
        scene.out.push(Action::AskGroup { run: run.id, signal });
        let phase = Phase::Draining { by: scene.now + drain_timeout };
        (Self::new(run, phase, scene), Fact::LeftoversAsked { signal, drain_timeout })
    }

    /// Sends SIGTERM to what is left of the group of a run.
    pub fn terminate_rest(run: Run, scene: &mut Scene<'_>) -> Self {
        scene.out.push(Action::Terminate { run: run.id });
        let phase = Phase::Terminating { by: scene.now + run.definition.policy.stop_timeout, all_at: None };
        Self::new(run, phase, scene)
    }

    /// Kills a run with its group.
    pub fn kill(run: Run, scene: &mut Scene<'_>) -> Self {
        scene.out.push(Action::Kill { run: run.id });
        let phase = Phase::Killed { by: scene.now + KILL_PATIENCE };
        Self::new(run, phase, scene)
    }

    fn new(run: Run, phase: Phase, scene: &Scene<'_>) -> Self {
        Self { run, since: scene.now, by_itself: false, quiet_since: None, phase, watch: None }
    }

    /// How it is treated: as the definition says that it was started from. Another signal or protocol may mean
    /// nothing to it, or its death.
    pub fn policy(&self) -> &Policy {
        &self.run.definition.policy
    }

    /// Kills it now, if that was not done yet.
    pub fn kill_now(&mut self, scene: &mut Scene<'_>) {
        match self.phase {
            Phase::Asked { .. } | Phase::Draining { .. } | Phase::Terminating { .. } => {
                scene.out.push(Action::Kill { run: self.run.id });
                self.phase = Phase::Killed { by: scene.now + KILL_PATIENCE };
            }
            Phase::Killed { .. } | Phase::Stuck => {}
        }
    }

    /// Sends SIGTERM ahead of its time. Tells whether that was not done before.
    pub fn hurry(&mut self, scene: &mut Scene<'_>) -> bool {
        let waits = matches!(self.phase, Phase::Asked { .. } | Phase::Draining { .. });
        if waits {
            self.terminate_now(scene);
        }
        waits
    }

    fn terminate_now(&mut self, scene: &mut Scene<'_>) {
        scene.out.push(Action::Terminate { run: self.run.id });
        let stop_timeout = self.policy().stop_timeout;
        self.phase =
            Phase::Terminating { by: scene.now + stop_timeout, all_at: Some(scene.now + half(stop_timeout)) };
    }

    /// Its main process has ended. The rest of its group gets SIGTERM where that had it, for the first that it heard would be
    /// SIGKILL; and where it has to end. It has as long as is left: there may be a next main process, and one after that.
    pub fn tell_the_rest(&mut self, scene: &mut Scene<'_>) -> Option<Fact> {
        let has_to_end = self.has_to_end();
        let stop_timeout = match self.phase {
            Phase::Terminating { by, .. } => {
                self.phase = Phase::Terminating { by, all_at: None };
                by - scene.now
            }
            Phase::Asked { .. } | Phase::Draining { .. } if has_to_end => {
                self.drain(scene.now);
                self.patience(scene.now) + self.policy().stop_timeout
            }
            Phase::Asked { .. } | Phase::Draining { .. } | Phase::Killed { .. } | Phase::Stuck => {
                return None;
            }
        };
        scene.out.push(Action::Terminate { run: self.run.id });
        Some(Fact::Leftovers { stop_timeout })
    }

    /// Is its successor, if there is to be one, to wait until all of its group have ended? It has no socket of ours, but may have
    /// an address of its own, and it has not said that it is done.
    pub fn has_to_end(&self) -> bool {
        self.run.definition.listeners.is_empty() && self.quiet_since.is_none()
    }

    /// Begins to look from outside whether it still accepts.
    pub fn watch(&mut self, now: Time) {
        self.watch = Some(Watch::from(now));
    }

    /// The same where nobody waits for it.
    pub fn watch_patiently(&mut self, now: Time) {
        self.watch = Some(Watch::patient(now));
    }

    /// The answer to a look. Tells whether it is quiet now.
    pub fn seen(&mut self, sight: Sight, now: Time) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        match sight {
            Sight::Accepting => watch.hit(now),
            Sight::NotAccepting | Sight::Busy | Sight::Closed => watch.missed(now),
            // Its exit is waited for, then.
            Sight::Hidden => self.watch = None,
        }
        self.watch.is_some_and(|watch| watch.misses >= LOOKS_UNTIL_QUIET)
    }

    /// When it must hear of the time, if ever.
    pub fn deadline(&self) -> Option<Time> {
        let look = self.watch.and_then(|watch| watch.at);
        self.deadline_of_phase().into_iter().chain(look).min()
    }

    fn deadline_of_phase(&self) -> Option<Time> {
        match self.phase {
            Phase::Asked { by, again_at, .. } => Some(again_at.map_or(by, |at| at.min(by))),
            Phase::Terminating { by, all_at } => Some(all_at.unwrap_or(by)),
            Phase::Draining { by } | Phase::Killed { by } => Some(by),
            Phase::Stuck => None,
        }
    }

    /// How long the current wait still is.
    pub fn patience(&self, now: Time) -> Duration {
        match self.phase {
            Phase::Asked { by, .. }
            | Phase::Draining { by }
            | Phase::Terminating { by, .. }
            | Phase::Killed { by } => by - now,
            Phase::Stuck => Duration::ZERO,
        }
    }

    /// It accepts no more: it said so, or its main process is gone.
    pub fn quiet(&mut self, now: Time) {
        self.quiet_since.get_or_insert(now);
        self.watch = None;
        self.drain(now);
    }

    /// Nothing more is awaited of it but its end.
    fn drain(&mut self, now: Time) {
        if matches!(self.phase, Phase::Asked { .. }) {
            self.phase = Phase::Draining { by: now + self.policy().drain_timeout };
        }
    }

    /// It asks for more time to finish, from now on; never for less.
    pub fn needs(&mut self, longer: Duration, now: Time) {
        if let Phase::Draining { by } = &mut self.phase {
            *by = (*by).max(now + longer.min(DURATION_MAX));
        }
    }

    /// The signal did not reach it: its handler is not installed yet. Gives the pause before the next try,
    /// the first time.
    pub fn not_listening(&mut self, now: Time) -> Option<Duration> {
        let Phase::Asked { by, early, .. } = self.phase else { return None };
        let pause = early.map_or(ASK_AGAIN_FIRST, |pause| (pause * 2).min(ASK_AGAIN_MAX));
        self.phase = Phase::Asked { by, again_at: Some(now + pause), early: Some(pause) };
        early.is_none().then_some(pause)
    }

    /// May it still accept, as far as is known?
    pub fn may_accept(&self) -> bool {
        self.quiet_since.is_none() && self.awaited()
    }

    /// Does the service still have to wait for it?
    pub fn awaited(&self) -> bool {
        self.phase != Phase::Stuck
    }

    /// Does what the time has come for, and says what that was.
    pub fn deadline_passed(&mut self, scene: &mut Scene<'_>) -> Option<Fact> {
        if self.watch.as_mut().is_some_and(|watch| watch.take_due(scene.now)) {
            scene.out.push(Action::Look { run: self.run.id, closeness: Closeness::Waiting });
        }
        if self.deadline_of_phase().is_none_or(|deadline| scene.now < deadline) {
            return None;
        }
        self.escalate(scene)
    }

    fn escalate(&mut self, scene: &mut Scene<'_>) -> Option<Fact> {
        let (now, run) = (scene.now, self.run.id);
        let (after, stop_timeout) = (now - self.since, self.policy().stop_timeout);
        match self.phase {
            Phase::Asked { by, early, .. } if now < by => {
                self.phase = Phase::Asked { by, again_at: None, early };
                let signal = self.policy().stop_signal;
                scene.out.push(Action::Ask { run, signal, hearing: Hearing::Unknown });
                None
            }
            Phase::Asked { .. } => {
                self.terminate_now(scene);
                Some(Fact::Silent { after, stop_timeout })
            }
            Phase::Draining { .. } => {
                self.terminate_now(scene);
                Some(Fact::DrainTooLong { after, by_itself: self.by_itself, stop_timeout })
            }
            Phase::Terminating { all_at: Some(_), .. } => {
                // However late it is: nobody hears SIGKILL as the first signal.
                let rest = half(stop_timeout);
                self.phase = Phase::Terminating { by: now + rest, all_at: None };
                scene.out.push(Action::TerminateGroup { run });
                Some(Fact::GroupTerminated { rest })
            }
            Phase::Terminating { all_at: None, .. } => {
                self.kill_now(scene);
                Some(Fact::Killed { timeout: stop_timeout })
            }
            Phase::Killed { .. } => {
                self.phase = Phase::Stuck;
                self.watch = None;
                Some(Fact::Unkillable { after: KILL_PATIENCE })
            }
            Phase::Stuck => None,
        }
    }
}

/// Half of a time, and never nothing: the clock of the core counts milliseconds.
fn half(time: Duration) -> Duration {
    (time / 2).max(Duration::from_millis(1))
}
