//! What is wrong with a file.

use super::problem::Problem;
use super::render;
use crate::limits::MISTAKES_SHOWN;
use std::fmt;
use std::ops::Range;

/// A config file that is refused, with all its mistakes.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    file_name: String,
    text: String,
    mistakes: Vec<Mistake>,
}

/// Where a mistake is and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands; none where it concerns the file as such.
    pub position: Option<Position>,
    /// Where that stands which it collides with: the first use of a name. In bytes of the text.
    pub other: Option<Range<usize>>,
    /// The part of the file that it belongs to.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

/// A place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What to underline, in bytes of the text.
    pub span: Range<usize>,
}

/// A part of the file, as sentences name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as such.
    File,
    /// The `[bootstrap]` table.
    Bootstrap,
    /// The `[defaults]` table.
    Defaults,
    /// The service with this name, as it is written.
    Service(String),
    /// A service without a name: which one, from 1.
    Unnamed(usize),
}

impl Mistake {
    /// Is it that this user may not do something, and no other mistake?
    pub fn is_of_rights(&self) -> bool {
        use super::rule::Rule::{CgroupClosed, NeedsRight, PastHardLimit};
        matches!(
            self.problem,
            Problem::Value { rule: NeedsRight { .. } | PastHardLimit { .. } | CgroupClosed, .. }
        )
    }

    pub(super) fn of_file(problem: Problem) -> Self {
        Self { position: None, other: None, place: Place::File, problem }
    }
}

impl Refused {
    pub(super) fn new(file_name: &str, text: &str, mistakes: Vec<Mistake>) -> Self {
        Self { file_name: file_name.into(), text: text.into(), mistakes }
    }

    /// All of them, in the order of the file. Never empty.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// One line for each mistake, for a log; the last one counts those past [`MISTAKES_SHOWN`].
    pub fn lines(&self) -> Vec<String> {
        let name = &self.file_name;
        let shown = self.mistakes.iter().take(MISTAKES_SHOWN).map(|mistake| format!("{name}: {mistake}"));
        shown.chain(self.rest().map(|rest| format!("{name}: {rest}"))).collect()
    }

    /// For people: each mistake with its line of the file underlined, and what to do about it.
    /// Ends with a line break.
    pub fn render(&self, color: bool) -> String {
        let mut picture = String::new();
        for mistake in self.mistakes.iter().take(MISTAKES_SHOWN) {
            picture.push_str(&render::mistake(&self.file_name, &self.text, mistake, color));
            picture.push_str("\n\n");
        }
        let count = self.mistakes.len();
        if let Some(rest) = self.rest() {
            picture.push_str(&rest);
            picture.push('\n');
        }
        let mistakes = if count == 1 { "1 mistake".into() } else { format!("{count} mistakes") };
        picture + &format!("{}: refused: {mistakes}\n", self.file_name)
    }

    /// What is said of the mistakes that are not shown.
    fn rest(&self) -> Option<String> {
        match self.mistakes.len().saturating_sub(MISTAKES_SHOWN) {
            0 => None,
            1 => Some("... and 1 more mistake".into()),
            rest => Some(format!("... and {rest} more mistakes")),
        }
    }
}

/// Without the text of the file, which may be large.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lines()).finish()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Refused {}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "line {}: ", position.line)?;
        }
        write!(f, "{}{}", self.place, self.problem)
    }
}

/// The start of a sentence: with a colon and a blank, or nothing.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => Ok(()),
            Self::Bootstrap => write!(f, "[bootstrap]: "),
            Self::Defaults => write!(f, "[defaults]: "),
            Self::Service(name) => write!(f, "service {name:?}: "),
            Self::Unnamed(number) => write!(f, "service {number}: "),
        }
    }
}
