//! `start`, `stop`, `restart`, `hold`, `release`, `reload`, `wait`, `signal`: an order, and what comes of it.

use super::client::{
    Connection, Services, Trouble, Way, complain, in_trouble, left, refused, tell, tell_json,
};
use super::progress::Progress;
use crate::exit::ExitCode;
use crate::os::Os;
use crate::protocol::control::{ControlRequest, Order, Reply};
use crate::protocol::status::AppliedCounts;
use clap::Args;
use nix::sys::signal::Signal;
use std::path::Path;
use std::time::Duration;

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
    #[arg(long)]
    no_wait: bool,

    /// Wait no longer than this, such as 30s; what was ordered goes on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "no_wait")]
    timeout: Option<Duration>,
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

    /// Wait no longer than this, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    way: Way,
}

/// To replace the supervisor.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct UpgradeArgs {
    /// Wait no longer than this, such as 30s
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,

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

/// Gives an order and waits for what comes of it.
pub(super) fn order(config: &Path, kind: Kind, args: &OrderArgs) -> ExitCode {
    let order = Order { services: args.services.patterns(), wait: !args.patience.no_wait };
    let (request, failure) = match kind {
        Kind::Start => (ControlRequest::Start(order), ExitCode::RestartFailed),
        Kind::Stop => (ControlRequest::Stop(order), ExitCode::Failed),
        Kind::Restart => (ControlRequest::Restart(order), ExitCode::RestartFailed),
        Kind::Hold => (ControlRequest::Hold(order), ExitCode::Failed),
        Kind::Release => (ControlRequest::Release(order), ExitCode::RestartFailed),
    };
    carry_out(config, &args.way, &request, args.patience.timeout, failure)
}

/// Has the config file applied.
pub(super) fn reload(config: &Path, args: &ReloadArgs) -> ExitCode {
    let request = ControlRequest::Reload { wait: !args.patience.no_wait };
    carry_out(config, &args.way, &request, args.patience.timeout, ExitCode::RestartFailed)
}

/// Waits until services are up.
pub(super) fn wait(config: &Path, args: &WaitArgs) -> ExitCode {
    let request = ControlRequest::Wait { services: args.services.patterns() };
    carry_out(config, &args.way, &request, args.timeout, ExitCode::NotRunning)
}

/// Has the supervisor become the program now on disk.
pub(super) fn upgrade(config: &Path, args: &UpgradeArgs) -> ExitCode {
    carry_out(config, &args.way, &ControlRequest::Upgrade {}, args.timeout, ExitCode::Failed)
}

/// Has a signal sent.
pub(super) fn signal(config: &Path, args: &SignalArgs) -> ExitCode {
    let request = ControlRequest::Signal { services: args.services.patterns(), signal: args.signal };
    carry_out(config, &args.way, &request, None, ExitCode::NotRunning)
}

fn carry_out(
    config: &Path,
    way: &Way,
    request: &ControlRequest,
    timeout: Option<Duration>,
    failure: ExitCode,
) -> ExitCode {
    match outcome(config, way, request, timeout) {
        Ok(Some(reply)) => show(way, &reply, failure),
        Ok(None) => {
            let limit = humantime::format_duration(timeout.unwrap_or_default());
            complain(&format!("not known after {limit} what came of it; it goes on"));
            ExitCode::TimedOut
        }
        Err(trouble) => in_trouble(&trouble),
    }
}

/// The last reply, with what is told until then shown; nothing when the time is over.
fn outcome(
    config: &Path,
    way: &Way,
    request: &ControlRequest,
    timeout: Option<Duration>,
) -> Result<Option<Reply>, Trouble> {
    let mut connection = Connection::open(config, way)?;
    let began = Os::clock();
    let until = timeout.map(|timeout| began + timeout);
    connection.ask(request)?;
    let progress = Progress::new(began, way.json);
    let mut upgrading = false;
    loop {
        if left(until).is_some_and(|left| left.is_zero()) {
            progress.end();
            return Ok(None);
        }
        let patience = left(until).into_iter().chain(progress.tick()).min();
        let next = match connection.next(patience) {
            Err(Trouble::Lost(_)) if upgrading => {
                progress.end();
                return Err(Trouble::Upgraded);
            }
            next => next?,
        };
        match next {
            Some(Reply::Upgrading {}) => upgrading = true,
            Some(Reply::Event { event }) => progress.event(&event),
            Some(Reply::Lost { events }) => progress.lost(events),
            Some(reply) => {
                progress.end();
                return Ok(Some(reply));
            }
            None => progress.wait(),
        }
    }
}

fn show(way: &Way, reply: &Reply, failure: ExitCode) -> ExitCode {
    if let Reply::Upgraded { from, program, pid, took_ms } = reply
        && !way.json
    {
        let took = humantime::format_duration(Duration::from_millis(*took_ms));
        return tell(&format!("pid {pid} is {program} now, was {from}; took {took}"), ExitCode::Ok);
    } else if let Reply::Upgraded { .. } = reply {
        return tell_json(reply, ExitCode::Ok);
    }
    let Reply::Done { ok, services, applied } = reply else { return refused(way, reply) };
    let code = if *ok { ExitCode::Ok } else { failure };
    if way.json {
        return tell_json(reply, code);
    }
    let counts = applied.map(|counts| {
        let AppliedCounts { added, removed, restarted, in_place, untouched } = counts;
        format!(
            "config applied: {added} added, {removed} removed, {restarted} restarted, {in_place} changed in place, \
             {untouched} untouched"
        )
    });
    let services = services.iter().map(|service| format!("{}: {}", service.service, service.message));
    tell(&counts.into_iter().chain(services).collect::<Vec<_>>().join("\n"), code)
}

/// The number of a signal.
fn signal_number(text: &str) -> Result<i32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
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
        assert!(signal_number("SIGNAL").is_err());
    }
}
