//! `status`: a table of all services, or one of them in depth.

use super::Color;
use super::answer::{refused, tell, tell_json};
use super::client::{ask_for_line, read};
use super::table::{Cell, Paint, columns};
use super::trouble::{Trouble, in_trouble};
use super::way::{Services, Timeout, Way};
use crate::exit::ExitCode;
use crate::protocol::StatusAsItCame;
use crate::protocol::control::{ControlRequest, Reply};
use crate::protocol::status::{
    ConfigState, RestartCounts, ServiceStatus, SocketStatus, Stale, SupervisorStatus, Unhealthy,
};
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// To see how services are.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StatusArgs {
    #[command(flatten)]
    services: Services,

    /// Print the names alone, one a line
    #[arg(long, conflicts_with = "json")]
    names: bool,

    #[command(flatten)]
    timeout: Timeout,

    #[command(flatten)]
    way: Way,
}

/// Until a supervisor knows when it began its process may have been there for so long.
const START_MS: u64 = 1000;

/// Shows how services are. One that does not run makes the exit code 3.
pub(super) fn status(config: &Path, color: Color, args: &StatusArgs) -> ExitCode {
    ask_and_show(config, color, args).unwrap_or_else(|trouble| in_trouble(&trouble))
}

fn ask_and_show(config: &Path, color: Color, args: &StatusArgs) -> Result<ExitCode, Trouble> {
    let patterns = args.services.patterns();
    let in_depth = matches!(&patterns[..], [name] if !name.contains(['*', '?', ',']));
    let request = ControlRequest::Status { services: patterns };
    let line = ask_for_line(config, &args.way, args.timeout, &request)?;
    if args.way.json
        && let Some(told) = StatusAsItCame::of(&line)
    {
        let code = exit_code(told.states().map_err(Trouble::Gibberish)?);
        return Ok(tell(told, code));
    }
    let reply = read(&line)?;
    let Reply::Status(status) = &reply else { return Ok(refused(&args.way, &reply)) };
    let code = exit_code(status.services.iter().map(|service| &service.state));
    if args.way.json {
        return Ok(tell_json(&reply, code));
    }
    let lines = match &status.services[..] {
        services if args.names => services.iter().map(|service| service.name.clone()).collect(),
        [service] if in_depth => show(service, &status.supervisor, color.on_stdout()),
        services => list(services, &status.supervisor, color.on_stdout()),
    };
    Ok(tell(lines.join("\n"), code))
}

fn exit_code(mut states: impl Iterator<Item = impl AsRef<str>>) -> ExitCode {
    let all_run = states.all(|state| matches!(state.as_ref(), "up" | "restarting"));
    if all_run { ExitCode::Ok } else { ExitCode::NotRunning }
}

fn list(services: &[ServiceStatus], supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let heading = ["SERVICE", "STATE", "GENERATION", "PID", "UPTIME", "RESTARTS", "WAITING", "NOTES"];
    let mut rows = vec![heading.map(Cell::plain).to_vec()];
    rows.extend(services.iter().map(row));
    let mut lines = columns(&rows, color);
    let SupervisorStatus { pid, program, services, up, .. } = supervisor;
    lines.push(format!("\n{up}/{services} up; bootstrap {program}, pid {pid}, {}", existence(supervisor)));
    lines.extend(of_file(supervisor));
    lines
}

/// For how long the supervisor has been there, and since when as this program, where that is another time.
fn existence(supervisor: &SupervisorStatus) -> String {
    let SupervisorStatus { uptime_ms, program_uptime_ms, .. } = supervisor;
    // A start is not timed to the millisecond.
    match uptime_ms.saturating_sub(*program_uptime_ms) {
        0..START_MS => format!("for {}", age(*program_uptime_ms)),
        _ => format!("for {}, this program for {}", age(*uptime_ms), age(*program_uptime_ms)),
    }
}

/// What is to be said of the config file, if anything.
fn of_file(supervisor: &SupervisorStatus) -> Vec<String> {
    let file = &supervisor.config;
    let state = match supervisor.config_state {
        ConfigState::Applied => return Vec::new(),
        ConfigState::Changed => format!("{file} is not what runs; `plan` shows what a reload would do"),
        ConfigState::Broken => format!("{file} has mistakes, or cannot be read; `check` shows them"),
    };
    let new = (!supervisor.not_loaded.is_empty())
        .then(|| format!("not loaded yet: {}", supervisor.not_loaded.join(", ")));
    [state].into_iter().chain(new).collect()
}

fn row(service: &ServiceStatus) -> Vec<Cell<'_>> {
    let counts = &service.restarts;
    vec![
        Cell::plain(&*service.name),
        of_state(service),
        Cell::plain(service.generation.map_or_else(dash, |generation| generation.to_string())),
        Cell::plain(pids(service)),
        Cell::plain(service.uptime_ms.map_or_else(dash, age)),
        Cell::plain((counts.asked + counts.crash + counts.unhealthy + counts.rollback).to_string()),
        Cell::plain(queue(&service.sockets)),
        Cell::plain(notes(service).join("; ")),
    ]
}

fn of_state(service: &ServiceStatus) -> Cell<'_> {
    let paint = match &*service.state {
        "up" if service.restart_failed => Paint::Odd,
        "up" => Paint::Good,
        "crashed" => Paint::Bad,
        "starting" | "restarting" | "backoff" | "stopping" | "held" => Paint::Odd,
        _ => Paint::Plain,
    };
    Cell { text: (&*service.state).into(), paint }
}

fn dash() -> String {
    "-".into()
}

/// The first pids, and how many more there are.
fn pids(service: &ServiceStatus) -> String {
    const SHOWN: usize = 3;
    let all: Vec<String> = service.runs.iter().filter_map(|run| run.pid).map(|pid| pid.to_string()).collect();
    match all.len() {
        0 => dash(),
        1..=SHOWN => all.join(","),
        more => format!("{},+{}", all[..SHOWN].join(","), more - SHOWN),
    }
}

/// What waits at all sockets together: clients, and bytes of datagrams.
fn queue(sockets: &[SocketStatus]) -> String {
    let clients: Vec<u32> = sockets.iter().filter_map(|socket| socket.waiting).collect();
    let bytes: Vec<u64> = sockets.iter().filter_map(|socket| socket.waiting_bytes).collect();
    let clients = (!clients.is_empty()).then(|| clients.iter().sum::<u32>().to_string());
    let bytes = (!bytes.is_empty()).then(|| size(bytes.iter().sum()));
    let known: Vec<String> = clients.into_iter().chain(bytes).collect();
    if known.is_empty() { dash() } else { known.join("+") }
}

/// What waits at one socket, where that is known.
fn queue_in_words(socket: &SocketStatus) -> String {
    if let (Some(waiting), Some(limit)) = (socket.waiting, socket.limit) {
        return format!(": {waiting} of {limit} clients wait");
    }
    let (Some(bytes), Some(limit)) = (socket.waiting_bytes, socket.limit_bytes) else { return String::new() };
    let dropped = match socket.dropped.unwrap_or(0) {
        0 => String::new(),
        1 => "; 1 datagram was dropped".into(),
        dropped => format!("; {dropped} datagrams were dropped"),
    };
    format!(": {} of {} wait{dropped}", size(bytes), size(limit))
}

/// So many bytes.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes}B"),
        1024..1_048_576 => format!("{}KiB", bytes.div_ceil(1024)),
        more => format!("{}MiB", more.div_ceil(1_048_576)),
    }
}

fn notes(service: &ServiceStatus) -> Vec<String> {
    let mut notes = Vec::new();
    if !service.waits_for.is_empty() {
        notes.push(format!("waits for {}", service.waits_for.join(", ")));
    }
    if !service.draining.is_empty() {
        notes.push(format!("{} draining", service.draining.len()));
    }
    if service.runs.iter().any(|run| run.reloading_ms.is_some()) {
        notes.push("reloading".into());
    }
    match service.stale {
        Some(Stale::Changed) => notes.push("differs from the file".into()),
        Some(Stale::Removed) => notes.push("not in the file".into()),
        None => {}
    }
    let sick = service.runs.iter().filter_map(|run| run.unhealthy.as_ref());
    notes.extend(sick.max_by_key(|sick| sick.age_ms).map(|sick| format!("unhealthy {}", ailment(sick))));
    if service.restart_failed && service.reason.is_none() {
        notes.push(format!("the last restart failed: see `status {}`", service.name));
    }
    if let Some(reason) = &service.reason {
        // Where it is an exit it is known when it was.
        let exit = service.last_exit.as_ref().filter(|exit| reason.starts_with(&exit.message));
        let ago = exit.map_or_else(String::new, |exit| format!(" {} ago", age(exit.age_ms)));
        notes.push(format!("{reason}{ago}"));
    }
    notes
}

/// For how long a process has been sick, and what shows it.
fn ailment(sick: &Unhealthy) -> String {
    format!("for {}: {}", age(sick.age_ms), sick.message)
}

/// One service with all that is known of it.
fn show(service: &ServiceStatus, supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let since = service.uptime_ms.map_or_else(String::new, |uptime| format!(" for {}", age(uptime)));
    let state = of_state(service);
    let mut lines = vec![format!("{}: {}{since}", service.name, state.painted(color))];
    let mut rows = Vec::new();
    let mut say = |key: &str, text: String| rows.push([key.to_owned(), text]);
    for run in &service.runs {
        let what = if run.serves { "serves" } else { "is not ready yet" };
        let pid = run.pid.map_or_else(|| "no pid yet".into(), |pid| format!("pid {pid}"));
        let (generation, worker, age) = (run.generation, run.worker, age(run.age_ms));
        say("run", format!("generation {generation}, {pid}, worker {worker}: {what}; started {age} ago"));
        run.reloading_ms.iter().for_each(|ms| say("reloading", format!("for {}", self::age(*ms))));
        run.status.iter().for_each(|words| say("says", words.clone()));
        run.unhealthy.iter().for_each(|sick| say("unhealthy", ailment(sick)));
    }
    for run in &service.draining {
        let pid = run.pid.map_or_else(|| "no pid".into(), |pid| format!("pid {pid}"));
        let left = run.left_ms.map_or_else(String::new, |left| format!("; {} left", age(left)));
        let (generation, age) = (run.generation, age(run.age_ms));
        let phase = if run.phase == "asked" { String::new() } else { format!("{}, ", run.phase) };
        let asked = if run.by_itself { "leaves by itself since" } else { "asked" };
        say("draining", format!("generation {generation}, {pid}: {phase}{asked} {age} ago{left}"));
    }
    for socket in &service.sockets {
        say("socket", format!("{}{}", socket.address, queue_in_words(socket)));
    }
    if !service.waits_for.is_empty() {
        say("waits for", service.waits_for.join(", "));
    }
    say("restarts", restarts(&service.restarts));
    if let Some(exit) = &service.last_exit {
        let age = age(exit.age_ms);
        say("last exit", format!("generation {} {}, {age} ago", exit.generation, exit.message));
    }
    if let Some(failure) = &service.last_failure {
        say("last failure", failure.clone());
    }
    for line in &service.last_words {
        say("its stderr", format!("{line:?}"));
    }
    match (service.stale, supervisor.config_state) {
        (Some(Stale::Changed), _) => {
            say("config", format!("{} says something else than runs; see `plan`", supervisor.config));
        }
        (Some(Stale::Removed), _) => {
            say("config", format!("{} does not have it any more; see `plan`", supervisor.config));
        }
        (None, ConfigState::Broken) => {
            say("config", format!("{} has mistakes, or cannot be read; see `check`", supervisor.config));
        }
        (None, ConfigState::Applied | ConfigState::Changed) => {}
    }
    lines.extend(rows.into_iter().map(|[key, text]| format!("  {key:<12} {text}")));
    lines
}

/// How often it was started again, and why; what never happened is not mentioned.
fn restarts(counts: &RestartCounts) -> String {
    let all = [
        (counts.asked, "asked for"),
        (counts.crash, "after crashes"),
        (counts.unhealthy, "of sick processes"),
        (counts.rollback, "rolled back"),
        (counts.failed, "failed"),
    ];
    let happened: Vec<String> = all
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if happened.is_empty() { "none".into() } else { happened.join("; ") }
}

/// A duration with its two largest units.
fn age(ms: u64) -> String {
    let duration = if ms < 1000 { Duration::from_millis(ms) } else { Duration::from_secs(ms / 1000) };
    if duration.is_zero() {
        return "0ms".into();
    }
    let text = humantime::format_duration(duration).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_in_one_word_and_in_a_sentence() {
        let none = SocketStatus {
            address: "unix:a".into(),
            name: None,
            waiting: None,
            limit: None,
            waiting_bytes: None,
            limit_bytes: None,
            dropped: None,
        };
        let tcp = SocketStatus { waiting: Some(3), limit: Some(128), ..none.clone() };
        let udp = |dropped| SocketStatus {
            waiting_bytes: Some(1664),
            limit_bytes: Some(212_992),
            dropped: Some(dropped),
            ..none.clone()
        };
        for (socket, words) in [
            (&none, ""),
            (&tcp, ": 3 of 128 clients wait"),
            (&udp(0), ": 2KiB of 208KiB wait"),
            (&udp(1), ": 2KiB of 208KiB wait; 1 datagram was dropped"),
            (&udp(17), ": 2KiB of 208KiB wait; 17 datagrams were dropped"),
        ] {
            assert_eq!(queue_in_words(socket), words);
        }
        for (sockets, word) in [
            (vec![none.clone()], "-"),
            (vec![tcp.clone(), none.clone(), tcp.clone()], "6"),
            (vec![udp(0)], "2KiB"),
            (vec![tcp, udp(0)], "3+2KiB"),
        ] {
            assert_eq!(queue(&sockets), word);
        }
    }

    #[test]
    fn restarts_that_never_happened_are_not_mentioned() {
        let none = RestartCounts::default();
        assert_eq!(restarts(&none), "none");
        assert_eq!(restarts(&RestartCounts { asked: 2, ..none }), "2 asked for");
        let all = RestartCounts { asked: 5, crash: 1, unhealthy: 4, rollback: 2, failed: 3 };
        assert_eq!(
            restarts(&all),
            "5 asked for; 1 after crashes; 4 of sick processes; 2 rolled back; 3 failed"
        );
    }

    #[test]
    fn after_an_upgrade_both_ages_are_told() {
        let told = |uptime_ms, program_uptime_ms| {
            existence(&SupervisorStatus {
                pid: 1,
                program: String::new(),
                config: String::new(),
                config_state: ConfigState::Applied,
                uptime_ms,
                program_uptime_ms,
                services: 0,
                up: 0,
                not_loaded: Vec::new(),
                usage: crate::protocol::status::Usage::default(),
            })
        };
        assert_eq!(told(60_900, 60_000), "for 1m");
        assert_eq!(told(60_000, 997), "for 1m, this program for 997ms");
    }

    #[test]
    fn an_age_has_two_units() {
        for (ms, text) in [(0, "0ms"), (412, "412ms"), (1999, "1s"), (3_723_000, "1h 2m"), (90_000, "1m 30s")]
        {
            assert_eq!(age(ms), text);
        }
    }
}
