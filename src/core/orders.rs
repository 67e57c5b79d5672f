//! What clients order, and the answers that they get.

use super::answer::{Answer, Refusal, Verdict};
use super::fact::Fact;
use super::request::{Ticket, Verb, Wait};
use super::service::{Service, Wish};
use super::supervisor::{Phase, Supervisor, report};
use super::tickets::{Goal, Subject};
use super::{Action, Time};
use crate::limits::TICKETS;
use crate::plan::{Selector, ServiceId, ServiceName};
use std::collections::BTreeMap;

/// What an order for one service came to.
pub(super) enum Taken {
    /// It is done.
    Done(Verdict),
    /// This is waited for.
    Awaits(Goal),
}

/// How one service is meant by an order.
#[derive(Clone, Copy)]
struct Meant {
    /// Its very name was given.
    named: bool,
    /// Many are meant, and it is not among the first: it is restarted when there is room. A restart of a few
    /// waits for no other.
    waits: bool,
}

impl Supervisor {
    /// Takes an order of a client.
    pub(super) fn ordered(
        &mut self,
        ticket: Ticket,
        verb: Verb,
        selector: &Selector,
        wait: Wait,
        now: Time,
        out: &mut Vec<Action>,
    ) {
        if self.phase == Phase::Booting && verb == Verb::Wait && self.is_full().is_none() {
            // It asks for what will be, and nothing is to be done for it.
            return self.tickets.await_boot(ticket, selector.clone(), wait);
        }
        let names: Vec<&ServiceName> = self.names.keys().collect();
        let unmatched = selector.unmatched(&names);
        if let Some(refusal) = self.refusal() {
            return answer(ticket, Answer::Refused(refusal), out);
        } else if !unmatched.is_empty() {
            let patterns = unmatched.into_iter().map(String::from).collect();
            return answer(ticket, Answer::NoSuchService { patterns }, out);
        }
        let chosen = self.chosen(selector);
        if verb != Verb::Wait {
            out.push(report(Fact::Ordered { verb, services: chosen.len() }));
        }
        let mut taken = Vec::new();
        let at_once = self.plan.settings.start_concurrency;
        for (place, (name, id)) in chosen.into_iter().enumerate() {
            let meant = Meant { named: selector.names(&name), waits: place >= at_once };
            let outcome = self.obey(id, verb, meant, now, out);
            taken.push((name, id, outcome));
        }
        self.open(ticket, Subject::Order, wait, taken, out);
    }

    /// Why no order is taken now, if none is.
    fn refusal(&self) -> Option<Refusal> {
        match self.phase {
            Phase::Booting => Some(Refusal::Booting),
            Phase::Stopping | Phase::Ended(_) => Some(Refusal::Stopping),
            Phase::Running => self.is_full(),
        }
    }

    fn is_full(&self) -> Option<Refusal> {
        (self.tickets.len() >= TICKETS).then_some(Refusal::TooManyTickets { limit: TICKETS })
    }

    fn chosen(&self, selector: &Selector) -> Vec<(ServiceName, ServiceId)> {
        let chosen = self.names.iter().filter(|(name, _)| selector.matches(name));
        chosen.map(|(name, id)| (name.clone(), *id)).collect()
    }

    /// Has one service do what is ordered.
    fn obey(&mut self, id: ServiceId, verb: Verb, meant: Meant, now: Time, out: &mut Vec<Action>) -> Taken {
        if let Some(verdict) = self.verdict_in_quarantine(id) {
            return Taken::Done(verdict);
        }
        match verb {
            Verb::Start => self.start(id, now, out),
            Verb::Stop => self.stop_one(id, now, out),
            Verb::Restart if !meant.named && self.wish_of(id) == Wish::Hold => {
                self.left_alone(id, out);
                Taken::Done(Verdict::LeftHeld)
            }
            Verb::Restart if !meant.named && self.wish_of(id) == Wish::Stop => {
                self.left_alone(id, out);
                Taken::Done(Verdict::LeftStopped)
            }
            Verb::Restart => Taken::Awaits(self.restart(id, meant, now, out)),
            Verb::Hold => self.hold(id, now, out),
            Verb::Release => self.release(id, now, out),
            Verb::Wait => Taken::Awaits(Goal::Settled),
            Verb::Signal(signal) => {
                let processes = self.touch(id, out, |service, out| service.signal(signal, now, out));
                Taken::Done(Verdict::Signalled { processes: processes.unwrap_or(0) })
            }
        }
    }

    fn wish_of(&self, id: ServiceId) -> Wish {
        self.services.get(id).map_or(Wish::Remove, |service| service.wish)
    }

    fn start(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) -> Taken {
        if self.wish_of(id) == Wish::Hold {
            self.left_alone(id, out);
            return Taken::Awaits(Goal::Held);
        }
        self.supersede(id, Verb::Start, out);
        self.want(id, now, out);
        Taken::Awaits(Goal::Up)
    }

    /// It is to run: what is down of it starts at the end of this event, or when it and those it needs are ready
    /// for that.
    fn want(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) {
        if self.stops.contains(&id) {
            self.wait_no_more(id);
        }
        self.touch(id, out, |service, _| service.wish = Wish::Run);
        let Some(service) = self.services.get(id) else { return };
        if service.served_by_nobody() && service.lacks_a_worker() {
            self.wait(id);
        } else {
            // What serves already, or is on its way, has waited for whom it needs (simulation, seed 2936); it may
            // have another number of workers by now (simulation, seed 5155).
            self.touch(id, out, |service, out| service.start(now, out));
        }
    }

    /// SIGUSR1 means these.
    pub(super) fn restart_selected(&mut self, selector: &Selector, now: Time, out: &mut Vec<Action>) {
        if self.phase != Phase::Running {
            return;
        }
        let names: Vec<&ServiceName> = self.names.keys().collect();
        for pattern in selector.unmatched(&names) {
            out.push(report(Fact::SelectorUnmatched { pattern: pattern.into() }));
        }
        let chosen = self.chosen(selector);
        let fact = match chosen.len() {
            0 => Fact::NothingSelected,
            services => Fact::Restarting { services },
        };
        out.push(report(fact));
        let at_once = self.plan.settings.start_concurrency;
        for (place, (name, id)) in chosen.into_iter().enumerate() {
            if self.is_quarantined(id) {
                continue;
            }
            let meant = Meant { named: selector.names(&name), waits: place >= at_once };
            self.restart(id, meant, now, out);
        }
    }

    /// Restarts a service, unless an operator wants it to stay as it is: only its own name is meant for one that
    /// was stopped.
    fn restart(&mut self, id: ServiceId, meant: Meant, now: Time, out: &mut Vec<Action>) -> Goal {
        match self.wish_of(id) {
            Wish::Hold => {
                self.left_alone(id, out);
                Goal::Held
            }
            Wish::Stop if !meant.named => {
                self.left_alone(id, out);
                Goal::Down
            }
            Wish::Stop if !self.stops.contains(&id) => {
                self.supersede(id, Verb::Restart, out);
                self.want(id, now, out);
                Goal::Up
            }
            Wish::Run | Wish::Stop | Wish::Remove => {
                self.supersede(id, Verb::Restart, out);
                if self.stops.contains(&id) {
                    self.wait_no_more(id);
                }
                self.touch(id, out, |service, _| service.wish = Wish::Run);
                self.replace(id, meant.waits, now, out)
            }
        }
    }

    /// Restarts a service that is to run; one that waits for others goes on waiting, and its start is later than
    /// this.
    fn replace(&mut self, id: ServiceId, waits: bool, now: Time, out: &mut Vec<Action>) -> Goal {
        if !self.waits(id) && (waits || self.has_to_wait(id)) {
            self.wait(id);
        }
        // It may wait already, to start a worker that is missing: what runs is older than this (simulation, seed 513).
        let runs = !self.has_to_wait(id) && !self.services.get(id).is_some_and(Service::is_down);
        if self.waits(id) && runs {
            self.replacing.insert(id);
            self.turns.stir([id]);
        }
        if self.replacing.contains(&id) {
            return self.services.get(id).map_or(Goal::Up, |service| Goal::Round(service.rollout.next()));
        }
        if self.waits(id) {
            return Goal::Up;
        }
        self.touch(id, out, |service, out| service.restart(now, out)).map_or(Goal::Up, Goal::Round)
    }

    fn stop_one(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) -> Taken {
        self.supersede(id, Verb::Stop, out);
        self.wait_no_more(id);
        self.stops.insert(id);
        self.turns.stir([id]);
        self.touch(id, out, |service, out| service.wish_stop(now, out));
        Taken::Awaits(Goal::Down)
    }

    fn hold(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) -> Taken {
        if self.wish_of(id) != Wish::Hold {
            self.supersede(id, Verb::Hold, out);
            self.wait_no_more(id);
            self.touch(id, out, |service, out| service.hold(now, out));
        }
        Taken::Awaits(Goal::Held)
    }

    fn release(&mut self, id: ServiceId, now: Time, out: &mut Vec<Action>) -> Taken {
        match self.wish_of(id) {
            Wish::Hold => {
                self.supersede(id, Verb::Release, out);
                self.want(id, now, out);
                Taken::Awaits(Goal::Up)
            }
            Wish::Run | Wish::Remove => Taken::Awaits(Goal::Up),
            Wish::Stop => Taken::Awaits(Goal::Down),
        }
    }

    fn left_alone(&self, id: ServiceId, out: &mut Vec<Action>) {
        if let Some(service) = self.services.get(id) {
            out.push(service.report(Fact::LeftAlone { held: service.wish == Wish::Hold }));
        }
    }

    /// Tells those who wait for what this order makes impossible.
    pub(super) fn supersede(&mut self, id: ServiceId, by: Verb, out: &mut Vec<Action>) {
        for (ticket, goal) in self.tickets.goals_of(id) {
            if let Some(verdict) = goal.against(by) {
                self.settle(ticket, id, verdict, out);
            }
        }
    }

    /// Tells everybody who waits for a service that it is in the config no more.
    pub(super) fn dismiss(&mut self, id: ServiceId, out: &mut Vec<Action>) {
        for (ticket, _) in self.tickets.goals_of(id) {
            self.settle(ticket, id, Verdict::Removed, out);
        }
    }

    fn settle(&mut self, ticket: Ticket, id: ServiceId, verdict: Verdict, out: &mut Vec<Action>) {
        let Some(service) = self.services.get(id) else { return };
        let done = self.tickets.settle(ticket, id, &service.definition.name, verdict);
        out.extend(done.map(|answer| Action::Answer { ticket, answer }));
    }

    /// Waits for what was ordered, or says at once how far it is.
    pub(super) fn open(
        &mut self,
        ticket: Ticket,
        subject: Subject,
        wait: Wait,
        taken: Vec<(ServiceName, ServiceId, Taken)>,
        out: &mut Vec<Action>,
    ) {
        let (mut verdicts, mut goals) = (BTreeMap::new(), BTreeMap::new());
        for (name, id, outcome) in taken {
            match (outcome, wait) {
                (Taken::Done(verdict), _) => _ = verdicts.insert(name, verdict),
                (Taken::Awaits(goal), Wait::Accepted) => {
                    let known = self.services.get(id).and_then(|service| self.verdict(service, goal));
                    verdicts.insert(name, known.unwrap_or(Verdict::Ordered));
                }
                (Taken::Awaits(goal), Wait::Outcome) => _ = goals.insert(id, goal),
            }
        }
        self.touched.extend(goals.keys());
        let done = self.tickets.open(ticket, subject, verdicts, goals);
        out.extend(done.map(|answer| Action::Answer { ticket, answer }));
    }

    /// Answers those who waited for what this event brought.
    pub(super) fn answer_touched(&mut self, out: &mut Vec<Action>) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in &touched {
            self.answer_rounds(*id, out);
        }
        if self.tickets.is_idle() {
            return;
        }
        // Whether there is hope for those may be decided elsewhere.
        touched.extend(&self.waiting);
        for id in touched {
            for (ticket, goal) in self.tickets.goals_of(id) {
                let verdict = self.services.get(id).and_then(|service| self.verdict(service, goal));
                if let Some(verdict) = verdict {
                    self.settle(ticket, id, verdict, out);
                }
            }
        }
    }

    fn answer_rounds(&mut self, id: ServiceId, out: &mut Vec<Action>) {
        let ended = self.services.get_mut(id).map(Service::take_ended).unwrap_or_default();
        for (round, end) in ended {
            for (ticket, goal) in self.tickets.goals_of(id) {
                if goal == Goal::Round(round)
                    && let Some(verdict) = self.services.get(id).and_then(|service| service.verdict_of(end))
                {
                    self.settle(ticket, id, verdict, out);
                }
            }
        }
    }

    /// What there is to say to somebody who waits for this, if anything.
    fn verdict(&self, service: &Service, goal: Goal) -> Option<Verdict> {
        if let Some(verdict) = self.verdict_in_quarantine(service.id) {
            return Some(verdict);
        }
        match goal {
            Goal::Up | Goal::Settled if self.waits(service.id) && !service.is_up() => {
                let names = self.blockers(service.id, goal);
                (!names.is_empty()).then_some(Verdict::WaitsFor { names })
            }
            Goal::Round(_) if self.waits(service.id) => None,
            // A restart of it was ordered, and waits for room.
            Goal::Settled if self.replacing.contains(&service.id) => None,
            Goal::Down if self.is_to_stop(service.id) => None,
            Goal::Round(_) | Goal::Up | Goal::Settled | Goal::Down | Goal::Held => service.verdict(goal),
        }
    }

    /// Takes a client's order to read the config.
    pub(super) fn reload_ordered(&mut self, ticket: Ticket, wait: Wait, out: &mut Vec<Action>) {
        let refusal = match self.phase {
            Phase::Stopping | Phase::Ended(_) => Some(Refusal::Stopping),
            Phase::Booting | Phase::Running => self.is_full(),
        };
        if let Some(refusal) = refusal {
            return answer(ticket, Answer::Refused(refusal), out);
        }
        self.tickets.await_reload(ticket, wait);
        self.reload_requested(out);
    }

    /// Tells those who wait for the reload that is under way that nothing was changed.
    pub(super) fn reload_refused(&mut self, reasons: &[Fact], out: &mut Vec<Action>) {
        for (ticket, _) in self.tickets.take_reloads() {
            answer(ticket, Answer::ReloadRefused { reasons: reasons.to_vec() }, out);
        }
    }

    /// Tells those who wait for any reload, or for the first services, that there will be none.
    pub(super) fn refuse_reloads(&mut self, out: &mut Vec<Action>) {
        let early = self.tickets.take_early().into_iter().map(|(ticket, ..)| ticket);
        let waiting = self.tickets.take_all_reloads().into_iter().map(|(ticket, _)| ticket);
        for ticket in waiting.chain(early) {
            answer(ticket, Answer::Refused(Refusal::Stopping), out);
        }
    }

    /// It is over: whoever still waits is told how it stands.
    pub(super) fn answer_all(&mut self, out: &mut Vec<Action>) {
        self.refuse_reloads(out);
        for id in self.tickets.services() {
            for (ticket, goal) in self.tickets.goals_of(id) {
                let known = self.services.get(id).and_then(|service| service.verdict(goal));
                self.settle(ticket, id, known.unwrap_or(Verdict::Superseded { by: Verb::Stop }), out);
            }
        }
    }
}

fn answer(ticket: Ticket, answer: Answer, out: &mut Vec<Action>) {
    out.push(Action::Answer { ticket, answer });
}
