//! `events`: whatever is reported, as it happens.

use super::answer::{complain, refused};
use super::client::Connection;
use super::trouble::{Trouble, in_trouble};
use super::way::{Services, Timeout, Way};
use crate::exit::ExitCode;
use crate::protocol::control::{ControlRequest, Reply};
use clap::Args;
use std::io::{self, Write as _};
use std::path::Path;

/// To follow what happens.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct EventsArgs {
    #[command(flatten)]
    services: Services,

    #[command(flatten)]
    way: Way,
}

/// Prints each event as a JSON object in a line, until the supervisor ends or nobody reads any more.
pub(super) fn events(config: &Path, args: &EventsArgs) -> ExitCode {
    loop {
        match follow(config, args) {
            Ok(code) => return code,
            // The next one has the socket of this one, and hears whoever asks it.
            Err(Trouble::Upgraded) => {
                complain(
                    "the supervisor became another program; what it reported in that moment is missing here",
                );
            }
            Err(trouble) => return in_trouble(&trouble),
        }
    }
}

fn follow(config: &Path, args: &EventsArgs) -> Result<ExitCode, Trouble> {
    let mut connection = Connection::to(config, &args.way)?;
    let request = ControlRequest::Events { services: args.services.patterns() };
    let begin = connection.answer(&request, Timeout { timeout: None })?;
    if begin != (Reply::Following {}) {
        return Ok(refused(&args.way, &begin));
    }
    let mut upgrading = false;
    loop {
        let line = match connection.next(None) {
            Ok(Some(Reply::Upgrading {})) => {
                upgrading = true;
                continue;
            }
            Ok(Some(Reply::Event { event })) => event.to_string(),
            Ok(Some(Reply::Lost { events })) => {
                serde_json::json!({ "level": "WARN", "event": "events-lost", "events": events }).to_string()
            }
            Ok(Some(other)) => return Ok(refused(&args.way, &other)),
            Ok(None) => continue,
            Err(Trouble::Lost(_)) if upgrading => return Err(Trouble::Upgraded),
            Err(Trouble::Lost(_)) => {
                complain("the supervisor has ended");
                return Ok(ExitCode::Ok);
            }
            Err(trouble) => return Err(trouble),
        };
        let mut out = io::stdout();
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return Ok(ExitCode::Ok);
        }
    }
}
