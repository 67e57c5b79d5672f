//! `supervisord.conf`.

use super::Input;
use super::draft::{Draft, Drafts, literal};
use super::ini::{Continues, Entry, read as read_ini};
use crate::limits::WORKERS;
use std::time::Duration;

pub(super) fn read(input: &Input, drafts: &mut Drafts) {
    let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for entry in read_ini(&input.text, Continues::Indented) {
        match (entry, sections.last_mut()) {
            (Entry::Section(name), _) => sections.push((uncommented(&name).into(), Vec::new())),
            (Entry::Key(key, value), Some((_, keys))) => keys.push((key, uncommented(&value).into())),
            (Entry::Key(text, _) | Entry::Strange(text), _) => {
                drafts.note(format!("{text}: stands in no section, or is no key"));
            }
        }
    }
    for (section, keys) in sections {
        match section.split_once(':') {
            Some(("program", name)) => program(name, false, &keys, drafts),
            Some(("fcgi-program", name)) => program(name, true, &keys, drafts),
            _ => {
                drafts.note(format!("[{section}]: has no counterpart"));
                for (key, value) in keys {
                    drafts.note(format!("    {key}={value}"));
                }
            }
        }
    }
}

/// A value without the comment behind it, which begins with a blank and a semicolon.
fn uncommented(value: &str) -> &str {
    let cut = [" ;", "\t;"].into_iter().filter_map(|mark| value.find(mark)).min();
    value.get(..cut.unwrap_or(value.len())).unwrap_or(value).trim()
}

fn program(name: &str, fastcgi: bool, keys: &[(String, String)], drafts: &mut Drafts) {
    let mut draft = Draft::new(name);
    // What supervisord does where nothing is said.
    draft.set("restart", "on-failure");
    draft.set_time("drain_timeout", Duration::from_secs(10));
    let mut start = Some(1);
    for (key, value) in keys {
        match &**key {
            "command" => match shlex::split(&expanded(value, name)) {
                Some(words) => draft.command(words),
                None => draft.note(format!("{key}={value}: a quote in it is never closed")),
            },
            "numprocs" => match value.parse().ok().filter(|number| (1..=i64::from(WORKERS)).contains(number))
            {
                Some(workers) => draft.set("workers", workers),
                None => draft.without_counterpart(key, value),
            },
            "directory" if !value.is_empty() && !value.contains(['\0', '%']) => {
                draft.set("directory", &**value);
            }
            "environment" => environment(value, name, &mut draft),
            "autorestart" => match &*value.to_lowercase() {
                "unexpected" => draft.set("restart", "on-failure"),
                "true" | "yes" | "on" | "1" => draft.set("restart", "always"),
                "false" | "no" | "off" | "0" => draft.set("restart", "no"),
                _ => draft.without_counterpart(key, value),
            },
            "startsecs" => match value.parse::<u64>() {
                Ok(seconds) => start = Some(seconds),
                Err(_) => draft.without_counterpart(key, value),
            },
            "stopsignal" => draft.stop_signal(key, value),
            "stopwaitsecs" => {
                let time = value.parse().ok().map(Duration::from_secs);
                if !time.is_some_and(|time| draft.set_time("drain_timeout", time)) {
                    draft.without_counterpart(key, value);
                }
            }
            "socket" if fastcgi => socket(value, &mut draft),
            "autostart" if value == "true" => {}
            "process_name" if value == "%(program_name)s" => {}
            "exitcodes" if value == "0" => {}
            // Not by ourselves: this machine need not have that user.
            "user" | "umask" if drafts.knows(key) => draft.note(format!("{key}={value}: see `{key}`")),
            _ => draft.without_counterpart(key, value),
        }
    }
    started(start, &mut draft);
    drafts.add(draft);
}

/// `startsecs`: it is taken for started when it has lived so long.
fn started(seconds: Option<u64>, draft: &mut Draft) {
    match seconds {
        Some(0) => draft.set("ready", "started"),
        Some(seconds) if draft.set_time("ready_delay", Duration::from_secs(seconds)) => {
            draft.set("ready", "delay");
            // It has to be over before the patience is; what is left is for a slow machine.
            let patience = Duration::from_secs(seconds.saturating_add(30));
            if seconds >= 30 && !draft.set_time("ready_timeout", patience) {
                draft.note(format!("startsecs={seconds}: is too long"));
                draft.set("ready", "started");
            }
        }
        Some(_) | None => draft.note("startsecs: is too long"),
    }
}

/// `%(program_name)s` and its kind; what is not known here stays as it is, and is said.
fn expanded(value: &str, name: &str) -> String {
    let mut text = literal(value).replace("%(program_name)s", name);
    for form in ["d", "s", "02d", "03d"] {
        text = text.replace(&format!("%(process_num){form}"), "{worker}");
    }
    text.replace("%%", "%")
}

/// `A=1,B="x, y"`
fn environment(value: &str, name: &str, draft: &mut Draft) {
    let mut rest = value.trim();
    while !rest.is_empty() {
        let Some((variable, after)) = rest.split_once('=') else {
            draft.note(format!("environment={rest}: is no variable"));
            return;
        };
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| "\"'".contains(*c));
        let (content, next) = match quote.and_then(|quote| after.get(1..)?.split_once(quote)) {
            Some((content, next)) => (content, next.split_once(',').map_or("", |(_, next)| next)),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        draft.variable(variable.trim(), &content.trim().replace("%(program_name)s", name).replace("%%", "%"));
        rest = next.trim();
    }
}

/// The socket of a `FastCGI` program, which is its stdin.
fn socket(value: &str, draft: &mut Draft) {
    let port = value.strip_prefix("tcp://").and_then(|address| {
        let address = address.replacen("localhost", "127.0.0.1", 1);
        address.parse::<std::net::SocketAddr>().ok().filter(|address| address.port() > 0)
    });
    let path = value.strip_prefix("unix://").filter(|path| {
        path.starts_with('/') && !path.contains(['%', '\0']) && path.len() <= crate::limits::UNIX_PATH_BYTES
    });
    match (port, path) {
        (Some(address), _) => draft.set("listen", format!("tcp://{address}")),
        (None, Some(path)) => draft.set("listen", format!("unix:{path}")),
        (None, None) => return draft.without_counterpart("socket", value),
    }
    draft.set("handshake", "inetd");
}
