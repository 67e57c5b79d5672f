//! What commands have in common on the command line: where the supervisor is, which services are meant, how long to wait.

use crate::plan::Selector;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Names the services where the command line does not.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Names the runtime directory where the command line does not.
const RUNTIME_DIR: &str = "BOOTSTRAP_RUNTIME_DIR";

/// How a command finds the supervisor, and how it talks.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The supervisor's runtime directory [default: `$BOOTSTRAP_RUNTIME_DIR`, else as the config file has it]
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which services a command means.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// Names and globs [default: those of `$BOOTSTRAP_SELECT`, else all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// How long to wait for an answer.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout {
    /// Wait no longer than this, such as 30s; what was ordered goes on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) timeout: Option<Duration>,
}

impl Way {
    /// That of one who asks for others: the supervisor has this runtime directory, if one was named.
    pub(super) fn to(runtime_dir: Option<PathBuf>) -> Self {
        Self { runtime_dir, json: false }
    }

    /// The directory that somebody named for this command.
    pub(super) fn named(&self) -> Option<PathBuf> {
        self.runtime_dir.clone().or_else(|| std::env::var_os(RUNTIME_DIR).map(PathBuf::from))
    }
}

impl Services {
    /// What the request says. A variable that is set and names nobody is no request for all: most likely a script had an
    /// empty list. It becomes an empty name, which is refused.
    pub(super) fn patterns(&self) -> Vec<String> {
        if !self.services.is_empty() {
            return self.services.clone();
        }
        // What is no text matches no name: it must not be taken for an absent selector, which means everything.
        let Some(text) = std::env::var_os(SELECT) else { return Vec::new() };
        match Selector::parse(&text.to_string_lossy()) {
            Selector::All => vec![String::new()],
            Selector::Patterns(patterns) => patterns,
        }
    }
}
