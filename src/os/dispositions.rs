//! What signals mean to this process, and that they mean nothing special to its children.
#![expect(unsafe_code, reason = "rt_sigaction(2) for every signal, and signal(2) in a child before exec")]

use std::ffi::c_int;

/// Which signals mean something else to this process than by default, one bit each, the lowest for signal 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dispositions(u64);

/// What the kernel takes for a disposition. All zeros is `SIG_DFL`, without flags, with an empty mask, in whichever
/// order an architecture has them.
type Disposition = [u64; 8];

/// `rt_sigaction(2)` itself: the C library's function refuses the two signals that it keeps for itself.
///
/// # Safety
///
/// `new` and `old` are null or lead to a [`Disposition`], which is at least as large as the kernel's structure.
unsafe fn disposition(signal: c_int, new: *const Disposition, old: *mut Disposition) {
    const SIGNAL_SET_BYTES: usize = 8;
    // SAFETY: as the caller promises. For SIGKILL and SIGSTOP it fails, which changes nothing.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, SIGNAL_SET_BYTES) };
}

impl Dispositions {
    /// Those of now. Nothing may change one afterwards.
    pub(super) fn of_now() -> Self {
        let mut found = 0;
        for signal in 1..=64 as c_int {
            let mut old: Disposition = [0; 8];
            // SAFETY: null, and a value of ours.
            unsafe { disposition(signal, std::ptr::null(), &raw mut old) };
            found |= u64::from(old != [0; 8]) << (signal - 1);
        }
        Self(found)
    }
}

/// Gives every signal its default, and has one ignored. An ignored signal stays ignored over exec (Rust
/// ignores SIGPIPE, nohup SIGHUP), and servers expect the default.
pub(super) fn reset_signals(Dispositions(changed): &Dispositions, ignored: Option<c_int>) {
    static DEFAULT: Disposition = [0; 8];
    for signal in 1..=64 as c_int {
        if changed >> (signal - 1) & 1 != 0 {
            // SAFETY: a value of ours, and null.
            unsafe { disposition(signal, &raw const DEFAULT, std::ptr::null_mut()) };
        }
    }
    if let Some(signal) = ignored {
        // SAFETY: a number and a constant; this child's dispositions are its own.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_or_handled_is_found_and_what_has_its_default_is_not() {
        let has = |signal: c_int| Dispositions::of_now().0 >> (signal - 1) & 1 != 0;
        assert!(has(libc::SIGPIPE), "Rust ignores it");
        assert!(!has(libc::SIGKILL) && !has(libc::SIGRTMAX()));
        signal_hook::flag::register(libc::SIGRTMAX(), std::sync::Arc::default()).unwrap();
        assert!(has(libc::SIGRTMAX()));
    }
}
