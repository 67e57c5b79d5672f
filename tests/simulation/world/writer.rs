//! The process that writes logs, as the world knows it.

use super::{Entry, World};
use bootstrap::core::{Event, ExitStatus, SpawnFailure, SpawnStage, WriterEvent};
use bootstrap::plan::{Outlet, Pid, RunId, Stream};

impl World {
    pub(super) fn start_writer(&mut self) {
        assert_eq!(self.writer, None, "a second log writer beside the first");
        if !self.calm && self.rng.chance(10) {
            let failure =
                SpawnFailure { stage: SpawnStage::Fork, errno: libc::EAGAIN, subject: String::new() };
            return self.note(self.now, Entry::Arrives(Event::Writer(WriterEvent::NotStarted(failure))));
        }
        self.writers += 1;
        self.writer = Some(self.writers);
        self.note(self.now, Entry::Arrives(Event::Writer(WriterEvent::Started { pid: Pid(7) })));
        if !self.calm {
            let dies = self.now + self.rng.ms_of(&[(0, 100), (100, 20_000), (100_000, 3_000_000)]);
            self.note(dies, Entry::WriterDies(self.writers));
        }
        if self.rng.chance(20) {
            let outlet = Outlet::Journal;
            self.arrives(Event::Writer(WriterEvent::Lost { outlet, lines: 3 }), 60_000);
        }
    }

    pub(super) fn retire_writer(&mut self) {
        self.writer = None;
    }

    pub(super) fn writer_dies(&mut self, number: u64) {
        if self.writer == Some(number) {
            self.writer = None;
            self.feed(Event::Writer(WriterEvent::Ended { status: ExitStatus::Code(1) }));
        }
    }

    pub(super) fn tell_last_words(&mut self, run: RunId) {
        let process = &self.processes[&run];
        let captured = process.definition.program.captured().any(|stream| stream == Stream::Stderr);
        assert!(captured, "last words are asked for that nobody has");
        let (service, pid) = (process.definition.name.clone(), process.pid);
        if self.rng.chance(50) {
            self.arrives(Event::LastWords { run, service, pid, lines: vec!["sorry".into()] }, 100);
        }
    }
}
