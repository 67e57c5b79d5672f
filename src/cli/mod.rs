//! The command line.

mod answer;
mod check;
mod check_state;
mod client;
mod color;
mod completions;
mod events;
mod examples;
mod import;
mod interrupts;
mod log_files;
mod log_follow;
mod log_newer;
mod logs;
mod manual;
mod markdown;
mod metrics;
mod order;
mod plan;
mod print;
mod progress;
mod run;
mod screen;
mod shell;
mod status;
mod table;
mod trouble;
mod untaken;
mod way;
mod words;
mod write_logs;

pub use check::{CheckArgs, check};
pub use check_state::check_state;
pub use color::Color;
pub use events::EventsArgs;
pub use logs::LogsArgs;
pub use metrics::MetricsArgs;
pub use order::{OrderArgs, Patience, ReloadArgs, SignalArgs, UpgradeArgs, WaitArgs};
pub use plan::PlanArgs;
pub use print::{Printing, print};
pub use run::run;
pub use status::StatusArgs;
pub use way::{Services, Timeout, Way};
pub use write_logs::write_logs;

use crate::exit::ExitCode;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use order::Kind;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What stands below the options in `--help`.
const AFTER_HELP: &str = "\
Examples:
  bootstrap -c services.toml          run the services of the file
  bootstrap -c services.toml check    say what is wrong with the file, and change nothing
  bootstrap -c services.toml status   show how they are
  bootstrap -c services.toml restart  restart them all; no client is refused
  bootstrap -c services.toml plan     show what the changed file would do
  bootstrap -c services.toml reload   apply it
  bootstrap man bootstrap.toml        print the manual page of the file
  bootstrap import procfile Procfile  print the services of another supervisor as a file

Signals to the supervisor:
  SIGUSR1          restart all services, or those that BOOTSTRAP_SELECT names
  SIGHUP           read the file anew; apply it if it has no mistake
  SIGUSR2          become the program now on disk; nothing else changes
  SIGTERM, SIGINT  stop gracefully; the second one stops now
  SIGQUIT          stop now

Exit codes:
  0   stopped as asked, or every service has ended well; a command: done
  1   all have ended and one crashed; a socket could not be bound; a command: refused or overruled
  2   the command line is wrong; `plan`: a reload would change something
  3   `status`, `wait`, `signal`: a service does not run
  4   no service has this name
  5   a restart, or a start, failed, was rolled back, or was overruled
  6   what was waited for did not come in time
  7   the supervisor is not reachable, does not answer, or has another file
  78  the config file is wrong";

/// Holds the listen sockets of services and restarts their servers without refusing a client.
#[derive(Debug, Parser)]
#[command(name = "bootstrap", version, after_long_help = AFTER_HELP)]
#[command(after_help = "--help tells more: examples, signals and exit codes.")]
struct Arguments {
    /// The file that lists the services
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How log lines on stderr are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// Whether messages for people are coloured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,

    #[command(subcommand)]
    command: Option<AnyCommand>,
}

// What no person writes: completions and help do not have it. A comment of documentation would become that of the command.
#[derive(Debug, Args)]
struct Inner {
    /// What a supervisor adds when it becomes this program: the number of its snapshot
    #[arg(long, hide = true, value_name = "FD")]
    state: Option<RawFd>,

    /// What a supervisor adds when it asks whether it can become this program: snapshot, answer
    #[arg(long, hide = true, value_name = "FD,FD", value_parser = two_numbers)]
    check_state: Option<(RawFd, RawFd)>,

    /// What a supervisor adds to start the process that writes logs: the number of its socket
    #[arg(long, hide = true, value_name = "FD")]
    write_logs: Option<RawFd>,
}

#[derive(Debug, Subcommand)]
enum AnyCommand {
    #[command(flatten)]
    OfFile(Command),
    #[command(flatten)]
    Print(Printing),
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Something with a config file.
    OfFile(Invocation),
    /// Text that no config file is needed for.
    Print(Printing),
}

/// What is to be done with a config file, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The file that lists the services.
    pub config: PathBuf,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Whether messages for people are coloured.
    pub color: Color,
    /// The descriptor with the snapshot to go on from.
    pub state: Option<RawFd>,
    /// The descriptor with a snapshot to look at, and the one for the answer.
    pub check_state: Option<(RawFd, RawFd)>,
    /// The socket of a log writer.
    pub write_logs: Option<RawFd>,
    /// What to do; nothing means: run.
    pub command: Option<Command>,
}

/// What to do instead of running.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Say what is wrong with the config file; start nothing
    Check(CheckArgs),
    /// Show how services are: all in a table, or one in depth
    Status(StatusArgs),
    /// Show what a reload would do
    Plan(PlanArgs),
    /// Apply the config file
    Reload(ReloadArgs),
    /// Restart services without refusing a client
    Restart(OrderArgs),
    /// Start services that are down
    Start(OrderArgs),
    /// Stop services; clients are refused
    Stop(OrderArgs),
    /// Stop services; clients wait until they are released
    Hold(OrderArgs),
    /// Start services that are held
    Release(OrderArgs),
    /// Wait until services are up
    ///
    /// With --timeout a supervisor that is not there yet is waited for as well, such as one that was just started; without
    /// it that is told at once.
    Wait(WaitArgs),
    /// Send a signal to the main processes of services
    Signal(SignalArgs),
    /// Become the program now on disk; nothing else changes
    Upgrade(UpgradeArgs),
    /// Follow what happens, as JSON lines
    Events(EventsArgs),
    /// Print what services wrote, from their log files
    Logs(LogsArgs),
    /// Serve metrics to Prometheus, as a service on a socket of the supervisor
    Metrics(MetricsArgs),
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Json,
}

impl Invocation {
    /// Does what the command line asks for.
    pub fn perform(&self) -> ExitCode {
        let Some(command) = &self.command else {
            return match (self.check_state, self.write_logs) {
                (Some(numbers), _) => check_state(numbers),
                (None, Some(number)) => write_logs(number, self.log_format),
                (None, None) => run(self),
            };
        };
        let config = &self.config;
        match command {
            Command::Check(args) => check(config, self.color, args),
            Command::Status(args) => status::status(config, self.color, args),
            Command::Plan(args) => plan::plan(config, args),
            Command::Reload(args) => order::reload(config, self.color, args),
            Command::Restart(args) => order::order(config, self.color, Kind::Restart, args),
            Command::Start(args) => order::order(config, self.color, Kind::Start, args),
            Command::Stop(args) => order::order(config, self.color, Kind::Stop, args),
            Command::Hold(args) => order::order(config, self.color, Kind::Hold, args),
            Command::Release(args) => order::order(config, self.color, Kind::Release, args),
            Command::Wait(args) => order::wait(config, self.color, args),
            Command::Signal(args) => order::signal(config, self.color, args),
            Command::Upgrade(args) => order::upgrade(config, self.color, args),
            Command::Events(args) => events::events(config, args),
            Command::Logs(args) => logs::logs(config, self.color, args),
            Command::Metrics(args) => metrics::metrics(config, args),
        }
    }

    /// Reads a command line, the name of the program first.
    ///
    /// # Errors
    ///
    /// What clap prints: help, the version (exit code 0) or a mistake (exit code 2).
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
        let matches = Inner::augment_args(definition()).try_get_matches_from(arguments)?;
        let Arguments { mut config, mut log_format, mut color, command } =
            Arguments::from_arg_matches(&matches)?;
        let Inner { state, check_state, write_logs } = Inner::from_arg_matches(&matches)?;
        let command = match command {
            Some(AnyCommand::Print(printing)) => return Ok(Asked::Print(printing)),
            Some(AnyCommand::OfFile(command)) => Some(command),
            None => None,
        };
        if let Some((_, after_command)) = matches.subcommand() {
            given_once(&matches, after_command)?;
            take(&mut config, after_command, "config", Some);
            take(&mut log_format, after_command, "log_format", |format| format);
            take(&mut color, after_command, "color", |color| color);
        }
        // clap cannot have an argument that is both required and accepted after the subcommand.
        let config = config.ok_or_else(|| {
            let message = "no config file is named; write --config FILE";
            definition().error(ErrorKind::MissingRequiredArgument, message)
        })?;
        Ok(Asked::OfFile(Self { config, log_format, color, state, check_state, write_logs, command }))
    }
}

/// The command line as clap knows it: each option may stand before the command or after it, where the command is
/// about a file.
///
/// What clap has for that (`global`) takes the second of two without a word.
fn definition() -> clap::Command {
    let command = Arguments::command();
    // In the help of a command its own options come first.
    let options: Vec<clap::Arg> =
        command.get_arguments().cloned().map(|option| option.display_order(100)).collect();
    command.mut_subcommands(move |subcommand| {
        let of_file = !Printing::has_subcommand(subcommand.get_name());
        let examples = examples::of(subcommand.get_name());
        let subcommand = subcommand.after_help(examples);
        if of_file { subcommand.args(options.clone()) } else { subcommand }
    })
}

/// Refuses an option that stands on both sides of the command.
fn given_once(before_command: &ArgMatches, after_command: &ArgMatches) -> Result<(), clap::Error> {
    let command = Arguments::command();
    let twice = command.get_arguments().find(|option| {
        [before_command, after_command]
            .iter()
            .all(|matches| matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine))
    });
    twice.map_or(Ok(()), |option| {
        let name = option.get_long().unwrap_or_default();
        let message = format!("--{name} stands before the command and after it; write it once");
        Err(definition().error(ErrorKind::ArgumentConflict, message))
    })
}

/// Takes the value of an option that stands after the command.
fn take<T: Clone + Send + Sync + 'static, U>(
    value: &mut U,
    after_command: &ArgMatches,
    option: &str,
    make: impl FnOnce(T) -> U,
) {
    if after_command.value_source(option) == Some(ValueSource::CommandLine)
        && let Some(given) = after_command.get_one::<T>(option)
    {
        *value = make(given.clone());
    }
}

/// Reads `5,6`.
fn two_numbers(text: &str) -> Result<(RawFd, RawFd), String> {
    let numbers = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.ok_or_else(|| "two numbers are expected, with a comma between them".into())
}

/// The exit code for something that was said on stdout: `code`, or a failure where it could not be said.
pub fn said(result: io::Result<()>, code: ExitCode) -> ExitCode {
    match result {
        Ok(()) => code,
        // Whoever closed the other end wanted no more of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => code,
        Err(error) => {
            // Where that cannot be said either, the exit code tells.
            let _ = writeln!(io::stderr(), "bootstrap: cannot write to stdout: {error}");
            ExitCode::Failed
        }
    }
}

#[cfg(test)]
mod tests;
