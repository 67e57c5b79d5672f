//! One supervisor follows another: the core goes on from its snapshot, or another comes after one that was killed.

use super::{Deed, Entry, Process, World, plans};
use crate::clients::Clients;
use bootstrap::core::worker::Worker;
use bootstrap::core::{Event, Orphan, RunEvent, Supervisor, Time, snapshot};
use bootstrap::plan::{Definition, ListenerId, Pid, Ready, RunId, ServiceName};
use bootstrap::protocol::{Notice, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

/// So many deaths in `DEATHS_WITHIN` are enough to meet each other in any way. Whoever starts a supervisor gives up when
/// it dies more often; here each would leave more processes behind than have ended since the last, and so without end.
const DEATHS: usize = 5;
const DEATHS_WITHIN: Duration = Duration::from_secs(60);

/// A process whose supervisor was killed.
pub(super) struct Left {
    process: Process,
    service: ServiceName,
    /// It has said that it accepts no more, and that was read.
    quiet: bool,
    /// What it will do.
    deeds: Vec<(Time, Deed)>,
    /// What it has said and nobody has read yet: that is still in its pipe.
    unread: Vec<RunEvent>,
}

/// Is it known from now on that it leaves?
pub(super) fn is_last_word(event: &Event) -> bool {
    let last = |event: &RunEvent| {
        matches!(event, RunEvent::Said(Word::Success | Word::Failed) | RunEvent::Notified(Notice::Stopping))
    };
    matches!(event, Event::Run(_, event) if last(event))
}

impl World {
    /// The core goes on from its snapshot (I11). What shared a definition shares it again, or the second snapshot
    /// would have it in full where the first has a number.
    pub(super) fn upgrade(&mut self) {
        let written = snapshot::write(&self.core, &()).expect("it can be written");
        let read = snapshot::read::<()>(&written).unwrap_or_else(|refused| panic!("{refused}\n{written}"));
        assert!(read.core == self.core, "another core came back from\n{written}");
        assert_eq!(snapshot::write(&read.core, &()).expect("as above"), written);
        self.core = read.core;
        let mut out = Vec::new();
        let took = Duration::from_millis(3);
        self.core.handle(self.now, Event::Upgraded { from: read.program, took }, &mut out);
        assert_eq!(out.len(), 1, "an upgrade is told, and no more: {out:?}");
    }

    /// Would anybody start it once more if it died now?
    pub(super) fn may_die(&mut self) -> bool {
        while self.died.front().is_some_and(|died| *died + DEATHS_WITHIN < self.now) {
            self.died.pop_front();
        }
        self.died.len() < DEATHS
    }

    /// The supervisor is killed; another comes and finds who lives. The config may have changed meanwhile.
    pub(super) fn die(&mut self) {
        if self.core.outcome().is_some() || self.stopped_at.is_some() || !self.left.is_empty() {
            return;
        }
        self.died.push_back(self.now);
        self.gather();
        self.listening.clear();
        self.pinned.clear();
        self.asked.clear();
        self.watched.clear();
        self.waiting_since.clear();
        self.owed = super::Owed::default();
        self.makes_way.clear();
        // What operators ordered is lost with the one that they ordered it of.
        self.clients = Clients::default();
        self.rested.clear();
        self.reloaded_at = Some(self.now);
        let plan =
            if self.rng.chance(50) { self.plan.clone() } else { plans::edited(&self.plan, &mut self.rng) };
        self.orphans = self.left.values().map(|left| left.orphan(self.now)).collect();
        let mut out = Vec::new();
        self.core = Supervisor::boot_among(plan, self.orphans.clone(), self.now, &mut out);
        self.perform_all(out);
        self.check_adopted();
    }

    /// Those who live, and what of theirs outlives the supervisor. Events that were on their way are lost with it.
    fn gather(&mut self) {
        let names: BTreeMap<_, _> =
            self.core.services().map(|service| (service.id, service.definition.name.clone())).collect();
        self.writer = None;
        let agenda = mem::take(&mut self.agenda);
        let has_any = |process: &Process| process.alive() || process.child_until.is_some();
        let living = mem::take(&mut self.processes).into_iter().filter(|(_, process)| has_any(process));
        let leaving =
            self.core.services().flat_map(|service| &service.workers).flat_map(|worker| &worker.leaving);
        let quiet: BTreeSet<RunId> = leaving.filter(|l| l.quiet_since.is_some()).map(|l| l.run.id).collect();
        let mut pids = BTreeMap::new();
        for (run, mut process) in living {
            // One that its service has forgotten hangs in the kernel.
            let Some(service) = names.get(&run.service).cloned() else { continue };
            pids.insert(run, process.pid);
            process.withheld = !process.definition.listeners.is_empty() && self.rng.chance(3);
            let quiet = quiet.contains(&run) && process.talks();
            let left = Left { process, service, quiet, deeds: Vec::new(), unread: Vec::new() };
            self.left.insert(left.process.pid, left);
        }
        for ((time, _), entry) in agenda {
            match entry {
                Entry::Does(run, deed) => {
                    let left = pids.get(&run).and_then(|pid| self.left.get_mut(pid));
                    if let Some(left) = left {
                        left.deeds.push((time, deed));
                    }
                }
                Entry::Arrives(Event::Run(run, event @ (RunEvent::Said(_) | RunEvent::Notified(_)))) => {
                    let left = pids.get(&run).and_then(|pid| self.left.get_mut(pid));
                    if let Some(left) = left {
                        left.unread.push(event);
                    }
                }
                // Signals that were sent to it; and what other processes are yet to do.
                Entry::Arrives(_) | Entry::WriterDies(_) => {}
            }
        }
    }

    /// Only those are taken over that live, and each once.
    pub(super) fn adopt(&mut self, run: RunId, pid: Pid, listeners: &[ListenerId]) {
        let Left { mut process, deeds, unread, .. } = self.left.remove(&pid).expect("it was left behind");
        assert!(listeners.iter().all(|listener| self.listening.contains_key(listener)), "a socket of nobody");
        process.on_their_way = 0;
        if mem::take(&mut process.missed) && !process.told {
            // It never heard that it was to leave, and so was not written down as one that does (simulation, seed 3).
            process.asked = false;
        }
        process.heard = self.now;
        process.adopted = Some(self.now);
        // What it promised under its old name it does under the new one.
        assert!(self.processes.insert(run, process).is_none(), "adopted twice: {run:?}");
        for event in unread {
            self.hear(run, event);
        }
        for (time, deed) in deeds {
            self.note(time.max(self.now), Entry::Does(run, deed));
        }
    }

    /// Once the sockets are there all are taken over, and what is checked is as that has left it. Who stays has its
    /// sockets, and was not asked to leave. Who did not serve yet does so only where its gate asks for nothing; and what
    /// has changed meanwhile is to be restarted.
    pub(super) fn check_adopted(&mut self) {
        if self.core.services().next().is_none() {
            return;
        }
        assert!(self.left.is_empty(), "left behind for good: {:?}", self.left.keys());
        let orphans: BTreeMap<Pid, Orphan> =
            mem::take(&mut self.orphans).into_iter().map(|orphan| (orphan.pid, orphan)).collect();
        let mut outdated = Vec::new();
        for worker in self.core.services().flat_map(|service| &service.workers) {
            for run in worker.staying() {
                let Some(orphan) = run.pid.and_then(|pid| orphans.get(&pid)) else { continue };
                assert!(
                    orphan.held && !orphan.leaving && !orphan.bereft,
                    "taken for one that serves: {orphan:?}"
                );
                let serves = worker.serving().is_some_and(|serving| serving.id == run.id);
                assert!(
                    !serves || orphan.serves || asks_for_nothing(&run.definition),
                    "taken for ready: {run:?}"
                );
                if is_outdated(&self.core, run.id) {
                    outdated.push(run.id);
                }
            }
        }
        // Some have a successor already.
        let starts = |run: &RunId| {
            self.processes.iter().any(|(other, process)| {
                let same = other.service == run.service && process.worker == self.processes[run].worker;
                same && process.adopted.is_none()
            })
        };
        outdated.retain(|run| !starts(run));
        self.owed.outdated.extend(outdated.into_iter().map(|run| (run, self.now)));
    }
}

/// Is it to stay, although it runs something else than what applies?
pub(super) fn is_outdated(core: &Supervisor, run: RunId) -> bool {
    let Some(service) = core.services().find(|service| service.id == run.service) else { return false };
    let staying = service.workers.iter().flat_map(Worker::staying).find(|staying| staying.id == run);
    staying.is_some_and(|run| !run.definition.runs_the_same(&service.definition))
}

/// Is a process of it ready as soon as it lives?
fn asks_for_nothing(definition: &Definition) -> bool {
    match definition.policy.ready {
        Ready::Started => true,
        Ready::Assumed | Ready::Accepting => definition.listeners.is_empty(),
        Ready::Word | Ready::Delay(_) | Ready::Probe(_) => false,
    }
}

impl Left {
    fn orphan(&self, now: Time) -> Orphan {
        let process = &self.process;
        Orphan {
            service: self.service.clone(),
            worker: process.worker,
            generation: process.generation,
            pid: process.pid,
            definition: process.definition.clone(),
            started: process.started,
            serves: process.noted,
            leaving: process.told,
            quiet: self.quiet,
            bereft: !process.alive(),
            pipe_open: process.talks() && process.alive(),
            held: !process.withheld && process.quiet_at.is_none_or(|quiet| now < quiet),
        }
    }
}
