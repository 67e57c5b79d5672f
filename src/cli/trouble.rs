//! Why a command got no answer.

use super::answer::complain;
use crate::config;
use crate::exit::ExitCode;
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody listens at any of these places.
    NotReachable {
        /// The config file that was named.
        config: PathBuf,
        /// Where it was looked for, and what was found.
        tried: Vec<(PathBuf, io::Error)>,
    },
    /// Nobody has come to listen there.
    NotCome {
        /// How long that was waited for.
        waited: Duration,
        /// How it was at the end.
        last: Box<Trouble>,
    },
    /// Who listens there is the supervisor of another config file.
    Another {
        /// Its runtime directory.
        directory: PathBuf,
        /// Its pid.
        pid: i32,
        /// Its file.
        theirs: PathBuf,
        /// The one that was named.
        ours: PathBuf,
    },
    /// It is there, and has said nothing for so long.
    Silent {
        /// Its pid, where that is known.
        pid: Option<i32>,
        /// How long.
        waited: Duration,
    },
    /// As long as the command line allows has passed.
    TimedOut(Duration),
    /// The connection ended before the answer.
    Lost(io::Error),
    /// The supervisor became another program before it answered.
    Upgraded,
    /// It is no answer of this protocol.
    Gibberish(serde_json::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReachable { config: file, tried } => {
                let places: Vec<String> =
                    tried.iter().map(|(path, error)| format!("{}: {error}", path.display())).collect();
                write!(f, "the supervisor is not reachable: {}", places.join("; "))?;
                if let Err(error) = fs::metadata(file) {
                    let hint = "if it runs with a `runtime_dir` of its own, --runtime-dir names that";
                    return write!(f, "; and {} cannot be found: {error}; {hint}", file.display());
                }
                let denied = |(_, error): &(PathBuf, io::Error)| error.raw_os_error() == Some(libc::EACCES);
                if tried.iter().any(denied) {
                    let who = "root, the user that it runs as, and members of `control_group`";
                    write!(f, "; only {who} may speak to it, if it runs")?;
                }
                let was_killed = tried.iter().any(|(_, error)| error.kind() == ErrorKind::ConnectionRefused);
                let after = if was_killed { ", and takes over what a killed one left" } else { "" };
                write!(f, "; `bootstrap -c {}` runs it{after}", file.display())?;
                // To run it a second time would be a mistake then.
                let hint = match config::runtime_dir(file) {
                    None if config::outputs(file).1.is_none() => "",
                    None => {
                        ", unless it runs already: the file has mistakes, or cannot be read, and may have named a `runtime_dir`, which --runtime-dir names as well"
                    }
                    Some(path) if path.is_relative() => {
                        ", unless it runs already: `runtime_dir` is relative to where the supervisor was started; from elsewhere name it with --runtime-dir"
                    }
                    Some(_) => {
                        ", unless it runs already and `runtime_dir` was changed since: then --runtime-dir names the former one"
                    }
                };
                write!(f, "{hint}")
            }
            Self::NotCome { waited, last } => {
                write!(f, "waited for {}: {last}", humantime::format_duration(*waited))
            }
            Self::Another { directory, pid, theirs, ours } => write!(
                f,
                "the supervisor in {}, pid {pid}, has {}, not {}; nothing was asked of it",
                directory.display(),
                theirs.display(),
                ours.display()
            ),
            Self::Silent { pid, waited } => {
                let pid_of = pid.map_or_else(String::new, |pid| format!(", pid {pid},"));
                let waited = humantime::format_duration(*waited);
                write!(f, "the supervisor{pid_of} has not answered for {waited}: ")?;
                match pid.filter(|pid| is_stopped(*pid)) {
                    Some(pid) => write!(f, "it is stopped (SIGSTOP); `kill -CONT {pid}` lets it go on"),
                    None => write!(f, "it hangs, or is very busy"),
                }
            }
            Self::TimedOut(timeout) => {
                write!(f, "no answer within {}", humantime::format_duration(*timeout))
            }
            Self::Upgraded => write!(
                f,
                "the supervisor became another program before it answered; what was ordered goes on: ask again"
            ),
            Self::Lost(error) => write!(f, "the supervisor went away before it answered: {error}"),
            Self::Gibberish(error) => write!(f, "the supervisor does not speak this protocol: {error}"),
        }
    }
}

impl Trouble {
    /// Is it only that the supervisor is not there, and may come? It listens before it lets a group in.
    pub(super) fn may_pass(&self) -> bool {
        let Self::NotReachable { config, tried } = self else { return false };
        let absent = [libc::ENOENT, libc::ECONNREFUSED, libc::EACCES];
        config.exists()
            && tried
                .iter()
                .all(|(_, error)| error.raw_os_error().is_some_and(|errno| absent.contains(&errno)))
    }

    /// The exit code for it.
    fn code(&self) -> ExitCode {
        match self {
            Self::Upgraded | Self::TimedOut(_) => ExitCode::TimedOut,
            Self::NotReachable { .. }
            | Self::NotCome { .. }
            | Self::Another { .. }
            | Self::Silent { .. }
            | Self::Lost(_)
            | Self::Gibberish(_) => ExitCode::NotReachable,
        }
    }
}

/// Says why there is no answer, and gives the exit code.
pub(super) fn in_trouble(trouble: &Trouble) -> ExitCode {
    complain(&trouble.to_string());
    trouble.code()
}

/// Was the process stopped by a signal?
fn is_stopped(pid: i32) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['T', 't'])))
}
