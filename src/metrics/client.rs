//! One connection: a request, its answer, the end.

use super::page::Wanted;
use crate::core::Time;
use crate::limits::{METRICS_HEAD_BYTES, METRICS_PATIENCE};
use nix::poll::PollFlags;
use socket2::Socket;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

/// A client, and until when it is waited for.
pub(super) struct Client {
    stream: Socket,
    phase: Phase,
    by: Time,
}

enum Phase {
    /// It says what it wants.
    Asks(Vec<u8>),
    /// It takes its answer, of which so many bytes are gone.
    Takes(Vec<u8>, usize),
    /// It has all, and is to close: with unread bytes left our close would be a reset, and could cost it the answer.
    Closes,
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More is to come.
    Waits,
    /// It has asked.
    Wants(Wanted),
    /// It is over.
    Ends,
}

impl Client {
    /// One that has just been accepted. Its stream does not block.
    pub(super) fn new(stream: Socket, now: Time) -> Self {
        Self { stream, phase: Phase::Asks(Vec::new()), by: now + METRICS_PATIENCE }
    }

    /// When it has been waited for long enough.
    pub(super) fn deadline(&self) -> Time {
        self.by
    }

    /// It is over.
    pub(super) fn end(&mut self) {
        self.by = Time::default();
    }

    /// What is waited for.
    pub(super) fn events(&self) -> PollFlags {
        match self.phase {
            Phase::Asks(_) | Phase::Closes => PollFlags::POLLIN,
            Phase::Takes(..) => PollFlags::POLLOUT,
        }
    }

    /// Goes on as far as it can without waiting.
    pub(super) fn go_on(&mut self) -> Step {
        match self.step() {
            Ok(step) => step,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Waits,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Waits,
            // It went away.
            Err(_) => Step::Ends,
        }
    }

    fn step(&mut self) -> io::Result<Step> {
        match &mut self.phase {
            Phase::Asks(inbox) => {
                let mut piece = [0; METRICS_HEAD_BYTES];
                let room = (METRICS_HEAD_BYTES + 1 - inbox.len()).min(piece.len());
                let len = self.stream.read(&mut piece[..room])?;
                if len == 0 {
                    return Ok(Step::Ends);
                }
                inbox.extend_from_slice(&piece[..len]);
                Ok(Wanted::read(inbox).map_or(Step::Waits, Step::Wants))
            }
            Phase::Takes(answer, sent) => {
                while *sent < answer.len() {
                    *sent += self.stream.write(&answer[*sent..])?;
                }
                self.stream.shutdown(Shutdown::Write)?;
                self.phase = Phase::Closes;
                Ok(Step::Waits)
            }
            Phase::Closes => {
                let len = self.stream.read(&mut [0; METRICS_HEAD_BYTES])?;
                Ok(if len == 0 { Step::Ends } else { Step::Waits })
            }
        }
    }

    /// Gives it its answer, and the time to take it.
    pub(super) fn answer(&mut self, answer: Vec<u8>, now: Time) -> Step {
        self.phase = Phase::Takes(answer, 0);
        self.by = now + METRICS_PATIENCE;
        self.go_on()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
