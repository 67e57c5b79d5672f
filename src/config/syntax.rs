//! From text to TOML tables, with all mistakes of syntax and, in spite of them, all others.
//!
//! A parser that goes on after a mistake takes the rest of the file for what it is not: after an array that is never
//! closed, everything is an element. So the text is mended instead. A line that cannot be read is blanked, which
//! keeps every other byte where it was, and what is left is read anew; the damage ends with the table.

use super::error::Place;
use super::notes::{Notes, char_boundary};
use super::problem::Problem;
use crate::limits::MISTAKES_SHOWN;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, Error};

/// Where it stands, and what is wrong.
type SyntaxError = (Range<usize>, Problem);

/// Parses `text` and has the tables read by `check`; what that gives counts only if nothing was noted.
pub(super) fn read<T>(
    text: &str,
    notes: &mut Notes<'_>,
    check: impl FnOnce(&Spanned<DeTable<'_>>, &mut Notes<'_>) -> Option<T>,
) -> Option<T> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors: Vec<SyntaxError> = errors.iter().map(|error| problem(text, error)).collect();
    // A key that is given twice leaves the rest as it is.
    if errors.iter().all(|(_, problem)| matches!(problem, Problem::GivenTwice { .. })) {
        for (span, problem) in errors {
            notes.add(span, problem);
        }
        return check(&table, notes);
    }
    let mended = Mended::of(text, &errors, notes);
    let (table, left) = DeTable::parse_recoverable(&mended.text);
    for error in &left {
        let (span, problem) = self::problem(text, error);
        if matches!(problem, Problem::GivenTwice { .. }) || notes.count() == 0 {
            notes.add(span, problem);
        }
    }
    if left.iter().all(|error| matches!(self::problem(text, error).1, Problem::GivenTwice { .. })) {
        let before = notes.count();
        check(&table, notes);
        // What a mended table seems to lack may stand in a line that could not be read.
        notes.retain_from(before, |mistake| {
            let hurt = mistake.position.as_ref().is_some_and(|at| mended.touches(&at.span));
            let hurt = hurt || mended.defaults && mistake.place != Place::File;
            !(mistake.problem.claims_absence() && (hurt || mistake.place == Place::File))
        });
    }
    None
}

/// A text with the lines blanked that could not be read.
struct Mended {
    text: String,
    /// The tables, with their sub-tables, that something was taken from.
    hurt: Vec<Range<usize>>,
    /// `[defaults]` is one of them.
    defaults: bool,
}

impl Mended {
    fn of(text: &str, errors: &[SyntaxError], notes: &mut Notes<'_>) -> Self {
        let mut mended = Self { text: String::with_capacity(text.len()), hurt: Vec::new(), defaults: false };
        for part in tables(text) {
            let inside = |(span, _): &&SyntaxError| part.contains(&span.start) || span.start == text.len();
            let content = &text[part.clone()];
            if errors.iter().any(|error| inside(&error)) {
                let (blanked, changed) = mend(content, part.start, notes);
                mended.text.push_str(&blanked);
                if changed {
                    mended.defaults |= content.starts_with("[defaults]");
                    mended.hurt.push(part);
                }
            } else {
                mended.text.push_str(content);
            }
        }
        mended
    }

    fn touches(&self, span: &Range<usize>) -> bool {
        self.hurt.iter().any(|part| part.contains(&span.start))
    }
}

/// Cuts a text before each line that begins a table of the first level.
fn tables(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_header =
        |line: &str| line.starts_with('[') && !line.split(']').next().unwrap_or(line).contains('.');
    let newlines = text.match_indices('\n').map(|(at, _)| at + 1);
    let mut starts: Vec<usize> = newlines.filter(|at| is_header(&text[*at..])).collect();
    starts.insert(0, 0);
    starts.push(text.len());
    let ends: Vec<usize> = starts[1..].to_vec();
    starts.into_iter().zip(ends).map(|(start, end)| start..end)
}

/// Notes the mistakes of syntax in one table and blanks their lines. `base` is where the table starts in the text.
/// Tells whether there were any.
fn mend(content: &str, base: usize, notes: &mut Notes<'_>) -> (String, bool) {
    let mut text = content.to_string();
    for round in 0..MISTAKES_SHOWN {
        let errors = syntax_errors(&text);
        let Some(first) = errors.first() else { return (text, round > 0) };
        let opened = never_closed(&text, &errors);
        let (span, problem) = opened.clone().unwrap_or_else(|| first.clone());
        let line = line_start(&text, span.start);
        // What stands below a header that cannot be read belongs nowhere.
        let end = if opened.is_some() || text[line..].starts_with('[') {
            text.len()
        } else {
            text[span.start..].find('\n').map_or(text.len(), |newline| span.start + newline)
        };
        notes.add(base + span.start..base + span.end, problem);
        if text[line..end].trim().is_empty() {
            break;
        }
        blank(&mut text, line..end);
    }
    blank(&mut text, 0..content.len());
    (text, true)
}

/// What was opened and never closed, which is to blame for the first of these mistakes: that one stands at
/// the end, or in the first line that makes no sense as an element of an array.
fn never_closed(text: &str, errors: &[SyntaxError]) -> Option<SyntaxError> {
    let (first, Problem::Syntax { message }) = errors.first()? else { return None };
    if message.contains("multi-line") {
        let quotes = ["\"\"\"", "'''"].iter().filter_map(|quotes| text[..first.start].rfind(quotes));
        let open = quotes.max()?;
        return Some((open..open + 3, Problem::Syntax { message: message.clone() }));
    }
    let unclosed = |(_, problem): &SyntaxError| matches!(problem, Problem::Syntax { message } if message.starts_with("unclosed"));
    if !errors.iter().any(unclosed) {
        return None;
    }
    syntax_errors(&text[..line_start(text, first.start)]).into_iter().find(unclosed)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The mistakes of syntax in a text, in its order.
fn syntax_errors(text: &str) -> Vec<SyntaxError> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| problem(text, error))
        .filter(|(_, problem)| !matches!(problem, Problem::GivenTwice { .. }))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    errors
}

/// Puts blanks in the place of all but line breaks.
fn blank(text: &mut String, lines: Range<usize>) {
    let blanks: String =
        text[lines.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(lines, &blanks);
}

fn problem(text: &str, error: &Error) -> SyntaxError {
    let span = error.span().unwrap_or(text.len()..text.len());
    let start = char_boundary(text, span.start);
    let span = start..char_boundary(text, span.end).max(start);
    let problem = match (error.message(), &text[span.clone()]) {
        ("duplicate key", key) if !key.is_empty() => Problem::GivenTwice { key: key.into() },
        (message, _) => Problem::Syntax { message: message.into() },
    };
    (span, problem)
}
