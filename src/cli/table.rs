//! Columns of text for people.

/// A piece of text and how it is coloured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
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

impl Cell {
    pub(super) fn plain(text: String) -> Self {
        Self { text, paint: Paint::Plain }
    }

    /// The text, coloured where that is wanted.
    pub(super) fn painted(&self, color: bool) -> String {
        let code = match self.paint {
            Paint::Plain => return self.text.clone(),
            Paint::Good => 32,
            Paint::Odd => 33,
            Paint::Bad => 31,
        };
        if color { format!("\x1b[{code}m{}\x1b[0m", self.text) } else { self.text.clone() }
    }
}

/// Rows as lines, each column as wide as its widest cell, with two blanks between them and none at the end.
pub(super) fn columns(rows: &[Vec<Cell>], color: bool) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &cell.painted(color);
            line += &" ".repeat(width + 2 - cell.text.chars().count());
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
        let row = |a: &str, paint, b: &str| vec![Cell { text: a.into(), paint }, Cell::plain(b.into())];
        let rows = [row("a", Paint::Plain, "b"), row("long", Paint::Good, ""), row("ü", Paint::Bad, "c")];
        assert_eq!(columns(&rows, false), ["a     b", "long", "ü     c"]);
        assert_eq!(columns(&rows, true)[2], "\x1b[31mü\x1b[0m     c");
    }
}
