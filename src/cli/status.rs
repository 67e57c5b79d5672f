//! `status`: a table of all services, or one of them in depth.

use super::Color;
use super::answer::{refused, tell};
use super::client::{ask_for_line, read};
use super::table::{Paint, Table};
use super::trouble::{Trouble, in_trouble};
use super::way::{Services, Timeout, Way};
use crate::exit::ExitCode;
use crate::protocol::StatusAsItCame;
use crate::protocol::control::ControlRequest;
use crate::protocol::status::{
    ConfigState, RestartCounts, ServiceStatus, SocketStatus, Stale, SupervisorStatus, Unhealthy,
};
use clap::Args;
use std::fmt;
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
    let Some(told) = StatusAsItCame::of(&line) else { return Ok(refused(&args.way, &read(&line)?)) };
    if args.way.json {
        let all_run = told.states().map_err(Trouble::Gibberish)?.all(|state| runs(&state));
        return Ok(tell(told, exit_code(all_run)));
    }
    let (mut names, mut table, mut only) = (String::new(), Table::new(HEADING), None);
    let mut all_run = true;
    let supervisor = told.read(|service| {
        all_run &= runs(&service.state);
        if args.names {
            names += &service.name;
            names.push('\n');
        } else if in_depth {
            only = Some(service);
        } else {
            row(&mut table, &service);
        }
    });
    let supervisor = supervisor.map_err(Trouble::Gibberish)?;
    let text = match only {
        Some(service) => show(&service, &supervisor, color.on_stdout()).join("\n"),
        None if args.names => names.trim_end().into(),
        None => table.lines(color.on_stdout()) + &below(&supervisor),
    };
    Ok(tell(text, exit_code(all_run)))
}

/// Is this the word for a service that runs?
fn runs(state: &str) -> bool {
    matches!(state, "up" | "restarting")
}

fn exit_code(all_run: bool) -> ExitCode {
    if all_run { ExitCode::Ok } else { ExitCode::NotRunning }
}

/// What stands below the table: the supervisor in two lines, or three.
fn below(supervisor: &SupervisorStatus) -> String {
    let SupervisorStatus { pid, program, services, up, .. } = supervisor;
    let itself = format!("\n{up}/{services} up; bootstrap {program}, pid {pid}, {}", existence(supervisor));
    let lines: Vec<String> = std::iter::once(itself).chain(of_file(supervisor)).collect();
    lines.join("\n")
}

/// For how long the supervisor has been there, and since when as this program, where that is another time.
fn existence(supervisor: &SupervisorStatus) -> String {
    let SupervisorStatus { uptime_ms, program_uptime_ms, .. } = supervisor;
    // A start is not timed to the millisecond.
    match uptime_ms.saturating_sub(*program_uptime_ms) {
        0..START_MS => format!("for {}", Age(*program_uptime_ms)),
        _ => format!("for {}, this program for {}", Age(*uptime_ms), Age(*program_uptime_ms)),
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

const HEADING: [&str; 8] =
    ["SERVICE", "STATE", "GENERATION", "PID", "UPTIME", "RESTARTS", "WAITING", "NOTES"];

fn row(table: &mut Table<8>, service: &ServiceStatus) {
    let counts = &service.restarts;
    table.plain(&service.name);
    table.cell(&service.state, paint(&service.state));
    table.plain(Known(service.generation));
    table.plain(pids(service));
    table.plain(Known(service.uptime_ms.map(Age)));
    table.plain(counts.asked + counts.crash + counts.unhealthy + counts.rollback);
    table.plain(queue(&service.sockets));
    table.plain(notes(service).join("; "));
}

fn paint(state: &str) -> Paint {
    match state {
        "up" => Paint::Good,
        "crashed" => Paint::Bad,
        "starting" | "restarting" | "backoff" | "stopping" | "held" => Paint::Odd,
        _ => Paint::Plain,
    }
}

/// What is known, else a dash.
struct Known<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The first pids, and how many more there are.
fn pids(service: &ServiceStatus) -> String {
    const SHOWN: usize = 3;
    let pids = || service.runs.iter().filter_map(|run| run.pid);
    let first: Vec<String> = pids().take(SHOWN).map(|pid| pid.to_string()).collect();
    match pids().count() {
        0 => "-".into(),
        1..=SHOWN => first.join(","),
        more => format!("{},+{}", first.join(","), more - SHOWN),
    }
}

/// What waits at all sockets together: clients, and bytes of datagrams.
fn queue(sockets: &[SocketStatus]) -> String {
    let clients = sockets.iter().filter_map(|socket| socket.waiting).reduce(|a, b| a + b);
    let bytes = sockets.iter().filter_map(|socket| socket.waiting_bytes).reduce(|a, b| a + b);
    match (clients, bytes.map(size)) {
        (None, None) => "-".into(),
        (Some(clients), None) => clients.to_string(),
        (None, Some(bytes)) => bytes,
        (Some(clients), Some(bytes)) => format!("{clients}+{bytes}"),
    }
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
    if let Some(reason) = &service.reason {
        // Where it is an exit it is known when it was.
        let exit = service.last_exit.as_ref().filter(|exit| reason.starts_with(&exit.message));
        let ago = exit.map_or_else(String::new, |exit| format!(" {} ago", Age(exit.age_ms)));
        notes.push(format!("{reason}{ago}"));
    }
    notes
}

/// For how long a process has been sick, and what shows it.
fn ailment(sick: &Unhealthy) -> String {
    format!("for {}: {}", Age(sick.age_ms), sick.message)
}

/// One service with all that is known of it.
fn show(service: &ServiceStatus, supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let since = service.uptime_ms.map_or_else(String::new, |uptime| format!(" for {}", Age(uptime)));
    let state = paint(&service.state).on(&service.state, color);
    let mut lines = vec![format!("{}: {state}{since}", service.name)];
    let mut rows = Vec::new();
    let mut say = |key: &str, text: String| rows.push([key.to_owned(), text]);
    for run in &service.runs {
        let what = if run.serves { "serves" } else { "is not ready yet" };
        let pid = run.pid.map_or_else(|| "no pid yet".into(), |pid| format!("pid {pid}"));
        let (generation, worker, age) = (run.generation, run.worker, Age(run.age_ms));
        say("run", format!("generation {generation}, {pid}, worker {worker}: {what}; started {age} ago"));
        run.reloading_ms.iter().for_each(|ms| say("reloading", format!("for {}", Age(*ms))));
        run.status.iter().for_each(|words| say("says", words.clone()));
        run.unhealthy.iter().for_each(|sick| say("unhealthy", ailment(sick)));
    }
    for run in &service.draining {
        let pid = run.pid.map_or_else(|| "no pid".into(), |pid| format!("pid {pid}"));
        let left = run.left_ms.map_or_else(String::new, |left| format!("; {} left", Age(left)));
        let (generation, age) = (run.generation, Age(run.age_ms));
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
        let age = Age(exit.age_ms);
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

/// So many milliseconds, with their two largest units.
struct Age(u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ms) = *self;
        let duration = if ms < 1000 { Duration::from_millis(ms) } else { Duration::from_secs(ms / 1000) };
        if duration.is_zero() {
            return f.write_str("0ms");
        }
        let all = humantime::format_duration(duration).to_string();
        let end = all.match_indices(' ').nth(1).map_or(all.len(), |(at, _)| at);
        f.write_str(&all[..end])
    }
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
            assert_eq!(Age(ms), text);
        }
    }
}
