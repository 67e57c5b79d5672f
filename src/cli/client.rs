//! One connection of a client command to the supervisor.

use super::said;
use crate::config;
use crate::core::Time;
use crate::exit::ExitCode;
use crate::os::{self, Os, Place};
use crate::protocol::control::{ControlRequest, ErrorCode, Reply};
use clap::Args;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names the services where the command line does not.
const SELECT: &str = "BOOTSTRAP_SELECT";

/// Names the runtime directory where the command line does not.
const RUNTIME_DIR: &str = "BOOTSTRAP_RUNTIME_DIR";

/// How a command finds the supervisor, and how it talks.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The supervisor's runtime directory [default: `$BOOTSTRAP_RUNTIME_DIR`, else as the config file has it]
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which services a command means.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// Names and globs [default: those of `$BOOTSTRAP_SELECT`, else all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Way {
    /// That of one who asks for others: the supervisor has this runtime directory, if one was named.
    pub(super) fn to(runtime_dir: Option<PathBuf>) -> Self {
        Self { runtime_dir, json: false }
    }
}

impl Services {
    /// What the request says.
    pub(super) fn patterns(&self) -> Vec<String> {
        if !self.services.is_empty() {
            return self.services.clone();
        }
        // What is no text matches no name: it must not be taken for an absent selector, which means everything.
        let text = std::env::var_os(SELECT).map(|value| value.to_string_lossy().into_owned());
        let patterns = text.iter().flat_map(|text| text.split(',')).map(str::trim);
        patterns.filter(|pattern| !pattern.is_empty()).map(String::from).collect()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody listens at any of these places.
    NotReachable(Vec<(PathBuf, io::Error)>),
    /// The connection ended before the answer.
    Lost(io::Error),
    /// The supervisor became another program before it answered.
    Upgraded,
    /// It is no answer of this protocol.
    Gibberish(serde_json::Error),
}

/// A connection to the supervisor, with one request at a time.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    /// What has come of the next line.
    line: Vec<u8>,
}

impl Connection {
    /// Connects to the supervisor of a config file.
    pub(super) fn open(config: &Path, way: &Way) -> Result<Self, Trouble> {
        let mut tried = Vec::new();
        for (directory, named) in places(config, way) {
            let path = Place::socket(&directory);
            match UnixStream::connect(&path).and_then(|stream| of_ours(stream, named)) {
                Ok(stream) => return Ok(Self { stream: BufReader::new(stream), line: Vec::new() }),
                Err(error) => tried.push((path, error)),
            }
        }
        Err(Trouble::NotReachable(tried))
    }

    /// Sends a request.
    pub(super) fn ask(&mut self, request: &ControlRequest) -> Result<(), Trouble> {
        match self.stream.get_mut().write_all(request.line(1).as_bytes()) {
            // Whoever is refused is told so and closed without having been heard: the reason is to be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(Trouble::Lost),
        }
    }

    /// The next reply; nothing when `patience` is over.
    pub(super) fn next(&mut self, patience: Option<Duration>) -> Result<Option<Reply>, Trouble> {
        // A timeout of zero is no timeout, to the system.
        let patience = patience.map(|patience| patience.max(Duration::from_millis(1)));
        self.stream.get_ref().set_read_timeout(patience).map_err(Trouble::Lost)?;
        match self.stream.read_until(b'\n', &mut self.line) {
            Ok(_) if self.line.ends_with(b"\n") => {
                let reply = Reply::read(&self.line).map_err(Trouble::Gibberish)?;
                self.line.clear();
                Ok(Some(reply.1))
            }
            Ok(_) => Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(Trouble::Lost(error)),
        }
    }
}

/// The connection, unless somebody else listens where nobody was named: by custom that is below /tmp, where anybody could.
fn of_ours(stream: UnixStream, named: bool) -> io::Result<UnixStream> {
    if named || os::is_of_us_or_root(&stream)? {
        return Ok(stream);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "another user listens there; name the directory if that is meant",
    ))
}

/// Where the supervisor may be, the likeliest place first, and whether somebody named it.
fn places(config: &Path, way: &Way) -> Vec<(PathBuf, bool)> {
    let given = way.runtime_dir.clone().or_else(|| std::env::var_os(RUNTIME_DIR).map(PathBuf::from));
    if let Some(given) = given {
        return vec![(given, true)];
    }
    let place = Place::of(config::runtime_dir(config).as_deref(), config);
    let of_root = (!place.named).then(|| Place::of_root(config)).filter(|path| *path != place.path);
    // What is below /run is root's.
    [(place.path, place.named)].into_iter().chain(of_root.map(|path| (path, true))).collect()
}

/// One request, one reply.
pub(super) fn ask(config: &Path, way: &Way, request: &ControlRequest) -> Result<Reply, Trouble> {
    let mut connection = Connection::open(config, way)?;
    connection.ask(request)?;
    loop {
        if let Some(reply) = connection.next(None)? {
            return Ok(reply);
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReachable(tried) => {
                let tried: Vec<String> =
                    tried.iter().map(|(path, error)| format!("{}: {error}", path.display())).collect();
                write!(f, "the supervisor is not reachable: {}", tried.join("; "))
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

/// Says why there is no answer, and gives the exit code.
pub(super) fn in_trouble(trouble: &Trouble) -> ExitCode {
    complain(&trouble.to_string());
    if matches!(trouble, Trouble::Upgraded) {
        return ExitCode::TimedOut;
    }
    ExitCode::NotReachable
}

/// Says that nothing was done, and gives the exit code.
pub(super) fn refused(way: &Way, reply: &Reply) -> ExitCode {
    let Reply::Error { code, message, details } = reply else {
        complain("the supervisor gave an answer to something else");
        return ExitCode::Failed;
    };
    let exit_code = match code {
        ErrorCode::NoSuchService => ExitCode::NoSuchService,
        ErrorCode::BadConfig => ExitCode::Config,
        ErrorCode::BadRequest
        | ErrorCode::TooLong
        | ErrorCode::TooSlow
        | ErrorCode::Version
        | ErrorCode::Forbidden
        | ErrorCode::Busy
        | ErrorCode::Booting
        | ErrorCode::Stopping
        | ErrorCode::UpgradeRefused => ExitCode::Failed,
    };
    if way.json {
        return tell_json(reply, exit_code);
    }
    complain(message);
    if *code == ErrorCode::BadConfig {
        for detail in details {
            complain(detail);
        }
    }
    exit_code
}

/// Says something to people.
pub(super) fn complain(text: &str) {
    // Whoever closed stderr has the exit code.
    let _ = writeln!(io::stderr(), "bootstrap: {text}");
}

/// Prints an answer; where it cannot be printed, that is a failure.
pub(super) fn tell(text: &str, code: ExitCode) -> ExitCode {
    said(writeln!(io::stdout(), "{text}"), code)
}

/// Prints a reply for programs.
pub(super) fn tell_json(reply: &Reply, code: ExitCode) -> ExitCode {
    tell(&serde_json::to_string(reply).expect("texts, numbers and lists of them"), code)
}

/// What is left until a time, if there is one.
pub(super) fn left(until: Option<Time>) -> Option<Duration> {
    until.map(|until| until - Os::clock())
}
