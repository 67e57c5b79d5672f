//! What a service has been through: status and metrics are made of it.

use super::event::ExitStatus;
use super::fact::Report;
use super::time::Time;
use crate::plan::Generation;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a service has been through since the supervisor knows it. Nothing here decides anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Starts that came after an earlier one of the same worker, by their reason.
    pub restarts: Restarts,
    /// Sockets that a server had harmed and that were repaired.
    pub repairs: u64,
    /// How long the last run that became ready took, from the order to start it.
    #[serde(default)]
    pub ready: Option<Duration>,
    /// The last end of a main process, asked for or not.
    pub last_exit: Option<LastExit>,
    /// What was reported of the last run that ended or failed without being asked.
    pub last_failure: Option<Box<Report>>,
    /// What a run said last on its stderr that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<Box<LastWords>>,
}

/// The last lines that a run wrote to its stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// Which one.
    pub generation: Generation,
    /// The oldest first.
    pub lines: Vec<String>,
}

impl History {
    /// What the run said last of which the last failure is reported.
    pub fn words_of_failure(&self) -> &[String] {
        let failed = self.last_failure.as_ref().and_then(|report| report.generation);
        let words = self.last_words.as_ref().filter(|words| Some(words.generation) == failed);
        words.map_or(&[], |words| &words.lines)
    }
}

/// How often a service was started again, by the reason. Each worker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Somebody asked: a signal, an operator, a reload that changed its program.
    pub asked: u64,
    /// It had ended, and its policy brought it back.
    pub crash: u64,
    /// Its successor had failed, and what ran before was started again.
    pub rollback: u64,
    /// Of those that were asked for: how many did not end with the new generation serving.
    pub failed: u64,
}

/// How a main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Which one.
    pub generation: Generation,
    /// How.
    pub status: ExitStatus,
    /// When its end was known.
    pub at: Time,
}
