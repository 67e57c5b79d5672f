//! Where goes what a service writes to its standard streams.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// One of the streams that a process writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl Stream {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

/// Where a stream leads.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outlet {
    /// Where that of the supervisor leads.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// To the journal of systemd.
    Journal,
    /// To the syslog of the machine.
    Syslog,
    /// To the end of this file.
    File(PathBuf),
}

impl Outlet {
    /// Does it go through the process that writes logs?
    pub fn is_captured(&self) -> bool {
        match self {
            Self::Journal | Self::Syslog | Self::File(_) => true,
            Self::Inherit | Self::Null => false,
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Inherit | Self::Null | Self::Journal | Self::Syslog => None,
        }
    }
}

/// As the config file writes it.
impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit => f.write_str("inherit"),
            Self::Null => f.write_str("null"),
            Self::Journal => f.write_str("journal"),
            Self::Syslog => f.write_str("syslog"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// How a log file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keeping {
    /// Bytes after which another file is begun.
    pub max_bytes: u64,
    /// How many of the earlier ones are kept.
    pub backups: u32,
    /// Whether they are compressed.
    pub compress: bool,
    /// Whether each line begins with the time, the service and the process.
    pub timestamps: bool,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { max_bytes: 50 * 1024 * 1024, backups: 10, compress: false, timestamps: true }
    }
}

/// Where the streams of a service lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its stdout.
    pub stdout: Outlet,
    /// Its stderr.
    pub stderr: Outlet,
    /// How its files are kept.
    pub keeping: Keeping,
}

impl Output {
    /// Where a stream leads.
    pub fn of(&self, stream: Stream) -> &Outlet {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// The files that streams lead to: one twice where both do.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.stdout, &self.stderr].into_iter().filter_map(Outlet::file)
    }

    /// Itself, unless everything goes where that of the supervisor goes.
    pub fn boxed(self) -> Option<Box<Self>> {
        let inherited = self.stdout == Outlet::Inherit && self.stderr == Outlet::Inherit;
        (!inherited).then(|| Box::new(self))
    }

    /// The streams that go through the process that writes logs.
    pub fn captured(&self) -> impl Iterator<Item = Stream> {
        Stream::ALL.into_iter().filter(|stream| self.of(*stream).is_captured())
    }
}
