//! A file of ours in the making.

use crate::limits::{SERVICE_NAME_BYTES, SERVICES};
use crate::plan::ServiceName;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::time::Duration;
use toml::Value;

/// Services, and what concerns none of them.
pub(super) struct Drafts {
    keys: Vec<String>,
    notes: Vec<String>,
    services: Vec<Draft>,
}

/// One service: its keys, in the order in which they are written, and notes.
pub(super) struct Draft {
    pub(super) name: String,
    keys: Vec<(&'static str, Value)>,
    env: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl Drafts {
    pub(super) fn new(keys: &[&str]) -> Self {
        Self { keys: keys.iter().map(ToString::to_string).collect(), notes: Vec::new(), services: Vec::new() }
    }

    /// Has a service of ours such a key?
    pub(super) fn knows(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// A comment at the top of the file.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Takes a service, under a name that no other has, and tells it. One without a command is none, nor is one too many.
    pub(super) fn add(&mut self, mut draft: Draft) -> Option<&str> {
        if !draft.keys.iter().any(|(key, _)| *key == "command") {
            self.note(format!("{}: nothing is started, so it is no service", draft.name));
            self.notes.append(&mut draft.notes);
            None
        } else if self.services.len() == SERVICES {
            self.note(format!("{}: more than {SERVICES} services; it is left out", draft.name));
            None
        } else {
            draft.name = self.free_name(&draft.name);
            self.services.push(draft);
            self.services.last().map(|draft| &*draft.name)
        }
    }

    /// One that was taken, by its name here.
    pub(super) fn service(&mut self, name: &str) -> Option<&mut Draft> {
        self.services.iter_mut().find(|draft| draft.name == name)
    }

    /// A name of ours that is as close as can be.
    fn free_name(&self, wanted: &str) -> String {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) { c.to_ascii_lowercase() } else { '-' }
        };
        let close: String = wanted.chars().map(plain).take(SERVICE_NAME_BYTES - 6).collect();
        let mut base = close.trim_matches('-').to_owned();
        if base.is_empty() {
            base = "service".into();
        }
        let taken = |name: &str| self.services.iter().any(|other| other.name == name);
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        names.find(|name| ServiceName::parse(name).is_ok() && !taken(name)).unwrap_or(base)
    }

    /// The whole file; nothing where it has no service.
    pub(super) fn into_toml(self) -> Option<String> {
        if self.services.is_empty() {
            return None;
        }
        let mut text: String = self.notes.iter().map(|note| comment(note)).collect();
        for service in &self.services {
            if !text.is_empty() {
                text.push('\n');
            }
            text += &service.to_toml();
        }
        Some(text)
    }
}

impl Draft {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), keys: Vec::new(), env: BTreeMap::new(), notes: Vec::new() }
    }

    /// Sets a key; the last one counts.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.keys.retain(|(other, _)| *other != key);
        self.keys.push((key, value.into()));
    }

    /// Adds to a key that holds an array.
    pub(super) fn extend(&mut self, key: &'static str, values: Vec<Value>) {
        match self.keys.iter_mut().find(|(other, _)| *other == key) {
            Some((_, Value::Array(all))) => all.extend(values),
            Some(_) | None => self.set(key, values),
        }
    }

    /// Adds one to a key that holds an array, unless it is in there.
    pub(super) fn add_once(&mut self, key: &'static str, value: Value) {
        let held = self.keys.iter().find(|(other, _)| *other == key).and_then(|(_, all)| all.as_array());
        if held.is_none_or(|all| !all.contains(&value)) {
            self.extend(key, vec![value]);
        }
    }

    /// Adds a limit.
    pub(super) fn limit(&mut self, name: &str, both: &str) {
        match self.keys.iter_mut().find(|(other, _)| *other == "rlimits") {
            Some((_, Value::Table(all))) => _ = all.insert(name.into(), both.into()),
            Some(_) | None => self.set("rlimits", toml::Table::from_iter([(name.to_owned(), both.into())])),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(other, _)| *other == key)
    }

    /// The text that a key holds.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(other, _)| *other == key).and_then(|(_, value)| value.as_str())
    }

    /// Sets a key that holds a duration, if it is one that we take.
    pub(super) fn set_time(&mut self, key: &'static str, time: Duration) -> bool {
        let whole = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let taken = !whole.is_zero() && whole <= crate::limits::DURATION_MAX;
        if taken {
            self.set(key, humantime::format_duration(whole).to_string());
        }
        taken
    }

    /// The signal that asks it to leave, as `key` of the other file has it.
    pub(super) fn stop_signal(&mut self, key: &str, value: &str) {
        let upper = value.to_uppercase();
        let name = format!("SIG{}", upper.strip_prefix("SIG").unwrap_or(&upper));
        match Signal::from_str(&name) {
            Ok(Signal::SIGKILL | Signal::SIGSTOP) | Err(_) => self.without_counterpart(key, value),
            Ok(signal) => self.set("stop_signal", signal.as_str()),
        }
    }

    /// The program and its arguments.
    pub(super) fn command(&mut self, words: Vec<String>) {
        if words.first().is_some_and(|program| !program.is_empty())
            && words.iter().all(|word| !word.contains('\0'))
        {
            self.set("command", words.into_iter().map(Value::from).collect::<Vec<_>>());
        } else {
            self.note("its command is empty");
        }
    }

    /// The program and its arguments, through a shell.
    pub(super) fn shell(&mut self, line: &str) {
        self.command(vec!["sh".into(), "-c".into(), literal(line)]);
    }

    /// A variable. Its value is meant as it stands.
    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.filled_variable(name, &literal(value));
    }

    /// A variable with placeholders of ours.
    pub(super) fn filled_variable(&mut self, name: &str, value: &str) {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            self.note(format!("{name}={value}: no variable has such a name or value"));
        } else {
            self.env.insert(name.into(), value.into());
        }
    }

    /// The names of its variables.
    pub(super) fn variables(&self) -> Vec<String> {
        self.env.keys().cloned().collect()
    }

    /// Takes a variable back.
    pub(super) fn without_variable(&mut self, name: &str) {
        self.env.remove(name);
    }

    /// A comment on the service.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// A comment on a key that has no counterpart here.
    pub(super) fn without_counterpart(&mut self, key: &str, value: &str) {
        self.note(format!("{key}={value}: has no counterpart"));
    }

    fn to_toml(&self) -> String {
        let rank = |key: &str| ["listen", "command"].iter().position(|first| *first == key).unwrap_or(2);
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_by_key(|(key, _)| rank(key));
        let mut lines = vec!["[[service]]\n".to_owned(), format!("name = {}\n", Value::from(&*self.name))];
        lines.extend(keys.into_iter().map(|(key, value)| format!("{key} = {value}\n")));
        if !self.env.is_empty() {
            // A name may be any text, and a key is quoted by other rules than a value (fuzz/seeds/import_text/quotes.conf).
            let variables: toml::Table =
                self.env.iter().map(|(name, value)| (name.clone(), Value::from(&**value))).collect();
            lines.push(format!("env = {}\n", Value::from(variables)));
        }
        lines.extend(self.notes.iter().map(|note| comment(note)));
        lines.concat()
    }
}

/// Text that means itself in a command of ours, where names in braces are placeholders.
pub(super) fn literal(text: &str) -> String {
    let is_placeholder = |name: &str| {
        ["fd", "pipe", "port", "worker", "generation"].contains(&name) || name.starts_with("fd:")
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        rest = after;
        match after.split_once('}') {
            Some((name, after)) if is_placeholder(name) => {
                out.extend(["{{", name, "}}"]);
                rest = after;
            }
            Some(_) | None => out.push('{'),
        }
    }
    out + rest
}

/// A comment, whatever the text holds.
fn comment(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("# {}\n", plain.trim_end())
}
