//! `%(program_name)s` and its kind, as `supervisord` expands them: by the `%` of Python.

use super::draft::literal;
use std::collections::BTreeMap;

/// Stands for `{worker}` while a text is taken apart.
const WORKER: char = '\u{e000}';

/// Widest number that is written out.
const WIDTH_MAX: usize = 64;

/// The number of a process in its texts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// It is that of a worker of ours.
    Worker,
    /// It is this one.
    Is(i64),
}

/// What is known of one process.
pub(super) struct Expansions {
    names: BTreeMap<String, String>,
    numprocs: i64,
    number: Number,
}

/// A text in which everything known is replaced.
pub(super) struct Expanded {
    text: String,
    /// What stays as it is.
    pub(super) unknown: Vec<String>,
}

impl Expanded {
    /// All of it is known, and the same for all processes.
    pub(super) fn fixed(self) -> Option<String> {
        (self.unknown.is_empty() && !self.text.contains([WORKER, '\0'])).then_some(self.text)
    }

    /// The text; a number of a process is still a mark, which [`filled`] replaces.
    pub(super) fn marked(&self) -> &str {
        &self.text
    }
}

/// Text of ours from a marked piece.
pub(super) fn filled(piece: &str, number: Number) -> String {
    let text = literal(piece);
    if number == Number::Worker { text.replace(WORKER, "{worker}") } else { text }
}

/// Can `{worker}`, which is a plain number from 0 on, stand for the number in this text?
pub(super) fn is_plain(text: &str) -> bool {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%(process_num)") {
        // `{{` would begin an escape.
        if before.ends_with('{') || !after.starts_with(['d', 'i', 's']) {
            return false;
        }
        rest = after;
    }
    !text.contains(WORKER)
}

/// Does the number of the process stand in it?
pub(super) fn is_numbered(text: &str) -> bool {
    text.contains("%(process_num)")
}

impl Expansions {
    pub(super) fn new(program: &str, group: Option<&str>, here: &str, numprocs: i64, number: Number) -> Self {
        // A program that no group names is its own group.
        let mut names = BTreeMap::from([
            ("program_name".to_owned(), program.to_owned()),
            ("group_name".to_owned(), group.unwrap_or(program).to_owned()),
        ]);
        if !here.is_empty() {
            names.insert("here".into(), here.into());
        }
        Self { names, numprocs, number }
    }

    /// `%(ENV_NAME)s`: what the section itself says.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        // A number that is a mark stands where `is_plain` has looked at it, and nowhere else.
        if !value.contains(WORKER) {
            self.names.insert(format!("ENV_{name}"), value.into());
        }
    }

    /// Replaces what is known.
    pub(super) fn expand(&self, value: &str) -> Expanded {
        let mut out = Expanded { text: String::new(), unknown: Vec::new() };
        let mut rest = value;
        while let Some((before, after)) = rest.split_once('%') {
            out.text += before;
            if let Some(after) = after.strip_prefix('%') {
                out.text.push('%');
                rest = after;
                continue;
            }
            let named = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
            let Some((name, behind)) = named else {
                out.text.push('%');
                out.unknown.push("%".into());
                rest = after;
                continue;
            };
            let flags = behind.find(|c: char| !c.is_ascii_digit() && !" +-#.".contains(c));
            let flags = flags.unwrap_or(behind.len());
            let (format, behind) = behind.split_at(flags);
            let conversion = behind.chars().next();
            rest = conversion.map_or(behind, |c| &behind[c.len_utf8()..]);
            let form = conversion.filter(char::is_ascii_alphabetic).map(String::from).unwrap_or_default();
            if let Some(known) = self.known(name, format, &form) {
                out.text += &known;
            } else {
                let conversion = conversion.map(String::from).unwrap_or_default();
                let whole = format!("%({name}){format}{conversion}");
                out.text += &whole;
                out.unknown.push(whole);
            }
        }
        out.text += rest;
        out
    }

    fn known(&self, name: &str, format: &str, conversion: &str) -> Option<String> {
        let number = match (name, self.number) {
            ("process_num", Number::Worker) => {
                let plain = format.is_empty() && ["d", "i", "s"].contains(&conversion);
                return plain.then(|| WORKER.to_string());
            }
            ("process_num", Number::Is(number)) => number,
            ("numprocs", _) => self.numprocs,
            _ => return self.names.get(name).filter(|_| format.is_empty() && conversion == "s").cloned(),
        };
        let digits = format.trim_start_matches('0');
        let width = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        match conversion {
            _ if width > WIDTH_MAX => None,
            "d" | "i" if format.starts_with('0') => Some(format!("{number:0width$}")),
            // A text is padded with blanks, zero or not.
            "d" | "i" | "s" => Some(format!("{number:width$}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        let five = Expansions::new("web", None, "", 7, Number::Is(5));
        for (text, expected) in [
            ("80%(process_num)02d", "8005"),
            ("%(process_num)d/%(numprocs)s%%", "5/7%"),
            ("%(process_num)3d|%(process_num)03s", "  5|  5"),
            ("%(program_name)s-%(group_name)s", "web-web"),
        ] {
            let expanded = five.expand(text);
            assert_eq!((expanded.marked(), expanded.unknown.len()), (expected, 0), "{text}");
        }
        for text in [
            "%(process_num)x",
            "%(process_num)-3d",
            "%(process_num)999d",
            "%(here)s",
            "%(ENV_A)s",
            "%",
            "%(",
            "%(a)",
        ] {
            let expanded = five.expand(text);
            assert_eq!((expanded.marked(), expanded.unknown.len()), (text, 1), "{text}");
        }
    }

    #[test]
    fn a_worker_has_a_plain_number() {
        for (text, plain) in [
            ("%(process_num)d %(process_num)s", true),
            ("none", true),
            ("%(process_num)02d", false),
            ("{%(process_num)d}", false),
            ("\u{e000}", false),
        ] {
            assert_eq!(is_plain(text), plain, "{text}");
        }
        let worker = Expansions::new("web", None, "", 2, Number::Worker);
        assert_eq!(filled(worker.expand("{fd} %(process_num)d").marked(), Number::Worker), "{{fd}} {worker}");
    }
}
