//! Who goes first where others and we want one processor.
//!
//! What we do is short, and others wait for it: we ask for short slices of time, which the kernel gives sooner. But where one
//! program is started and little else is to be done, it goes first: we wait in `clone(2)` until the child is the program, and
//! would take the processor from it in that very moment, for what is left of our turn.
#![expect(
    unsafe_code,
    reason = "sched_getscheduler(2) and sched_setscheduler(2) as such, since musl's functions refuse both; sched_getattr(2) \
              and sched_setattr(2), for which there are none"
)]

use crate::limits::{COURTESY_EVENTS, SLICE_OF_TIME};

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

/// How this thread shares the processor, as `sched(7)` has it.
#[derive(Clone, Copy)]
struct Attributes(libc::sched_attr);

impl Attributes {
    /// None where the system does not say.
    fn of_now() -> Option<Self> {
        // SAFETY: integers, for which zero is a value.
        let mut found: libc::sched_attr = unsafe { std::mem::zeroed() };
        // SAFETY: 0 is this thread; the kernel writes no more than the size that it is told, into a value of ours.
        let result = unsafe {
            libc::syscall(libc::SYS_sched_getattr, 0, &raw mut found, size_of::<libc::sched_attr>(), 0)
        };
        (result == 0).then_some(Self(found))
    }

    /// The same with other slices of time, in nanoseconds; 0 is what the kernel gives by itself.
    fn set_slice(mut self, nanoseconds: u64) -> bool {
        self.0.sched_runtime = nanoseconds;
        // SAFETY: 0 is this thread; a value that the kernel reads.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const self.0, 0) == 0 }
    }
}

/// Short slices of time for this thread, which no program is to inherit: who asks for less at once is let in sooner, and has no
/// more in the end (EEVDF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// What it had before, in nanoseconds.
    before: u64,
}

impl Slice {
    /// Asks for them. None where the kernel has none to give (before Linux 6.12), and where the thread has another policy than by
    /// default: somebody has given it that.
    pub(super) fn shorten() -> Option<Self> {
        let wanted = u64::try_from(SLICE_OF_TIME.as_nanos()).ok()?;
        let has =
            Attributes::of_now().filter(|has| has.0.sched_policy == libc::SCHED_OTHER.unsigned_abs())?;
        let before = has.0.sched_runtime;
        let is_given = || Attributes::of_now().is_some_and(|has| has.0.sched_runtime == wanted);
        (has.set_slice(wanted) && is_given()).then_some(Self { before })
    }

    /// Gives back what was before, whatever policy the thread has by now; also in a child that has inherited this. Two system
    /// calls, and nothing else.
    pub(super) fn end(self) {
        if let Some(has) = Attributes::of_now() {
            has.set_slice(self.before);
        }
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

    fn slice() -> u64 {
        Attributes::of_now().unwrap().0.sched_runtime
    }

    #[test]
    fn slices_are_short_and_a_child_has_what_was_before() {
        in_a_thread(|| {
            let (before, nice) = (slice(), Attributes::of_now().unwrap().0.sched_nice);
            let Some(short) = Slice::shorten() else {
                return assert_eq!(slice(), before, "a kernel that has none to give");
            };
            assert_eq!(u128::from(slice()), SLICE_OF_TIME.as_nanos());
            let patience = Patience::begin().unwrap();
            assert_eq!(u128::from(slice()), SLICE_OF_TIME.as_nanos());
            drop(patience);
            short.end();
            let has = Attributes::of_now().unwrap().0;
            assert_eq!((has.sched_runtime, has.sched_nice), (before, nice));
            assert_eq!(policy(), libc::SCHED_OTHER);
        });
    }

    #[test]
    fn what_was_before_comes_back_under_another_policy_too() {
        in_a_thread(|| {
            let before = slice();
            let Some(short) = Slice::shorten() else { return };
            assert!(set_policy(libc::SCHED_BATCH));
            short.end();
            assert_eq!((slice(), policy()), (before, libc::SCHED_BATCH));
        });
    }

    #[test]
    fn a_policy_that_somebody_gave_stays() {
        in_a_thread(|| {
            assert!(set_policy(libc::SCHED_IDLE));
            assert!(Patience::begin().is_none());
            assert!(Slice::shorten().is_none());
            assert_eq!(policy(), libc::SCHED_IDLE);
        });
    }
}
