//! Pipes for what services write. Each run has one for each stream that is captured: so a line is of one process, and
//! ends with it. The supervisor holds the end to read from, and reads nothing: that is for the log writer, which has the
//! same end; when that dies, the next one gets it.

use crate::core::{SpawnFailure, SpawnStage};
use crate::limits::LOG_PIPE_BYTES;
use crate::plan::{Definition, Outlet, Stream};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Uid, fchown, pipe2};
use serde::{Deserialize, Serialize};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::passing::widen_pipe;
use super::voice::find_descriptor;

/// What a stream of a child becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// Ours.
    Inherit,
    /// Nothing.
    Null,
    /// A pipe of which we hold both ends. The child is given that of the reader, too: it does not die of SIGPIPE while there is
    /// neither a supervisor nor a log writer, and what it writes is still there for the next. It could not be one descriptor
    /// for both: whoever looks whether his reader is still there (asyncio) takes what nobody has read yet for its end.
    Pipe { writer: RawFd, reader: RawFd },
}

/// The stdout and the stderr of a child.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels {
    pub(super) stdout: Channel,
    pub(super) stderr: Channel,
}

impl Channels {
    /// Ours.
    pub(super) const INHERITED: Self = Self { stdout: Channel::Inherit, stderr: Channel::Inherit };

    /// Nobody wants to see its stdout.
    pub(super) const MUTE: Self = Self { stdout: Channel::Null, stderr: Channel::Inherit };
}

/// A pipe that was just made.
pub(super) struct NewPipe {
    pub(super) stream: Stream,
    pub(super) reader: OwnedFd,
    writer: OwnedFd,
}

/// By what a pipe is found again by a supervisor that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipeMark {
    pub(super) stream: Stream,
    inode: u64,
}

/// What a run is to write to.
#[derive(Default)]
pub(super) struct NewPipes(Vec<NewPipe>);

impl NewPipes {
    /// Makes those that the definition asks for.
    ///
    /// # Errors
    ///
    /// The system's; there are none then.
    pub(super) fn of(definition: &Definition) -> Result<Self, SpawnFailure> {
        let user = definition.program.identity.user.as_ref().map(|user| Uid::from_raw(user.uid));
        let pipes = definition.program.captured().map(|stream| NewPipe::new(stream, user));
        pipes.collect::<Result<_, _>>().map(Self).map_err(|errno| SpawnFailure {
            stage: SpawnStage::Output,
            errno: errno as i32,
            subject: String::new(),
        })
    }

    /// What the streams of the child become.
    pub(super) fn channels(&self, definition: &Definition) -> Channels {
        let Some(output) = &definition.program.output else { return Channels::INHERITED };
        let channel = |stream| match output.of(stream) {
            Outlet::Inherit => Channel::Inherit,
            Outlet::Null => Channel::Null,
            Outlet::Journal | Outlet::Syslog | Outlet::File(_) => {
                let pipe = self.0.iter().find(|pipe| pipe.stream == stream);
                pipe.map_or(Channel::Null, NewPipe::channel)
            }
        };
        Channels { stdout: channel(Stream::Stdout), stderr: channel(Stream::Stderr) }
    }

    /// By what they are found again.
    pub(super) fn marks(&self) -> Vec<PipeMark> {
        self.0.iter().filter_map(|pipe| PipeMark::of(pipe.stream, &pipe.reader)).collect()
    }

    /// The ends that we keep. Those of the child close here.
    pub(super) fn into_readers(self) -> impl Iterator<Item = (Stream, OwnedFd)> {
        self.0.into_iter().map(|pipe| (pipe.stream, pipe.reader))
    }
}

impl NewPipe {
    fn channel(&self) -> Channel {
        Channel::Pipe { writer: self.writer.as_raw_fd(), reader: self.reader.as_raw_fd() }
    }

    fn new(stream: Stream, user: Option<Uid>) -> Result<Self, Errno> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
        // The two ends have a description each: only ours becomes non-blocking.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        widen_pipe(&reader, LOG_PIPE_BYTES);
        if user.is_some() {
            // Else it could not open /dev/stderr. Where it is not allowed it could not have become that user either.
            let _ = fchown(&writer, user, None);
        }
        Ok(Self { stream, reader, writer })
    }
}

impl PipeMark {
    /// That of a pipe that we hold.
    pub(super) fn of(stream: Stream, reader: &OwnedFd) -> Option<Self> {
        fstat(reader).ok().map(|found| Self { stream, inode: found.st_ino })
    }

    /// What a link to it in `/proc` says.
    pub(super) fn target(&self) -> String {
        format!("pipe:[{}]", self.inode)
    }

    /// Our end of it, made anew from that of the process `pid`, or of one that reads it.
    pub(super) fn find(self, pids: &[i32]) -> Option<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        pids.iter().find_map(|pid| {
            let number = find_descriptor(*pid, &self.target())?;
            let reader = open(format!("/proc/{pid}/fd/{number}").as_str(), flags, Mode::empty()).ok()?;
            (fstat(&reader).ok()?.st_ino == self.inode).then_some(reader)
        })
    }
}
