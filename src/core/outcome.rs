//! How it ended.

use serde::{Deserialize, Serialize};

/// How it all ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A socket could not be bound at the start; nothing was started.
    BindRefused,
    /// Everything was stopped, as it was asked for.
    Stopped,
    /// Nothing is up and nothing can come back by itself; nothing crashed.
    Done,
    /// Nothing is up and nothing can come back by itself; something crashed.
    Crashed,
}
