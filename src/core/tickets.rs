//! The requests of clients that are not answered yet: for which services each still waits, and what it knows.

use super::answer::{Answer, Verdict};
use super::fact::Applied;
use super::request::{Ticket, Wait};
use crate::plan::{Selector, ServiceId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a ticket waits for in one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Goal {
    /// The end of the restart with this number.
    Round(u32),
    /// All of it serves, or its start has failed.
    Up,
    /// It is up in every respect, or nothing will bring it there.
    Settled,
    /// Its last process has ended.
    Down,
    /// Its last process has ended, and it is held.
    Held,
}

/// What an answer will be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Subject {
    /// An order.
    Order,
    /// A reload, which has been applied.
    Reload(Applied),
}

/// One ticket that is waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    subject: Subject,
    /// What it still waits for.
    goals: BTreeMap<ServiceId, Goal>,
    /// What it knows by now.
    verdicts: BTreeMap<ServiceName, Verdict>,
}

/// All tickets that are not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tickets {
    open: BTreeMap<Ticket, Open>,
    by_service: BTreeMap<ServiceId, BTreeSet<Ticket>>,
    /// Those that wait for the reload that is under way.
    reloads: Vec<(Ticket, Wait)>,
    /// Those that wait for the one after it.
    reloads_later: Vec<(Ticket, Wait)>,
    /// Those that came before there were services, and wait until these are up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    early: Vec<(Ticket, Selector, Wait)>,
}

impl Tickets {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.reloads.len() + self.reloads_later.len() + self.early.len()
    }

    /// Does anybody wait for a service?
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a ticket that knows some verdicts and waits for others. With nothing to wait for it is over at once.
    pub(super) fn open(
        &mut self,
        ticket: Ticket,
        subject: Subject,
        verdicts: BTreeMap<ServiceName, Verdict>,
        goals: BTreeMap<ServiceId, Goal>,
    ) -> Option<Answer> {
        for service in goals.keys() {
            self.by_service.entry(*service).or_default().insert(ticket);
        }
        self.open.insert(ticket, Open { subject, goals, verdicts });
        self.take_over(ticket)
    }

    /// What is waited for in a service.
    pub(super) fn goals_of(&self, service: ServiceId) -> Vec<(Ticket, Goal)> {
        let tickets = self.by_service.get(&service).into_iter().flatten();
        tickets.filter_map(|ticket| Some((*ticket, *self.open.get(ticket)?.goals.get(&service)?))).collect()
    }

    /// Everything that is waited for.
    pub(super) fn services(&self) -> Vec<ServiceId> {
        self.by_service.keys().copied().collect()
    }

    /// Takes note of what became of a service. Gives the answer, if that was the last.
    pub(super) fn settle(
        &mut self,
        ticket: Ticket,
        service: ServiceId,
        name: &ServiceName,
        verdict: Verdict,
    ) -> Option<Answer> {
        let open = self.open.get_mut(&ticket)?;
        open.goals.remove(&service)?;
        open.verdicts.insert(name.clone(), verdict);
        self.unlist(ticket, service);
        self.take_over(ticket)
    }

    fn unlist(&mut self, ticket: Ticket, service: ServiceId) {
        if let Some(tickets) = self.by_service.get_mut(&service) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.by_service.remove(&service);
            }
        }
    }

    fn take_over(&mut self, ticket: Ticket) -> Option<Answer> {
        if !self.open.get(&ticket)?.goals.is_empty() {
            return None;
        }
        let Open { subject, verdicts, .. } = self.open.remove(&ticket)?;
        let services = verdicts.into_iter().collect();
        Some(match subject {
            Subject::Order => Answer::Done { services },
            Subject::Reload(applied) => Answer::Reloaded { applied, services },
        })
    }

    /// Nobody wants this answer any more.
    pub(super) fn forget(&mut self, ticket: Ticket) {
        if let Some(open) = self.open.remove(&ticket) {
            for service in open.goals.into_keys() {
                self.unlist(ticket, service);
            }
        }
        for list in [&mut self.reloads, &mut self.reloads_later] {
            list.retain(|(waiting, _)| *waiting != ticket);
        }
        self.early.retain(|(waiting, ..)| *waiting != ticket);
    }

    /// Takes a ticket that waits for services, of which there are none yet.
    pub(super) fn await_boot(&mut self, ticket: Ticket, selector: Selector, wait: Wait) {
        self.early.push((ticket, selector, wait));
    }

    /// There are services now, or there will be none.
    pub(super) fn take_early(&mut self) -> Vec<(Ticket, Selector, Wait)> {
        std::mem::take(&mut self.early)
    }

    /// Takes a ticket that waits for the next reading of the config.
    pub(super) fn await_reload(&mut self, ticket: Ticket, wait: Wait) {
        self.reloads_later.push((ticket, wait));
    }

    /// The config is read: it is later than all these requests.
    pub(super) fn reload_begins(&mut self) {
        self.reloads.append(&mut self.reloads_later);
    }

    /// The reload that was under way is over.
    pub(super) fn take_reloads(&mut self) -> Vec<(Ticket, Wait)> {
        std::mem::take(&mut self.reloads)
    }

    /// There will be no reload any more.
    pub(super) fn take_all_reloads(&mut self) -> Vec<(Ticket, Wait)> {
        self.reload_begins();
        self.take_reloads()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Action, Event, Refusal, Request, RunEvent, Supervisor, Time, Verb};
    use crate::plan::{Generation, Pid, RunId};

    /// The control socket is there before those of the services are.
    #[test]
    fn who_waits_before_there_are_services_is_answered_when_they_are_up_or_cannot_be() {
        let text = "[[service]]\nname = 'a'\nport = 80\ncommand = ['/bin/true']\nready = 'started'\n";
        let (now, ticket) = (Time { ms: 0 }, Ticket(7));
        let up = Verdict::Up { generation: Generation(1) };
        let run = RunId { service: ServiceId(1), generation: Generation(1) };
        let done = Answer::Done { services: vec![(ServiceName::parse("a").unwrap(), up)] };
        let stopping = || Answer::Refused(Refusal::Stopping);
        for (events, expected) in [
            (vec![Event::Bound, Event::Run(run, RunEvent::Spawned { pid: Pid(9) })], done),
            (vec![Event::BindRefused { failures: Vec::new() }], stopping()),
            (vec![Event::Request(Request::Stop)], stopping()),
        ] {
            let mut out = Vec::new();
            let mut core = Supervisor::boot(crate::config::parse("a.toml", text).unwrap(), now, &mut out);
            let (verb, selector, wait) = (Verb::Wait, Selector::parse("a"), Wait::Outcome);
            core.handle(now, Event::Request(Request::Order { ticket, verb, selector, wait }), &mut out);
            for event in events {
                let answered = |action: &Action| matches!(action, Action::Answer { .. });
                assert!(!out.iter().any(answered), "{out:?}");
                core.handle(now, event, &mut out);
            }
            assert!(out.contains(&Action::Answer { ticket, answer: expected }), "{out:?}");
        }
    }
}
