//! `logs`: what services wrote, from the files that the config names; or where else it is.

use super::Color;
use super::answer::complain;
use super::log_files::{Kept, Last, Wanted, last_lines, said_heading};
use super::log_follow::{End, follow};
use super::said;
use super::screen::Screen;
use super::way::Services;
use crate::config;
use crate::exit::ExitCode;
use crate::plan::{Outlet, Output, Selector, ServiceName, Stream};
use clap::Args;
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;

/// To see what services wrote.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct LogsArgs {
    #[command(flatten)]
    services: Services,

    /// How many of the last lines of each file
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, allow_negative_numbers = true)]
    lines: usize,

    /// Go on with what is written from now on
    #[arg(short, long)]
    follow: bool,
}

/// Prints the last lines of the files, and goes on with `--follow`.
pub(super) fn logs(file: &Path, color: Color, args: &LogsArgs) -> ExitCode {
    let (services, refused) = config::outputs(file);
    if let Some(refused) = &refused {
        // Whoever closed stderr has the exit code.
        let _ = io::stderr().write_all(refused.render(color.on_stderr()).as_bytes());
        if services.is_empty() {
            return ExitCode::Config;
        }
    }
    let patterns = args.services.patterns();
    let selector = match selector(&patterns, &services, refused.is_none()) {
        Ok(selector) => selector,
        Err(code) => return code,
    };
    for (name, output) in services.iter().filter(|(name, _)| selector.matches(name)) {
        for sentence in elsewhere(name, output) {
            complain(&sentence);
        }
    }
    // Those that were asked for by name are among what can be read.
    let all_are_known = refused.is_none() || !patterns.is_empty();
    let mut code = if all_are_known { ExitCode::Ok } else { ExitCode::Config };
    let mut out = Screen::stdout();
    match print(files(&services, &selector), args.lines, &mut out, &mut code) {
        Ok(kept) if args.follow && !kept.is_empty() => go_on(kept, &mut out, code),
        Ok(_) => code,
        Err(error) => said(Err(error), code),
    }
}

/// Which services are meant. Some may be missing where not the `whole` file could be read.
fn selector(
    patterns: &[String],
    services: &[(ServiceName, Output)],
    whole: bool,
) -> Result<Selector, ExitCode> {
    if patterns.iter().any(String::is_empty) {
        complain("the name of a service is empty, or BOOTSTRAP_SELECT is; without both all are meant");
        return Err(ExitCode::Failed);
    }
    let selector = Selector::parse(&patterns.join(","));
    let names: Vec<&ServiceName> = services.iter().map(|(name, _)| name).collect();
    let Some(unknown) = selector.unmatched(&names).first().copied() else { return Ok(selector) };
    let among = if whole { "" } else { " among those that can be read" };
    complain(&format!("no service matches {unknown:?}{among}"));
    Err(if whole { ExitCode::NoSuchService } else { ExitCode::Config })
}

/// Prints the last lines of each file. Gives those that could be read; what could not is told, and in the `code`.
fn print(
    files: Vec<Wanted>,
    count: usize,
    out: &mut impl io::Write,
    code: &mut ExitCode,
) -> io::Result<Vec<Kept>> {
    let several = files.len() > 1;
    let mut kept = Vec::new();
    for wanted in files {
        let Last { lines, position, damaged } = match last_lines(&wanted, count) {
            Ok(last) => last,
            Err(error) => {
                *code = ExitCode::Failed;
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let who = if denied { "; read it as root, or as one of the group of the file" } else { "" };
                complain(&format!("{}: {error}{who}", wanted.path.display()));
                continue;
            }
        };
        for (path, error) in &damaged {
            *code = ExitCode::Failed;
            complain(&format!("{}: damaged: {error}", path.display()));
        }
        if position.file.is_none() && lines.is_empty() {
            complain(&format!("{}: nothing has been written there yet", wanted.path.display()));
        }
        if several {
            said_heading(out, &wanted.path)?;
        }
        lines.iter().try_for_each(|line| out.write_all(line))?;
        out.flush()?;
        kept.push(Kept { wanted, position, looked_for: false, told: None });
    }
    Ok(kept)
}

/// Prints what is written from now on. A file without a directory cannot be waited for, and is no reason not to follow others.
fn go_on(mut kept: Vec<Kept>, out: &mut impl io::Write, code: ExitCode) -> ExitCode {
    kept.retain(|Kept { wanted, .. }| {
        let is_there = wanted.directory().is_dir();
        if !is_there {
            let (path, directory) = (wanted.path.display(), wanted.directory().display());
            complain(&format!("{path}: not followed: there is no directory {directory}"));
        }
        is_there
    });
    if kept.is_empty() {
        return ExitCode::Failed;
    }
    match follow(kept, out) {
        Ok(End::Gone(directory)) => complain(&format!(
            "{}: renamed or removed, with the files in it; follow it again",
            directory.display()
        )),
        Ok(End::Blind(error)) => complain(&format!("cannot be told of changes of the files: {error}")),
        Err(error) => return said(Err(error), code),
    }
    ExitCode::Failed
}

/// Where what a service writes is, if not in a file.
fn elsewhere(name: &ServiceName, output: &Output) -> Vec<String> {
    let streams: Vec<(String, &Outlet)> = if output.stdout == output.stderr {
        vec![("stdout and stderr go".into(), &output.stdout)]
    } else {
        Stream::ALL.iter().map(|stream| (format!("{stream} goes"), output.of(*stream))).collect()
    };
    let sentence = |(what, outlet): (String, &Outlet)| match outlet {
        Outlet::File(_) => None,
        Outlet::Inherit => Some(format!("{name}: {what} where that of bootstrap goes")),
        Outlet::Null => Some(format!("{name}: {what} nowhere")),
        Outlet::Journal => Some(format!("{name}: {what} to the journal: journalctl --identifier={name}")),
        Outlet::Syslog => Some(format!("{name}: {what} to syslog, with the tag {name}")),
    };
    streams.into_iter().filter_map(sentence).collect()
}

/// The files of the services that are selected, each once. Where others write to one as well, and lines say of whom they
/// are, only those of the selected ones are wanted.
fn files(services: &[(ServiceName, Output)], selector: &Selector) -> Vec<Wanted> {
    let mut users: BTreeMap<&Path, Vec<(&ServiceName, bool)>> = BTreeMap::new();
    let mut order: Vec<&Path> = Vec::new();
    for (name, output) in services {
        for path in output.files() {
            users.entry(path).or_default().push((name, output.keeping.timestamps));
            if !order.contains(&path) && selector.matches(name) {
                order.push(path);
            }
        }
    }
    let wanted = |path: &Path| {
        let users = &users[path];
        let all = users.iter().all(|(name, _)| selector.matches(name));
        let names = users.iter().map(|(name, _)| (*name).clone()).filter(|name| selector.matches(name));
        let stamped = users.iter().all(|(_, stamped)| *stamped);
        Wanted { path: path.into(), only: (stamped && !all).then(|| names.collect()) }
    };
    order.into_iter().map(wanted).collect()
}
