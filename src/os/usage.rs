//! What this process takes of the machine, as the kernel tells it.

use super::{clock, proc_file};
use crate::limits::DESCRIPTORS_FOR_STARTS;
use crate::protocol::status::Usage;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::time::Duration;

/// What it takes now. Each number comes alone: what the kernel does not tell is none.
pub(super) fn own() -> Usage {
    let memory = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    Usage {
        resident_bytes: bytes(&memory, "Rss:"),
        proportional_bytes: bytes(&memory, "Pss:"),
        descriptors: descriptors(),
        descriptor_limit: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
    }
}

/// How long ago this process was started, whatever programs it has been.
pub(super) fn age() -> Option<Duration> {
    let start = proc_file::stat(i32::try_from(std::process::id()).ok()?)?.start;
    let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
    let start = Duration::from_millis(start.saturating_mul(1000) / u64::try_from(ticks).ok()?.max(1));
    Some(clock::since_boot().saturating_sub(start))
}

/// The number of a line such as `Rss:    2048 kB`.
fn bytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

/// Are descriptors left for so many times what starts need? So it is said, too, where only a count of them would tell.
pub(super) fn are_left_for_starts(times: u64) -> bool {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    told_descriptors().is_none_or(|open| open.saturating_add(times * DESCRIPTORS_FOR_STARTS) <= limit)
}

/// How many descriptors are open, as the size of the directory says from Linux 6.2 on.
fn told_descriptors() -> Option<u64> {
    Some(fs::metadata("/proc/self/fd").ok()?.len()).filter(|size| *size > 0)
}

/// The same; counted where the kernel does not say.
fn descriptors() -> Option<u64> {
    if let Some(told) = told_descriptors() {
        return Some(told);
    }
    // One of them is the directory that is being read.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let text = "Rss:                2460 kB\nPss:                 611 kB\nPss_Dirty:           72 kB\n";
        assert_eq!((bytes(text, "Rss:"), bytes(text, "Pss:")), (Some(2460 * 1024), Some(611 * 1024)));
        assert_eq!((bytes(text, "Swap:"), bytes("Rss: many kB", "Rss:")), (None, None));
    }
}
