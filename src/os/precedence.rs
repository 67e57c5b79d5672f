//! Who goes first where a new program and we have one processor. We wait in `clone(2)` until the child is the program, and
//! would take the processor from it in that very moment, for what is left of our turn.
#![expect(
    unsafe_code,
    reason = "sched_getscheduler(2) and sched_setscheduler(2) as such: musl's functions refuse both"
)]

use crate::limits::COURTESY_EVENTS;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precedence {
    /// We do: others wait for what we do next.
    Ours,
    /// The program does, for one slice of time at most: little else is to be done.
    Programs,
}

impl Precedence {
    /// Where so many events wait for us.
    pub(super) fn among(events: usize) -> Self {
        if events <= COURTESY_EVENTS { Self::Programs } else { Self::Ours }
    }
}

/// This thread, while it takes the processor from nobody when it wakes up: that is what the kernel makes of `SCHED_BATCH`. Where
/// a processor is idle, it runs at once all the same.
pub(super) struct Patience(());

impl Patience {
    /// None where the thread has another policy than by default: somebody has given it that. None of it is needed, so a
    /// system that refuses it is no failure.
    pub(super) fn begin() -> Option<Self> {
        (policy() == libc::SCHED_OTHER && set_policy(libc::SCHED_BATCH)).then(|| Self(()))
    }

    /// Ends it where it was inherited: in a child. One system call, and nothing else.
    pub(super) fn end_inherited() {
        set_policy(libc::SCHED_OTHER);
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        // The way back is never refused.
        set_policy(libc::SCHED_OTHER);
    }
}

/// The policy of this thread, with its flags.
fn policy() -> libc::c_int {
    // SAFETY: an integer; 0 is this thread.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) };
    policy.try_into().unwrap_or(-1)
}

/// Changes the policy of this thread; its nice value stays what it is.
fn set_policy(policy: libc::c_int) -> bool {
    /// What the kernel calls `struct sched_param`: these policies have no priority but 0.
    static PRIORITY: libc::c_int = 0;
    // SAFETY: two integers, and a value that the kernel reads; 0 is this thread.
    unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const PRIORITY) == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In threads of their own: the others of the tests are left alone.
    #[expect(clippy::disallowed_methods, reason = "the policy of a thread is its own")]
    fn in_a_thread(test: fn()) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_program_goes_first_where_little_else_is_to_be_done() {
        assert_eq!(Precedence::among(COURTESY_EVENTS), Precedence::Programs);
        assert_eq!(Precedence::among(COURTESY_EVENTS + 1), Precedence::Ours);
    }

    #[test]
    fn patience_has_an_end() {
        in_a_thread(|| {
            assert_eq!(policy(), libc::SCHED_OTHER);
            let patience = Patience::begin().unwrap();
            assert_eq!(policy(), libc::SCHED_BATCH);
            assert!(Patience::begin().is_none(), "only who has the default policy changes it");
            drop(patience);
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
    }

    #[test]
    fn a_policy_that_somebody_gave_stays() {
        in_a_thread(|| {
            assert!(set_policy(libc::SCHED_IDLE));
            assert!(Patience::begin().is_none());
            assert_eq!(policy(), libc::SCHED_IDLE);
        });
    }
}
