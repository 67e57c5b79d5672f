//! The one socket option that no crate of ours wraps.
#![expect(unsafe_code, reason = "setsockopt(2) with TCP_DEFER_ACCEPT")]

use nix::errno::Errno;
use socket2::Socket;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

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
