//! One connection of a client command to the supervisor.

use super::trouble::Trouble;
use super::way::{Timeout, Way};
use crate::config;
use crate::core::Time;
use crate::limits::{ANSWER_GRACE, CLIENT_PATIENCE};
use crate::os::{self, Arrival, Os, Place};
use crate::protocol::control::{ControlRequest, Reply};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::iter;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of an answer that are read at once: all that the kernel holds of it.
const PIECE_BYTES: usize = 256 * 1024;

/// A directory in which the supervisor may be found, and whether somebody named it.
pub(super) type Spot = (PathBuf, bool);

/// A connection to the supervisor, with one request at a time.
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    directory: PathBuf,
    /// Whether somebody named that.
    named: bool,
    /// What has come of the next line.
    line: Vec<u8>,
}

impl Connection {
    /// Connects to the supervisor of a config file, wherever it is found.
    pub(super) fn open(config: &Path, way: &Way) -> Result<Self, Trouble> {
        Self::open_at(config, places(config, way))
    }

    /// The same for who asks again and again. Where the supervisor was the last time is tried first: the file that says
    /// where it is may be broken by now, or elsewhere.
    pub(super) fn open_again(config: &Path, way: &Way, last: &mut Option<Spot>) -> Result<Self, Trouble> {
        let as_the_file_says = iter::once_with(|| places(config, way)).flatten();
        let connection = Self::open_at(config, last.iter().cloned().chain(as_the_file_says))?;
        *last = Some((connection.directory.clone(), connection.named));
        Ok(connection)
    }

    fn open_at(config: &Path, spots: impl IntoIterator<Item = Spot>) -> Result<Self, Trouble> {
        let mut tried: Vec<(PathBuf, io::Error)> = Vec::new();
        for (directory, named) in spots {
            let path = Place::socket(&directory);
            match connect(&path).and_then(|stream| of_ours(stream, named)) {
                Ok(stream) => {
                    let stream = BufReader::with_capacity(PIECE_BYTES, stream);
                    return Ok(Self { stream, directory, named, line: Vec::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let pid = Place::holder(&directory).map(|(pid, _)| pid);
                    return Err(Trouble::Silent { pid, waited: CLIENT_PATIENCE });
                }
                // Whoever reads it may be elsewhere.
                Err(error) => {
                    let path = std::path::absolute(&path).unwrap_or(path);
                    if tried.iter().all(|(before, _)| *before != path) {
                        tried.push((path, error));
                    }
                }
            }
        }
        Err(Trouble::NotReachable { config: config.into(), tried })
    }

    /// The same for a person or a script: not to one of another file. Two files of the same name in different
    /// directories have the same place by custom, and `stop` must not find the wrong services.
    pub(super) fn to(config: &Path, way: &Way) -> Result<Self, Trouble> {
        let connection = Self::open(config, way)?;
        match Place::holder(&connection.directory) {
            Some((pid, theirs)) if way.named().is_none() && !is_same_file(&theirs, config) => {
                let ours = std::path::absolute(config).unwrap_or_else(|_| config.into());
                Err(Trouble::Another { directory: connection.directory, pid, theirs, ours })
            }
            // One that does not tell its file may be an older one.
            Some(_) | None => Ok(connection),
        }
    }

    /// The same, and waits until then for a supervisor that is not there yet.
    pub(super) fn to_come(config: &Path, way: &Way, patience: Duration) -> Result<Self, Trouble> {
        let until = Os::clock() + patience;
        loop {
            let directories: Vec<PathBuf> = places(config, way).into_iter().map(|(path, _)| path).collect();
            // Before the look: what comes after it is not missed.
            let arrival = Arrival::at(&directories);
            match (Self::to(config, way), arrival) {
                (Err(trouble), Ok(arrival)) if trouble.may_pass() && Os::clock() < until => {
                    arrival.wait(until - Os::clock());
                }
                (Err(trouble), _) if trouble.may_pass() => {
                    return Err(Trouble::NotCome { waited: patience, last: trouble.into() });
                }
                (result, _) => return result,
            }
        }
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
        self.next_line(patience, &mut |_| {})?.map(|line| read(&line)).transpose()
    }

    /// The line of it. `seen` is shown what has come of it, each time that more has.
    fn next_line(
        &mut self,
        patience: Option<Duration>,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Option<Vec<u8>>, Trouble> {
        // A timeout of zero is no timeout, to the system.
        let patience = patience.map(|patience| patience.max(Duration::from_millis(1)));
        self.stream.get_ref().set_read_timeout(patience).map_err(Trouble::Lost)?;
        loop {
            match self.more() {
                Ok(0) => return Err(Trouble::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => seen(&self.line),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(Trouble::Lost(error)),
            }
            if self.line.ends_with(b"\n") {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }

    /// Takes what has come of the line, and waits only where that is nothing. Gives its bytes.
    fn more(&mut self) -> io::Result<usize> {
        let there = self.stream.fill_buf()?.len();
        self.stream.by_ref().take(there as u64).read_until(b'\n', &mut self.line)
    }

    /// The reply to a request that takes the supervisor no time.
    pub(super) fn answer(&mut self, request: &ControlRequest, timeout: Timeout) -> Result<Reply, Trouble> {
        read(&self.answer_line(request, timeout, &mut |_| {})?)
    }

    /// The line of it.
    fn answer_line(
        &mut self,
        request: &ControlRequest,
        timeout: Timeout,
        seen: &mut dyn FnMut(&[u8]),
    ) -> Result<Vec<u8>, Trouble> {
        let began = Os::clock();
        let patience = timeout.timeout.unwrap_or(CLIENT_PATIENCE).min(CLIENT_PATIENCE).max(ANSWER_GRACE);
        let until = began + patience;
        self.ask(request)?;
        loop {
            if let Some(line) = self.next_line(left(Some(until)), seen)? {
                return Ok(line);
            }
            if Os::clock() >= until {
                let pid = Place::holder(&self.directory).map(|(pid, _)| pid);
                return Err(match timeout.timeout {
                    Some(timeout) if timeout <= patience => Trouble::TimedOut(timeout),
                    Some(_) | None => Trouble::Silent { pid, waited: patience },
                });
            }
        }
    }

    /// Is another line there already, without a look at the socket?
    pub(super) fn has_line(&self) -> bool {
        self.stream.buffer().contains(&b'\n')
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}

/// Connects to a socket. One whose queue is full is waited for, and no longer than for an answer.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // The kernel waits for room in the queue for as long as it would for room to write.
    socket.set_write_timeout(Some(CLIENT_PATIENCE))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

/// Do both paths lead to the same file, or did when they were written?
fn is_same_file(theirs: &Path, ours: &Path) -> bool {
    let same =
        |a: io::Result<PathBuf>, b: io::Result<PathBuf>| a.ok().is_some_and(|a| b.is_ok_and(|b| a == b));
    same(std::path::absolute(theirs), std::path::absolute(ours))
        || same(theirs.canonicalize(), ours.canonicalize())
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

/// Where the supervisor may be, the likeliest place first.
fn places(config: &Path, way: &Way) -> Vec<Spot> {
    if let Some(named) = way.named() {
        return vec![(named, true)];
    }
    let place = Place::of(config::runtime_dir(config).as_deref(), config);
    let of_root = (!place.named).then(|| Place::of_root(config)).filter(|path| *path != place.path);
    // What is below /run is root's.
    [(place.path, place.named)].into_iter().chain(of_root.map(|path| (path, true))).collect()
}

/// One request that takes the supervisor no time, one reply.
pub(super) fn ask(
    config: &Path,
    way: &Way,
    timeout: Timeout,
    request: &ControlRequest,
) -> Result<Reply, Trouble> {
    read(&ask_for_line(config, way, timeout, request, &mut |_| {})?)
}

/// The line of that reply, not read yet. `seen` is shown what has come of it, each time that more has.
pub(super) fn ask_for_line(
    config: &Path,
    way: &Way,
    timeout: Timeout,
    request: &ControlRequest,
    seen: &mut dyn FnMut(&[u8]),
) -> Result<Vec<u8>, Trouble> {
    Connection::to(config, way)?.answer_line(request, timeout, seen)
}

/// The reply in a line.
pub(super) fn read(line: &[u8]) -> Result<Reply, Trouble> {
    Reply::read(line).map(|(_, reply)| reply).map_err(Trouble::Gibberish)
}

/// What is left until a time, if there is one.
pub(super) fn left(until: Option<Time>) -> Option<Duration> {
    until.map(|until| until - Os::clock())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_whatever_path() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b, link) =
            (directory.path().join("a.toml"), directory.path().join("b.toml"), directory.path().join("l"));
        std::fs::write(&a, "").unwrap();
        std::fs::write(&b, "").unwrap();
        std::os::unix::fs::symlink("a.toml", &link).unwrap();
        let around = directory.path().join("x/../a.toml");
        std::fs::create_dir(directory.path().join("x")).unwrap();
        for (theirs, ours, same) in
            [(&a, &a, true), (&a, &link, true), (&link, &a, true), (&a, &around, true), (&a, &b, false)]
        {
            assert_eq!(is_same_file(theirs, ours), same, "{} {}", theirs.display(), ours.display());
        }
        std::fs::remove_file(&a).unwrap();
        assert!(is_same_file(&a, &a), "one that is gone is still the same");
        assert!(!is_same_file(&a, &b));
    }
}
