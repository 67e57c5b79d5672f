//! A key as users are told of it, in the schema and in the manual.

use serde_json::Value as Json;

/// One key of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Its documentation, in the lines of the source: Markdown, but for backquotes none.
    pub(super) lines: &'static [&'static str],
    /// What it may hold, as JSON Schema.
    pub schema: Json,
}

impl Key {
    /// Its documentation, in one line.
    pub fn about(&self) -> String {
        joined(self.lines)
    }

    /// The value that it has where it is absent, as TOML, where it is the same for every service.
    pub fn default(&self) -> Option<String> {
        let about = self.about();
        let (_, value) = about.rsplit_once("Default: `")?;
        value.strip_suffix("`.").filter(|value| !value.contains('`')).map(Into::into)
    }
}

/// Lines of documentation as one.
pub(super) fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
