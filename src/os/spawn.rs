//! From a definition to a running program.

use super::binaries::{Binaries, Found};
use super::birth::Paper;
use super::cgroup::Leaf;
use super::child::{Cradle, Executable, Failed, Newborn, Prepared, Tie};
use super::dispositions::Dispositions;
use super::environment::{Environment, Ours, env_file_of};
use super::foresight::{obstacles_but, see_directory};
use super::identity::{self, Becoming};
use super::inherited::DescriptorLimit;
use super::lookup::{self, Inode};
use super::output::{Channel, Channels};
use super::poller::Poller;
use super::precedence::Precedence;
use super::program::{Origin, Pinned};
use super::slots::{Lending, Slots};
use super::strings::Strings;
use super::usage::are_left_for_starts;
use super::voice::{Mark, TheirEnd, Voice};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::{Definition, Generation, Identity, Program};
use crate::protocol::{Dialect, Granted, Numbers, arguments};
use nix::errno::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
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
    /// Its cgroup, if it has one.
    pub(super) leaf: Option<Box<Leaf>>,
    /// What stood in its `env_file`.
    pub(super) env_file: Vec<u8>,
    /// Whether it has signed where it was expected.
    pub(super) signed: bool,
}

/// What came of a fork.
struct Born {
    newborn: Newborn,
    origin: Option<Origin>,
    program: PathBuf,
    leaf: Option<Box<Leaf>>,
    env_file: Vec<u8>,
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
    /// What stood in the `env_file` when that was started, in the place of what stands there now.
    pub(super) env_file: Option<&'a [u8]>,
    /// What its stdout and its stderr become.
    pub(super) channels: Channels,
    /// The directory that is ours alone, if there is one.
    pub(super) runtime_dir: Option<&'a Path>,
    /// Who goes first once it is started.
    pub(super) precedence: Precedence,
    /// Has it written down before it is born; gives where it signs itself.
    pub(super) expect: &'a dyn Fn(&Expected<'_>) -> Option<Paper>,
    /// Is told where a program was looked for that is not there, or cannot be executed.
    pub(super) missed: &'a dyn Fn(&Path),
}

/// What is known of a run before it is born, for whoever writes it down.
pub(super) struct Expected<'a> {
    pub(super) voice: Option<Mark>,
    pub(super) program: &'a Path,
    pub(super) inode: Option<Inode>,
    pub(super) cgroup: Option<&'a Path>,
}

/// What all starts have in common.
pub(super) struct Spawner {
    pub(super) cradle: Cradle,
    /// What every child gets as stdin.
    null: File,
    limit: DescriptorLimit,
    slots: Slots,
    dispositions: Dispositions,
    ours: Ours,
    binaries: Binaries,
}

impl Spawner {
    /// `limit` is what children get as their limit of descriptors. The handlers of signals are installed by now.
    pub(super) fn new(limit: DescriptorLimit, slots: Slots) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("/dev/null: {error}"));
        let null = File::options().read(true).write(true).open("/dev/null").map_err(named)?;
        let (dispositions, ours) = (Dispositions::of_now(), Ours::of_now());
        let binaries = Binaries::default();
        Ok(Self { cradle: Cradle::new()?, null, limit, slots, dispositions, ours, binaries })
    }

    /// Starts a generation. What it talks on, if anything, is watched under this `number`.
    ///
    /// # Errors
    ///
    /// The step that failed; no process, no descriptor and nothing in `poller` is left.
    pub(super) fn start(
        &mut self,
        poller: &Poller,
        number: u32,
        order: &Order<'_>,
    ) -> Result<Started, SpawnFailure> {
        let dialect = Dialect::of(order.definition.program.handshake);
        let (voice, their_end) = make_voice(dialect, order.runtime_dir, poller, number)?;
        let mark = voice.as_ref().and_then(Voice::mark);
        match (self.start_with(dialect, order, &their_end, mark), voice) {
            (Ok(Born { newborn: Newborn { pid, signed }, origin, program, leaf, env_file }), voice) => {
                Ok(Started { pid, voice, origin, program, leaf, env_file, signed })
            }
            (Err(failure), voice) => {
                if let Some(voice) = voice {
                    poller.forget(&voice);
                }
                Err(failure)
            }
        }
    }

    /// What a start of this would fail with, as far as that is seen without starting it.
    pub(super) fn obstacle(&self, program: &Program) -> Option<SpawnFailure> {
        let (name, directory) = (program.command.first(), program.directory.as_deref());
        let is_there = || name.is_some_and(|name| self.binaries.knows(name, directory));
        let too_few = || failure(SpawnStage::Descriptors, Errno::EMFILE, "");
        let short = (!are_left_for_starts(1)).then(too_few);
        short.or_else(|| obstacles_but(program, is_there).into_iter().next())
    }

    /// Starts a program that is no service, with our environment and these descriptors; `argv` is told their numbers.
    ///
    /// # Errors
    ///
    /// The step that failed; no process is left.
    pub(super) fn start_plain(
        &mut self,
        path: &Path,
        given: &[RawFd],
        tie: Tie,
        argv: impl FnOnce(&[RawFd]) -> Vec<Vec<u8>>,
    ) -> Result<i32, SpawnFailure> {
        let unfit = |errno| failure(SpawnStage::Exec, errno, &path.display().to_string());
        let environment =
            std::env::vars_os().map(|(name, value)| [name.into_vec(), value.into_vec()].join(&b'='));
        let mut lending = self.slots.lend();
        let placed: Result<Vec<RawFd>, Errno> = given.iter().map(|held| lending.give(*held)).collect();
        let unplaced = |errno| failure(SpawnStage::Descriptors, errno, "");
        let numbers = placed.map_err(unplaced)?;
        let stdin = lending.show(self.null.as_raw_fd()).map_err(unplaced)?;
        let prepared = Prepared {
            program: Executable::Named(c_string(path.as_os_str().as_bytes()).map_err(unfit)?),
            argv: Strings::new(argv(&numbers)).map_err(unfit)?,
            envp: Strings::new(environment).map_err(unfit)?,
            directory: None,
            stdin,
            stdout: Some(stdin),
            stderr: None,
            end: lending.end(),
            dispositions: self.dispositions,
            ignored: None,
            entrance: None,
            tie,
            becoming: Becoming::new(&Identity::default(), self.limit),
            precedence: Precedence::Ours,
        };
        let newborn = prepared.fork(&mut self.cradle);
        newborn
            .map(|newborn| newborn.pid)
            .map_err(|failed| diagnose(failed, path, None, &Identity::default()))
    }

    fn start_with(
        &mut self,
        dialect: &Dialect,
        order: &Order<'_>,
        their_end: &TheirEnd,
        voice: Option<Mark>,
    ) -> Result<Born, SpawnFailure> {
        let definition = order.definition;
        let unplaced = |errno| failure(SpawnStage::Descriptors, errno, "");
        let null = self.null.as_raw_fd();
        let mut places =
            Places::new(&self.slots, dialect.numbers, order.fds, their_end, null).map_err(unplaced)?;
        let granted = &Granted {
            service: definition.name.as_str(),
            listeners: &definition.listeners,
            fds: &places.listeners,
            pipe: places.voice.filter(|_| matches!(their_end, TheirEnd::Pipe { .. })),
            notify: if let TheirEnd::Notify(address) = their_end { Some(address) } else { None },
            ack: places.voice.filter(|_| matches!(their_end, TheirEnd::Ack(_))),
            ack_path: places.ack_path,
            generation: order.generation,
            worker: order.worker,
            supervisor: std::process::id(),
        };
        let directory = definition.program.directory.as_deref();
        let env_file = order.env_file.map_or_else(|| env_file_of(definition), |kept| Ok(kept.to_vec()))?;
        let environment = Environment::of_child(&self.ours, definition, granted, &env_file)?;
        let argv = arguments(definition, granted);
        let program = argv.first().map_or("", String::as_str).to_owned();
        see_directory(directory)?;
        let search = environment.get("PATH");
        let found = self.binaries.find(&program, search, directory);
        // A script that is still where it was is started there: it may look for its like beside its `$0`.
        let is_there = |pinned: &&Pinned| {
            let origin = found.as_ref().ok().and_then(|found| found.origin.as_ref());
            origin.is_some_and(|at| pinned.is_script(at))
        };
        let pinned = order.pinned.filter(|pinned| !is_there(pinned));
        let Found { path, seen, origin } = match pinned {
            Some(pinned) => Found::kept(&program, search, directory, pinned.origin()),
            None => found.map_err(|errno| {
                let place = lookup::place(&program, search, directory);
                (order.missed)(&lookup::seen_from(directory, &place));
                failure(SpawnStage::Lookup, errno, &lookup::named(&program, directory))
            })?,
        };

        let unfit = |errno| failure(SpawnStage::Exec, errno, &program);
        let stdout = places.channel(order.channels.stdout, null).map_err(unplaced)?;
        let stderr = places.channel(order.channels.stderr, null).map_err(unplaced)?;
        let mut argv = argv.into_iter().map(String::into_bytes).collect();
        let mut kept = None;
        if let Some(pinned) = pinned {
            let (number, script) = places.execute(pinned).map_err(unplaced)?;
            argv = pinned.arguments(argv, script);
            kept = Some(number);
        }
        let (leaf, entrance) = match &definition.program.identity.cgroup {
            Some(cgroup) => Leaf::new(cgroup, definition.name.as_str(), order.generation)
                .map(|(leaf, entrance)| (Some(Box::new(leaf)), Some(entrance)))
                .map_err(|(errno, subject)| failure(SpawnStage::Cgroup, errno, &subject))?,
            None => (None, None),
        };
        let birth = (order.expect)(&Expected {
            voice,
            program: &seen,
            inode: origin.as_ref().and_then(Origin::binary),
            cgroup: leaf.as_ref().map(|leaf| leaf.path()),
        });
        let prepared = Prepared {
            program: match kept {
                Some(number) => Executable::Kept(number),
                None => Executable::Named(c_string(path.as_os_str().as_bytes()).map_err(unfit)?),
            },
            argv: Strings::new(argv).map_err(unfit)?,
            envp: Strings::with(environment.inherited(), environment.own_lines(), environment.own_pid())
                .map_err(unfit)?,
            directory: directory.map(|d| c_string(d.as_os_str().as_bytes())).transpose().map_err(unfit)?,
            stdin: places.stdin,
            stdout,
            stderr,
            end: places.lending.end(),
            dispositions: self.dispositions,
            ignored: ignored_at_first(dialect, definition.policy.stop_signal),
            entrance: entrance.as_ref().map(AsRawFd::as_raw_fd),
            tie: birth
                .as_ref()
                .map_or(Tie::Loose, |paper| Tie::Signs { file: paper.file.as_raw_fd(), at: paper.at }),
            becoming: Becoming::new(&definition.program.identity, self.limit),
            precedence: order.precedence,
        };
        let newborn = prepared
            .fork(&mut self.cradle)
            .map_err(|failed| diagnose(failed, &path, directory, &definition.program.identity))?;
        let renamed =
            |origin: Origin| if pinned.is_some() { Some(origin) } else { origin.if_still_at(&seen) };
        Ok(Born { newborn, origin: origin.and_then(renamed), program: seen, leaf, env_file })
    }
}

fn make_voice(
    dialect: &Dialect,
    directory: Option<&Path>,
    poller: &Poller,
    number: u32,
) -> Result<(Option<Voice>, TheirEnd), SpawnFailure> {
    let refused = |errno| failure(SpawnStage::Pipe, errno, "");
    let (voice, their_end) = Voice::new(dialect.voice, directory)
        .map_err(|error| refused(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    if let Some(voice) = &voice {
        voice.watch(poller, number).map_err(refused)?;
    }
    Ok((voice, their_end))
}

/// The numbers of what a child gets.
struct Places<'a> {
    lending: Lending<'a>,
    listeners: Vec<RawFd>,
    voice: Option<RawFd>,
    ack_path: Option<RawFd>,
    stdin: RawFd,
}

impl<'a> Places<'a> {
    /// Listeners come first, from 3 on; what is to be the stdin is put there by the child.
    fn new(
        slots: &'a Slots,
        numbers: Numbers,
        held: &[RawFd],
        theirs: &TheirEnd,
        null: RawFd,
    ) -> Result<Self, Errno> {
        let mut lending = slots.lend();
        let (stdin, rest) = match (numbers, held.split_first()) {
            (Numbers::Stdin, Some((first, rest))) => (*first, rest),
            (Numbers::Stdin | Numbers::FromThree, _) => (null, held),
        };
        for &listener in rest {
            lending.give(listener)?;
        }
        let (mut voice, mut ack_path) = (None, None);
        match theirs {
            TheirEnd::Pipe { writer, reader } => {
                voice = Some(lending.give(writer.as_raw_fd())?);
                lending.give(*reader)?;
            }
            TheirEnd::Ack(ends) => {
                voice = Some(lending.give(ends.socket.as_raw_fd())?);
                ack_path = ends.path.as_ref().map(|path| lending.give(path.as_raw_fd())).transpose()?;
            }
            TheirEnd::None | TheirEnd::Notify(_) => {}
        }
        let stdin = lending.show(stdin)?;
        Ok(Self { lending, listeners: numbers.of(held.len()), voice, ack_path, stdin })
    }

    /// The number that becomes a stream of the child, which puts it there.
    fn channel(&mut self, channel: Channel, null: RawFd) -> Result<Option<RawFd>, Errno> {
        match channel {
            Channel::Inherit => Ok(None),
            Channel::Null => self.lending.show(null).map(Some),
            Channel::Pipe { writer, reader } => {
                self.lending.give(reader)?;
                self.lending.show(writer).map(Some)
            }
        }
    }

    /// The number to execute, and that of the script, which the program keeps: its interpreter opens it.
    fn execute(&mut self, pinned: &Pinned) -> Result<(RawFd, Option<RawFd>), Errno> {
        let (program, script) = pinned.numbers();
        let given = script.map(|number| self.lending.give(number)).transpose()?;
        let number = match given {
            Some(number) if script == Some(program) => number,
            Some(_) | None => self.lending.show(program)?,
        };
        Ok((number, given))
    }
}

/// A handshake server that is asked to leave before its handler is installed would die of it: it starts
/// with the signal ignored. A signal that ends it anyhow is left alone, so that its default is what it was.
fn ignored_at_first(dialect: &Dialect, signal: i32) -> Option<i32> {
    let ends_it = matches!(signal, libc::SIGTERM | libc::SIGKILL | libc::SIGSTOP);
    (dialect.starts_deaf && !ends_it).then_some(signal)
}

/// `ENOENT` for a file that exists means its interpreter.
fn diagnose(failed: Failed, path: &Path, directory: Option<&Path>, who: &Identity) -> SpawnFailure {
    let Failed { stage, item, errno } = failed;
    match (stage, errno) {
        (SpawnStage::Exec, Errno::ENOENT) => match lookup::interpreter(path, directory) {
            Some(interpreter) => failure(SpawnStage::Interpreter, errno, &interpreter),
            None => failure(stage, errno, &path.display().to_string()),
        },
        (SpawnStage::Exec, _) => failure(stage, errno, &path.display().to_string()),
        (SpawnStage::Directory, _) => {
            failure(stage, errno, &directory.map_or_else(String::new, |d| d.display().to_string()))
        }
        _ => failure(stage, errno, &identity::subject(who, stage, item)),
    }
}

fn c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

fn failure(stage: SpawnStage, errno: Errno, subject: &str) -> SpawnFailure {
    SpawnFailure { stage, errno: errno as i32, subject: subject.into() }
}
