//! The words that sentences are made of: failures, signals, times, numbers of things.

use crate::core::{BindFailure, ExitStatus, Leftover, Miss, PipeEnd, SpawnFailure, SpawnStage, Verb};
use crate::limits::{COMMAND_CHARS, STANDSTILL_GRACE};
use crate::plan::{Address, Change, Generation, Ready, ServiceName};
use crate::protocol::Word;
use nix::sys::signal::Signal;
use std::time::Duration;

/// What is said of `EEXIST` at the path of a unix socket.
const SOMETHING_ELSE: &str = "something that is no socket is there; it is not touched";

/// Why a process could not be started: the step, what it was about, and the system's reason.
pub fn spawn_failure(failure: &SpawnFailure) -> String {
    let SpawnFailure { stage, errno: number, subject } = failure;
    let why = errno(*number);
    match stage {
        SpawnStage::EnvFile if *number == libc::EINVAL && subject.contains(": line ") => {
            format!("env_file {subject} is not NAME=value")
        }
        SpawnStage::EnvFile if *number == libc::EINVAL => format!("env_file {subject}: not a regular file"),
        SpawnStage::EnvFile => format!("env_file {subject}: {why}"),
        SpawnStage::Lookup if *number == libc::ENOENT && !subject.contains('/') => {
            format!("no program {subject:?} in PATH")
        }
        SpawnStage::Lookup if *number == libc::EACCES && !subject.contains('/') => {
            format!("{subject}: found in PATH, and may not be executed: {why}")
        }
        SpawnStage::Pipe => format!("no pipe for the handshake: {why}"),
        SpawnStage::Output => format!("no pipe for what it writes: {why}"),
        SpawnStage::Fork => format!("no process: {why}"),
        SpawnStage::Group => format!("no session of its own: {why}"),
        SpawnStage::Cgroup if *number == libc::ENODEV => {
            format!("cgroup: no controller {subject:?} in the tree")
        }
        SpawnStage::Cgroup if *number == libc::EBUSY => {
            format!(
                "cgroup {subject}: processes are in it, so that those below get no limits; give them one of their own"
            )
        }
        SpawnStage::Cgroup => format!("cgroup {subject}: {why}"),
        SpawnStage::OomScore => format!("set oom_score_adjust {subject}: {why}"),
        SpawnStage::Limits => format!("set limit {subject}: {why}"),
        SpawnStage::Nice => format!("set nice {subject}: {why}"),
        SpawnStage::SupplementaryGroups if subject.is_empty() => {
            format!("give up supplementary groups: {why}")
        }
        SpawnStage::SupplementaryGroups => format!("set supplementary groups {subject}: {why}"),
        SpawnStage::PrimaryGroup => format!("set group {subject}: {why}"),
        SpawnStage::BoundingSet => format!("give up capability {subject}: {why}"),
        SpawnStage::User => format!("set user {subject}: {why}"),
        SpawnStage::Capabilities if subject.is_empty() => format!("set capabilities: {why}"),
        SpawnStage::Capabilities => format!("keep capability {subject}: {why}"),
        SpawnStage::NoNewPrivs => format!("set no_new_privs: {why}"),
        SpawnStage::Directory => format!("directory {subject}: {why}"),
        SpawnStage::Descriptors => format!("cannot hand over its descriptors: {why}"),
        SpawnStage::Exec if *number == libc::ENOEXEC => {
            format!(
                "{subject}: not a program that this machine can run; a script needs a first line such as #!/bin/sh"
            )
        }
        SpawnStage::Exec if *number == libc::EAGAIN => {
            format!("{subject}: its user has as many processes as the limit nproc allows")
        }
        SpawnStage::Exec if *number == libc::ETXTBSY => {
            format!("{subject}: still open for writing; write a new file and rename it over the old one")
        }
        SpawnStage::Listener if *number == libc::EEXIST => format!("{subject}: {SOMETHING_ELSE}"),
        SpawnStage::Lookup | SpawnStage::Listener | SpawnStage::Exec => format!("{subject}: {why}"),
        SpawnStage::Interpreter if *number == libc::ENOENT => format!("its interpreter {subject} is missing"),
        SpawnStage::Interpreter => format!("its interpreter {subject}: {why}"),
    }
}

/// What did not come that would have shown that a run is ready.
pub(super) fn missed(awaited: Option<&Ready>, last: Option<&Miss>) -> String {
    match (last, awaited) {
        (Some(miss), _) => format!(" (its check: {})", answer(miss)),
        (None, Some(Ready::Word)) => " (it has not said so)".into(),
        (None, Some(Ready::Accepting)) => " (not seen to accept)".into(),
        (None, Some(Ready::Assumed)) => " (not seen to accept; `ready` may name another sign)".into(),
        (None, Some(Ready::Started | Ready::Probe(_) | Ready::Delay(_)) | None) => String::new(),
    }
}

/// The first of some processes, and how many more there are.
pub(super) fn leftovers(first: &[Leftover], all: usize) -> String {
    let named: Vec<String> =
        first.iter().map(|leftover| format!("{} ({})", leftover.pid, leftover.command)).collect();
    match all.saturating_sub(first.len()) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// What is in the way of an address that was asked for.
pub fn overlap(held: &Address) -> String {
    format!("overlaps with {held}, which is held; remove that in a reload of its own first")
}

/// Why an address cannot be had, and who has it.
pub(super) fn bind_failed(
    failure: &BindFailure,
    overlaps: Option<&Address>,
    drains: Option<&(ServiceName, Generation)>,
) -> String {
    let BindFailure { address, errno: number, owner } = failure;
    let why = match *number {
        libc::EEXIST => SOMETHING_ELSE.into(),
        number => errno(number),
    };
    let owner = owner.as_ref().map_or_else(String::new, |o| format!(" by {}, pid {}", o.command, o.pid));
    match (overlaps, drains) {
        (Some(held), _) => format!("cannot bind {address}: it {}", overlap(held)),
        (None, Some((service, generation))) if *number == libc::EADDRINUSE => {
            format!("cannot bind {address}: {service} generation {generation} has it until it has finished")
        }
        (None, _) => format!("cannot bind {address}: {why}{owner}"),
    }
}

/// What was wrong with the answer to a probe.
pub(super) fn answer(miss: &Miss) -> String {
    match miss {
        Miss::TimedOut => "no answer in time".into(),
        Miss::Failed(number) => errno(*number),
        Miss::Closed => "the connection ended without an answer".into(),
        Miss::NotHttp => "the answer is no HTTP".into(),
        Miss::Status(status) => format!("status {status}"),
        Miss::Address(text) => format!("{text:?} is no address"),
        Miss::Exited(status) => format!("its command {}", ended(*status)),
        Miss::NotStarted(failure) => format!("its command could not be started: {}", spawn_failure(failure)),
    }
}

pub(super) fn ended(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("ended with exit code {code}"),
        ExitStatus::Unknown => "ended, nobody knows how (it was adopted),".into(),
        ExitStatus::Signal { signal, core_dumped } => {
            let core = if core_dumped { " and a core dump" } else { "" };
            format!("was ended by {}{core}", signal_name(signal))
        }
    }
}

/// The system's own words, as `strerror` has them.
pub(super) fn errno(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.rsplit_once(" (os error").map_or_else(|| text.clone(), |(words, _)| words.into())
}

/// The name of a signal, where it has one.
pub fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().into())
}

/// What somebody wants done, for a sentence that goes on with whom.
pub fn verb_words(verb: Verb) -> String {
    match verb {
        Verb::Start => "start".into(),
        Verb::Stop => "stop".into(),
        Verb::Restart => "restart".into(),
        Verb::Hold => "hold".into(),
        Verb::Release => "release".into(),
        Verb::Wait => "wait for".into(),
        Verb::Signal(signal) => format!("send {} to", signal_name(signal)),
    }
}

pub(super) fn text(word: Word) -> String {
    String::from_utf8_lossy(word.bytes()).into_owned()
}

/// A command as text of the config file, which is split again where an argument has no quotes.
pub(super) fn quoted(command: &[String]) -> String {
    let word = |argument: &String| match shlex::split(argument) {
        Some(words) if words == [argument.as_str()] => argument.clone(),
        _ => shlex::try_quote(argument).map_or_else(|_| argument.clone(), Into::into),
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A text that fits a line: a command may be as long as the kernel allows.
pub fn beginning(text: &str) -> String {
    match text.char_indices().nth(COMMAND_CHARS) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into(),
    }
}

/// What a reload does to a service: now, or `at_start` of one that an operator has put down.
pub(super) fn reloaded(change: &Change, at_start: bool) -> String {
    match change {
        Change::Added(definition) => format!("reload: {} is new; it is started", definition.name),
        Change::Removed(name) => format!("reload: {name} is in the config no more; it is stopped"),
        Change::InPlace(definition) => {
            format!("reload: the policy of {} has changed; it applies without a restart", definition.name)
        }
        Change::Restarted(definition) => {
            let then = if at_start { "applies at its next start" } else { "is restarted" };
            format!("reload: the definition of {} has changed; it {then}", definition.name)
        }
    }
}

/// After a wait that ended so much too late.
pub(super) fn stood_still(late: Duration) -> String {
    format!(
        "stood still for {}: stopped, frozen, or without a processor; what was to come meanwhile is waited for {} longer",
        time(late),
        time(STANDSTILL_GRACE)
    )
}

pub(super) fn time(duration: Duration) -> String {
    // The clock of the core counts milliseconds: "0s" would claim less than it knows.
    if duration.is_zero() {
        return "0ms".into();
    }
    humantime::format_duration(duration).to_string()
}

pub(super) fn count(number: usize, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "address" | "process") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

pub(super) fn pipe_ended(end: PipeEnd, left: Option<Duration>) -> String {
    let what = match end {
        PipeEnd::Closed => "closed its pipe without an answer".into(),
        PipeEnd::Gibberish(bytes) => {
            format!("wrote \"{}\" to its pipe, which is no word of the handshake", bytes.escape_ascii())
        }
    };
    match left {
        Some(left) => format!("{what}; its exit is awaited for {} more", time(left)),
        None => format!("{what}; what follows is ignored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_as_it_could_be_written() {
        let told = |command: &[&str]| quoted(&command.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(told(&["./server", "--port=80"]), "./server --port=80");
        assert_eq!(told(&["nginx", "-g", "daemon off;"]), "nginx -g 'daemon off;'");
        assert_eq!(told(&["sh", "-c", ""]), "sh -c ''");
        assert_eq!(told(&["gunicorn", "-b", "fd://{fd}"]), "gunicorn -b fd://{fd}");
        assert_eq!(told(&["a\0b", "c"]), "a\0b c");
    }
}
