//! Runs whose main process may not be our child: another supervisor started it, or it is not the one that we started
//! (`MAINPID=`). Each process is held by descriptor, which tells its end and is the only way by which it is signalled.

use super::super::children;
use super::super::inherited::{Legacy, Numbers};
use super::super::orphans::Held;
use super::super::pidfd::Pidfd;
use super::super::poller::{Poller, Token};
use super::super::program::Origin;
use super::super::sight;
use super::{Manner, Process, Processes};
use crate::core::{Event, RunEvent, Time};
use crate::plan::{ListenerId, RunId};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::os::fd::RawFd;

/// The processes of such a run.
pub(super) struct Adopted {
    /// The main process.
    pub(super) main: Pidfd,
    /// What is left of its group once the main process has ended.
    pub(super) rest: BTreeMap<i32, Pidfd>,
}

impl Adopted {
    /// To the whole group. Its number is its own for as long as its main process is in it and was not reaped.
    fn send_to_group(&self, leader: i32, main: i32, signal: i32) -> Result<(), Errno> {
        if sight::group(main) == Some(leader) && self.main.send(0).is_ok() {
            // Not through the descriptor: where the main process had ended before us, it holds another one of the group.
            return children::send_to_group(leader, signal);
        }
        let sent = self.rest.values().filter(|process| process.send(signal).is_ok()).count();
        if sent > 0 { Ok(()) } else { Err(Errno::ESRCH) }
    }

    /// Holds what lives of the group beside the main process. Tells whether there is anything.
    fn hold_rest(&mut self, poller: &Poller, leader: i32, main: i32) -> bool {
        let ended: Vec<i32> =
            self.rest.iter().filter(|(_, process)| process.has_ended()).map(|(&pid, _)| pid).collect();
        for process in ended.iter().filter_map(|pid| self.rest.remove(pid)) {
            poller.forget(&process);
        }
        for pid in sight::scan(leader) {
            if pid == main || self.rest.contains_key(&pid) || children::is_ending(pid) {
                continue;
            }
            let Ok(process) = Pidfd::open(pid) else { continue };
            // It may have ended, and the number be another's, before it was held.
            if sight::group(pid) == Some(leader) && poller.watch_readable(&process, adopted(leader)).is_ok() {
                self.rest.insert(pid, process);
            }
        }
        !self.rest.is_empty()
    }

    /// Has all that was held of the group ended?
    pub(super) fn rest_has_ended(&self) -> bool {
        self.rest.values().all(Pidfd::has_ended)
    }

    /// Leaves them to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> (RawFd, Vec<(i32, RawFd)>) {
        let main = numbers.keep(&self.main);
        (main, self.rest.iter().map(|(pid, process)| (*pid, numbers.keep(process))).collect())
    }

    /// Takes them over.
    pub(super) fn restore(kept: (RawFd, Vec<(i32, RawFd)>), legacy: &mut Legacy) -> nix::Result<Self> {
        let mut claim = |number| legacy.claim(number).map(Pidfd::from_owned);
        let main = claim(kept.0)?;
        let rest = kept.1.into_iter().map(|(pid, number)| Ok((pid, claim(number)?)));
        Ok(Self { main, rest: rest.collect::<nix::Result<_>>()? })
    }

    /// Has their ends told.
    pub(super) fn watch(&self, poller: &Poller, leader: i32, main_lives: bool) -> nix::Result<()> {
        // One that has ended stays readable, and was told.
        let main = main_lives.then_some(&self.main);
        main.into_iter().chain(self.rest.values()).try_for_each(|p| poller.watch_readable(p, adopted(leader)))
    }

    pub(super) fn forget(&self, poller: &Poller) {
        poller.forget(&self.main);
        self.rest.values().for_each(|process| poller.forget(process));
    }
}

pub(super) fn adopted(leader: i32) -> Token {
    Token::Adopted(leader.unsigned_abs())
}

impl Process {
    /// A signal to the main process.
    pub(super) fn send(&self, leader: i32, signal: i32) -> Result<(), Errno> {
        followed_by_sigcont(signal, |signal| match &self.adopted {
            None => children::send(leader, signal),
            Some(adopted) => adopted.main.send(signal),
        })
    }

    /// A signal to the whole group; `ESRCH` says that there is none.
    pub(super) fn send_to_group(&self, leader: i32, signal: i32) -> Result<(), Errno> {
        followed_by_sigcont(signal, |signal| match &self.adopted {
            None => children::send_to_group(leader, signal),
            Some(adopted) => adopted.send_to_group(leader, self.main.unwrap_or(leader), signal),
        })
    }
}

/// Sends a signal, and SIGCONT after SIGTERM: who is stopped (SIGSTOP) would not hear it until SIGKILL, and systemd does the same.
pub(super) fn followed_by_sigcont(signal: i32, send: impl Fn(i32) -> Result<(), Errno>) -> Result<(), Errno> {
    send(signal)?;
    // It may have ended of the first.
    let _ = if signal == libc::SIGTERM { send(libc::SIGCONT) } else { Ok(()) };
    Ok(())
}

impl Processes {
    /// Takes a run of another supervisor, whose main process is `pid`.
    pub(in super::super) fn adopt(
        &mut self,
        poller: &Poller,
        run: RunId,
        pid: i32,
        listeners: &[ListenerId],
        held: Held,
    ) {
        let Held { process, rest, group, voice, inode, program, leaving, leaf, .. } = held;
        let leader = group.unwrap_or(pid);
        let voice_number = self.next_voice();
        let main_lives = rest.is_none();
        let held = Adopted { main: process, rest: rest.unwrap_or_default() };
        // Where the kernel has no memory to watch it, its exit is found when it is signalled.
        let _ = held.watch(poller, leader, main_lives);
        let voice = voice.filter(|voice| voice.watch(poller, voice_number).is_ok());
        let process = Process {
            run,
            listeners: listeners.into(),
            main_lives,
            manner: Manner::of(!leaving),
            voice,
            voice_number,
            origin: inode.map(Origin::Binary),
            program: self.shared(program),
            main: (pid != leader).then_some(pid),
            adopted: Some(Box::new(held)),
            leaf: leaf.map(Box::new),
            group_gone: false,
        };
        self.watch_leaf(poller, leader, &process);
        self.insert(leader, process);
    }

    /// A process of an adopted run has ended.
    pub(in super::super) fn adopted_ended(&mut self, poller: &Poller, leader: u32, now: Time) -> Vec<Event> {
        let leader = leader.cast_signed();
        let mut events = self.hear_leader(poller, leader, now);
        let Some(process) = self.by_leader.get_mut(&leader) else { return events };
        let Some(adopted) = &mut process.adopted else { return events };
        let (run, main) = (process.run, process.main.unwrap_or(leader));
        if process.main_lives {
            if !adopted.main.has_ended() {
                return events;
            }
            poller.forget(&adopted.main);
            process.main_lives = false;
            self.mains.remove(&main);
            let status = adopted.main.exit(main);
            adopted.hold_rest(poller, leader, main);
            self.touched.extend(&process.listeners);
            self.retire(leader);
            let group_left = !self.is_empty(leader);
            if !group_left {
                self.remove(poller, leader);
            }
            events.push(Event::Run(run, RunEvent::Exited { status, group_left }));
        } else if !adopted.hold_rest(poller, leader, main) && self.is_empty(leader) {
            self.remove(poller, leader);
            events.push(Event::Run(run, RunEvent::GroupEmpty));
        }
        events
    }
}
