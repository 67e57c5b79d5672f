//! A process by descriptor: unlike a number, it never comes to mean another one.
#![expect(unsafe_code, reason = "pidfd_open(2), pidfd_send_signal(2)")]

use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// One process. Readable once it has ended.
#[derive(Debug)]
pub(super) struct Pidfd(OwnedFd);

impl Pidfd {
    /// The process that has the number now.
    pub(super) fn open(pid: i32) -> nix::Result<Self> {
        // SAFETY: two integers.
        Ok(Self(made(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?))
    }

    /// Sends it a signal; `ESRCH` says that it has ended and was reaped.
    pub(super) fn send(&self, signal: i32) -> nix::Result<()> {
        let no_details = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: integers, and a null pointer, which the call takes for "as kill(2) would".
        let result =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, no_details, 0) };
        Errno::result(result).map(drop)
    }
}

/// A descriptor that the kernel has just made, close-on-exec, as all calls about processes make them.
fn made(result: libc::c_long) -> nix::Result<OwnedFd> {
    let number = RawFd::try_from(Errno::result(result)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: it was made for us alone by the call whose result this is.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

impl AsFd for Pidfd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
