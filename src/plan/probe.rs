//! How a process is asked from outside whether it serves.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A question that is asked of a process, and how long the answer may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is done.
    pub target: Target,
    /// Who may answer.
    pub scope: Scope,
    /// Without a good answer after this time it is a bad one.
    pub timeout: Duration,
}

/// A probe that is repeated for as long as a process serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The question.
    pub probe: Probe,
    /// The pause between an answer and the next question.
    pub period: Duration,
    /// So many bad answers in a row make it unhealthy; at least 1.
    pub failures: u32,
}

/// What a probe does. In all texts `{port}`, `{worker}` and `{generation}` are not yet replaced; whatever they are
/// replaced by, an address stays one as long as its port does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// It connects.
    Tcp(Place),
    /// It connects, sends a GET and reads the status of the answer.
    Http {
        /// Where to.
        place: Place,
        /// The `Host` of the request.
        host: String,
        /// The path of the request; begins with a slash.
        path: String,
        /// The good status; any from 200 to 399 where there is none.
        status: Option<u16>,
    },
    /// It runs a command, whose good answer is to exit with 0. Never empty; the first item never is.
    Exec(Vec<String>),
}

/// Where a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// `IP:PORT`.
    Ip(String),
    /// The path of a unix socket.
    Unix(String),
}

/// Who may answer a probe, as far as its address tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The one process that is meant: `{generation}` stands in the address, or a command is told the pid.
    Run,
    /// A process of the same worker: `{worker}` stands in the address.
    Worker,
    /// Any process of the service.
    Service,
}

impl Target {
    /// The key of the config file that it stands under.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "tcp",
            Self::Http { .. } => "http",
            Self::Exec(_) => "exec",
        }
    }
}

impl Place {
    /// The text, in which placeholders are not yet replaced.
    pub fn text(&self) -> &str {
        match self {
            Self::Ip(text) | Self::Unix(text) => text,
        }
    }
}
