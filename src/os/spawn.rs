//! From a definition to a running program.

use super::child::{self, Executable, Prepared, Stack, Strings};
use super::environment::Environment;
use super::inherited::{DescriptorLimit, duplicate_from};
use super::lookup;
use super::poller::{Poller, Token};
use super::program::{Origin, Pinned};
use super::voice::{TheirEnd, Voice};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::{Definition, Generation};
use crate::protocol::{Dialect, Granted, Numbers, arguments};
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
    /// Our end of what it talks on; watched already.
    pub(super) voice: Option<Voice>,
    /// The file that it was started from, where that is known.
    pub(super) origin: Option<Origin>,
    /// The path of that file, as we see it.
    pub(super) program: PathBuf,
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
    /// Whether nobody wants to see its stdout.
    pub(super) mute: bool,
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
        Ok(Self {
            stack: Stack::new(),
            null: File::options().read(true).write(true).open("/dev/null")?,
            limit,
        })
    }

    /// Starts a generation. What it talks on, if anything, is watched under `token`.
    ///
    /// # Errors
    ///
    /// The step that failed; no process, no descriptor and nothing in `poller` is left.
    pub(super) fn start(
        &mut self,
        poller: &Poller,
        token: Token,
        order: &Order<'_>,
    ) -> Result<Started, SpawnFailure> {
        let dialect = Dialect::of(order.definition.program.handshake);
        let (voice, their_end) = make_voice(dialect, poller, token)?;
        match (self.start_with(dialect, order, their_end), voice) {
            (Ok((pid, origin, program)), voice) => Ok(Started { pid, voice, origin, program }),
            (Err(failure), voice) => {
                if let Some(voice) = voice {
                    poller.forget(&voice);
                }
                Err(failure)
            }
        }
    }

    fn start_with(
        &mut self,
        dialect: &Dialect,
        order: &Order<'_>,
        their_end: TheirEnd,
    ) -> Result<(i32, Option<Origin>, PathBuf), SpawnFailure> {
        let definition = order.definition;
        let granted = &Granted {
            service: definition.name.as_str(),
            listeners: &definition.listeners,
            fds: &dialect.numbers.of(order.fds),
            pipe: their_end.pipe,
            notify: their_end.notify.as_deref(),
            ack: their_end.ack,
            generation: order.generation,
            worker: order.worker,
            supervisor: std::process::id(),
        };
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

        let own_pid = environment.own_pid().to_vec();
        let unplaced = |errno| failure(SpawnStage::Descriptors, errno, "");
        let unfit = |errno| failure(SpawnStage::Exec, errno, &program);
        let mut places = Places::new(dialect.numbers, order.fds);
        let kept = order.pinned.map(|pinned| places.execute(pinned)).transpose().map_err(unplaced)?;
        places.add_all(granted.fds, order.fds).map_err(unplaced)?;
        if order.mute {
            places.granted.push(child::Granted { held: self.null.as_raw_fd(), number: 1 });
        }
        if let Some(descriptor) = their_end.descriptor {
            places.hand_over(descriptor);
        }
        let prepared = Prepared {
            program: match kept {
                Some(number) => Executable::Kept(number),
                None => Executable::Named(c_string(path.as_os_str().as_bytes()).map_err(unfit)?),
            },
            argv: Strings::new(argv.into_iter().map(String::into_bytes)).map_err(unfit)?,
            envp: Strings::with_own_pid(environment.into_lines(), &own_pid).map_err(unfit)?,
            directory: directory.map(|d| c_string(d.as_os_str().as_bytes())).transpose().map_err(unfit)?,
            stdin: self.null.as_raw_fd(),
            granted: places.granted,
            ignored: ignored_at_first(dialect, definition.policy.stop_signal),
            limit: self.limit,
            handed_over: places.copies,
        };
        let pid = prepared
            .fork(&mut self.stack)
            .map_err(|(stage, errno)| diagnose(stage, errno, &path, directory))?;
        let renamed =
            |origin: Origin| if order.pinned.is_some() { Some(origin) } else { origin.if_still_at(&seen) };
        Ok((pid, origin.and_then(renamed), seen))
    }
}

fn make_voice(
    dialect: &Dialect,
    poller: &Poller,
    token: Token,
) -> Result<(Option<Voice>, TheirEnd), SpawnFailure> {
    let refused = |errno| failure(SpawnStage::Pipe, errno, "");
    let (voice, their_end) = Voice::new(dialect.voice)
        .map_err(|error| refused(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    if let Some(voice) = &voice {
        poller.watch_readable(voice, token).map_err(refused)?;
    }
    Ok((voice, their_end))
}

/// Where the descriptors of a child go. The child only copies; that no copy covers what is still needed is
/// arranged here, with copies that are out of the way.
struct Places {
    granted: Vec<child::Granted>,
    /// Closed when the child has them.
    copies: Vec<OwnedFd>,
    /// Numbers from 3 up to this one are what listeners are to get.
    end: RawFd,
}

impl Places {
    fn new(numbers: Numbers, held: &[RawFd]) -> Self {
        let end = match numbers {
            Numbers::AsHeld => 3,
            Numbers::FromThree | Numbers::Stdin => 3 + RawFd::try_from(held.len()).unwrap_or(RawFd::MAX - 3),
        };
        Self { granted: Vec::new(), copies: Vec::new(), end }
    }

    /// The same descriptor, or a copy where its number is wanted.
    fn out_of_the_way(&mut self, held: RawFd) -> Result<RawFd, Errno> {
        if held >= self.end {
            return Ok(held);
        }
        let copy = duplicate_from(held, self.end)?;
        let number = copy.as_raw_fd();
        self.copies.push(copy);
        Ok(number)
    }

    /// Listeners, each to its number.
    fn add_all(&mut self, numbers: &[RawFd], held: &[RawFd]) -> Result<(), Errno> {
        for (&number, &held) in numbers.iter().zip(held) {
            let held = if held == number { held } else { self.out_of_the_way(held)? };
            self.granted.push(child::Granted { held, number });
        }
        Ok(())
    }

    /// What was made for this child alone, to the number that the child is told. Protocols that number their
    /// listeners themselves make nothing of the kind.
    fn hand_over(&mut self, descriptor: OwnedFd) {
        let held = descriptor.as_raw_fd();
        self.granted.push(child::Granted { held, number: held });
        self.copies.push(descriptor);
    }

    /// The number to execute. A script's interpreter opens it, so the child keeps that one.
    fn execute(&mut self, pinned: &Pinned) -> Result<RawFd, Errno> {
        let held = self.out_of_the_way(pinned.number())?;
        if pinned.is_script() {
            self.granted.push(child::Granted { held, number: held });
        }
        Ok(held)
    }
}

/// A handshake server that is asked to leave before its handler is installed would die of it: it starts
/// with the signal ignored. A signal that ends it anyhow is left alone, so that its default is what it was.
fn ignored_at_first(dialect: &Dialect, signal: i32) -> Option<i32> {
    let ends_it = matches!(signal, libc::SIGTERM | libc::SIGKILL | libc::SIGSTOP);
    (dialect.starts_deaf && !ends_it).then_some(signal)
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
