//! How a child says that it is born, before it is a program: its pid, and when that was.
//!
//! A process that has this number, and was started before that time, is that child: at that time nobody else had the
//! number. One that was started before anybody wanted the child is none of ours, whatever a file says.

use super::proc_file;
use nix::sys::time::TimeValLike as _;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};
use std::io::Write as _;

/// What it writes: a line of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) pid: i32,
    /// When it wrote that, in ticks since the machine was started.
    pub(super) ticks: u64,
}

impl Signature {
    /// The longest one.
    const BYTES: usize = r#"{"pid":-2147483648,"ticks":18446744073709551615}"#.len() + 1;

    /// Of this process, now. Neither this nor [`put`](Self::put) allocates, takes a lock or panics: it is made between
    /// clone and exec.
    pub(super) fn own() -> Option<Self> {
        Some(Self { pid: i32::try_from(std::process::id()).ok()?, ticks: ticks_now()? })
    }

    /// Has it put, as it stands in a file.
    pub(super) fn put<T>(self, write: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let mut bytes = [0; Self::BYTES];
        let mut rest = &mut bytes[..];
        writeln!(rest, r#"{{"pid":{},"ticks":{}}}"#, self.pid, self.ticks).ok()?;
        let left = rest.len();
        bytes.get(..Self::BYTES - left).map(write)
    }

    /// None where it is not whole.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line.strip_suffix(b"\n")?).ok()
    }

    /// When the kernel started the process that wrote it, if that lives, and was not started before `earliest`. In
    /// ticks.
    pub(super) fn start(self, earliest: u64) -> Option<u64> {
        let start = proc_file::stat(self.pid).filter(|found| !found.is_dead)?.start;
        (earliest..=self.ticks).contains(&start).then_some(start)
    }
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

    fn text(signature: Signature) -> Vec<u8> {
        signature.put(<[u8]>::to_vec).unwrap()
    }

    #[test]
    fn whoever_signed_is_found_and_one_that_came_to_the_number_later_or_was_there_before_is_not() {
        let own = Signature::own().unwrap();
        let start = own.start(0).unwrap();
        assert_eq!(Some(start), proc_file::stat(own.pid).map(|stat| stat.start));
        assert!(start <= own.ticks, "{own:?}");
        assert_eq!(own.start(start), Some(start));
        assert_eq!(own.start(start + 1), None, "it was there before");
        assert_eq!(Signature { ticks: start, ..own }.start(0), Some(start));
        assert_eq!(Signature { ticks: start - 1, ..own }.start(0), None, "it came later");
        assert_eq!(Signature { pid: i32::MAX, ..own }.start(0), None);
    }

    #[test]
    fn a_signature_is_read_back_and_a_part_of_one_is_none() {
        let signatures = [(7, 194_925), (i32::MIN, u64::MAX), (1, 0)];
        for signature in signatures.map(|(pid, ticks)| Signature { pid, ticks }) {
            let line = text(signature);
            assert_eq!(Signature::of(&line), Some(signature));
            assert!((0..line.len()).all(|end| Signature::of(&line[..end]).is_none()));
        }
        assert_eq!(
            String::from_utf8(text(Signature { pid: 7, ticks: 9 })).unwrap(),
            "{\"pid\":7,\"ticks\":9}\n"
        );
    }
}
