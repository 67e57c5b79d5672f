//! A process by descriptor: unlike a number, it never comes to mean another one.
#![expect(unsafe_code, reason = "pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2) and an ioctl")]

use super::children;
use crate::core::ExitStatus;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
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

impl Pidfd {
    /// Takes over one that was left by another program.
    pub(super) fn from_owned(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A copy of a descriptor of the process: of the very description, with all that waits in it.
    ///
    /// # Errors
    ///
    /// `EPERM`: it is another user's, or one that may not be looked into.
    pub(super) fn copy_of(&self, number: RawFd) -> nix::Result<OwnedFd> {
        // SAFETY: three integers.
        made(unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.0.as_raw_fd(), number, 0) })
    }

    /// Has it ended?
    pub(super) fn has_ended(&self) -> bool {
        // Interrupted counts as no: whoever watches is told again.
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)
            .is_ok_and(|found| found > 0)
    }

    /// How it ended, though it is not our child: the kernel tells it to whoever held the process by descriptor, once
    /// its parent has taken note (Linux 6.15); before that, its zombie shows it.
    pub(super) fn exit(&self, pid: i32) -> ExitStatus {
        let status = self.exit_told().or_else(|| exit_shown(pid));
        status.map_or(ExitStatus::Unknown, children::meaning)
    }

    fn exit_told(&self) -> Option<i32> {
        /// `struct pidfd_info` in its first form: mask, cgroup, eleven ids, the status.
        #[repr(C)]
        #[derive(Default)]
        struct Found {
            mask: u64,
            cgroup: u64,
            ids: [u32; 11],
            status: i32,
        }
        const EXIT: u64 = 1 << 3;
        const GET_INFO: u64 = 3 << 30 | (size_of::<Found>() as u64) << 16 | 0xFF << 8 | 0x0B;
        let mut found = Found { mask: EXIT, ..Found::default() };
        // SAFETY: the request says how large `found` is, which is writable for the time of the call.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), GET_INFO as _, &raw mut found) };
        (result == 0 && found.mask & EXIT != 0).then_some(found.status)
    }
}

/// The status in the last but none field of a zombie's `stat`.
fn exit_shown(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit_once(") ")?.1;
    let status = behind_name.split_ascii_whitespace().next_back()?;
    behind_name.starts_with('Z').then(|| status.parse().ok())?
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Its parent has taken note, so no zombie shows how it ended.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child that its own test reaps")]
    fn how_a_process_ended_that_was_reaped_is_told_where_the_kernel_can() {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "read x; exit 7"]).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let held = Pidfd::open(pid).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
        let kernel = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let told = if kernel >= (6, 15) { ExitStatus::Code(7) } else { ExitStatus::Unknown };
        assert_eq!(held.exit(pid), told, "Linux {release}");
    }
}
