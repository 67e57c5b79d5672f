//! Who runs: from a run to its processes and back, and what they say and how they end.
//!
//! A number that was reaped is never signalled: a group is signalled by its leader's number only while it
//! has members, for as long as the kernel gives the number to nobody else.

mod adopted;
mod ends;
mod kept;
mod known;
mod main_process;
mod members;
mod reap;
mod voices;

pub(super) use kept::KeptProcesses;
pub(super) use members::command;

use adopted::Adopted;
use ends::End;

use super::accepted;
use super::cgroup::Leaf;
use super::listeners::Listeners;
use super::pipe::Scratch;
use super::poller::Poller;
use super::proc_file;
use super::program::{Origin, Pinned};
use super::sight;
use super::spawn::Started;
use super::voice::Voice;
use crate::core::{Closeness, Event, Growth, Hearing, RunEvent, Sight, Time, pack};
use crate::plan::{Address, ListenerId, ListenerIds, Pid, RunId};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// Whether a run counts as one that accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Its main process lives, and nobody has asked it to leave.
    Stays,
    /// It was asked to, or has ended.
    Leaves,
    /// It has said that it accepts no more: that its pipe ends is no news then.
    Quiet,
}

impl Manner {
    fn of(stays: bool) -> Self {
        if stays { Self::Stays } else { Self::Leaves }
    }
}

/// One run with a process left.
struct Process {
    run: RunId,
    /// The sockets that it was given.
    listeners: ListenerIds,
    /// Whether the main process has not been reaped yet.
    main_lives: bool,
    manner: Manner,
    voice: Option<Voice>,
    voice_number: u32,
    /// The file that it was started from.
    origin: Option<Origin>,
    /// Its main process, where that is not the leader of its group.
    main: Option<i32>,
    /// What its main process is held by, where that may not be our child.
    adopted: Option<Box<Adopted>>,
    /// The path that this was found under.
    program: Arc<PathBuf>,
    /// Its cgroup, if it has one.
    leaf: Option<Box<Leaf>>,
    /// Whether its group was seen to be empty: the number may be anyone's since.
    group_gone: bool,
}

/// What is to be noted of a run for a supervisor that comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It was told to leave. One that ignores the signal still was not.
    Asked,
    /// It has said that it is ready.
    Ready,
    /// It has said that it accepts no more.
    Quiet,
    /// This is its main process from now on.
    Main(i32),
    /// All its processes have ended.
    Ended,
}

/// All runs with a process left, by the pid of the process that was started, which is the number of the group too.
#[derive(Default)]
pub(super) struct Processes {
    by_leader: BTreeMap<i32, Box<Process>>,
    leaders: BTreeMap<RunId, i32>,
    voices: BTreeMap<u32, i32>,
    /// The runs whose main process is not the leader of their group, by its pid.
    mains: BTreeMap<i32, i32>,
    /// The runs that have a cgroup, by the same numbers.
    leaves: BTreeMap<u32, i32>,
    last_voice: u32,
    /// The paths of all programs: many run the same.
    programs: BTreeSet<Arc<PathBuf>>,
    /// How many of the runs that stay have each socket.
    users: BTreeMap<ListenerId, u32>,
    /// The sockets of runs that may have changed them by now.
    touched: BTreeSet<ListenerId>,
    /// When it was last looked who is left of a run.
    looked_at: Option<Time>,
    /// What became of runs and was not noted yet.
    changes: Vec<(RunId, Change)>,
    /// Where it is seen what servers say before it is taken from them.
    scratch: Option<Scratch>,
    growth: Growth,
    /// The ends of voices of which it is not known yet whether they are news, in the order of their time.
    ends: VecDeque<End>,
}

impl Processes {
    /// There are none yet. Without a scratch pipe it is written down what servers say when it has been read.
    pub(super) fn none() -> Self {
        Self { scratch: Scratch::new().ok(), ..Self::default() }
    }

    /// Has this run a process left?
    pub(super) fn has(&self, run: RunId) -> bool {
        self.leaders.contains_key(&run)
    }

    /// A number for the voice of the next start.
    pub(super) fn next_voice(&mut self) -> u32 {
        loop {
            self.last_voice = self.last_voice.wrapping_add(1);
            if !self.voices.contains_key(&self.last_voice) && !self.leaves.contains_key(&self.last_voice) {
                return self.last_voice;
            }
        }
    }

    /// Takes a program that was started, its voice watched under the number that [`next_voice`](Self::next_voice) gave.
    pub(super) fn add(
        &mut self,
        poller: &Poller,
        run: RunId,
        listeners: &[ListenerId],
        voice_number: u32,
        started: Started,
    ) -> Vec<Event> {
        let Started { pid, voice, origin, leaf, program, .. } = started;
        // The kernel gave the number out again, so the group that had it is empty, however that escaped us. What is left
        // in its cgroup could not be told from the new one.
        let mut events = Vec::new();
        if let Some(leaf) = self.by_leader.get(&pid).and_then(|process| process.leaf.as_ref()) {
            leaf.signal(libc::SIGKILL);
        }
        self.remove(poller, pid)
            .into_iter()
            .for_each(|run| events.push(Event::Run(run, RunEvent::GroupEmpty)));
        let process = Process {
            run,
            listeners: listeners.into(),
            main_lives: true,
            manner: Manner::Stays,
            voice,
            voice_number,
            origin,
            main: None,
            adopted: None,
            program: self.shared(program),
            leaf,
            group_gone: false,
        };
        self.watch_leaf(poller, pid, &process);
        self.insert(pid, process);
        events.push(Event::Run(run, RunEvent::Spawned { pid: Pid(pid) }));
        events
    }

    fn insert(&mut self, leader: i32, process: Process) {
        if process.voice.is_some() {
            self.voices.insert(process.voice_number, leader);
        }
        self.leaders.insert(process.run, leader);
        self.mains.extend(process.main.map(|main| (main, leader)));
        for id in process.listeners.iter().filter(|_| process.manner == Manner::Stays) {
            *self.users.entry(*id).or_default() += 1;
        }
        self.by_leader.insert(leader, Box::new(process));
        if self.growth.has_doubled(self.by_leader.len()) {
            self.pack();
        }
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        pack(&mut self.by_leader);
        pack(&mut self.leaders);
        pack(&mut self.voices);
        pack(&mut self.users);
    }

    /// How much became of runs since the last call of [`take_changes_from`](Self::take_changes_from).
    pub(super) fn changes(&self) -> usize {
        self.changes.len()
    }

    /// The path of a program, once for all that run it.
    fn shared(&mut self, program: PathBuf) -> Arc<PathBuf> {
        if let Some(known) = self.programs.get(&program) {
            return known.clone();
        }
        let program = Arc::new(program);
        self.programs.insert(Arc::clone(&program));
        program
    }

    /// What became of runs since the last call, from the change with this number on.
    pub(super) fn take_changes_from(&mut self, number: usize) -> Vec<(RunId, Change)> {
        // The first keeps no room for as many.
        if number == 0 { std::mem::take(&mut self.changes) } else { self.changes.split_off(number) }
    }

    /// Forgets a run whose processes have all ended.
    fn remove(&mut self, poller: &Poller, leader: i32) -> Option<RunId> {
        self.retire(leader);
        let process = self.by_leader.remove(&leader)?;
        self.touched.extend(&process.listeners);
        self.leaders.remove(&process.run);
        self.voices.remove(&process.voice_number);
        self.leaves.remove(&process.voice_number);
        self.mains.retain(|_, led| *led != leader);
        if let Some(voice) = &process.voice {
            poller.forget(voice);
        }
        if let Some(leaf) = &process.leaf {
            poller.forget(leaf);
        }
        if let Some(adopted) = &process.adopted {
            adopted.forget(poller);
        }
        if Arc::strong_count(&process.program) == 2 {
            self.programs.remove(&process.program);
        }
        self.changes.push((process.run, Change::Ended));
        Some(process.run)
    }

    /// The sockets of runs that said something, ended, or were pointed out, since the last call.
    pub(super) fn take_touched(&mut self) -> BTreeSet<ListenerId> {
        std::mem::take(&mut self.touched)
    }

    /// Does a run that nobody has asked to leave accept from this socket?
    pub(super) fn is_in_use(&self, listener: ListenerId) -> bool {
        self.users.contains_key(&listener)
    }

    /// It accepts no more, or is about to.
    fn retire(&mut self, leader: i32) {
        let stays = |process: &&mut Box<Process>| process.manner == Manner::Stays;
        let Some(process) = self.by_leader.get_mut(&leader).filter(stays) else { return };
        process.manner = Manner::Leaves;
        for id in &process.listeners {
            if let Entry::Occupied(mut users) = self.users.entry(*id) {
                *users.get_mut() -= 1;
                if *users.get() == 0 {
                    users.remove();
                }
            }
        }
    }

    /// Sends `signal` to the main process, unless its `hearing` is unknown and it ignores the signal.
    pub(super) fn ask(&mut self, run: RunId, signal: i32, hearing: Hearing) -> Option<Event> {
        let leader = *self.leaders.get(&run)?;
        self.retire(leader);
        let process = self.by_leader.get(&leader).filter(|process| process.main_lives)?;
        if hearing == Hearing::Unknown && proc_file::ignores(process.main.unwrap_or(leader), signal) {
            return Some(Event::Run(run, RunEvent::NotListening));
        }
        // It may have ended already: then its exit is on the way.
        let _ = process.send(leader, signal);
        self.changes.push((run, Change::Asked));
        None
    }

    /// Looks whether the run waits for clients on one of its sockets, or serves some. One that is gone does not.
    pub(super) fn look(&self, run: RunId, closeness: Closeness, listeners: &Listeners) -> Sight {
        let process = self.leaders.get(&run).and_then(|leader| Some((*leader, self.by_leader.get(leader)?)));
        let Some((leader, process)) = process else { return Sight::NotAccepting };
        let orphans = !process.main_lives || process.main.is_some();
        let members = sight::members(leader, orphans);
        let seen = sight::look(&members, &listeners.inodes(&process.listeners));
        if seen != Sight::NotAccepting || closeness == Closeness::Waiting {
            return seen;
        }
        let addresses: Vec<&Address> =
            process.listeners.iter().filter_map(|id| Some(listeners.get(*id)?.address())).collect();
        if accepted::holds_one(&members, &addresses) { Sight::Busy } else { seen }
    }

    /// Keeps the program of a run whose main process lives.
    pub(super) fn pin(&mut self, run: RunId) -> Option<Pinned> {
        let leader = *self.leaders.get(&run)?;
        let process = self.by_leader.get_mut(&leader).filter(|process| process.main_lives)?;
        process.origin.as_mut()?.pin(process.main.unwrap_or(leader))
    }

    /// Its program will not be wanted.
    pub(super) fn unpin(&mut self, run: RunId) {
        let process = self.leaders.get(&run).and_then(|leader| self.by_leader.get_mut(leader));
        if let Some(origin) = process.and_then(|process| process.origin.as_mut()) {
            origin.let_go();
        }
    }

    /// Sends SIGTERM to the main process, or to what is left of its group.
    pub(super) fn terminate(&mut self, poller: &Poller, run: RunId) -> Option<Event> {
        let leader = *self.leaders.get(&run)?;
        self.retire(leader);
        self.changes.push((run, Change::Asked));
        if let Some(process) = self.by_leader.get(&leader).filter(|process| process.main_lives) {
            // As above.
            let _ = process.send(leader, libc::SIGTERM);
            return None;
        }
        self.signal_all(poller, leader, libc::SIGTERM)
    }

    /// Has the whole group end, by SIGTERM or SIGKILL.
    pub(super) fn signal_group(&mut self, poller: &Poller, run: RunId, signal: i32) -> Option<Event> {
        let leader = *self.leaders.get(&run)?;
        self.retire(leader);
        self.changes.push((run, Change::Asked));
        self.signal_all(poller, leader, signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::listener::Listener;
    use crate::os::pipe::Pipe;
    use crate::plan::{Generation, ServiceId};
    use std::os::fd::OwnedFd;

    pub(super) const RUN: RunId = RunId { service: ServiceId(1), generation: Generation(1) };

    /// A run of this very process, which lives; and the other end of its pipe, which is watched as number 1.
    pub(super) fn of_one() -> (Poller, Processes, OwnedFd) {
        let (poller, mut processes) = (Poller::new().unwrap(), Processes::default());
        let (pipe, writer) = Pipe::new().unwrap();
        let voice = Voice::Pipe(pipe);
        voice.watch(&poller, 1).unwrap();
        let (pid, program) = (std::process::id().cast_signed(), "server".into());
        let (origin, leaf, env_file) = (None, None, Vec::new());
        let started = Started { pid, voice: Some(voice), origin, program, leaf, env_file, signed: false };
        processes.add(&poller, RUN, &[], 1, started);
        (poller, processes, writer)
    }

    /// There are ten thousand of each: a field that few runs need is to be behind a box.
    #[test]
    fn what_there_is_one_of_for_each_service_is_small() {
        let sizes = [size_of::<Process>(), size_of::<Listener>()];
        assert!(sizes.into_iter().zip([104, 72]).all(|(size, most)| size <= most), "{sizes:?} bytes");
    }
}
