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

/// How often a text is mended. A mistake may hide another: what stood in a text that was not closed.
const ROUNDS: usize = 4;

/// A text with more mistakes of syntax than this was never meant to be TOML; telling them apart would take minutes.
const NOT_TOML: usize = 10_000;

/// Bytes of one table that are read anew, over and over, to tell its mistakes apart.
const REREAD_BYTES: usize = 1024 * 1024;

/// Parses `text` and has the tables read by `check`; what that gives counts only if nothing was noted.
pub(super) fn read<T>(
    text: &str,
    notes: &mut Notes<'_>,
    check: impl FnOnce(&Spanned<DeTable<'_>>, &mut Notes<'_>) -> Option<T>,
) -> Option<T> {
    // A large file without a mistake is gone through once.
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return check(&table, notes);
    }
    drop(table);
    let mut mended = Mended { text: text.into(), hurt: Vec::new(), defaults: false };
    for _ in 0..ROUNDS {
        let errors = syntax_errors(&mended.text);
        if errors.is_empty() {
            break;
        }
        if let Some((span, problem)) = errors.get(NOT_TOML).and(errors.first()) {
            notes.add(span.clone(), problem.clone());
            return None;
        }
        mended.mend(&errors, notes);
    }
    let (table, errors) = DeTable::parse_recoverable(&mended.text);
    let (twice, broken): (Vec<_>, Vec<_>) =
        errors.iter().map(|error| problem(text, error)).partition(|(_, problem)| is_given_twice(problem));
    for (span, problem) in twice {
        notes.add(span, problem);
    }
    if broken.is_empty() {
        return mended.check(&table, notes, check);
    }
    if let Some((span, problem)) = broken.into_iter().next().filter(|_| notes.count() == 0) {
        notes.add(span, problem);
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
    /// Blanks the lines that cannot be read, in the tables in which these mistakes are.
    fn mend(&mut self, errors: &[SyntaxError], notes: &mut Notes<'_>) {
        let mut text = String::with_capacity(self.text.len());
        // What is found missing at the end may be missing anywhere.
        let at_end = errors.last().is_some_and(|(span, _)| span.start == self.text.len());
        for part in tables(&self.text) {
            let content = &self.text[part.clone()];
            let next = errors.partition_point(|(span, _)| span.start < part.start);
            if !at_end && errors.get(next).is_none_or(|(span, _)| span.start >= part.end) {
                text.push_str(content);
            } else if let Some(blanked) = mend(content, part.start, notes) {
                text.push_str(&blanked);
                self.defaults |= content.starts_with("[defaults]");
                self.hurt.push(part);
            } else {
                text.push_str(content);
            }
        }
        self.text = text;
    }

    /// Has the tables read, and forgets what may be wrong only because of the blanks.
    fn check<T>(
        &self,
        table: &Spanned<DeTable<'_>>,
        notes: &mut Notes<'_>,
        check: impl FnOnce(&Spanned<DeTable<'_>>, &mut Notes<'_>) -> Option<T>,
    ) -> Option<T> {
        let before = notes.count();
        let value = check(table, notes);
        if !self.hurt.is_empty() {
            notes.retain_from(before, |mistake| {
                let at = mistake.position.as_ref().map_or(0, |at| at.span.start);
                let hurt = self.defaults
                    || mistake.place == Place::File
                    || self.hurt.iter().any(|part| part.contains(&at));
                !(hurt && mistake.problem.claims_absence())
            });
        }
        value
    }
}

/// Cuts a text before each line that begins a table of the first level.
pub(super) fn tables(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_header = |at: &usize| {
        let line = text[*at..].lines().next().unwrap_or_default();
        line.starts_with('[') && !line.split(']').next().unwrap_or(line).contains('.')
    };
    let mut starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).filter(is_header).collect();
    starts.insert(0, 0);
    starts.push(text.len());
    let ends: Vec<usize> = starts[1..].to_vec();
    starts.into_iter().zip(ends).map(|(start, end)| start..end)
}

/// Notes the mistakes of syntax in one table and blanks their lines; nothing, if there are none. `base` is where
/// the table starts in the text.
fn mend(content: &str, base: usize, notes: &mut Notes<'_>) -> Option<String> {
    let mut text = content.to_string();
    let rounds = if notes.count() < MISTAKES_SHOWN { REREAD_BYTES / (content.len() + 1) } else { 0 };
    for round in 0..rounds.clamp(1, MISTAKES_SHOWN) {
        let errors = syntax_errors(&text);
        let Some(first) = errors.first() else { return (round > 0).then_some(text) };
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
    if !syntax_errors(&text).is_empty() {
        blank(&mut text, 0..content.len());
    }
    Some(text)
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

/// The mistakes of syntax in a text, in its order. A key that is given twice leaves the rest as it is.
fn syntax_errors(text: &str) -> Vec<SyntaxError> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<_> = errors.iter().map(|error| problem(text, error)).collect();
    errors.retain(|(_, problem)| !is_given_twice(problem));
    errors.sort_by_key(|(span, _)| span.start);
    errors
}

fn is_given_twice(problem: &Problem) -> bool {
    matches!(problem, Problem::GivenTwice { .. })
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
