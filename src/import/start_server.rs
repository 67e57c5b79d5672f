//! Command lines of `start_server`, alone or in a script.

use super::Input;
use super::draft::{Draft, Drafts, literal};
use super::shell_line;
use std::time::Duration;
use toml::Value;

pub(super) fn read(input: &Input, drafts: &mut Drafts) {
    let text = input.text.replace("\\\n", " ");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            drafts.note(line.trim_start_matches(['#', '!', ' ']));
            continue;
        }
        let words = shlex::split(line).unwrap_or_default();
        let is_starter = |word: &String| word.rsplit('/').next() == Some("start_server");
        match words.iter().position(is_starter) {
            Some(at) => of_command(&words[..at], &words[at + 1..], line, drafts),
            None => drafts.note(format!("{line}: is no start_server")),
        }
    }
}

fn of_command(before: &[String], after: &[String], line: &str, drafts: &mut Drafts) {
    let (options, command) = match after.iter().position(|word| word == "--") {
        Some(at) => (&after[..at], &after[at + 1..]),
        None => (after, &[][..]),
    };
    let program = command.first().map_or("service", |program| program.rsplit('/').next().unwrap_or(program));
    let mut draft = Draft::new(program.split('.').next().unwrap_or(program));
    if command.is_empty() {
        draft.note(format!("{line}: no command follows `--`"));
    }
    // What stands behind `--` may be quoted, and then its text is nowhere in the line.
    match line.split_once(" -- ").map(|(_, text)| text.trim()) {
        Some(text) if shlex::split(text).is_some_and(|words| words == command) => {
            let (own, behind) = shell_line::first_command(text);
            if !behind.is_empty() {
                draft.note(format!("{behind}: stands behind the command"));
            }
            shell_line::set(&mut draft, own);
        }
        _ => draft.command(command.iter().map(|word| literal(word)).collect()),
    }
    let mut listen = Listen::default();
    draft.set("handshake", "server-starter");
    draft.set("restart", "always");
    draft.set("restart_order", "start-first");
    let mut interval = Duration::from_secs(1);
    for word in before {
        match word.split_once('=') {
            Some((name, value)) => draft.variable(name, value),
            None if word == "exec" || word == "env" => {}
            None => draft.note(format!("{word}: stands before start_server")),
        }
    }
    let mut rest = options.iter();
    while let Some(word) = rest.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if takes_value(word) => (&**word, rest.next().cloned().unwrap_or_default()),
            None => (&**word, String::new()),
        };
        match name.trim_start_matches('-') {
            "port" => listen.port(&value, &mut draft),
            "path" => listen.path(&value, &mut draft),
            "backlog" => listen.backlog = value.parse().ok().filter(|number| (1..=65535).contains(number)),
            "interval" => {
                match value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
                    Some(time) => interval = time,
                    None => draft.without_counterpart(name, &value),
                }
            }
            "signal-on-term" => draft.stop_signal(name, &value),
            "dir" if !value.is_empty() => draft.set("directory", value),
            _ => draft.without_counterpart(name, &value),
        }
    }
    listen.write(&mut draft);
    // It is taken for ready when it has lived so long.
    if interval < Duration::from_secs(30) && draft.set_time("ready_delay", interval) {
        draft.set("ready", "delay");
    } else {
        draft.note(format!("--interval={}: has no counterpart", interval.as_secs_f64()));
    }
    drafts.add(draft);
}

fn takes_value(option: &str) -> bool {
    !matches!(
        option,
        "--daemonize" | "--restart" | "--stop" | "--help" | "--version" | "--enable-auto-restart"
    )
}

/// Its sockets.
#[derive(Default)]
struct Listen {
    addresses: Vec<String>,
    backlog: Option<i64>,
}

impl Listen {
    /// `80`, `127.0.0.1:80`, `[::1]:80`.
    fn port(&mut self, value: &str, draft: &mut Draft) {
        let full = if value.contains(':') { value.to_owned() } else { format!("0.0.0.0:{value}") };
        match full.parse::<std::net::SocketAddr>() {
            Ok(address) if address.port() > 0 => self.take(format!("tcp://{address}"), draft),
            Ok(_) | Err(_) => draft.without_counterpart("--port", value),
        }
    }

    fn path(&mut self, value: &str, draft: &mut Draft) {
        let fits = !value.is_empty() && value.len() <= crate::limits::UNIX_PATH_BYTES;
        if fits && !value.contains('\0') && !value.starts_with("//") && !value.starts_with('@') {
            self.take(format!("unix:{value}"), draft);
        } else {
            draft.without_counterpart("--path", value);
        }
    }

    fn take(&mut self, address: String, draft: &mut Draft) {
        if self.addresses.contains(&address) {
            draft.note(format!("{address} stands there twice"));
        } else {
            self.addresses.push(address);
        }
    }

    fn write(self, draft: &mut Draft) {
        let Self { addresses, backlog } = self;
        let entry = |address: String| match backlog {
            None => Value::from(address),
            Some(backlog) => {
                let pairs =
                    [("address".to_owned(), Value::from(address)), ("backlog".into(), backlog.into())];
                Value::Table(pairs.into_iter().collect())
            }
        };
        if !addresses.is_empty() {
            draft.set("listen", addresses.into_iter().map(entry).collect::<Vec<_>>());
        }
    }
}
