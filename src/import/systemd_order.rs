//! Units that come before others: `After`, and `Requires`, of those that are among the files.

use super::draft::Drafts;
use std::collections::BTreeMap;

/// What units say of each other, until all have become services and their names are known.
#[derive(Default)]
pub(super) struct Order {
    /// The name here of each unit.
    names: BTreeMap<String, String>,
    /// A service, our key, theirs, and the unit that it names.
    said: Vec<(String, &'static str, String, String)>,
}

impl Order {
    /// Is this one of `[Unit]` about others, and has a key here?
    pub(super) fn knows(theirs: &str) -> bool {
        Self::key(theirs).is_some()
    }

    fn key(theirs: &str) -> Option<&'static str> {
        match theirs {
            "After" => Some("after"),
            "Requires" => Some("requires"),
            _ => None,
        }
    }

    /// A unit has become a service. The first of two files of one name counts.
    pub(super) fn is_service(&mut self, stem: &str, name: &str) {
        self.names.entry(stem.into()).or_insert_with(|| name.into());
    }

    /// A service says so of units.
    pub(super) fn say(&mut self, service: &str, theirs: &str, units: &str) {
        let Some(ours) = Self::key(theirs) else { return };
        for unit in units.split_whitespace() {
            let said = (service.into(), ours, theirs.into(), unit.into());
            if !self.said.contains(&said) {
                self.said.push(said);
            }
        }
    }

    /// Writes the keys. A circle, which systemd breaks up, is a mistake here: what would close one stays a comment.
    pub(super) fn write(self, drafts: &mut Drafts) {
        let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (service, ours, theirs, unit) in &self.said {
            let Some(draft) = drafts.service(service) else { continue };
            match unit.strip_suffix(".service").and_then(|stem| self.names.get(stem)) {
                None => draft.note(format!("[Unit] {theirs}={unit}: has no counterpart")),
                Some(first) if comes_after(first, service, &before) => {
                    draft.note(format!("[Unit] {theirs}={unit}: each would wait for the other"));
                }
                Some(first) => {
                    before.entry(service).or_default().push(first);
                    draft.extend(ours, vec![first.as_str().into()]);
                }
            }
        }
    }
}

/// Does one come after the other, or is it the same?
fn comes_after(one: &str, other: &str, before: &BTreeMap<&str, Vec<&str>>) -> bool {
    let mut seen = vec![one];
    let mut at = 0;
    while let Some(name) = seen.get(at) {
        if *name == other {
            return true;
        }
        let more: Vec<&str> = before.get(name).into_iter().flatten().copied().collect();
        seen.extend(more.into_iter().filter(|name| !seen.contains(name)).collect::<Vec<_>>());
        at += 1;
    }
    false
}
