//! What is written down of each run, for a supervisor that comes after one that was killed: a small file each, in the
//! runtime directory, which is in memory. Nothing else is needed to find the processes and their sockets.
//!
//! The definitions in them have values of variables, which may be secrets: nobody else may read them, although a group or
//! everybody may be let into the directory above.

use super::birth::ticks_now;
use super::listener::HeldSocket;
use super::lookup::Inode;
use super::output::PipeMark;
use super::record::{Record, VERSION, start_ticks};
use super::run_files::{RunFile, RunFiles, RunMark};
use super::voice::Mark;
use crate::core::Time;
use crate::plan::{Definition, ListenerId, RunId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The directory in the runtime directory.
const DIRECTORY: &str = "runs";

/// The name of the file about a run that is being started, until it is known that it was. The child signs it before it is
/// a program: so there is none that a later supervisor could not find, whenever this one is killed.
const BORN: &str = "born";

/// The name of a file that is to replace another.
const NEW: &str = "new";

/// A record that was found, and its file.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) mark: RunMark,
    pub(super) record: Record<'static>,
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

/// The files, by the run that each is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    directory: PathBuf,
    boot: String,
    names: RunFiles,
    /// Whether the clock by which children sign was seen to be the one by which the kernel says when they were started.
    #[serde(skip)]
    one_clock: bool,
}

impl Records {
    /// Writes down what starts from now on. What others wrote is left there.
    pub(super) fn open(runtime_dir: &Path) -> io::Result<Self> {
        let directory = runtime_dir.join(DIRECTORY);
        match make(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) => {}
            // An older version left it open to all who may enter the directory above.
            Err(_) => fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?,
        }
        Ok(Self { directory, boot: boot()?, names: RunFiles::default(), one_clock: false })
    }

    /// Writes a run down that has started, all or nothing.
    pub(super) fn started(&mut self, start: Start<'_>, definition: &Definition) -> io::Result<()> {
        let (run, pid) = (start.run, start.known.pid);
        let file = RunFile::started(definition, pid);
        let ticks = start_ticks(pid).ok_or(io::ErrorKind::NotFound);
        let record = self.record(start, ticks?, definition);
        // One that was written in part is no JSON: whoever reads it knows as much as if it were not there.
        let (path, text) = (self.directory.join(file.name(run.generation)), serde_json::to_vec(&record)?);
        match fs::write(&path, &text) {
            // Somebody has removed the directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(&self.directory)?;
                fs::write(&path, &text)
            }
            result => result,
        }
        .inspect_err(|_| _ = fs::remove_file(&path))?;
        self.names.insert(run, file);
        self.expect_no_more();
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

    /// Writes down a run that is about to be born; gives the file, for it to sign. Without one it is written down once
    /// it was started, or not at all.
    pub(super) fn expect(&self, start: Start<'_>, definition: &Definition) -> Option<File> {
        let mut text = serde_json::to_vec(&self.record(start, ticks_now()?, definition)).ok()?;
        text.push(b'\n');
        let path = self.directory.join(BORN);
        let mut file = File::create(&path).ok()?;
        file.write_all(&text).ok()?;
        Some(file)
    }

    /// It was born, as this process, and has signed: that is what is written down of it. Tells whether it can be found by
    /// that.
    pub(super) fn born(&mut self, run: RunId, definition: &Definition, pid: i32) -> bool {
        if !self.one_clock && start_ticks(pid).is_some() {
            self.one_clock = self.read_born().is_some_and(|record| record.lives());
            if !self.one_clock {
                return false;
            }
        }
        let file = RunFile::started(definition, pid);
        let is_named = fs::rename(self.directory.join(BORN), self.directory.join(file.name(run.generation)));
        if is_named.is_ok() {
            self.names.insert(run, file);
        }
        is_named.is_ok()
    }

    /// It was not born.
    pub(super) fn expect_no_more(&self) {
        self.remove(BORN);
    }

    fn read_born(&self) -> Option<Record<'static>> {
        Record::read(&fs::read(self.directory.join(BORN)).ok()?)
    }

    /// Names what is written down of one that was born when the supervisor was killed. What nobody has signed is about
    /// nobody.
    fn settle_birth(&self) {
        if let Some(record) = self.read_born() {
            let file = RunFile::started(&record.definition, record.pid);
            // Where it fails nobody is found.
            let name = self.directory.join(file.name(record.generation));
            let _ = fs::rename(self.directory.join(BORN), name);
        }
        self.expect_no_more();
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        self.names.pack();
    }

    /// Knows that a file is about this run.
    pub(super) fn know(&mut self, run: RunId, name: &str) {
        self.names.know(run, name);
    }

    /// Notes that another process is the main one of a run.
    pub(super) fn turned_to(&mut self, run: RunId, pid: i32) {
        let Some(path) = self.names.name(run).map(|name| self.directory.join(name)) else { return };
        let rewritten = || -> io::Result<()> {
            let mut record = Record::read(&fs::read(&path)?).ok_or(io::ErrorKind::InvalidData)?;
            record.ticks = start_ticks(pid).ok_or(io::ErrorKind::NotFound)?;
            let started = record.pid;
            record.group.get_or_insert(started);
            record.pid = pid;
            // All or nothing: it is known already.
            let new = self.directory.join(NEW);
            fs::write(&new, serde_json::to_vec(&record)?)?;
            fs::rename(&new, &path)
        };
        // Where it fails the next supervisor finds the one before, or nobody.
        let _ = rewritten();
    }

    /// The names of the files that are there.
    pub(super) fn there(&self) -> HashSet<OsString> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect()
    }

    /// Is the file about this run among these?
    pub(super) fn has(&self, run: RunId, there: &HashSet<OsString>) -> bool {
        self.names.name(run).is_some_and(|name| there.contains(OsStr::new(&name)))
    }

    /// Notes that a run was asked to leave.
    pub(super) fn asked(&mut self, run: RunId) {
        self.mark(run, RunMark::Leaving);
    }

    /// Notes that a run serves, and whether it is still what was started.
    pub(super) fn serves(&mut self, run: RunId, is_itself: impl FnOnce() -> bool) {
        if self.names.get_mut(run).is_some_and(|file| file.mark == RunMark::Started) {
            self.mark(run, if is_itself() { RunMark::ServingItself } else { RunMark::Serving });
        }
    }

    fn mark(&mut self, run: RunId, mark: RunMark) {
        let Some(file) = self.names.get_mut(run) else { return };
        if file.mark == RunMark::Leaving {
            return;
        }
        let marked = RunFile { mark, ..file.clone() };
        // Where it fails the next supervisor takes it for what it was before.
        let path = |file: &RunFile| self.directory.join(file.name(run.generation));
        if fs::rename(path(file), path(&marked)).is_ok() {
            *file = marked;
        }
    }

    /// Forgets a run whose processes have all ended.
    pub(super) fn ended(&mut self, run: RunId) {
        if let Some(name) = self.names.remove(run) {
            self.remove(&name);
        }
    }

    /// Removes a file; one that stays is about a process that will not be found.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.directory.join(name));
    }

    /// What others wrote in this boot of the machine; the rest is removed. What cannot be read is given by its name.
    pub(super) fn found(&self) -> (Vec<Found>, Vec<String>) {
        self.settle_birth();
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(&self.directory).into_iter().flatten();
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            // What was being rewritten when its supervisor was killed stands in another file, too.
            if name == NEW {
                self.remove(&name);
                continue;
            }
            let text = fs::read(self.directory.join(&name)).unwrap_or_default();
            match Record::read(&text).filter(|record| record.version == VERSION) {
                Some(record) if record.boot == self.boot => {
                    let (mark, _) = RunMark::of(&name);
                    found.push(Found { name, mark, record });
                }
                Some(_) => self.remove(&name),
                None => {
                    self.remove(&name);
                    unreadable.push(name);
                }
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        (found, unreadable)
    }
}

/// Which boot of the machine this is.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().into())
}

/// What it will say of services may be secret; members of `control_group` may pass through the directory above.
fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_may_enter_even_where_an_older_version_let_all_in() {
        let dir = tempfile::tempdir().unwrap();
        let mode = || fs::metadata(dir.path().join(DIRECTORY)).unwrap().permissions().mode() & 0o777;
        Records::open(dir.path()).unwrap();
        assert_eq!(mode(), 0o700);
        fs::set_permissions(dir.path().join(DIRECTORY), fs::Permissions::from_mode(0o755)).unwrap();
        Records::open(dir.path()).unwrap();
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn what_was_written_in_another_boot_or_by_another_version_is_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(dir.path()).unwrap();
        fs::write(dir.path().join("runs/web.1.5"), "{\"version\":2}").unwrap();
        fs::write(dir.path().join("runs/web.2.6"), "{\"vers").unwrap();
        let (found, mut unreadable) = records.found();
        unreadable.sort();
        assert_eq!((found.len(), unreadable), (0, vec!["web.1.5".into(), "web.2.6".into()]));
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0);
    }
}
