//! Who a process is and what it may do. These keys are never left to a comment where they can be read: a service that was
//! somebody else's must not become ours. Where this machine does not have that user, the file is refused until it does.

use super::draft::Draft;
use toml::Value;

/// Sets our key from the words of another file; tells whether they could be read.
pub(super) fn set(ours: &'static str, key: &str, value: &str, draft: &mut Draft) -> bool {
    if ours == "rlimits" {
        let name = key.trim_start_matches("Limit").to_lowercase();
        // The kernel has a number for the most descriptors, which is that of the machine.
        let is_none = name == "nofile" && value.contains("infinity");
        return is_limit(&name) && !is_none && limit(value).map(|both| draft.limit(&name, &both)).is_some();
    }
    let several = match ours {
        "supplementary_groups" => Some(each(value, account)),
        "capabilities" | "ambient_capabilities" => Some(each(value, capability)),
        _ => None,
    };
    if let Some(read) = several {
        // Each line adds to those before.
        return read.map(|all| all.into_iter().for_each(|one| draft.add_once(ours, one))).is_some();
    }
    let read = match ours {
        "user" | "group" => account(value),
        "umask" => umask(value),
        "nice" | "oom_score_adjust" => value.parse::<i64>().ok().map(Value::from),
        "no_new_privs" => truth(value).map(Value::from),
        _ => None,
    };
    read.map(|read| draft.set(ours, read)).is_some()
}

/// A name or a number.
pub(super) fn account(text: &str) -> Option<Value> {
    let plain = !text.is_empty() && !text.contains(['%', ':', ' ']);
    plain.then(|| text.parse::<i64>().map_or_else(|_| text.into(), Value::from))
}

fn umask(text: &str) -> Option<Value> {
    let octal = !text.is_empty() && text.len() <= 4 && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    octal.then(|| format!("{text:0>4}").into())
}

/// Permissions of a socket: octal, without what is not a permission.
pub(super) fn mode(text: &str) -> Option<Value> {
    umask(text).filter(|mode| mode.as_str().is_some_and(|mode| mode.starts_with('0')))
}

fn truth(text: &str) -> Option<bool> {
    match &*text.to_lowercase() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A list of all but some (`~`) is not one of ours.
fn capability(text: &str) -> Option<Value> {
    let name = text.to_lowercase().strip_prefix("cap_")?.to_owned();
    Some(name.into())
}

fn each(text: &str, read: impl Fn(&str) -> Option<Value>) -> Option<Vec<Value>> {
    text.split_whitespace().map(read).collect()
}

/// Those whose plain numbers count the same there and here. Niceness is counted from the other end.
fn is_limit(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    NAMES.contains(&name)
}

/// The soft limit and the hard one, or one for both: a number, and of bytes one with K, M, G or T, each 1024 of the one
/// before. A time with a unit is not one of ours.
fn limit(text: &str) -> Option<String> {
    let one = |text: &str| match text {
        "infinity" => Some("unlimited".to_owned()),
        number => {
            let digits = number.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(number);
            digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(())?;
            digits.parse::<u64>().ok().map(|_| number.to_owned())
        }
    };
    match text.split_once(':') {
        Some((soft, hard)) => Some(format!("{}:{}", one(soft)?, one(hard)?)),
        None => one(text),
    }
}
