//! On what a server talks to us: one of three descriptors of ours, watched alike.

use super::ack::{AckSocket, KeptAck, TheirAck};
use super::heard::Heard;
use super::inherited::{Legacy, Numbers};
use super::notify::NotifySocket;
use super::pipe::Pipe;
use super::poller::{Poller, Token};
use crate::protocol::{self, WordReader};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

/// Our end.
pub(super) enum Voice {
    /// The pipe with the words of seven bytes.
    Pipe(Pipe),
    /// The socket for the datagrams of `sd_notify`.
    Notify(NotifySocket),
    /// The sockets for the message of einhorn's workers.
    Ack(Box<AckSocket>),
}

/// The server's end.
pub(super) enum TheirEnd {
    /// There is none.
    None,
    /// The descriptor for `{pipe}`; and ours, to be given to the server as well: it does not die of SIGPIPE then while there
    /// is no supervisor, and what it says is there for the next.
    Pipe { writer: OwnedFd, reader: RawFd },
    /// The descriptors for einhorn's variables.
    Ack(TheirAck),
    /// The address for `NOTIFY_SOCKET`.
    Notify(String),
}

impl Voice {
    /// Makes both ends. A socket that needs a path for a moment has it in `directory`.
    pub(super) fn new(
        kind: protocol::Voice,
        directory: Option<&Path>,
    ) -> io::Result<(Option<Self>, TheirEnd)> {
        let (ours, theirs) = match kind {
            protocol::Voice::Silent => return Ok((None, TheirEnd::None)),
            protocol::Voice::Pipe => {
                let (pipe, writer) = Pipe::new()?;
                let reader = pipe.as_fd().as_raw_fd();
                (Self::Pipe(pipe), TheirEnd::Pipe { writer, reader })
            }
            protocol::Voice::Ack => {
                let (socket, theirs) = AckSocket::new(directory)?;
                (Self::Ack(Box::new(socket)), TheirEnd::Ack(theirs))
            }
            protocol::Voice::Notify => {
                let (socket, address) = NotifySocket::new()?;
                (Self::Notify(socket), TheirEnd::Notify(address))
            }
        };
        Ok((Some(ours), theirs))
    }

    /// Watches it under this number. Of a pipe only news are told: that its process has closed it needs no answer.
    pub(super) fn watch(&self, poller: &Poller, number: u32) -> nix::Result<()> {
        match self {
            Self::Pipe(pipe) => poller.watch_news(pipe, Token::Voice(number)),
            Self::Notify(_) | Self::Ack(_) => poller.watch_readable(self, Token::Voice(number)),
        }
    }

    /// Reads what is there, as far as one turn goes; `leader` leads the processes that may speak. What is left of a turn is
    /// told under this number again.
    pub(super) fn read(&mut self, poller: &Poller, number: u32, leader: i32) -> Vec<Heard> {
        match self {
            Self::Pipe(pipe) => {
                let heard = pipe.read();
                if pipe.is_cut() {
                    poller.tell_again(&*pipe, Token::Voice(number));
                }
                heard
            }
            Self::Notify(socket) => socket.read(leader),
            Self::Ack(socket) => socket.read(),
        }
    }
}

/// By what a voice is found again that a killed supervisor had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Mark {
    /// The inode of the pipe.
    Pipe(u64),
    /// The name of the notify socket.
    Notify(String),
}

impl Voice {
    /// By what it is found again. What einhorn's workers say is of no use once they serve.
    pub(super) fn mark(&self) -> Option<Mark> {
        match self {
            Self::Pipe(pipe) => nix::sys::stat::fstat(pipe).ok().map(|found| Mark::Pipe(found.st_ino)),
            Self::Notify(socket) => socket.address().ok().map(Mark::Notify),
            Self::Ack(_) => None,
        }
    }

    /// Makes our end again, of what the process `pid` still has. A word that was written in part is lost.
    pub(super) fn find(pid: i32, mark: &Mark) -> Option<Self> {
        match mark {
            Mark::Pipe(inode) => {
                let number = find_descriptor(pid, &format!("pipe:[{inode}]"))?;
                Pipe::of_writer(pid, number, *inode).ok().map(Self::Pipe)
            }
            Mark::Notify(address) => NotifySocket::at(address).ok().map(Self::Notify),
        }
    }
}

/// The lowest descriptor of the process that leads to this.
pub(super) fn find_descriptor(pid: i32, target: &str) -> Option<RawFd> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let leads = |entry: fs::DirEntry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        (fs::read_link(entry.path()).ok()?.to_str() == Some(target)).then_some(number)
    };
    entries.filter_map(|entry| leads(entry.ok()?)).min()
}

/// A [`Voice`] that is left to the next program, with what was heard in part.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum KeptVoice {
    Pipe { reader: RawFd, words: WordReader },
    Notify { socket: RawFd },
    Ack(KeptAck),
}

impl Voice {
    /// Leaves it to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> KeptVoice {
        match self {
            Self::Pipe(pipe) => KeptVoice::Pipe { reader: numbers.keep(pipe), words: pipe.words() },
            Self::Notify(socket) => KeptVoice::Notify { socket: numbers.keep(socket) },
            Self::Ack(socket) => KeptVoice::Ack(socket.keep(numbers)),
        }
    }

    /// Takes it over.
    pub(super) fn restore(kept: KeptVoice, legacy: &mut Legacy) -> nix::Result<Self> {
        Ok(match kept {
            KeptVoice::Pipe { reader, words } => Self::Pipe(Pipe::from_parts(legacy.claim(reader)?, words)),
            KeptVoice::Notify { socket } => Self::Notify(NotifySocket::from(legacy.claim(socket)?)),
            KeptVoice::Ack(kept) => Self::Ack(Box::new(AckSocket::restore(kept, legacy)?)),
        })
    }
}

impl AsFd for Voice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pipe(pipe) => pipe.as_fd(),
            Self::Notify(socket) => socket.as_fd(),
            Self::Ack(socket) => socket.as_fd(),
        }
    }
}
