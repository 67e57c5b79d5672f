//! Crashes are counted from when somebody asked for a start: the first one after it has no pause.

use super::World;
use bootstrap::core::service::{Service, Wish};
use bootstrap::core::state::State;
use bootstrap::core::{Event, Fact, Next, Report, Request, Verb};
use bootstrap::plan::{Selector, ServiceId};

impl World {
    /// Whom somebody wants to start or restart by this event.
    pub(super) fn to_count_anew(&self, event: &Event) -> Vec<ServiceId> {
        let (selector, verb) = if let Event::SelectorRead(selector) = event {
            (selector, Verb::Restart)
        } else if let Event::Request(Request::Order { verb, selector, .. }) = event {
            (selector, *verb)
        } else {
            return Vec::new();
        };
        let planned: Vec<&Service> = self.core.services().filter(|s| s.wish != Wish::Remove).collect();
        let names: Vec<_> = planned.iter().map(|service| &service.definition.name).collect();
        let is_order = matches!(event, Event::Request(_));
        if self.stopped_at.is_some() || is_order && !selector.unmatched(&names).is_empty() {
            return Vec::new();
        }
        let meant = planned.into_iter().filter(|service| self.is_meant(service, selector, verb));
        meant.map(|service| service.id).collect()
    }

    fn is_meant(&self, service: &Service, selector: &Selector, verb: Verb) -> bool {
        let is_down =
            |state: &State| matches!(state, State::Stopped | State::Crashed | State::Backoff { .. });
        let means = match verb {
            Verb::Restart => !self.clients.is_to_rest(service.id),
            // What is up is left as it is.
            Verb::Start => {
                service.wish != Wish::Hold && service.workers.iter().all(|worker| is_down(&worker.state))
            }
            Verb::Stop | Verb::Hold | Verb::Release | Verb::Wait | Verb::Signal(_) => false,
        };
        means && selector.matches(&service.definition.name)
    }

    /// The core has heard it; those that wait for others have not begun.
    pub(super) fn counts_anew(&mut self, asked: Vec<ServiceId>) {
        let begun = asked.into_iter().filter(|id| !self.core.waits(*id));
        self.anew.extend(begun);
    }

    /// A pause is for the second crash.
    pub(super) fn check_pause(&mut self, report: &Report) {
        let (Fact::Exited { next, .. }
        | Fact::NotReady { next, .. }
        | Fact::SpawnFailed { next, .. }
        | Fact::LeavesByItself { next, .. }
        | Fact::SaidStopping { next }
        | Fact::Unhealthy { next, .. }) = &report.fact
        else {
            return;
        };
        let named = |service: &&Service| {
            service.wish != Wish::Remove && Some(&service.definition.name) == report.service.as_ref()
        };
        let Some(id) = self.core.services().find(named).map(|service| service.id) else { return };
        let is_first = self.anew.remove(&id);
        let pauses = matches!(next, Next::StartsIn(..) | Next::RestartsIn(_));
        assert!(!(is_first && pauses), "a pause after the first crash since a start was asked for: {next:?}");
    }
}
