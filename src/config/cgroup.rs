//! `cgroup`: where the processes of a service are counted together, and how much all of them may use.

use super::field::{Scalar, Value, table};
use super::machine;
use super::notes::Notes;
use super::problem::Problem;
use super::raw::Cgroup as Raw;
use super::rights::amount;
use super::rule::Rule;
use super::schema;
use super::value::{FilePath, number};
use crate::plan::{Cgroup, UNLIMITED};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

/// Bytes, at least a page.
pub(super) struct Bytes(pub(super) u64);
/// Hundredths of a processor.
pub(super) struct Percent(pub(super) u32);
/// How many processes and threads.
pub(super) struct Tasks(pub(super) u32);

impl Scalar for Bytes {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let by_number = || u64::try_from(number(found.as_integer()?)?).ok();
        let bytes = by_number().or_else(|| amount(found.as_str()?).ok());
        bytes.filter(|bytes| (4096..UNLIMITED).contains(bytes)).map(Self).ok_or(Rule::Bytes)
    }

    fn schema() -> Json {
        json!({ "anyOf": [schema::integer(4096, i64::MAX), { "type": "string", "pattern": "^[0-9]+[KMGT]?$" }] })
    }
}

impl Scalar for Percent {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let digits = found.as_str().and_then(|text| text.strip_suffix('%'));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let percent = digits.and_then(|digits| digits.parse().ok());
        percent.filter(|percent| (1..=1_000_000).contains(percent)).map(Self).ok_or(Rule::Percent)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[0-9]+%$" })
    }
}

impl Scalar for Tasks {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let (least, most) = (1, i64::from(u32::MAX));
        let tasks = found.as_integer().and_then(number).filter(|number| (least..=most).contains(number));
        tasks.and_then(|tasks| u32::try_from(tasks).ok()).map(Self).ok_or(Rule::Within { least, most })
    }

    fn schema() -> Json {
        schema::integer(1, u32::MAX.into())
    }
}

impl Value for Cgroup {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let raw = Raw::of(table(found, key, Rule::Cgroup, notes)?, notes);
        let path = raw.path.read(notes).required(raw.path.key, &found.span(), notes);
        let memory_max = raw.memory_max.read(notes).map(|Bytes(bytes)| Some(bytes)).or_default(None);
        let cpu_percent = raw.cpu_max.read(notes).map(|Percent(percent)| Some(percent)).or_default(None);
        let pids_max = raw.pids_max.read(notes).map(|Tasks(tasks)| Some(tasks)).or_default(None);
        let at = path?;
        let FilePath(path) = at.value;
        let (memory_max, cpu_percent, pids_max) = (memory_max?, cpu_percent?, pids_max?);
        let wanted =
            [("memory", memory_max.is_some()), ("cpu", cpu_percent.is_some()), ("pids", pids_max.is_some())];
        let controllers = wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name);
        if let Err(rule) = machine::cgroup(&path, controllers) {
            let text = DeValue::String(path.display().to_string().into());
            notes.add(at.span, Problem::value("cgroup.path", &text, rule));
        }
        (notes.count() == before).then_some(Self { path, memory_max, cpu_percent, pids_max })
    }

    fn schema() -> Json {
        schema::cgroup()
    }
}
