//! What a service has been through: status and metrics are made of it.

use super::event::ExitStatus;
use super::fact::Report;
use super::time::Time;
use crate::plan::Generation;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a service has been through since the supervisor knows it. Little here decides anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Starts that came after an earlier one of the same worker, by their reason.
    pub restarts: Restarts,
    /// Workers below this number were started before.
    #[serde(default)]
    pub(super) begun: u32,
    /// The last restart has failed, and nobody has asked for another start since.
    #[serde(default)]
    pub restart_failed: bool,
    /// A process of this definition was seen to accept: that the next one is not seen to means something.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_seen: bool,
    /// Sockets that a server had harmed and that were repaired.
    pub repairs: u32,
    /// How long the last run that became ready took, from the order to start it.
    #[serde(default)]
    pub ready: Option<Millis>,
    /// The last end of a main process, asked for or not.
    pub last_exit: Option<Box<LastExit>>,
    /// The last run that ended or failed without being asked.
    pub last_failure: Option<Box<Failure>>,
}

/// A duration in whole milliseconds, up to seven weeks: half as large as what it is read and written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Duration", into = "Duration")]
pub struct Millis(u32);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(Millis(ms): Millis) -> Self {
        Self::from_millis(ms.into())
    }
}

/// A run that ended or failed without being asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What was reported of it.
    #[serde(flatten)]
    pub report: Report,
    /// When it was, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What it said last on its stderr, the oldest line first, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

impl History {
    /// What was reported of the last run that failed.
    pub fn why(&self) -> Option<Box<Report>> {
        self.last_failure.as_ref().map(|failure| Box::new(failure.report.clone()))
    }

    /// A run failed, or something did.
    pub fn failed(&mut self, report: Report, at: Option<Time>) {
        self.last_failure = Some(Box::new(Failure { report, at, words: Vec::new() }));
    }

    /// What the run said last of which the last failure is reported.
    pub fn words_of_failure(&self) -> &[String] {
        self.last_failure.as_ref().map_or(&[], |failure| &failure.words)
    }
}

/// How often a service was started again, by the reason. Each worker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Somebody asked: a signal, an operator, a reload that changed its program.
    pub asked: u32,
    /// It had ended, and its policy brought it back.
    pub crash: u32,
    /// It was found sick, and its policy replaces it then.
    #[serde(default)]
    pub unhealthy: u32,
    /// Its successor had failed, and what ran before was started again.
    pub rollback: u32,
    /// Of those that were asked for or that a sick process had: how many did not end with the new generation serving.
    pub failed: u32,
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
