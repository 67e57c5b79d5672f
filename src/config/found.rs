//! A value as it stands in the file, for sentences about it.

use std::fmt;
use toml::de::DeValue;

/// A value as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Text, long ones cut; and whether it is.
    Text(String, bool),
    /// A number, a date, `true` or `false`, as written.
    Word(String),
    /// An array.
    Array,
    /// An array without an element.
    EmptyArray,
    /// A table.
    Table,
    /// What may be a secret: only what kind of value it is. Members of `control_group` are told of mistakes.
    Hidden(&'static str),
}

/// Longest part of a text that a sentence quotes, in characters.
const QUOTED_CHARS: usize = 80;

/// The part of a text that a sentence quotes.
pub(super) fn beginning(text: &str) -> &str {
    let cut = text.char_indices().nth(QUOTED_CHARS).map_or(text.len(), |(at, _)| at);
    &text[..cut]
}

impl Found {
    /// Text, as sentences quote it.
    pub(super) fn text(text: &str) -> Self {
        let start = beginning(text);
        Self::Text(start.into(), start.len() < text.len())
    }

    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::text(text),
            DeValue::Integer(number) => Self::word(number),
            DeValue::Float(number) => Self::word(number),
            DeValue::Boolean(yes) => Self::word(yes),
            DeValue::Datetime(date) => Self::word(date),
            DeValue::Array(items) if items.is_empty() => Self::EmptyArray,
            DeValue::Array(_) => Self::Array,
            DeValue::Table(_) => Self::Table,
        }
    }

    /// Without what it is, where that is more than its kind.
    pub(super) fn hidden(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(_) => Self::Hidden("a text"),
            DeValue::Integer(_) | DeValue::Float(_) => Self::Hidden("a number"),
            DeValue::Boolean(_) => Self::Hidden("`true` or `false`"),
            DeValue::Datetime(_) => Self::Hidden("a date"),
            DeValue::Array(_) | DeValue::Table(_) => Self::of(value),
        }
    }

    fn word(value: impl fmt::Display) -> Self {
        let written = value.to_string();
        match beginning(&written) {
            whole if whole.len() == written.len() => Self::Word(written),
            start => Self::Word(format!("{start}...")),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text, false) => write!(f, "{text:?}"),
            Self::Text(text, true) => write!(f, "{text:?}..."),
            Self::Word(written) => f.write_str(written),
            Self::Array => f.write_str("an array"),
            Self::EmptyArray => f.write_str("an empty array"),
            Self::Table => f.write_str("a table"),
            Self::Hidden(kind) => f.write_str(kind),
        }
    }
}
