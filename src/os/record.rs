//! What is written down of one run.
//!
//! A file is a line of JSON. Where that was written before the run was born, the line that the child signed it with comes
//! after it, and says which process it is.

use super::birth::Signature;
use super::listener::HeldSocket;
use super::lookup::Inode;
use super::output::PipeMark;
use super::proc_file;
use super::remains::Whose;
use super::voice::Mark;
use crate::core::Time;
use crate::plan::{Definition, Generation};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// One run, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record<'a> {
    pub(super) version: u32,
    /// Which boot of the machine: pids and times mean nothing in another.
    pub(super) boot: Cow<'a, str>,
    pub(super) generation: Generation,
    pub(super) worker: u32,
    /// Its main process; not there before it is born.
    #[serde(default, skip_serializing_if = "is_unborn")]
    pub(super) pid: i32,
    /// The number of its process group, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<i32>,
    /// When the kernel started it, in ticks: with the pid, and within one boot, that is one process and no other. Of one
    /// that was not born yet, and of one that has ended, the earliest that it can have been.
    pub(super) ticks: u64,
    /// When its start was ordered.
    pub(super) started: Time,
    pub(super) definition: Cow<'a, Definition>,
    pub(super) sockets: Vec<HeldSocket>,
    pub(super) voice: Option<Mark>,
    /// The path that its program was found under.
    pub(super) program: PathBuf,
    /// Device and inode of it, where it is a binary.
    pub(super) inode: Option<Inode>,
    /// The pipes that it writes to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) output: Vec<PipeMark>,
    /// Its cgroup, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cgroup: Option<PathBuf>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_unborn(pid: &i32) -> bool {
    *pid == 0
}

impl Record<'_> {
    /// What a file says; none where it is torn, or about a run that was not born.
    pub(super) fn read(text: &[u8]) -> Option<Record<'static>> {
        let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        let (head, rest) = text.split_at_checked(end)?;
        let mut record: Record<'static> = serde_json::from_slice(head).ok()?;
        if let Some(signature) = rest.get(1..).filter(|line| !line.is_empty()) {
            let signature = Signature::of(signature)?;
            record.pid = signature.pid;
            record.ticks = signature.start(record.ticks).unwrap_or(record.ticks);
        }
        (record.pid > 0).then_some(record)
    }

    /// Is its main process there?
    pub(super) fn lives(&self) -> bool {
        start_ticks(self.pid) == Some(self.ticks)
    }

    /// What is known of it, for whoever looks for what is left of it.
    pub(super) fn whose(&self) -> Whose<'_> {
        Whose {
            leader: self.group.unwrap_or(self.pid),
            since: self.ticks,
            service: self.definition.name.as_str(),
            generation: self.generation,
            sockets: self.sockets.iter().map(|socket| socket.inode).collect(),
            voice: self.voice.as_ref(),
            output: &self.output,
            cgroup: self.cgroup.as_deref(),
        }
    }
}

/// When the kernel started a process that has not ended, in ticks since the boot.
pub(super) fn start_ticks(pid: i32) -> Option<u64> {
    proc_file::stat(pid).filter(|found| !found.is_dead).map(|found| found.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_and_none_is_there_that_has_ended() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(start_ticks(own).unwrap() > 0);
        assert_eq!(start_ticks(own), start_ticks(own));
        assert_eq!(start_ticks(i32::MAX), None);
    }
}
