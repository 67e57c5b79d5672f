//! The socket options that no crate of ours wraps.
#![expect(unsafe_code, reason = "setsockopt(2) and getsockopt(2)")]

use nix::errno::Errno;
use socket2::Socket;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// The same number on all machines that Rust's library runs on; `libc` does not have it.
const SO_PEERGROUPS: libc::c_int = 59;

/// Has a connection count from its first bytes on, or after `patience`, in whole seconds and at least one;
/// `None` has it count at once.
pub(super) fn set_defer_accept(socket: &Socket, patience: Option<Duration>) -> io::Result<()> {
    let seconds = patience.map_or(0, |wait| {
        let up = u64::from(wait.subsec_nanos() > 0);
        libc::c_int::try_from(wait.as_secs() + up).unwrap_or(libc::c_int::MAX).max(1)
    });
    let len = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("an int is a few bytes");
    // SAFETY: `seconds` is readable for the time of the call and has the length that is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            len,
        )
    };
    Errno::result(result)?;
    Ok(())
}

/// The groups of whoever is at the other end of a unix socket, besides its first one; as they were when it
/// connected. None where the kernel does not tell.
pub(super) fn peer_groups(socket: impl AsFd) -> Vec<libc::gid_t> {
    // As many as the kernel allows.
    let mut groups: Vec<libc::gid_t> = vec![0; 65_536];
    let size = libc::socklen_t::try_from(size_of_val(&groups[..])).expect("256 KiB");
    let mut len = size;
    // SAFETY: `groups` is writable for the time of the call and has the length that is given in `len`, in bytes;
    // any bit pattern is a number.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    groups.truncate(if result == 0 { len as usize / size_of::<libc::gid_t>() } else { 0 });
    groups
}

/// Clients that wait in the queue of a TCP socket that listens, and how many may.
pub(super) fn tcp_queue(socket: &Socket) -> io::Result<(u32, u32)> {
    // SAFETY: plain numbers, for which all zeros is a value.
    let mut found: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of_val(&found)).expect("a few numbers");
    // SAFETY: `found` is writable for the time of the call and has the length that is given; the kernel writes
    // numbers, and no more of them than fit.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    // Of a listener these two mean its queue (tcp_get_info in the kernel).
    Ok((found.tcpi_unacked, found.tcpi_sacked))
}

/// Bytes of datagrams that wait at a UDP socket with what the kernel needs to keep them, how many may, and how many
/// datagrams were dropped. While a server reads, the first may be up to a quarter of the second too high: the kernel
/// counts in lumps.
pub(super) fn udp_queue(socket: &Socket) -> io::Result<(u32, u32, u32)> {
    // SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_RCVBUF, ... SK_MEMINFO_DROPS.
    let mut found = [0_u32; 9];
    let mut len = libc::socklen_t::try_from(size_of_val(&found)).expect("nine numbers");
    // SAFETY: `found` is writable for the time of the call and has the length that is given; the kernel writes
    // numbers, and no more of them than fit.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    let [bytes, limit, .., dropped] = found;
    Ok((bytes, limit, dropped))
}
