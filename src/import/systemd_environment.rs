//! `Environment` and `EnvironmentFile` of systemd. There the file wins over the unit, and here `env` wins over `env_file`:
//! a default in the unit must not hide what somebody has written into the file.

use super::draft::Draft;
use super::systemd_unit::{has_specifier, without_specifiers};
use super::systemd_words;
use crate::limits::ENV_FILE_BYTES;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// `Environment=A=1 "B=x y"`; tells whether all of it could be read.
pub(super) fn variables(value: &str, draft: &mut Draft) -> bool {
    let Some(words) = systemd_words::split(value) else { return false };
    for word in words {
        let (name, content) = word.split_once('=').unwrap_or((&word, ""));
        draft.variable(name, &without_specifiers(content));
    }
    !has_specifier(value)
}

/// Says which of the two wins, for each variable that may stand in both. To be called when all keys were read.
pub(super) fn settle(draft: &mut Draft) {
    let Some(path) = draft.text("env_file").map(str::to_owned) else { return };
    let of_unit = draft.variables();
    let Some(of_file) = names_in(Path::new(&path)) else {
        return tell(
            &of_unit,
            &format!(
                "wins here over {path}, which cannot be read now; there the file wins: take out of `env` what it sets"
            ),
            draft,
        );
    };
    let (of_both, of_unit): (Vec<String>, Vec<String>) =
        of_unit.into_iter().partition(|name| of_file.contains(name));
    for name in &of_both {
        draft.without_variable(name);
    }
    tell(&of_both, &format!("left out, since {path} sets it, and `env` would win over it here"), draft);
    tell(
        &of_unit,
        &format!(
            "wins here over {path}, which does not set it now; if it does one day, take it out of `env`"
        ),
        draft,
    );
}

fn tell(names: &[String], what: &str, draft: &mut Draft) {
    for name in names {
        draft.note(format!("Environment={name}: {what}"));
    }
}

/// The names of the variables in a file, or nothing where it cannot be read. What follows the names does not matter here.
fn names_in(path: &Path) -> Option<BTreeSet<String>> {
    // To open a pipe could last for ever.
    let is_small_file = |data: fs::Metadata| data.is_file() && data.len() <= ENV_FILE_BYTES;
    fs::metadata(path).is_ok_and(is_small_file).then_some(())?;
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let names = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    Some(names.map(|name| name.strip_prefix("export ").unwrap_or(name).trim().to_owned()).collect())
}
