//! JSON Schema for one value: what editors can know of it. A fragment takes all that the key takes, and as little
//! else as a pattern can say; what it cannot say is left to `check`.

use crate::limits::SERVICE_NAME_BYTES;
use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};

/// Where the schema keeps what a `check` may be.
pub(super) const CHECK: &str = "check";

/// Where the schema keeps what a `cgroup` may be.
pub(super) const CGROUP: &str = "cgroup";

/// Where the schema keeps what a table in `listen` may be.
pub(super) const LISTENER: &str = "listener";

/// A number within these two.
pub(super) fn integer(first: i64, last: i64) -> Json {
    json!({ "type": "integer", "minimum": first, "maximum": last })
}

/// Text that is not empty.
pub(super) fn filled_text() -> Json {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn service_name() -> Json {
    json!({
        "type": "string",
        "pattern": "^[a-z0-9_][a-z0-9_-]*$",
        "maxLength": SERVICE_NAME_BYTES,
        "not": { "const": "bootstrap" },
    })
}

/// Numbers, each with its unit, as `humantime` reads them.
pub(super) fn duration() -> Json {
    json!({ "type": "string", "pattern": format!("^{}$", with_units()) })
}

/// The same, and zero, which needs no unit.
pub(super) fn pause() -> Json {
    json!({ "type": "string", "pattern": format!("^(0|{})$", with_units()) })
}

fn with_units() -> String {
    const UNITS: &str = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m\
        |hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y";
    format!(r"\s*(([0-9]\s*)+(\.\s*([0-9]\s*)+)?({UNITS})\s*)+")
}

/// A name, or a number.
pub(super) fn user_or_group() -> Json {
    json!({ "anyOf": [filled_text(), integer(0, i64::from(u32::MAX) - 1)] })
}

/// The bits of a mode: octal text, or a number that TOML has written as octal.
pub(super) fn mode() -> Json {
    json!({ "anyOf": [{ "type": "string", "pattern": "^0*[0-7]{1,3}$" }, integer(0, 0o777)] })
}

/// A limit of `setrlimit(2)`: one amount, or two with a colon between.
pub(super) fn limit() -> Json {
    const AMOUNT: &str = "(unlimited|infinity|[0-9]+[KMGT]?)";
    json!({ "anyOf": [
        { "type": "string", "pattern": format!("^{AMOUNT}(:{AMOUNT})?$") },
        { "type": "integer", "minimum": 0 },
    ] })
}

/// Names in either case, with or without `SIG`, and numbers; not those that no process can react to.
pub(super) fn signal() -> Json {
    let heard = Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP));
    let either_case = |name: &str| -> String {
        let letter = |c: char| {
            if c.is_ascii_uppercase() { format!("[{c}{}]", c.to_ascii_lowercase()) } else { c.into() }
        };
        name.chars().map(letter).collect()
    };
    let names: Vec<String> =
        heard.map(|signal| either_case(signal.as_str().trim_start_matches("SIG"))).collect();
    json!({ "anyOf": [
        { "type": "string", "pattern": format!("^({})?({})$", either_case("SIG"), names.join("|")) },
        { "type": "integer", "minimum": 1, "maximum": 64, "not": { "enum": [libc::SIGKILL, libc::SIGSTOP] } },
    ] })
}

pub(super) fn address() -> Json {
    json!({ "type": "string", "pattern": r"^((tcp|udp)://(\[[0-9a-fA-F:.%]+\]|[0-9.]+):[0-9]+|unix:.+)$" })
}

/// A table that is a `check`.
pub(super) fn check() -> Json {
    json!({ "$ref": format!("#/$defs/{CHECK}") })
}

/// A table that is a `cgroup`.
pub(super) fn cgroup() -> Json {
    json!({ "$ref": format!("#/$defs/{CGROUP}") })
}

/// A table in `listen`.
pub(super) fn listener() -> Json {
    json!({ "$ref": format!("#/$defs/{LISTENER}") })
}
