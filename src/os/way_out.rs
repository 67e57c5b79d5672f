//! How bytes leave through stderr without blocking.
//!
//! Stderr may be a full pipe whose reader hangs, and it is shared with every child: to make its description
//! non-blocking would make theirs so. A pipe or a terminal is therefore opened a second time, a socket is
//! written to with a flag, and a file never blocks.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};

/// What a pipe takes at once where it has room at all.
pub(super) const PIECE_BYTES: usize = 4096;

/// How bytes leave without blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A description of our own, non-blocking; or a regular file.
    Write,
    /// A socket: non-blocking by a flag of the call.
    Send,
    /// A description that is shared and cannot be opened anew: looked at first, and written to in pieces
    /// that fit where anything fits. Another writer may take the room in between; better is not to be had.
    LookFirst,
    /// Nobody reads any more.
    Gone,
}

impl Way {
    /// The way to what `fd` leads to.
    pub(super) fn to(fd: impl AsFd) -> io::Result<(OwnedFd, Self)> {
        let shared = File::from(fd.as_fd().try_clone_to_owned()?);
        let kind = shared.metadata()?.file_type();
        Ok(if kind.is_socket() {
            (shared.into(), Self::Send)
        } else if kind.is_fifo() || kind.is_char_device() {
            open_anew(&shared)
                .map_or_else(|_| (shared.into(), Self::LookFirst), |own| (own.into(), Self::Write))
        } else {
            (shared.into(), Self::Write)
        })
    }

    /// Writes what it takes now.
    pub(super) fn write(self, out: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
        match self {
            Self::Write => nix::unistd::write(out, bytes),
            Self::Send => send(out.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL),
            Self::LookFirst => {
                let mut watched = [PollFd::new(out, PollFlags::POLLOUT)];
                if poll(&mut watched, PollTimeout::ZERO)? == 0 {
                    return Err(Errno::EAGAIN);
                }
                nix::unistd::write(out, bytes.get(..PIECE_BYTES).unwrap_or(bytes))
            }
            Self::Gone => Err(Errno::EPIPE),
        }
    }
}

/// A description of our own for what `shared` leads to.
fn open_anew(shared: &File) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", shared.as_raw_fd()))
}
