//! Where a worker is in its life: what is true there stands in the variant, and nowhere else.

use super::Time;
use super::candidate::Candidate;
use super::generation::Run;
use crate::plan::{Definition, Generation, RunId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Where a worker is in its life; each variant holds what is true only there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Nothing serves and nothing is to: it ended well, or was stopped.
    Stopped,
    /// Nothing serves: it crashed and its policy does not bring it back.
    Crashed,
    /// Nothing serves and nothing is started until somebody releases it; clients queue.
    Held,
    /// A run was started and is not ready yet; none serves.
    Starting {
        /// The run.
        candidate: Box<Candidate>,
        /// What comes back if it fails.
        fallback: Option<Fallback>,
    },
    /// The run serves.
    Up {
        /// The run.
        run: Run,
    },
    /// Stop-first: the run serves, and is asked to stop accepting once it was seen that a successor can be started.
    Preflight {
        /// The run.
        run: Box<Run>,
    },
    /// Stop-first: the run that served was asked to stop accepting; its successor starts when it does. Without a socket also:
    /// whoever came before has to end, whatever made it leave.
    Restarting {
        /// It is in the list of leaving runs.
        old: Generation,
        /// What comes back if the successor fails.
        fallback: Option<Fallback>,
        /// What is started then.
        #[serde(default, skip_serializing_if = "Successor::is_new")]
        successor: Successor,
    },
    /// Start-first: one serves, its successor is not ready yet.
    Replacing {
        /// The run that serves.
        old: Box<Run>,
        /// Its successor.
        candidate: Box<Candidate>,
    },
    /// The successor serves, and what it replaces is kept until it has proved itself.
    Baking {
        /// The successor.
        new: Box<Run>,
        /// Until when.
        until: Time,
        /// What comes back if it fails.
        back: Back,
    },
    /// It crashed; the next start waits for the clock.
    Backoff {
        /// When it starts.
        until: Time,
    },
    /// It is to end: all its runs were asked to leave.
    Stopping {
        /// What it is then.
        then: Then,
    },
    /// It was removed from the config and its last run has ended.
    Gone,
}

/// What a rollback starts: the last good definition, with the program that was pinned while it ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    /// The definition.
    #[serde(with = "crate::plan::shared")]
    pub definition: Arc<Definition>,
    /// The run whose program is pinned.
    pub pinned: RunId,
}

/// What is started when another has made way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Successor {
    /// What applies by then.
    #[default]
    New,
    /// The program that is kept, because it served before.
    Kept,
}

impl Successor {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_new(&self) -> bool {
        *self == Self::New
    }
}

/// What comes back if a new generation does not prove itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Back {
    /// The old run, which still serves beside it.
    Old(Box<Run>),
    /// A new run of the old program.
    Fallback(Fallback),
}

/// What a stopping worker is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// Known, but not running.
    Stopped,
    /// Forgotten: the config has it no more.
    Gone,
}

impl State {
    /// The words for all states, as people see them.
    pub const WORDS: [&str; 8] =
        ["stopped", "starting", "up", "restarting", "backoff", "stopping", "crashed", "held"];

    /// The word for it. A worker of which two generations serve is `restarting`, until the old one is asked to
    /// leave.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Stopped | Self::Gone => "stopped",
            Self::Starting { .. } => "starting",
            Self::Up { .. } => "up",
            Self::Preflight { .. }
            | Self::Restarting { .. }
            | Self::Replacing { .. }
            | Self::Baking { .. } => "restarting",
            Self::Backoff { .. } => "backoff",
            Self::Stopping { .. } => "stopping",
            Self::Crashed => "crashed",
            Self::Held => "held",
        }
    }
}
