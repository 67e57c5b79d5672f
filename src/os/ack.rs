//! The supervisor's end of the socket on which a worker of einhorn's kind says that it is ready.

use super::heard::Heard;
use crate::limits::PIPE_TURN_BYTES;
use crate::protocol::{AckReader, Word};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Our end.
pub(super) struct AckSocket {
    ours: UnixStream,
    reader: AckReader,
}

impl AckSocket {
    /// Makes the pair; gives the server's end, which blocks.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((Self { ours, reader: AckReader::default() }, theirs.into()))
    }

    /// Takes over a socket of which a part was read.
    pub(super) fn from_parts(ours: OwnedFd, reader: AckReader) -> Self {
        Self { ours: ours.into(), reader }
    }

    /// What was read in part.
    pub(super) fn reader(&self) -> &AckReader {
        &self.reader
    }

    /// Reads what is there, at most [`PIPE_TURN_BYTES`]. That the server has closed its end is the last thing
    /// heard; it may, and mostly does once it has said the one thing.
    pub(super) fn read(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        let mut left = PIPE_TURN_BYTES;
        while left > 0 {
            match nix::unistd::read(&self.ours, &mut buffer) {
                Ok(0) | Err(Errno::ECONNRESET) => {
                    heard.push(Heard::Hangup);
                    break;
                }
                Ok(count) => {
                    left = left.saturating_sub(count);
                    let messages = self.reader.push(buffer.get(..count).unwrap_or_default());
                    heard.extend(std::iter::repeat_n(Heard::Word(Word::Ready), messages.min(1)));
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        heard
    }
}

impl AsFd for AckSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ours.as_fd()
    }
}
