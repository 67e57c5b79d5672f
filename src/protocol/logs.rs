//! What the supervisor and the process that writes logs say to each other: one JSON object a packet.

use crate::plan::{Generation, Keeping, Outlet, Pid, ServiceName, Stream};
use serde::{Deserialize, Serialize};

/// What the writer is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWriter {
    /// Read this pipe, which comes with the packet.
    Pipe(LogPipe),
    /// Say what its last lines are, once all that it holds now was read.
    Tail {
        /// Its number.
        pipe: u32,
    },
    /// Say that you are there.
    Ask,
    /// There is no supervisor after this one: SIGTERM, which all get now, is not for you.
    Stay,
}

/// A pipe: who writes to it, and where that goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogPipe {
    /// The name that both sides know it by.
    pub number: u32,
    /// Whose it is.
    pub service: ServiceName,
    /// Which generation.
    pub generation: Generation,
    /// Its main process.
    pub pid: Pid,
    /// What it writes with.
    pub stream: Stream,
    /// Where it goes.
    pub outlet: Outlet,
    /// How that is kept, where it is a file.
    pub keeping: Keeping,
    /// Whether a writer may have been killed while it wrote there.
    pub torn: bool,
}

/// What the writer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWriter {
    /// It was asked whether it is there.
    Here,
    /// It reads this pipe from now on.
    Taken {
        /// Its number.
        pipe: u32,
    },
    /// The last lines that came through it.
    Tail {
        /// Its number.
        pipe: u32,
        /// The oldest first.
        lines: Vec<String>,
    },
    /// Nobody can write to it any more, and all that was in it is written.
    Ended {
        /// Its number.
        pipe: u32,
        /// The last lines that came through it.
        tail: Vec<String>,
    },
    /// An outlet does not take what is written.
    Failing {
        /// Which.
        outlet: Outlet,
        /// Why.
        why: String,
    },
    /// The system gives no thread for an outlet.
    NoThread {
        /// Which.
        outlet: Outlet,
        /// Why.
        why: String,
    },
    /// It takes it again.
    Recovered {
        /// Which.
        outlet: Outlet,
    },
    /// There is no more room to keep what an outlet does not take: lines are lost from here on.
    Losing {
        /// Which.
        outlet: Outlet,
    },
    /// So many lines were lost.
    Lost {
        /// Which.
        outlet: Outlet,
        /// How many.
        lines: u64,
    },
    /// All that was in the pipes when the supervisor said that it ends is written.
    Flushed,
}
