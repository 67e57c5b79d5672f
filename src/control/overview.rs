//! What a reload would do.

use super::definitions::Definitions;
use super::status::is_behind;
use crate::config::{Disk, Refused};
use crate::core::Supervisor;
use crate::os;
use crate::plan::{Change, Definition, Plan, Rights, Settings, WhenIdle, diff};
use crate::protocol::control::{ErrorCode, Reply};
use crate::protocol::status::{Effect, KeyChange, PlanChange};
use crate::report;
use std::sync::Arc;

/// The answer to `plan`.
pub(super) fn plan(core: &Supervisor, disk: &mut Disk) -> Reply {
    let found = match disk.read_anew(core.plan()) {
        Ok(found) => found,
        Err(refused) => return mistakes(refused),
    };
    let would_be = |why| Reply::error(ErrorCode::BadConfig, format!("a reload would be refused: {why}"));
    if let Some((address, held)) = core.in_the_way(found) {
        return would_be(format!("{address} {}", report::overlap(held)));
    }
    if let Err(why) = os::make_more_room(found.descriptors()) {
        return would_be(why.to_string());
    }
    Reply::Plan { changes: changes(core, found), behind: behind(core) }
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

/// Services of which a process runs what the file said before.
fn behind(core: &Supervisor) -> Vec<String> {
    let late = core.services().filter(|service| is_behind(service));
    let mut names: Vec<String> = late.map(|service| service.definition.name.to_string()).collect();
    names.sort();
    names
}

fn changes(core: &Supervisor, new: &Plan) -> Vec<PlanChange> {
    let old = core.plan();
    let known = Definitions::of(old);
    let keys = |definition: &Arc<Definition>| {
        known.get(&definition.name).map_or_else(Vec::new, |old| report::differences(old, definition))
    };
    let of_services = diff(old, new).into_iter().map(|change| {
        let (effect, keys) = match &change {
            Change::Added(_) => (Effect::Add, Vec::new()),
            Change::Removed(_) => (Effect::Remove, Vec::new()),
            Change::InPlace(definition) => (Effect::InPlace, keys(definition)),
            Change::Restarted(definition) if core.is_for_its_start(&change) => {
                (Effect::NextStart, keys(definition))
            }
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
