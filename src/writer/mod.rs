//! The process that writes what services say: it reads the pipes that the supervisor holds, and writes whole lines to
//! files, the journal and syslog. It is a process of its own, so that a slow disk, a full one or a mistake of ours stalls
//! neither the supervisor nor a service.
//!
//! One thread reads the pipes, and each disk has one that writes (`lane`): to write to a file blocks, and there is no
//! deadline for it. Where the system gives no thread, that of another disk writes, or the one that reads. What is in a pipe stays there until it is written. When the disk does not take it in time and the
//! pipe fills up, it is taken into memory, up to a bound; beyond, lines are dropped and counted.
//!
//! It goes on without a supervisor, and ends when nobody can write to any of its pipes any more.

mod backups;
mod file;
mod label;
mod lane;
mod lines;
mod lock;
mod machine;
mod outlets;
mod pipes;
mod talk;

pub use backups::{backup, mark};

use crate::core::Time;
use crate::limits::{LOG_LAST_PATIENCE, LOG_MEMORY_BYTES};
use crate::os::{Os, take_all_descriptors};
use crate::plan::Outlet;
use crate::protocol::logs::{FromWriter, ToWriter};
use lane::{Job, Note};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use outlets::Outlets;
use pipes::{Glass, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use talk::Talk;

/// What is watched besides the pipes, which have their numbers.
const SOCKET: u64 = u64::MAX;
const NOTES: u64 = u64::MAX - 1;
const LEAVE: u64 = u64::MAX - 2;

/// The log line for so many bytes that are lost.
type LastLine = Box<dyn Fn(usize) -> String>;

/// The writer.
struct Writer {
    epoll: Epoll,
    talk: Talk,
    sources: BTreeMap<u32, Source>,
    /// Pipes in which something may be that was not looked at.
    ready: BTreeSet<u32>,
    outlets: Outlets,
    notes: Receiver<Note>,
    woken: Arc<EventFd>,
    leave: SignalFd,
    glass: Glass,
    /// It was asked to leave its pipes to another.
    leaving: bool,
    /// There will be no other.
    stays: bool,
    /// The supervisor ends, and waits until all that is there now is written.
    flushing: bool,
    /// The line that tells how many bytes are lost at the end.
    last_line: LastLine,
    /// Since when nobody is there any more: no supervisor, and none who could write.
    alone: Option<Time>,
}

/// Writes what comes through the pipes that `socket` brings.
///
/// # Errors
///
/// The system's, before anything was read.
pub fn run(socket: OwnedFd, last_line: LastLine) -> io::Result<()> {
    // In `ps` it is to be told from the supervisor.
    let _ = nix::sys::prctl::set_name(c"bootstrap-logs");
    // It has as many pipes as the supervisor.
    take_all_descriptors()?;
    // Those for all processes of a terminal or a cgroup are none of its business: it ends last.
    SigSet::all().thread_block()?;
    let leave =
        SignalFd::with_flags(&SigSet::from(Signal::SIGTERM), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let woken = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
    let (tell, notes) = channel();
    let mut writer = Writer {
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        talk: Talk::new(socket),
        sources: BTreeMap::new(),
        ready: BTreeSet::new(),
        outlets: Outlets::new(tell, woken.clone()),
        notes,
        woken,
        leave,
        glass: Glass::new()?,
        leaving: false,
        stays: false,
        last_line,
        flushing: false,
        alone: None,
    };
    let readable = |data| EpollEvent::new(EpollFlags::EPOLLIN, data);
    writer.epoll.add(&*writer.woken, readable(NOTES))?;
    writer.epoll.add(&writer.leave, readable(LEAVE))?;
    writer.talk.watch(&writer.epoll, SOCKET)?;
    writer.write_until_nobody_writes();
    Ok(())
}

impl Writer {
    fn write_until_nobody_writes(&mut self) {
        while !self.is_over() && !self.gives_up() {
            for (data, flags) in self.wait() {
                match data {
                    SOCKET => self.hear(),
                    NOTES => _ = self.woken.read(),
                    LEAVE => self.asked_to_leave(),
                    number => self.stirred(u32::try_from(number).unwrap_or(u32::MAX), flags),
                }
            }
            while let Ok(note) = self.notes.try_recv() {
                self.noted(note);
            }
            self.outlets.try_again();
            let late = self.outlets.newly_late(Os::clock());
            self.ready
                .extend(self.sources.iter().filter(|(_, s)| late.contains(s.outlet())).map(|(n, _)| *n));
            let now = Os::clock();
            let is_due = |source: &Source| source.look_at.is_some_and(|at| at <= now);
            self.ready.extend(self.sources.iter().filter(|(_, s)| is_due(s)).map(|(number, _)| *number));
            for number in std::mem::take(&mut self.ready) {
                self.pump(number);
            }
            if self.flushing && self.ready.is_empty() && self.outlets.are_idle() {
                self.flushing = false;
                self.talk.say(FromWriter::Flushed);
            }
            self.talk.flush(&self.epoll, SOCKET);
            if self.talk.is_closed() && self.sources.values().all(|source| source.hung_up) {
                self.alone.get_or_insert_with(Os::clock);
            }
        }
    }

    /// Nobody can write any more and all is written; or all that was begun is, and others go on.
    fn is_over(&self) -> bool {
        let rest =
            self.sources.values().any(|source| !self.leaving || source.hung_up || source.lent.is_some());
        (self.leaving || self.talk.is_closed()) && !rest && self.outlets.are_idle()
    }

    /// What is left cannot be written, and nobody is there who would see to it.
    fn gives_up(&self) -> bool {
        let over = self.alone.is_some_and(|since| since + LOG_LAST_PATIENCE <= Os::clock());
        let gives_up = over && self.outlets.are_idle_or_fail();
        if gives_up {
            let bytes = self.outlets.all_waiting_bytes();
            // What stderr is was the supervisor's; where it is nothing any more there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", (self.last_line)(bytes));
        }
        gives_up
    }

    fn wait(&self) -> Vec<(u64, EpollFlags)> {
        let now = Os::clock();
        let last = self.alone.map(|since| since + LOG_LAST_PATIENCE).filter(|until| *until > now);
        let until = if self.ready.is_empty() {
            self.outlets
                .deadline()
                .into_iter()
                .chain(last)
                .chain(self.sources.values().filter_map(|source| source.look_at))
                .min()
        } else {
            Some(now)
        };
        let timeout = until.map_or(EpollTimeout::NONE, |until| {
            let left = i32::try_from((until - now).as_millis()).unwrap_or(i32::MAX);
            EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
        });
        let mut events = [EpollEvent::empty(); 64];
        match self.epoll.wait(&mut events, timeout) {
            Ok(count) => events.iter().take(count).map(|event| (event.data(), event.events())).collect(),
            Err(Errno::EINTR) => Vec::new(),
            Err(error) => panic!("epoll_wait on our own set: {error}"),
        }
    }

    /// Leaves its pipes to another, unless it was told before that there will be none.
    fn asked_to_leave(&mut self) {
        let asked = self.leave.read_signal().is_ok_and(|signal| signal.is_some());
        self.hear();
        self.leaving |= asked && !self.stays;
    }

    /// Something came through a pipe, or nobody can write to it any more. Told once for each time.
    fn stirred(&mut self, number: u32, flags: EpollFlags) {
        if let Some(source) = self.sources.get_mut(&number) {
            source.hung_up |= flags.contains(EpollFlags::EPOLLHUP);
            self.ready.insert(number);
        }
    }

    fn hear(&mut self) {
        while let Some(heard) = self.talk.hear() {
            match heard {
                (ToWriter::Pipe(pipe), Some(fd)) => {
                    let number = pipe.number;
                    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
                    // Where it cannot be watched, the supervisor misses the answer, and asks another writer.
                    if self.epoll.add(&fd, EpollEvent::new(flags, number.into())).is_ok() {
                        self.sources.insert(number, Source::new(pipe, fd));
                        self.ready.insert(number);
                        self.talk.say(FromWriter::Taken { pipe: number });
                    }
                }
                (ToWriter::Pipe(_), None) => {}
                (ToWriter::Ask, _) => self.talk.say(FromWriter::Here),
                (ToWriter::Stay, _) => self.stays = true,
                (ToWriter::Tail { pipe }, _) => {
                    if let Some(source) = self.sources.get_mut(&pipe) {
                        source.tail_wanted = true;
                        self.ready.insert(pipe);
                    }
                }
            }
        }
        if self.talk.has_just_closed() {
            self.flushing = true;
            self.ready.extend(self.sources.keys());
        }
    }

    /// Hands on what is in a pipe, as far as its outlet takes it.
    fn pump(&mut self, number: u32) {
        let Some(source) = self.sources.get_mut(&number) else { return };
        source.look_at = None;
        if self.leaving && !source.hung_up {
            return;
        }
        let stamp = label::stamp(&source.pipe);
        let late = self.outlets.is_late(source.outlet(), Os::clock());
        if source.lent.is_some() && !late {
            return;
        }
        let mut seen = source.look(&mut self.glass, &stamp);
        if source.lent.is_some() {
            // Room is made when there is little left; until then it is safer in the pipe.
            if seen.there * 4 < source.capacity {
                source.look_later(Os::clock());
                return;
            }
            source.take_back(&mut self.glass);
            seen = source.look(&mut self.glass, &stamp);
        }
        if seen.taken == 0 {
            source.look_later(Os::clock());
            if std::mem::take(&mut source.tail_wanted) {
                self.talk.say(FromWriter::Tail { pipe: number, lines: source.tail() });
            }
            if source.hung_up && seen.there == 0 && source.unwritten == 0 {
                self.finish(number);
            }
            return;
        }
        source.remember(&seen.text, stamp.len());
        self.ready.insert(number);
        if self.outlets.waiting_bytes(source.outlet()) + seen.text.len() > LOG_MEMORY_BYTES {
            source.consume(seen.taken, &mut self.glass);
            if let Some(told) = self.outlets.lose(source.outlet(), seen.lines) {
                self.talk.say(told);
            }
            return;
        }
        let piece = source.next_piece();
        source.lent = Some((seen.taken, piece));
        source.unwritten += 1;
        let job = Job {
            outlet: source.outlet().clone(),
            label: source.label.clone(),
            keeping: source.pipe.keeping,
            torn: source.pipe.torn,
            text: seen.text,
            origin: Some((number, piece)),
        };
        self.outlets.write(job, Os::clock());
    }

    /// All of a pipe is written.
    fn finish(&mut self, number: u32) {
        let Some(source) = self.sources.remove(&number) else { return };
        // It closes with the descriptor only where no other process has that.
        let _ = self.epoll.delete(&source);
        self.talk.say(FromWriter::Ended { pipe: number, tail: source.tail() });
        if self.sources.values().all(|other| other.outlet() != source.outlet()) {
            self.outlets.close(source.outlet());
        }
    }

    fn noted(&mut self, note: Note) {
        match note {
            Note::Written { outlet, origin, bytes } => {
                self.written(&outlet, origin, bytes);
                if let Some(told) = self.outlets.tell_loss(&outlet, Os::clock()) {
                    self.talk.say(told);
                }
            }
            Note::Failing { outlet, why } => {
                self.outlets.fails(&outlet);
                self.talk.say(FromWriter::Failing { outlet, why });
            }
            Note::Recovered { outlet } => {
                self.outlets.recovers(&outlet);
                self.talk.say(FromWriter::Recovered { outlet });
            }
            Note::NoThread { outlet, why } => self.talk.say(FromWriter::NoThread { outlet, why }),
            Note::Complaint { outlet, why } => self.talk.say(FromWriter::Failing { outlet, why }),
        }
    }

    fn written(&mut self, outlet: &Outlet, origin: Option<(u32, u64)>, bytes: usize) {
        self.outlets.written(outlet, bytes);
        let Some((number, piece)) = origin else { return };
        if let Some(source) = self.sources.get_mut(&number) {
            source.unwritten -= 1;
            if source.lent.is_some_and(|(_, lent)| lent == piece) {
                source.take_back(&mut self.glass);
            }
            self.ready.insert(number);
        }
    }
}
