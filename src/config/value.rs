//! What the keys hold, one type for each kind of value.

use super::field::{At, Scalar, Value};
use super::found::Found;
use super::notes::Notes;
use super::problem::Problem;
use super::rule::Rule;
use super::schema;
use crate::limits::{CHECK_FAILURES, CONTROL_DIRECTORY_BYTES, DURATION_MAX, SERVICES, WORKERS};
use crate::plan::ServiceName;
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// A TCP port.
pub(super) struct Port(pub(super) u16);
/// Length of the queue of a listener.
pub(super) struct Backlog(pub(super) u32);
/// How many processes serve side by side.
pub(super) struct Workers(pub(super) u32);
/// How many services may start at once.
pub(super) struct Starts(pub(super) usize);
/// How many workers may be replaced at once.
pub(super) struct Surge(pub(super) u32);
/// How many workers may be missing at once.
pub(super) struct Unavailable(pub(super) u32);
/// A path that the system can open.
pub(super) struct FilePath(pub(super) PathBuf);
/// A directory in which the control socket is made.
pub(super) struct ControlDirectory(pub(super) PathBuf);
/// A signal that a process can react to, by number.
pub(super) struct Signal(pub(super) i32);
/// At least a millisecond.
pub(super) struct Timeout(pub(super) Duration);
/// A duration that may be zero.
pub(super) struct Pause(pub(super) Duration);
/// At least a second, and nothing after the point.
pub(super) struct WholeSeconds(pub(super) Duration);
/// The program and its arguments, with the place of each.
pub(super) struct Command(pub(super) Vec<At<String>>);
/// Variables: name and value, with the place of the value.
pub(super) struct Env(pub(super) Vec<(String, At<String>)>);

/// A status of HTTP.
pub(super) struct Status(pub(super) u16);
/// How many bad answers in a row.
pub(super) struct Failures(pub(super) u32);

/// What a gate asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    Tcp,
    Http,
    Exec,
}

/// The words of `ready`; what else they need is judged with the other keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Pipe,
    Notify,
    Ack,
    Accepting,
    Started,
    Delay,
    Asks(Asks),
}

/// The number, where it is one that fits.
pub(super) fn number(found: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(found.as_str(), found.radix()).ok()
}

fn text<'t>(found: &'t DeValue<'_>, otherwise: Rule) -> Result<&'t str, Rule> {
    found.as_str().ok_or(otherwise)
}

/// A number from 1 to 65535.
fn sixteen_bits(found: &DeValue<'_>, rule: fn(bool) -> Rule) -> Result<u16, Rule> {
    let quoted = found.as_str().is_some_and(|text| text.parse::<u16>().is_ok_and(|number| number > 0));
    found
        .as_integer()
        .and_then(number)
        .and_then(|number| u16::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or(rule(quoted))
}

impl Scalar for Port {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        sixteen_bits(found, |quoted| Rule::Port { quoted }).map(Self)
    }

    fn schema() -> Json {
        schema::integer(1, u16::MAX.into())
    }
}

impl Scalar for Backlog {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        sixteen_bits(found, |quoted| Rule::Backlog { quoted }).map(|number| Self(number.into()))
    }

    fn schema() -> Json {
        schema::integer(1, u16::MAX.into())
    }
}

/// A number between two others, themselves among them.
fn between(found: &DeValue<'_>, from: u32, to: u32) -> Result<u32, Rule> {
    let fits = |number: &u32| (from..=to).contains(number);
    let good = found.as_integer().and_then(number).and_then(|number| u32::try_from(number).ok()).filter(fits);
    let quoted = found.as_str().and_then(|text| text.parse().ok()).is_some_and(|number| fits(&number));
    good.ok_or(Rule::Between { from, to, quoted })
}

impl Scalar for Status {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        between(found, 100, 599).map(|status| Self(u16::try_from(status).unwrap_or(u16::MAX)))
    }

    fn schema() -> Json {
        schema::integer(100, 599)
    }
}

impl Scalar for Failures {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        between(found, 1, CHECK_FAILURES).map(Self)
    }

    fn schema() -> Json {
        schema::integer(1, CHECK_FAILURES.into())
    }
}

/// A number from 1 to [`WORKERS`]; `zero` is the rule for somebody who wrote 0.
fn count(found: &DeValue<'_>, most: u32, zero: Option<Rule>) -> Result<u32, Rule> {
    let fits = |number: &u32| (1..=most).contains(number);
    match found.as_integer().and_then(number).map(u32::try_from) {
        Some(Ok(0)) => Err(zero.unwrap_or(Rule::Count { most, quoted: false })),
        Some(Ok(number)) if fits(&number) => Ok(number),
        Some(Ok(_) | Err(_)) => Err(Rule::Count { most, quoted: false }),
        None => {
            let quoted = found.as_str().and_then(|text| text.parse().ok());
            Err(Rule::Count { most, quoted: quoted.as_ref().is_some_and(fits) })
        }
    }
}

impl Scalar for Workers {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        count(found, WORKERS, None).map(Self)
    }

    fn schema() -> Json {
        schema::integer(1, WORKERS.into())
    }
}

impl Scalar for Starts {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let most = u32::try_from(SERVICES).expect("the limit is far below that of the type");
        count(found, most, None).map(|starts| Self(starts as usize))
    }

    fn schema() -> Json {
        schema::integer(1, i64::try_from(SERVICES).expect("the limit is far below that of the type"))
    }
}

impl Scalar for Surge {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        count(found, WORKERS, Some(Rule::NoSurge)).map(Self)
    }

    fn schema() -> Json {
        schema::integer(1, WORKERS.into())
    }
}

impl Scalar for Unavailable {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        count(found, WORKERS, Some(Rule::NoneUnavailable)).map(Self)
    }

    fn schema() -> Json {
        schema::integer(1, WORKERS.into())
    }
}

impl Scalar for bool {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        found.as_bool().ok_or(Rule::TrueOrFalse)
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl Scalar for ServiceName {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        ServiceName::parse(text(found, Rule::Text)?).map_err(Rule::Name)
    }

    fn schema() -> Json {
        schema::service_name()
    }
}

impl Scalar for FilePath {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        match text(found, Rule::Path)? {
            "" => Err(Rule::Path),
            path if path.contains('\0') => Err(Rule::Nul),
            path => Ok(Self(path.into())),
        }
    }

    fn schema() -> Json {
        schema::filled_text()
    }
}

impl Scalar for ControlDirectory {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let FilePath(path) = <FilePath as Scalar>::read(found)?;
        let bytes = path.as_os_str().len();
        if bytes > CONTROL_DIRECTORY_BYTES { Err(Rule::NoRoomForSocket { bytes }) } else { Ok(Self(path)) }
    }

    fn schema() -> Json {
        <FilePath as Scalar>::schema()
    }
}

impl Scalar for Signal {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let by_number = || i32::try_from(number(found.as_integer()?)?).ok();
        let by_name = || {
            let name = found.as_str()?.to_uppercase();
            let bare = name.strip_prefix("SIG").unwrap_or(&name);
            nix::sys::signal::Signal::from_str(&format!("SIG{bare}")).ok().map(|signal| signal as i32)
        };
        match by_number().or_else(by_name) {
            Some(libc::SIGKILL | libc::SIGSTOP) => Err(Rule::SignalNobodyHears),
            Some(number @ 1..=64) => Ok(Self(number)),
            Some(_) | None => Err(Rule::Signal),
        }
    }

    fn schema() -> Json {
        schema::signal()
    }
}

/// A duration of whole milliseconds, which is what the clock of the supervisor counts.
fn duration(found: &DeValue<'_>) -> Result<Duration, Rule> {
    if let Some(number) = found.as_integer().and_then(number).filter(|number| *number >= 0) {
        return Err(Rule::DurationWithoutUnit { number: number.to_string() });
    }
    let written = text(found, Rule::Duration)?;
    let bare = !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit());
    match humantime::parse_duration(written) {
        Ok(duration) if duration > DURATION_MAX => Err(Rule::DurationTooLong),
        Ok(duration) if duration.subsec_nanos() % 1_000_000 != 0 => Err(Rule::DurationTooFine),
        Ok(duration) => Ok(duration),
        Err(humantime::DurationError::NumberOverflow) if !bare => Err(Rule::DurationTooLong),
        Err(_) if bare => Err(Rule::DurationWithoutUnit { number: written.to_string() }),
        Err(_) => Err(Rule::Duration),
    }
}

impl Scalar for Timeout {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let duration = duration(found)?;
        if duration.is_zero() { Err(Rule::DurationZero) } else { Ok(Self(duration)) }
    }

    fn schema() -> Json {
        schema::duration()
    }
}

impl Scalar for Pause {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        duration(found).map(Self)
    }

    fn schema() -> Json {
        schema::pause()
    }
}

impl Scalar for WholeSeconds {
    fn read(found: &DeValue<'_>) -> Result<Self, Rule> {
        let duration = duration(found)?;
        let whole = duration.subsec_nanos() == 0 && !duration.is_zero();
        if whole { Ok(Self(duration)) } else { Err(Rule::WholeSeconds) }
    }

    fn schema() -> Json {
        schema::duration()
    }
}

impl Value for Command {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let items: Vec<At<String>> = if let Some(line) = found.get_ref().as_str() {
            let Some(items) = shlex::split(line) else {
                notes.add(found.span(), Problem::value(key, found.get_ref(), Rule::UnbalancedQuote));
                return None;
            };
            items.into_iter().map(|value| At { span: found.span(), value }).collect()
        } else if let Some(items) = found.get_ref().as_array() {
            items.iter().filter_map(|item| argument(item, key, notes)).collect()
        } else {
            notes.add(found.span(), Problem::value(key, found.get_ref(), Rule::Command));
            return None;
        };
        let empty = items.first().is_none_or(|first| first.value.is_empty());
        if empty && notes.count() == before {
            notes.add(found.span(), Problem::value(key, found.get_ref(), Rule::CommandEmpty));
        }
        if items.iter().any(|item| item.value.contains('\0')) {
            notes.add(found.span(), Problem::value(key, found.get_ref(), Rule::Nul));
        }
        (notes.count() == before).then_some(Self(items))
    }

    fn schema() -> Json {
        let argument = json!({ "type": "string" });
        json!({ "anyOf": [schema::filled_text(), { "type": "array", "minItems": 1, "items": argument }] })
    }
}

fn argument(item: &Spanned<DeValue<'_>>, key: &str, notes: &mut Notes<'_>) -> Option<At<String>> {
    let Some(text) = item.get_ref().as_str() else {
        notes.add(
            item.span(),
            Problem::value(key, item.get_ref(), Rule::quoted(item.get_ref(), Rule::Argument)),
        );
        return None;
    };
    Some(At { span: item.span(), value: text.into() })
}

impl Value for Env {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let before = notes.count();
        let Some(variables) = found.get_ref().as_table() else {
            notes.add(found.span(), Problem::hidden_value(key, found.get_ref(), Rule::Env));
            return None;
        };
        let mut env = Vec::with_capacity(variables.len());
        for (name, value) in variables {
            let text = name.get_ref();
            if text.is_empty() || text.contains(['=', '\0']) {
                notes.add(name.span(), Problem::VariableName { found: Found::text(text) });
            }
            match value.get_ref().as_str() {
                Some(content) if content.contains('\0') => {
                    notes.add(
                        value.span(),
                        Problem::hidden_value(&format!("env.{text}"), value.get_ref(), Rule::Nul),
                    );
                }
                Some(content) => {
                    env.push((text.to_string(), At { span: value.span(), value: content.to_string() }));
                }
                None => {
                    let problem =
                        Problem::hidden_value(&format!("env.{text}"), value.get_ref(), Rule::Variable);
                    notes.add(value.span(), problem);
                }
            }
        }
        (notes.count() == before).then_some(Self(env))
    }

    fn schema() -> Json {
        json!({
            "type": "object",
            "propertyNames": { "pattern": "^[^=]+$" },
            "additionalProperties": { "type": "string" },
        })
    }
}
