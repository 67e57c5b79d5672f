//! `status`: a table of all services, or one of them in depth.

use super::Color;
use super::client::{Services, Way, ask, in_trouble, refused, tell, tell_json};
use super::table::{Cell, Paint, columns};
use crate::exit::ExitCode;
use crate::protocol::control::{ControlRequest, Reply};
use crate::protocol::status::{ConfigState, ServiceStatus, SocketStatus, Stale, Status, SupervisorStatus};
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// To see how services are.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct StatusArgs {
    #[command(flatten)]
    services: Services,

    #[command(flatten)]
    way: Way,
}

/// Shows how services are. One that does not run makes the exit code 3.
pub(super) fn status(config: &Path, color: Color, args: &StatusArgs) -> ExitCode {
    let patterns = args.services.patterns();
    let in_depth = matches!(&patterns[..], [name] if !name.contains(['*', '?', ',']));
    match ask(config, &args.way, &ControlRequest::Status { services: patterns }) {
        Ok(Reply::Status(status)) => {
            let code = exit_code(&status);
            if args.way.json {
                return tell_json(&Reply::Status(status), code);
            }
            let lines = match &status.services[..] {
                [service] if in_depth => show(service, &status.supervisor, color.on_stdout()),
                services => list(services, &status.supervisor, color.on_stdout()),
            };
            tell(&lines.join("\n"), code)
        }
        Ok(other) => refused(&args.way, &other),
        Err(trouble) => in_trouble(&trouble),
    }
}

fn exit_code(status: &Status) -> ExitCode {
    let runs = |service: &ServiceStatus| matches!(&*service.state, "up" | "restarting");
    if status.services.iter().all(runs) { ExitCode::Ok } else { ExitCode::NotRunning }
}

fn list(services: &[ServiceStatus], supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let heading = ["SERVICE", "STATE", "GENERATION", "PID", "UPTIME", "RESTARTS", "WAITING", "NOTES"];
    let mut rows = vec![heading.map(|text| Cell::plain(text.into())).to_vec()];
    rows.extend(services.iter().map(row));
    let mut lines = columns(&rows, color);
    let file = &supervisor.config;
    match supervisor.config_state {
        ConfigState::Applied => {}
        ConfigState::Changed => {
            lines.push(format!("\n{file} is not what runs; `plan` shows what a reload would do"));
        }
        ConfigState::Broken => {
            lines.push(format!("\n{file} has mistakes, or cannot be read; `check` shows them"));
        }
    }
    lines
}

fn row(service: &ServiceStatus) -> Vec<Cell> {
    let counts = &service.restarts;
    vec![
        Cell::plain(service.name.clone()),
        Cell { text: service.state.clone(), paint: paint(&service.state) },
        Cell::plain(service.generation.map_or_else(dash, |generation| generation.to_string())),
        Cell::plain(pids(service)),
        Cell::plain(service.uptime_ms.map_or_else(dash, age)),
        Cell::plain((counts.asked + counts.crash + counts.rollback).to_string()),
        Cell::plain(queue(&service.sockets)),
        Cell::plain(notes(service).join("; ")),
    ]
}

fn paint(state: &str) -> Paint {
    match state {
        "up" => Paint::Good,
        "crashed" => Paint::Bad,
        "starting" | "restarting" | "backoff" | "stopping" | "held" => Paint::Odd,
        _ => Paint::Plain,
    }
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

/// Clients that wait at all sockets together.
fn queue(sockets: &[SocketStatus]) -> String {
    let known: Vec<u32> = sockets.iter().filter_map(|socket| socket.waiting).collect();
    if known.is_empty() { dash() } else { known.iter().sum::<u32>().to_string() }
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
    if let Some(exit) =
        service.last_exit.as_ref().filter(|_| matches!(&*service.state, "crashed" | "backoff"))
    {
        notes.push(format!("{} {} ago", exit.message, age(exit.age_ms)));
    }
    notes
}

/// One service with all that is known of it.
fn show(service: &ServiceStatus, supervisor: &SupervisorStatus, color: bool) -> Vec<String> {
    let since = service.uptime_ms.map_or_else(String::new, |uptime| format!(" for {}", age(uptime)));
    let state = Cell { text: service.state.clone(), paint: paint(&service.state) }.painted(color);
    let mut lines = vec![format!("{}: {state}{since}", service.name)];
    let mut rows = Vec::new();
    let mut say = |key: &str, text: String| rows.push([key.to_owned(), text]);
    for run in &service.runs {
        let what = if run.serves { "serves" } else { "is not ready yet" };
        let pid = run.pid.map_or_else(|| "no pid yet".into(), |pid| format!("pid {pid}"));
        let (generation, worker, age) = (run.generation, run.worker, age(run.age_ms));
        say("run", format!("generation {generation}, {pid}, worker {worker}: {what}; started {age} ago"));
        run.reloading_ms.iter().for_each(|ms| say("reloading", format!("for {}", self::age(*ms))));
        run.status.iter().for_each(|words| say("says", words.clone()));
    }
    for run in &service.draining {
        let pid = run.pid.map_or_else(|| "no pid".into(), |pid| format!("pid {pid}"));
        let left = run.left_ms.map_or_else(String::new, |left| format!("; {} left", age(left)));
        let (generation, phase, age) = (run.generation, &run.phase, age(run.age_ms));
        say("draining", format!("generation {generation}, {pid}: {phase}, asked {age} ago{left}"));
    }
    for socket in &service.sockets {
        let queue = match (socket.waiting, socket.limit) {
            (Some(waiting), Some(limit)) => format!(": {waiting} of {limit} clients wait"),
            _ => String::new(),
        };
        say("socket", format!("{}{queue}", socket.address));
    }
    if !service.waits_for.is_empty() {
        say("waits for", service.waits_for.join(", "));
    }
    let counts = &service.restarts;
    let (asked, crash, rollback, failed) = (counts.asked, counts.crash, counts.rollback, counts.failed);
    say(
        "restarts",
        format!("{asked} asked for, of which {failed} failed; {crash} after crashes; {rollback} rolled back"),
    );
    if let Some(exit) = &service.last_exit {
        let age = age(exit.age_ms);
        say("last exit", format!("generation {} {}, {age} ago", exit.generation, exit.message));
    }
    if let Some(failure) = &service.last_failure {
        say("last failure", failure.clone());
    }
    match service.stale {
        Some(Stale::Changed) => say("config", format!("{} has another definition of it", supervisor.config)),
        Some(Stale::Removed) => say("config", format!("{} does not have it", supervisor.config)),
        None => {}
    }
    lines.extend(rows.into_iter().map(|[key, text]| format!("  {key:<12} {text}")));
    lines
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
    fn an_age_has_two_units() {
        for (ms, text) in [(0, "0ms"), (412, "412ms"), (1999, "1s"), (3_723_000, "1h 2m"), (90_000, "1m 30s")]
        {
            assert_eq!(age(ms), text);
        }
    }
}
