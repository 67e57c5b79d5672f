//! The system calls about processes that take bare numbers: wait and kill.
//!
//! `nix` offers both, but for the 31 signals that have names: a child that dies of a real-time signal would
//! be an error there, and be found dead again for ever.
#![expect(unsafe_code, reason = "waitid(2), waitpid(2) and kill(2) with numbers that have no name")]

use super::proc_file;
use crate::core::ExitStatus;
use nix::errno::Errno;

/// A child that has ended and was not reaped, if there is one. It stays a zombie, so its number is its own.
pub(super) fn ended() -> Option<i32> {
    // SAFETY: `siginfo_t` is plain old data, for which all zeros is a value; the kernel may leave it so.
    let mut found: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: `found` is writable and of the right type for the time of the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut found, how) };
    // SAFETY: after a success the variant is the one of SIGCHLD, or all zeros, where the field reads as 0.
    let pid = if result == 0 { unsafe { found.si_pid() } } else { 0 };
    (pid > 0).then_some(pid)
}

/// Is there a child, whether it has ended or not?
pub(super) fn are_there() -> bool {
    let how = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: without a place for what it finds it gives only whether it fails.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), how) };
    result == 0 || Errno::last() != Errno::ECHILD
}

/// Reaps a child that has ended, or waits for one that is about to. From here on its number may be anyone's.
pub(super) fn reap(pid: i32) -> Option<ExitStatus> {
    let mut status = 0;
    loop {
        // SAFETY: `status` is writable for the time of the call.
        let result = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if result == pid {
            return Some(meaning(status));
        }
        if result == -1 && Errno::last() == Errno::EINTR {
            continue;
        }
        return None;
    }
}

/// What the number means that the kernel gives for an exit.
pub(super) fn meaning(status: i32) -> ExitStatus {
    if libc::WIFSIGNALED(status) {
        ExitStatus::Signal { signal: libc::WTERMSIG(status), core_dumped: libc::WCOREDUMP(status) }
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    }
}

/// Sends a signal to one process that was not reaped yet.
pub(super) fn send(pid: i32, signal: i32) -> Result<(), Errno> {
    // 0 and 1 with a minus would be our own group, and everybody.
    if pid <= 1 {
        return Err(Errno::ESRCH);
    }
    // SAFETY: two integers.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Sends a signal to all processes of a group; `ESRCH` says that there are none.
pub(super) fn send_to_group(leader: i32, signal: i32) -> Result<(), Errno> {
    if leader <= 1 {
        return Err(Errno::ESRCH);
    }
    // SAFETY: two integers.
    Errno::result(unsafe { libc::kill(-leader, signal) }).map(drop)
}

/// Is there a process in the group? One that has ended counts until its parent has reaped it.
pub(super) fn has_members(leader: i32) -> bool {
    send_to_group(leader, 0) != Err(Errno::ESRCH)
}

/// Has this process begun to end? It closes its descriptors some time before its exit can be waited for.
pub(super) fn is_ending(pid: i32) -> bool {
    const PF_EXITING: u64 = 4;
    proc_file::stat(pid).is_none_or(|found| found.is_dead || found.flags & PF_EXITING != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_ours_ever_means_everybody() {
        for pid in [i32::MIN, -1, 0, 1] {
            assert_eq!(send(pid, 0), Err(Errno::ESRCH), "{pid}");
            assert_eq!(send_to_group(pid, 0), Err(Errno::ESRCH), "{pid}");
        }
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(send(own, 0), Ok(()));
    }
}
