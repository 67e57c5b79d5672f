//! What is told of what services write, and of the process that writes it away.

use super::event::{ExitStatus, SpawnFailure};
use crate::plan::{Outlet, Pid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What happened, and what happens next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a field's meaning is the sentence that `report` makes of it")]
pub enum LogFact {
    /// It writes.
    Writing { pid: Pid },
    /// It could not be started.
    NotStarted { failure: SpawnFailure, pause: Duration },
    /// It has ended, and another follows.
    WriterEnded { status: ExitStatus, pause: Duration },
    /// It hangs.
    Silent { after: Duration },
    /// Lines still wait at the end.
    Unfinished { pid: Pid, waits: Option<Duration> },
    /// The writer ends without having written them.
    GivenUp { bytes: usize },
    /// Lines wait: they are not taken.
    Failing { outlet: Outlet, why: String },
    /// There is no thread that would write them.
    NoThread { outlet: Outlet, why: String },
    /// They are taken again.
    Recovered { outlet: Outlet },
    /// There is no more room for lines that wait.
    Losing { outlet: Outlet },
    /// So many lines were lost.
    Lost { outlet: Outlet, lines: u64 },
    /// What a run that was taken over writes is not read.
    NotFound,
    /// What a run said before it failed.
    LastWords { lines: Vec<String> },
}
