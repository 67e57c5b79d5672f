//! A mistake of ours in the step of one service must not reach the others.
//!
//! A step that panics is undone: the service is as it was before, and is left alone from then on. Its processes serve
//! on, and nothing that happens to them is followed. Only the end of everything is told to them, by signals alone.

use super::fact::{Fact, Report};
use super::generation::Run;
use super::service::Service;
use super::supervisor::{Supervisor, keep};
use super::worker::Worker;
use super::{Action, Verdict};
use crate::plan::{RunId, ServiceId};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Supervisor {
    /// Is it left alone, because a step of it panicked?
    pub fn is_quarantined(&self, id: ServiceId) -> bool {
        self.quarantined.contains(&id)
    }

    /// Lets a service change; where that panics nothing of it has happened, and it is left alone.
    pub(super) fn step<T>(
        &mut self,
        id: ServiceId,
        out: &mut Vec<Action>,
        change: impl FnOnce(&mut Service, &mut Vec<Action>) -> T,
    ) -> Option<T> {
        if self.is_quarantined(id) {
            return None;
        }
        let service = self.services.get_mut(id)?;
        let (before, done) = (service.clone(), out.len());
        // What a panic leaves half-done is thrown away: both are put back.
        match catch_unwind(AssertUnwindSafe(|| change(service, out))) {
            Ok(outcome) => Some(outcome),
            Err(panic) => {
                *service = before;
                out.truncate(done);
                self.quarantine(id, &words(&*panic), out);
                None
            }
        }
    }

    fn quarantine(&mut self, id: ServiceId, why: &str, out: &mut Vec<Action>) {
        self.quarantined.insert(id);
        self.deadlines.set(id, None);
        keep(&mut self.turns.starting, id, false);
        keep(&mut self.idle_sockets, id, false);
        self.wait_no_more(id);
        if let Some(service) = self.services.get_mut(id) {
            let name = Some(service.definition.name.clone());
            let fact = Fact::Quarantined { why: why.into() };
            let report = Report { service: name, generation: None, pid: None, fact };
            service.history.failed(report.clone(), None);
            out.push(Action::Report(report));
        }
        // Whoever waits for it is told at the end of this event.
        self.touched.insert(id);
    }

    /// What somebody is told who wants something of it.
    pub(super) fn verdict_in_quarantine(&self, id: ServiceId) -> Option<Verdict> {
        let service = self.services.get(id).filter(|_| self.is_quarantined(id))?;
        Some(Verdict::Quarantined { why: service.history.why() })
    }

    /// Everything ends: its processes are told by signals alone, and not waited for.
    pub(super) fn end_quarantined(&mut self, signal: fn(RunId) -> Action, out: &mut Vec<Action>) {
        for id in &self.quarantined {
            self.busy.remove(id);
            let workers = self.services.get(*id).into_iter().flat_map(|service| &service.workers);
            let runs = workers.flat_map(|worker: &Worker| {
                let leaving = worker.leaving.iter().map(|leaving| &leaving.run);
                worker.staying().chain(leaving).filter(|run: &&Run| run.pid.is_some()).map(|run| run.id)
            });
            out.extend(runs.map(signal));
        }
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Answer, Event, ExitStatus, Request, RunEvent, Ticket, Time, Verb, Wait};
    use crate::plan::{Generation, Pid, Selector};

    const NOW: Time = Time { ms: 1000 };

    /// `bad` and `good`, both up.
    fn two() -> (Supervisor, ServiceId, ServiceId) {
        let service = |name: &str| {
            format!(
                "[[service]]\nname = '{name}'\ncommand = ['/bin/true']\nready = 'started'\nrestart = 'always'\n"
            )
        };
        let plan = crate::config::parse("a.toml", &(service("bad") + &service("good"))).unwrap();
        let mut out = Vec::new();
        let mut core = Supervisor::boot(plan, NOW, &mut out);
        core.handle(NOW, Event::Bound, &mut out);
        let of =
            |name: &str| core.services().find(|service| service.definition.name.as_str() == name).unwrap().id;
        let (bad, good) = (of("bad"), of("good"));
        for id in [bad, good] {
            core.handle(NOW, happened(id, RunEvent::Spawned { pid: Pid(7) }), &mut out);
        }
        assert!(core.services().all(Service::is_up));
        (core, bad, good)
    }

    fn happened(service: ServiceId, event: RunEvent) -> Event {
        Event::Run(RunId { service, generation: Generation(1) }, event)
    }

    fn exited() -> RunEvent {
        RunEvent::Exited { status: ExitStatus::Code(1), group_left: false }
    }

    fn plant(core: &mut Supervisor, id: ServiceId) -> Vec<Action> {
        let mut out = Vec::new();
        let outcome = core.touch(id, &mut out, |service, out| {
            service.restart(NOW, out);
            assert!(out.is_empty(), "planted");
        });
        assert_eq!(outcome, None);
        out
    }

    #[test]
    fn a_step_that_panics_is_undone_and_reported() {
        let (mut core, bad, good) = two();
        let before: Vec<Service> = core.services().cloned().collect();
        let out = plant(&mut core, bad);
        assert!(
            matches!(&out[..], [Action::Report(Report { fact: Fact::Quarantined { why }, .. })] if why == "planted"),
            "{out:?}"
        );
        assert!(core.is_quarantined(bad) && !core.is_quarantined(good));
        for (service, mut before) in core.services().zip(before) {
            before.history.last_failure.clone_from(&service.history.last_failure);
            assert_eq!(*service, before);
        }
    }

    #[test]
    fn what_happens_to_it_is_not_followed_and_the_others_go_on() {
        let (mut core, bad, good) = two();
        plant(&mut core, bad);
        let mut out = Vec::new();
        core.handle(NOW, happened(bad, exited()), &mut out);
        assert_eq!(out, []);
        core.handle(NOW, happened(good, exited()), &mut out);
        assert!(out.iter().any(|action| matches!(action, Action::Spawn { run, .. } if run.service == good)));
        assert_eq!(core.check(), Ok(()));
    }

    #[test]
    fn orders_for_it_are_answered_with_the_reason() {
        let (mut core, bad, _) = two();
        plant(&mut core, bad);
        for verb in [Verb::Restart, Verb::Stop, Verb::Start, Verb::Hold, Verb::Wait, Verb::Signal(1)] {
            let (mut out, selector) = (Vec::new(), Selector::parse("bad"));
            let request = Request::Order { ticket: Ticket(1), verb, selector, wait: Wait::Outcome };
            core.handle(NOW, Event::Request(request), &mut out);
            let answer = out.pop();
            let Some(Action::Answer { answer: Answer::Done { services }, .. }) = answer else {
                panic!("{verb:?}: {answer:?}")
            };
            assert!(matches!(services[0].1, Verdict::Quarantined { why: Some(_) }), "{services:?}");
            assert!(!out.iter().any(|action| matches!(action, Action::Spawn { .. } | Action::Ask { .. })));
        }
        assert_eq!(core.check(), Ok(()));
    }

    #[test]
    fn the_end_of_everything_does_not_wait_for_it() {
        let (mut core, bad, good) = two();
        plant(&mut core, bad);
        let mut out = Vec::new();
        core.handle(NOW, Event::Request(Request::Stop), &mut out);
        let run = RunId { service: bad, generation: Generation(1) };
        assert!(out.contains(&Action::Terminate { run }), "{out:?}");
        core.handle(NOW, happened(good, exited()), &mut out);
        assert!(core.outcome().is_some(), "{out:?}");
    }
}
