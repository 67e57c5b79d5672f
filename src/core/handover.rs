//! What happens to a worker's leaving runs, and when the next one may start because of it.

use super::fact::{Fact, Next};
use super::leaving::Phase;
use super::scene::Scene;
use super::state::{State, Successor};
use super::status_text::StatusText;
use super::worker::Worker;
use super::{Action, RunEvent, Sight};
use crate::plan::Generation;
use crate::protocol::{Notice, Word};
use std::mem;

impl Worker {
    pub(super) fn leaving_happened(&mut self, at: usize, event: RunEvent, scene: &mut Scene<'_>) {
        let generation = self.leaving[at].run.generation();
        match event {
            RunEvent::Spawned { pid } => {
                self.leaving[at].run.pid = Some(pid);
                let run = &self.leaving[at].run;
                scene.report_on(run, run.has_started());
            }
            RunEvent::SpawnFailed(failure) => {
                let leaving = self.leaving.remove(at);
                scene.report_on(&leaving.run, Fact::SpawnFailed { failure, next: Next::Nothing });
                self.gone(generation, scene);
            }
            RunEvent::Said(word @ (Word::Success | Word::Failed)) => self.answered(at, word, scene),
            RunEvent::PipeEnded(end) => {
                self.leaving[at].run.pipe_open = false;
                if let Phase::Asked { by, .. } = self.leaving[at].phase {
                    let left = Some(by - scene.now);
                    scene.report_on(&self.leaving[at].run, Fact::PipeEnded { end, left });
                }
            }
            RunEvent::NotListening => {
                if let Some(again_in) = self.leaving[at].not_listening(scene.now) {
                    scene.report_on(&self.leaving[at].run, Fact::AskedTooEarly { again_in });
                }
            }
            RunEvent::Seen(sight) => self.seen(at, sight, scene),
            RunEvent::Exited { status, group_left } => {
                let leaving = &self.leaving[at];
                let (after, by_itself) = (scene.now - leaving.since, leaving.by_itself);
                scene.report_on(&leaving.run, Fact::Left { status, after, by_itself, group_left });
                if group_left {
                    scene.out.push(Action::NameLeftovers { run: self.leaving[at].run.id });
                    if let Some(fact) = self.leaving[at].tell_the_rest(scene) {
                        scene.report_on(&self.leaving[at].run, fact);
                    }
                    if !self.leaving[at].has_to_end() {
                        self.leaving[at].quiet(scene.now);
                        self.quiet(generation, scene);
                    }
                } else {
                    self.leaving.remove(at);
                    self.gone(generation, scene);
                }
            }
            RunEvent::LeftBehind { first, all } => {
                scene.report_on(&self.leaving[at].run, Fact::LeftBehind { first, all });
            }
            RunEvent::GroupEmpty => {
                let leaving = self.leaving.remove(at);
                let after = scene.now - leaving.since;
                scene.report_on(&leaving.run, Fact::GroupEnded { after, by_itself: leaving.by_itself });
                self.gone(generation, scene);
            }
            RunEvent::Notified(Notice::ExtendTimeout(longer)) => self.leaving[at].needs(longer, scene.now),
            RunEvent::Notified(Notice::Status(text)) => {
                self.leaving[at].run.status = Some(Box::new(StatusText::of(&text)));
            }
            RunEvent::Notified(Notice::MainPid(pid)) => self.leaving[at].run.turn_to(pid, scene),
            RunEvent::NotItsProcess(named) => {
                scene.report_on(&self.leaving[at].run, Fact::NotItsProcess { named });
            }
            // It was asked to leave; that it could serve does not matter any more, nor how it is.
            RunEvent::Said(Word::Ready)
            | RunEvent::Notified(_)
            | RunEvent::Probed { .. }
            | RunEvent::Foreseen(_) => {}
        }
    }

    fn answered(&mut self, at: usize, word: Word, scene: &mut Scene<'_>) {
        let leaving = &mut self.leaving[at];
        if leaving.quiet_since.is_some() {
            return;
        }
        leaving.quiet(scene.now);
        let (generation, after) = (leaving.run.generation(), scene.now - leaving.since);
        let drain_timeout = leaving.policy().drain_timeout;
        scene.report_on(&self.leaving[at].run, Fact::Answered { word, after, drain_timeout });
        self.quiet(generation, scene);
    }

    fn seen(&mut self, at: usize, sight: Sight, scene: &mut Scene<'_>) {
        let leaving = &mut self.leaving[at];
        let old = leaving.run.generation();
        let is_awaited = matches!(self.state, State::Restarting { old: awaited, .. } if awaited == old);
        if leaving.seen(if is_awaited { sight } else { sight.beyond_doubt() }, scene.now) {
            leaving.quiet(scene.now);
            let (generation, after) = (leaving.run.generation(), scene.now - leaving.since);
            let drain_timeout = leaving.policy().drain_timeout;
            scene.report_on(&self.leaving[at].run, Fact::SeenQuiet { after, drain_timeout });
            self.quiet(generation, scene);
        }
    }

    /// A leaving run accepts no more. Late counts too: a successor is due even if SIGTERM was sent meanwhile.
    fn quiet(&mut self, generation: Generation, scene: &mut Scene<'_>) {
        let awaited = matches!(self.state, State::Restarting { old, .. } if old == generation);
        if let Some(State::Restarting { fallback, successor, .. }) =
            awaited.then(|| mem::replace(&mut self.state, State::Stopped))
        {
            match successor {
                Successor::New => self.start(fallback, scene),
                Successor::Kept => self.start_kept(scene),
            }
        }
    }

    /// A leaving run is over, or nothing waits for it any more.
    pub(super) fn gone(&mut self, generation: Generation, scene: &mut Scene<'_>) {
        self.quiet(generation, scene);
        self.finish_if_alone();
        if self.leaving.is_empty() {
            // Its room as well: a service rests far longer than it restarts.
            self.leaving.shrink_to_fit();
        }
    }
}
