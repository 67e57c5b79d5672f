//! Why there is no supervisor.

use crate::os::{NoRuntimeDir, TooFewDescriptors};
use std::fmt;
use std::io;

/// Why the supervisor did not start.
#[derive(Debug)]
pub enum NotStarted {
    /// The system refuses something that it cannot do without.
    System(io::Error),
    /// There may not be as many descriptors as its services need.
    TooFewDescriptors(TooFewDescriptors),
    /// It has no runtime directory, although one is configured; or another supervisor has it.
    NoRuntimeDir(NoRuntimeDir),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "the system refuses to start it: {error}"),
            Self::TooFewDescriptors(why) => write!(f, "{why}"),
            Self::NoRuntimeDir(why) => write!(f, "{why}"),
        }
    }
}
