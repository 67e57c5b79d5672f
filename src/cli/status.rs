//! `status`: a table of all services, or one of them in depth.

use super::Color;
use super::answer::{refused, tell};
use super::client::{ask_for_line, read};
use super::table::{Paint, Table};
use super::trouble::{Trouble, in_trouble};
use super::way::{Services, Timeout, Way};
use super::words::{Age, Known, ailment, notes, pids, queue, queue_in_words, restarts};
use crate::exit::ExitCode;
use crate::protocol::control::ControlRequest;
use crate::protocol::status::{ConfigState, ServiceStatus, Stale, SupervisorStatus};
use crate::protocol::{StatusAsItCame, StatusAsItComes};
use crate::report::printable;
use clap::Args;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::path::Path;

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
    let mut all_run = true;
    let (mut names, mut table, mut only) = (String::new(), Table::new(HEADING), None);
    let (line, supervisor) = if args.way.json {
        ask(config, args, patterns, |State { state, removed }| all_run &= removed || runs(&state))?
    } else {
        ask(config, args, patterns, |service: ServiceStatus| {
            all_run &= service.removed || runs(&service.state);
            if args.names {
                names += &service.name;
                names.push('\n');
            } else if in_depth {
                only = Some(service);
            } else {
                row(&mut table, &service);
            }
        })?
    };
    let Some(told) = StatusAsItCame::of(&line) else { return Ok(refused(&args.way, &read(&line)?)) };
    let (supervisor, code) = (supervisor.map_err(Trouble::Gibberish)?, exit_code(all_run));
    if args.way.json {
        return Ok(tell(told, code));
    }
    let text = match only {
        Some(service) => show(&service, &supervisor, color.on_stdout()).join("\n"),
        None if args.names => names.trim_end().into(),
        None => table.lines(color.on_stdout()) + &below(&supervisor),
    };
    Ok(tell(text, code))
}

/// What is read of a service that is handed on as it came.
#[derive(Deserialize)]
struct State {
    state: Cow<'static, str>,
    #[serde(default)]
    removed: bool,
}

/// Asks, and takes each service as it comes: there may be ten thousand. Gives the line, and what it says of the supervisor
/// where it is a status.
fn ask<T: DeserializeOwned>(
    config: &Path,
    args: &StatusArgs,
    services: Vec<String>,
    mut each: impl FnMut(T),
) -> Result<(Vec<u8>, serde_json::Result<SupervisorStatus>), Trouble> {
    let (mut reader, mut so_far) = (StatusAsItComes::default(), Ok(()));
    let mut seen = |line: &[u8]| {
        if so_far.is_ok() {
            so_far = reader.go_on(line, &mut each);
        }
    };
    let request = ControlRequest::Status { services };
    let line = ask_for_line(config, &args.way, args.timeout, &request, &mut seen)?;
    Ok((line, so_far.and_then(|()| reader.end())))
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
    table.cell(&service.state, paint(service));
    let newest = service.runs.iter().map(|run| run.generation).max();
    table.plain(Known(newest.or(service.generation)));
    table.plain(pids(service));
    table.plain(Known(service.uptime_ms.map(Age)));
    table.plain(counts.asked + counts.crash + counts.unhealthy + counts.rollback);
    table.plain(queue(&service.sockets));
    table.plain(printable(&notes(service).join("; ")));
}

fn paint(service: &ServiceStatus) -> Paint {
    match &*service.state {
        "up" if service.restart_failed => Paint::Odd,
        "up" => Paint::Good,
        "crashed" => Paint::Bad,
        "starting" | "restarting" | "backoff" | "stopping" | "held" => Paint::Odd,
        _ => Paint::Plain,
    }
}

/// One service with all that is known of it.
fn show(service: &ServiceStatus, supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let words = if service.state == "up" { " for" } else { "; up for" };
    let since = service.uptime_ms.map_or_else(String::new, |uptime| format!("{words} {}", Age(uptime)));
    let state = paint(service).on(&service.state, color);
    let mut lines = vec![format!("{}: {state}{since}", service.name)];
    let mut rows = Vec::new();
    let mut say = |key: &str, text: String| rows.push([key.to_owned(), text]);
    for run in &service.runs {
        let what = if run.serves { "serves" } else { "is not ready yet" };
        let pid = run.pid.map_or_else(|| "no pid yet".into(), |pid| format!("pid {pid}"));
        let (generation, worker, age) = (run.generation, run.worker, Age(run.age_ms));
        say("run", format!("generation {generation}, {pid}, worker {worker}: {what}; started {age} ago"));
        if !run.accepts_at.is_empty() {
            say("accepts at", format!("{}, until it is restarted", run.accepts_at.join(", ")));
        }
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
        let ago = service.last_failure_age_ms.map_or_else(String::new, |age| format!("{} ago: ", Age(age)));
        say("last failure", format!("{ago}{failure}"));
    }
    for line in &service.last_words {
        say("its stderr", format!("{line:?}"));
    }
    match (service.stale, supervisor.config_state) {
        (Some(Stale::Changed), _) => {
            say("config", format!("{} says something else than runs; see `plan`", supervisor.config));
        }
        (Some(Stale::Behind), _) => {
            say(
                "config",
                format!("{} is loaded; what it said before runs until a restart", supervisor.config),
            );
        }
        (Some(Stale::Removed), _) => {
            say("config", format!("{} does not have it any more; see `plan`", supervisor.config));
        }
        (None, ConfigState::Broken) => {
            say("config", format!("{} has mistakes, or cannot be read; see `check`", supervisor.config));
        }
        (None, ConfigState::Applied | ConfigState::Changed) => {}
    }
    lines.extend(rows.into_iter().map(|[key, text]| format!("  {key:<12} {}", printable(&text))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
