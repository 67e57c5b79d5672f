//! The services by their ids, in that order.

use super::pack::pack;
use super::service::Service;
use crate::plan::ServiceId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All services. Each has a place of its own: ids only grow, and a tree that is added to at its end leaves half of every
/// node empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Services(BTreeMap<ServiceId, Box<Service>>);

impl Services {
    pub(super) fn get(&self, id: ServiceId) -> Option<&Service> {
        looked_at(1);
        self.0.get(&id).map(|service| &**service)
    }

    pub(super) fn get_mut(&mut self, id: ServiceId) -> Option<&mut Service> {
        looked_at(1);
        self.0.get_mut(&id).map(|service| &mut **service)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn insert(&mut self, service: Service) {
        self.0.insert(service.id, Box::new(service));
    }

    pub(super) fn remove(&mut self, id: ServiceId) {
        self.0.remove(&id);
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        looked_at(self.0.len());
        pack(&mut self.0);
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Service> {
        looked_at(self.0.len());
        self.0.values().map(|service| &**service)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        looked_at(self.0.len());
        self.0.values_mut().map(|service| &mut **service)
    }

    pub(super) fn keys(&self) -> impl DoubleEndedIterator<Item = &ServiceId> {
        looked_at(self.0.len());
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ServiceId, &Service)> {
        looked_at(self.0.len());
        self.0.iter().map(|(id, service)| (id, &**service))
    }
}

/// Counts, for the test that says that no event looks at all of them.
#[cfg(test)]
fn looked_at(services: usize) {
    tests::LOOKED_AT.set(tests::LOOKED_AT.get() + services);
}

#[cfg(not(test))]
const fn looked_at(_: usize) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::generation::Run;
    use crate::core::worker::Worker;
    use crate::core::{Event, ExitStatus, Request, RunEvent, Supervisor, Time};
    use crate::plan::{Generation, Pid, RunId, Selector};
    use crate::protocol::Word;
    use std::cell::Cell;

    thread_local! {
        pub(super) static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    /// There are ten thousand of each: a field that few services need is to be behind a box.
    #[test]
    fn what_there_is_one_of_for_each_service_is_small() {
        let sizes = [size_of::<Service>(), size_of::<Worker>(), size_of::<Run>()];
        assert!(sizes.into_iter().zip([168, 144, 96]).all(|(size, most)| size <= most), "{sizes:?} bytes");
    }

    /// A supervisor of so many services that are all up, and how many services it looks at in each event of the life of
    /// one of them.
    fn looks(count: u32) -> Vec<usize> {
        let service = |index: u32| {
            format!(
                "[[service]]\nname = 's-{index}'\ncommand = '/bin/true'\nlisten = 'tcp://127.0.0.1:{}'\n\
                 ready = 'started'\nrestart = 'always'\n",
                10_000 + index
            )
        };
        let text: String = "[bootstrap]\nstart_concurrency = 10_000\n".into();
        let text = text + &(0..count).map(service).collect::<String>();
        let plan = crate::config::parse("a.toml", &text);
        let (mut now, mut out) = (Time { ms: 1000 }, Vec::new());
        let mut core = Supervisor::boot(plan.unwrap(), now, &mut out);
        core.handle(now, Event::Bound, &mut out);
        let run = |service: ServiceId, generation: u32, event: RunEvent| {
            Event::Run(RunId { service, generation: Generation(generation) }, event)
        };
        let spawned = || RunEvent::Spawned { pid: Pid(7) };
        let exited = || RunEvent::Exited { status: ExitStatus::Code(0), group_left: false };
        let all: Vec<ServiceId> = core.services().map(|service| service.id).collect();
        for id in &all {
            core.handle(now, run(*id, 1, spawned()), &mut out);
        }
        let id = all[all.len() / 2];
        let (name, selector) = ("s-3", |name: &str| Event::SelectorRead(Selector::parse(name)));
        let mut looks = Vec::new();
        let mut turn = |core: &mut Supervisor, now, event| {
            LOOKED_AT.set(0);
            core.handle(now, event, &mut out);
            looks.push(LOOKED_AT.get());
            out.clear();
        };
        turn(&mut core, now, run(id, 1, exited()));
        turn(&mut core, now, run(id, 2, spawned()));
        turn(&mut core, now, run(id, 2, exited()));
        now = now + std::time::Duration::from_secs(1);
        turn(&mut core, now, Event::DeadlinePassed);
        turn(&mut core, now, run(id, 3, spawned()));
        turn(&mut core, now, selector(name));
        let id = all[3];
        turn(&mut core, now, run(id, 1, RunEvent::Said(Word::Success)));
        turn(&mut core, now, run(id, 2, spawned()));
        turn(&mut core, now, run(id, 1, exited()));
        turn(&mut core, now, Event::Request(Request::Restart));
        turn(&mut core, now, Event::Request(Request::Reload));
        let changed = text.replacen("name = 's-7'", "name = 's-7'\nenv = { A = 'b' }", 1);
        let plan = crate::config::parse("a.toml", &changed).unwrap();
        turn(&mut core, now, Event::PlanLoaded(Box::new(plan)));
        let id = all[7];
        turn(&mut core, now, run(id, 1, RunEvent::Said(Word::Success)));
        turn(&mut core, now, run(id, 2, spawned()));
        assert!(core.services().all(Service::is_up));
        let before = core.clone();
        core.pack();
        assert_eq!(core, before, "it is the same when it is packed");
        looks
    }

    #[test]
    fn an_event_looks_at_no_more_services_when_there_are_ten_thousand() {
        assert_eq!(looks(10), looks(10_000));
    }
}
