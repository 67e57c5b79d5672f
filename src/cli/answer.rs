//! What a command says: its answer on stdout, what is wrong on stderr.

use super::said;
use super::way::Way;
use crate::exit::ExitCode;
use crate::protocol::control::{ErrorCode, Reply};
use std::fmt::Display;
use std::io::{self, Write as _};

/// Says that nothing was done, and gives the exit code.
pub(super) fn refused(way: &Way, reply: &Reply) -> ExitCode {
    let Reply::Error { code, message, details } = reply else {
        complain("the supervisor gave an answer to something else");
        return ExitCode::Failed;
    };
    let exit_code = match code {
        ErrorCode::NoSuchService => ExitCode::NoSuchService,
        ErrorCode::BadConfig => ExitCode::Config,
        ErrorCode::BadRequest
        | ErrorCode::TooLong
        | ErrorCode::TooSlow
        | ErrorCode::Version
        | ErrorCode::Forbidden
        | ErrorCode::Busy
        | ErrorCode::Booting
        | ErrorCode::Stopping
        | ErrorCode::UpgradeRefused => ExitCode::Failed,
    };
    if way.json {
        return tell_json(reply, exit_code);
    }
    complain(message);
    if *code == ErrorCode::BadConfig {
        for detail in details {
            complain(detail);
        }
    }
    exit_code
}

/// Says something to people.
pub(super) fn complain(text: &str) {
    // Whoever closed stderr has the exit code.
    let _ = writeln!(io::stderr(), "bootstrap: {text}");
}

/// Prints an answer; where it cannot be printed, that is a failure.
pub(super) fn tell(text: impl Display, code: ExitCode) -> ExitCode {
    said(writeln!(io::stdout(), "{text}"), code)
}

/// Prints a reply for programs.
pub(super) fn tell_json(reply: &Reply, code: ExitCode) -> ExitCode {
    tell(serde_json::to_string(reply).expect("texts, numbers and lists of them"), code)
}
