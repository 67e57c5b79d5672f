//! The writer's side of its talk with the supervisor, which may be stopped, or gone.

use crate::limits::LOG_MESSAGES;
use crate::os::{receive, send};
use crate::protocol::logs::{FromWriter, ToWriter};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// The socket, and what waits to be said.
pub(super) struct Talk {
    socket: OwnedFd,
    /// The supervisor says nothing more.
    closed: bool,
    closed_lately: bool,
    waiting: VecDeque<FromWriter>,
    watched: bool,
}

impl Talk {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, closed: false, closed_lately: false, waiting: VecDeque::new(), watched: false }
    }

    /// Watches for what the supervisor says.
    pub(super) fn watch(&self, epoll: &Epoll, data: u64) -> nix::Result<()> {
        epoll.add(&self.socket, EpollEvent::new(EpollFlags::EPOLLIN, data))
    }

    /// What it says next.
    pub(super) fn hear(&mut self) -> Option<(ToWriter, Option<OwnedFd>)> {
        if self.closed {
            return None;
        }
        loop {
            match receive(&self.socket) {
                Ok(Some(heard)) => return Some(heard),
                Err(Errno::EAGAIN) => return None,
                // A word that is not known is one of a later program.
                Err(Errno::EINTR | Errno::EBADMSG) => {}
                Ok(None) | Err(_) => break,
            }
        }
        (self.closed, self.closed_lately) = (true, true);
        None
    }

    /// Has it closed since the last call?
    pub(super) fn has_just_closed(&mut self) -> bool {
        std::mem::take(&mut self.closed_lately)
    }

    /// Has it closed?
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Says something, now or later.
    pub(super) fn say(&mut self, message: FromWriter) {
        let frees = matches!(message, FromWriter::Ended { .. } | FromWriter::Taken { .. } | FromWriter::Here);
        if frees || self.waiting.len() < LOG_MESSAGES {
            self.waiting.push_back(message);
        }
    }

    /// Says what can be said now, and watches for room for the rest.
    pub(super) fn flush(&mut self, epoll: &Epoll, data: u64) {
        while let Some(message) = self.waiting.front() {
            match send(&self.socket, message, None) {
                Ok(()) => _ = self.waiting.pop_front(),
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                Err(Errno::EINTR) => {}
                // Nobody hears it.
                Err(_) => self.waiting.clear(),
            }
        }
        let wants = !self.waiting.is_empty();
        if wants != self.watched || self.closed {
            let mut flags = EpollFlags::empty();
            flags.set(EpollFlags::EPOLLOUT, wants);
            flags.set(EpollFlags::EPOLLIN, !self.closed);
            // One that nobody is at the other end of would be ready for ever.
            let _ = if self.closed && !wants {
                epoll.delete(&self.socket)
            } else {
                epoll.modify(&self.socket, &mut EpollEvent::new(flags, data))
            };
            self.watched = wants;
        }
    }
}
