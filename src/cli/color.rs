//! Whether what people read is coloured.

use clap::ValueEnum;
use std::io;

/// Whether messages for people are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Even into a file
    Always,
    /// On no account
    Never,
}

impl Color {
    /// Is what goes to stderr coloured?
    pub fn on_stderr(self) -> bool {
        self.on(&io::stderr())
    }

    /// Is what goes to stdout coloured?
    pub fn on_stdout(self) -> bool {
        self.on(&io::stdout())
    }

    fn on(self, stream: &impl io::IsTerminal) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
                    && stream.is_terminal()
            }
        }
    }
}
