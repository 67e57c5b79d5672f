//! What /proc tells about a process.

use super::LIMIT;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `fact` holds. Reads every 5 ms, for want of anything to wait on.
#[track_caller]
pub(crate) fn eventually(what: &str, fact: impl FnMut() -> bool) {
    assert!(comes_true(fact), "still not: {what}");
}

/// The same, for those who have more to say of what happened meanwhile: did it come to hold in time?
pub(crate) fn comes_true(mut fact: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + LIMIT;
    while !fact() {
        if Instant::now() >= until {
            return false;
        }
        sleep(Duration::from_millis(5));
    }
    true
}

/// A process, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process(pub(crate) i32);

impl Process {
    /// Every process of the machine whose environment had `marker` when it started.
    pub(crate) fn marked(marker: &str) -> Vec<Self> {
        let all =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        all.map(Self).filter(|process| process.has_in_environment(marker)).collect()
    }

    fn has_in_environment(self, marker: &str) -> bool {
        let environment = fs::read(self.path("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
    }

    fn path(self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.0).into()
    }

    /// Is it there, and more than a zombie?
    pub(crate) fn is_alive(self) -> bool {
        !matches!(self.state(), None | Some('Z' | 'X'))
    }

    /// The letter of its state; none when it is gone.
    pub(crate) fn state(self) -> Option<char> {
        self.stat(0)?.chars().next()
    }

    pub(crate) fn parent(self) -> Option<i32> {
        self.stat(1)?.parse().ok()
    }

    pub(crate) fn group(self) -> Option<i32> {
        self.stat(2)?.parse().ok()
    }

    /// A field of `stat`, counted from the state, which follows the name in parentheses.
    fn stat(self, field: usize) -> Option<String> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(field).map(Into::into)
    }

    /// A field of `status`, such as `SigIgn`.
    pub(crate) fn status(self, field: &str) -> Option<String> {
        let status = fs::read_to_string(self.path("status")).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.trim().into())
    }

    /// A mask of signals in `status`; bit n-1 is signal n.
    pub(crate) fn signals(self, field: &str) -> u64 {
        u64::from_str_radix(&self.status(field).expect("it is alive"), 16).unwrap()
    }

    /// Its variables, as `NAME=value`.
    pub(crate) fn environment(self) -> Vec<String> {
        let bytes = fs::read(self.path("environ")).unwrap();
        bytes
            .split(|byte| *byte == 0)
            .map(|variable| String::from_utf8_lossy(variable).into_owned())
            .collect()
    }

    pub(crate) fn arguments(self) -> Vec<String> {
        let line = fs::read_to_string(self.path("cmdline")).unwrap_or_default();
        line.split_terminator('\0').map(Into::into).collect()
    }

    /// Its open descriptors and what they are, in order. Those to files in /proc are there for an instant only, whenever it
    /// looks at itself.
    pub(crate) fn descriptors(self) -> Vec<(i32, String)> {
        let Ok(fds) = fs::read_dir(self.path("fd")) else { return Vec::new() };
        let mut found: Vec<_> = fds
            .filter_map(|fd| {
                let fd = fd.ok()?;
                let target = fs::read_link(fd.path()).ok()?;
                Some((fd.file_name().to_str()?.parse().ok()?, target.to_string_lossy().into_owned()))
            })
            .filter(|(_, what): &(i32, String)| !what.starts_with("/proc/"))
            .collect();
        found.sort();
        found
    }

    pub(crate) fn directory(self) -> PathBuf {
        fs::read_link(self.path("cwd")).unwrap()
    }

    /// Its children, zombies too.
    pub(crate) fn children(self) -> Vec<Self> {
        let list = fs::read_to_string(self.path(&format!("task/{}/children", self.0))).unwrap_or_default();
        list.split_whitespace().map(|pid| Self(pid.parse().unwrap())).collect()
    }

    /// Kibibytes of memory that nobody shares: heap and stack. It does not depend on who else runs the program.
    pub(crate) fn heap_kib(self) -> u64 {
        self.status("RssAnon").unwrap().trim_end_matches(" kB").parse().unwrap()
    }

    /// Kibibytes of memory that are its own, or its share of what is shared.
    pub(crate) fn memory_kib(self) -> u64 {
        let rollup = fs::read_to_string(self.path("smaps_rollup")).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    }

    /// How often it went to sleep by itself: once more for each wake-up.
    pub(crate) fn voluntary_switches(self) -> u64 {
        self.status("voluntary_ctxt_switches").unwrap().parse().unwrap()
    }

    pub(crate) fn signal(self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.0), signal);
    }
}
