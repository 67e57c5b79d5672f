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
        self.send_with(0, signal)
    }

    /// Sends a signal to the process group that it leads and whose number is its own; `ESRCH` says that nobody is in it.
    /// By number where the kernel cannot do it otherwise (before Linux 6.9).
    pub(super) fn send_to_group(&self, own: i32, signal: i32) -> nix::Result<()> {
        const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;
        match self.send_with(PIDFD_SIGNAL_PROCESS_GROUP, signal) {
            Err(Errno::EINVAL) => children::send_to_group(own, signal),
            sent => sent,
        }
    }

    fn send_with(&self, flags: libc::c_uint, signal: i32) -> nix::Result<()> {
        let (own, no_details) = (self.0.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
        // SAFETY: integers, and a null pointer, which the call takes for "as kill(2) would".
        let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, own, signal, no_details, flags) };
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a child that its own test reaps")]
    fn a_signal_to_its_group_reaches_all_of_it() {
        use std::io::{BufRead as _, BufReader, Read as _};
        use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sleep 20 & echo both; exec sleep 20"]).process_group(0);
        let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let held = Pidfd::open(pid).unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let begin = std::time::Instant::now();
        held.send_to_group(pid, libc::SIGKILL).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        // It ends when the last of them does.
        said.read_to_string(&mut line).unwrap();
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "one of them lived on");
    }
}
