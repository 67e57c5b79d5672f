//! The threads that write. Each file system has one, the journal has one, and syslog: a disk that hangs keeps nobody
//! waiting but those who write to it, and the pipes are read on.

use super::file::LogFile;
use super::label::Label;
use super::machine::{Journal, Syslog};
use crate::core::Time;
use crate::limits::LOG_RETRY;
use crate::os::Os;
use crate::plan::{Keeping, Outlet};
use nix::sys::eventfd::EventFd;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

/// Some lines for an outlet.
pub(super) struct Job {
    pub(super) outlet: Outlet,
    pub(super) label: Arc<Label>,
    pub(super) keeping: Keeping,
    pub(super) torn: bool,
    /// Whole lines, each with its newline.
    pub(super) text: Vec<u8>,
    /// Which pipe they came from, and as which piece of it.
    pub(super) origin: Option<(u32, u64)>,
}

/// What a lane is told.
pub(super) enum Order {
    Write(Job),
    /// Nobody writes there any more.
    Close(Outlet),
}

/// What a lane says.
pub(super) enum Note {
    /// A job is done, the oldest of its outlet.
    Written { outlet: Outlet, origin: Option<(u32, u64)>, bytes: usize },
    /// The oldest job of an outlet cannot be done now; it is tried again.
    Failing { outlet: Outlet, why: String },
    /// It could.
    Recovered { outlet: Outlet },
    /// It could, but something else is wrong.
    Complaint { outlet: Outlet, why: String },
    /// The system gives no thread for it.
    NoThread { outlet: Outlet, why: String },
}

/// What has a thread of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Journal,
    Syslog,
    /// The file system with this number.
    Disk(u64),
}

impl Lane {
    pub(super) fn of(outlet: &Outlet) -> Self {
        match outlet {
            Outlet::Journal => Self::Journal,
            Outlet::Syslog => Self::Syslog,
            Outlet::File(path) => Self::Disk(device(path)),
            // Nobody sends those here.
            Outlet::Inherit | Outlet::Null => Self::Disk(0),
        }
    }
}

fn device(path: &Path) -> u64 {
    let there = fs::metadata(path).or_else(|_| fs::metadata(path.parent().unwrap_or(path)));
    there.map_or(0, |found| found.dev())
}

/// Starts the thread of a lane; `woken` is told of each note.
pub(super) fn start(notes: Sender<Note>, woken: Arc<EventFd>) -> io::Result<Sender<Order>> {
    let (send, orders) = channel();
    let work = move || Writing::new(notes, woken).run(&orders);
    thread::Builder::new().name("log-lane".into()).spawn(work)?;
    Ok(send)
}

/// Where lines go.
enum Sink {
    File(LogFile),
    Journal(Journal),
    Syslog(Syslog),
}

/// An outlet, and what waits for it to take lines again.
struct Open {
    sink: Sink,
    waiting: VecDeque<Job>,
    /// How much of the first of them is written.
    done: usize,
    failing: bool,
}

/// What a lane has in its hands.
pub(super) struct Writing {
    outlets: BTreeMap<Outlet, Open>,
    notes: Sender<Note>,
    woken: Arc<EventFd>,
    /// When what fails is tried again.
    retry: Option<Time>,
}

impl Writing {
    pub(super) fn new(notes: Sender<Note>, woken: Arc<EventFd>) -> Self {
        Self { outlets: BTreeMap::new(), notes, woken, retry: None }
    }

    fn run(&mut self, orders: &Receiver<Order>) {
        loop {
            let order = match self.retry {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => orders.recv_timeout(at - Os::clock()),
            };
            match order {
                Ok(order) => self.follow(order),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.try_again();
        }
    }

    /// Does what it is told.
    pub(super) fn follow(&mut self, order: Order) {
        match order {
            Order::Write(job) => self.take(job),
            Order::Close(outlet) => _ = self.outlets.remove(&outlet),
        }
    }

    /// When there is something to try again.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.retry
    }

    /// Tries what fails, where it is time for that.
    pub(super) fn try_again(&mut self) {
        if self.retry.is_some_and(|at| at <= Os::clock()) {
            self.retry = None;
            let stuck = self.outlets.iter().filter(|(_, open)| open.failing).map(|(outlet, _)| outlet);
            for outlet in stuck.cloned().collect::<Vec<_>>() {
                self.advance(&outlet);
            }
        }
        if self.retry.is_none() && self.outlets.values().any(|open| open.failing) {
            self.retry = Some(Os::clock() + LOG_RETRY);
        }
    }

    fn take(&mut self, job: Job) {
        let outlet = job.outlet.clone();
        let open = self.outlets.entry(outlet.clone()).or_insert_with(|| Open {
            sink: Sink::of(&job),
            waiting: VecDeque::new(),
            done: 0,
            failing: false,
        });
        open.sink.keep(job.keeping);
        open.waiting.push_back(job);
        // What fails is tried again when it is time, not with each line.
        if !open.failing {
            self.advance(&outlet);
        }
    }

    /// Writes what waits for an outlet, as far as that goes.
    fn advance(&mut self, outlet: &Outlet) {
        let Some(open) = self.outlets.get_mut(outlet) else { return };
        let mut told = Vec::new();
        while let Some(job) = open.waiting.front() {
            let result = open.sink.write(job, &mut open.done);
            told.extend(
                open.sink.take_complaint().map(|why| Note::Complaint { outlet: outlet.clone(), why }),
            );
            match result {
                Ok(()) => {
                    if std::mem::take(&mut open.failing) {
                        told.push(Note::Recovered { outlet: outlet.clone() });
                    }
                    let (outlet, origin, bytes) = (outlet.clone(), job.origin, job.text.len());
                    told.push(Note::Written { outlet, origin, bytes });
                    open.done = 0;
                    open.waiting.pop_front();
                }
                Err(error) => {
                    if !std::mem::replace(&mut open.failing, true) {
                        told.push(Note::Failing { outlet: outlet.clone(), why: reason(&error) });
                    }
                    break;
                }
            }
        }
        for note in told {
            // Nobody hears it only when everything ends.
            let _ = self.notes.send(note);
        }
        let _ = self.woken.write(1);
    }
}

/// The system's own words.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" (os error").map_or(text.clone(), |(words, _)| words.into())
}

impl Sink {
    fn of(job: &Job) -> Self {
        match &job.outlet {
            Outlet::File(path) => Self::File(LogFile::new(path, job.keeping, job.torn)),
            Outlet::Syslog => Self::Syslog(Syslog::default()),
            Outlet::Journal | Outlet::Inherit | Outlet::Null => Self::Journal(Journal),
        }
    }

    fn keep(&mut self, keeping: Keeping) {
        if let Self::File(file) = self {
            file.keep(keeping);
        }
    }

    fn take_complaint(&mut self) -> Option<String> {
        match self {
            Self::File(file) => file.take_complaint(),
            Self::Journal(_) | Self::Syslog(_) => None,
        }
    }

    fn write(&mut self, job: &Job, done: &mut usize) -> io::Result<()> {
        match self {
            Self::File(file) => file.write(&job.text, done),
            Self::Journal(journal) => each_line(&job.text, done, |line| journal.send(&job.label, line)),
            Self::Syslog(syslog) => each_line(&job.text, done, |line| syslog.send(&job.label, line)),
        }
    }
}

/// Sends line by line from `done` on.
fn each_line(text: &[u8], done: &mut usize, mut send: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    while let Some(rest) = text.get(*done..).filter(|rest| !rest.is_empty()) {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        send(&String::from_utf8_lossy(rest.get(..end).unwrap_or_default()))?;
        *done += end + 1;
    }
    Ok(())
}
