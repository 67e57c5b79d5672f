//! What a client is told about its request.

use super::fact::{Applied, Fact, Report};
use super::request::Verb;
use crate::plan::{Generation, ServiceName};
use serde::{Deserialize, Serialize};

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing was done: these patterns match no service.
    NoSuchService {
        /// Each of them.
        patterns: Vec<String>,
    },
    /// Nothing was done.
    Refused(Refusal),
    /// The order was taken, and this is what became of it, in the order of names.
    Done {
        /// Each service that was meant.
        services: Vec<(ServiceName, Verdict)>,
    },
    /// The new config applies.
    Reloaded {
        /// What it changed.
        applied: Applied,
        /// What became of the services that it added or restarted, in the order of names.
        services: Vec<(ServiceName, Verdict)>,
    },
    /// The new config is refused; nothing was changed.
    ReloadRefused {
        /// Each reason: [`Fact::Mistake`] or [`Fact::BindFailed`].
        reasons: Vec<Fact>,
    },
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Its sockets are not bound yet: there are no services.
    Booting,
    /// Everything is being stopped.
    Stopping,
    /// So many clients wait already.
    TooManyTickets {
        /// The limit.
        limit: usize,
    },
}

impl Answer {
    /// What is told of each service.
    pub fn verdicts(&self) -> &[(ServiceName, Verdict)] {
        match self {
            Self::Done { services } | Self::Reloaded { services, .. } => services,
            Self::NoSuchService { .. } | Self::Refused(_) | Self::ReloadRefused { .. } => &[],
        }
    }
}

impl Verdict {
    /// What was reported of the run that failed, if it is about one.
    pub fn failure(&self) -> Option<&Report> {
        match self {
            Self::Failed { why, .. }
            | Self::RolledBack { why, .. }
            | Self::Crashed { why }
            | Self::Backoff { why } => why.as_deref(),
            Self::Ordered
            | Self::Up { .. }
            | Self::Stopped
            | Self::Held
            | Self::LeftHeld
            | Self::LeftStopped
            | Self::Signalled { .. }
            | Self::WaitsFor { .. }
            | Self::Removed
            | Self::Quarantined { .. }
            | Self::Superseded { .. } => None,
        }
    }
}

/// The workers of a service after a restart that has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crew {
    /// The generations that serve, in their order.
    pub serving: Vec<Generation>,
    /// How many workers do not serve.
    pub missing: usize,
}

/// What became of an order for one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// It was told; nobody wants to wait for the rest.
    Ordered,
    /// All of it serves.
    Up {
        /// Its newest generation that does.
        generation: Generation,
    },
    /// It is down and none of it is to come: as it was asked to, and then its last process has ended; or by itself,
    /// and well.
    Stopped,
    /// It is held: its processes have ended, and clients queue.
    Held,
    /// The same, and a restart that did not name it has left it so.
    LeftHeld,
    /// An operator has stopped it, and a restart that did not name it has left it so.
    LeftStopped,
    /// So many of its processes were sent the signal.
    Signalled {
        /// How many.
        processes: usize,
    },
    /// The new generation failed, and the one before it serves on.
    Failed {
        /// The one that serves.
        serving: Generation,
        /// Who serves now.
        #[serde(default)]
        crew: Crew,
        /// What was reported of the failure.
        why: Option<Box<Report>>,
    },
    /// The new generation failed, and what ran before was started again.
    RolledBack {
        /// The generation that does.
        generation: Generation,
        /// All generations that do, and how many workers do not serve at all.
        #[serde(default)]
        crew: Crew,
        /// What was reported of the failure.
        why: Option<Box<Report>>,
    },
    /// It crashed and stays down, or a worker of it has ended and does.
    Crashed {
        /// What was reported of the crash.
        why: Option<Box<Report>>,
    },
    /// It crashed and is started again after a pause.
    Backoff {
        /// What was reported of the crash.
        why: Option<Box<Report>>,
    },
    /// It starts when these are up, and nothing brings them up by itself; or they crashed, and it was ordered.
    WaitsFor {
        /// Their names.
        names: Vec<ServiceName>,
    },
    /// It was removed from the config meanwhile.
    Removed,
    /// It is left alone, because a mistake of ours showed in it.
    Quarantined {
        /// What was reported of that.
        why: Option<Box<Report>>,
    },
    /// Somebody wanted something else of it meanwhile.
    Superseded {
        /// What.
        by: Verb,
    },
}
