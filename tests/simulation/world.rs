//! The seeded world around the core: both os boxes of the architecture, with a virtual clock.
//!
//! Deeds of processes and events on their way to the core stand in one agenda, ordered by time. What the
//! kernel promises is kept (a process's words arrive before its exit, exits arrive once); everything it does
//! not promise is varied by the seed.

use crate::clients::Clients;
use crate::plans;
use crate::process::{Answer, Shows, Temper};
use crate::rng::Rng;
use bootstrap::core::generation::Run;
use bootstrap::core::leaving::{Leaving, Phase};
use bootstrap::core::service::{Service, Wish};
use bootstrap::core::state::{Back, State};
use bootstrap::core::worker::Worker;
use bootstrap::core::{
    Action, BindFailure, Closeness, Event, ExitStatus, Fact, Health, Hearing, Miss, Orphan, Outcome, PipeEnd,
    Report, Request, RunEvent, Sight, SpawnFailure, SpawnStage, Supervisor, Time, UpgradeRefusal, Verb,
};
use bootstrap::limits::{NO_PROCESS_PATIENCE, TEXT_BUSY_PATIENCE};
use bootstrap::plan::{
    Address, Definition, Generation, Handshake, ListenerId, Pid, Plan, Ready, RestartOrder, RunId, Scope,
    Selector, ServiceId, ServiceName,
};
use bootstrap::protocol::{Notice, Word};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

/// What stands in the agenda.
#[derive(Clone, Debug)]
enum Entry {
    /// An event reaches the core.
    Arrives(Event),
    /// A process does something.
    Does(RunId, Deed),
    /// The log writer with this number ends.
    WriterDies(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Says(Word),
    SaysGibberish,
    ClosesPipe,
    Exits(ExitStatus),
    ChildExits,
    FeedsWatchdog,
    /// It goes on in another process.
    TurnsTo(Pid),
    Reloads,
    /// It is ready, for the first time or after a reload.
    NotifiesReady,
}

/// A process as the world knows it.
#[expect(clippy::struct_excessive_bools, reason = "facts about a process, independent of each other")]
struct Process {
    temper: Temper,
    pid: Pid,
    generation: Generation,
    /// When it was taken over from a supervisor that was killed.
    adopted: Option<Time>,
    /// Its sockets could not be taken from it.
    withheld: bool,
    /// It is written down that it serves.
    noted: bool,
    /// It is written down that it was asked to leave, or has said that it does.
    told: bool,
    /// All of its group have had SIGTERM, or all that were left when its main process had ended.
    rest_told: bool,
    worker: u32,
    definition: Arc<Definition>,
    started: Time,
    /// Somebody (we, or it itself) has decided that it leaves.
    asked: bool,
    asks: u32,
    /// It was asked before its handler was there, and not since.
    missed: bool,
    /// From then on it accepts no more.
    /// It has said that it accepts.
    said_ready: bool,
    quiet_at: Option<Time>,
    /// A good answer of it has reached the core.
    answered: bool,
    killed_at: Option<Time>,
    main_alive: bool,
    child_until: Option<Time>,
    /// No event about it may arrive before this: the order of the kernel.
    heard: Time,
    /// Events about it that have not arrived yet.
    on_their_way: u32,
}

impl Process {
    fn alive(&self) -> bool {
        self.main_alive
    }

    fn talks(&self) -> bool {
        self.definition.program.handshake == Handshake::Pipe
    }

    fn accepts(&self, now: Time) -> bool {
        self.main_alive
            && self.started + self.temper.accepts_after <= now
            && self.quiet_at.is_none_or(|quiet| now < quiet)
    }
}

/// What must hold after every step, besides.
pub(crate) type Watchful = Box<dyn Fn(&Supervisor)>;

/// How a new program fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// It dies before it accepts.
    Dies,
    /// It never accepts, and never says that it is ready.
    Hangs,
    /// It is ready, and dies at once.
    DiesReady,
    /// It serves, and so long after its start its answers are bad, for a while.
    Sickens(Duration),
    /// There is none.
    IsMissing,
}

#[path = "world/anew.rs"]
mod anew;
#[path = "world/displaced.rs"]
mod displaced;
#[path = "world/preflight.rs"]
mod preflight;
#[path = "world/succession.rs"]
mod succession;
#[path = "world/writer.rs"]
mod writer;
use succession::Left;

/// The world and the core in it.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Time,
    pub(crate) core: Supervisor,
    /// Whether servers still misbehave and calls still fail.
    pub(crate) calm: bool,
    /// What becomes of each process that is started from now on.
    pub(crate) breaks: Option<Breaks>,
    /// What the file holds when it is read next; else the seed decides.
    pub(crate) edited: Option<Plan>,
    /// What else must hold after every step of this story.
    pub(crate) watchful: Option<Watchful>,
    /// After how many steps in a hundred the supervisor becomes another.
    pub(crate) upgrades: u64,
    /// After how many steps in a thousand the supervisor is killed, and another comes.
    pub(crate) deaths: u64,
    /// When it was killed, the last few times.
    died: VecDeque<Time>,
    /// Those whom it left behind, by pid, until the next one takes them over.
    left: BTreeMap<Pid, Left>,
    /// What a supervisor that came after one that was killed was told of them.
    orphans: Vec<Orphan>,
    /// The core has asked to be another now.
    becomes: bool,
    plan: Plan,
    agenda: BTreeMap<(Time, u64), Entry>,
    entries: u64,
    processes: BTreeMap<RunId, Process>,
    listening: BTreeMap<ListenerId, bool>,
    pinned: BTreeSet<RunId>,
    /// Questions whose answer the core awaits.
    asked: BTreeMap<RunId, u32>,
    /// The run whose program is watched for a service.
    watched: BTreeMap<ServiceId, RunId>,
    /// Since when a service is in a state that has to end, and in which generation.
    waiting_since: BTreeMap<(ServiceId, u32, Generation), (&'static str, Time)>,
    owed: Owed,
    /// Services that somebody had started or restarted, and of which none has crashed since.
    anew: BTreeSet<ServiceId>,
    pub(crate) clients: Clients,
    /// Services that had no worker at work before this event.
    rested: BTreeSet<ServiceId>,
    /// Runs that were asked to make way for a successor before this event, by their workers.
    makes_way: BTreeMap<(ServiceId, u32), Generation>,
    /// Runs of which the core was told that a successor may be started.
    cleared: BTreeSet<RunId>,
    addresses: BTreeMap<ListenerId, Address>,
    stopped_at: Option<Time>,
    reloaded_at: Option<Time>,
    pub(crate) killed: u64,
    /// The log writer, and how many there were.
    writer: Option<u64>,
    writers: u64,
    story: VecDeque<(Time, Told)>,
}

/// What somebody asked for and the core has not done yet: nothing is lost, however things arrive.
#[derive(Default)]
struct Owed {
    /// A start later than a restart that was asked for at this time.
    start: BTreeMap<ServiceId, Time>,
    /// A reading of the config.
    reload: Option<Time>,
    /// A restart of those that were taken over and run what applies no more.
    outdated: BTreeMap<RunId, Time>,
    /// An end to trying a program whose file is still being written, or for which there is no process; and after how long.
    busy: BTreeMap<RunId, (Time, Duration)>,
}

/// A line of the story, worded only if somebody has to hear it.
enum Told {
    Event(Event),
    Action(Action),
}

impl World {
    pub(crate) fn new(mut rng: Rng) -> Self {
        let plan = plans::first(&mut rng);
        Self::of(plan, rng, false)
    }

    /// The world of a plan.
    pub(crate) fn of(plan: Plan, rng: Rng, calm: bool) -> Self {
        let now = Time { ms: 1_000 };
        let mut out = Vec::new();
        let core = Supervisor::boot(plan.clone(), now, &mut out);
        let mut world = Self {
            rng,
            now,
            core,
            calm,
            breaks: None,
            edited: None,
            watchful: None,
            upgrades: 1,
            deaths: 0,
            died: VecDeque::new(),
            left: BTreeMap::new(),
            orphans: Vec::new(),
            becomes: false,
            plan,
            agenda: BTreeMap::new(),
            entries: 0,
            processes: BTreeMap::new(),
            listening: BTreeMap::new(),
            pinned: BTreeSet::new(),
            asked: BTreeMap::new(),
            watched: BTreeMap::new(),
            waiting_since: BTreeMap::new(),
            owed: Owed::default(),
            anew: BTreeSet::new(),
            clients: Clients::default(),
            rested: BTreeSet::new(),
            makes_way: BTreeMap::new(),
            cleared: BTreeSet::new(),
            addresses: BTreeMap::new(),
            stopped_at: None,
            reloaded_at: None,
            killed: 0,
            writer: None,
            writers: 0,
            story: VecDeque::new(),
        };
        world.perform_all(out);
        world.check();
        world
    }

    /// Lets a signal arrive after a moment. The kernel merges equal ones that wait.
    pub(crate) fn signal(&mut self, request: Request, after: Duration) {
        let at = self.now + after;
        let same = |entry: &Entry| matches!(entry, Entry::Arrives(Event::Request(r)) if *r == request);
        if !self.agenda.range((at, 0)..=(at, u64::MAX)).any(|(_, entry)| same(entry)) {
            self.note(at, Entry::Arrives(Event::Request(request)));
        }
    }

    /// Lets the world go on for a while, or until it is over.
    pub(crate) fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.core.outcome().is_none() {
            let due = self.agenda.first_key_value().map(|((time, _), _)| *time);
            let deadline = self.core.deadline();
            let next = match (due, deadline) {
                (Some(due), Some(deadline)) => due.min(deadline),
                (Some(time), None) | (None, Some(time)) => time,
                (None, None) => break,
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            if due == Some(next) {
                let (_, entry) = self.agenda.pop_first().expect("something is due");
                match entry {
                    Entry::Arrives(event) => self.feed(event),
                    Entry::Does(run, deed) => self.deed(run, deed),
                    Entry::WriterDies(number) => self.writer_dies(number),
                }
            } else {
                // The poller may be late.
                self.now = self.now + self.rng.ms(0..3);
                self.feed(Event::DeadlinePassed);
                let still = self.core.deadline();
                assert!(still.is_none_or(|time| time > self.now), "a deadline that passed is still there");
            }
        }
        if self.core.outcome().is_none() {
            self.now = end;
        }
    }

    fn feed(&mut self, event: Event) {
        self.tell(Told::Event(event.clone()));
        if let Event::Run(run, RunEvent::Probed { attempt, answer }) = &event {
            if self.asked.get(run) == Some(attempt) {
                self.asked.remove(run);
                self.processes.get_mut(run).expect("as below").answered |= answer.is_ok();
            }
        } else if let Event::Run(run, _) = &event {
            let process = self.processes.get_mut(run).expect("heard is of who was started");
            process.on_their_way -= 1;
            process.told |= succession::is_last_word(&event);
        }
        self.clients_ask(&event);
        self.owe(&event);
        self.rested = self.core.services().filter(|service| rests(service)).map(|s| s.id).collect();
        self.makes_way = self.core.services().flat_map(making_way).collect();
        let asked = self.to_count_anew(&event);
        let mut out = Vec::new();
        self.core.handle(self.now, event, &mut out);
        self.counts_anew(asked);
        self.perform_all(out);
        self.check();
        if self.rng.chance(2) {
            self.feed_stale();
        }
        if self.rng.chance(self.upgrades) || mem::take(&mut self.becomes) {
            self.upgrade();
        }
        if self.deaths > 0 && self.rng.below(1_000) < self.deaths && self.may_die() {
            self.die();
        }
    }

    fn owe(&mut self, event: &Event) {
        match event {
            Event::Request(Request::Reload) => self.owed.reload = Some(self.now),
            Event::Request(Request::Stop | Request::StopNow) => {
                self.owed.start.clear();
                self.owed.reload = None;
                self.stopped_at.get_or_insert(self.now);
            }
            Event::Request(Request::ReloadFor { .. }) => {
                self.owed.reload = self.stopped_at.is_none().then_some(self.now);
            }
            Event::Request(Request::Order { verb: Verb::Restart, selector, .. }) => {
                let planned = self.core.services().filter(|s| s.wish != Wish::Remove);
                let names: Vec<_> = planned.map(|s| &s.definition.name).collect();
                if self.stopped_at.is_none() && selector.unmatched(&names).is_empty() {
                    self.owe_start(&selector.clone());
                }
            }
            Event::Request(Request::Order { .. }) => {
                self.owed.start.retain(|id, _| !self.clients.is_to_rest(*id));
            }
            Event::SelectorRead(selector) => {
                self.owe_start(selector);
            }
            Event::Run(run, RunEvent::SpawnFailed(failure)) if patience(failure).is_some() => {
                let known = self.owed.busy.entry(*run).or_insert((self.now, Duration::ZERO));
                known.1 = known.1.max(patience(failure).unwrap_or_default());
            }
            Event::Run(run, _) => drop(self.owed.busy.remove(run)),
            Event::PlanLoaded(_) | Event::Bound => self.reloaded_at = Some(self.now),
            Event::DeadlinePassed
            | Event::SuccessorFit
            | Event::NotWrittenDown { .. }
            | Event::UpgradeRefused(_)
            | Event::Upgraded { .. }
            | Event::Writer(_)
            | Event::LastWords { .. }
            | Event::Request(Request::Restart | Request::Upgrade)
            | Event::TicketDropped(_)
            | Event::StraySignal(_)
            | Event::StoodStill { .. }
            | Event::BindRefused { .. }
            | Event::Repaired { .. }
            | Event::ProgramChanged { .. }
            | Event::PlanRefused { .. }
            | Event::SelectorRefused { .. } => {}
        }
    }

    fn owe_start(&mut self, selector: &Selector) {
        for service in self.core.services() {
            if selector.matches(&service.definition.name) && !self.clients.is_to_rest(service.id) {
                self.owed.start.insert(service.id, self.now);
            }
        }
    }

    fn check_owed(&mut self) {
        let ends = |service: &ServiceId| {
            let known = self.core.services().find(|s| s.id == *service);
            known.is_none_or(|s| {
                s.workers.iter().all(|w| {
                    matches!(w.state, State::Stopping { .. } | State::Stopped | State::Held | State::Gone)
                })
            })
        };
        self.owed.start.retain(|service, _| !ends(service) && !self.core.waits(*service));
        let tries = |run: &RunId| {
            let mut workers = self.core.services().filter(|s| s.id == run.service).flat_map(|s| &s.workers);
            workers.any(|worker| worker.staying().any(|staying| staying.id == *run))
        };
        self.owed.busy.retain(|run, _| tries(run));
        self.owed.outdated.retain(|run, _| succession::is_outdated(&self.core, *run));
        for (what, since, patience) in [
            ("a restart", self.owed.start.values().min(), longest() * 4),
            ("a restart of what has changed", self.owed.outdated.values().min(), longest() * 4),
            ("a reload", self.owed.reload.as_ref(), Duration::from_secs(1)),
        ] {
            if let Some(since) = since {
                assert!(self.now - *since <= patience, "{what} is owed for {:?}", self.now - *since);
            }
        }
        for (run, (since, patience)) in &self.owed.busy {
            let passed = self.now - *since;
            assert!(passed <= *patience + Duration::from_millis(50), "{run:?} is tried again for {passed:?}");
        }
    }

    /// An event about a run that is over changes nothing (I3).
    fn feed_stale(&mut self) {
        let known = |run: &RunId| self.core.services().flat_map(known_runs).any(|known| known.id == *run);
        let Some(run) = self.processes.keys().copied().find(|run| !known(run)) else { return };
        let event = match self.rng.below(7) {
            5 => RunEvent::LeftBehind { first: Vec::new(), all: 1 },
            4 => RunEvent::Probed { attempt: 1, answer: Ok(()) },
            0 => RunEvent::Exited { status: ExitStatus::Code(1), group_left: false },
            1 => RunEvent::Said(Word::Success),
            2 => RunEvent::GroupEmpty,
            3 => RunEvent::Spawned { pid: Pid(1) },
            _ => RunEvent::NotListening,
        };
        let before = self.core.clone();
        let mut out = Vec::new();
        self.core.handle(self.now, Event::Run(run, event), &mut out);
        assert!(out.is_empty(), "a stale event made the core do {out:?}");
        assert!(before == self.core, "a stale event changed the core");
    }

    fn note(&mut self, at: Time, entry: Entry) {
        self.entries += 1;
        self.agenda.insert((at, self.entries), entry);
    }

    pub(crate) fn arrives_at(&mut self, at: Time, event: Event) {
        self.note(at, Entry::Arrives(event));
    }

    pub(crate) fn stopped_at(&self) -> Option<Time> {
        self.stopped_at
    }

    /// Processes of a service that live, but for those that the kernel does not end.
    pub(crate) fn living_of(&self, service: ServiceId) -> usize {
        let of = self.processes.range(runs_of(service));
        of.filter(|(_, process)| process.alive() && process.killed_at.is_none()).count()
    }

    fn arrives(&mut self, event: Event, within: u64) {
        let at = self.now + self.rng.ms(0..within + 1);
        self.note(at, Entry::Arrives(event));
    }

    /// An event about a run: never before the last one about it.
    fn hear(&mut self, run: RunId, event: RunEvent) {
        let latest = self.now + self.rng.ms(0..3);
        let process = self.processes.get_mut(&run).expect("a process that was started");
        process.heard = process.heard.max(latest);
        process.on_their_way += 1;
        let at = process.heard;
        self.note(at, Entry::Arrives(Event::Run(run, event)));
    }

    fn perform_all(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.tell(Told::Action(action.clone()));
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { run, worker, definition, program_of, listeners } => {
                self.spawn(run, worker, definition, program_of, &listeners);
            }
            Action::Look { run, closeness } => self.look(run, closeness),
            Action::Preflight { run, .. } => self.preflight(run),
            Action::Probe { run, attempt, .. } => self.probe(run, attempt),
            Action::StopProbe { run, attempt } => {
                assert_eq!(
                    self.asked.remove(&run),
                    Some(attempt),
                    "a question is given up that nobody asked"
                );
            }
            Action::Watch { run } => self.watch(run),
            Action::Unwatch { service } => {
                assert!(self.watched.remove(&service).is_some(), "what is watched no more was not watched");
            }
            Action::Pin { run } => assert!(self.pinned.insert(run), "pinned twice: {run:?}"),
            Action::Unpin { run } => assert!(self.pinned.remove(&run), "was not pinned: {run:?}"),
            Action::Ask { run, signal, hearing } => {
                let handshake = self.processes[&run].definition.program.handshake;
                assert_eq!(signal, handshake.default_stop_signal(), "asked in words it does not know");
                self.check_sequence(run);
                self.check_preflight(run);
                self.ask(run, hearing);
            }
            Action::NameLeftovers { run } => {
                assert!(!self.processes[&run].main_alive, "who outlives somebody that lives?");
                self.hear(run, RunEvent::LeftBehind { first: Vec::new(), all: 1 });
            }
            Action::TellLastWords { run } => self.tell_last_words(run),
            Action::StartWriter => self.start_writer(),
            Action::RetireWriter => self.retire_writer(),
            Action::Signal { run, .. } => {
                assert!(!self.processes[&run].asked || self.processes[&run].on_their_way > 0);
            }
            Action::Answer { ticket, answer } => self.answered(ticket, &answer),
            Action::Terminate { run } => self.terminate(run),
            Action::AskGroup { run, .. } => self.ask_group(run),
            Action::TerminateGroup { run } => {
                let process = self.processes.get_mut(&run).expect("who leaves was started");
                process.rest_told = true;
                // The main process has had it before.
                if !process.main_alive {
                    self.terminate(run);
                }
            }
            Action::Kill { run } => self.kill(run),
            Action::Bind { sockets } => self.bind(sockets),
            Action::Configure { listener, .. } => {
                assert!(self.listening.contains_key(&listener), "settings for a socket that is not held");
            }
            Action::Listen { listener } => {
                *self.listening.get_mut(&listener).expect("a socket is held") = true;
            }
            Action::Park { listener } => self.park(listener),
            // There is no manager above.
            Action::LeaveSockets => {}
            Action::Close { listener } => {
                assert!(self.listening.remove(&listener).is_some(), "a socket is closed twice");
            }
            Action::LoadPlan => {
                self.owed.reload = None;
                let event = if let Some(plan) = self.edited.take() {
                    Event::PlanLoaded(Box::new(plan))
                } else if !self.calm && self.rng.chance(25) {
                    Event::PlanRefused { mistakes: vec!["a mistake".into()] }
                } else {
                    let plan = plans::edited(&self.plan, &mut self.rng);
                    Event::PlanLoaded(Box::new(plan))
                };
                self.arrives(event, 5);
            }
            Action::ReadSelector { .. } => {
                let text = if self.calm { "" } else { self.rng.pick(&["", "", "web", "a*,web", "nobody"]) };
                let event = if !self.calm && self.rng.chance(3) {
                    Event::SelectorRefused { reason: "a reason".into() }
                } else {
                    Event::SelectorRead(Selector::parse(text))
                };
                self.arrives(event, 2);
            }
            Action::NoteServing { run } => {
                self.processes.get_mut(&run).expect("it serves").noted = true;
            }
            Action::Adopt { run, pid, listeners } => self.adopt(run, pid, &listeners),
            Action::CheckSuccessor => {
                let event = if self.rng.chance(30) {
                    Event::UpgradeRefused(UpgradeRefusal::NoProof)
                } else {
                    Event::SuccessorFit
                };
                self.arrives(event, 20);
            }
            Action::BecomeSuccessor => self.becomes = true,
            Action::Report(Report { fact: Fact::ReloadIgnored, .. }) => self.owed.reload = None,
            Action::Report(Report { fact: Fact::RolloutStopped { .. }, service: Some(name), .. }) => {
                self.owed.outdated.retain(|run, _| self.processes[run].definition.name != name);
            }
            Action::Report(report) => self.reported(&report),
        }
    }

    fn watch(&mut self, run: RunId) {
        assert!(self.processes[&run].definition.policy.watch || self.reloaded_at.is_some());
        self.watched.insert(run.service, run);
        if !self.calm && self.rng.chance(30) {
            let service = run.service;
            for _ in 0..self.rng.pick(&[1, 1, 5]) {
                let at = self.now + self.rng.ms_of(&[(0, 2_000), (0, 900_000)]);
                self.note(at, Entry::Arrives(Event::ProgramChanged { service }));
            }
        }
    }

    fn bind(&mut self, sockets: Vec<(ListenerId, bootstrap::plan::ListenerSpec)>) {
        if !self.calm && self.left.is_empty() && self.rng.chance(10) {
            let failures = sockets
                .into_iter()
                .map(|(_, spec)| BindFailure { address: spec.address, errno: libc::EADDRINUSE, owner: None })
                .collect();
            self.arrives(Event::BindRefused { failures }, 5);
        } else {
            for (listener, spec) in sockets {
                self.addresses.insert(listener, spec.address);
                assert!(self.listening.insert(listener, true).is_none(), "a socket id is used twice");
            }
            self.arrives(Event::Bound, 5);
        }
    }

    fn park(&mut self, listener: ListenerId) {
        *self.listening.get_mut(&listener).expect("a parked socket is held") = false;
        let address = &self.addresses[&listener];
        assert!(self.claims().get(address) != Some(&true), "{address} is parked under a serving process");
        let leaving = self.core.services().flat_map(|s| &s.workers).flat_map(|worker| &worker.leaving);
        let accepting = leaving.filter(|leaving| leaving.may_accept()).map(|leaving| &leaving.run);
        for run in accepting.filter(|run| run.definition.listens_at(address)) {
            let lives = self.processes[&run.id].alive();
            assert!(!lives, "{address} is parked, and {:?} has not said that it accepts no more", run.id);
        }
    }

    fn spawn(
        &mut self,
        run: RunId,
        worker: u32,
        definition: Arc<Definition>,
        program_of: Option<RunId>,
        listeners: &[ListenerId],
    ) {
        for listener in listeners {
            let listening = self.listening.get_mut(listener).expect("a server gets sockets that are held");
            *listening = true;
        }
        self.owed.start.remove(&run.service);
        // That is the restart. Where it fails, what served before serves on, and that is told.
        self.owed
            .outdated
            .retain(|old, _| old.service != run.service || self.processes[old].worker != worker);
        let service = self.core.services().find(|s| s.id == run.service).expect("a service that is known");
        let workers = service.definition.policy.workers;
        assert!(worker < workers, "worker {worker} is started, and there are to be {workers}");
        let again = self.owed.busy.contains_key(&run);
        let beside = match service.definition.policy.restart_order {
            RestartOrder::StopFirst => usize::from(again),
            RestartOrder::StartFirst => 1,
        };
        let unasked = |(other, process): &(&RunId, &Process)| {
            other.service == run.service && process.worker == worker && process.alive() && !process.asked
        };
        assert!(self.processes.iter().filter(unasked).count() <= beside, "too many that stay (I13)");
        self.check_start(run.service);
        if service.definition.policy.restart_order == RestartOrder::StopFirst {
            self.check_alone(run, service);
        }
        if let Some(old) = self.makes_way.get(&(run.service, worker)) {
            let mut left = service.workers.iter().filter(|w| w.index == worker).flat_map(|w| &w.leaving);
            let accepts = left.any(|leaving| leaving.run.generation() == *old && leaving.may_accept());
            assert!(
                !accepts,
                "stop-first: the successor starts, and {old} has not said that it accepts no more"
            );
        }
        if self.rested.contains(&run.service) {
            // The newest of that name: an older one was removed, and may still be ending.
            let newest =
                |name: &ServiceName| self.core.services().filter(|s| s.definition.name == *name).last();
            let missing = |name: &&ServiceName| newest(name).is_some_and(|service| !service.is_up());
            let missing: Vec<_> = definition.requires.iter().filter(missing).collect();
            assert!(missing.is_empty(), "started before {missing:?}, which it requires, are up");
            // Whoever it comes after is up or has given up; what an operator keeps down or holds may be neither.
            let comes = |name: &&ServiceName| {
                newest(name).filter(|other| !other.is_up()).is_some_and(|other| {
                    let lost = |w: &Worker| matches!(w.state, State::Stopped | State::Crashed);
                    let comes =
                        |w: &Worker| must_end(w).is_some() && !matches!(w.state, State::Stopping { .. });
                    self.core.waits(other.id)
                        || other.workers.iter().any(comes) && !other.workers.iter().any(lost)
                })
            };
            let early: Vec<_> = definition.after.iter().filter(comes).collect();
            assert!(early.is_empty(), "started before {early:?}, which it comes after, are up");
        }
        match program_of {
            None => assert_eq!(service.definition, definition, "started from what applies no more"),
            Some(good) => {
                assert!(self.pinned.contains(&good), "the program is not pinned");
                let before = &self.processes[&good].definition;
                assert!(before.runs_the_same(&definition), "rolled back to something else");
                assert_eq!(definition.listeners.len(), listeners.len(), "a program and sockets of another");
            }
        }
        let temper = self.temper(&definition, program_of);
        let busy = !self.calm && self.busy_programs(run.service);
        let missing = self.breaks == Some(Breaks::IsMissing) && program_of.is_none();
        let failed = busy || missing || (!self.calm && self.rng.chance(4));
        let pid = Pid(i32::try_from(self.entries).unwrap_or(1));
        let process = Process {
            worker,
            // With its start, where that is all that is waited for.
            noted: definition.is_up_by_its_start(),
            definition,
            started: self.now,
            asked: false,
            asks: 0,
            missed: false,
            said_ready: false,
            quiet_at: None,
            answered: false,
            killed_at: None,
            main_alive: !failed,
            child_until: None,
            heard: self.now,
            on_their_way: 0,
            temper,
            pid,
            generation: run.generation,
            adopted: None,
            withheld: false,
            told: false,
            rest_told: false,
        };
        assert_eq!(self.processes.insert(run, process).is_some(), again, "started twice: {run:?}");
        if failed {
            let errno = self.rng.pick(&[libc::ENOENT, libc::EAGAIN, libc::EMFILE]);
            let errno = if busy { libc::ETXTBSY } else { errno };
            let failure = SpawnFailure { stage: SpawnStage::Exec, errno, subject: "x".into() };
            self.hear(run, RunEvent::SpawnFailed(failure));
        } else {
            self.hear(run, RunEvent::Spawned { pid });
            self.live(run);
        }
    }

    /// How the program of a new run behaves.
    fn temper(&mut self, definition: &Definition, program_of: Option<RunId>) -> Temper {
        let mut temper = if self.calm {
            let mut temper = Temper::good(&mut self.rng);
            // Started is not serving; one that is checked in its bake time had better do both.
            if definition.policy.check.is_some() {
                temper.accepts_after = Duration::ZERO;
            }
            temper
        } else {
            Temper::any(&mut self.rng, &definition.policy.ready)
        };
        match self.breaks.filter(|_| program_of.is_none()) {
            None | Some(Breaks::IsMissing) => {}
            Some(Breaks::Dies) => {
                temper.accepts_after = Duration::from_secs(10);
                temper.dies = Some((Duration::from_millis(1), ExitStatus::Code(1)));
            }
            Some(Breaks::Hangs) => {
                (temper.accepts_after, temper.says_ready) = (Duration::from_secs(3_600), false);
            }
            Some(Breaks::Sickens(after)) => temper.sick = Some((after, after + Duration::from_secs(60))),
            Some(Breaks::DiesReady) => {
                temper.dies = Some((temper.accepts_after + Duration::from_millis(150), ExitStatus::Code(1)));
            }
        }
        temper
    }

    /// Is the program of this service still being written? That may last longer than the patience for it.
    fn busy_programs(&self, service: ServiceId) -> bool {
        let phase = (self.now.ms + 7_919 * u64::from(service.0)) % 100_000;
        phase < 3_000 && (phase / 100).is_multiple_of(2) || phase < 1_500
    }

    /// Puts into the agenda what the process will do unasked.
    fn live(&mut self, run: RunId) {
        let process = &self.processes[&run];
        let (temper, start) = (process.temper.clone(), process.started);
        let talks = process.talks();
        if talks && temper.says_ready {
            self.note(start + temper.accepts_after, Entry::Does(run, Deed::Says(Word::Ready)));
        }
        if temper.says_ready && self.processes[&run].definition.program.handshake == Handshake::Systemd {
            // Some say so before they can serve.
            let early = self.rng.ms(0..u64::try_from(temper.accepts_after.as_millis()).expect("short") + 1);
            self.note(start + early, Entry::Does(run, Deed::NotifiesReady));
        }
        if let Some((after, word)) = temper.speaks_unasked.filter(|_| talks) {
            self.note(start + after, Entry::Does(run, Deed::Says(word)));
        }
        if let Some((after, status)) = temper.dies {
            self.note(start + after, Entry::Does(run, Deed::Exits(status)));
        }
        if self.processes[&run].definition.program.handshake == Handshake::Systemd && !self.calm {
            if self.rng.chance(30) {
                let at = start + self.rng.ms_of(&[(0, 500), (0, 600_000)]);
                self.note(at, Entry::Does(run, Deed::Reloads));
            }
            if self.rng.chance(30) {
                // No other process has this number.
                let pid = Pid(-i32::try_from(self.entries).unwrap_or(1));
                let at = start + self.rng.ms_of(&[(0, 500), (0, 600_000)]);
                self.note(at, Entry::Does(run, Deed::TurnsTo(pid)));
            }
        }
        if self.processes[&run].definition.program.watchdog.is_some() {
            self.note(start, Entry::Does(run, Deed::FeedsWatchdog));
        }
    }

    /// One question at a time, and only to whoever is to stay. Its answer may come after nobody awaits it any more.
    fn probe(&mut self, run: RunId, attempt: u32) {
        assert!(self.asked.insert(run, attempt).is_none(), "asked while an answer is awaited: {run:?}");
        let process = &self.processes[&run];
        let of = self.core.services().flat_map(|s| &s.workers).find(|w| w.staying().any(|r| r.id == run));
        if let Some(State::Baking { new, back: Back::Old(_), .. }) = of.map(|worker| &worker.state) {
            let check = new.definition.policy.check.as_ref().expect("it is asked");
            assert_eq!(check.probe.scope, Scope::Run, "asked where its predecessor may answer: {run:?}");
        }
        let Some(after) = process.temper.answers_after.filter(|_| process.alive()) else { return };
        let at = self.now + after;
        let sick = |(from, until): (Duration, Duration)| {
            process.started + from <= at && at < process.started + until
        };
        let good = process.accepts(at) && !process.temper.sick.is_some_and(sick);
        let answer = if good { Ok(()) } else { Err(Miss::Status(503)) };
        self.note(at, Entry::Arrives(Event::Run(run, RunEvent::Probed { attempt, answer })));
    }

    fn look(&mut self, run: RunId, closeness: Closeness) {
        let process = &self.processes[&run];
        // What is dead gives no answer; its exit is on the way.
        if !process.alive() {
            return;
        }
        // A look may come a moment too soon; in the calm that brings everything up at once there is no such trouble.
        let seen = process.accepts(self.now) && (self.calm || !self.rng.chance(10));
        let closed = process.quiet_at.is_some_and(|at| at <= self.now) && !process.temper.keeps_sockets;
        let sight = match (process.temper.shows, closeness) {
            (Shows::Nothing, _) => Sight::Hidden,
            (Shows::Waits, _) if seen => Sight::Accepting,
            (Shows::Clients, Closeness::Serving) if process.accepts(self.now) => Sight::Busy,
            _ if closed => Sight::Closed,
            _ => Sight::NotAccepting,
        };
        self.hear(run, RunEvent::Seen(sight));
    }

    fn ask(&mut self, run: RunId, hearing: Hearing) {
        self.check_ask(run);
        let now = self.now;
        let process = self.processes.get_mut(&run).expect("asked is who was started");
        process.asked = true;
        if !process.main_alive {
            return;
        }
        let temper = process.temper.clone();
        let talks = process.talks();
        if talks && now < process.started + temper.listens_after {
            process.missed = process.quiet_at.is_none();
            // Otherwise the signal is lost.
            if hearing == Hearing::Unknown {
                self.hear(run, RunEvent::NotListening);
            }
            return;
        }
        process.missed = false;
        process.told = true;
        process.asks += 1;
        assert!(process.asks <= 2, "a server is asked a third time");
        if process.asks == 2 {
            return;
        }
        let mut at = now;
        match temper.answer.filter(|_| talks) {
            Some((after, answer)) => {
                at = at + after;
                for deed in deeds(answer) {
                    self.note(at, Entry::Does(run, deed));
                }
            }
            None if talks => return,
            None => {}
        }
        at = at + if talks { Duration::from_millis(5) } else { temper.accepts_on };
        let process = self.processes.get_mut(&run).expect("as above");
        process.quiet_at.get_or_insert(at);
        if let Some(drains) = temper.drains {
            self.note(at + drains, Entry::Does(run, Deed::Exits(ExitStatus::Code(0))));
        }
    }

    /// Only who has lost its main process is asked like that: the rest ends when it has finished, if it does.
    fn ask_group(&mut self, run: RunId) {
        let now = self.now;
        let process = self.processes.get_mut(&run).expect("asked is who was started");
        assert!(
            !process.main_alive && !process.definition.listeners.is_empty(),
            "it has a main process to ask"
        );
        process.asked = true;
        if let Some(after) = process.temper.drains {
            self.note(now + after, Entry::Does(run, Deed::ChildExits));
        }
    }

    fn terminate(&mut self, run: RunId) {
        let now = self.now;
        let process = self.processes.get_mut(&run).expect("terminated is who was started");
        process.asked = true;
        process.told = true;
        process.rest_told |= !process.main_alive;
        // The longest pause between two tries is a second, and the poller may be late.
        let could_hear = process.started + process.temper.listens_after + Duration::from_millis(1_100);
        assert!(!process.missed || now < could_hear, "terminated, although it could have been asked again");
        let status = ExitStatus::Signal { signal: libc::SIGTERM, core_dumped: false };
        let deed = if process.main_alive { Deed::Exits(status) } else { Deed::ChildExits };
        if let Some(after) = process.temper.obeys_term {
            self.note(now + after, Entry::Does(run, deed));
        }
    }

    /// Nobody whose time was over has SIGKILL as the first signal that it hears.
    fn check_killed(&self, report: &Report) {
        let is_it = |(run, process): &(&RunId, &Process)| {
            Some(run.generation) == report.generation
                && Some(&process.definition.name) == report.service.as_ref()
                && process.killed_at == Some(self.now)
        };
        let (run, process) = self.processes.iter().find(is_it).expect("killed is who was started");
        assert!(process.rest_told, "{run:?} is killed, and not all of its group had SIGTERM");
    }

    fn kill(&mut self, run: RunId) {
        self.killed += 1;
        let now = self.now;
        let process = self.processes.get_mut(&run).expect("killed is who was started");
        process.asked = true;
        process.told = true;
        process.killed_at = Some(now);
        let after = process.temper.killed_after;
        let status = ExitStatus::Signal { signal: libc::SIGKILL, core_dumped: false };
        process.temper.child_outlives = None;
        self.note(now + after, Entry::Does(run, Deed::Exits(status)));
        self.note(now + after, Entry::Does(run, Deed::ChildExits));
    }

    fn deed(&mut self, run: RunId, deed: Deed) {
        let now = self.now;
        let process = self.processes.get_mut(&run).expect("who does something was started");
        if !process.main_alive && deed != Deed::ChildExits {
            return;
        }
        match deed {
            Deed::Says(word) => {
                process.said_ready |= word == Word::Ready;
                if word != Word::Ready {
                    process.asked = true;
                    process.missed = false;
                    process.quiet_at.get_or_insert(now);
                }
                self.hear(run, RunEvent::Said(word));
            }
            Deed::SaysGibberish => self.hear(run, RunEvent::PipeEnded(PipeEnd::Gibberish(*b"what???"))),
            Deed::ClosesPipe => self.hear(run, RunEvent::PipeEnded(PipeEnd::Closed)),
            Deed::Exits(status) => {
                process.main_alive = false;
                process.missed = false;
                process.child_until = process.temper.child_outlives.map(|after| now + after);
                let child_until = process.child_until;
                self.hear(run, RunEvent::Exited { status, group_left: child_until.is_some() });
                if let Some(until) = child_until {
                    self.note(until, Entry::Does(run, Deed::ChildExits));
                }
            }
            Deed::TurnsTo(pid) => {
                process.pid = pid;
                self.hear(run, RunEvent::Notified(Notice::MainPid(pid)));
            }
            Deed::Reloads => {
                self.hear(run, RunEvent::Notified(Notice::Reloading { since: None }));
                let after = self.rng.ms(0..30_000);
                self.note(now + after, Entry::Does(run, Deed::NotifiesReady));
            }
            Deed::NotifiesReady => {
                process.said_ready = true;
                self.hear(run, RunEvent::Notified(Notice::Ready));
            }
            Deed::FeedsWatchdog => {
                let period = process.definition.program.watchdog.expect("it has one");
                if process.temper.feeds_for.is_none_or(|long| now < process.started + long) {
                    self.hear(run, RunEvent::Notified(Notice::Watchdog));
                    self.note(now + period / 2, Entry::Does(run, Deed::FeedsWatchdog));
                }
            }
            Deed::ChildExits => {
                if !process.main_alive && process.child_until.take().is_some() {
                    self.hear(run, RunEvent::GroupEmpty);
                }
            }
        }
    }

    /// What must hold after every step, whatever happened.
    fn check(&mut self) {
        if let Err(broken) = self.core.check() {
            panic!("{broken}");
        }
        if let Some(holds) = &self.watchful {
            holds(&self.core);
        }
        if self.core.outcome().is_some() {
            return self.check_all_answered();
        }
        self.check_adopted();
        self.check_tickets();
        self.check_owed();
        let mut waiting = BTreeMap::new();
        let claims = self.claims();
        for service in self.core.services() {
            self.check_sockets(service, &claims);
            self.check_rest(service);
            self.check_leaving(service);
            for worker in &service.workers {
                self.check_staying(worker);
                if let Some(kind) = must_end(worker) {
                    let newest = known_of(worker).map(Run::generation).max().unwrap_or(Generation::NONE);
                    let key = (service.id, worker.index, newest);
                    let since = match self.waiting_since.get(&key) {
                        Some((before, since)) if *before == kind => *since,
                        _ => self.now,
                    };
                    assert!(self.now - since <= longest(), "{kind} for {:?}", self.now - since);
                    waiting.insert(key, (kind, since));
                }
            }
        }
        let staying: BTreeSet<RunId> = self
            .core
            .services()
            .flat_map(|s| &s.workers)
            .flat_map(Worker::staying)
            .map(|run| run.id)
            .collect();
        let stray = self.asked.keys().find(|run| !staying.contains(run));
        assert!(stray.is_none(), "an answer is awaited of {stray:?}, which is to leave");
        // A run that has failed stays watched while an older program serves, or a pause comes before the next start: its
        // file is the one that may be mended.
        let pauses = |worker: &Worker| matches!(worker.state, State::Backoff { .. });
        let may_start = |id: ServiceId| {
            self.core.services().any(|service| service.id == id && service.workers.iter().any(pauses))
        };
        let serves = |run: &&RunId| {
            staying.iter().any(|staying| staying.service == run.service) || may_start(run.service)
        };
        let stray = self.watched.values().find(|run| !serves(run));
        assert!(stray.is_none(), "the program of {stray:?} is watched, and nobody of its service stays");
        let is_blind = |service: &&Service| {
            let wants = service.definition.policy.watch && service.workers.iter().any(pauses);
            wants && !self.watched.contains_key(&service.id)
        };
        let blind = self.core.services().find(is_blind).map(|service| &service.definition.name);
        assert!(blind.is_none(), "{blind:?} waits for the clock, and for nobody who mends its program");
        let kept: BTreeSet<RunId> =
            self.core.services().flat_map(|s| &s.workers).filter_map(kept_program).collect();
        assert_eq!(self.pinned, kept, "pinned is what somebody may go back to");
        self.waiting_since = waiting;
    }

    fn check_staying(&self, worker: &Worker) {
        if let State::Up { run } = &worker.state
            && let Health::Unhealthy(sickness) = &run.health
            && let Some(at) = sickness.restart_at
        {
            assert!(self.now <= at, "sick, and its restart is overdue: {:?}", run.id);
        }
        for run in worker.staying() {
            let process = &self.processes[&run.id];
            for spec in &run.definition.listeners {
                assert!(self.core.holds(&spec.address), "{} is given up under {:?}", spec.address, run.id);
            }
            let on_its_way = process.on_their_way > 0;
            let main = run.pid.is_none_or(|pid| pid == process.pid);
            assert!(
                main || on_its_way,
                "another process is the main one: {run:?}, and not {:?}",
                process.pid
            );
            let tried = self.owed.busy.contains_key(&run.id);
            assert!(process.alive() || on_its_way || tried, "it is dead and nobody will say so: {run:?}");
            assert!(!process.asked || on_its_way, "it was asked to leave, and yet is to stay: {run:?}");
        }
    }

    fn reported(&mut self, report: &Report) {
        self.check_pause(report);
        self.check_ready(report);
        self.check_not_ready(report);
        self.check_quiet(report);
        self.not_restarted(report);
        if let Fact::Killed { .. } = report.fact {
            self.check_killed(report);
        }
    }

    /// Nobody is ready before it is what its gate asks for.
    fn check_ready(&self, report: &Report) {
        let Fact::Ready { .. } = report.fact else { return };
        let of_service = |s: &&Service| Some(&s.definition.name) == report.service.as_ref();
        let runs = self.core.services().filter(of_service).flat_map(known_runs);
        for run in runs.filter(|run| run.pid.is_some() && run.pid == report.pid) {
            let process = &self.processes[&run.id];
            let accepts =
                process.started + process.temper.accepts_after <= self.now || process.temper.is_hidden();
            let gate = &process.definition.policy.ready;
            // Another policy may have come while it was on its way.
            let came = |reload: Time| match process.adopted {
                Some(at) => reload > at || run.definition.policy.ready != *gate,
                None => reload >= process.started,
            };
            if self.reloaded_at.is_some_and(came) {
                continue;
            }
            // One that was taken over may have said so to nobody, where no pipe has kept it: that it accepts is enough then.
            let unheard =
                process.adopted.is_some() && !process.talks() && !process.definition.listeners.is_empty();
            assert!(*gate != Ready::Word || process.said_ready || unheard, "ready, and it never said so");
            assert!(
                !matches!(gate, Ready::Probe(_)) || process.answered,
                "ready, and no answer of it was good"
            );
            let watched = *gate == Ready::Accepting || *gate == Ready::Word && !process.talks();
            let seen = watched && !process.definition.listeners.is_empty();
            assert!(!seen || accepts, "ready, and it does not accept yet");
        }
    }

    /// Nobody is given up who accepts since half of its time, also where it is busy and never waits for the next client.
    fn check_not_ready(&self, report: &Report) {
        let Fact::NotReady { .. } = report.fact else { return };
        let named = |run: &&RunId| Some(run.generation) == report.generation;
        let of_service = |s: &&Service| Some(&s.definition.name) == report.service.as_ref();
        let ids: Vec<ServiceId> = self.core.services().filter(of_service).map(|service| service.id).collect();
        let runs = self.processes.keys().filter(|run| ids.contains(&run.service)).filter(named);
        for process in runs.map(|run| &self.processes[run]) {
            let policy = &process.definition.policy;
            let watched = matches!(policy.ready, Ready::Assumed | Ready::Accepting)
                && !process.definition.listeners.is_empty()
                && !process.temper.is_hidden();
            let since = process.started + process.temper.accepts_after;
            let half = since + process.temper.accepts_after + Duration::from_secs(1);
            let untouched =
                process.adopted.is_none() && self.reloaded_at.is_none_or(|at| at < process.started);
            assert!(
                !(watched && untouched && process.accepts(self.now))
                    || half > process.started + policy.ready_timeout,
                "given up, and it accepts since {since:?}"
            );
        }
    }

    /// Where no successor waits nobody is taken for quiet who accepts: its socket is shut down then.
    fn check_quiet(&self, report: &Report) {
        let Fact::SeenQuiet { .. } = report.fact else { return };
        let of_service = |s: &&Service| Some(&s.definition.name) == report.service.as_ref();
        for worker in self.core.services().filter(of_service).flat_map(|service| &service.workers) {
            let named = |leaving: &&Leaving| Some(leaving.run.generation()) == report.generation;
            let Some(leaving) = worker.leaving.iter().find(named) else { continue };
            // What it was told by is a moment ago.
            let accepts = self.processes[&leaving.run.id].accepts(self.now);
            assert!(
                !accepts || !matches!(worker.state, State::Stopping { .. }),
                "{:?} accepts still",
                leaving.run.id
            );
        }
    }

    /// When everything stops, nobody is told to before those that need it have ended.
    fn check_sequence(&self, run: RunId) {
        let Some(service) = self.core.services().find(|s| s.id == run.service) else { return };
        if self.stopped_at.is_none() {
            return;
        }
        // Others were asked by a restart, before; or are asked once more.
        let told_to_stop = |worker: &Worker| {
            let now = |leaving: &Leaving| leaving.run.id == run && leaving.since == self.now;
            matches!(worker.state, State::Stopping { .. }) && worker.leaving.iter().any(now)
        };
        if !service.workers.iter().any(told_to_stop) {
            return;
        }
        let name = &service.definition.name;
        let needs_it =
            |other: &&Service| other.id != service.id && other.definition.predecessors().any(|n| n == name);
        let busy: Vec<_> = self.core.services().filter(needs_it).filter(|s| s.is_busy()).collect();
        assert!(busy.is_empty(), "{name} is told to stop while others still need it");
    }

    /// In start-first nobody is asked to leave before another of the same worker can be seen to accept.
    fn check_ask(&self, run: RunId) {
        let process = &self.processes[&run];
        let quiet = process.quiet_at.is_some_and(|quiet| quiet <= self.now);
        if process.adopted.is_some() && (quiet || process.withheld || !process.noted) {
            // It accepts no more, or did not yet, or not for us, when its supervisor was killed.
            return;
        }
        let service = self.core.services().find(|s| s.id == run.service);
        let its = |worker: &&Worker| known_of(worker).any(|known| known.id == run);
        let worker = service.and_then(|s| s.workers.iter().find(its));
        let Some((service, worker)) = service.zip(worker) else { return };
        let policy = &service.definition.policy;
        let ends = matches!(worker.state, State::Stopping { .. } | State::Held | State::Gone);
        let again = worker.leaving.iter().any(|leaving| leaving.run.id == run && leaving.since < self.now);
        if policy.restart_order == RestartOrder::StopFirst || ends || again {
            return;
        }
        // One that was sick in its bake time goes, and what comes back is started: that bake was of a stop-first
        // restart, before the policy changed.
        let sick = known_of(worker).any(|known| known.id == run && known.health.sign().is_some());
        let back = match &worker.state {
            // What ran before, or what applies now, where there is nothing to go back to, or its sockets are given up
            // (simulation, seed 10130).
            State::Starting { candidate, .. } => candidate.run.generation() > run.generation,
            State::Stopped | State::Crashed | State::Backoff { .. } => true,
            // What was kept in reserve has to make way by now.
            State::Restarting { old, .. } => self.makes_way_for_another(RunId { generation: *old, ..run }),
            State::Held
            | State::Up { .. }
            | State::Preflight { .. }
            | State::Replacing { .. }
            | State::Baking { .. }
            | State::Stopping { .. }
            | State::Gone => false,
        };
        if sick && back || self.makes_way_for_another(run) {
            return;
        }
        let Some(successor) = worker.serving() else {
            panic!("start-first: {run:?} is asked to leave, yet nobody serves: {worker:#?}")
        };
        assert_ne!(successor.id, run, "start-first: the one that serves is asked to leave");
        let process = &self.processes[&successor.id];
        let listeners = &process.definition.listeners;
        // A reload may come between the order to start it and the answer: then the gate is the new one.
        let gates = [&process.definition, &successor.definition].map(|d| &d.policy.ready);
        let seen = gates == [&Ready::Accepting; 2] && !process.temper.is_hidden() && !listeners.is_empty();
        let was_ready = process.started + process.temper.accepts_after <= self.now;
        assert!(!seen || was_ready, "start-first: {run:?} asked to leave before the successor accepts");
    }

    /// Stop-first: what has no socket of ours may have one of its own, and so may what is left of its group: another one would not
    /// get it. Who speaks may have said that it is done.
    fn check_alone(&self, new: RunId, service: &Service) {
        let its = |worker: &&Worker| worker.staying().any(|run| run.id == new);
        for Leaving { run, .. } in service.workers.iter().filter(its).flat_map(|worker| &worker.leaving) {
            let process = &self.processes[&run.id];
            let lives = process.main_alive || process.child_until.is_some();
            let may_be = process.quiet_at.is_some() || process.killed_at.is_some();
            assert!(
                !lives || may_be || !process.definition.listeners.is_empty(),
                "{new:?} starts, and {run:?}, which has no socket of ours, is there still"
            );
        }
        // Nor does it accept beside the one before, where that was taken over on its way out, as far as that can be known. That
        // says so a little before.
        let workers = service.workers.iter().filter(its);
        for Leaving { run, since, .. } in workers.filter_map(|worker| worker.leaving.last()) {
            let process = &self.processes[&run.id];
            let soon = self.now + Duration::from_millis(5);
            let accepts =
                process.adopted == Some(*since) && process.accepts(soon) && !process.temper.is_hidden();
            let is_free = process.killed_at.is_some() || !process.talks();
            assert!(!accepts || is_free, "{new:?} starts, and {run:?} accepts still");
        }
    }

    fn check_leaving(&self, service: &Service) {
        for leaving in service.workers.iter().flat_map(|worker| &worker.leaving) {
            let process = &self.processes[&leaving.run.id];
            let known_dead = !process.main_alive && process.on_their_way == 0;
            let asked = matches!(leaving.phase, Phase::Asked { .. });
            assert!(!(known_dead && asked), "an answer is awaited from a process that has ended");
        }
        for (run, process) in self.processes.range(runs_of(service.id)) {
            // What SIGKILL does not end is not waited for for ever.
            let cared_for = process.main_alive || process.on_their_way > 0 || process.killed_at.is_some();
            if !cared_for && process.child_until.is_some() {
                let known = known_runs(service).iter().any(|known| known.id == *run);
                assert!(known, "processes of generation {} are left and nobody cares", run.generation);
            }
        }
    }

    /// The sockets of runs that nobody has asked to leave, as far as the core knows, and whether one such lives.
    fn claims(&self) -> BTreeMap<&Address, bool> {
        let mut claims = BTreeMap::new();
        for run in self.core.services().flat_map(|s| &s.workers).flat_map(Worker::staying) {
            let lives = self.processes[&run.id].alive();
            for spec in &run.definition.listeners {
                *claims.entry(&spec.address).or_default() |= lives;
            }
        }
        // One that was asked may accept there still.
        for leaving in self.core.services().flat_map(|s| &s.workers).flat_map(|worker| &worker.leaving) {
            for spec in leaving.run.definition.listeners.iter().filter(|_| leaving.may_accept()) {
                claims.entry(&spec.address).or_default();
            }
        }
        claims
    }

    /// A socket listens where somebody serves it or will, and else it refuses clients.
    fn check_sockets(&self, service: &Service, claims: &BTreeMap<&Address, bool>) {
        let stops = |worker: &Worker| matches!(worker.state, State::Stopping { .. });
        let comes =
            |worker: &Worker| !stops(worker) && must_end(worker).is_some() || worker.state == State::Held;
        let will = service.workers.iter().any(comes)
            || service.workers.is_empty() && service.wish == Wish::Run && self.core.waits(service.id);
        if service.wish == Wish::Remove {
            return;
        }
        for (listener, spec) in service.listeners.iter().zip(&service.definition.listeners) {
            let listens = self.listening.get(listener);
            let claim = claims.get(&spec.address);
            if will || claim == Some(&true) {
                assert_eq!(listens, Some(&true), "{} of {:?}", spec.address, service.workers);
            } else if claim.is_none() && service.workers.iter().all(is_settled) {
                assert_eq!(listens, Some(&false), "{} of {:?}", spec.address, service.workers);
            }
        }
    }

    /// Processes that live, but for those that the kernel does not end.
    pub(crate) fn living(&self) -> usize {
        self.processes.values().filter(|process| process.alive()).count()
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.core.outcome()
    }

    fn tell(&mut self, told: Told) {
        if self.story.len() == 120 {
            self.story.pop_front();
        }
        self.story.push_back((self.now, told));
    }

    /// The last lines of the story.
    pub(crate) fn story(&self) -> String {
        let line = |(time, told): &(Time, Told)| match told {
            Told::Event(event) => format!("{:>9} > {event:?}\n", time.ms),
            Told::Action(Action::Report(report)) => format!("{:>9}     | {}\n", time.ms, words(report)),
            Told::Action(Action::Spawn { run, .. }) => format!("{:>9}     < Spawn {run:?}\n", time.ms),
            Told::Action(Action::Probe { run, attempt, .. }) => {
                format!("{:>9}     < Probe {run:?} {attempt}\n", time.ms)
            }
            Told::Action(action) => format!("{:>9}     < {action:?}\n", time.ms),
        };
        self.story.iter().map(line).collect()
    }
}

fn words(report: &Report) -> String {
    bootstrap::report::format(report, std::time::UNIX_EPOCH, bootstrap::report::Format::Journal)
}

fn deeds(answer: Answer) -> Vec<Deed> {
    match answer {
        Answer::Word(word) => vec![Deed::Says(word)],
        Answer::Twice => vec![Deed::Says(Word::Success), Deed::Says(Word::Success)],
        Answer::Gibberish => vec![Deed::SaysGibberish],
        Answer::Close => vec![Deed::ClosesPipe],
    }
}

fn runs_of(service: ServiceId) -> std::ops::RangeInclusive<RunId> {
    let run = |generation| RunId { service, generation: Generation(generation) };
    run(0)..=run(u32::MAX)
}

fn known_of(worker: &Worker) -> impl Iterator<Item = &Run> {
    worker.staying().chain(worker.leaving.iter().map(|leaving| &leaving.run))
}

fn known_runs(service: &Service) -> Vec<&Run> {
    service.workers.iter().flat_map(known_of).collect()
}

/// The run whose program has to be kept, because the worker may go back to it, or serves by it.
fn kept_program(worker: &Worker) -> Option<RunId> {
    if worker.proven().is_some() {
        return worker.proven();
    }
    match &worker.state {
        State::Restarting { fallback, .. } => fallback.as_ref().map(|fallback| fallback.pinned),
        State::Starting { candidate, fallback } => {
            assert!(candidate.run.program_of.is_none(), "what it was started from is not kept");
            fallback.as_ref().map(|fallback| fallback.pinned)
        }
        State::Baking { back: Back::Fallback(fallback), .. } => Some(fallback.pinned),
        State::Up { .. } | State::Preflight { .. } | State::Replacing { .. } => {
            let run = worker.serving().expect("one of it serves");
            assert!(run.program_of.is_none(), "what it was started from is not kept");
            None
        }
        State::Baking { .. }
        | State::Stopped
        | State::Crashed
        | State::Held
        | State::Backoff { .. }
        | State::Stopping { .. }
        | State::Gone => None,
    }
}

/// Does it serve, or does nobody of it accept?
fn is_settled(worker: &Worker) -> bool {
    worker.is_quiet() || matches!(worker.state, State::Up { .. })
}

/// Is nobody of it at work, and none to come but by an order?
fn rests(service: &Service) -> bool {
    let rests = |worker: &Worker| matches!(worker.state, State::Stopped | State::Crashed | State::Held);
    service.workers.iter().all(rests)
}

/// The runs of a service whose successors start when they accept no more.
fn making_way(service: &Service) -> impl Iterator<Item = ((ServiceId, u32), Generation)> {
    service.workers.iter().filter_map(|worker| {
        let State::Restarting { old, .. } = worker.state else { return None };
        Some(((service.id, worker.index), old))
    })
}

/// States that are not to last, and their names.
fn must_end(worker: &Worker) -> Option<&'static str> {
    match worker.state {
        State::Starting { .. } => Some("starting"),
        State::Preflight { .. } => Some("preflight"),
        State::Restarting { .. } => Some("restarting"),
        State::Replacing { .. } => Some("replacing"),
        State::Baking { .. } => Some("baking"),
        State::Backoff { .. } => Some("backoff"),
        State::Stopping { .. } => Some("stopping"),
        State::Stopped | State::Crashed | State::Held | State::Up { .. } | State::Gone => None,
    }
}

/// For how long a start that failed in this way is tried again, if it is.
fn patience(failure: &SpawnFailure) -> Option<Duration> {
    match failure.errno {
        libc::ETXTBSY => Some(TEXT_BUSY_PATIENCE),
        libc::EAGAIN => Some(NO_PROCESS_PATIENCE),
        _ => None,
    }
}

/// The longest that any wait of a story may take: the sum of the largest timeouts that `plans` gives out.
pub(crate) fn longest() -> Duration {
    Duration::from_secs(30 + 10 + 60 + 5 + 5 + 5 + 1)
}
