//! What services write, as far as the supervisor has to do with it: it holds the pipes, starts the log writer, gives it
//! the pipes, and hears from it. It never reads a pipe, nor waits for the writer.

use super::inherited::{Legacy, Numbers};
use super::log_pulse::LogPulse;
use super::output::{NewPipes, PipeMark};
use super::passing::{receive, send};
use super::poller::Poller;
use super::scribe::Scribe;
use crate::core::{Event, Time, WriterEvent};
use crate::limits::{LOG_PIPES_LEFT, LOG_TAILS, LOG_WRITER_PATIENCE};
use crate::plan::{Definition, Pid, RunId, ServiceName, Stream};
use crate::protocol::logs::{FromWriter, LogPipe, ToWriter};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd as _, OwnedFd, RawFd};

/// A pipe that somebody may write to, or that was not read to its end.
struct Held {
    run: RunId,
    reader: OwnedFd,
    pipe: LogPipe,
    /// Its last lines are wanted.
    tail_wanted: bool,
}

/// The last words of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LastWords {
    run: RunId,
    service: ServiceName,
    pid: Pid,
    lines: Vec<String>,
}

/// What is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptLogs {
    pipes: Vec<(RunId, RawFd, LogPipe, bool)>,
    last: u32,
    /// Pid, process and socket of the writer.
    writer: Option<(i32, RawFd, RawFd)>,
    untold: BTreeSet<u32>,
    owed: BTreeMap<u32, Time>,
    torn: bool,
    tails: VecDeque<LastWords>,
}

/// All pipes, and the log writer.
#[derive(Default)]
pub(super) struct Logs {
    pipes: BTreeMap<u32, Held>,
    by_run: BTreeMap<(RunId, Stream), u32>,
    last: u32,
    pub(super) writer: Option<Scribe>,
    /// Pipes that the writer was not given.
    untold: BTreeSet<u32>,
    /// Those that it has not taken yet, and since when.
    owed: BTreeMap<u32, Time>,
    /// Pipes whose last lines are to be asked for.
    asking: BTreeSet<u32>,
    /// It is to be asked whether it is there.
    pinging: bool,
    pulse: LogPulse,
    /// A writer may have been killed while it wrote.
    torn: bool,
    /// What runs said last whose pipes have ended.
    tails: VecDeque<LastWords>,
}

impl Logs {
    /// Holds the pipes of a run that was started.
    pub(super) fn add(
        &mut self,
        poller: &Poller,
        run: RunId,
        pid: i32,
        definition: &Definition,
        pipes: NewPipes,
        now: Time,
    ) {
        for (stream, reader) in pipes.into_readers() {
            self.pulse.watch(poller, &reader);
            self.hold(run, pid, definition, stream, reader);
        }
        self.tell(poller, now);
    }

    /// Holds one pipe. Of those that nobody reads to the end the oldest is given up, where they are too many: only the
    /// writer has it then.
    fn hold(&mut self, run: RunId, pid: i32, definition: &Definition, stream: Stream, reader: OwnedFd) {
        let Some(output) = &definition.program.output else { return };
        self.last = self.last.wrapping_add(1);
        let number = self.last;
        let pipe = LogPipe {
            number,
            service: definition.name.clone(),
            generation: run.generation,
            pid: Pid(pid),
            stream,
            outlet: output.of(stream).clone(),
            keeping: output.keeping,
            torn: self.torn,
        };
        let of_service = RunId { generation: crate::plan::Generation(0), ..run };
        let next = RunId { service: crate::plan::ServiceId(run.service.0 + 1), ..of_service };
        let held = self.by_run.range((of_service, Stream::Stdout)..(next, Stream::Stdout));
        if held.clone().count() >= LOG_PIPES_LEFT {
            let oldest = held.map(|(_, number)| *number).next();
            if let Some(number) = oldest {
                self.drop_pipe(number);
            }
        }
        self.pipes.insert(number, Held { run, reader, pipe, tail_wanted: false });
        self.by_run.insert((run, stream), number);
        self.untold.insert(number);
    }

    /// Holds a pipe that a supervisor before this one held. Its writer may have been killed in the middle of a line.
    pub(super) fn take_back(
        &mut self,
        poller: &Poller,
        run: RunId,
        pid: i32,
        definition: &Definition,
        stream: Stream,
        reader: OwnedFd,
    ) {
        self.torn = true;
        self.pulse.watch(poller, &reader);
        self.hold(run, pid, definition, stream, reader);
    }

    /// By what the pipes of a run are found again.
    pub(super) fn marks(&self, run: RunId) -> Vec<PipeMark> {
        let held = |stream: Stream| self.pipes.get(self.by_run.get(&(run, stream))?);
        let mark = |stream: Stream| PipeMark::of(stream, &held(stream)?.reader);
        Stream::ALL.into_iter().filter_map(mark).collect()
    }

    /// The writer reads from now on.
    pub(super) fn begin(&mut self, poller: &Poller, writer: Scribe, now: Time) {
        self.writer = Some(writer);
        self.tell(poller, now);
    }

    /// Nobody needs a writer any more. What it still has to write it writes by itself, and ends.
    pub(super) fn retire(&mut self, poller: &Poller) {
        if let Some(writer) = self.writer.take() {
            writer.forget(poller);
        }
        self.pulse.end(poller);
        let (last, torn) = (self.last, self.torn);
        *self = Self { last, torn, tails: std::mem::take(&mut self.tails), ..Self::default() };
    }

    /// Gives the writer what it does not have yet, as far as it takes it now.
    fn tell(&mut self, poller: &Poller, now: Time) {
        let Some(writer) = &mut self.writer else { return };
        while let Some(number) = self.untold.first().copied() {
            let Some(held) = self.pipes.get(&number) else {
                self.untold.remove(&number);
                continue;
            };
            let message = ToWriter::Pipe(LogPipe { torn: self.torn, ..held.pipe.clone() });
            match send(&writer.socket, &message, Some(held.reader.as_fd())) {
                Ok(()) => {
                    self.untold.remove(&number);
                    self.owed.insert(number, now);
                }
                Err(Errno::EINTR) => {}
                // Its end is on the way, or there will be room.
                Err(_) => return writer.watch(poller, true),
            }
        }
        while let Some(number) = self.asking.first().copied() {
            match send(&writer.socket, &ToWriter::Tail { pipe: number }, None) {
                Ok(()) => _ = self.asking.remove(&number),
                Err(Errno::EINTR) => {}
                Err(_) => return writer.watch(poller, true),
            }
        }
        if self.pinging {
            match send(&writer.socket, &ToWriter::Ask, None) {
                Ok(()) => self.pinging = false,
                Err(_) => return writer.watch(poller, true),
            }
        }
        writer.watch(poller, false);
    }

    /// A service has written something: is the writer there?
    pub(super) fn stirred(&mut self, poller: &Poller, now: Time) {
        self.pinging = self.pulse.stirred(self.writer.is_some(), now);
        self.tell(poller, now);
    }

    /// Takes what the writer says, and tells it more.
    pub(super) fn hear(&mut self, poller: &Poller, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(message) = self.next_message(poller) {
            events.extend(self.heard(message, now));
        }
        self.tell(poller, now);
        events
    }

    fn next_message(&mut self, poller: &Poller) -> Option<FromWriter> {
        let writer = self.writer.as_mut()?;
        loop {
            match receive(&writer.socket) {
                Ok(Some((message, _))) => return Some(message),
                Err(Errno::EINTR | Errno::EBADMSG) => {}
                // Its process tells the rest.
                Ok(None) => {
                    poller.forget(&writer.socket);
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    fn heard(&mut self, message: FromWriter, now: Time) -> Option<Event> {
        match message {
            FromWriter::Here => {
                self.pulse.answered(now);
                None
            }
            FromWriter::Taken { pipe } => {
                self.owed.remove(&pipe);
                None
            }
            FromWriter::Tail { pipe, lines } => {
                let held = self.pipes.get_mut(&pipe).filter(|held| held.tail_wanted)?;
                held.tail_wanted = false;
                Some(held.last_words(lines).event())
            }
            FromWriter::Ended { pipe, tail } => {
                let held = self.drop_pipe(pipe)?;
                let words = held.last_words(tail);
                if held.tail_wanted {
                    return Some(words.event());
                }
                if held.pipe.stream == Stream::Stderr && !words.lines.is_empty() {
                    self.tails.push_back(words);
                    if self.tails.len() > LOG_TAILS {
                        self.tails.pop_front();
                    }
                }
                None
            }
            FromWriter::Failing { outlet, why } => Some(Event::Writer(WriterEvent::Failing { outlet, why })),
            FromWriter::NoThread { outlet, why } => {
                Some(Event::Writer(WriterEvent::NoThread { outlet, why }))
            }
            FromWriter::Recovered { outlet } => Some(Event::Writer(WriterEvent::Recovered { outlet })),
            FromWriter::Losing { outlet } => Some(Event::Writer(WriterEvent::Losing { outlet })),
            FromWriter::Lost { outlet, lines } => Some(Event::Writer(WriterEvent::Lost { outlet, lines })),
            FromWriter::Flushed => {
                if let Some(writer) = &mut self.writer {
                    writer.flushed = true;
                }
                None
            }
        }
    }

    fn drop_pipe(&mut self, number: u32) -> Option<Held> {
        let held = self.pipes.remove(&number)?;
        self.pulse.forget(&held.reader);
        self.by_run.remove(&(held.run, held.pipe.stream));
        self.untold.remove(&number);
        self.owed.remove(&number);
        self.asking.remove(&number);
        Some(held)
    }

    /// Asks what a run said last on its stderr; the answer is an event, unless it said nothing.
    pub(super) fn ask_last_words(&mut self, poller: &Poller, run: RunId, now: Time) -> Option<Event> {
        if let Some(at) = self.tails.iter().position(|words| words.run == run) {
            return self.tails.remove(at).map(LastWords::event);
        }
        let number = *self.by_run.get(&(run, Stream::Stderr))?;
        self.pipes.get_mut(&number)?.tail_wanted = true;
        self.asking.insert(number);
        self.tell(poller, now);
        None
    }

    /// Were they asked for, and not told yet?
    pub(super) fn awaits_last_words(&self, run: RunId) -> bool {
        let number = self.by_run.get(&(run, Stream::Stderr));
        number.and_then(|number| self.pipes.get(number)).is_some_and(|held| held.tail_wanted)
    }

    /// The writer has ended: what it said last, and how it ended.
    pub(super) fn writer_ended(&mut self, poller: &Poller, now: Time) -> Vec<Event> {
        let mut events = self.hear(poller, now);
        let Some(writer) = self.writer.take() else { return events };
        writer.forget(poller);
        self.torn = true;
        self.owed.clear();
        self.pinging = false;
        self.pulse.writer_ended(now);
        self.untold = self.pipes.keys().copied().collect();
        self.asking =
            self.pipes.iter().filter(|(_, held)| held.tail_wanted).map(|(number, _)| *number).collect();
        events.push(Event::Writer(WriterEvent::Ended { status: writer.status() }));
        events
    }

    /// When a writer is given up that takes no pipe, or does not answer.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.taken_by().into_iter().chain(self.pulse.deadline()).min()
    }

    fn taken_by(&self) -> Option<Time> {
        self.owed.first_key_value().map(|(_, since)| *since + LOG_WRITER_PATIENCE)
    }

    /// Ends a writer that hangs; its process tells the rest.
    pub(super) fn deadline_passed(&mut self, poller: &Poller, now: Time) -> Option<Event> {
        let silent = self.pulse.deadline_passed(poller, now);
        let late = silent || self.taken_by().is_some_and(|deadline| deadline <= now);
        let writer = self.writer.as_ref().filter(|_| late)?;
        writer.kill();
        self.owed.clear();
        self.pulse.writer_ended(now);
        Some(Event::Writer(WriterEvent::Silent { after: LOG_WRITER_PATIENCE }))
    }

    /// Does nobody write any more, or has the writer written what it had?
    pub(super) fn is_flushed(&self) -> bool {
        self.writer.as_ref().is_none_or(|writer| writer.flushed)
    }

    /// Leaves everything to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> Option<KeptLogs> {
        if self.writer.is_none() && self.pipes.is_empty() {
            return None;
        }
        let pipes = self.pipes.values();
        Some(KeptLogs {
            pipes: pipes
                .map(|held| (held.run, numbers.keep(&held.reader), held.pipe.clone(), held.tail_wanted))
                .collect(),
            last: self.last,
            writer: self.writer.as_ref().map(|writer| writer.keep(numbers)),
            untold: self.untold.clone(),
            owed: self.owed.clone(),
            torn: self.torn,
            tails: self.tails.clone(),
        })
    }

    /// Takes it over.
    pub(super) fn restore(
        poller: &Poller,
        kept: Option<KeptLogs>,
        legacy: &mut Legacy,
        now: Time,
    ) -> nix::Result<Self> {
        let Some(KeptLogs { pipes, last, writer, untold, owed, torn, tails }) = kept else {
            return Ok(Self::default());
        };
        let mut logs = Self { last, untold, owed, torn, tails, ..Self::default() };
        for (run, number, pipe, tail_wanted) in pipes {
            let reader = legacy.claim(number)?;
            if tail_wanted {
                logs.asking.insert(pipe.number);
            }
            logs.pulse.watch(poller, &reader);
            logs.by_run.insert((run, pipe.stream), pipe.number);
            logs.pipes.insert(pipe.number, Held { run, reader, pipe, tail_wanted });
        }
        if let Some(kept) = writer {
            logs.writer = Some(Scribe::restore(poller, kept, legacy)?);
        }
        logs.tell(poller, now);
        Ok(logs)
    }
}

impl Held {
    fn last_words(&self, lines: Vec<String>) -> LastWords {
        LastWords { run: self.run, service: self.pipe.service.clone(), pid: self.pipe.pid, lines }
    }
}

impl LastWords {
    fn event(self) -> Event {
        let Self { run, service, pid, lines } = self;
        Event::LastWords { run, service, pid, lines }
    }
}
