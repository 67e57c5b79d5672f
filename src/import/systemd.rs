//! Units of systemd: `.service`, and the `.socket` of the same name.

use super::Input;
use super::draft::{Draft, Drafts};
use super::output::{Output, Stream};
use super::rights;
use super::systemd_command;
use super::systemd_environment;
use super::systemd_order::Order;
use super::systemd_socket;
use super::systemd_unit::{Unit, has_specifier, units, without_specifiers};
use crate::limits::DURATION_MAX;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who a process is and what it may do, and the key that does it here.
const RIGHTS: [(&str, &str); 9] = [
    ("User", "user"),
    ("Group", "group"),
    ("SupplementaryGroups", "supplementary_groups"),
    ("UMask", "umask"),
    ("Nice", "nice"),
    ("OOMScoreAdjust", "oom_score_adjust"),
    ("NoNewPrivileges", "no_new_privs"),
    ("CapabilityBoundingSet", "capabilities"),
    ("AmbientCapabilities", "ambient_capabilities"),
];

/// What systemd limits by a cgroup.
const OF_CGROUP: [&str; 6] = ["MemoryMax", "MemoryHigh", "MemoryLimit", "CPUQuota", "CPUWeight", "TasksMax"];

/// What all limits of `setrlimit(2)` begin with.
const LIMIT: &str = "Limit";

/// How long systemd waits for a service that says when it is ready, and for one to end, where nothing is said
/// (`DefaultTimeoutStartSec`, `DefaultTimeoutStopSec`).
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) fn read(inputs: &[Input], drafts: &mut Drafts) {
    let (units, lost) = units(inputs);
    for drop_in in lost {
        drafts.note(format!(
            "{}/{}: the unit that it is for is not among the files",
            drop_in.directory, drop_in.name
        ));
    }
    let mut sockets: BTreeMap<String, Vec<&Unit<'_>>> = BTreeMap::new();
    let (of_sockets, services): (Vec<&Unit<'_>>, Vec<&Unit<'_>>) =
        units.iter().partition(|unit| unit.name.ends_with(".socket"));
    for unit in of_sockets {
        sockets.entry(systemd_socket::service_of(unit)).or_default().push(unit);
    }
    let mut order = Order::default();
    for unit in services {
        let stem = unit.name.strip_suffix(".service").unwrap_or(unit.name);
        let mut draft = Draft::new(stem);
        let said = service(unit, &mut draft, &|key| drafts.knows(key));
        for socket in sockets.remove(stem).into_iter().flatten() {
            systemd_socket::add(socket, &mut draft);
        }
        let Some(name) = drafts.add(draft) else {
            for (key, value) in said {
                drafts.note(format!("[Unit] {key}={value}: has no counterpart"));
            }
            continue;
        };
        order.is_service(stem, name);
        for (key, units) in said {
            order.say(name, &key, &units);
        }
    }
    order.write(drafts);
    for unit in sockets.into_values().flatten() {
        drafts.note(format!("{}: the service that it is for is not among the files", unit.name));
    }
}

/// What `[Unit]` says of other units.
type OfUnits = Vec<(String, String)>;

fn service(unit: &Unit<'_>, draft: &mut Draft, knows: &dyn Fn(&str) -> bool) -> OfUnits {
    let mut of_units = OfUnits::new();
    draft.set_time("drain_timeout", PATIENCE);
    let mut output = Output::default();
    // Where nothing else is said.
    output.join();
    for text in &unit.strange {
        draft.note(format!("{text}: is no key"));
    }
    for (section, key, value) in &unit.keys {
        match &**section {
            "Service" if written(key, value, &mut output) => {}
            "Service" => of_service(key, value, draft, knows),
            // What the unit is called by people, and where it belongs among others of systemd.
            "Unit" if key == "Description" => draft.note(value),
            "Unit" if Order::knows(key) => of_units.push((key.clone(), value.clone())),
            _ => draft.note(format!("[{section}] {key}={value}: has no counterpart")),
        }
    }
    if draft.has("watchdog") {
        // It is fed by `sd_notify`, whatever the `Type` is.
        draft.set("handshake", "systemd");
    }
    output.write(draft);
    systemd_environment::settle(draft);
    of_units
}

/// The keys about what it writes; tells whether this is one that has a counterpart.
fn written(key: &str, value: &str, output: &mut Output) -> bool {
    let stream = match key {
        "StandardOutput" => Stream::Stdout,
        "StandardError" => Stream::Stderr,
        _ => return false,
    };
    let to = match value {
        // Of stdout it means stdin, which is /dev/null.
        "inherit" if stream == Stream::Stderr => return true,
        "null" | "journal" | "syslog" => value.to_owned(),
        _ => match value.split_once(':') {
            Some((how @ ("append" | "file" | "truncate"), path))
                if path.starts_with('/') && !path.contains(['%', '\0']) =>
            {
                output.keeps(stream, "log_max_bytes", "unlimited", (key, value));
                if how != "append" {
                    output.note(format!("{key}={value}: ours goes on at the end of what is there"));
                }
                format!("file:{path}")
            }
            _ => return false,
        },
    };
    if stream == Stream::Stderr {
        output.part();
    }
    output.goes(stream, to, key, value);
    true
}

fn of_service(key: &str, value: &str, draft: &mut Draft, knows: &dyn Fn(&str) -> bool) {
    let time =
        |key: &'static str, draft: &mut Draft| timespan(value).is_some_and(|time| draft.set_time(key, time));
    let timeout =
        |key: &'static str, draft: &mut Draft| patience(value).is_some_and(|time| draft.set_time(key, time));
    let done = match key {
        "ExecStart" if draft.has("command") => false,
        "ExecStart" => {
            systemd_command::set(value, draft);
            true
        }
        "Type" => kind(value, draft),
        "Environment" => systemd_environment::variables(value, draft),
        "EnvironmentFile" if value.starts_with('/') && !draft.has("env_file") => {
            draft.set("env_file", without_specifiers(value));
            !has_specifier(value)
        }
        "EnvironmentFile" if value.starts_with("-/") => {
            draft.note(format!("{key}={value}: see `env_file`; ours has to be there"));
            true
        }
        "WorkingDirectory" if value.trim_start_matches('-').starts_with('/') => {
            draft.set("directory", without_specifiers(value.trim_start_matches('-')));
            if value.starts_with('-') {
                draft.note(format!("{key}={value}: see `directory`; ours has to be there"));
            }
            !has_specifier(value)
        }
        "Restart" => restart(value, draft),
        // There each pause is as long as the first.
        "RestartSec" => time("restart_delay", draft) && time("restart_delay_max", draft),
        "TimeoutStartSec" => timeout("ready_timeout", draft),
        "TimeoutStopSec" => timeout("drain_timeout", draft),
        "TimeoutSec" => timeout("ready_timeout", draft) && timeout("drain_timeout", draft),
        "WatchdogSec" => time("watchdog", draft),
        "CapabilityBoundingSet" if value.is_empty() => {
            draft.set("capabilities", Vec::<toml::Value>::new());
            true
        }
        "KillSignal" => {
            draft.stop_signal(key, value);
            true
        }
        _ => false,
    };
    let right = RIGHTS.iter().find(|(theirs, _)| *theirs == key).map(|(_, ours)| *ours);
    let limit = key.starts_with(LIMIT).then_some("rlimits");
    let ours = right.or(limit).or(OF_CGROUP.contains(&key).then_some("cgroup"));
    match ours.filter(|ours| knows(ours)) {
        _ if done => {}
        Some(ours) if rights::set(ours, key, value, draft) => {}
        Some(ours) => draft.note(format!("{key}={value}: see `{ours}`")),
        None => draft.without_counterpart(key, value),
    }
}

fn kind(value: &str, draft: &mut Draft) -> bool {
    match value {
        "simple" | "exec" => true,
        "notify" | "notify-reload" => {
            draft.set("handshake", "systemd");
            draft.set("ready", "notify");
            if !draft.has("ready_timeout") {
                draft.set_time("ready_timeout", PATIENCE);
            }
            value == "notify"
        }
        "forking" => {
            draft
                .note("Type=forking: it has to stay in the foreground; most servers have an option for that");
            true
        }
        _ => false,
    }
}

fn restart(value: &str, draft: &mut Draft) -> bool {
    let (ours, same) = match value {
        "no" | "on-failure" | "always" => (value, true),
        "on-abnormal" | "on-abort" | "on-watchdog" => ("on-failure", false),
        _ => return false,
    };
    draft.set("restart", ours);
    same
}

/// The same of a timeout: none is the longest that we take.
fn patience(text: &str) -> Option<Duration> {
    let time = if text == "infinity" { Some(Duration::ZERO) } else { timespan(text) };
    time.map(|time| if time.is_zero() { DURATION_MAX } else { time })
}

/// `90`, `5min 20s`: a number without a unit counts seconds.
fn timespan(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}
