//! Columns of text for people.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    /// Nothing.
    Plain,
    /// All is well.
    Good,
    /// Something is not as it is most of the time.
    Odd,
    /// Somebody has to look.
    Bad,
}

impl Paint {
    /// A text, coloured where that is wanted.
    pub(super) fn on(self, text: &str, color: bool) -> Cow<'_, str> {
        let code = match self {
            Self::Good if color => 32,
            Self::Odd if color => 33,
            Self::Bad if color => 31,
            Self::Plain | Self::Good | Self::Odd | Self::Bad => return Cow::Borrowed(text),
        };
        format!("\x1b[{code}m{text}\x1b[0m").into()
    }
}

/// Rows of so many cells. The texts of all of them are one: there may be ten thousand rows.
pub(super) struct Table<const COLUMNS: usize> {
    text: String,
    cells: Vec<Cell>,
}

/// A piece of the text and how it is coloured.
#[derive(Clone, Copy)]
struct Cell {
    /// Where it ends, which is where the next one begins.
    end: usize,
    /// Its characters.
    width: usize,
    paint: Paint,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(heading: [&str; COLUMNS]) -> Self {
        let mut table = Self { text: String::new(), cells: Vec::new() };
        for word in heading {
            table.plain(word);
        }
        table
    }

    /// Adds a cell without a colour, to the row that is not full yet.
    pub(super) fn plain(&mut self, text: impl Display) {
        self.cell(text, Paint::Plain);
    }

    /// Adds a cell.
    pub(super) fn cell(&mut self, text: impl Display, paint: Paint) {
        let begin = self.text.len();
        write!(self.text, "{text}").expect("a string takes everything");
        let (end, width) = (self.text.len(), self.text[begin..].chars().count());
        self.cells.push(Cell { end, width, paint });
    }

    /// The rows as lines, each column as wide as its widest cell, with two blanks between them and none at the end.
    pub(super) fn lines(&self, color: bool) -> String {
        let rows = || self.cells.chunks(COLUMNS);
        let mut widths = [0; COLUMNS];
        for row in rows() {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = cell.width.max(*width));
        }
        let (mut lines, mut begin) = (String::with_capacity(2 * self.text.len()), 0);
        for row in rows() {
            let mut blanks = 0;
            for (cell, width) in row.iter().zip(widths) {
                let text = &self.text[begin..cell.end];
                if !text.is_empty() {
                    lines.extend(std::iter::repeat_n(' ', std::mem::take(&mut blanks)));
                    lines += &cell.paint.on(text, color);
                }
                blanks += width + 2 - cell.width;
                begin = cell.end;
            }
            lines.push('\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_whatever_the_colour() {
        let mut table = Table::new(["a", "", "b"]);
        for (a, paint, b) in [("long", Paint::Good, ""), ("ü", Paint::Bad, "c")] {
            table.cell(a, paint);
            table.plain(7);
            table.plain(b);
        }
        assert_eq!(table.lines(false), "a        b\nlong  7\nü     7  c\n");
        assert_eq!(table.lines(true).lines().last(), Some("\x1b[31mü\x1b[0m     7  c"));
    }
}
