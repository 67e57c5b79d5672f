//! The exit codes of the program, as the table in the README lists them.

/// How the program ends, as its parent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or stopped as asked.
    Ok = 0,
    /// A service crashed and none is left, a socket could not be bound, or the system refused something.
    Failed = 1,
    /// The command line is wrong; or, of `plan`: a reload would change something.
    Usage = 2,
    /// A service that was asked about does not run.
    NotRunning = 3,
    /// A name or a glob matches no service.
    NoSuchService = 4,
    /// A restart failed, or was rolled back.
    RestartFailed = 5,
    /// What was waited for did not come in time. It may still come.
    TimedOut = 6,
    /// The supervisor is not reachable.
    NotReachable = 7,
    /// The config file is wrong (`EX_CONFIG` of sysexits.h).
    Config = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
