//! How long a process has the processor at once.

/// Nanoseconds for which this process has the processor at once; 0 is this thread. 0 where the kernel has nothing to tell.
#[expect(unsafe_code, reason = "sched_getattr(2), for which there is no function")]
pub(crate) fn slice(pid: i32) -> u64 {
    // SAFETY: integers, for which zero is a value.
    let mut found: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes no more than the size that it is told, into a value of ours.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_getattr, pid, &raw mut found, size_of::<libc::sched_attr>(), 0)
    };
    assert_eq!(result, 0);
    found.sched_runtime
}
