//! What a server says of itself.

use crate::limits::STATUS_CHARS;
use serde::{Deserialize, Serialize};

/// What a server says of itself, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatusText(Box<str>);

impl StatusText {
    /// As much of it as is kept.
    pub(super) fn of(text: &str) -> Self {
        Self(text.chars().take(STATUS_CHARS).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
