//! On what a server talks to us: one of three descriptors of ours, watched alike.

use super::ack::AckSocket;
use super::heard::Heard;
use super::notify::NotifySocket;
use super::pipe::Pipe;
use crate::protocol::{self};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Our end.
pub(super) enum Voice {
    /// The pipe with the words of seven bytes.
    Pipe(Pipe),
    /// The socket for the datagrams of `sd_notify`.
    Notify(NotifySocket),
    /// The socket for the message of einhorn's workers.
    Ack(AckSocket),
}

/// The server's end.
pub(super) enum TheirEnd {
    /// There is none.
    None,
    /// The descriptor for `{pipe}`.
    Pipe(OwnedFd),
    /// The descriptor for einhorn's variable.
    Ack(OwnedFd),
    /// The address for `NOTIFY_SOCKET`.
    Notify(String),
}

impl Voice {
    /// Makes both ends.
    pub(super) fn new(kind: protocol::Voice) -> io::Result<(Option<Self>, TheirEnd)> {
        let (ours, theirs) = match kind {
            protocol::Voice::Silent => return Ok((None, TheirEnd::None)),
            protocol::Voice::Pipe => {
                let (pipe, writer) = Pipe::new()?;
                (Self::Pipe(pipe), TheirEnd::Pipe(writer))
            }
            protocol::Voice::Ack => {
                let (socket, theirs) = AckSocket::new()?;
                (Self::Ack(socket), TheirEnd::Ack(theirs))
            }
            protocol::Voice::Notify => {
                let (socket, address) = NotifySocket::new()?;
                (Self::Notify(socket), TheirEnd::Notify(address))
            }
        };
        Ok((Some(ours), theirs))
    }

    /// Reads what is there, as far as one turn goes; `leader` leads the processes that may speak.
    pub(super) fn read(&mut self, leader: i32) -> Vec<Heard> {
        match self {
            Self::Pipe(pipe) => pipe.read(),
            Self::Notify(socket) => socket.read(leader),
            Self::Ack(socket) => socket.read(),
        }
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
