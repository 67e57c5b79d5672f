//! `bootstrap -c FILE check`.

use super::answer::complain;
use super::{Color, said, shell, untaken};
use crate::config::{self, Mistake, Refused};
use crate::core::SpawnFailure;
use crate::exit::ExitCode;
use crate::os;
use crate::plan::{Address, Definition, Plan, Program, Target};
use crate::{protocol, report};
use clap::Args;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// To see what is wrong with the file.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckArgs {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// The answer for programs.
#[derive(Serialize)]
struct Checked {
    reply: &'static str,
    ok: bool,
    config: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<usize>,
    mistakes: Vec<Told>,
    /// What may be meant otherwise, or is not on this machine, though it is no mistake.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// A mistake for programs.
#[derive(Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

/// Checks the file and says what is wrong with it on stderr, or that all is well on stdout. Starts nothing.
pub fn check(path: &Path, color: Color, args: &CheckArgs) -> ExitCode {
    let found = config::load(path);
    let code = if found.is_ok() { ExitCode::Ok } else { ExitCode::Config };
    if args.json {
        return said(writeln!(io::stdout(), "{}", checked(path, &found)), code);
    }
    match found {
        Ok(plan) => {
            for note in notes(&plan) {
                complain(&format!("{}: note: {note}", path.display()));
            }
            let (services, sockets) =
                (count(plan.services.len(), "service"), count(sockets(&plan), "socket"));
            said(writeln!(io::stdout(), "{}: ok: {services}, {sockets}", path.display()), code)
        }
        Err(refused) => {
            // Whoever closed stderr has the exit code.
            let _ = io::stderr().write_all(refused.render(color.on_stderr()).as_bytes());
            if let Some(note) = note_of_rights(&refused) {
                complain(&format!("{}: note: {note}", path.display()));
            }
            code
        }
    }
}

/// The answer as a line of JSON, without its end.
fn checked(path: &Path, found: &Result<Plan, Refused>) -> String {
    let plan = found.as_ref().ok();
    let mistakes = found.as_ref().err().map_or(&[][..], Refused::mistakes);
    let checked = Checked {
        reply: "check",
        ok: plan.is_some(),
        config: path.display().to_string(),
        services: plan.map(|plan| plan.services.len()),
        sockets: plan.map(sockets),
        mistakes: mistakes.iter().map(told).collect(),
        notes: match found {
            Ok(plan) => notes(plan),
            Err(refused) => note_of_rights(refused).into_iter().collect(),
        },
    };
    serde_json::to_string(&checked).expect("texts, numbers and lists of them")
}

/// A file that is well for whoever has the rights to run it.
fn note_of_rights(refused: &Refused) -> Option<String> {
    let only = refused.mistakes().iter().all(Mistake::is_of_rights);
    only.then(|| "all that is wrong is that this user lacks rights; check it as the one who runs it".into())
}

/// What may be meant otherwise, or is not on this machine: it may be on the one that the file is for. Services that are
/// alike have one note.
fn notes(plan: &Plan) -> Vec<String> {
    // A note, the first service that it is about, and how many others have it.
    let mut notes: Vec<(String, &str, usize)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for service in &plan.services {
        for text in notes_of(service) {
            if let Some(place) = places.get(&text) {
                notes[*place].2 += 1;
            } else {
                places.insert(text.clone(), notes.len());
                notes.push((text, service.name.as_str(), 0));
            }
        }
    }
    let told = |(text, first, others)| match others {
        0 => format!("service {first:?}: {text}"),
        _ => format!("service {first:?} and {}: {text}", count(others, "other")),
    };
    notes.into_iter().map(told).collect()
}

/// Those of one service.
fn notes_of(service: &Definition) -> Vec<String> {
    let variables = service.program.env.keys().filter(|name| config::is_key_of_service(name));
    let mistaken = |name: &String| {
        format!("`env` sets a variable {name:?}, which is also a key: keys stand before [service.env]")
    };
    let would_fail = |failure| format!("it would not start here: {}", report::spawn_failure(&failure));
    let obstacles = os::obstacles(&service.program);
    let check_would_fail =
        |failure| format!("its `check` would fail here: {}", report::spawn_failure(&failure));
    let of_check = obstacles_of_check(service, &obstacles).into_iter().map(check_would_fail);
    let files = service.program.output.iter().flat_map(|output| output.files());
    let files: BTreeSet<&Path> = files.collect();
    let sockets = service.listeners.iter().filter_map(|listener| match &listener.address {
        Address::Unix(path) => unbound(path),
        Address::Tcp(_) | Address::Udp(_) => None,
    });
    let appended = protocol::are_appended(&service.program) && !service.listeners.is_empty();
    shell::note(&service.program.command, appended)
        .into_iter()
        .chain(untaken::note(service))
        .chain(variables.map(mistaken))
        .chain(obstacles.into_iter().map(would_fail))
        .chain(of_check)
        .chain(files.into_iter().filter_map(unwritten))
        .chain(sockets)
        .collect()
}

/// What the command of its check would fail with, beside what the service itself does: it is started as that is.
fn obstacles_of_check(service: &Definition, of_itself: &[SpawnFailure]) -> Vec<SpawnFailure> {
    let Some(Target::Exec(command)) = service.policy.check.as_ref().map(|check| &check.probe.target) else {
        return Vec::new();
    };
    let program = Program { command: command.clone(), ..Program::clone(&service.program) };
    os::obstacles(&program).into_iter().filter(|failure| !of_itself.contains(failure)).collect()
}

/// Why a log file is not written to as the machine is now.
fn unwritten(path: &Path) -> Option<String> {
    let shown = path.display();
    if path.is_symlink() {
        return Some(format!("{shown} is a symbolic link, which is not followed: nothing is written there"));
    }
    if path.is_dir() {
        return Some(format!("{shown} is a directory: nothing is written there"));
    }
    let missing = missing_directory(path)?.display();
    Some(format!("there is no directory {missing}: nothing is written to {shown} before somebody makes it"))
}

/// Why the path of a unix socket cannot be bound as the machine is now.
fn unbound(path: &Path) -> Option<String> {
    let shown = path.display();
    if let Some(missing) = missing_directory(path) {
        return Some(format!("there is no directory {}: unix:{shown} cannot be bound", missing.display()));
    }
    let found = path.symlink_metadata().ok()?;
    (!found.file_type().is_socket()).then(|| format!("{shown} is no socket: unix:{shown} cannot be bound"))
}

/// The directory of a file, where there is none. That of a bare name is the one that bootstrap is in.
fn missing_directory(path: &Path) -> Option<&Path> {
    path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.is_dir())
}

fn told(mistake: &Mistake) -> Told {
    Told {
        line: mistake.position.as_ref().map(|position| position.line),
        column: mistake.position.as_ref().map(|position| position.column),
        message: format!("{}{}", mistake.place, mistake.problem.what()),
        help: mistake.problem.remedy(),
    }
}

fn sockets(plan: &Plan) -> usize {
    plan.services.iter().map(|service| service.listeners.len()).sum()
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
