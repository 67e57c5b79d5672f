//! The process of the log writer: how it is started, heard, left to the next program, and found again.

use super::Os;
use super::arguments::arguments;
use super::birth::start_ticks;
use super::child::Tie;
use super::children;
use super::clock;
use super::inherited::{Legacy, Numbers};
use super::output::PipeMark;
use super::passing::{packet_pair, send};
use super::pidfd::Pidfd;
use super::poller::{Poller, Token};
use super::records::boot;
use super::runtime_dir::RuntimeDir;
use crate::core::{Event, ExitStatus, SpawnFailure, SpawnStage, WriterEvent};
use crate::limits::{LOG_LEAVE_PATIENCE, LOG_WRITER_LAST_WAIT};
use crate::plan::{Definition, Pid, RunId};
use crate::protocol::logs::ToWriter;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

/// The hidden option by which a program becomes the log writer: the number of the socket.
const WRITE: &str = "--write-logs=";

/// The file in the runtime directory that names it.
const RECORD: &str = "log-writer";

/// The log writer, as the supervisor holds it.
pub(super) struct Scribe {
    pid: i32,
    process: Pidfd,
    pub(super) socket: OwnedFd,
    wants_room: bool,
    /// It has written what it had when it was told that this is the end, or is not waited for any longer.
    pub(super) flushed: bool,
    /// It still wrote when it was waited for no longer.
    unfinished: bool,
}

/// What is written down of it.
#[derive(Serialize, Deserialize)]
struct Record {
    boot: String,
    pid: i32,
    ticks: u64,
}

impl Scribe {
    fn watched(poller: &Poller, pid: i32, process: Pidfd, socket: OwnedFd) -> nix::Result<Self> {
        poller.watch_readable(&process, Token::WriterEnded)?;
        poller.watch_readable(&socket, Token::Writer)?;
        Ok(Self { pid, process, socket, wants_room: false, flushed: false, unfinished: false })
    }

    /// Watches for room to tell it more, too.
    pub(super) fn watch(&mut self, poller: &Poller, room: bool) {
        if self.wants_room != room {
            poller.watch_talk(&self.socket, Token::Writer, room);
            self.wants_room = room;
        }
    }

    pub(super) fn forget(&self, poller: &Poller) {
        poller.forget(&self.process);
        poller.forget(&self.socket);
    }

    /// Is it this process?
    pub(super) fn is(&self, pid: i32) -> bool {
        self.pid == pid
    }

    /// Did it still write when it was waited for no longer?
    pub(super) fn is_unfinished(&self) -> bool {
        self.unfinished
    }

    pub(super) fn kill(&self) {
        // It may have ended already.
        let _ = self.process.send(libc::SIGKILL);
    }

    /// How it ended. As our child it is reaped with all others, before or after this.
    pub(super) fn status(&self) -> ExitStatus {
        match self.process.exit(self.pid) {
            ExitStatus::Unknown => children::reap(self.pid).unwrap_or(ExitStatus::Unknown),
            status @ (ExitStatus::Code(_) | ExitStatus::Signal { .. }) => status,
        }
    }

    pub(super) fn keep(&self, numbers: &mut Numbers) -> (i32, RawFd, RawFd) {
        (self.pid, numbers.keep(&self.process), numbers.keep(&self.socket))
    }

    pub(super) fn restore(
        poller: &Poller,
        (pid, process, socket): (i32, RawFd, RawFd),
        legacy: &mut Legacy,
    ) -> nix::Result<Self> {
        let process = Pidfd::from_owned(legacy.claim(process)?);
        Self::watched(poller, pid, process, legacy.claim(socket)?)
    }
}

impl Os {
    /// Starts the log writer. It is this very program, whatever is on disk by now.
    pub(super) fn start_writer(&mut self) {
        // There is never a second one: two must not read one pipe.
        if self.logs.writer.is_some() {
            return;
        }
        let event = match self.try_to_start_writer() {
            Ok(pid) => WriterEvent::Started { pid: Pid(pid) },
            Err(failure) => WriterEvent::NotStarted(failure),
        };
        self.events.push_back(Event::Writer(event));
    }

    fn try_to_start_writer(&mut self) -> Result<i32, SpawnFailure> {
        let failed =
            |errno| SpawnFailure { stage: SpawnStage::Output, errno: errno as i32, subject: String::new() };
        self.relieve_former_writer();
        let (ours, theirs) = packet_pair().map_err(failed)?;
        let to_write = |numbers: &[RawFd]| {
            let number = numbers.first().copied().unwrap_or_default();
            arguments(&format!("{WRITE}{number}"))
        };
        let program = Path::new("/proc/self/exe");
        let pid = self.spawner.start_plain(program, &[theirs.as_raw_fd()], Tie::Loose, to_write)?;
        // It is our child and was not reaped yet, so the number is its own.
        let process = Pidfd::open(pid).map_err(failed)?;
        let writer = Scribe::watched(&self.poller, pid, process, ours).map_err(failed)?;
        self.note_writer(pid);
        self.logs.begin(&self.poller, writer, clock::now());
        Ok(pid)
    }

    /// Writes it down again where somebody has removed the file: a supervisor that comes later would not end it, and two
    /// would read one pipe.
    pub(super) fn note_writer_again(&self) {
        let is_gone = |directory: &RuntimeDir| !directory.path().join(RECORD).exists();
        if let Some(writer) =
            self.logs.writer.as_ref().filter(|_| self.runtime_dir.as_ref().is_some_and(is_gone))
        {
            self.note_writer(writer.pid);
        }
    }

    /// Writes down which process it is, for a supervisor that comes after a SIGKILL. Without that its pipes are read
    /// by it until they end.
    fn note_writer(&self, pid: i32) {
        let Some(directory) = &self.runtime_dir else { return };
        let record = boot().ok().zip(start_ticks(pid)).map(|(boot, ticks)| Record { boot, pid, ticks });
        if let Some(text) = record.and_then(|record| serde_json::to_vec(&record).ok()) {
            let (new, path) = (directory.path().join("log-writer.new"), directory.path().join(RECORD));
            let write = || -> io::Result<()> {
                let mut file =
                    File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
                file.write_all(&text)?;
                fs::rename(&new, &path)
            };
            if write().is_err() {
                let _ = fs::remove_file(&new);
            }
        }
    }

    /// The writer of a supervisor that was killed: it lives on, and reads the pipes of those that are taken over.
    pub(super) fn former_writer(&self) -> Option<(i32, Pidfd)> {
        let text = fs::read(self.runtime_dir.as_ref()?.path().join(RECORD)).ok()?;
        let record: Record = serde_json::from_slice(&text).ok()?;
        let is_same = || start_ticks(record.pid) == Some(record.ticks);
        if boot().ok()? != record.boot || !is_same() {
            return None;
        }
        let process = Pidfd::open(record.pid).ok()?;
        is_same().then_some((record.pid, process))
    }

    /// Holds the pipes of a run that is taken over; gives how many were not found.
    pub(super) fn take_back_pipes(
        &mut self,
        run: RunId,
        have_them: &[i32],
        pid: i32,
        definition: &Definition,
        marks: &[PipeMark],
    ) -> usize {
        let former = self.finds.former_writer.as_ref().map(|(pid, _)| *pid);
        let pids: Vec<i32> = former.into_iter().chain(have_them.iter().copied()).collect();
        let mut missing = 0;
        for mark in marks {
            match mark.find(&pids) {
                Some(reader) => self.logs.take_back(&self.poller, run, pid, definition, mark.stream, reader),
                None => missing += 1,
            }
        }
        missing
    }

    /// Ends the writer of the supervisor before, once its pipes are held here: two must not read one pipe. It writes what
    /// it has begun; what is in the pipes stays there.
    pub(super) fn relieve_former_writer(&mut self) {
        let Some((_, process)) = self.finds.former_writer.take() else { return };
        for (signal, patience) in [(libc::SIGTERM, LOG_LEAVE_PATIENCE), (libc::SIGKILL, LOG_LEAVE_PATIENCE)] {
            // It may have ended already.
            let _ = process.send(signal);
            if wait_readable(&process, patience) {
                return;
            }
        }
    }

    /// Was it asked what this run said last, and has the core not heard it yet?
    pub fn awaits_last_words(&self, run: RunId) -> bool {
        let told = |event: &Event| matches!(event, Event::LastWords { run: of, .. } if *of == run);
        self.logs.awaits_last_words(run) || self.events.iter().any(told)
    }

    /// At the end of the program: has the writer write what it has, and waits for that a while; gives what it says. It
    /// ends by itself when nobody writes any more.
    pub fn flush_logs(&mut self) -> Vec<Event> {
        let until = clock::now() + LOG_LEAVE_PATIENCE;
        let mut events: Vec<Event> = self.events.drain(..).collect();
        let is_pid_1 = std::process::id() == 1;
        if let Some(writer) = &self.logs.writer {
            if is_pid_1 {
                // All are asked to end then. Where it takes no word it hangs.
                let _ = send(&writer.socket, &ToWriter::Stay, None);
            }
            // Where it has ended already there is nothing to wait for.
            let _ = shutdown(writer.socket.as_raw_fd(), Shutdown::Write);
        }
        while !self.logs.is_flushed() {
            let left = until - clock::now();
            let Some(writer) = self.logs.writer.as_ref().filter(|_| !left.is_zero()) else { break };
            // Of one that has ended all is there that it said.
            let has_ended = wait_readable(&writer.process, Duration::ZERO);
            if !has_ended && !wait_readable(&writer.socket, left) {
                break;
            }
            events.extend(self.logs.hear(&self.poller, clock::now()));
            if has_ended {
                break;
            }
        }
        if let Some(writer) = self.logs.writer.as_mut().filter(|writer| !writer.flushed) {
            // It is waited for once.
            writer.flushed = true;
            if !wait_readable(&writer.process, Duration::ZERO) {
                writer.unfinished = true;
                let waits = is_pid_1.then_some(LOG_WRITER_LAST_WAIT);
                events.push(Event::Writer(WriterEvent::Unfinished { pid: Pid(writer.pid), waits }));
            }
        }
        if let Some(directory) = self.runtime_dir.as_ref().filter(|_| self.finds.former_writer.is_none()) {
            // What it still does it does by itself.
            let _ = fs::remove_file(directory.path().join(RECORD));
        }
        events.retain(|event| matches!(event, Event::Writer(_) | Event::LastWords { .. }));
        events
    }
}

/// Waits until there is something to read; tells whether there is.
pub(super) fn wait_readable(fd: impl AsFd, patience: Duration) -> bool {
    let until = clock::now() + patience;
    loop {
        let left = until - clock::now();
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) if !left.is_zero() => {}
            result => return result.is_ok_and(|found| found > 0),
        }
    }
}
