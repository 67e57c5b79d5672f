//! Another main process than the one that was started: a server that forks and lets the child go on, or that becomes
//! a new program beside the old one, says so with `MAINPID=`. From then on it is the child that is signalled and whose
//! end is the end of the run.
//!
//! It has to be in the process group of the run, for that is what the run is ended by. It need not be our child, so it is
//! held by descriptor.

use super::super::children;
use super::super::pidfd::Pidfd;
use super::super::poller::Poller;
use super::super::sight;
use super::adopted::{Adopted, adopted};
use super::{Change, Processes};
use crate::core::RunEvent;
use crate::plan::{Pid, RunId};
use crate::protocol::Notice;
use std::collections::BTreeMap;

impl Processes {
    /// A process of the run that `leader` leads says that `named` is the main one. That it is the main one already is no
    /// news.
    pub(super) fn turn_to_main(&mut self, poller: &Poller, leader: i32, named: Pid) -> Option<RunEvent> {
        let pid = named.0;
        let process = self.by_leader.get_mut(&leader)?;
        if !process.main_lives || process.main.unwrap_or(leader) == pid {
            return None;
        }
        let Some(main) = hold(pid, leader) else { return Some(RunEvent::NotItsProcess(named)) };
        if let Some(before) = process.adopted.take() {
            before.forget(poller);
        }
        // Where the kernel has no memory to watch it, its exit is found when it is signalled, or reaped by us.
        let _ = poller.watch_readable(&main, adopted(leader));
        process.adopted = Some(Box::new(Adopted { main, rest: BTreeMap::new() }));
        if let Some(before) = process.main.replace(pid) {
            self.mains.remove(&before);
        }
        self.mains.insert(pid, leader);
        self.changes.push((process.run, Change::Main(pid)));
        Some(RunEvent::Notified(Notice::MainPid(named)))
    }

    /// The number of a run's main process, while that lives.
    pub(in super::super) fn main_pid(&self, run: RunId) -> Option<i32> {
        let leader = *self.leaders.get(&run)?;
        let process = self.by_leader.get(&leader)?;
        process.main_lives.then(|| process.main.unwrap_or(leader))
    }

    /// Sends `signal` to the main process, whatever it means to it.
    pub(in super::super) fn signal(&self, run: RunId, signal: i32) {
        let process = self.leaders.get(&run).and_then(|leader| Some((*leader, self.by_leader.get(leader)?)));
        if let Some((leader, process)) = process.filter(|(_, process)| process.main_lives) {
            // As above; and a number that is no signal is one that the caller was to refuse.
            let _ = process.send(leader, signal);
        }
    }

    /// The leader of the run whose leader or main process this is.
    pub(super) fn led_by(&self, pid: i32) -> Option<i32> {
        self.by_leader.contains_key(&pid).then_some(pid).or_else(|| self.mains.get(&pid).copied())
    }

    /// The leader of the run whose main process this is, if that was not known to have ended.
    pub(super) fn whose_main(&self, pid: i32) -> Option<i32> {
        let leader = self.led_by(pid)?;
        let process = self.by_leader.get(&leader)?;
        (process.main_lives && process.main.unwrap_or(leader) == pid).then_some(leader)
    }

    /// The main process was reaped.
    pub(super) fn main_ended(&mut self, poller: &Poller, leader: i32) {
        self.retire(leader);
        let Some(process) = self.by_leader.get_mut(&leader) else { return };
        process.main_lives = false;
        process.main.iter().for_each(|main| _ = self.mains.remove(main));
        self.touched.extend(&process.listeners);
        if let Some(adopted) = process.adopted.take() {
            adopted.forget(poller);
        }
    }
}

/// The process, if it lives and is in the group.
fn hold(pid: i32, leader: i32) -> Option<Pidfd> {
    let main = Pidfd::open(pid).ok()?;
    // It may have ended, and the number be another's, before it was held; what the descriptor holds cannot.
    (sight::group(pid) == Some(leader) && !children::is_ending(pid) && !main.has_ended()).then_some(main)
}
