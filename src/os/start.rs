//! From an order to start to a run that is known, and written down for a supervisor that comes later.

use super::output::NewPipes;
use super::precedence::Precedence;
use super::records::{Known, Records, Start};
use super::runtime_dir::RuntimeDir;
use super::spawn::{Expected, Order};
use super::watches::Look;
use super::{Os, clock};
use crate::core::generation::Run;
use crate::core::{Event, RunEvent, Time};
use crate::plan::{Definition, ListenerId, RunId};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

impl Os {
    pub(super) fn spawn(
        &mut self,
        run: RunId,
        worker: u32,
        definition: &Arc<Definition>,
        program_of: Option<RunId>,
        listeners: &[ListenerId],
    ) {
        let number = self.processes.next_voice();
        let poller = &self.poller;
        let pinned = program_of.and_then(|run| self.pins.of(run));
        let env_file = program_of.and_then(|run| self.env_files.of(run));
        let generation = run.generation;
        let in_use = |listener| self.processes.is_in_use(listener);
        let look = Cell::new(None);
        let precedence = Precedence::among(self.events.len());
        let started = self.listeners.restore(listeners, in_use, &mut self.events).and_then(|fds| {
            let runtime_dir = self.runtime_dir.as_ref().map(RuntimeDir::path);
            let pipes = NewPipes::of(definition)?;
            let channels = pipes.channels(definition);
            let (records, held, started) = (self.records.as_ref(), &self.listeners, clock::now());
            let look_at = |program: &Path| look.set(definition.policy.watch.then(|| Look::at(program)));
            let expect = |Expected { voice, program, inode, cgroup }: &Expected<'_>| {
                look_at(program);
                let (voice, inode, cgroup) = (voice.clone(), *inode, *cgroup);
                let known = Known { pid: 0, group: None, listeners, voice, program, inode, cgroup };
                let (sockets, output) = (held.held(listeners), pipes.marks());
                records?.expect(Start { run, worker, started, sockets, known, output }, definition)
            };
            let (expect, missed, fds) = (&expect, &look_at, &fds);
            let order = Order {
                definition,
                generation,
                worker,
                fds,
                pinned,
                env_file,
                channels,
                runtime_dir,
                precedence,
                expect,
                missed,
            };
            Ok((self.spawner.start(poller, number, &order)?, pipes))
        });
        // Of one that could not be executed, too: its file may be mended.
        look.into_inner().into_iter().for_each(|look| self.watches.started(run, look));
        match started {
            Ok((mut started, pipes)) => {
                if definition.policy.rollback && definition.program.env_file.is_some() {
                    self.env_files.started(run, std::mem::take(&mut started.env_file));
                }
                self.logs.add(&self.poller, run, started.pid, definition, pipes, clock::now());
                let (pid, signed) = (started.pid, started.signed);
                let told = self.processes.add(&self.poller, run, listeners, number, started);
                let is_written = |records: &mut Records| records.born(run, pid, signed);
                if !self.records.as_mut().is_some_and(is_written) {
                    self.write_down(run, worker, self.now(), definition);
                }
                self.events.extend(told);
            }
            Err(failure) => {
                if let Some(records) = &self.records {
                    records.expect_no_more();
                }
                self.events.push_back(Event::Run(run, RunEvent::SpawnFailed(failure)));
            }
        }
    }

    /// What stood in the `env_file` of a run is kept as long as it lives, or its program is to be kept.
    pub(super) fn forget_env_file(&mut self, run: RunId) {
        self.env_files.forget_unless(run, self.processes.has(run) || self.pins.has(run));
    }

    /// Writes down a run that has just started: the sooner, the less there is to lose.
    fn write_down(&mut self, run: RunId, worker: u32, started: Time, definition: &Arc<Definition>) {
        let Some(records) = &mut self.records else { return };
        let Some(known) = self.processes.known(run) else { return };
        let sockets = self.listeners.held(known.listeners);
        let written = records.started(
            Start { run, worker, started, sockets, known, output: self.logs.marks(run) },
            definition,
        );
        // Where the system did not refuse, it has ended already.
        if let Some(errno) = written.err().and_then(|error| error.raw_os_error()) {
            self.events.push_back(Event::NotWrittenDown { run, errno });
        }
    }

    /// Writes down that a run serves, and whether what serves is the program that was started.
    pub(super) fn note_serving(&mut self, run: RunId) {
        let Some(records) = &mut self.records else { return };
        records.serves(run, || self.processes.is_what_was_started(run));
    }

    /// Writes all runs down again where somebody has removed the file, and those that could not be written down when they
    /// started; `serving` says of each whether it serves.
    pub fn write_down_again<'a>(&mut self, runs: impl Iterator<Item = (&'a Run, bool)>) {
        let Some(renewed) = self.records.as_mut().map(Records::renew) else { return };
        let errno = renewed.err().map(|error| error.raw_os_error().unwrap_or(libc::EIO));
        for (run, serving) in runs {
            if let Some(errno) = errno {
                self.events.push_back(Event::NotWrittenDown { run: run.id, errno });
                continue;
            }
            if self.records.as_ref().is_some_and(|records| records.has(run.id)) {
                continue;
            }
            self.write_down(run.id, run.worker, run.started, &run.definition);
            if serving {
                self.note_serving(run.id);
            }
            let Some(records) = self.records.as_ref().filter(|_| !self.processes.stays(run.id)) else {
                continue;
            };
            if self.processes.is_quiet(run.id) { records.quiet(run.id) } else { records.asked(run.id) }
        }
    }
}
