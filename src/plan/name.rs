//! The name of a service.

use crate::limits::SERVICE_NAME_BYTES;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Name of a service, as written in the config file.
///
/// Non-empty, at most 64 bytes of `a-z`, `0-9`, `-` and `_`, the first of which is no `-`: it appears in log lines, in
/// `SERVER_STARTER_PORT` and on the control socket, none of which quote it. `bootstrap` is taken:
/// the supervisor's own log lines carry it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    ///
    /// The first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > SERVICE_NAME_BYTES {
            return Err(NameError::TooLong { len: text.len() });
        }
        if text.starts_with('-') {
            return Err(NameError::Option);
        }
        if text == "bootstrap" {
            return Err(NameError::Reserved);
        }
        match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '_')) {
            Some(found) => Err(NameError::BadChar { found }),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        (*name.0).into()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no name of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// There is nothing.
    Empty,
    /// More bytes than [`SERVICE_NAME_BYTES`].
    TooLong {
        /// Bytes found.
        len: usize,
    },
    /// A character outside `a-z 0-9 - _`.
    BadChar {
        /// The first such character.
        found: char,
    },
    /// A `-` at the beginning, as options have it.
    Option,
    /// `bootstrap`, the name that the supervisor's own lines carry.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "a name has at least one character"),
            Self::TooLong { len } => {
                write!(f, "a name has at most {SERVICE_NAME_BYTES} bytes, this one has {len}")
            }
            Self::BadChar { found } => {
                write!(f, "a name is made of a-z, 0-9, `-` and `_`; {found:?} is none of them")
            }
            Self::Option => write!(f, "a name does not begin with `-`: commands would take it for an option"),
            Self::Reserved => write!(f, "the supervisor's own log lines carry this name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_64_bytes_is_accepted_and_one_of_65_is_not() {
        assert!(ServiceName::parse(&"a".repeat(64)).is_ok());
        assert_eq!(ServiceName::parse(&"a".repeat(65)), Err(NameError::TooLong { len: 65 }));
    }

    #[test]
    fn what_a_log_line_would_have_to_quote_is_refused() {
        for (text, found) in [("We", 'W'), ("a b", ' '), ("a\n", '\n'), ("über", 'ü'), ("a.b", '.')] {
            assert_eq!(ServiceName::parse(text), Err(NameError::BadChar { found }), "{text:?}");
        }
        assert_eq!(ServiceName::parse(""), Err(NameError::Empty));
        for (text, parsed) in [("-x", false), ("-", false), ("--all", false), ("a-", true), ("_", true)] {
            assert_eq!(ServiceName::parse(text) != Err(NameError::Option), parsed, "{text:?}");
        }
        assert_eq!(ServiceName::parse("bootstrap"), Err(NameError::Reserved));
    }
}
