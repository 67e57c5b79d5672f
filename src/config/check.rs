//! From fields to a plan: the rules between keys.

use super::error::Place;
use super::field::{At, Field, Reading, table};
use super::found::beginning;
use super::health;
use super::identity;
use super::listen::Listen;
use super::notes::Notes;
use super::output;
use super::policy;
use super::problem::Problem;
use super::raw::{Bootstrap, Service, unknown_keys};
use super::rights::ServiceGroup;
use super::rule::Rule;
use super::sequence::{Names, Sequence};
use super::unique::Unique;
use super::value::{ControlDirectory, Env, FilePath, Port, Starts};
use crate::limits::{LISTENERS_PER_SERVICE, SERVICES};
use crate::plan::{
    Address, Commons, Definition, Handshake, ListenerSpec, Orphans, Plan, Program, Rights, Settings, WhenIdle,
};
use crate::protocol;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use thin_vec::ThinVec;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The tables of the file.
const TABLES: &[&str] = &["bootstrap", "defaults", "service"];

/// Reads the whole file. Nothing where a mistake was noted; something may come back even so.
pub(super) fn document(root: &Spanned<DeTable<'_>>, notes: &mut Notes<'_>) -> Option<Plan> {
    let tables = root.get_ref();
    unknown_keys(tables, TABLES, notes);
    notes.enter(Place::Bootstrap);
    let settings = settings(one_table(tables, "bootstrap", notes), notes);
    notes.enter(Place::Defaults);
    let defaults = defaults(one_table(tables, "defaults", notes), notes);
    let services = services(tables, &defaults, notes);
    Some(Plan { settings: settings?, services: services? })
}

pub(super) fn one_table<'t>(
    tables: &'t DeTable<'t>,
    name: &'static str,
    notes: &mut Notes<'_>,
) -> Option<&'t DeTable<'t>> {
    table(tables.get(name)?, name, Rule::TableHeader { name }, notes)
}

fn settings<'t>(found: Option<&'t DeTable<'t>>, notes: &mut Notes<'_>) -> Option<Settings> {
    let raw = found.map_or_else(Bootstrap::absent, |found| Bootstrap::of(found, notes));
    let when_idle = raw.when_idle.read(notes).or_default(WhenIdle::default());
    let env_file = path(&raw.env_file, notes).or_default(None);
    let runtime_dir = raw.runtime_dir.read(notes).map(|ControlDirectory(path)| Some(path)).or_default(None);
    let orphans = raw.orphans.read(notes).or_default(Orphans::default());
    let control_group = raw.control_group.read(notes).map(|ServiceGroup(group)| Some(group)).or_default(None);
    let control_rights = raw.control_rights.read(notes).or_default(Rights::default());
    let starts = raw.start_concurrency.read(notes).map(|Starts(starts)| starts);
    let start_concurrency = starts.or_default(Settings::default().start_concurrency);
    Some(Settings {
        when_idle: when_idle?,
        env_file: env_file?,
        runtime_dir: runtime_dir?,
        control_group: control_group?,
        control_rights: control_rights?,
        orphans: orphans?,
        start_concurrency: start_concurrency?,
    })
}

fn defaults<'t>(found: Option<&'t DeTable<'t>>, notes: &mut Notes<'_>) -> Service<'t> {
    let mut raw = found.map_or_else(Service::absent, |found| Service::of(found, notes));
    raw.name = not_shared(&raw.name, notes);
    raw.port = not_shared(&raw.port, notes);
    raw.listen = not_shared(&raw.listen, notes);
    raw.command = not_shared(&raw.command, notes);
    raw.review(notes);
    policy::shared(&raw, notes);
    identity::shared(&raw, notes);
    output::shared(&raw, notes);
    raw
}

fn not_shared<'t, T: super::field::Value>(field: &Field<'t, T>, notes: &mut Notes<'_>) -> Field<'t, T> {
    if let Some(span) = field.span() {
        notes.add(span, Problem::NotShared { key: field.key });
    }
    Field::absent(field.key)
}

fn services<'t>(
    tables: &'t DeTable<'t>,
    defaults: &Service<'t>,
    notes: &mut Notes<'_>,
) -> Option<Vec<Arc<Definition>>> {
    let entries = entries(tables, notes)?;
    let mut unique = Unique::default();
    let mut sequence = Sequence::default();
    let mut commons = Commons::default();
    let mut services = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let Some(found) = entered(index, entry, notes) else { continue };
        let definition = service(found, &entry.span(), defaults, &mut unique, &mut sequence, notes);
        services.extend(definition.map(|mut definition| {
            commons.share(&mut definition);
            Arc::new(definition)
        }));
    }
    sequence.check(notes);
    (services.len() == entries.len()).then_some(services)
}

/// What is to be a service each.
pub(super) fn entries<'t>(
    tables: &'t DeTable<'t>,
    notes: &mut Notes<'_>,
) -> Option<&'t [Spanned<DeValue<'t>>]> {
    notes.enter(Place::File);
    let Some(found) = tables.get("service") else {
        notes.add(0..0, Problem::NoService);
        return None;
    };
    let Some(entries) = found.get_ref().as_array() else {
        notes.add(found.span(), Problem::value("service", found.get_ref(), Rule::ServiceHeader));
        return None;
    };
    if entries.is_empty() {
        notes.add(found.span(), Problem::NoService);
    }
    if let Some(first_too_many) = entries.get(SERVICES) {
        notes.add(first_too_many.span(), Problem::TooManyServices { found: entries.len() });
        return None;
    }
    Some(entries)
}

/// The table of one of them, which mistakes are about from now on.
pub(super) fn entered<'t>(
    index: usize,
    entry: &'t Spanned<DeValue<'t>>,
    notes: &mut Notes<'_>,
) -> Option<&'t DeTable<'t>> {
    notes.enter(Place::Unnamed(index + 1));
    let found = table(entry, "service", Rule::ServiceHeader, notes)?;
    if let Some(name) = found.get("name").and_then(|name| name.get_ref().as_str()) {
        notes.enter(Place::Service(beginning(name).into()));
    }
    Some(found)
}

fn service<'t>(
    found: &'t DeTable<'t>,
    header: &Range<usize>,
    defaults: &Service<'t>,
    unique: &mut Unique,
    sequence: &mut Sequence,
    notes: &mut Notes<'_>,
) -> Option<Definition> {
    let raw = Service::of(found, notes).or(defaults);
    let name = raw.name.read(notes).required(raw.name.key, header, notes);
    if let Some(name) = &name {
        unique.name(name, notes);
    }
    let listeners = listeners(&raw, notes);
    if let Some(listeners) = &listeners {
        unique.listeners(listeners, notes);
    }
    let has_socket = raw.port.span().is_some() || listeners.as_ref().is_some_and(|all| !all.is_empty());
    let listeners = listeners.map(|all| all.into_iter().map(|at| at.value).collect::<ThinVec<_>>());
    let by_default = if has_socket { Handshake::Pipe } else { Handshake::None };
    let handshake = raw.handshake.read(notes).or_default(by_default);
    if let (Some(listeners), Some(Handshake::Inetd)) = (&listeners, handshake) {
        one_socket(&raw, listeners, notes);
    }
    if let (Some(listeners), Some(Handshake::ServerStarter)) = (&listeners, handshake) {
        plain_paths(&raw, listeners, notes);
    }
    let program = program(&raw, header, defaults, listeners.as_deref(), handshake, notes);
    let output = output::of(&raw, &mut unique.log_files, notes);
    let policy = policy::of(&raw, handshake, listeners.as_deref(), notes);
    let after = raw.after.read(notes).or_default(Names::default()).map(|Names(names)| names);
    let requires = raw.requires.read(notes).or_default(Names::default()).map(|Names(names)| names);
    if let (Some(name), Some(after), Some(requires)) = (&name, &after, &requires) {
        sequence.add(&name.value, after.iter().chain(requires).cloned().collect());
    }
    Some(Definition {
        name: name?.value,
        listeners: listeners?,
        after: values(after?),
        requires: values(requires?),
        program: Program { output: output?.boxed(), ..program? }.into(),
        policy: policy?.into(),
    })
}

fn values<T, All: FromIterator<T>>(all: Vec<At<T>>) -> All {
    all.into_iter().map(|at| at.value).collect()
}

/// The one socket that becomes the stdin of the process.
fn one_socket(raw: &Service<'_>, listeners: &[ListenerSpec], notes: &mut Notes<'_>) {
    if listeners.len() != 1
        && let Some(span) = raw.handshake.span()
    {
        notes.add(span, Problem::OneSocket { found: listeners.len() });
    }
}

/// Paths that stay whole between `=` and `;`.
fn plain_paths(raw: &Service<'_>, listeners: &[ListenerSpec], notes: &mut Notes<'_>) {
    let Some(span) = raw.handshake.span() else { return };
    for ListenerSpec { address, .. } in listeners {
        if let Address::Unix(path) = address
            && path.as_os_str().as_encoded_bytes().iter().any(|byte| b"=;".contains(byte))
        {
            let rule = Rule::StarterPath;
            notes.add(
                span.clone(),
                Problem::NotForAddress { key: raw.handshake.key, address: address.clone(), rule },
            );
        }
    }
}

/// `port` and then `listen`, or nothing where one of them is wrong.
fn listeners(raw: &Service<'_>, notes: &mut Notes<'_>) -> Option<Vec<At<ListenerSpec>>> {
    let port =
        raw.port.read(notes).map(|Port(port)| ListenerSpec::new(Address::Tcp(([0, 0, 0, 0], port).into())));
    let listen = raw.listen.read(notes);
    let mut listeners = Vec::new();
    match port {
        Reading::Absent => {}
        Reading::Wrong => return None,
        Reading::Good(at) => listeners.push(at),
    }
    match listen {
        Reading::Absent => {}
        Reading::Wrong => return None,
        Reading::Good(At { span, value: Listen(entries) }) => {
            listeners.extend(entries);
            if listeners.len() > LISTENERS_PER_SERVICE {
                notes.add(span, Problem::TooManyListeners { found: listeners.len() });
                return None;
            }
        }
    }
    Some(listeners)
}

fn program<'t>(
    raw: &Service<'t>,
    header: &Range<usize>,
    defaults: &Service<'t>,
    listeners: Option<&[ListenerSpec]>,
    handshake: Option<Handshake>,
    notes: &mut Notes<'_>,
) -> Option<Program> {
    let command = raw.command.read(notes).required(raw.command.key, header, notes);
    let env = environment(raw, defaults, notes);
    let directory = path(&raw.directory, notes).or_default(None);
    let env_file = path(&raw.env_file, notes).or_default(None);
    let identity = identity::of(raw, notes);
    let watchdog = health::watchdog(raw, handshake, notes).ok();
    if let (Some(listeners), Some(handshake)) = (listeners, handshake) {
        let mut check = |key: &str, at: &At<String>| {
            if let Err(error) = protocol::check(&at.value, listeners, handshake) {
                notes.add(at.span.clone(), Problem::Placeholder { key: beginning(key).into(), error });
            }
        };
        for item in command.iter().flat_map(|command| &command.value.0) {
            check("command", item);
        }
        for (name, value) in env.iter().flatten() {
            check(&format!("env.{name}"), value);
        }
    }
    Some(Program {
        command: values::<_, Box<[_]>>(command?.value.0).into_vec(),
        directory: directory?,
        env: env?.into_iter().map(|(name, at)| (name, at.value)).collect(),
        env_file: env_file?,
        handshake: handshake?,
        identity: identity?.into(),
        watchdog: watchdog?,
        output: None,
    })
}

/// The variables of `[defaults]`, with those of the service over them.
fn environment(
    raw: &Service<'_>,
    defaults: &Service<'_>,
    notes: &mut Notes<'_>,
) -> Option<BTreeMap<String, At<String>>> {
    // Where the service has no `env`, its field is the one of `[defaults]` already.
    let shared = Field::absent(raw.env.key).or(&defaults.env).read(notes).or_default(Env(Vec::new()));
    let own = raw.env.read(notes).or_default(Env(Vec::new()));
    Some(shared?.0.into_iter().chain(own?.0).collect())
}

fn path(field: &Field<'_, FilePath>, notes: &mut Notes<'_>) -> Reading<Option<PathBuf>> {
    field.read(notes).map(|FilePath(path)| Some(path))
}
