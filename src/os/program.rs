//! Keeping the program of a run, whatever becomes of its file: by descriptor, which a rename or an unlink does
//! not reach. A file that is written over in place is another program under the same descriptor; the kernel
//! refuses that for a binary that runs, and lets it happen to a script.

use super::inherited::{Legacy, Numbers};
use super::interpreter::{HEAD_BYTES, Interpreter};
use super::lookup::Inode;
use crate::plan::RunId;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat, stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The file that a run was started from.
pub(super) enum Origin {
    /// A binary, or a file that nobody may read.
    Binary(Inode),
    /// A script is kept from its start on: the process that runs it shows only its interpreter.
    Script(Box<Script>),
    /// A script that was kept.
    LetGo(Inode),
}

pub(super) struct Script {
    inode: Inode,
    file: OwnedFd,
    interpreter: Option<Interpreter>,
}

impl Origin {
    /// What is at `path` now, before it is executed in `directory` with `search` as its `PATH`. It may not be readable,
    /// and is executable all the same.
    pub(super) fn at(path: &Path, search: Option<&OsStr>, directory: Option<&Path>) -> Option<Self> {
        let kept = open(path, OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty());
        let Ok(file) = kept.map(File::from) else {
            return Some(Self::Binary(Inode::of(&stat(path).ok()?)));
        };
        let inode = Inode::of(&fstat(&file).ok()?);
        let mut head = [0; HEAD_BYTES];
        let len = file.read_at(&mut head, 0).unwrap_or(0);
        let head = head.get(..len).unwrap_or_default();
        if !head.starts_with(b"#!") {
            return Some(Self::Binary(inode));
        }
        let interpreter = Interpreter::of(head, search, directory);
        Some(Self::Script(Box::new(Script { inode, file: file.into(), interpreter })))
    }

    fn inode(&self) -> Inode {
        match self {
            Self::Binary(inode) | Self::LetGo(inode) => *inode,
            Self::Script(script) => script.inode,
        }
    }

    /// Which file it is, where it is a binary.
    pub(super) fn binary(&self) -> Option<Inode> {
        if let Self::Binary(inode) = self { Some(*inode) } else { None }
    }

    /// Is it a binary, and the one that this process runs now?
    pub(super) fn is_run_by(&self, pid: i32) -> bool {
        self.binary().is_some() && binary_of(pid) == self.binary()
    }

    /// The same, if it is what was executed from `path` just now: a script that is still there. Which binary a process runs is
    /// looked at when it matters, before it is kept and before it is called the one that was started.
    pub(super) fn if_still_at(self, path: &Path) -> Option<Self> {
        let is_it = match &self {
            Self::Binary(_) => true,
            Self::Script(_) | Self::LetGo(_) => {
                stat(path).is_ok_and(|found| Inode::of(&found) == self.inode())
            }
        };
        is_it.then_some(self)
    }

    /// Forgets the script.
    pub(super) fn let_go(&mut self) {
        if let Self::Script(script) = self {
            *self = Self::LetGo(script.inode);
        }
    }

    /// Keeps the program: the script with its interpreter, or the binary, as far as they are what `pid` runs, and not
    /// another one that it has become since.
    pub(super) fn pin(&mut self, pid: i32) -> Option<Pinned> {
        let inode = self.inode();
        let Script { file, interpreter, .. } = match mem::replace(self, Self::LetGo(inode)) {
            Self::Script(script) => *script,
            other @ (Self::Binary(_) | Self::LetGo(_)) => {
                *self = other;
                return running(pid, inode).map(|file| Pinned { file, kind: Kind::Binary });
            }
        };
        let kept = interpreter.and_then(|found| Some((running(pid, found.inode)?, found.words)));
        let kind = kept.map_or(Kind::Script, |(file, words)| Kind::Interpreted { file, words });
        Some(Pinned { file, kind })
    }
}

/// The binary that a process runs, if it is this one.
fn running(pid: i32, inode: Inode) -> Option<OwnedFd> {
    let path = format!("/proc/{pid}/exe");
    let file = open(path.as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    fstat(&file).is_ok_and(|found| Inode::of(&found) == inode).then_some(file)
}

/// The binary that a process runs, if that may be seen.
pub(super) fn binary_of(pid: i32) -> Option<Inode> {
    stat(format!("/proc/{pid}/exe").as_str()).ok().map(|found| Inode::of(&found))
}

/// A program that is kept.
pub(super) struct Pinned {
    file: OwnedFd,
    kind: Kind,
}

/// How it is executed. A script is opened by its interpreter, so the child must have its descriptor.
enum Kind {
    Binary,
    /// The kernel finds the interpreter by its path.
    Script,
    /// Its interpreter is kept, too.
    Interpreted {
        file: OwnedFd,
        /// What comes before the script in the arguments.
        words: Vec<Vec<u8>>,
    },
}

impl Pinned {
    /// The descriptor to execute, and that of the script where it must outlive the exec.
    pub(super) fn numbers(&self) -> (RawFd, Option<RawFd>) {
        let own = self.file.as_raw_fd();
        match &self.kind {
            Kind::Binary => (own, None),
            Kind::Script => (own, Some(own)),
            Kind::Interpreted { file, .. } => (file.as_raw_fd(), Some(own)),
        }
    }

    /// The arguments, where the child has the script under this number: as the kernel would make them.
    pub(super) fn arguments(&self, argv: Vec<Vec<u8>>, script: Option<RawFd>) -> Vec<Vec<u8>> {
        let (Kind::Interpreted { words, .. }, Some(number)) = (&self.kind, script) else { return argv };
        let script = format!("/dev/fd/{number}").into_bytes();
        words.iter().cloned().chain([script]).chain(argv.into_iter().skip(1)).collect()
    }

    /// Is it this script, under the same interpreter? Where that is not kept, because the script has become another program,
    /// it is found by its path in any case.
    pub(super) fn is_script(&self, found: &Origin) -> bool {
        let Origin::Script(found) = found else { return false };
        let Some(Origin::Script(kept)) = self.origin() else { return false };
        kept.inode == found.inode && (kept.interpreter.is_none() || kept.interpreter == found.interpreter)
    }

    /// What a run that is started from it was started from.
    pub(super) fn origin(&self) -> Option<Origin> {
        let interpreter = match &self.kind {
            Kind::Binary => {
                return Some(Origin::Binary(Inode::of(&fstat(&self.file).ok()?)));
            }
            Kind::Script => None,
            Kind::Interpreted { file, words } => {
                Some(Interpreter { inode: Inode::of(&fstat(file).ok()?), words: words.clone() })
            }
        };
        let inode = Inode::of(&fstat(&self.file).ok()?);
        Some(Origin::Script(Box::new(Script { inode, file: self.file.try_clone().ok()?, interpreter })))
    }
}

/// The programs that are to be kept, by the run whose they are. Not each of them can be.
#[derive(Default)]
pub(super) struct Pins(BTreeMap<RunId, Option<Pinned>>);

impl Pins {
    /// Keeps it, unless one is kept for the run already.
    pub(super) fn keep(&mut self, run: RunId, pin: impl FnOnce() -> Option<Pinned>) {
        let place = self.0.entry(run).or_default();
        if place.is_none() {
            *place = pin();
        }
    }

    /// Is the program of this run to be kept?
    pub(super) fn has(&self, run: RunId) -> bool {
        self.0.contains_key(&run)
    }

    /// Keeps it no longer.
    pub(super) fn let_go(&mut self, run: RunId) {
        self.0.remove(&run);
    }

    /// The program of this run, if it is kept.
    pub(super) fn of(&self, run: RunId) -> Option<&Pinned> {
        self.0.get(&run)?.as_ref()
    }
}

/// An [`Origin`] that is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptOrigin {
    inode: Inode,
    script: Option<RawFd>,
    #[serde(default)]
    interpreter: Option<Interpreter>,
}

impl Origin {
    /// Leaves it to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> KeptOrigin {
        let script = if let Self::Script(script) = self { Some(script) } else { None };
        KeptOrigin {
            inode: self.inode(),
            script: script.map(|script| numbers.keep(&script.file)),
            interpreter: script.and_then(|script| script.interpreter.clone()),
        }
    }

    /// Takes it over.
    pub(super) fn restore(kept: &KeptOrigin, legacy: &mut Legacy) -> nix::Result<Self> {
        let Some(number) = kept.script else { return Ok(Self::Binary(kept.inode)) };
        let (file, interpreter) = (legacy.claim(number)?, kept.interpreter.clone());
        Ok(Self::Script(Box::new(Script { inode: kept.inode, file, interpreter })))
    }
}

/// A [`Pinned`] program that is left to the next one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptPin {
    run: RunId,
    /// None where it is to be kept and cannot be: what else is kept for the run depends on that it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<RawFd>,
    script: bool,
    /// Its interpreter, and what comes before the script in the arguments.
    #[serde(default)]
    interpreter: Option<(RawFd, Vec<Vec<u8>>)>,
}

impl Pins {
    /// Leaves them to the next program.
    pub(super) fn keep_all(&self, numbers: &mut Numbers) -> Vec<KeptPin> {
        let kept = |(run, pinned): (&RunId, &Option<Pinned>)| match pinned {
            None => KeptPin { run: *run, file: None, script: false, interpreter: None },
            Some(pinned) => KeptPin {
                run: *run,
                file: Some(numbers.keep(&pinned.file)),
                script: !matches!(pinned.kind, Kind::Binary),
                interpreter: match &pinned.kind {
                    Kind::Binary | Kind::Script => None,
                    Kind::Interpreted { file, words } => Some((numbers.keep(file), words.clone())),
                },
            },
        };
        self.0.iter().map(kept).collect()
    }

    /// Takes them over.
    pub(super) fn restore(kept: &[KeptPin], legacy: &mut Legacy) -> nix::Result<Self> {
        let pinned = |pin: &KeptPin| {
            let Some(file) = pin.file else { return Ok((pin.run, None)) };
            let kind = match &pin.interpreter {
                Some((number, words)) => {
                    Kind::Interpreted { file: legacy.claim(*number)?, words: words.clone() }
                }
                None if pin.script => Kind::Script,
                None => Kind::Binary,
            };
            Ok((pin.run, Some(Pinned { file: legacy.claim(file)?, kind })))
        };
        kept.iter().map(pinned).collect::<nix::Result<_>>().map(Self)
    }
}
