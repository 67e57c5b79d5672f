//! The clients of the simulated world: what they asked for, and whether what they are told is true.

use crate::world::{World, longest};
use bootstrap::core::service::{Service, Wish};
use bootstrap::core::worker::Worker;
use bootstrap::core::{Answer, Event, Fact, Refusal, Request, Ticket, Time, Verb, Verdict, Wait};
use bootstrap::plan::{Generation, Selector, ServiceId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the world knows of its clients, and of what they wish.
#[derive(Default)]
pub(crate) struct Clients {
    last: u64,
    /// Tickets that were asked for and not answered yet.
    open: BTreeMap<Ticket, Asked>,
    /// What operators stopped, and nobody named since.
    stopped: BTreeSet<ServiceId>,
    /// What operators hold.
    held: BTreeSet<ServiceId>,
}

/// A request as it was when it arrived.
struct Asked {
    at: Time,
    request: Request,
    /// The services, and their last generation that fulfils nothing.
    before: BTreeMap<ServiceName, (ServiceId, Generation)>,
}

impl Clients {
    /// Does an operator want it to stay down?
    pub(crate) fn is_to_rest(&self, id: ServiceId) -> bool {
        self.held.contains(&id) || self.stopped.contains(&id)
    }
}

impl World {
    /// A client asks for something, after a moment; it may hang up before it hears anything.
    pub(crate) fn client(&mut self, after: Duration) {
        self.clients.last += 1;
        let ticket = Ticket(self.clients.last);
        let wait = if self.rng.chance(80) { Wait::Outcome } else { Wait::Accepted };
        let request = if self.rng.chance(15) {
            Request::ReloadFor { ticket, wait }
        } else {
            let verb = self.rng.pick(&[
                Verb::Start,
                Verb::Start,
                Verb::Stop,
                Verb::Restart,
                Verb::Restart,
                Verb::Hold,
                Verb::Release,
                Verb::Release,
                Verb::Wait,
                Verb::Signal(libc::SIGHUP),
            ]);
            let text = self.rng.pick(&["", "web", "api", "mail", "a*", "api,queue", "nobody"]);
            Request::Order { ticket, verb, selector: Selector::parse(text), wait }
        };
        let at = self.now + after;
        self.arrives_at(at, Event::Request(request));
        if self.rng.chance(10) {
            let later = self.rng.ms(0..30_000);
            self.arrives_at(at + later, Event::TicketDropped(ticket));
        }
    }

    /// Takes note of what arrives, before the core hears it.
    pub(crate) fn clients_ask(&mut self, event: &Event) {
        match event {
            Event::Request(request @ (Request::Order { ticket, .. } | Request::ReloadFor { ticket, .. })) => {
                let asked = Asked { at: self.now, request: request.clone(), before: self.before(request) };
                self.wish(&asked);
                self.clients.open.insert(*ticket, asked);
            }
            Event::TicketDropped(ticket) => drop(self.clients.open.remove(ticket)),
            Event::SelectorRead(selector) => {
                for (name, id) in self.named() {
                    if selector.names(&name) {
                        self.clients.stopped.remove(&id);
                    }
                }
            }
            Event::DeadlinePassed
            | Event::Request(
                Request::Restart | Request::Reload | Request::Upgrade | Request::Stop | Request::StopNow,
            )
            | Event::NotWrittenDown { .. }
            | Event::SuccessorFit
            | Event::UpgradeRefused(_)
            | Event::Upgraded { .. }
            | Event::ProgramChanged { .. }
            | Event::StraySignal(_)
            | Event::StoodStill { .. }
            | Event::Writer(_)
            | Event::LastWords { .. }
            | Event::Run(..)
            | Event::Bound
            | Event::BindRefused { .. }
            | Event::Repaired { .. }
            | Event::PlanLoaded(_)
            | Event::PlanRefused { .. }
            | Event::SelectorRefused { .. } => {}
        }
    }

    /// The services of the plan.
    fn named(&self) -> BTreeMap<ServiceName, ServiceId> {
        let planned = self.core.services().filter(|service| service.wish != Wish::Remove);
        planned.map(|service| (service.definition.name.clone(), service.id)).collect()
    }

    fn before(&self, request: &Request) -> BTreeMap<ServiceName, (ServiceId, Generation)> {
        let Request::Order { selector, .. } = request else { return BTreeMap::new() };
        let chosen = self.named().into_iter().filter(|(name, _)| selector.matches(name));
        chosen
            .map(|(name, id)| {
                let service = self.core.services().find(|service| service.id == id).expect("it is known");
                let busy = service.workers.iter().filter_map(Worker::busy).min();
                (name, (id, busy.map_or(service.last, |busy| Generation(busy.0 - 1))))
            })
            .collect()
    }

    /// What an order, which is taken unless a name is wrong or all is being stopped, means from now on.
    fn wish(&mut self, asked: &Asked) {
        let Request::Order { verb, selector, .. } = &asked.request else { return };
        let names: Vec<&ServiceName> = asked.before.keys().collect();
        if !selector.unmatched(&names).is_empty() || self.stopped_at().is_some() {
            return;
        }
        let Clients { stopped, held, .. } = &mut self.clients;
        for (name, (id, _)) in &asked.before {
            match verb {
                Verb::Start => _ = stopped.remove(id),
                Verb::Restart if selector.names(name) => _ = stopped.remove(id),
                Verb::Stop => {
                    held.remove(id);
                    stopped.insert(*id);
                }
                Verb::Hold => {
                    stopped.remove(id);
                    held.insert(*id);
                }
                Verb::Release => _ = held.remove(id),
                Verb::Restart | Verb::Wait | Verb::Signal(_) => {}
            }
        }
    }

    /// A start of it was ordered by the core: nobody may have forbidden it.
    pub(crate) fn check_start(&self, id: ServiceId) {
        assert!(!self.clients.held.contains(&id), "a held service starts");
        // One that others need first runs on until it is told.
        let runs_on = self.core.is_to_stop(id);
        assert!(runs_on || !self.clients.stopped.contains(&id), "an operator stopped it, and yet it starts");
    }

    /// An answer: to a ticket that waits, and true.
    pub(crate) fn answered(&mut self, ticket: Ticket, answer: &Answer) {
        let Some(asked) = self.clients.open.remove(&ticket) else {
            panic!("{ticket:?} is answered, although nobody waits for it")
        };
        match (answer, &asked.request) {
            (Answer::NoSuchService { patterns }, Request::Order { selector, .. }) => {
                let names = self.named();
                let names: Vec<&ServiceName> = names.keys().collect();
                assert!(!patterns.is_empty() && selector.unmatched(&names) == *patterns, "{patterns:?}");
            }
            (Answer::Refused(Refusal::Booting), request) => {
                let waits = matches!(request, Request::Order { verb: Verb::Wait, .. });
                assert!(!waits, "it was to wait for them");
                assert!(self.core.services().next().is_none(), "refused, although it has booted");
            }
            (Answer::Refused(Refusal::Stopping), _) => {
                let stops = self.stopped_at().is_some() || self.outcome().is_some();
                assert!(stops, "refused, and nothing is being stopped");
            }
            (Answer::Refused(Refusal::TooManyTickets { limit }), _) => {
                assert!(self.clients.open.len() >= *limit, "refused, and few are waiting");
            }
            (Answer::Done { services }, Request::Order { verb, wait, .. }) => {
                let named: Vec<&ServiceName> = services.iter().map(|(name, _)| name).collect();
                // Who waits from before the boot on waits for services that are to come.
                let early = *verb == Verb::Wait && asked.before.is_empty();
                assert!(
                    early || named == asked.before.keys().collect::<Vec<_>>(),
                    "others than were meant: {named:?}"
                );
                // Of several, the first may have changed again before the last was done.
                for (name, verdict) in services.iter().filter(|_| services.len() == 1 && !early) {
                    let (id, before) = asked.before[name];
                    self.check_verdict(id, verdict, before, (*verb, *wait));
                }
            }
            (Answer::Reloaded { services, .. }, Request::ReloadFor { wait, .. }) => {
                for (name, verdict) in services.iter().filter(|_| services.len() == 1) {
                    if let Some(id) = self.named().get(name) {
                        self.check_verdict(*id, verdict, Generation::NONE, (Verb::Start, *wait));
                    }
                }
            }
            (Answer::ReloadRefused { reasons }, Request::ReloadFor { .. }) => assert!(!reasons.is_empty()),
            (answer, request) => panic!("{answer:?} is no answer to {request:?}"),
        }
    }

    fn check_verdict(
        &self,
        id: ServiceId,
        verdict: &Verdict,
        before: Generation,
        (verb, wait): (Verb, Wait),
    ) {
        let service = self.core.services().find(|service| service.id == id);
        match (verdict, service) {
            (Verdict::Ordered, _) => {
                assert_eq!(wait, Wait::Accepted, "it wanted to wait");
            }
            (Verdict::Up { generation }, Some(service)) => {
                let old = |worker: &&Worker| worker.serving().is_some_and(|run| run.generation() <= before);
                let kept = service.workers.iter().filter(|worker| !worker.is_being_removed());
                let old = kept.filter(old).count();
                assert!(verb != Verb::Restart || old == 0, "{old} workers are not restarted");
                let restarted = verb != Verb::Restart || *generation > before;
                assert!(restarted, "restarted as {generation}, which is not newer than {before}");
                let waits = verb == Verb::Wait && self.core.waits(id);
                assert!(!waits, "it waits for room to be restarted");
            }
            (Verdict::LeftHeld | Verdict::LeftStopped, Some(_)) => assert_eq!(verb, Verb::Restart),
            (Verdict::Stopped | Verdict::Held, Some(service)) => {
                assert!(service.workers.iter().all(|worker| worker.serving().is_none()), "somebody serves");
                let lives = self.living_of(id);
                let ordered = matches!(verb, Verb::Stop | Verb::Hold);
                assert!(!ordered || lives == 0, "{verdict:?}, and {lives} processes live");
            }
            (Verdict::Signalled { processes }, Some(service)) => {
                let serving = service.workers.iter().flat_map(Worker::serving_all).count();
                assert_eq!(serving, *processes);
            }
            (Verdict::Failed { serving, crew, why }, Some(service)) => {
                let stay = service.workers.iter().filter(|worker| !worker.is_being_removed()).count();
                assert!(crew.serving.contains(serving), "{serving} serves, and these: {crew:?}");
                assert_eq!(crew.serving.len() + crew.missing, stay, "{crew:?}");
                let why = why.as_ref().expect("failed, and nobody knows why");
                let alone = service.workers.len() == 1;
                if let Fact::NotRestarted { serves, .. } = why.fact {
                    assert!(!alone || serves == *serving, "{serves} was to serve on");
                } else {
                    assert!(service.last > before, "nothing newer than {before} was started");
                    // A neighbour that crashed meanwhile may be newer than the one that failed (simulation, seed 1192).
                    assert!(!alone || *serving < service.last, "nothing newer has failed");
                }
            }
            (
                Verdict::RolledBack { why, .. } | Verdict::Crashed { why } | Verdict::Backoff { why },
                Some(_),
            ) => {
                assert!(why.is_some(), "failed, and nobody knows why");
            }
            (Verdict::WaitsFor { names }, Some(service)) => {
                assert!(self.core.waits(id) && !names.is_empty());
                assert!(!service.is_up(), "it waits for {names:?}, and is up");
            }
            (Verdict::Removed, _) => {
                let same = |other: &Service| other.id == id && !other.workers.is_empty();
                let kept = self.named().values().any(|named| *named == id);
                assert!(!kept || service.is_some_and(same), "it is still there");
            }
            (Verdict::Superseded { .. }, _) => {}
            (Verdict::Quarantined { .. }, Some(_)) => panic!("the core has panicked"),
            (verdict, None) => panic!("{verdict:?} of a service that is gone"),
        }
    }

    /// Each ticket is answered in bounded time; only a wait may last as long as what it waits for.
    pub(crate) fn check_tickets(&self) {
        for (ticket, asked) in &self.clients.open {
            let bound = match asked.request {
                Request::Order { verb: Verb::Wait, .. }
                | Request::Restart
                | Request::Reload
                | Request::Upgrade
                | Request::Stop
                | Request::StopNow => continue,
                Request::Order { wait: Wait::Accepted, .. } => Duration::ZERO,
                Request::Order { verb: Verb::Stop | Verb::Hold, .. } => longest() * 4,
                // Several workers, one after the other, and once more for the restart before it.
                Request::Order { .. } | Request::ReloadFor { .. } => longest() * 16,
            };
            let waited = self.now - asked.at;
            assert!(waited <= bound, "{ticket:?} waits for {waited:?}: {:?}", asked.request);
        }
    }

    /// Nobody is left without an answer.
    pub(crate) fn check_all_answered(&self) {
        if let Some((ticket, asked)) = self.clients.open.first_key_value() {
            panic!("{ticket:?} is never answered: {:?}", asked.request);
        }
    }

    /// What is held stands open, and nobody serves it who was not asked to leave.
    pub(crate) fn check_rest(&self, service: &Service) {
        if !self.clients.held.contains(&service.id) {
            return;
        }
        let staying: Vec<_> = service.workers.iter().flat_map(Worker::staying).collect();
        assert!(staying.is_empty() || self.stopped_at().is_some(), "held, and yet {staying:?} stays");
    }

    /// An operator has everything run again.
    pub(crate) fn everything_runs(&mut self) {
        for verb in [Verb::Release, Verb::Start] {
            self.order(verb);
        }
    }

    /// An operator wants this of every service, now.
    pub(crate) fn order(&mut self, verb: Verb) {
        self.clients.last += 1;
        let ticket = Ticket(self.clients.last);
        let order = Request::Order { ticket, verb, selector: Selector::All, wait: Wait::Outcome };
        self.arrives_at(self.now, Event::Request(order));
    }
}
