//! The start of a generation: sockets, pipes, the process, and what is written down of it.

use super::output::NewPipes;
use super::poller::Token;
use super::runtime_dir::RuntimeDir;
use super::spawn::Order;
use super::{Os, clock};
use crate::core::{Event, RunEvent};
use crate::plan::{Definition, ListenerId, RunId};

impl Os {
    pub(super) fn spawn(
        &mut self,
        run: RunId,
        worker: u32,
        definition: &Definition,
        program_of: Option<RunId>,
        listeners: &[ListenerId],
    ) {
        let number = self.processes.next_voice();
        let (poller, token) = (&self.poller, Token::Voice(number));
        let pinned = program_of.and_then(|run| self.pins.of(run));
        let generation = run.generation;
        let in_use = |listener| self.processes.is_in_use(listener);
        let started = self.listeners.restore(listeners, in_use, &mut self.events).and_then(|fds| {
            let pipes = NewPipes::of(definition)?;
            let channels = pipes.channels(definition);
            let runtime_dir = self.runtime_dir.as_ref().map(RuntimeDir::path);
            let order = Order { definition, generation, worker, fds: &fds, pinned, channels, runtime_dir };
            Ok((self.spawner.start(poller, token, &order)?, pipes))
        });
        match started {
            Ok((started, pipes)) => {
                self.write_down(run, worker, definition, listeners, &started, pipes.marks());
                self.logs.add(&self.poller, run, started.pid, definition, pipes, clock::now());
                self.events.extend(self.processes.add(&self.poller, run, listeners, number, started));
            }
            Err(failure) => self.events.push_back(Event::Run(run, RunEvent::SpawnFailed(failure))),
        }
    }
}
