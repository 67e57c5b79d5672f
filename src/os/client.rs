//! One connection to the control socket: what it has sent of a request, what waits for it, and how long.

use super::memory::LARGE_BYTES;
use crate::core::Time;
use crate::limits::{
    CONTROL_ANSWER_PATIENCE, CONTROL_EVENT_BYTES, CONTROL_LINE_BYTES, CONTROL_LINE_PATIENCE,
};
use crate::plan::Rights;
use crate::protocol::control::{ErrorCode, Reply};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its process.
    pub pid: i32,
    /// What it may ask for.
    pub rights: Rights,
}

/// What follows a line that is sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More of the same answer.
    More,
    /// Its next request is read.
    Next,
    /// Nothing: it is closed once it has all.
    Close,
}

/// One connection.
pub(super) struct Client {
    stream: OwnedFd,
    pub(super) peer: Peer,
    /// What has come of a request, and perhaps of the next.
    inbox: Vec<u8>,
    outbox: VecDeque<u8>,
    phase: Phase,
    has_spoken: bool,
    /// When it last took a byte, or had none to take.
    moved: Time,
    /// Events that did not fit.
    lost: u64,
    /// The number of the request whose events they are.
    following: u64,
    /// The number of its request for an upgrade, until that is answered.
    pub(super) upgrade: Option<u64>,
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A whole line is awaited of it.
    Asked { by: Time },
    /// Its request is being dealt with, for as long as that takes.
    Waits,
    /// It has got its last answer.
    Closes,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// No whole line yet.
    Nothing,
    /// A line, without its end.
    Line(Vec<u8>),
    /// Nothing will come any more.
    End,
}

impl Client {
    /// Bytes read at once.
    const PIECE_BYTES: usize = 16 * 1024;

    /// `stream` does not block.
    pub(super) fn new(stream: OwnedFd, peer: Peer, now: Time) -> Self {
        Self {
            stream,
            peer,
            inbox: Vec::new(),
            outbox: VecDeque::new(),
            phase: Phase::Asked { by: now + CONTROL_LINE_PATIENCE },
            has_spoken: false,
            moved: now,
            lost: 0,
            following: 0,
            upgrade: None,
        }
    }

    /// One that was left by the program before. Where it has asked that for an upgrade it waits for the answer.
    pub(super) fn left(stream: OwnedFd, peer: Peer, upgrade: Option<u64>, inbox: Vec<u8>, now: Time) -> Self {
        let new = Self::new(stream, peer, now);
        let phase = if upgrade.is_some() { Phase::Waits } else { new.phase };
        Self { inbox, phase, has_spoken: upgrade.is_some(), upgrade, ..new }
    }

    /// Reads one piece, where a request is awaited.
    pub(super) fn read(&mut self) -> Read {
        match self.next_line() {
            Read::Nothing if self.reads() => {}
            found @ (Read::Nothing | Read::Line(_) | Read::End) => return found,
        }
        let mut piece = [0; Self::PIECE_BYTES];
        match recv(self.stream.as_raw_fd(), &mut piece, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Read::End,
            Ok(len) => {
                self.inbox.extend_from_slice(piece.get(..len).unwrap_or_default());
                self.next_line()
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Takes a whole line out of what has come already. A line that is too long is answered here.
    pub(super) fn next_line(&mut self) -> Read {
        if !self.reads() {
            return Read::Nothing;
        }
        let end = self.inbox.iter().position(|&byte| byte == b'\n');
        if end.unwrap_or(self.inbox.len()) > CONTROL_LINE_BYTES {
            let message = format!("a request has at most {CONTROL_LINE_BYTES} bytes");
            self.refuse(ErrorCode::TooLong, message);
            return Read::Nothing;
        }
        let Some(end) = end else { return Read::Nothing };
        let rest = self.inbox.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.inbox, rest);
        line.truncate(end);
        self.phase = Phase::Waits;
        self.has_spoken = true;
        Read::Line(line)
    }

    /// Sends a piece of an answer; what it does not take at once waits for it.
    pub(super) fn answer(&mut self, mut piece: &[u8], then: Then, now: Time) {
        if self.outbox.is_empty() && !piece.is_empty() {
            self.moved = now;
            if piece.len() > LARGE_BYTES {
                // As much as it may: the fewer pieces, the less often the two of us wait for a processor.
                let _ = setsockopt(&self.stream, sockopt::SndBuf, &piece.len());
            }
            // Where it cannot be sent at all the next try tells.
            let taken = self.send(piece).unwrap_or(0);
            piece = piece.get(taken..).unwrap_or_default();
        }
        self.outbox.extend(piece);
        match then {
            Then::More => {}
            Then::Next => {
                self.phase = Phase::Asked { by: now + CONTROL_LINE_PATIENCE };
                self.upgrade = None;
            }
            Then::Close => self.phase = Phase::Closes,
        }
    }

    /// Puts an event where it waits, unless too many do.
    pub(super) fn tell(&mut self, id: u64, line: &str) {
        self.following = id;
        if self.lost > 0 || self.outbox.len() + line.len() > CONTROL_EVENT_BYTES {
            self.lost += 1;
        } else {
            self.outbox.extend(line.as_bytes());
        }
    }

    /// Writes what it takes. Tells whether it goes on.
    pub(super) fn write(&mut self, now: Time) -> bool {
        if self.outbox.is_empty() {
            return self.phase != Phase::Closes;
        }
        while !self.outbox.is_empty() {
            let (first, _) = self.outbox.as_slices();
            match self.send(first) {
                Ok(len) => {
                    self.outbox.drain(..len);
                    self.moved = now;
                }
                Err(Errno::EAGAIN) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
            if self.outbox.is_empty() && self.lost > 0 {
                let lost = Reply::Lost { events: std::mem::take(&mut self.lost) };
                self.outbox.extend(lost.line(self.following).as_bytes());
            }
        }
        self.outbox.shrink_to(Self::PIECE_BYTES);
        if let Phase::Asked { by } = &mut self.phase {
            // The time for its next request begins when it has the answer to the last.
            *by = now + CONTROL_LINE_PATIENCE;
        }
        self.phase != Phase::Closes
    }

    fn send(&self, bytes: &[u8]) -> nix::Result<usize> {
        send(self.stream.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
    }

    /// What the time has come for: a request that is not whole, an answer that is not taken. Tells whether it
    /// goes on.
    pub(super) fn deadline_passed(&mut self, now: Time) -> bool {
        match self.phase {
            Phase::Asked { by } if by <= now && !self.outbox.is_empty() => {}
            Phase::Asked { by } if by <= now => {
                if self.inbox.is_empty() {
                    return false;
                }
                let message = format!("no whole request came within {}s", CONTROL_LINE_PATIENCE.as_secs());
                self.refuse(ErrorCode::TooSlow, message);
                self.moved = now;
            }
            Phase::Asked { .. } | Phase::Waits | Phase::Closes => {}
        }
        self.taken_by().is_none_or(|by| now < by)
    }

    /// When it must hear of the time, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Asked { by } if self.outbox.is_empty() => Some(by),
            Phase::Asked { .. } | Phase::Waits | Phase::Closes => self.taken_by(),
        }
    }

    /// Until when it has to take a byte. One that follows events loses them instead.
    fn taken_by(&self) -> Option<Time> {
        let waits = !self.outbox.is_empty() && self.phase != Phase::Waits;
        waits.then(|| self.moved + CONTROL_ANSWER_PATIENCE)
    }

    /// Tells it why, and nothing after that.
    pub(super) fn refuse(&mut self, code: ErrorCode, message: String) {
        self.outbox.extend(Reply::error(code, message).line(0).as_bytes());
        self.inbox = Vec::new();
        self.phase = Phase::Closes;
    }

    /// Is something read of it now? Not before it has taken what it asked for.
    pub(super) fn reads(&self) -> bool {
        matches!(self.phase, Phase::Asked { .. }) && self.outbox.is_empty()
    }

    /// Does something wait for it?
    pub(super) fn writes(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Has it sent a whole line?
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// What it has sent and nobody has read.
    pub(super) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Bytes of an answer that wait for it. Those of events have a bound of their own, and have nobody else wait.
    pub(super) fn answer_bytes(&self) -> usize {
        if self.phase == Phase::Waits { 0 } else { self.outbox.len() }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
