//! What is told when one supervisor follows another: the next program in the same process, or the next process after
//! one that was killed.

use super::event::UpgradeRefusal;
use crate::plan::Generation;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Why one that was left behind does not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unwanted {
    /// This one of the same worker stays.
    Another(Generation),
    /// So it is configured.
    Configured,
    /// It has become another program, or its sockets are not all held here.
    NotTheServer,
}

/// What happened, and what happens next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a field's meaning is the sentence that `report` makes of it")]
pub enum Succession {
    /// An upgrade is asked for; the program now on disk is asked.
    UpgradeBegun { program: PathBuf },
    /// The supervisor stays what it is.
    UpgradeRefused { why: UpgradeRefusal },
    /// The supervisor is another program now.
    Upgraded { from: String, took: Duration, sockets: usize, runs: usize },
    /// It was left behind by a supervisor that was killed, and serves on.
    Adopted { for_long: Duration },
    /// The same, and it is on its way out.
    AdoptedLeaving,
    /// It was asked to leave, and has not said that it accepts no more.
    AdoptedAsked { timeout: Duration },
    /// Its main process has ended since, and others of its group live on: they finish, or have got SIGTERM where nobody had
    /// asked it to leave.
    AdoptedBereft { drain_timeout: Option<Duration> },
    /// It was left behind, and is asked to leave.
    AdoptedToLeave { why: Unwanted },
    /// It was left behind, and has become another program since it served.
    OrphanChanged,
    /// It was left behind, and has ended since.
    OrphanEnded,
    /// It was left behind, and is left alone: so it is configured.
    OrphanIgnored,
    /// It was left behind, and cannot be taken over.
    NotAdopted { errno: i32 },
    /// It was left behind, and has sockets that we have no right to take back.
    SocketsOutOfReach { errno: i32 },
    /// It was not written down for a later supervisor.
    NotWrittenDown { errno: i32 },
    /// Something was left behind in a way that cannot be read.
    RecordUnreadable { file: String },
    /// Commands of checks were left behind, whose answers nobody waits for: they were killed.
    ChecksEnded { commands: usize },
    /// The manager above had kept sockets for us.
    GivenBack { sockets: usize },
    /// It keeps fewer sockets than there are.
    StoreTooSmall { sockets: usize, room: usize },
    /// Who runs is written down nowhere.
    NoRecords { why: String },
}
