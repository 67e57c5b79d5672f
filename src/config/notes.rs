//! Where mistakes are collected while a file is read.

use super::error::{Mistake, Place, Position};
use super::machine::Machine;
use super::problem::Problem;
use std::ops::Range;

/// Where each line of a text starts.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        // A byte order mark is no character of the first line.
        let first = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let starts = std::iter::once(first).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    fn position(&self, span: Range<usize>) -> Position {
        let line = self.line(span.start);
        let before = self.text.get(self.starts[line - 1]..span.start).unwrap_or_default();
        Position { line, column: before.chars().count() + 1, span }
    }

    /// Line of a byte, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at).max(1)
    }

    /// The part of `span` that is text, on the borders of characters.
    fn clamp(&self, span: Range<usize>) -> Range<usize> {
        let start = char_boundary(self.text, span.start);
        start..char_boundary(self.text, span.end).max(start)
    }
}

/// The last border between characters that is not past `at`.
pub(super) fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// The mistakes found so far, and what is being read.
pub(super) struct Notes<'t> {
    lines: &'t Lines<'t>,
    place: Place,
    mistakes: Vec<Mistake>,
    machine: Machine,
}

impl<'t> Notes<'t> {
    pub(super) fn new(lines: &'t Lines<'t>) -> Self {
        Self { lines, place: Place::File, mistakes: Vec::new(), machine: Machine::default() }
    }

    /// From now on mistakes are about this part of the file.
    pub(super) fn enter(&mut self, place: Place) {
        self.place = place;
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.line(at)
    }

    /// Who is asked for users and groups.
    pub(super) fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    pub(super) fn add(&mut self, span: Range<usize>, problem: Problem) {
        self.push(span, problem, None);
    }

    /// A mistake that takes two places to make.
    pub(super) fn add_pair(&mut self, span: Range<usize>, other: Range<usize>, problem: Problem) {
        self.push(span, problem, Some(other));
    }

    fn push(&mut self, span: Range<usize>, problem: Problem, other: Option<Range<usize>>) {
        let position = self.lines.position(self.lines.clamp(span));
        self.mistakes.push(Mistake {
            position: Some(position),
            other: other.map(|span| self.lines.clamp(span)),
            place: self.place.clone(),
            problem,
        });
    }

    pub(super) fn count(&self) -> usize {
        self.mistakes.len()
    }

    /// Forgets what was added since there were `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        self.mistakes.truncate(count);
    }

    /// Keeps of what was added since there were `count` only what is `wanted`.
    pub(super) fn retain_from(&mut self, count: usize, wanted: impl Fn(&Mistake) -> bool) {
        let added = self.mistakes.split_off(count);
        self.mistakes.extend(added.into_iter().filter(|mistake| wanted(mistake)));
    }

    /// In the order of the file.
    pub(super) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| mistake.position.as_ref().map(|at| at.span.start));
        self.mistakes
    }
}
