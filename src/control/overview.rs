//! What is known: the status, and what a reload would do.

use crate::config::{Disk, Refused};
use crate::core::service::Service;
use crate::core::{Supervisor, Time};
use crate::os::Os;
use crate::plan::{Change, Definition, Plan, Rights, Selector, ServiceName, Settings, WhenIdle, diff};
use crate::protocol::control::{ErrorCode, Reply};
use crate::protocol::status::{
    ConfigState, Effect, KeyChange, PlanChange, ServiceStatus, Stale, Status, SupervisorStatus,
};
use crate::report;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Definitions by the name of their service.
type Definitions<'a> = HashMap<&'a ServiceName, &'a Arc<Definition>>;

/// The answer to `status`.
pub(super) fn status(core: &Supervisor, os: &Os, disk: &mut Disk, began: Time, selector: &Selector) -> Reply {
    let now = os.now();
    let config = disk.path().display().to_string();
    let found = disk.look(core.plan()).ok();
    let on_disk: Option<Definitions<'_>> = found.map(by_name);
    let mut services: Vec<&Service> = core.services().collect();
    services.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
    let queues = os.queues();
    let chosen = services.iter().filter(|service| selector.matches(&service.definition.name));
    let services_told: Vec<ServiceStatus> = chosen
        .map(|service| {
            let mut told = report::of_service(service, now, |listener| queues.of_listener(listener));
            told.waits_for = core.waits_for(service.id).into_iter().map(ToString::to_string).collect();
            if core.is_quarantined(service.id) {
                told.state = "crashed".into();
            }
            told.stale = on_disk.as_ref().and_then(|on_disk| stale(service, on_disk));
            told
        })
        .collect();
    let supervisor = SupervisorStatus {
        pid: own_pid(),
        program: env!("CARGO_PKG_VERSION").into(),
        config,
        config_state: match found {
            None => ConfigState::Broken,
            Some(found) if is_applied(core.plan(), found) => ConfigState::Applied,
            Some(_) => ConfigState::Changed,
        },
        uptime_ms: ms(os.age().unwrap_or(now - began)),
        program_uptime_ms: ms(now - began),
        services: services.len(),
        up: services.iter().filter(|service| service.is_up()).count(),
        not_loaded: found.map_or_else(Vec::new, |found| not_loaded(core.plan(), found)),
        usage: os.usage(),
    };
    Reply::Status(Box::new(Status { supervisor, services: services_told }))
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Our own pid, as numbers of processes are written here.
pub(super) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

fn by_name(plan: &Plan) -> Definitions<'_> {
    plan.services.iter().map(|definition| (&definition.name, definition)).collect()
}

/// Does what runs differ from what the file says?
fn stale(service: &Service, on_disk: &Definitions<'_>) -> Option<Stale> {
    let Some(found) = on_disk.get(&service.definition.name) else { return Some(Stale::Removed) };
    let mut runs = service.workers.iter().flat_map(crate::core::worker::Worker::staying);
    let differs = service.definition != **found
        || runs.any(|run| !Arc::ptr_eq(&run.definition, found) && !run.definition.runs_the_same(found));
    differs.then_some(Stale::Changed)
}

/// The same services and the same settings; the order in the file is none of them. What is equal is shared, so this
/// is quick.
fn is_applied(plan: &Plan, found: &Plan) -> bool {
    let known = by_name(plan);
    plan.settings == found.settings
        && plan.services.len() == found.services.len()
        && found
            .services
            .iter()
            .all(|service| known.get(&service.name).is_some_and(|known| *known == service))
}

/// Services that only the file has, in the order of names.
fn not_loaded(plan: &Plan, found: &Plan) -> Vec<String> {
    let known = by_name(plan);
    let new = found.services.iter().map(|service| &service.name).filter(|name| !known.contains_key(name));
    let mut names: Vec<String> = new.map(ToString::to_string).collect();
    names.sort();
    names
}

/// The answer to `plan`.
pub(super) fn plan(core: &Supervisor, disk: &mut Disk) -> Reply {
    match disk.look(core.plan()) {
        Ok(found) => Reply::Plan { changes: changes(core.plan(), found) },
        Err(refused) => mistakes(refused),
    }
}

fn mistakes(refused: &Refused) -> Reply {
    let details = refused.lines();
    let count = details.len();
    let message = format!(
        "the file has {count} mistake{}; a reload would be refused",
        if count == 1 { "" } else { "s" }
    );
    Reply::Error { code: ErrorCode::BadConfig, message, details }
}

fn changes(old: &Plan, new: &Plan) -> Vec<PlanChange> {
    let known = by_name(old);
    let keys = |definition: &Arc<Definition>| {
        known.get(&definition.name).map_or_else(Vec::new, |old| report::differences(old, definition))
    };
    let of_services = diff(old, new).into_iter().map(|change| {
        let (effect, keys) = match &change {
            Change::Added(_) => (Effect::Add, Vec::new()),
            Change::Removed(_) => (Effect::Remove, Vec::new()),
            Change::InPlace(definition) => (Effect::InPlace, keys(definition)),
            Change::Restarted(definition) => (Effect::Restart, keys(definition)),
        };
        PlanChange { service: Some(change.name().as_str().into()), effect, keys }
    });
    settings(&old.settings, &new.settings).into_iter().chain(of_services).collect()
}

/// What differs in `[bootstrap]`, apart by when it applies.
fn settings(old: &Settings, new: &Settings) -> Vec<PlanChange> {
    let values = |settings: &Settings| {
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map_or_else(|| "none".into(), |path| format!("\"{}\"", path.display()))
        };
        let when_idle = match settings.when_idle {
            WhenIdle::Exit => "\"exit\"",
            WhenIdle::Wait => "\"wait\"",
        };
        let rights = match settings.control_rights {
            Rights::Read => "\"read\"",
            Rights::Full => "\"full\"",
        };
        let group = settings.control_group.as_ref();
        [
            ("when_idle", Effect::InPlace, when_idle.to_owned()),
            ("env_file", Effect::InPlace, path(&settings.env_file)),
            ("start_concurrency", Effect::InPlace, settings.start_concurrency.to_string()),
            ("control_group", Effect::InPlace, group.map_or_else(|| "none".into(), ToString::to_string)),
            ("control_rights", Effect::InPlace, rights.to_owned()),
            ("orphans", Effect::NextStart, format!("{:?}", settings.orphans).to_lowercase()),
            ("runtime_dir", Effect::NextStart, path(&settings.runtime_dir)),
        ]
    };
    let pairs = values(old).into_iter().zip(values(new));
    let differ = pairs.filter(|((_, _, old), (_, _, new))| old != new);
    differ
        .map(|((key, effect, old), (_, _, new))| PlanChange {
            service: None,
            effect,
            keys: vec![KeyChange { key: key.into(), old, new }],
        })
        .collect()
}
