//! How a child says that it is born, before it is a program: its pid, and a time at which it lived.
//!
//! A process that has this number, and was started before that time, is that child: at that time nobody else had the
//! number.

use super::proc_file;
use nix::unistd::{SysconfVar, sysconf};

/// What it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) pid: i64,
    /// Since the machine was started.
    pub(super) seconds: i64,
    pub(super) nanos: i64,
}

impl Signature {
    /// As it stands in a file. Neither allocates nor panics: it is made between clone and exec.
    pub(super) fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let numbers = [self.pid, self.seconds, self.nanos].into_iter().flat_map(i64::to_ne_bytes);
        bytes.iter_mut().zip(numbers).for_each(|(byte, written)| *byte = written);
        bytes
    }

    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(i64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self { pid: number(0)?, seconds: number(8)?, nanos: number(16)? }).filter(|_| bytes.len() == 24)
    }

    /// The process that wrote it, if it lives: its pid, and when the kernel started it, in ticks.
    pub(super) fn process(self) -> Option<(i32, u64)> {
        let pid = i32::try_from(self.pid).ok()?;
        let ticks = proc_file::stat(pid).filter(|found| !found.is_dead)?.start;
        let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
        // Ticks are rounded down.
        let ticks_then = self.seconds * per_second + self.nanos * per_second / 1_000_000_000;
        (i64::try_from(ticks).ok()? <= ticks_then).then_some((pid, ticks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::time::{ClockId, clock_gettime};

    fn signed(pid: i64, later: i64) -> Signature {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
        Signature { pid, seconds: now.tv_sec() + later, nanos: now.tv_nsec() }
    }

    #[test]
    fn whoever_signed_is_found_and_one_that_came_to_the_number_later_is_not() {
        let own = i64::from(std::process::id());
        let found = signed(own, 0).process().map(|(pid, _)| i64::from(pid));
        assert_eq!(found, Some(own));
        // That was long before this process was started.
        assert_eq!(signed(own, -100_000).process(), None);
        assert_eq!(signed(i64::from(i32::MAX), 0).process(), None);
    }

    #[test]
    fn a_signature_is_read_back_and_a_part_of_one_is_none() {
        let signature = Signature { pid: 7, seconds: 1 << 40, nanos: 999_999_999 };
        let bytes = signature.bytes();
        assert_eq!(Signature::of(&bytes), Some(signature));
        assert_eq!(Signature::of(&bytes[..23]), None);
        assert_eq!(Signature::of(&[]), None);
    }
}
