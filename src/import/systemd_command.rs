//! `ExecStart`: the prefixes of systemd, its quotes, its specifiers and its variables.

use super::draft::{Draft, literal};
use super::systemd_unit::{has_specifier, without_specifiers};
use super::systemd_words;

/// Takes over a command line. One with variables is run by a shell, in which all else means itself.
pub(super) fn set(value: &str, draft: &mut Draft) {
    let bare = value.trim_start_matches(['@', '-', ':', '+', '!', '|']);
    let prefixes = value.strip_suffix(bare).unwrap_or_default();
    if prefixes.contains(|c| c != '@' && c != ':') {
        draft.note(format!("ExecStart={value}: what stands before the program has no counterpart"));
    }
    if has_specifier(bare) {
        draft.note(format!("ExecStart={value}: write what its specifiers (%) stand for"));
    }
    let Some(commands) = systemd_words::commands(&without_specifiers(bare)) else {
        return draft.note(format!("ExecStart={value}: a quote in it is never closed, or it is no text"));
    };
    let mut commands = commands.into_iter();
    let mut words = commands.next().unwrap_or_default();
    if commands.next().is_some() {
        draft.note(format!("ExecStart={value}: only the first of its commands is taken over"));
    }
    if prefixes.contains('@') && words.len() > 1 {
        let own_name = words.remove(1);
        draft.note(format!("ExecStart={value}: it is started under its own name, not as {own_name:?}"));
    }
    let means_itself = prefixes.contains(':');
    let words: Vec<Word> =
        words.into_iter().map(|word| if means_itself { Word::text(word) } else { Word::of(&word) }).collect();
    match words.iter().map(Word::as_text).collect::<Option<Vec<String>>>() {
        Some(texts) => draft.command(texts.iter().map(|text| literal(text)).collect()),
        None => draft.shell(&in_shell(&words)),
    }
}

/// A word of a command line.
enum Word {
    /// `$NAME`: as many words as its value has.
    Values(String),
    /// One word, in which each `${NAME}` stands for its value.
    One(Vec<Part>),
}

enum Part {
    Text(String),
    Value(String),
}

impl Word {
    fn text(text: String) -> Self {
        Self::One(vec![Part::Text(text)])
    }

    /// As systemd.service(5) says under "Command lines": quotes do not keep a variable from being one, and `$$` is `$`.
    fn of(word: &str) -> Self {
        if let Some(name) = word.strip_prefix('$').filter(|name| is_name(name)) {
            return Self::Values(name.into());
        }
        let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), word);
        while let Some((before, after)) = rest.split_once('$') {
            text += before;
            let value = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
            if let Some((name, behind)) = value.filter(|(name, _)| is_name(name)) {
                parts.extend([Part::Text(std::mem::take(&mut text)), Part::Value(name.into())]);
                rest = behind;
            } else {
                text.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
        parts.push(Part::Text(text + rest));
        Self::One(parts)
    }

    /// The word itself, where no variable is in it.
    fn as_text(&self) -> Option<String> {
        match self {
            Self::Values(_) => None,
            Self::One(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => Some(text.as_str()),
                    Part::Value(_) => None,
                })
                .collect(),
        }
    }

    fn in_shell(&self) -> String {
        match self {
            Self::Values(name) => format!("${name}"),
            Self::One(parts) => {
                let quoted: String = parts.iter().map(Part::in_shell).collect();
                if quoted.is_empty() { "''".into() } else { quoted }
            }
        }
    }
}

impl Part {
    fn in_shell(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => String::new(),
            // Without NUL, which a text file of systemd does not have, it can always be quoted.
            Self::Text(text) => shlex::try_quote(text).map(String::from).unwrap_or_default(),
            Self::Value(name) => format!("\"${{{name}}}\""),
        }
    }
}

/// A command line for `sh -c`. In the words of a value that is split, `*` is no pattern.
fn in_shell(words: &[Word]) -> String {
    let splits = words.iter().any(|word| matches!(word, Word::Values(_)));
    let line: Vec<String> = words.iter().map(Word::in_shell).collect();
    format!("{}exec {}", if splits { "set -f; " } else { "" }, line.join(" "))
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| plain(c) && !c.is_ascii_digit()) && text.chars().all(plain)
}
