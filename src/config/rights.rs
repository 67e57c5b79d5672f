//! The values of the keys that say who a process is, what it may do and how much it may use.

use super::field::{Scalar, Value, table};
use super::machine::{self, Member, Named};
use super::notes::Notes;
use super::problem::Problem;
use super::rule::Rule;
use super::schema;
use super::similar;
use super::value::number;
use crate::plan::{Capabilities, Group, Rlimit, UNLIMITED};
use caps::Capability;
use nix::sys::resource::Resource;
use serde_json::{Value as Json, json};
use std::str::FromStr as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// `user` of a service.
#[derive(Clone)]
pub(super) struct ServiceUser(pub(super) Member);
/// `group` of a service.
pub(super) struct ServiceGroup(pub(super) Group);
/// `supplementary_groups`.
pub(super) struct ServiceGroups(pub(super) Vec<Group>);
/// `user` of a listener.
pub(super) struct SocketUser(pub(super) u32);
/// `group` of a listener.
pub(super) struct SocketGroup(pub(super) u32);
/// Bits of a file's mode.
pub(super) struct Mode(pub(super) u32);
/// `nice`.
pub(super) struct Nice(pub(super) i32);
/// `oom_score_adjust`.
pub(super) struct OomScore(pub(super) i32);
/// `rlimits`, in the order of their names.
pub(super) struct Rlimits(pub(super) Vec<Rlimit>);
/// `capabilities`, which are kept.
pub(super) struct BoundingSet(pub(super) Capabilities);
/// `ambient_capabilities`, which are given.
pub(super) struct AmbientSet(pub(super) Capabilities);

/// The limits of `setrlimit(2)`.
const RLIMITS: [(&str, Resource); 16] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

/// Their names.
const RLIMIT_NAMES: [&str; 16] = {
    let mut names = [""; 16];
    let mut at = 0;
    while at < names.len() {
        names[at] = RLIMITS[at].0;
        at += 1;
    }
    names
};

/// Notes the rule that a value breaks.
fn noted<T>(
    result: Result<T, Rule>,
    found: &Spanned<DeValue<'_>>,
    key: &str,
    notes: &mut Notes<'_>,
) -> Option<T> {
    result.map_err(|rule| notes.add(found.span(), Problem::value(key, found.get_ref(), rule))).ok()
}

/// A name, or a number with quotes or without.
fn named(found: &DeValue<'_>, otherwise: Rule) -> Result<Named, Rule> {
    // The highest number means "none" to the system.
    let fits = |number: u32| (number < u32::MAX).then_some(Named::Number(number)).ok_or(Rule::IdTooLarge);
    if let Some(number) = found.as_integer() {
        let number = super::value::number(number);
        let small = number.and_then(|number| u32::try_from(number).ok());
        let wrong = if number.is_some_and(|number| number < 0) { otherwise } else { Rule::IdTooLarge };
        return small.map_or(Err(wrong), fits);
    }
    match found.as_str() {
        None | Some("") => Err(otherwise),
        Some(text) if text.contains('\0') => Err(otherwise),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map_or(Err(Rule::IdTooLarge), fits)
        }
        Some(text) => Ok(Named::Name(text.into())),
    }
}

fn user(found: &DeValue<'_>, notes: &mut Notes<'_>) -> Result<Member, Rule> {
    notes.machine().user(&named(found, Rule::User)?)
}

fn group(found: &DeValue<'_>, notes: &mut Notes<'_>) -> Result<Group, Rule> {
    notes.machine().group(&named(found, Rule::Group)?)
}

impl Value for ServiceUser {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let result = user(found.get_ref(), notes).and_then(|member| {
            if !machine::is_own_user(member.user.uid) {
                machine::needs(Capability::CAP_SETUID)?;
                machine::needs(Capability::CAP_SETGID)?;
            }
            Ok(Self(member))
        });
        noted(result, found, key, notes)
    }

    fn schema() -> Json {
        schema::user_or_group()
    }
}

impl Value for ServiceGroup {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let result = group(found.get_ref(), notes).and_then(|group| {
            if !machine::is_own_group(group.gid) {
                machine::needs(Capability::CAP_SETGID)?;
            }
            Ok(Self(group))
        });
        noted(result, found, key, notes)
    }

    fn schema() -> Json {
        schema::user_or_group()
    }
}

impl Value for ServiceGroups {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let Some(items) = found.get_ref().as_array() else {
            return noted(Err(Rule::Groups), found, key, notes);
        };
        let mut groups = Vec::with_capacity(items.len());
        for item in items {
            let result = group(item.get_ref(), notes);
            groups.extend(noted(result, item, key, notes));
        }
        if notes.count() == before {
            noted(machine::needs(Capability::CAP_SETGID), found, key, notes)?;
        }
        (notes.count() == before).then_some(Self(groups))
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": schema::user_or_group() })
    }
}

impl Value for SocketUser {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let result = user(found.get_ref(), notes).and_then(|member| {
            if !machine::is_own_user(member.user.uid) {
                machine::needs(Capability::CAP_CHOWN)?;
            }
            Ok(Self(member.user.uid))
        });
        noted(result, found, key, notes)
    }

    fn schema() -> Json {
        schema::user_or_group()
    }
}

impl Value for SocketGroup {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let result = group(found.get_ref(), notes).and_then(|group| {
            if !machine::is_in_group(group.gid) {
                machine::needs(Capability::CAP_CHOWN)?;
            }
            Ok(Self(group.gid))
        });
        noted(result, found, key, notes)
    }

    fn schema() -> Json {
        schema::user_or_group()
    }
}

impl Scalar for Mode {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let by_number = || found.as_integer().filter(|number| number.radix() == 8).and_then(number);
        let by_text = || {
            let text = found.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
            i64::from_str_radix(text, 8).ok()
        };
        let bits = by_number().or_else(by_text).and_then(|bits| u32::try_from(bits).ok());
        bits.filter(|bits| *bits <= 0o777).map(Self).ok_or(Rule::Mode)
    }

    fn schema() -> Json {
        schema::mode()
    }
}

/// A number from `least` to `most`; below `free` it takes a right.
fn within(
    found: &DeValue<'_>,
    (least, most): (i64, i64),
    free: impl Fn() -> i64,
    right: Capability,
) -> Result<i32, Rule> {
    let found = found.as_integer().and_then(number).filter(|number| (least..=most).contains(number));
    let number = found.ok_or(Rule::Within { least, most })?;
    if number < free() {
        machine::needs(right)?;
    }
    i32::try_from(number).map_err(|_| Rule::Within { least, most })
}

impl Scalar for Nice {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        within(found, (-20, 19), machine::lowest_nice, Capability::CAP_SYS_NICE).map(Self)
    }

    fn schema() -> Json {
        schema::integer(-20, 19)
    }
}

impl Scalar for OomScore {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        within(found, (-1000, 1000), machine::lowest_oom_score, Capability::CAP_SYS_RESOURCE).map(Self)
    }

    fn schema() -> Json {
        schema::integer(-1000, 1000)
    }
}

impl Value for Rlimits {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let written: &DeTable<'_> = table(found, key, Rule::Rlimits, notes)?;
        let mut limits = Vec::with_capacity(written.len());
        for (name, value) in written {
            let text = name.get_ref().as_ref();
            let Some(&(known, resource)) = RLIMITS.iter().find(|(known, _)| *known == text) else {
                let plain = text.to_lowercase();
                let bare = plain.strip_prefix("rlimit_").or(plain.strip_prefix("limit")).unwrap_or(&plain);
                let meant = similar::nearest(bare, &RLIMIT_NAMES);
                notes.add(name.span(), Problem::unknown_key(text, meant, &RLIMIT_NAMES));
                continue;
            };
            let limit = rlimit(value.get_ref(), known, resource);
            limits.extend(noted(limit, value, &format!("{key}.{known}"), notes));
        }
        limits.sort_by(|a: &Rlimit, b| a.name.cmp(&b.name));
        (notes.count() == before).then_some(Self(limits))
    }

    fn schema() -> Json {
        json!({
            "type": "object",
            "propertyNames": { "enum": RLIMIT_NAMES },
            "additionalProperties": schema::limit(),
        })
    }
}

fn rlimit(found: &DeValue<'_>, name: &'static str, resource: Resource) -> Result<Rlimit, Rule> {
    let (soft, hard) = match (found.as_integer(), found.as_str()) {
        (Some(written), _) => {
            let number = number(written).and_then(|number| u64::try_from(number).ok()).ok_or(Rule::Rlimit)?;
            (number, number)
        }
        (None, Some(text)) => match text.split_once(':') {
            Some((soft, hard)) => (amount(soft)?, amount(hard)?),
            None => (amount(text)?, amount(text)?),
        },
        (None, None) => return Err(Rule::Rlimit),
    };
    if soft > hard {
        return Err(Rule::SoftPastHard);
    }
    let most = machine::most_descriptors();
    if resource == Resource::RLIMIT_NOFILE && hard > most {
        return Err(Rule::TooManyDescriptors { most });
    }
    let own = machine::hard_limit(resource);
    if hard > own && machine::needs(Capability::CAP_SYS_RESOURCE).is_err() {
        return Err(Rule::PastHardLimit { own });
    }
    Ok(Rlimit { name: name.into(), resource: resource as u32, soft, hard })
}

/// `1024`, `64M`, `unlimited`.
pub(super) fn amount(text: &str) -> Result<u64, Rule> {
    if ["unlimited", "infinity"].contains(&text) {
        return Ok(UNLIMITED);
    }
    let factors = [("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let (digits, shift) = factors
        .into_iter()
        .find_map(|(letter, shift)| Some((text.strip_suffix(letter)?, shift)))
        .unwrap_or((text, 0));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rule::Rlimit);
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or(Rule::Rlimit)
}

/// An array of names, each with `CAP_` before it or without.
fn capabilities(
    found: &Spanned<DeValue<'_>>,
    key: &'static str,
    notes: &mut Notes<'_>,
) -> Option<Capabilities> {
    let before = notes.count();
    let Some(items) = found.get_ref().as_array() else {
        return noted(Err(Rule::Capabilities), found, key, notes);
    };
    let mut all = 0;
    for item in items {
        let name = item.get_ref().as_str();
        if let Some(known) = name.and_then(|name| Capability::from_str(&caps::to_canonical(name)).ok()) {
            all |= known.bitmask();
            continue;
        }
        let rule = name.map_or(Rule::Capabilities, |name| Rule::NoSuchCapability { meant: meant(name) });
        notes.add(item.span(), Problem::value(key, item.get_ref(), rule));
    }
    (notes.count() == before).then_some(Capabilities(all))
}

/// Names as files have them, which editors complete. Other spellings are left to the reader.
fn capability_names() -> Json {
    let mut plain: Vec<String> = caps::all().into_iter().map(plain).collect();
    plain.sort();
    let spelled = json!({ "type": "string", "pattern": "^[Cc][Aa][Pp]_|[A-Z]" });
    json!({ "type": "array", "items": { "anyOf": [{ "enum": plain }, spelled] } })
}

/// A capability, as files have it.
pub(super) fn plain(known: Capability) -> String {
    let name = known.to_string().to_lowercase();
    name.strip_prefix("cap_").map_or_else(|| name.clone(), str::to_owned)
}

fn meant(written: &str) -> Option<String> {
    let names: Vec<String> = caps::all().into_iter().map(plain).collect();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let written = written.to_lowercase().replace('-', "_");
    let bare = written.strip_prefix("cap_").unwrap_or(&written);
    similar::nearest(bare, &known).map(str::to_owned)
}

/// The first of these capabilities, as files have it.
pub(super) fn first(of: Capabilities) -> Option<Capability> {
    caps::all().into_iter().filter(|known| of.has(known.index().into())).min_by_key(Capability::index)
}

impl Value for BoundingSet {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let kept = capabilities(found, key, notes)?;
        if !machine::bounding_set().without(kept).is_empty() {
            noted(machine::needs(Capability::CAP_SETPCAP), found, key, notes)?;
        }
        Some(Self(kept))
    }

    fn schema() -> Json {
        capability_names()
    }
}

impl Value for AmbientSet {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let given = capabilities(found, key, notes)?;
        if let Some(right) = first(machine::not_held(given)) {
            noted(machine::needs(right), found, key, notes)?;
        }
        Some(Self(given))
    }

    fn schema() -> Json {
        capability_names()
    }
}
