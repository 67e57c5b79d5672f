//! The answer to `status`. It is written service by service, and sent in pieces: all that is known of ten thousand services is
//! never in memory twice.

use super::definitions::Definitions;
use crate::config::Disk;
use crate::core::service::Service;
use crate::core::worker::Worker;
use crate::core::{Supervisor, Time};
use crate::os::{ClientId, Os};
use crate::plan::{Plan, Selector, ServiceName};
use crate::protocol::status::{ConfigState, Stale, SupervisorStatus};
use crate::protocol::status_line;
use crate::report;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Answers a client's request of this number.
pub(super) fn answer(
    core: &Supervisor,
    os: &mut Os,
    disk: &mut Disk,
    began: Time,
    selector: &Selector,
    (client, id): (ClientId, u64),
) {
    let now = os.now();
    let config = disk.path().display().to_string();
    let found = disk.look(core.plan()).ok();
    let on_disk = found.map(Definitions::of);
    // As they came to be, which is the order of the file most of the time.
    let all = core.services().map(|service| {
        let stale = stale(service, on_disk.as_ref());
        (&service.definition.name, service, stale)
    });
    let mut services: Vec<(&ServiceName, &Service, Option<Stale>)> = all.collect();
    let config_state = match found {
        None => ConfigState::Broken,
        Some(found) if is_applied(core.plan(), found) => ConfigState::Applied,
        Some(_) => ConfigState::Changed,
    };
    let changed = found.filter(|_| config_state == ConfigState::Changed);
    let supervisor = SupervisorStatus {
        pid: own_pid(),
        program: env!("CARGO_PKG_VERSION").into(),
        config,
        config_state,
        uptime_ms: ms(os.age().unwrap_or(now - began)),
        program_uptime_ms: ms(now - began),
        services: services.iter().filter(|(_, service, _)| !service.is_removed()).count(),
        up: services.iter().filter(|(_, service, _)| !service.is_removed() && service.is_up()).count(),
        not_loaded: changed.map_or_else(Vec::new, |found| not_loaded(core.plan(), found)),
        usage: os.usage(),
    };
    services.retain(|(name, _, _)| selector.matches(name));
    // One that was removed and came back is one service: what it had drains.
    services.sort_by_key(|(name, service, _)| (*name, service.is_removed()));
    let mut formers: BTreeMap<&ServiceName, Vec<&Service>> = BTreeMap::new();
    services.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            formers.entry(later.0).or_default().push(later.1);
        }
        same
    });
    os.answer_in_pieces(client, |queues, pieces| {
        let told = services.into_iter().map(|(_, service, stale)| {
            let mut told = report::of_service(service, now, |listener| queues.of_listener(listener));
            told.waits_for = core.waits_for(service.id).into_iter().map(ToString::to_string).collect();
            if core.is_quarantined(service.id) {
                told.state = "crashed".into();
            }
            told.stale = stale;
            let formers = formers.get(&service.definition.name).into_iter().flatten();
            told.draining.extend(formers.flat_map(|former| report::all_draining(former, now)));
            told
        });
        pieces.write_line(&status_line(id, &supervisor, told))
    });
}

/// Our own pid, as numbers of processes are written here.
pub(super) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// Does what runs differ from what the file says? One that cannot be read says nothing.
fn stale(service: &Service, on_disk: Option<&Definitions<'_>>) -> Option<Stale> {
    match on_disk.map(|on_disk| on_disk.get(&service.definition.name)) {
        Some(None) => Some(Stale::Removed),
        Some(Some(found)) if service.definition != *found => Some(Stale::Changed),
        Some(Some(_)) | None => is_behind(service).then_some(Stale::Behind),
    }
}

/// Does a process that nobody has asked to leave run what the file said before?
pub(super) fn is_behind(service: &Service) -> bool {
    let wanted = &service.definition;
    let mut runs = service.workers.iter().flat_map(Worker::staying);
    runs.any(|run| !Arc::ptr_eq(&run.definition, wanted) && !run.definition.runs_the_same(wanted))
}

/// The same services and the same settings; the order in the file is none of them. What is equal is shared, so this
/// is quick.
fn is_applied(plan: &Plan, found: &Plan) -> bool {
    let known = Definitions::of(plan);
    plan.settings == found.settings
        && plan.services.len() == found.services.len()
        && found.services.iter().all(|service| known.get(&service.name).is_some_and(|known| known == service))
}

/// Services that only the file has, in the order of names.
fn not_loaded(plan: &Plan, found: &Plan) -> Vec<String> {
    let known = Definitions::of(plan);
    let new = found.services.iter().map(|service| &service.name).filter(|name| known.get(name).is_none());
    let mut names: Vec<String> = new.map(ToString::to_string).collect();
    names.sort();
    names
}

fn ms(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
