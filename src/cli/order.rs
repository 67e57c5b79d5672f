//! `start`, `stop`, `restart`, `hold`, `release`, `reload`, `wait`, `signal`: an order, and what comes of it.

use super::Color;
use super::answer::{complain, refused, tell, tell_json};
use super::client::{Connection, left};
use super::interrupts::Interrupts;
use super::progress::Progress;
use super::table::Paint;
use super::trouble::{Trouble, in_trouble};
use super::way::{Services, Timeout, Way};
use crate::core::Time;
use crate::exit::ExitCode;
use crate::limits::ANSWER_GRACE;
use crate::os::Os;
use crate::protocol::control::{ControlRequest, Order, Reply};
use crate::protocol::status::AppliedCounts;
use clap::Args;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The events of a reload that its answer says once more.
const SAID_BY_A_RELOAD: [&str; 3] = ["mistake", "reload-refused", "reloaded"];

/// An order for some services.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct OrderArgs {
    #[command(flatten)]
    services: Services,

    #[command(flatten)]
    patience: Patience,

    #[command(flatten)]
    way: Way,
}

/// How long to wait for the outcome.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Do not wait until it is known what comes of it
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,

    #[command(flatten)]
    timeout: Timeout,
}

/// To apply the config file.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ReloadArgs {
    #[command(flatten)]
    patience: Patience,

    #[command(flatten)]
    way: Way,
}

/// To wait until services are up.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct WaitArgs {
    #[command(flatten)]
    services: Services,

    #[command(flatten)]
    timeout: Timeout,

    #[command(flatten)]
    way: Way,
}

/// To replace the supervisor.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct UpgradeArgs {
    #[command(flatten)]
    timeout: Timeout,

    #[command(flatten)]
    way: Way,
}

/// To send a signal.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct SignalArgs {
    /// A name such as HUP or SIGHUP, or a number
    #[arg(value_name = "SIGNAL", value_parser = signal_number)]
    signal: i32,

    #[command(flatten)]
    services: Services,

    #[command(flatten)]
    timeout: Timeout,

    #[command(flatten)]
    way: Way,
}

/// What is ordered of services in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Start,
    Stop,
    Restart,
    Hold,
    Release,
}

/// What a command has of its command line besides the request.
#[derive(Clone, Copy)]
struct Call<'a> {
    config: &'a Path,
    color: Color,
    way: &'a Way,
    timeout: Timeout,
}

/// Gives an order and waits for what comes of it.
pub(super) fn order(config: &Path, color: Color, kind: Kind, args: &OrderArgs) -> ExitCode {
    let order = Order { services: args.services.patterns(), wait: !args.patience.no_wait };
    let (request, failure) = match kind {
        Kind::Start => (ControlRequest::Start(order), ExitCode::RestartFailed),
        Kind::Stop => (ControlRequest::Stop(order), ExitCode::Failed),
        Kind::Restart => (ControlRequest::Restart(order), ExitCode::RestartFailed),
        Kind::Hold => (ControlRequest::Hold(order), ExitCode::Failed),
        Kind::Release => (ControlRequest::Release(order), ExitCode::RestartFailed),
    };
    let call = Call { config, color, way: &args.way, timeout: args.patience.timeout };
    carry_out(call, &request, failure)
}

/// Has the config file applied.
pub(super) fn reload(config: &Path, color: Color, args: &ReloadArgs) -> ExitCode {
    let request = ControlRequest::Reload { wait: !args.patience.no_wait };
    let call = Call { config, color, way: &args.way, timeout: args.patience.timeout };
    carry_out(call, &request, ExitCode::RestartFailed)
}

/// Waits until services are up.
pub(super) fn wait(config: &Path, color: Color, args: &WaitArgs) -> ExitCode {
    let request = ControlRequest::Wait { services: args.services.patterns() };
    let call = Call { config, color, way: &args.way, timeout: args.timeout };
    carry_out(call, &request, ExitCode::NotRunning)
}

/// Has the supervisor become the program now on disk.
pub(super) fn upgrade(config: &Path, color: Color, args: &UpgradeArgs) -> ExitCode {
    let call = Call { config, color, way: &args.way, timeout: args.timeout };
    carry_out(call, &ControlRequest::Upgrade {}, ExitCode::Failed)
}

/// Has a signal sent.
pub(super) fn signal(config: &Path, color: Color, args: &SignalArgs) -> ExitCode {
    let request = ControlRequest::Signal { services: args.services.patterns(), signal: args.signal };
    let call = Call { config, color, way: &args.way, timeout: args.timeout };
    carry_out(call, &request, ExitCode::NotRunning)
}

fn carry_out(call: Call<'_>, request: &ControlRequest, failure: ExitCode) -> ExitCode {
    match outcome(call, request) {
        Ok(Ended::Answered(reply)) => show(call, &reply, failure),
        Ok(Ended::TimedOut(timeout)) => {
            let limit = humantime::format_duration(timeout);
            let is_wait = matches!(request, ControlRequest::Wait { .. });
            complain(&if is_wait {
                format!("not up after {limit}; `status` shows how they are")
            } else {
                format!("not known after {limit} what came of it; it goes on")
            });
            ExitCode::TimedOut
        }
        Ok(Ended::Interrupted(signal)) => {
            if !request.only_looks() {
                complain("no longer waiting; what was ordered goes on, and `status` shows what comes of it");
            }
            Interrupts::end_by(signal);
            ExitCode::TimedOut
        }
        Err(trouble) => in_trouble(&trouble),
    }
}

/// How a wait for the outcome ended.
enum Ended {
    /// With this reply.
    Answered(Reply),
    /// The time that the command line allows is over.
    TimedOut(Duration),
    /// By a signal to this command.
    Interrupted(i32),
}

/// Orders, waits for the last reply, and shows what is told until then.
fn outcome(call: Call<'_>, request: &ControlRequest) -> Result<Ended, Trouble> {
    let Call { way, timeout: Timeout { timeout }, .. } = call;
    let began = Os::clock();
    let until = timeout.map(|timeout| began + timeout.max(ANSWER_GRACE));
    let (mut connection, greeting) = greeted(call, request, began)?;
    if let refusal @ Reply::Error { .. } = greeting {
        return Ok(Ended::Answered(refusal));
    }
    let mut interrupts = Interrupts::catch().map_err(Trouble::Lost)?;
    connection.ask(request)?;
    let progress = Progress::new(began, way.json, call.color);
    let says = |event: &Value| {
        let kind = event.get("event").and_then(Value::as_str).unwrap_or_default();
        matches!(request, ControlRequest::Reload { .. }) && SAID_BY_A_RELOAD.contains(&kind)
    };
    let mut upgrading = false;
    loop {
        if let (Some(timeout), Some(Duration::ZERO)) = (timeout, left(until)) {
            progress.end();
            return Ok(Ended::TimedOut(timeout));
        }
        let patience = left(until).into_iter().chain(progress.tick()).min();
        if let Some(signal) = interrupts.wait(&connection, patience) {
            progress.end();
            return Ok(Ended::Interrupted(signal));
        }
        let next = connection.next(Some(Duration::ZERO)).inspect_err(|_| progress.end());
        match next {
            Err(Trouble::Lost(_)) if upgrading => return Err(Trouble::Upgraded),
            Ok(Some(Reply::Upgrading {})) => upgrading = true,
            Ok(Some(Reply::Event { event })) if says(&event) => {}
            Ok(Some(Reply::Event { event })) => progress.event(&event),
            Ok(Some(Reply::Lost { events })) => progress.lost(events),
            Ok(Some(reply)) => {
                progress.end();
                return Ok(Ended::Answered(reply));
            }
            Ok(None) => progress.wait(),
            Err(trouble) => return Err(trouble),
        }
    }
}

/// A connection to a supervisor that answers: one that does not is to find no order when it wakes up.
fn greeted(call: Call<'_>, request: &ControlRequest, began: Time) -> Result<(Connection, Reply), Trouble> {
    // Without a time to wait a mistake in the command line would wait for ever.
    let timeout = call.timeout.timeout.filter(|_| matches!(request, ControlRequest::Wait { .. }));
    loop {
        let patience = timeout.map(|timeout| timeout.saturating_sub(Os::clock() - began));
        let mut connection = match patience {
            Some(patience) => Connection::to_come(call.config, call.way, patience)?,
            None => Connection::to(call.config, call.way)?,
        };
        match connection.answer(&ControlRequest::Version {}, call.timeout) {
            // One that was killed takes connections until its end.
            Err(Trouble::Lost(_)) if patience.is_some_and(|patience| !patience.is_zero()) => {}
            answer => return answer.map(|answer| (connection, answer)),
        }
    }
}

fn show(call: Call<'_>, reply: &Reply, failure: ExitCode) -> ExitCode {
    let Some((ok, lines)) = in_words(reply, call.color.on_stdout()) else { return refused(call.way, reply) };
    let code = if ok { ExitCode::Ok } else { failure };
    if call.way.json { tell_json(reply, code) } else { tell(lines.join("\n"), code) }
}

/// What came of an order, for people, and whether it is as it was asked for. Nothing for a refusal.
fn in_words(reply: &Reply, color: bool) -> Option<(bool, Vec<String>)> {
    if let Reply::Upgraded { from, program, pid, took_ms } = reply {
        let took = humantime::format_duration(Duration::from_millis(*took_ms));
        return Some((true, vec![format!("pid {pid} is {program} now, was {from}; took {took}")]));
    }
    let Reply::Done { ok, services, applied } = reply else { return None };
    let counts = applied.map(|counts| {
        let AppliedCounts { added, removed, restarted, in_place, untouched } = counts;
        format!(
            "config applied: {added} added, {removed} removed, {restarted} restarted, {in_place} changed in place, \
             {untouched} untouched"
        )
    });
    let services = services.iter().flat_map(|service| {
        let paint = if service.ok { Paint::Good } else { Paint::Bad };
        let name = paint.on(&service.service, color).into_owned();
        let words = service.last_words.iter().map(|line| format!("    its stderr: {line:?}"));
        std::iter::once(format!("{name}: {}", service.message)).chain(words)
    });
    Some((*ok, counts.into_iter().chain(services).collect()))
}

/// The number of a signal.
fn signal_number(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse() {
        let is_one = (1..=64).contains(&number);
        return if is_one { Ok(number) } else { Err("signals are 1 to 64".into()) };
    }
    let name = text.to_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    name.parse::<Signal>().map(|signal| signal as i32).map_err(|_| "no such signal".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("HUP", 1), ("SIGHUP", 1), ("hup", 1), ("usr2", 12), ("15", 15)] {
            assert_eq!(signal_number(text), Ok(number), "{text}");
        }
        for text in ["SIGNAL", "", "0", "65", "-1"] {
            assert!(signal_number(text).is_err(), "{text}");
        }
    }
}
