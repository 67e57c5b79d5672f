//! From text to TOML tables, with all mistakes of syntax.

use super::notes::{Notes, char_boundary};
use super::problem::Problem;
use toml::Spanned;
use toml::de::DeTable;

/// Parses `text` and has the tables read by `check`.
///
/// After a mistake of syntax a text may mean something else than it says; so only the tables before the one with
/// the first such mistake are read then, and `None` is returned.
pub(super) fn read<T>(
    text: &str,
    notes: &mut Notes<'_>,
    check: impl FnOnce(&Spanned<DeTable<'_>>, &mut Notes<'_>) -> Option<T>,
) -> Option<T> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut first = None;
    let mut last_line = 0;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = notes.line(span.start);
        let problem = problem(text, error.message(), &span);
        if !matches!(problem, Problem::GivenTwice { .. }) {
            first = Some(first.unwrap_or(span.start).min(span.start));
        }
        // What follows in the same line is most likely a consequence.
        if line != last_line {
            notes.add(span, problem);
            last_line = line;
        }
    }
    let Some(first) = first else {
        return check(&table, notes);
    };
    let before = &text[..table_around(text, first)];
    let (table, errors) = DeTable::parse_recoverable(before);
    if errors.is_empty() && table.get_ref().contains_key("service") {
        check(&table, notes);
    }
    None
}

/// Where the table begins in which the byte at `at` stands, as far as one can tell without parsing.
fn table_around(text: &str, at: usize) -> usize {
    let end = char_boundary(text, at);
    let line_start = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
    if text[line_start..].starts_with('[') {
        return line_start;
    }
    text[..line_start].rfind("\n[").map_or(0, |newline| newline + 1)
}

fn problem(text: &str, message: &str, span: &std::ops::Range<usize>) -> Problem {
    match (message, text.get(span.clone())) {
        ("duplicate key", Some(key)) if !key.is_empty() => Problem::GivenTwice { key: key.into() },
        _ => Problem::Syntax { message: message.into() },
    }
}
