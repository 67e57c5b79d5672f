//! From a definition to a running program.

use super::child::{Executable, Prepared, Stack, Strings};
use super::environment::Environment;
use super::inherited::DescriptorLimit;
use super::lookup;
use super::pipe::Pipe;
use super::poller::{Poller, Token};
use super::program::{Origin, Pinned};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::{Definition, Generation, Handshake};
use crate::protocol::{Granted, arguments};
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A program that was started.
pub(super) struct Started {
    /// Its pid, which is the number of its process group too.
    pub(super) pid: i32,
    /// Our end of its pipe; watched already.
    pub(super) pipe: Option<Pipe>,
    /// The file that it was started from, where that is known.
    pub(super) origin: Option<Origin>,
}

/// What to start.
pub(super) struct Order<'a> {
    pub(super) definition: &'a Definition,
    pub(super) generation: Generation,
    pub(super) worker: u32,
    /// The descriptors of its listeners, in the order of the definition.
    pub(super) fds: &'a [RawFd],
    /// The program to execute instead of the one that the command names.
    pub(super) pinned: Option<&'a Pinned>,
}

/// What all starts have in common.
pub(super) struct Spawner {
    stack: Stack,
    /// What every child gets as stdin.
    null: File,
    limit: DescriptorLimit,
}

impl Spawner {
    /// `limit` is what children get as their limit of descriptors.
    pub(super) fn new(limit: DescriptorLimit) -> io::Result<Self> {
        Ok(Self { stack: Stack::new(), null: File::open("/dev/null")?, limit })
    }

    /// Starts a generation. Its pipe, if it has one, is watched under `token`.
    ///
    /// # Errors
    ///
    /// The step that failed; no process, no pipe and nothing in `poller` is left.
    pub(super) fn start(
        &mut self,
        poller: &Poller,
        token: Token,
        order: &Order<'_>,
    ) -> Result<Started, SpawnFailure> {
        let (pipe, writer) = match order.definition.program.handshake {
            Handshake::Pipe => make_pipe(poller, token)?,
            Handshake::None => (None, None),
        };
        let granted = Granted {
            listeners: &order.definition.listeners,
            fds: order.fds,
            pipe: writer.as_ref().map(AsRawFd::as_raw_fd),
            generation: order.generation,
            worker: order.worker,
        };
        let started = self.start_with(order, &granted, writer);
        match (started, pipe) {
            (Ok((pid, origin)), pipe) => Ok(Started { pid, pipe, origin }),
            (Err(failure), pipe) => {
                if let Some(pipe) = pipe {
                    poller.forget(&pipe);
                }
                Err(failure)
            }
        }
    }

    fn start_with(
        &mut self,
        order: &Order<'_>,
        granted: &Granted<'_>,
        writer: Option<OwnedFd>,
    ) -> Result<(i32, Option<Origin>), SpawnFailure> {
        let definition = order.definition;
        let directory = definition.program.directory.as_deref();
        let environment = Environment::of_child(std::env::vars_os(), definition, granted)?;
        let argv = arguments(definition, granted);
        let program = argv.first().map_or("", String::as_str).to_owned();
        see_directory(directory)?;
        let path = match order.pinned {
            Some(_) => PathBuf::from(&program),
            None => lookup::find(&program, environment.get("PATH"), directory)
                .map_err(|errno| failure(SpawnStage::Lookup, errno, &program))?,
        };
        let seen = lookup::seen_from(directory, &path);
        let origin = order.pinned.map_or_else(|| Origin::at(&seen), Pinned::origin);

        let unfit = |errno| failure(SpawnStage::Exec, errno, &program);
        let script = order.pinned.filter(|pinned| pinned.is_script()).map(Pinned::number);
        let prepared = Prepared {
            program: match order.pinned {
                Some(pinned) => Executable::Kept(pinned.number()),
                None => Executable::Named(c_string(path.as_os_str().as_bytes()).map_err(unfit)?),
            },
            argv: Strings::new(argv.into_iter().map(String::into_bytes)).map_err(unfit)?,
            envp: Strings::new(environment.into_lines()).map_err(unfit)?,
            directory: directory.map(|d| c_string(d.as_os_str().as_bytes())).transpose().map_err(unfit)?,
            stdin: self.null.as_raw_fd(),
            granted: granted.fds.iter().copied().chain(granted.pipe).chain(script).collect(),
            ignored: ignored_at_first(definition),
            limit: self.limit,
            handed_over: writer,
        };
        let pid = prepared
            .fork(&mut self.stack)
            .map_err(|(stage, errno)| diagnose(stage, errno, &path, directory))?;
        let renamed =
            |origin: Origin| if order.pinned.is_some() { Some(origin) } else { origin.if_still_at(&seen) };
        Ok((pid, origin.and_then(renamed)))
    }
}

fn make_pipe(poller: &Poller, token: Token) -> Result<(Option<Pipe>, Option<OwnedFd>), SpawnFailure> {
    let refused = |errno| failure(SpawnStage::Pipe, errno, "");
    let (pipe, writer) = Pipe::new().map_err(refused)?;
    poller.watch_readable(&pipe, token).map_err(refused)?;
    Ok((Some(pipe), Some(writer)))
}

/// A handshake server that is asked to leave before its handler is installed would die of it: it starts
/// with the signal ignored. A signal that ends it anyhow is left alone, so that its default is what it was.
fn ignored_at_first(definition: &Definition) -> Option<i32> {
    let signal = definition.policy.stop_signal;
    match (definition.program.handshake, signal) {
        (Handshake::None, _) | (Handshake::Pipe, libc::SIGTERM | libc::SIGKILL | libc::SIGSTOP) => None,
        (Handshake::Pipe, _) => Some(signal),
    }
}

/// Without this a missing directory would be told as a missing program.
fn see_directory(directory: Option<&Path>) -> Result<(), SpawnFailure> {
    let Some(path) = directory else { return Ok(()) };
    let errno = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => Errno::ENOTDIR,
        Err(error) => error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    };
    Err(failure(SpawnStage::Directory, errno, &path.display().to_string()))
}

/// `ENOENT` for a file that exists means its interpreter.
fn diagnose(stage: SpawnStage, errno: Errno, path: &Path, directory: Option<&Path>) -> SpawnFailure {
    match (stage, errno) {
        (SpawnStage::Exec, Errno::ENOENT) => match lookup::interpreter(path, directory) {
            Some(interpreter) => failure(SpawnStage::Interpreter, errno, &interpreter),
            None => failure(stage, errno, &path.display().to_string()),
        },
        (SpawnStage::Exec, _) => failure(stage, errno, &path.display().to_string()),
        (SpawnStage::Directory, _) => {
            failure(stage, errno, &directory.map_or_else(String::new, |d| d.display().to_string()))
        }
        _ => failure(stage, errno, ""),
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

fn failure(stage: SpawnStage, errno: Errno, subject: &str) -> SpawnFailure {
    SpawnFailure { stage, errno: errno as i32, subject: subject.into() }
}
