//! How much something matters.

/// How much a fact matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is as it should be.
    Info,
    /// Something is not, and bootstrap deals with it.
    Warn,
    /// Something is not, and somebody has to.
    Error,
}
