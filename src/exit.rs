//! The exit codes of the program, as the table in the README lists them.

/// How the program ends, as its parent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or stopped as asked.
    Ok = 0,
    /// A service crashed and none is left, a socket could not be bound, or the system refused something.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The config file is wrong (`EX_CONFIG` of sysexits.h).
    Config = 78,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
