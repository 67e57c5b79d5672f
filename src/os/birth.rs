//! How a child says that it is born, before it is a program: its pid, and when that was.
//!
//! A process that has this number, and was started before that time, is that child: at that time nobody else had the
//! number. One that was started before anybody wanted the child is none of ours, whatever a file says.

use super::proc_file;
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use std::fs::File;
use std::rc::Rc;

/// Where a child signs.
pub(super) struct Paper {
    pub(super) file: Rc<File>,
    pub(super) at: u64,
}

/// What it writes: as much text for every process, so that it fits where room was left for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) pid: i32,
    /// When it wrote that, in ticks since the machine was started.
    pub(super) ticks: u64,
}

impl Signature {
    /// Its length, with the end of its line.
    pub(super) const BYTES: usize = 32;

    /// How much of that is the pid.
    const PID_BYTES: usize = 10;

    /// Of this process, now. Neither this nor [`text`](Self::text) allocates, takes a lock or panics: it is made between
    /// clone and exec.
    pub(super) fn own() -> Option<Self> {
        Some(Self { pid: i32::try_from(std::process::id()).ok()?, ticks: ticks_now()? })
    }

    /// As it stands in a file.
    pub(super) fn text(self) -> [u8; Self::BYTES] {
        let mut bytes = [b' '; Self::BYTES];
        // The longest numbers just fit.
        let (pid, ticks) = bytes.split_at_mut(Self::PID_BYTES);
        put_right(pid, self.pid.unsigned_abs().into());
        if let Some((newline, ticks)) = ticks.split_last_mut() {
            *newline = b'\n';
            put_right(ticks, self.ticks);
        }
        bytes
    }

    /// None where it is not whole.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let mut words = str::from_utf8(line.strip_suffix(b"\n")?).ok()?.split_ascii_whitespace();
        let signature = Self { pid: words.next()?.parse().ok()?, ticks: words.next()?.parse().ok()? };
        words.next().is_none().then_some(signature)
    }

    /// Has nobody written it, or not all of it?
    pub(super) fn is_nobodys(self) -> bool {
        self.pid <= 0 || self.ticks == 0
    }

    /// When the kernel started the process that wrote it, if that lives, and was not started before `earliest`. In
    /// ticks.
    pub(super) fn start(self, earliest: u64) -> Option<u64> {
        start_ticks(self.pid).filter(|start| (earliest..=self.ticks).contains(start))
    }
}

/// Writes a number at the end of its place.
fn put_right(place: &mut [u8], number: u64) {
    let mut rest = number;
    for byte in place.iter_mut().rev() {
        *byte = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            return;
        }
    }
}

/// When the kernel started a process that has not ended, in ticks since the boot.
pub(super) fn start_ticks(pid: i32) -> Option<u64> {
    proc_file::stat(pid).filter(|found| !found.is_dead).map(|found| found.start)
}

/// The time as the kernel counts it for the start of a process, and rounded as it does.
pub(super) fn ticks_now() -> Option<u64> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?;
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
    let nanos_of_one = 1_000_000_000_u64.checked_div(per_second)?;
    u64::try_from(now.num_nanoseconds()).ok()?.checked_div(nanos_of_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_signed_is_found_and_one_that_came_to_the_number_later_or_was_there_before_is_not() {
        let own = Signature::own().unwrap();
        let start = own.start(0).unwrap();
        assert_eq!(Some(start), start_ticks(own.pid));
        assert!(start <= own.ticks, "{own:?}");
        assert_eq!(own.start(start), Some(start));
        assert_eq!(own.start(start + 1), None, "it was there before");
        assert_eq!(Signature { ticks: start, ..own }.start(0), Some(start));
        assert_eq!(Signature { ticks: start - 1, ..own }.start(0), None, "it came later");
        assert_eq!(Signature { pid: i32::MAX, ..own }.start(0), None);
    }

    #[test]
    fn a_process_is_known_by_its_start_and_none_is_there_that_has_ended() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_ticks(own).unwrap() > 0);
        assert_eq!(start_ticks(own), start_ticks(own));
        assert_eq!(start_ticks(i32::MAX), None);
    }

    #[test]
    fn a_signature_is_read_back_and_a_part_of_one_is_none() {
        for signature in [(7, 194_925), (i32::MAX, u64::MAX), (1, 0)] {
            let signature = Signature { pid: signature.0, ticks: signature.1 };
            let line = signature.text();
            assert_eq!(Signature::of(&line), Some(signature));
            assert!((0..line.len()).all(|end| Signature::of(&line[..end]).is_none()));
        }
        let text = Signature { pid: 7, ticks: 9 }.text();
        assert_eq!(str::from_utf8(&text).unwrap(), "         7                    9\n");
    }

    /// One that was written in part, over the one of nobody, is nobody's, too: the kernel may stop a child that is killed
    /// in the middle.
    #[test]
    fn a_signature_that_is_written_in_part_leads_to_no_other_process() {
        let (nobody, whole) = (Signature { pid: 0, ticks: 0 }, Signature { pid: 12_345, ticks: 194_925 });
        for end in 0..Signature::BYTES {
            let torn = [&whole.text()[..end], &nobody.text()[end..]].concat();
            let is_none =
                |read: Signature| read.is_nobodys() || read.pid == whole.pid && read.ticks <= whole.ticks;
            assert!(Signature::of(&torn).is_none_or(is_none), "{torn:?}");
        }
    }
}
