//! The sockets on which a worker of einhorn's kind says that it is ready. It has one end of a pair, and a way to connect
//! anew: einhorn's own library knows both, and takes the second where nothing else is asked for.
//!
//! That way is no path that others could find. The listener is bound in the runtime directory, held by its file, and
//! removed from there at once; the worker gets the file by descriptor and connects to that descriptor's path in `/proc`.
//! So nobody speaks here but who was given it, and a worker of another user can.

use super::heard::Heard;
use super::inherited::{Legacy, Numbers};
use crate::limits::{ACK_CONNECTIONS, PIPE_TURN_BYTES};
use crate::protocol::{AckReader, Word};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Our ends.
pub(super) struct AckSocket {
    /// Readable when one of the others is.
    set: Epoll,
    listener: Option<UnixListener>,
    /// The oldest first, with what was read of each in part.
    connections: Vec<(UnixStream, AckReader)>,
}

/// The worker's ends.
pub(super) struct TheirAck {
    /// One that is connected, and blocks.
    pub(super) socket: OwnedFd,
    /// What it connects to, where there was a place for it.
    pub(super) path: Option<OwnedFd>,
}

impl AckSocket {
    /// Makes both ends; the listener passes through `directory`, if there is one that lets it.
    pub(super) fn new(directory: Option<&Path>) -> io::Result<(Self, TheirAck)> {
        let (ours, socket) = UnixStream::pair()?;
        // A path that is too long, or a full disk: a worker that looks for its descriptor does without.
        let (listener, path) = directory.and_then(|directory| listen(directory).ok()).unzip();
        let all = Self::of(listener, vec![(ours, AckReader::default())])?;
        Ok((all, TheirAck { socket: socket.into(), path }))
    }

    fn of(listener: Option<UnixListener>, connections: Vec<(UnixStream, AckReader)>) -> io::Result<Self> {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let all = Self { set, listener, connections };
        all.listener.iter().try_for_each(|listener| all.watch(listener))?;
        for (connection, _) in &all.connections {
            connection.set_nonblocking(true)?;
            all.watch(connection)?;
        }
        Ok(all)
    }

    fn watch(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.set.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?)
    }

    /// Reads what is there, at most [`PIPE_TURN_BYTES`] of each connection. That the worker has closed them all is the
    /// last thing heard, where it cannot make another.
    pub(super) fn read(&mut self) -> Vec<Heard> {
        self.accept();
        let mut ready = false;
        self.connections.retain_mut(|(connection, reader)| {
            let (said, open) = read(connection, reader);
            ready |= said;
            open
        });
        let mut heard = Vec::new();
        heard.extend(ready.then_some(Heard::Word(Word::Ready)));
        if self.connections.is_empty() && self.listener.is_none() {
            heard.push(Heard::Hangup);
        }
        heard
    }

    /// Takes new connections, at most [`ACK_CONNECTIONS`] in one turn. Where there are too many the oldest gives way: the
    /// message is sent at once.
    fn accept(&mut self) {
        for _ in 0..ACK_CONNECTIONS {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((connection, _)) => {
                    if connection.set_nonblocking(true).and_then(|()| self.watch(&connection)).is_ok() {
                        self.connections.push((connection, AckReader::default()));
                    }
                    let many = self.connections.len().saturating_sub(ACK_CONNECTIONS);
                    self.connections.drain(..many);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // Without a descriptor for it the set would stay readable for ever.
                Err(_) => self.listener = None,
            }
        }
    }
}

/// Reads what is there. Was the message among it, and may more come?
fn read(connection: &UnixStream, reader: &mut AckReader) -> (bool, bool) {
    let (mut said, mut buffer, mut left) = (false, [0; 4096], PIPE_TURN_BYTES);
    while left > 0 {
        match nix::unistd::read(connection, &mut buffer) {
            Ok(0) | Err(Errno::ECONNRESET) => return (said, false),
            Ok(count) => {
                left = left.saturating_sub(count);
                said |= reader.push(buffer.get(..count).unwrap_or_default()) > 0;
            }
            Err(Errno::EINTR) => {}
            Err(_) => break,
        }
    }
    (said, true)
}

/// A listener that no path leads to any more, and its file.
fn listen(directory: &Path) -> io::Result<(UnixListener, OwnedFd)> {
    let path = directory.join("ack");
    // One that was left by a supervisor that was killed in between.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    listener.set_nonblocking(true)?;
    // Who has the descriptor may connect, whoever he is; the directory lets in nobody else meanwhile.
    fs::set_permissions(&path, Permissions::from_mode(0o666))?;
    let file = open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    fs::remove_file(&path)?;
    Ok((listener, file))
}

impl AsFd for AckSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.0.as_fd()
    }
}

/// An [`AckSocket`] that is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptAck {
    listener: Option<RawFd>,
    connections: Vec<(RawFd, AckReader)>,
}

impl AckSocket {
    /// Leaves it to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> KeptAck {
        let listener = self.listener.as_ref().map(|listener| numbers.keep(listener));
        let all = self.connections.iter();
        KeptAck { listener, connections: all.map(|(c, reader)| (numbers.keep(c), reader.clone())).collect() }
    }

    /// Takes it over.
    pub(super) fn restore(kept: KeptAck, legacy: &mut Legacy) -> nix::Result<Self> {
        let listener = kept.listener.map(|number| legacy.claim(number)).transpose()?.map(UnixListener::from);
        let all = kept.connections.into_iter();
        let connections = all.map(|(number, reader)| Ok((UnixStream::from(legacy.claim(number)?), reader)));
        let connections = connections.collect::<nix::Result<_>>()?;
        Self::of(listener, connections)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }
}
