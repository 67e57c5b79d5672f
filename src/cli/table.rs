//! Columns of text for people.

use std::borrow::Cow;

/// A piece of text and how it is coloured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) paint: Paint,
}

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

impl<'a> Cell<'a> {
    pub(super) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), paint: Paint::Plain }
    }

    /// The text, coloured where that is wanted.
    pub(super) fn painted(&self, color: bool) -> Cow<'_, str> {
        let code = match self.paint {
            Paint::Good if color => 32,
            Paint::Odd if color => 33,
            Paint::Bad if color => 31,
            Paint::Plain | Paint::Good | Paint::Odd | Paint::Bad => return Cow::Borrowed(&self.text),
        };
        format!("\x1b[{code}m{}\x1b[0m", self.text).into()
    }
}

/// Rows as lines, each column as wide as its widest cell, with two blanks between them and none at the end.
pub(super) fn columns(rows: &[Vec<Cell<'_>>], color: bool) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<Cell<'_>>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &cell.painted(color);
            line.extend(std::iter::repeat_n(' ', width + 2 - cell.text.chars().count()));
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_whatever_the_colour() {
        let row =
            |a: &'static str, paint, b: &'static str| vec![Cell { text: a.into(), paint }, Cell::plain(b)];
        let rows = [row("a", Paint::Plain, "b"), row("long", Paint::Good, ""), row("ü", Paint::Bad, "c")];
        assert_eq!(columns(&rows, false), ["a     b", "long", "ü     c"]);
        assert_eq!(columns(&rows, true)[2], "\x1b[31mü\x1b[0m     c");
    }
}
