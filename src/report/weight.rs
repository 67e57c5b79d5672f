//! How much each fact matters.

use super::control;
use super::level::Level;
use super::logs;
use super::succession;
use crate::core::{ExitStatus, Fact, Next, Outcome};
use crate::protocol::Word;

/// How much a fact matters.
pub(super) fn level(fact: &Fact) -> Level {
    match fact {
        Fact::Started { .. }
        | Fact::Ready { .. }
        | Fact::Asked { .. }
        | Fact::AskedTooEarly { .. }
        | Fact::Answered { word: Word::Ready | Word::Success, .. }
        | Fact::GroupEnded { .. }
        | Fact::LeftBehind { .. }
        | Fact::LeftToPid1 { .. }
        | Fact::SeenQuiet { .. }
        | Fact::HealthyAgain { .. }
        | Fact::Reloading
        | Fact::ReloadedItself { .. }
        | Fact::MainProcess { .. }
        | Fact::ProgramChanged
        | Fact::Baking { .. }
        | Fact::RestartQueued
        | Fact::WaitsFor { .. }
        | Fact::StaysDown
        | Fact::Stopped
        | Fact::Held { .. }
        | Fact::LeftAlone { .. }
        | Fact::Signalled { .. }
        | Fact::Ordered { .. }
        | Fact::Holding { .. }
        | Fact::Restarting { .. }
        | Fact::Reloaded { .. }
        | Fact::Changed { .. }
        | Fact::Stopping { .. }
        | Fact::StoppingNow { .. }
        | Fact::Ended { outcome: Outcome::Stopped | Outcome::Done, .. } => Level::Info,
        Fact::Succession(what) => succession::level(what),
        Fact::Left { status, .. } => match status {
            // A server may end by the very signal that asked it to; that is a clean end.
            ExitStatus::Code(0) | ExitStatus::Unknown | ExitStatus::Signal { core_dumped: false, .. } => {
                Level::Info
            }
            ExitStatus::Code(_) | ExitStatus::Signal { .. } => Level::Warn,
        },
        Fact::Answered { word: Word::Failed, .. }
        | Fact::PipeEnded { .. }
        | Fact::CheckMissed { .. }
        | Fact::CheckNotMade { .. }
        | Fact::NotItsProcess { .. }
        | Fact::TakenForReady { .. }
        | Fact::CannotBeSeen
        | Fact::Repaired { .. }
        | Fact::Silent { .. }
        | Fact::DrainTooLong { .. }
        | Fact::GroupTerminated { .. }
        | Fact::Killed { .. }
        | Fact::Leftovers { .. }
        | Fact::LeftoversAsked { .. }
        | Fact::SelectorUnmatched { .. }
        | Fact::NothingSelected
        | Fact::SelectorFileMissing { .. }
        | Fact::StoodStill { .. }
        | Fact::LogLost { .. }
        | Fact::TooManyLeaving { .. }
        | Fact::StraySignal { .. }
        | Fact::ReloadIgnored => Level::Warn,
        Fact::Logs(fact) => logs::level(fact),
        Fact::Control(fact) => control::level(fact),
        Fact::Exited { next, .. }
        | Fact::NotReady { next, .. }
        | Fact::SpawnFailed { next, .. }
        | Fact::LeavesByItself { next, .. }
        | Fact::SaidStopping { next }
        | Fact::Unhealthy { next, .. } => match next {
            Next::Stopped | Next::Nothing => Level::Info,
            Next::StartsNow(_)
            | Next::StartsIn(..)
            | Next::RestartsNow
            | Next::RestartsIn(_)
            | Next::SuccessorStarts(_)
            | Next::SuccessorServes(_) => Level::Warn,
            // The service runs on, but not what somebody wanted it to run.
            Next::OldServesOn(_) | Next::RollsBack(_) | Next::LeftAlone | Next::Crashed => Level::Error,
        },
        Fact::Unkillable { .. }
        | Fact::Quarantined { .. }
        | Fact::RolloutStopped { .. }
        | Fact::NotRestarted { .. }
        | Fact::Displaced { .. }
        | Fact::BindFailed { .. }
        | Fact::BindRefused { .. }
        | Fact::SelectorRefused { .. }
        | Fact::Mistake { .. }
        | Fact::ReloadRefused { .. }
        | Fact::NotStarted { .. }
        | Fact::Ended { outcome: Outcome::Crashed | Outcome::BindRefused, .. } => Level::Error,
    }
}
