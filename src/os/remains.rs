//! What is left of a run whose main process ended while nobody supervised it: the others of its process group, and of
//! its cgroup. They may serve on, and hold its sockets.

use super::cgroup::Leaf;
use super::children;
use super::output::PipeMark;
use super::pidfd::Pidfd;
use super::proc_file;
use super::sight;
use super::voice::Mark;
use crate::plan::Generation;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What is known of such a run.
pub(super) struct Whose<'a> {
    /// The number of its process group.
    pub(super) leader: i32,
    /// When the kernel started it, in ticks.
    pub(super) since: u64,
    pub(super) service: &'a str,
    pub(super) generation: Generation,
    /// The inodes of its sockets.
    pub(super) sockets: Vec<u64>,
    pub(super) voice: Option<&'a Mark>,
    pub(super) output: &'a [PipeMark],
    pub(super) cgroup: Option<&'a Path>,
}

/// Some of those, the one with the lowest number first.
pub(super) struct Remains {
    /// One of them.
    pub(super) first: Pidfd,
    /// Those in the process group.
    pub(super) group: BTreeMap<i32, Pidfd>,
}

impl Remains {
    /// Looks for them. The number of a group may have become another's: one of them has to show that it was given what
    /// the run was given. Who is in the cgroup of the run is of the run.
    pub(super) fn of(whose: &Whose<'_>) -> Option<Self> {
        let mut group = members(whose.leader, whose.since);
        if !group.keys().any(|&pid| shows_itself(pid, whose)) {
            group.clear();
        }
        let in_cgroup = whose.cgroup.and_then(|path| Leaf::at(path.into()).ok());
        let in_cgroup = in_cgroup.map(|leaf| leaf.members()).unwrap_or_default();
        let first = group.keys().copied().chain(in_cgroup).find_map(|pid| Pidfd::open(pid).ok())?;
        Some(Self { first, group })
    }
}

/// The living of a process group, held; none where one is older than the run.
fn members(leader: i32, since: u64) -> BTreeMap<i32, Pidfd> {
    // Asked first, for there may be thousands of records, and the look takes in all processes of the machine.
    if !children::has_members(leader) {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for pid in sight::scan(leader).into_iter().filter(|pid| !children::is_ending(*pid)) {
        let Ok(process) = Pidfd::open(pid) else { continue };
        let is_younger = proc_file::stat(pid).is_some_and(|stat| stat.start >= since);
        // It may have ended, and the number be another's, before it was held.
        if sight::group(pid) == Some(leader) && is_younger {
            found.insert(pid, process);
        }
    }
    found
}

/// Has this process what only the run was given: one of its sockets or pipes, or its name in the environment?
fn shows_itself(pid: i32, whose: &Whose<'_>) -> bool {
    let pipe = |inode: u64| format!("pipe:[{inode}]");
    let voice = match whose.voice {
        Some(Mark::Pipe(inode)) => Some(pipe(*inode)),
        Some(Mark::Notify(_)) | None => None,
    };
    let sockets = whose.sockets.iter().map(|inode| format!("socket:[{inode}]"));
    let output = whose.output.iter().map(PipeMark::target);
    let given: BTreeSet<String> = sockets.chain(output).chain(voice).collect();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    if targets.any(|target| target.to_str().is_some_and(|target| given.contains(target))) {
        return true;
    }
    let environment = proc_file::read(pid, "environ").unwrap_or_default();
    let has = |wanted: String| environment.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes());
    has(format!("BOOTSTRAP_SERVICE={}", whose.service))
        && has(format!("BOOTSTRAP_GENERATION={}", whose.generation))
}
