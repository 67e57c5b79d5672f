//! Who has ended: main processes, the others of their groups, commands of probes, and orphans.

use super::super::children;
use super::super::poller::Poller;
use super::super::probe::Probes;
use super::{Process, Processes};
use crate::core::{Event, RunEvent, Time};
use std::collections::BTreeSet;

impl Processes {
    /// Reaps every child that has ended: servers, the commands of `probes`, orphans. What a server said comes before its exit.
    ///
    /// It ends: reaping is cheaper than forking.
    pub(in super::super) fn reap(&mut self, poller: &Poller, probes: &mut Probes, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        let mut exits = Vec::new();
        let mut touched = BTreeSet::new();
        let mut stranger = false;
        while let Some(pid) = children::ended() {
            // Its last words may be that another process is the main one.
            if let Some(leader) = self.led_by(pid) {
                events.extend(self.hear_leader(poller, leader, now));
            }
            // A supervisor that began anew in the same process adopts its own children: they end like any other.
            if let Some(leader) = self.whose_main(pid) {
                let Some(status) = children::reap(pid) else { break };
                self.main_ended(poller, leader);
                exits.push((leader, status));
            } else if probes.knows(pid) {
                events.extend(probes.reap(poller, pid));
            } else {
                // Asked while it is a zombie: afterwards the number may be anyone's.
                let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
                let Some(_) = children::reap(pid) else { break };
                match group.map(nix::unistd::Pid::as_raw) {
                    Ok(leader) if self.by_leader.contains_key(&leader) => _ = touched.insert(leader),
                    _ => stranger = true,
                }
            }
        }
        // Only now, with none of our zombies left in it, does a group say truly whether it is empty.
        for (leader, status) in exits {
            let group_left = !self.is_empty(leader);
            touched.remove(&leader);
            let run = self.by_leader.get(&leader).map(|process| process.run);
            if !group_left {
                self.remove(poller, leader);
            }
            events.extend(run.map(|run| Event::Run(run, RunEvent::Exited { status, group_left })));
        }
        events.extend(self.empty_groups(poller, touched, stranger, now));
        events
    }

    /// Of the groups without a main process, those that are empty now. Looked at are those of which a process
    /// was reaped, and all of them after the death of a `stranger`: it may have reaped a member as its child.
    pub(super) fn empty_groups(
        &mut self,
        poller: &Poller,
        mut touched: BTreeSet<i32>,
        stranger: bool,
        now: Time,
    ) -> Vec<Event> {
        if stranger {
            // Of those that are not our children the kernel tells by descriptor.
            let ended = |p: &Process| !p.main_lives && p.adopted.is_none();
            touched.extend(self.by_leader.iter().filter(|(_, p)| ended(p)).map(|(&leader, _)| leader));
        }
        let mut events = Vec::new();
        for leader in touched {
            let gone = self.by_leader.get(&leader).is_some_and(|process| !process.main_lives);
            if gone && self.is_empty(leader) {
                // What its last process said may still be unread.
                events.extend(self.hear_leader(poller, leader, now));
                events.extend(self.remove(poller, leader).map(|run| Event::Run(run, RunEvent::GroupEmpty)));
            }
        }
        events
    }
}
