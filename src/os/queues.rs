//! What waits at the sockets that are held. TCP and UDP sockets tell it themselves; of unix sockets only
//! `NETLINK_SOCK_DIAG` knows, which is asked once for all of them, and not before somebody wants to know.

use super::listeners::Listeners;
use crate::plan::ListenerId;
use crate::protocol::status::Queue;
use crate::protocol::{UnixQueue, ask_unix_queues, read_unix_queues};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::os::fd::AsRawFd as _;

/// What waits at the sockets, as of the moment when it was first asked for.
pub struct Queues<'a> {
    listeners: &'a Listeners,
    /// By the lower half of the inode.
    unix: OnceCell<HashMap<u32, Queue>>,
}

impl<'a> Queues<'a> {
    pub(super) fn of(listeners: &'a Listeners) -> Self {
        Self { listeners, unix: OnceCell::new() }
    }

    /// What waits at one, where the kernel tells; nothing waits at one that is parked.
    pub fn of_listener(&self, id: ListenerId) -> Option<Queue> {
        self.listeners.get(id)?.queue(|inode| {
            // A kernel without `unix_diag` knows of none.
            let known = self.unix.get_or_init(|| unix_queues().unwrap_or_default());
            known.get(&u32::try_from(inode & u64::from(u32::MAX)).ok()?).copied()
        })
    }
}

/// What waits at each unix socket that listens.
fn unix_queues() -> nix::Result<HashMap<u32, Queue>> {
    /// More than the kernel puts into one datagram.
    const PIECE_BYTES: usize = 64 * 1024;

    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    send(kernel.as_raw_fd(), &ask_unix_queues(), MsgFlags::empty())?;
    let mut found = HashMap::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        // The kernel makes each piece of its answer within the call: it is there, or does not come.
        let len = match recv(kernel.as_raw_fd(), &mut piece, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            len => len?,
        };
        for queue in read_unix_queues(piece.get(..len).unwrap_or_default()) {
            match queue {
                UnixQueue::Of { inode, waiting, limit } => {
                    found.insert(inode, Queue::Clients { waiting, limit });
                }
                UnixQueue::End => return Ok(found),
            }
        }
    }
}
