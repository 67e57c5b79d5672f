//! Whether a process has accepted clients: it holds connections that came from a socket of ours. A server that is busy with one
//! client after the other shows nothing else (docs/protocols.md).

use super::diag::Diag;
use super::sight::sockets_of;
use crate::limits::SIGHT_CONNECTIONS;
use crate::plan::Address;
use crate::protocol::{SocketKind, ask_connections, read_connections};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;

/// Does one of these processes hold a connection that came from one of these addresses? What the kernel does not tell is none.
pub(super) fn holds_one(pids: &[i32], addresses: &[&Address]) -> bool {
    // Most have none yet while they start, and then nobody has to be asked.
    let held = pids.iter().flat_map(|pid| sockets_of(*pid));
    // The kernel tells half of an inode.
    let held: BTreeSet<u32> = held.filter_map(|it| u32::try_from(it & u64::from(u32::MAX)).ok()).collect();
    !held.is_empty() && addresses.iter().any(|address| comes_from(&held, address).unwrap_or(false))
}

fn comes_from(held: &BTreeSet<u32>, address: &Address) -> nix::Result<bool> {
    let (kind, port, path) = match address {
        Address::Tcp(SocketAddr::V4(v4)) => (SocketKind::TcpV4, v4.port(), &[][..]),
        Address::Tcp(SocketAddr::V6(v6)) => (SocketKind::TcpV6, v6.port(), &[][..]),
        Address::Unix(path) => (SocketKind::Unix, 0, path.as_os_str().as_bytes()),
        // It has no connections.
        Address::Udp(_) => return Ok(false),
    };
    let (mut is_held, mut told) = (false, 0);
    Diag::new()?.ask(&ask_connections(kind, port), |piece| {
        let (connections, is_last) = read_connections(piece);
        told += connections.len();
        // It tells the path with the NUL at its end.
        let is_ours = |name: &[u8]| name.split(|byte| *byte == 0).next() == Some(path);
        is_held |= connections.iter().any(|(inode, name)| is_ours(name) && held.contains(inode));
        is_last || is_held || told >= SIGHT_CONNECTIONS
    })?;
    Ok(is_held)
}
