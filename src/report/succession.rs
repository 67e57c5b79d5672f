//! The sentences of supervisors that follow each other.

use super::level::Level;
use super::words::{count, errno, spawn_failure, time};
use crate::core::{Succession, Unwanted, UpgradeRefusal};

/// How much a fact matters.
pub(super) fn level(what: &Succession) -> Level {
    match what {
        Succession::UpgradeBegun { .. }
        | Succession::Upgraded { .. }
        | Succession::Adopted { .. }
        | Succession::AdoptedLeaving
        | Succession::AdoptedAsked { .. }
        | Succession::ChecksEnded { .. }
        | Succession::GivenBack { .. } => Level::Info,
        Succession::AdoptedToLeave { .. }
        | Succession::AdoptedBereft { .. }
        | Succession::OrphanChanged
        | Succession::OrphanEnded
        | Succession::OrphanIgnored
        | Succession::NotWrittenDown { .. }
        | Succession::RecordUnreadable { .. }
        | Succession::StoreTooSmall { .. }
        | Succession::NoRecords { .. } => Level::Warn,
        Succession::UpgradeRefused { .. }
        | Succession::NotAdopted { .. }
        | Succession::SocketsOutOfReach { .. } => Level::Error,
    }
}

/// Its name for programs.
pub(super) fn name(what: &Succession) -> &'static str {
    match what {
        Succession::UpgradeBegun { .. } => "upgrade-begun",
        Succession::UpgradeRefused { .. } => "upgrade-refused",
        Succession::Upgraded { .. } => "upgraded",
        Succession::Adopted { .. } => "adopted",
        Succession::AdoptedLeaving => "adopted-leaving",
        Succession::AdoptedAsked { .. } => "adopted-asked",
        Succession::AdoptedBereft { .. } => "adopted-bereft",
        Succession::AdoptedToLeave { .. } => "adopted-to-leave",
        Succession::OrphanChanged => "orphan-changed",
        Succession::OrphanEnded => "orphan-ended",
        Succession::OrphanIgnored => "orphan-ignored",
        Succession::NotAdopted { .. } => "not-adopted",
        Succession::SocketsOutOfReach { .. } => "sockets-out-of-reach",
        Succession::NotWrittenDown { .. } => "not-written-down",
        Succession::RecordUnreadable { .. } => "record-unreadable",
        Succession::ChecksEnded { .. } => "checks-ended",
        Succession::GivenBack { .. } => "given-back",
        Succession::StoreTooSmall { .. } => "store-too-small",
        Succession::NoRecords { .. } => "no-records",
    }
}

/// What happened, and what happens next.
pub(super) fn sentence(what: &Succession) -> String {
    match what {
        Succession::Adopted { for_long } => {
            format!(
                "left behind by a supervisor that was killed; adopted: it was started {} ago and goes on",
                time(*for_long)
            )
        }
        Succession::AdoptedLeaving => {
            "left behind by a supervisor that was killed; adopted: it was asked to leave, and finishes".into()
        }
        Succession::AdoptedAsked { timeout } => format!(
            "left behind by a supervisor that was killed; adopted: it was asked to leave; its answer, or its end, is awaited for {}",
            time(*timeout)
        ),
        Succession::AdoptedBereft { drain_timeout: None } => {
            "left behind by a supervisor that was killed; its main process has ended since; adopted: other processes of it are told to end (SIGTERM)".into()
        }
        Succession::AdoptedBereft { drain_timeout: Some(drain_timeout) } => format!(
            "left behind by a supervisor that was killed; its main process has ended since; adopted: other processes of it still finish; SIGTERM follows in {}",
            time(*drain_timeout)
        ),
        Succession::AdoptedToLeave { why } => {
            let why = match why {
                Unwanted::Another(generation) => format!("generation {generation} goes on in its place"),
                Unwanted::Configured => "as `orphans` says".into(),
                Unwanted::NotTheServer => {
                    "it runs another program, or its sockets are not all held here".into()
                }
            };
            format!("left behind by a supervisor that was killed; adopted, and asked to leave: {why}")
        }
        Succession::OrphanChanged => {
            "left behind by a supervisor that was killed; it runs another program now than when it served: it is not taken for the server".into()
        }
        Succession::OrphanEnded => "left behind by a supervisor that was killed; it has ended since".into(),
        Succession::OrphanIgnored => {
            "left behind by a supervisor that was killed; left alone, as `orphans` says".into()
        }
        Succession::NotAdopted { errno: number } => format!(
            "left behind by a supervisor that was killed; cannot be adopted: {}; it is left alone",
            errno(*number)
        ),
        Succession::SocketsOutOfReach { errno: number } => format!(
            "left behind by a supervisor that was killed; its sockets cannot be taken back: {}; that takes CAP_SYS_PTRACE \
             where it has another user or more rights; without it nobody else binds its addresses until it has ended",
            errno(*number)
        ),
        Succession::NotWrittenDown { errno: number } => {
            format!(
                "not written down: {}; after a SIGKILL of this supervisor it would not be found; SIGHUP tries again",
                errno(*number)
            )
        }
        Succession::RecordUnreadable { file } => {
            format!(
                "{file} in the runtime directory is no record that can be read; whoever it was about is not adopted: it may still run, and hold a socket"
            )
        }
        Succession::ChecksEnded { commands } => format!(
            "{} of checks left behind by a supervisor that was killed; sent SIGKILL",
            count(*commands, "command")
        ),
        Succession::GivenBack { sockets } => format!(
            "the manager above kept {} for us; those that the file names are taken back with the clients that wait",
            count(*sockets, "socket")
        ),
        Succession::StoreTooSmall { sockets, room } => format!(
            "the manager above keeps {room} of {}; clients that wait at the others are lost where nobody is left; \
             raise FileDescriptorStoreMax=",
            count(*sockets, "socket")
        ),
        Succession::NoRecords { why } => {
            format!(
                "who runs is not written down: {why}; after a SIGKILL of this supervisor nobody would be found"
            )
        }
        Succession::UpgradeBegun { program } => {
            format!("upgrade: asking {} whether it can go on from here", program.display())
        }
        Succession::UpgradeRefused { why } => format!("upgrade: {}; this one goes on", upgrade_refused(why)),
        Succession::Upgraded { from, took, sockets, runs } => format!(
            "pid={} is now {}, was {from}; took {}; holds {} and {} as before",
            std::process::id(),
            env!("CARGO_PKG_VERSION"),
            time(*took),
            count(*sockets, "socket"),
            count(*runs, "run")
        ),
    }
}

/// Why the supervisor stays what it is.
fn upgrade_refused(why: &UpgradeRefusal) -> String {
    match why {
        UpgradeRefusal::Missing { path, errno: number } => {
            format!("there is no program {}: {}", path.display(), errno(*number))
        }
        UpgradeRefusal::NotStarted(failure) => {
            format!("the program could not be started: {}", spawn_failure(failure))
        }
        UpgradeRefusal::Silent { after } => {
            format!("the program did not say within {} whether it can go on; sent it SIGKILL", time(*after))
        }
        UpgradeRefusal::NoProof => "the program is no bootstrap that can be upgraded to".into(),
        UpgradeRefusal::Rejected(why) => format!("the program cannot go on from here: {why}"),
        UpgradeRefusal::Replaced => "the program was replaced while it was asked; ask again".into(),
        UpgradeRefusal::Unwritten(why) => format!("the state cannot be written: {why}"),
        UpgradeRefusal::System(number) => format!("the system refuses: {}", errno(*number)),
        UpgradeRefusal::NotBecome(number) => format!("the program could not be executed: {}", errno(*number)),
    }
}
