//! Who is left of a run: its process group, and its cgroup where it has one.

use super::super::children;
use super::super::poller::{Poller, Token};
use super::super::sight;
use super::adopted::followed_by_sigcont;
use super::{Process, Processes};
use crate::core::{Event, Leftover, RunEvent, Time};
use crate::limits::{LEFTOVER_CHARS, LEFTOVERS_NAMED, LEFTOVERS_PAUSE};
use crate::plan::{Pid, RunId};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs;

impl Processes {
    /// Has the cgroup of a run tell when the last process has left it.
    pub(super) fn watch_leaf(&mut self, poller: &Poller, leader: i32, process: &Process) {
        let Some(leaf) = &process.leaf else { return };
        self.leaves.insert(process.voice_number, leader);
        // Read, so that its having been entered is no news.
        leaf.is_populated();
        // Where the kernel has no memory for it, the exit of an orphan tells.
        let _ = poller.watch_change(leaf, Token::Cgroup(process.voice_number));
    }

    /// Signals all processes of a run. One that turns out to have none, once its main process is gone, is told as
    /// such: the last may have been reaped by somebody else, whose exit says nothing to us.
    pub(super) fn signal_all(&mut self, poller: &Poller, leader: i32, signal: i32) -> Option<Event> {
        let process = self.by_leader.get(&leader)?;
        let main_lives = process.main_lives;
        let gone = if let Some(leaf) = &process.leaf {
            let _ = followed_by_sigcont(signal, |signal| {
                leaf.signal(signal);
                Ok(())
            });
            self.is_empty(leader)
        } else {
            process.send_to_group(leader, signal) == Err(Errno::ESRCH)
        };
        if gone && !main_lives {
            return self.remove(poller, leader).map(|run| Event::Run(run, RunEvent::GroupEmpty));
        }
        None
    }

    /// Looks who is left, since the cgroup with this number says that it has changed.
    pub(in super::super) fn count_again(&mut self, poller: &Poller, number: u32, now: Time) -> Vec<Event> {
        let Some(&leader) = self.leaves.get(&number) else { return Vec::new() };
        // Read in any case: that takes the news from the poller.
        if let Some(leaf) = self.by_leader.get(&leader).and_then(|process| process.leaf.as_ref()) {
            leaf.is_populated();
        }
        self.empty_groups(poller, BTreeSet::from([leader]), false, now)
    }

    /// Who is left of a run without its main process. Not asked again and again: it takes a look at all processes of
    /// the machine.
    pub(in super::super) fn leftovers(&mut self, run: RunId, now: Time) -> Option<Event> {
        let leader = *self.leaders.get(&run)?;
        if self.looked_at.is_some_and(|last| now < last + LEFTOVERS_PAUSE) {
            return None;
        }
        self.looked_at = Some(now);
        let leaf = self.by_leader.get(&leader)?.leaf.as_ref();
        let mut pids = leaf.map_or_else(|| sight::scan(leader), |leaf| leaf.members());
        // That of one that is not our child may not have been reaped: it is not left.
        pids.retain(|pid| !children::is_ending(*pid));
        let named =
            pids.iter().take(LEFTOVERS_NAMED).map(|&pid| Leftover { pid: Pid(pid), command: command(pid) });
        let (first, all) = (named.collect::<Vec<_>>(), pids.len());
        (all > 0).then_some(Event::Run(run, RunEvent::LeftBehind { first, all }))
    }

    /// Is nobody left of this run, in its group or in its cgroup?
    pub(super) fn is_empty(&mut self, leader: i32) -> bool {
        let Some(process) = self.by_leader.get_mut(&leader) else { return true };
        if !process.group_gone {
            let members = match &process.adopted {
                None => children::has_members(leader),
                // Its number may be anyone's once the leader has ended.
                Some(adopted) => !adopted.rest_has_ended(),
            };
            process.group_gone = !process.main_lives && !members;
        }
        process.group_gone && !process.leaf.as_ref().is_some_and(|leaf| leaf.is_populated())
    }
}

/// The command of a process, as far as it is worth telling.
pub(in super::super) fn command(pid: i32) -> String {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let arguments = read("cmdline");
    let bytes = if arguments.is_empty() { read("comm") } else { arguments };
    let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
    text.trim().chars().take(LEFTOVER_CHARS).collect()
}
