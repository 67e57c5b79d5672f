//! The sentences about the control socket.

use super::level::Level;
use crate::core::ControlFact;

/// How much it matters.
pub(super) fn level(fact: &ControlFact) -> Level {
    match fact {
        ControlFact::Begins { .. } | ControlFact::Commanded { .. } => Level::Info,
        ControlFact::Missing { .. }
        | ControlFact::Again { .. }
        | ControlFact::NotAdmitted { .. }
        | ControlFact::MovesLater => Level::Warn,
    }
}

/// A word for programs, which does not change when the sentence does.
pub(super) fn key(fact: &ControlFact) -> &'static str {
    match fact {
        ControlFact::Begins { .. } => "begins",
        ControlFact::Commanded { .. } => "commanded",
        ControlFact::Missing { .. } => "control-missing",
        ControlFact::Again { .. } => "control-again",
        ControlFact::NotAdmitted { .. } => "control-not-admitted",
        ControlFact::MovesLater => "control-moves-later",
    }
}

/// What happened, and what happens next.
pub(super) fn sentence(fact: &ControlFact) -> String {
    match fact {
        ControlFact::Begins { config } => {
            format!("{} starts with {}", env!("CARGO_PKG_VERSION"), config.display())
        }
        ControlFact::Commanded { command, uid, pid } => {
            format!("{command}: asked for by user {uid}, pid {pid}")
        }
        ControlFact::Missing { reason } => {
            format!("no control socket: {reason}; signals work, commands do not")
        }
        ControlFact::Again { path } => {
            format!("somebody had removed the control socket {}; it is there again", path.display())
        }
        ControlFact::NotAdmitted { group, reason } => {
            format!("`control_group` {group}: {reason}; only root and the user of bootstrap may speak to it")
        }
        ControlFact::MovesLater => {
            "`runtime_dir` has changed; the control socket stays where it is until bootstrap is started anew: until then commands need --runtime-dir with the former one"
                .into()
        }
    }
}
