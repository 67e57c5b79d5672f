//! `supervisord.conf`.

use super::Input;
use super::access::Access;
use super::draft::{Draft, Drafts};
use super::ini::{Continues, Entry, read as read_ini};
use super::output::{Output, Stream};
use super::rights;
use super::supervisord_text::{self, Expanded, Expansions, Number, filled, is_plain};
use crate::limits::{LOG_BACKUPS, WORKERS};
use std::time::Duration;

/// What `[supervisord]` says of all its programs, each of which may say otherwise.
const OF_ALL: [&str; 4] = ["directory", "environment", "umask", "user"];

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
    let groups: Vec<(String, String)> =
        sections.iter().flat_map(|(section, keys)| members(section, keys)).collect();
    let from = |program: &str| From {
        here: &input.directory,
        group: groups.iter().find(|(member, _)| member == program).map(|(_, group)| &**group),
    };
    let is_of_all = |section: &str, key: &str| section == "supervisord" && OF_ALL.contains(&key);
    let of_all: Vec<(String, String)> = sections
        .iter()
        .flat_map(|(section, keys)| keys.iter().filter(|(key, _)| is_of_all(section, key)).cloned())
        .collect();
    for (section, keys) in sections {
        let with_all = || [of_all.clone(), keys.clone()].concat();
        match section.split_once(':') {
            Some(("program", name)) => program(name, from(name), false, &with_all(), drafts),
            Some(("fcgi-program", name)) => program(name, from(name), true, &with_all(), drafts),
            _ => {
                drafts.note(format!("[{section}]: has no counterpart"));
                for (key, value) in keys.iter().filter(|(key, _)| !is_of_all(&section, key)) {
                    drafts.note(format!("    {key}={value}"));
                }
            }
        }
    }
}

/// Where a program stands.
#[derive(Clone, Copy)]
struct From<'a> {
    here: &'a str,
    group: Option<&'a str>,
}

/// The programs of a group, and the group.
fn members(section: &str, keys: &[(String, String)]) -> Vec<(String, String)> {
    let Some(("group", group)) = section.split_once(':') else { return Vec::new() };
    let programs = keys.iter().filter(|(key, _)| key == "programs").flat_map(|(_, all)| all.split(','));
    programs.map(|program| (program.trim().to_owned(), group.to_owned())).collect()
}

/// A value without the comment behind it, which begins with a blank and a semicolon.
fn uncommented(value: &str) -> &str {
    let cut = [" ;", "\t;"].into_iter().filter_map(|mark| value.find(mark)).min();
    value.get(..cut.unwrap_or(value.len())).unwrap_or(value).trim()
}

/// One process or several alike, as a service of ours.
struct Process<'a> {
    keys: &'a [(String, String)],
    fastcgi: bool,
    number: Number,
    expansions: Expansions,
}

/// A service, or one for each process where its number has a form that `{worker}` has not, such as `%(process_num)02d`.
fn program(name: &str, from: From<'_>, fastcgi: bool, keys: &[(String, String)], drafts: &mut Drafts) {
    let last = |wanted: &str| keys.iter().rfind(|(key, _)| key == wanted).map(|(_, value)| value);
    let count = |wanted: &str| last(wanted).map(|value| value.parse::<i64>());
    let numprocs = match count("numprocs") {
        Some(Ok(number)) if (1..=i64::from(WORKERS)).contains(&number) => number,
        _ => 1,
    };
    let start = match count("numprocs_start") {
        Some(Ok(number)) if (0..=i64::from(u32::MAX)).contains(&number) => number,
        _ => 0,
    };
    let texts: Vec<_> = ["command", "environment", "directory"].into_iter().filter_map(last).collect();
    let is_numbered = texts.iter().any(|text| supervisord_text::is_numbered(text));
    let is_plain = texts.iter().all(|text| is_plain(text))
        && (start == 0 || !is_numbered)
        // What is one for all workers here.
        && !["directory", "stdout_logfile", "stderr_logfile"]
            .into_iter()
            .filter_map(last)
            .any(|text| supervisord_text::is_numbered(text));
    let process = |number| Process {
        keys,
        fastcgi,
        number,
        expansions: Expansions::new(name, from.group, from.here, numprocs, number),
    };
    if numprocs == 1 {
        drafts.add(process(Number::Is(start)).draft(name));
    } else if is_plain {
        let mut draft = process(Number::Worker).draft(name);
        draft.set("workers", numprocs);
        drafts.add(draft);
    } else if fastcgi {
        drafts.note(format!(
            "[fcgi-program:{name}]: its processes share a socket, and no placeholder is a number"
        ));
        drafts.note("like that of its processes; write a service with `workers`. It is left out:");
        for (key, value) in keys {
            drafts.note(format!("    {key}={value}"));
        }
    } else {
        drafts.note(format!(
            "{name}: a service for each process, since {{worker}} is no number like that of its processes"
        ));
        for number in start..start + numprocs {
            drafts.add(process(Number::Is(number)).draft(&format!("{name}-{number}")));
        }
    }
}

impl Process<'_> {
    fn draft(mut self, name: &str) -> Draft {
        let mut draft = Draft::new(name);
        // What supervisord does where nothing is said.
        draft.set("restart", "on-failure");
        draft.set_time("drain_timeout", Duration::from_secs(10));
        for (_, value) in self.keys.iter().filter(|(key, _)| key == "environment") {
            environment(value, &mut self, &mut draft);
        }
        let mut start = Some(1);
        let mut output = Output::default();
        for (key, value) in self.keys {
            self.key(key, value, &mut draft, &mut start, &mut output);
        }
        if self.fastcgi {
            socket(self.keys, &self.expansions, &mut draft);
        }
        output.write(&mut draft);
        started(start, &mut draft);
        draft
    }

    fn command(&self, key: &str, value: &str, draft: &mut Draft) {
        let expanded = self.expansions.expand(value);
        tell(key, value, &expanded, draft);
        match shlex::split(expanded.marked()) {
            Some(words) => draft.command(words.iter().map(|word| filled(word, self.number)).collect()),
            None => draft.note(format!("{key}={value}: a quote in it is never closed")),
        }
    }

    fn key(&self, key: &str, value: &str, draft: &mut Draft, start: &mut Option<u64>, output: &mut Output) {
        match key {
            "command" => self.command(key, value, draft),
            // They are read before the others.
            "environment" => {}
            "numprocs" if value.parse().is_ok_and(|number| (1..=i64::from(WORKERS)).contains(&number)) => {}
            "numprocs_start" if value.parse().is_ok_and(|number| (0..=u32::MAX).contains(&number)) => {}
            "directory" if !value.is_empty() => match self.expansions.expand(value).fixed() {
                Some(path) => draft.set("directory", path),
                None => draft.without_counterpart(key, value),
            },
            "autorestart" => match &*value.to_lowercase() {
                "unexpected" => draft.set("restart", "on-failure"),
                "true" | "yes" | "on" | "1" => draft.set("restart", "always"),
                "false" | "no" | "off" | "0" => draft.set("restart", "no"),
                _ => draft.without_counterpart(key, value),
            },
            "startsecs" => match value.parse::<u64>() {
                Ok(seconds) => *start = Some(seconds),
                Err(_) => draft.without_counterpart(key, value),
            },
            "stopsignal" => draft.stop_signal(key, value),
            "stopwaitsecs" => {
                let time = value.parse().ok().map(Duration::from_secs);
                if !time.is_some_and(|time| draft.set_time("drain_timeout", time)) {
                    draft.without_counterpart(key, value);
                }
            }
            "socket" | "socket_mode" | "socket_owner" if self.fastcgi => {}
            // What does not leave is ended with its group.
            "autostart" | "killasgroup" if value == "true" => {}
            "process_name" if value == "%(program_name)s" => {}
            "exitcodes" if value == "0" => {}
            "user" if rights::set("user", key, value, draft) => {}
            "umask" if rights::set("umask", key, value, draft) => {}
            _ if written(key, value, &self.expansions, output) => {}
            _ => draft.without_counterpart(key, value),
        }
    }
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
fn written(key: &str, value: &str, expansions: &Expansions, output: &mut Output) -> bool {
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
        "logfile" => log_file(stream, key, value, expansions, output),
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

fn log_file(stream: Stream, key: &str, value: &str, expansions: &Expansions, output: &mut Output) -> bool {
    let Some(path) = expansions.expand(value).fixed() else { return false };
    let to = match (&*value.to_lowercase(), &*path, stream) {
        ("none", ..) => "null".into(),
        ("syslog", ..) => "syslog".into(),
        (_, "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1", Stream::Stdout)
        | (_, "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2", Stream::Stderr) => "inherit".into(),
        _ if path.starts_with('/') && !path.starts_with("/dev/") => {
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

/// Says what people have to write themselves.
fn tell(key: &str, value: &str, expanded: &Expanded, draft: &mut Draft) {
    if !expanded.unknown.is_empty() {
        draft.note(format!("{key}={value}: write what {} stands for", expanded.unknown.join(" and ")));
    }
}

/// `A=1,B="x, y"`
fn environment(value: &str, process: &mut Process<'_>, draft: &mut Draft) {
    let expanded = process.expansions.expand(value);
    tell("environment", value, &expanded, draft);
    let mut rest = expanded.marked().trim();
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
        let (variable, content) = (variable.trim(), content.trim());
        draft.filled_variable(variable, &filled(content, process.number));
        if expanded.unknown.is_empty() {
            process.expansions.variable(variable, content);
        }
        rest = next.trim();
    }
}

/// The socket of a `FastCGI` program, which is its stdin, and whose it is.
fn socket(keys: &[(String, String)], expansions: &Expansions, draft: &mut Draft) {
    let Some((_, value)) = keys.iter().rfind(|(key, _)| key == "socket") else {
        return of_no_path(keys, draft);
    };
    let expanded = expansions.expand(value).fixed().unwrap_or_default();
    let port = expanded.strip_prefix("tcp://").and_then(|address| {
        let address = address.replacen("localhost", "127.0.0.1", 1);
        address.parse::<std::net::SocketAddr>().ok().filter(|address| address.port() > 0)
    });
    let path = expanded.strip_prefix("unix://").filter(|path| {
        path.starts_with('/') && !path.starts_with("//") && path.len() <= crate::limits::UNIX_PATH_BYTES
    });
    match (port, path) {
        (Some(address), _) => {
            draft.set("listen", format!("tcp://{address}"));
            of_no_path(keys, draft);
        }
        (None, Some(path)) => {
            let mut table = toml::Table::from_iter([("address".to_owned(), format!("unix:{path}").into())]);
            access(keys, draft).write(&mut table);
            draft.set("listen", vec![toml::Value::Table(table)]);
        }
        (None, None) => {
            draft.without_counterpart("socket", value);
            return of_no_path(keys, draft);
        }
    }
    draft.set("handshake", "inetd");
}

/// Who may reach a path: the user of the program alone, where nothing is said.
fn access(keys: &[(String, String)], draft: &mut Draft) -> Access {
    let mut access = Access::with_mode("0700");
    let has_owner = keys.iter().any(|(key, _)| key == "socket_owner");
    for (key, value) in keys {
        let done = match &**key {
            // Where it cannot be read, the key of the service says so.
            "user" if !has_owner => {
                access.set("user", value);
                true
            }
            "socket_mode" => access.set("mode", value),
            "socket_owner" => match value.split_once(':') {
                Some((user, group)) => access.set("user", user) && access.set("group", group),
                None => access.set("user", value),
            },
            _ => true,
        };
        if !done {
            draft.note(format!("{key}={value}: see `listen`"));
        }
    }
    access.tell_group(draft);
    access
}

/// What is said of a path that there is not.
fn of_no_path(keys: &[(String, String)], draft: &mut Draft) {
    for (key, value) in keys.iter().filter(|(key, _)| ["socket_mode", "socket_owner"].contains(&&**key)) {
        draft.without_counterpart(key, value);
    }
}
