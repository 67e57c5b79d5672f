//! `NETLINK_SOCK_DIAG`: what the kernel knows of all sockets of a kind (`protocol/sock_diag.rs`).

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Somebody who may ask.
pub(super) struct Diag {
    kernel: OwnedFd,
    piece: Vec<u8>,
}

impl Diag {
    pub(super) fn new() -> nix::Result<Self> {
        /// More than the kernel puts into one datagram.
        const PIECE_BYTES: usize = 64 * 1024;

        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
        Ok(Self { kernel, piece: vec![0; PIECE_BYTES] })
    }

    /// Asks, and has each datagram of the answer taken, until `take` says that this was the last.
    pub(super) fn ask(&mut self, question: &[u8], mut take: impl FnMut(&[u8]) -> bool) -> nix::Result<()> {
        send(self.kernel.as_raw_fd(), question, MsgFlags::empty())?;
        loop {
            // The kernel makes each piece of its answer within the call: it is there, or does not come.
            let len = match recv(self.kernel.as_raw_fd(), &mut self.piece, MsgFlags::empty()) {
                Err(Errno::EINTR) => continue,
                len => len?,
            };
            if take(self.piece.get(..len).unwrap_or_default()) {
                return Ok(());
            }
        }
    }
}
