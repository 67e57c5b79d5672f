//! The control socket as somebody speaks to it who has no client.

use super::{LIMIT, Supervised};
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A connection to the control socket.
pub(crate) struct Wire(BufReader<UnixStream>);

impl Wire {
    /// Where the socket of a supervisor is.
    pub(crate) fn path(supervised: &Supervised) -> PathBuf {
        supervised.stage.dir().join("run/control")
    }

    pub(crate) fn to(supervised: &Supervised) -> Self {
        let path = Self::path(supervised);
        Self::connect(&path).unwrap_or_else(|error| panic!("{}: {error}\n{supervised}", path.display()))
    }

    pub(crate) fn connect(path: &std::path::Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.0.get_ref()
    }

    /// Sends a line, as far as it is taken.
    pub(crate) fn send(&mut self, line: &str) {
        let _ = self.0.get_mut().write_all(format!("{line}\n").as_bytes());
    }

    /// The next line; none when the other end has closed.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no line and no end: {error}"),
        }
    }

    /// The next line, if it comes within this time.
    pub(crate) fn line_within(&mut self, patience: Duration) -> Option<String> {
        self.stream().set_read_timeout(Some(patience)).unwrap();
        let mut line = String::new();
        let result = self.0.read_line(&mut line);
        self.stream().set_read_timeout(Some(LIMIT)).unwrap();
        result.ok().filter(|len| *len > 0).map(|_| line)
    }

    /// The next reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Value {
        let line = self.line().expect("a reply");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// Request and reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &str) -> Value {
        self.send(&format!("{{\"version\":1,\"request\":{request}}}"));
        self.reply()
    }

    /// What is left until the other end closes.
    pub(crate) fn rest(mut self) -> String {
        let mut rest = Vec::new();
        // A reset ends it as well.
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }
}
