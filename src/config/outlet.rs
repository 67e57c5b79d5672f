//! Where what a service writes may go, and how its files may be kept: one key each.

use super::field::Scalar;
use super::rights::amount;
use super::rule::Rule;
use super::schema;
use super::similar;
use super::value::number;
use crate::limits::LOG_BACKUPS;
use crate::plan::Outlet;
use serde_json::{Value as Json, json};
use std::path::{Component, Path, PathBuf};
use toml::de::DeValue;

/// Bytes of a log file, at least a page.
pub(super) struct LogBytes(pub(super) u64);
/// How many earlier log files are kept.
pub(super) struct Backups(pub(super) u32);

/// The words of an outlet.
const WORDS: &[&str] = &["inherit", "null", "journal", "syslog", "file:PATH"];

impl Scalar for Outlet {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let meant = |meant| Err(Rule::Word { words: WORDS, meant });
        let Some(written) = found.as_str() else { return meant(None) };
        match written {
            "inherit" => Ok(Self::Inherit),
            "null" => Ok(Self::Null),
            "journal" => Ok(Self::Journal),
            "syslog" => Ok(Self::Syslog),
            _ => match written.strip_prefix("file:") {
                Some(path) => file(path).map(Self::File),
                None if written.contains('/') => Err(Rule::LogFileWord { path: written.into() }),
                None => meant(similar::nearest(&written.to_lowercase(), WORDS)),
            },
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(inherit|null|journal|syslog|file:/.+)$" })
    }
}

/// The path of a file. What is there on this machine at this moment is not asked: others may write to its directory, and
/// could keep all services from starting; the log writer tells what it cannot write to, and tries again.
fn file(path: &str) -> Result<PathBuf, Rule> {
    if path.contains('\0') {
        return Err(Rule::Nul);
    }
    let names_a_directory = path.ends_with(['/', '.']) && path.rsplit('/').next().is_none_or(is_step);
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(Rule::LogPathRelative);
    }
    if names_a_directory || path.file_name().is_none() {
        return Err(Rule::LogPathDirectory);
    }
    Ok(path.components().filter(|part| *part != Component::CurDir).collect())
}

/// Is this a part of a path that only a directory can end with?
fn is_step(part: &str) -> bool {
    matches!(part, "" | "." | "..")
}

impl Scalar for LogBytes {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let by_number = || u64::try_from(number(found.as_integer()?)?).ok();
        let bytes = by_number().or_else(|| amount(found.as_str()?).ok());
        bytes.filter(|bytes| *bytes >= 4096).map(Self).ok_or(Rule::LogBytes)
    }

    fn schema() -> Json {
        let text = json!({ "type": "string", "pattern": "^(unlimited|infinity|[0-9]+[KMGT]?)$" });
        json!({ "anyOf": [schema::integer(4096, i64::MAX), text] })
    }
}

impl Scalar for Backups {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let (least, most) = (0, i64::from(LOG_BACKUPS));
        let backups = found.as_integer().and_then(number).filter(|number| (least..=most).contains(number));
        backups.and_then(|number| u32::try_from(number).ok()).map(Self).ok_or(Rule::Within { least, most })
    }

    fn schema() -> Json {
        schema::integer(0, LOG_BACKUPS.into())
    }
}
