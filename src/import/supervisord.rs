//! `supervisord.conf`.

use super::Input;
use super::draft::{Draft, Drafts, literal};
use super::ini::{Continues, Entry, read as read_ini};
use super::output::{Output, Stream};
use super::rights;
use crate::limits::{LOG_BACKUPS, WORKERS};
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
    let mut output = Output::default();
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
            // What does not leave is ended with its group.
            "autostart" | "killasgroup" if value == "true" => {}
            "process_name" if value == "%(program_name)s" => {}
            "exitcodes" if value == "0" => {}
            "user" if rights::set("user", key, value, &mut draft) => {}
            "umask" if rights::set("umask", key, value, &mut draft) => {}
            _ if written(key, value, name, &mut output) => {}
            _ => draft.without_counterpart(key, value),
        }
    }
    output.write(&mut draft);
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

/// The keys about what it writes; tells whether this is one that has a counterpart.
fn written(key: &str, value: &str, name: &str, output: &mut Output) -> bool {
    let on = ["true", "yes", "on", "1"].contains(&&*value.to_lowercase());
    let (stream, rest) = match key.split_once('_') {
        Some(("stdout", rest)) => (Stream::Stdout, rest),
        Some(("stderr", rest)) => (Stream::Stderr, rest),
        Some(("redirect", "stderr")) => {
            if on {
                output.join();
            }
            return true;
        }
        _ => return false,
    };
    match rest {
        "logfile" => log_file(stream, key, value, name, output),
        "syslog" => {
            if on {
                output.goes(stream, "syslog", key, value);
            }
            true
        }
        "logfile_maxbytes" => size(value).is_some_and(|bytes| {
            let ours = if bytes == 0 { "unlimited".to_owned() } else { bytes.to_string() };
            output.keeps(stream, "log_max_bytes", ours, (key, value));
            true
        }),
        "logfile_backups" => {
            value.parse().ok().filter(|count| (0..=LOG_BACKUPS.into()).contains(count)).is_some_and(
                |count: i64| {
                    output.keeps(stream, "log_backups", count, (key, value));
                    true
                },
            )
        }
        _ => false,
    }
}

fn log_file(stream: Stream, key: &str, value: &str, name: &str, output: &mut Output) -> bool {
    let path = value.replace("%(program_name)s", name);
    let to = match (&*value.to_lowercase(), &*path, stream) {
        ("none", ..) => "null".into(),
        ("syslog", ..) => "syslog".into(),
        (_, "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1", Stream::Stdout)
        | (_, "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2", Stream::Stderr) => "inherit".into(),
        _ if path.starts_with('/') && !path.contains(['%', '\0']) && !path.starts_with("/dev/") => {
            format!("file:{path}")
        }
        // AUTO is a file that supervisord removes itself.
        _ => return false,
    };
    output.goes(stream, to, key, value);
    true
}

/// `50MB`: bytes, each unit 1024 of the one before. What is less than ours takes is none.
fn size(value: &str) -> Option<u64> {
    let upper = value.to_uppercase();
    let units = [("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("", 1)];
    let (number, unit) = units.iter().find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?, *bytes)))?;
    let bytes = number.trim().parse::<u64>().ok()?.checked_mul(unit)?;
    (bytes == 0 || (4096..=1 << 62).contains(&bytes)).then_some(bytes)
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
