//! Numbers with one meaning each.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A service for as long as the supervisor knows it. Never used twice, so a service that was removed
/// and added again under its old name is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceId(pub u32);

/// A listen socket for as long as the supervisor holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerId(pub u32);

/// Counts the processes of a service; the first is 1. Never starts over.
///
/// Every event from the operating system carries one, so a late exit of an old process can never be
/// taken for the death of its successor, even when the kernel hands the same pid out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Generation(pub u32);

impl Generation {
    /// Before the first process.
    pub const NONE: Self = Self(0);

    /// The generation that comes after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of a program: a service and a generation of it. No two runs ever have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunId {
    /// Whose program.
    pub service: ServiceId,
    /// Which of its processes.
    pub generation: Generation,
}

/// A process id, only ever printed by the core: signals go to a [`RunId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid(pub i32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
