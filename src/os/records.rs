//! What is written down of all runs, for a supervisor that comes after one that was killed: a file in the runtime
//! directory, which is in memory. Nothing else is needed to find the processes and their sockets.
//!
//! A run is written at the end of it, before it is born; how it fares is written over in place. What is about runs that have
//! ended stays there until it is twice as much as the rest, which then moves to a new file: so a change costs the same with one
//! service and with ten thousand.
//!
//! There are values of variables in it, which may be secrets: nobody else may read it, although a group or everybody may be
//! let into the directory.

mod former;
mod found;
mod kept;
mod room;
mod texts;

pub(super) use former::FormerRecords;
pub(super) use found::Found;
pub(super) use kept::KeptRecords;

use super::birth::{Paper, start_ticks, ticks_now};
use super::listener::HeldSocket;
use super::lookup::Inode;
use super::output::PipeMark;
use super::processes::Change;
use super::record::{Head, Record, RunMark, SIGNED_AT, VERSION, WrittenCommons};
use super::voice::Mark;
use crate::core::{Growth, Time, pack};
use crate::plan::{Definition, ListenerId, RunId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use texts::Texts;

/// The name of the file in the runtime directory.
const NAME: &str = "records";

/// Where a run is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    at: u32,
    len: u32,
}

impl Place {
    fn new(at: u64, len: usize) -> Option<Self> {
        Some(Self { at: at.try_into().ok()?, len: len.try_into().ok()? })
    }

    fn at(self) -> u64 {
        self.at.into()
    }

    fn len(self) -> u64 {
        self.len.into()
    }
}

/// What is known of a run that was started, beside the definition.
pub(super) struct Start<'a> {
    pub(super) run: RunId,
    pub(super) worker: u32,
    pub(super) started: Time,
    pub(super) sockets: Vec<HeldSocket>,
    pub(super) known: Known<'a>,
    /// The pipes that it writes to.
    pub(super) output: Vec<PipeMark>,
}

/// What is known of the processes of a run.
pub(super) struct Known<'a> {
    /// The main one.
    pub(super) pid: i32,
    /// The number of their process group, where that is another.
    pub(super) group: Option<i32>,
    pub(super) listeners: &'a [ListenerId],
    pub(super) voice: Option<Mark>,
    pub(super) program: &'a Path,
    pub(super) inode: Option<Inode>,
    pub(super) cgroup: Option<&'a Path>,
}

/// What is used again for the next record.
#[derive(Default)]
struct Pad {
    texts: Texts,
    lines: Vec<u8>,
}

/// The file, and where in it each run is.
pub(super) struct Records {
    path: PathBuf,
    boot: String,
    /// Held by whoever is to sign in it, too.
    file: Rc<File>,
    /// What is behind this is about nobody.
    end: u64,
    /// How much of the file is about runs that have not ended.
    live: u64,
    places: BTreeMap<RunId, Place>,
    /// Where the run is that is about to be born.
    expected: Cell<Option<Place>>,
    pad: RefCell<Pad>,
    /// Whether the clock by which children sign was seen to be the one by which the kernel says when they were started.
    one_clock: bool,
    /// It could not move to a new file when it was as long as this.
    stuck_at: u64,
    growth: Growth,
}

impl Records {
    /// Writes down what starts from now on. What others wrote is left there.
    pub(super) fn open(runtime_dir: &Path) -> io::Result<Self> {
        let path = runtime_dir.join(NAME);
        let file = options().open(&path)?;
        let end = file.metadata()?.len();
        Ok(Self { end, ..Self::of(path, boot()?, file) })
    }

    /// Without anything in the file.
    fn of(path: PathBuf, boot: String, file: File) -> Self {
        Self {
            path,
            boot,
            file: Rc::new(file),
            end: 0,
            live: 0,
            places: BTreeMap::new(),
            expected: Cell::new(None),
            pad: RefCell::default(),
            one_clock: false,
            stuck_at: 0,
            growth: Growth::default(),
        }
    }

    /// Writes a run down that has started, all or nothing.
    pub(super) fn started(&mut self, start: Start<'_>, definition: &Arc<Definition>) -> io::Result<()> {
        let run = start.run;
        let ticks = start_ticks(start.known.pid).ok_or(io::ErrorKind::NotFound)?;
        let place = self.put(&self.record(start, ticks, definition), definition)?;
        self.insert(run, place);
        Ok(())
    }

    fn record<'a>(&'a self, start: Start<'_>, ticks: u64, definition: &'a Definition) -> Record<'a> {
        let Start { run, worker, started, sockets, known, output } = start;
        let Known { pid, group, voice, program, inode, cgroup, .. } = known;
        Record {
            version: VERSION,
            boot: Cow::Borrowed(&self.boot),
            generation: run.generation,
            worker,
            pid,
            group,
            ticks,
            started,
            definition: Cow::Borrowed(definition),
            sockets,
            voice,
            program: program.into(),
            inode,
            output,
            cgroup: cgroup.map(Into::into),
        }
    }

    /// Writes at the end, all or nothing: it is nobody's until it is inserted, or signed.
    fn put(&self, record: &Record<'_>, definition: &Arc<Definition>) -> io::Result<Place> {
        let Pad { texts, lines } = &mut *self.pad.borrow_mut();
        lines.clear();
        let mark = RunMark::at_first(definition);
        let lasting = texts.of(record, definition).ok_or(io::ErrorKind::InvalidData)?;
        record.write(mark, lasting, lines).ok_or(io::ErrorKind::InvalidData)?;
        self.append(lines)
    }

    fn append(&self, text: &[u8]) -> io::Result<Place> {
        let place = Place::new(self.end, text.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_all_at(text, place.at()).inspect_err(|_| self.cut())?;
        Ok(place)
    }

    /// Takes away what is behind the end.
    fn cut(&self) {
        // Where it fails, what is there is torn, or was not born.
        let _ = self.file.set_len(self.end);
    }

    fn insert(&mut self, run: RunId, place: Place) {
        self.end = self.end.max(place.at() + place.len());
        self.live += place.len();
        if let Some(before) = self.places.insert(run, place) {
            self.end_at(before);
        }
        if self.growth.has_doubled(self.places.len()) {
            self.pack();
        }
    }

    /// What was there has ended, or stands elsewhere.
    fn end_at(&mut self, place: Place) {
        self.live = self.live.saturating_sub(place.len());
        self.forget(place);
    }

    /// Writes down a run that is about to be born; gives the place where it is to sign. Without one it is written down
    /// once it was started, or not at all.
    pub(super) fn expect(&self, start: Start<'_>, definition: &Arc<Definition>) -> Option<Paper> {
        let record = self.record(start, ticks_now()?, definition);
        let place = self.put(&record, definition).ok()?;
        self.expected.set(Some(place));
        Some(Paper { file: Rc::clone(&self.file), at: place.at() + SIGNED_AT })
    }

    /// It was born, as this process; has it `signed`? Tells whether it can be found by that.
    pub(super) fn born(&mut self, run: RunId, pid: i32, signed: bool) -> bool {
        let Some(place) = self.expected.take() else { return false };
        if signed && !self.one_clock {
            self.one_clock = self.is_of_one_clock(place);
        }
        // Of one that has ended already the clock cannot be seen.
        let is_found = signed && (self.one_clock || start_ticks(pid).is_none());
        if is_found {
            self.insert(run, place);
        } else {
            self.cut();
        }
        is_found
    }

    /// Does the kernel say that this one was born when it has signed?
    fn is_of_one_clock(&self, place: Place) -> bool {
        self.read(place).is_ok_and(|record| record.lives())
    }

    /// It was not born.
    pub(super) fn expect_no_more(&self) {
        if self.expected.take().is_some() {
            self.cut();
        }
    }

    fn read(&self, place: Place) -> io::Result<Record<'static>> {
        let mut text = vec![0; place.len as usize];
        self.file.read_exact_at(&mut text, place.at())?;
        let mut lines = text.split_inclusive(|byte| *byte == b'\n');
        let head = lines.next().and_then(Head::read);
        let record = head.zip(lines.next()).and_then(|(head, line)| Record::read(line, head.signature));
        record.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        pack(&mut self.places);
        self.pad.take();
    }

    /// Knows that what was found is about this run.
    pub(super) fn know(&mut self, run: RunId, place: Place) {
        self.insert(run, place);
    }

    /// Notes that another process is the main one of a run.
    pub(super) fn turned_to(&mut self, run: RunId, pid: i32) {
        let Some(before) = self.places.get(&run).copied() else { return };
        let rewritten = || -> io::Result<Place> {
            let mut record = self.read(before)?;
            record.ticks = start_ticks(pid).ok_or(io::ErrorKind::NotFound)?;
            let started = record.pid;
            record.group.get_or_insert(started);
            record.pid = pid;
            // Of two about one run the later counts.
            let mark = self.mark_at(before).ok_or(io::ErrorKind::InvalidData)?;
            let lasting =
                record.lasting(&mut WrittenCommons::default(), 0).ok_or(io::ErrorKind::InvalidData)?;
            let mut lines = Vec::new();
            record.write(mark, &lasting, &mut lines).ok_or(io::ErrorKind::InvalidData)?;
            self.append(&lines)
        };
        // Where it fails the next supervisor finds the one before, or nobody.
        if let Ok(place) = rewritten() {
            self.insert(run, place);
        }
    }

    /// Is this run written down?
    pub(super) fn has(&self, run: RunId) -> bool {
        self.places.contains_key(&run)
    }

    /// Notes what became of a run that has not ended.
    pub(super) fn change(&mut self, run: RunId, change: Change) {
        match change {
            Change::Asked => self.asked(run),
            Change::Ready => self.ready(run),
            Change::Quiet => self.quiet(run),
            Change::Main(pid) => self.turned_to(run, pid),
            Change::Ended => {}
        }
    }

    /// Notes that a run was asked to leave. One that has said that it does is asked for nothing more than to end.
    pub(super) fn asked(&self, run: RunId) {
        let place = self.places.get(&run).filter(|place| self.mark_at(**place) != Some(RunMark::Quiet));
        if let Some(place) = place {
            self.mark(*place, RunMark::Leaving);
        }
    }

    /// Notes that a run has said that it accepts no more.
    pub(super) fn quiet(&self, run: RunId) {
        if let Some(place) = self.places.get(&run) {
            self.mark(*place, RunMark::Quiet);
        }
    }

    /// Notes that a run has said that it is ready: it says so once, and whoever comes later hears nothing.
    pub(super) fn ready(&self, run: RunId) {
        let place = self.places.get(&run).filter(|place| self.mark_at(**place) == Some(RunMark::Started));
        if let Some(place) = place {
            self.mark(*place, RunMark::Ready);
        }
    }

    /// Notes that a run serves, and whether it is still what was started.
    pub(super) fn serves(&self, run: RunId, is_itself: impl FnOnce() -> bool) {
        let begins =
            |place: &&Place| matches!(self.mark_at(**place), Some(RunMark::Started | RunMark::Ready));
        if let Some(place) = self.places.get(&run).filter(begins) {
            self.mark(*place, if is_itself() { RunMark::ServingItself } else { RunMark::Serving });
        }
    }

    fn mark_at(&self, place: Place) -> Option<RunMark> {
        let mut letter = [0];
        self.file.read_exact_at(&mut letter, place.at()).ok()?;
        RunMark::of(letter[0])
    }

    /// Where it fails the next supervisor takes the run for what it was before; one that has ended is not found anyhow.
    fn mark(&self, place: Place, mark: RunMark) {
        let _ = self.file.write_all_at(&[mark.letter()], place.at());
    }

    /// Forgets runs whose processes have all ended, and keeps the file from growing.
    pub(super) fn ended(&mut self, runs: &BTreeSet<RunId>) {
        let gone: Vec<Place> = runs.iter().filter_map(|run| self.places.remove(run)).collect();
        self.live = self.live.saturating_sub(gone.iter().map(|place| place.len()).sum());
        // Where nobody is left all of it is cut off: that says as much.
        if !self.places.is_empty() {
            for place in gone {
                self.forget(place);
            }
        }
        self.tidy();
    }

    /// What stands there is about nobody.
    pub(super) fn forget(&self, place: Place) {
        self.mark(place, RunMark::Ended);
    }

    /// At the end of the program: there is no file where there is nobody.
    pub(super) fn release(&self) {
        if self.places.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

/// Which boot of the machine this is.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into())
}

#[cfg(test)]
mod tests;
