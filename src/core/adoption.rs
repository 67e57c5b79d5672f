//! Taking over what another supervisor left behind when it was killed: those who serve go on serving.
//!
//! Who was asked to leave is left to finish. Of several that nobody asked, the oldest that served stays, else the
//! newest: the restart that the others were for is over, and they are asked to leave.

use super::candidate::{Candidate, Progress};
use super::fact::Fact;
use super::generation::Run;
use super::health::Watchdog;
use super::leaving::Leaving;
use super::orphan::Orphan;
use super::scene::Scene;
use super::service::{Ending, Service};
use super::state::State;
use super::succession::{Succession, Unwanted};
use super::supervisor::Supervisor;
use super::worker::Worker;
use super::{Action, Time};
use crate::plan::{ListenerId, Orphans, RunId, ServiceId, ServiceName};
use std::collections::BTreeMap;

impl Supervisor {
    /// Takes over what was left behind, once the sockets are there.
    pub(super) fn adopt(&mut self, now: Time, out: &mut Vec<Action>) {
        let mut by_name: BTreeMap<ServiceName, Vec<Orphan>> = BTreeMap::new();
        for orphan in std::mem::take(&mut self.orphans) {
            by_name.entry(orphan.service.clone()).or_default().push(orphan);
        }
        let stays = self.plan.settings.orphans != Orphans::Stop;
        for (name, mut orphans) in by_name {
            // One that was removed may still have ended when the name came back: its runs have numbers of their own.
            let mut known = self.names.get(&name).copied();
            while !orphans.is_empty() {
                let mut own = take_one_of_each(&mut orphans);
                for orphan in own.iter_mut().filter(|orphan| !orphan.leaves()) {
                    // It may be the one that serves on: its sockets have to be ours.
                    let mut addresses = orphan.definition.listeners.iter().map(|spec| &spec.address);
                    orphan.held &= stays && addresses.all(|address| self.sockets.contains_key(address));
                }
                let id = known.unwrap_or_else(|| self.foster(&own));
                self.take_over(id, &own, out);
                self.touch(id, out, |service, out| service.adopt(&own, stays, now, out));
                match known.take() {
                    Some(id) => self.take_up(id, now, out),
                    None => _ = self.touch(id, out, |service, out| service.end(Ending::Remove, now, out)),
                }
            }
        }
    }

    /// A service that the plan has no more: it is there for as long as its processes end.
    fn foster(&mut self, orphans: &[Orphan]) -> ServiceId {
        self.last_service += 1;
        let id = ServiceId(self.last_service);
        if let Some(newest) = orphans.last() {
            self.services.insert(Service::new(id, newest.definition.clone(), Vec::new().into()));
        }
        id
    }

    fn take_over(&self, id: ServiceId, orphans: &[Orphan], out: &mut Vec<Action>) {
        for orphan in orphans {
            let run = RunId { service: id, generation: orphan.generation };
            let socket = |address| self.sockets.get(address).copied();
            let specs = orphan.definition.listeners.iter();
            let listeners: Vec<ListenerId> = specs.filter_map(|spec| socket(&spec.address)).collect();
            out.push(Action::Adopt { run, pid: orphan.pid, listeners });
        }
    }

    /// It was there already, so it waits for nobody: what is missing is started, and what has changed restarted.
    fn take_up(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) {
        let Some(service) = self.services.get(id) else { return };
        let other = |run: &Run| !run.definition.runs_the_same(&service.definition);
        let changed = service.workers.iter().flat_map(Worker::staying).any(other);
        self.waiting.remove(&id);
        self.touch(id, out, |service, out| {
            service.start_missing(now, out);
            if changed {
                service.restart(now, out);
            }
        });
    }
}

/// Takes out one run of each number, in their order: of two with the same the one that nobody asked to leave.
fn take_one_of_each(orphans: &mut Vec<Orphan>) -> Vec<Orphan> {
    orphans.sort_by_key(|orphan| (orphan.generation, orphan.leaves()));
    let mut taken: Vec<Orphan> = Vec::new();
    let mut left = Vec::new();
    for orphan in orphans.drain(..) {
        let twice = taken.last().is_some_and(|last| last.generation == orphan.generation);
        if twice { left.push(orphan) } else { taken.push(orphan) }
    }
    *orphans = left;
    taken
}

impl Service {
    /// Takes over its runs. Nobody is started by it.
    fn adopt(&mut self, orphans: &[Orphan], wanted: bool, now: Time, out: &mut Vec<Action>) {
        self.last = orphans.iter().map(|orphan| orphan.generation).max().unwrap_or(self.last).max(self.last);
        let most = orphans.iter().map(|orphan| orphan.worker + 1).max().unwrap_or(0);
        for index in 0..most.max(self.definition.policy.workers) {
            let mut worker = Worker::new(index, now);
            let its: Vec<&Orphan> = orphans.iter().filter(|orphan| orphan.worker == index).collect();
            let mut stays = its.iter().filter(|orphan| orphan.held && !orphan.leaves());
            let serves = stays.clone().find(|orphan| orphan.serves);
            let chosen = serves.or(stays.next_back()).map(|orphan| orphan.generation);
            for orphan in its {
                let unwanted = match chosen {
                    Some(chosen) if chosen == orphan.generation => None,
                    Some(chosen) => Some(Unwanted::Another(chosen)),
                    None if wanted => Some(Unwanted::NotTheServer),
                    None => Some(Unwanted::Configured),
                };
                self.adopt_run(&mut worker, orphan, unwanted, now, out);
            }
            self.workers.push(worker);
        }
    }

    fn adopt_run(
        &mut self,
        worker: &mut Worker,
        orphan: &Orphan,
        unwanted: Option<Unwanted>,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        let mut run = orphan.run(self.id);
        self.history.begun = self.history.begun.max(worker.index + 1);
        let (_, mut scene) = self.scene(now, out);
        if orphan.leaves() {
            // Those that were hurried before look as patient as the others now (simulation, seed 64).
            worker.make_room_to_leave(&mut scene);
            let leaving = Leaving::adopt(run, orphan, &mut scene);
            worker.leaving.push(leaving);
        } else if let Some(why) = unwanted {
            scene.report_on(&run, Fact::Succession(Succession::AdoptedToLeave { why }));
            worker.ask_to_leave(run, &mut scene);
        } else {
            if run.definition.runs_the_same(scene.definition) {
                run.definition = scene.definition.clone();
            }
            scene.report_on(&run, Fact::Succession(Succession::Adopted { for_long: now - run.started }));
            worker.state = if orphan.serves {
                // What it promised to say again and again is counted anew.
                let period = run.definition.program.watchdog;
                run.watchdog = period.map(|period| Box::new(Watchdog::from(now, period)));
                State::Up { run }
            } else {
                match Candidate::adopt(run, &mut scene) {
                    (candidate, Progress::Ready) => State::Up { run: candidate.into_ready_run(&mut scene) },
                    (candidate, Progress::Waits | Progress::TooLate) => {
                        State::Starting { candidate: Box::new(candidate), fallback: None }
                    }
                }
            };
        }
    }

    /// Ends the workers that are too many, and starts those that have nobody (simulation, seed 8 of kills).
    fn start_missing(&mut self, now: Time, out: &mut Vec<Action>) {
        self.shrink(now, out);
        self.each(now, out, |worker, scene| {
            if worker.state == State::Stopped {
                worker.start_when_quiet(scene);
            }
        });
        self.settle(now, out);
    }
}

impl Leaving {
    /// Takes over a run that another supervisor has asked to leave, or that has said that it does. Where it has not said that it
    /// accepts no more it may still: then that is waited for, as after any other order to leave.
    fn adopt(run: Run, orphan: &Orphan, scene: &mut Scene<'_>) -> Self {
        let drain_timeout = run.definition.policy.drain_timeout;
        if !orphan.quiet && !orphan.bereft {
            let leaving = Self::asked_before(run, scene);
            let timeout = leaving.patience(scene.now);
            scene.report_on(&leaving.run, Fact::Succession(Succession::AdoptedAsked { timeout }));
            return leaving;
        }
        // With a supervisor that lived, what is left of one that crashed would have been told to end.
        let crashed = !orphan.leaving;
        if orphan.bereft {
            // Before they are told to end.
            scene.out.push(Action::NameLeftovers { run: run.id });
        }
        let mut leaving =
            if crashed { Self::terminate_rest(run, scene) } else { Self::by_itself(run, scene) };
        // The others were asked, by the supervisor before.
        (leaving.by_itself, leaving.quiet_since) = (false, Some(scene.now));
        if orphan.bereft {
            let drain_timeout = (!crashed).then_some(drain_timeout);
            scene.report_on(&leaving.run, Fact::Succession(Succession::AdoptedBereft { drain_timeout }));
            // Without a socket of ours all of it has to end.
            leaving.quiet_since.take_if(|_| leaving.run.definition.listeners.is_empty());
            if let Some(fact) = leaving.tell_the_rest(scene) {
                scene.report_on(&leaving.run, fact);
            }
        } else {
            scene.report_on(&leaving.run, Fact::Succession(Succession::AdoptedLeaving));
        }
        leaving
    }
}
