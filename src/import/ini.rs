//! Files of sections and keys, with every line that they have.

/// How lines go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Continues {
    /// The next one is indented (supervisord).
    Indented,
    /// This one ends with a backslash (systemd).
    Backslash,
}

/// One thing in such a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// `[NAME]`
    Section(String),
    /// `KEY=VALUE`, below the last section.
    Key(String, String),
    /// None of these.
    Strange(String),
}

/// All entries of a text, in their order. Comments are none.
pub(super) fn read(text: &str, continues: Continues) -> Vec<Entry> {
    let mut entries = Vec::new();
    for line in logical_lines(text, continues) {
        let trimmed = line.trim();
        let section = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        entries.push(match (section, trimmed.split_once('=')) {
            (Some(name), _) => Entry::Section(name.trim().into()),
            (None, Some((key, value))) if !key.trim().is_empty() => {
                Entry::Key(key.trim().into(), value.trim().into())
            }
            (None, _) => Entry::Strange(trimmed.into()),
        });
    }
    entries
}

/// Lines without comments, each with those that go on with it.
fn logical_lines(text: &str, continues: Continues) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let goes_on = match continues {
            Continues::Indented => line.starts_with([' ', '\t']) && !line.trim().is_empty(),
            Continues::Backslash => open,
        };
        let (rest, more) = match line.strip_suffix('\\') {
            Some(rest) if continues == Continues::Backslash => (rest, true),
            _ => (line, false),
        };
        open = more;
        match lines.last_mut().filter(|_| goes_on) {
            Some(last) => *last = format!("{last} {}", rest.trim()),
            None => lines.push(rest.into()),
        }
    }
    lines.retain(|line| !line.trim().is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_long_lines_are_read() {
        let key = |key: &str, value: &str| Entry::Key(key.into(), value.into());
        let section = |name: &str| Entry::Section(name.into());
        assert_eq!(
            read("[a]\n; no\nenvironment=A=1,\n  B=2\n\nx", Continues::Indented),
            [section("a"), key("environment", "A=1, B=2"), Entry::Strange("x".into())]
        );
        assert_eq!(
            read("[Service]\nExecStart=/a \\\n# no\n  -b\nExecStart=c\\", Continues::Backslash),
            [section("Service"), key("ExecStart", "/a  -b"), key("ExecStart", "c")]
        );
    }
}
