//! `logs`: what services wrote, from the files that the config names; or where else it is.

use super::Color;
use super::answer::complain;
use super::log_files::{Kept, Last, Wanted, last_lines, said_heading};
use super::log_follow::follow;
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
    let mut code = ExitCode::Ok;
    if let Some(refused) = refused {
        // Whoever closed stderr has the exit code.
        let _ = io::stderr().write_all(refused.render(color.on_stderr()).as_bytes());
        code = ExitCode::Config;
        if services.is_empty() {
            return code;
        }
    }
    let patterns = args.services.patterns();
    if patterns.iter().any(String::is_empty) {
        complain("the name of a service is empty, or BOOTSTRAP_SELECT is; without both all are meant");
        return ExitCode::Failed;
    }
    let selector = Selector::parse(&patterns.join(","));
    let names: Vec<&ServiceName> = services.iter().map(|(name, _)| name).collect();
    if let Some(unknown) = selector.unmatched(&names).first() {
        let whole = code == ExitCode::Ok;
        let among = if whole { "" } else { " among those that can be read" };
        complain(&format!("no service matches {unknown:?}{among}"));
        return if whole { ExitCode::NoSuchService } else { code };
    }
    for (name, output) in services.iter().filter(|(name, _)| selector.matches(name)) {
        for sentence in elsewhere(name, output) {
            complain(&sentence);
        }
    }
    if !patterns.is_empty() {
        // Those that were asked for are among what can be read.
        code = ExitCode::Ok;
    }
    let files = files(&services, &selector);
    let mut out = Screen::stdout();
    let mut kept = Vec::new();
    let several = files.len() > 1;
    for wanted in files {
        match last_lines(&wanted, args.lines) {
            Ok(Last { lines, position, damaged }) => {
                for (path, error) in &damaged {
                    code = ExitCode::Failed;
                    complain(&format!("{}: damaged: {error}", path.display()));
                }
                if position.file.is_none() && lines.is_empty() {
                    complain(&format!("{}: nothing has been written there yet", wanted.path.display()));
                }
                if several && said_heading(&mut out, &wanted.path).is_err() {
                    return code;
                }
                let printed =
                    lines.iter().try_for_each(|line| out.write_all(line)).and_then(|()| out.flush());
                if printed.is_err() {
                    return said(printed, code);
                }
                kept.push(Kept { wanted, position });
            }
            Err(error) => {
                code = ExitCode::Failed;
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let who = if denied { "; read it as root, or as one of the group of the file" } else { "" };
                complain(&format!("{}: {error}{who}", wanted.path.display()));
            }
        }
    }
    if !args.follow || kept.is_empty() {
        return code;
    }
    match follow(kept, &mut out) {
        Ok(gone) => {
            complain(&format!(
                "{}: renamed or removed, with the files in it; follow it again",
                gone.display()
            ));
            ExitCode::Failed
        }
        Err(error) => said(Err(error), code),
    }
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
