//! Keeping the program of a run, whatever becomes of its file: by descriptor, which a rename or an unlink does
//! not reach. A file that is written over in place is another program under the same descriptor; the kernel
//! refuses that for a binary that runs, and lets it happen to a script.

use super::inherited::{Legacy, Numbers};
use crate::plan::RunId;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FileStat, Mode, fstat, stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Device and inode: which file it is, whatever its name.
pub(super) type Inode = (u64, u64);

fn inode(found: &FileStat) -> Inode {
    (found.st_dev, found.st_ino)
}

/// The file that a run was started from.
pub(super) struct Origin {
    inode: Inode,
    /// A script is kept from its start on: the process that runs it shows only its interpreter.
    script: Option<OwnedFd>,
}

impl Origin {
    /// What is at `path` now, before it is executed. It may not be readable, and is executable all the same.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let kept = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty());
        let Ok(file) = kept.map(File::from) else {
            return Some(Self { inode: inode(&stat(path).ok()?), script: None });
        };
        let inode = inode(&fstat(&file).ok()?);
        let mut head = [0; 2];
        let script = file.read_exact_at(&mut head, 0).is_ok() && &head == b"#!";
        Some(Self { inode, script: script.then(|| file.into()) })
    }

    /// The binary that a process of another supervisor was started from.
    pub(super) fn of_binary(inode: Inode) -> Self {
        Self { inode, script: None }
    }

    /// Which file it is, where it is a binary.
    pub(super) fn binary(&self) -> Option<Inode> {
        self.script.is_none().then_some(self.inode)
    }

    /// Is it a binary, and the one that this process runs now?
    pub(super) fn is_run_by(&self, pid: i32) -> bool {
        self.binary().is_some() && running(pid) == self.binary()
    }

    /// The same, if it was still at `path` after that was executed: then it is what was.
    pub(super) fn if_still_at(self, path: &Path) -> Option<Self> {
        stat(path).is_ok_and(|found| inode(&found) == self.inode).then_some(self)
    }

    /// Forgets the script.
    pub(super) fn let_go(&mut self) {
        self.script = None;
    }

    /// Keeps the program: the script, or the binary that `pid` runs, unless that has become another one since.
    pub(super) fn pin(&mut self, pid: i32) -> Option<Pinned> {
        if let Some(file) = self.script.take() {
            return Some(Pinned { file, script: true });
        }
        let path = format!("/proc/{pid}/exe");
        let file = open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
        let same = fstat(&file).is_ok_and(|found| inode(&found) == self.inode);
        same.then_some(Pinned { file, script: false })
    }
}

/// The binary that a process runs, if that may be seen.
pub(super) fn running(pid: i32) -> Option<Inode> {
    stat(format!("/proc/{pid}/exe").as_str()).ok().map(|found| inode(&found))
}

/// A program that is kept.
pub(super) struct Pinned {
    file: OwnedFd,
    /// The kernel runs a script by telling its interpreter to open the descriptor, so the child must have it.
    script: bool,
}

impl Pinned {
    /// The descriptor to execute.
    pub(super) fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Must the descriptor outlive the exec?
    pub(super) fn is_script(&self) -> bool {
        self.script
    }

    /// What a run that is started from it was started from.
    pub(super) fn origin(&self) -> Option<Origin> {
        let script = if self.script { Some(self.file.try_clone().ok()?) } else { None };
        Some(Origin { inode: inode(&fstat(&self.file).ok()?), script })
    }
}

/// The programs that are kept, by the run whose they are.
#[derive(Default)]
pub(super) struct Pins(BTreeMap<RunId, Pinned>);

impl Pins {
    /// Keeps it, unless one is kept for the run already.
    pub(super) fn keep(&mut self, run: RunId, pin: impl FnOnce() -> Option<Pinned>) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.0.entry(run)
            && let Some(pinned) = pin()
        {
            place.insert(pinned);
        }
    }

    /// Keeps it no longer.
    pub(super) fn let_go(&mut self, run: RunId) {
        self.0.remove(&run);
    }

    /// The program of this run, if it is kept.
    pub(super) fn of(&self, run: RunId) -> Option<&Pinned> {
        self.0.get(&run)
    }
}

/// An [`Origin`] that is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptOrigin {
    inode: Inode,
    script: Option<RawFd>,
}

impl Origin {
    /// Leaves it to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> KeptOrigin {
        KeptOrigin { inode: self.inode, script: self.script.as_ref().map(|script| numbers.keep(script)) }
    }

    /// Takes it over.
    pub(super) fn restore(kept: &KeptOrigin, legacy: &mut Legacy) -> nix::Result<Self> {
        let script = kept.script.map(|number| legacy.claim(number)).transpose()?;
        Ok(Self { inode: kept.inode, script })
    }
}

/// A [`Pinned`] program that is left to the next one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptPin {
    run: RunId,
    file: RawFd,
    script: bool,
}

impl Pins {
    /// Leaves them to the next program.
    pub(super) fn keep_all(&self, numbers: &mut Numbers) -> Vec<KeptPin> {
        let kept = |(run, pinned): (&RunId, &Pinned)| KeptPin {
            run: *run,
            file: numbers.keep(&pinned.file),
            script: pinned.script,
        };
        self.0.iter().map(kept).collect()
    }

    /// Takes them over.
    pub(super) fn restore(kept: &[KeptPin], legacy: &mut Legacy) -> nix::Result<Self> {
        let pinned =
            |pin: &KeptPin| Ok((pin.run, Pinned { file: legacy.claim(pin.file)?, script: pin.script }));
        kept.iter().map(pinned).collect::<nix::Result<_>>().map(Self)
    }
}
