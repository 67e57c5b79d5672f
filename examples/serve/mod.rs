//! The part of our HTTP servers that no handshake changes: accept, answer, drain.
//!
//! `/` answers `NAME generation=G pid=P`, `/sleep?ms=N` the same N milliseconds later, `/big?bytes=N` that
//! many bytes.
//!
//! What makes a restart harmless, in the order in which it happens when the server is asked to leave:
//!
//! 1. Accept no more. Clients that still wait in the queue belong to the successor.
//! 2. Say so, where the handshake has a word for it. The successor starts now.
//! 3. Answer whatever has been accepted, with `Connection: close`. A kept connection that is idle is given
//!    a grace first: its next request may be on the way already.
//! 4. End, when the last connection has ended.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, Shutdown, SockFlag, accept4, listen, shutdown};
use std::error::Error;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread::{self, Scope};
use std::time::Duration;

/// Connections served at once; more wait in the queue of the socket.
const CONNECTIONS: usize = 1024;

/// How long a client that has connected but asked for nothing may hold up our end.
const FIRST_REQUEST: Duration = Duration::from_secs(10);

/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;

/// The command line.
pub(crate) struct Options {
    name: String,
    /// Which of its processes this is, as the supervisor counts.
    pub(crate) generation: String,
    delay: Duration,
    grace: Duration,
}

impl Options {
    /// Options, and what else is there: numbers of descriptors.
    pub(crate) fn parse(
        mut args: impl Iterator<Item = String>,
    ) -> Result<(Self, Vec<OwnedFd>), Box<dyn Error>> {
        let mut options = Self {
            name: std::env::var("BOOTSTRAP_SERVICE").unwrap_or_else(|_| "http".into()),
            generation: std::env::var("BOOTSTRAP_GENERATION").unwrap_or_else(|_| "0".into()),
            delay: Duration::ZERO,
            grace: Duration::from_secs(1),
        };
        let mut fds = Vec::new();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match &*arg {
                "--name" => options.name = value()?,
                "--delay" => options.delay = humantime::parse_duration(&value()?)?,
                "--grace" => options.grace = humantime::parse_duration(&value()?)?,
                fd => fds
                    .push(descriptor(fd).ok_or_else(|| format!("{fd:?} is neither option nor descriptor"))?),
            }
        }
        Ok((options, fds))
    }
}

/// A descriptor that the supervisor has opened for us, by its number.
pub(crate) fn descriptor(number: &str) -> Option<OwnedFd> {
    // SAFETY: each number is named once, so that nothing else in here owns it.
    Some(unsafe { OwnedFd::from_raw_fd(number.parse().ok().filter(|number| *number >= 0)?) })
}

/// Serves on `listeners` until a byte arrives on `asked`, and drains.
///
/// Calls `say_ready` when it accepts, and `say_quiet` when it accepts no more: with true, or with false where serving could not
/// begin.
pub(crate) fn run(
    options: Options,
    listeners: Vec<OwnedFd>,
    asked: &PipeReader,
    mut say_ready: impl FnMut() -> io::Result<()>,
    mut say_quiet: impl FnMut(bool) -> io::Result<()>,
) -> Result<(), Box<dyn Error>> {
    if ready(&[asked.as_fd()], Some(options.delay))?.is_some() {
        tell(say_quiet(true));
        return Ok(());
    }
    for listener in &listeners {
        // The supervisor listens already. The program that the pipe handshake comes from only binds.
        if let Err(error) = listen(listener, Backlog::new(4096)?).and_then(|()| nonblocking(listener)) {
            eprintln!("cannot serve on descriptor {}: {error}", listener.as_raw_fd());
            tell(say_quiet(false));
            return Ok(());
        }
    }
    tell(say_ready());

    let (draining, going_on) = io::pipe()?;
    let server = Server { options, draining };
    let (places, place) = io::pipe()?;
    (&place).write_all(&[0; CONNECTIONS])?;
    thread::scope(|scope| {
        accept_until(asked, &listeners, &places, &place, scope, &server)?;
        drop(listeners);
        drop(going_on);
        tell(say_quiet(true));
        Ok(())
    })
}

/// Goes on whether the supervisor has heard us or not: where nobody listens it was killed, and the next one takes over who serves.
fn tell(said: io::Result<()>) {
    if let Err(error) = said {
        // Not a panic, where nobody reads stderr either.
        let _ = writeln!(io::stderr(), "the supervisor does not hear me: {error}");
    }
}

/// What every connection knows.
struct Server {
    options: Options,
    /// At its end once we have been asked to leave, for all connections at once.
    draining: PipeReader,
}

/// A place among [`CONNECTIONS`]: a byte taken from a pipe and put back at the end of the connection.
/// Such a pipe is a semaphore that `poll` understands.
struct Place<'a>(&'a PipeWriter);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let _ = self.0.write_all(&[0]);
    }
}

/// Accepts clients until we are asked to leave.
fn accept_until<'scope>(
    asked: &PipeReader,
    listeners: &[OwnedFd],
    mut places: &PipeReader,
    place: &'scope PipeWriter,
    scope: &'scope Scope<'scope, '_>,
    server: &'scope Server,
) -> io::Result<()> {
    let mut waiting: Vec<BorrowedFd<'_>> = listeners.iter().map(AsFd::as_fd).collect();
    loop {
        if ready(&[asked.as_fd(), places.as_fd()], None)? == Some(0) {
            return Ok(());
        }
        places.read_exact(&mut [0])?;
        let place = Place(place);

        waiting.rotate_left(1); // no listener comes last for ever
        waiting.insert(0, asked.as_fd());
        let first = ready(&waiting, None)?.unwrap_or(0);
        waiting.remove(0);
        let Some(listener) = first.checked_sub(1) else { return Ok(()) };

        match accept4(waiting[listener].as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            Ok(fd) => {
                // SAFETY: `accept4` just made it; it is ours alone.
                let connection = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
                thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, move || {
                    let _place = place;
                    // An error here is a client that went away. The others must not notice.
                    let _ = converse(&connection, server);
                })?;
            }
            // Somebody else took it, or it is gone.
            Err(nix::Error::EAGAIN | nix::Error::ECONNABORTED | nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Answers the requests of one connection until it ends or we do.
fn converse(mut connection: &File, server: &Server) -> io::Result<()> {
    let mut inbox = Vec::new();
    let mut patience = FIRST_REQUEST;
    while let Some(request) = Request::read(connection, &mut inbox, server, patience)? {
        let body = request.answer(&server.options);
        let close = request.close || ready(&[server.draining.as_fd()], Some(Duration::ZERO))?.is_some();
        let kept = if close { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {kept}\r\n\r\n",
            if body.is_some() { "200 OK" } else { "404 Not Found" },
            body.as_ref().map_or(0, String::len),
        );
        connection.write_all((head + body.as_deref().unwrap_or("")).as_bytes())?;
        if close {
            break;
        }
        patience = server.options.grace;
    }
    // Not just `close`: with unread bytes left that would be a reset, and could cost the client our answer.
    shutdown(connection.as_raw_fd(), Shutdown::Write)?;
    while ready(&[connection.as_fd()], Some(server.options.grace))?.is_some() {
        if connection.read(&mut [0; 1024])? == 0 {
            break;
        }
    }
    Ok(())
}

/// What we look at in a request.
struct Request {
    path: String,
    /// The client wants no other one.
    close: bool,
}

impl Request {
    /// The next request of a connection; none when the client has closed, or when we are about to leave and
    /// it has been silent for `patience`.
    fn read(
        mut connection: &File,
        inbox: &mut Vec<u8>,
        server: &Server,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let mut leaving = false;
        loop {
            if let Some(end) = inbox.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&inbox[..end]).to_ascii_lowercase();
                inbox.drain(..end + 4);
                return Ok(Some(Self {
                    path: head.split(' ').nth(1).unwrap_or("/").into(),
                    close: head.contains("\r\nconnection: close") || head.contains(" http/1.0"),
                }));
            }
            if inbox.len() > HEAD_BYTES {
                return Ok(None);
            }
            let event = if leaving {
                ready(&[connection.as_fd()], inbox.is_empty().then_some(patience))?
            } else {
                ready(&[connection.as_fd(), server.draining.as_fd()], None)?
            };
            match event {
                None => return Ok(None),
                Some(0) => {
                    let mut chunk = [0; 4096];
                    match connection.read(&mut chunk)? {
                        0 => return Ok(None),
                        len => inbox.extend_from_slice(&chunk[..len]),
                    }
                }
                Some(_) => leaving = true,
            }
        }
    }

    /// The body; none where there is no such page.
    fn answer(&self, options: &Options) -> Option<String> {
        let (page, number) = match self.path.split_once('?') {
            None => (&*self.path, 0),
            Some((page, query)) => (page, query.split_once('=')?.1.parse().ok()?),
        };
        match page {
            "/" => {}
            "/sleep" => {
                ready(&[], Some(Duration::from_millis(number))).ok()?;
            }
            "/big" => return Some("x".repeat(usize::try_from(number).ok()?)),
            _ => return None,
        }
        Some(format!("{} generation={} pid={}\n", options.name, options.generation, std::process::id()))
    }
}

/// Which descriptor is readable, or at its end: the first of them. None after `timeout`.
fn ready(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Option<usize>> {
    let timeout = timeout.map_or(Ok(PollTimeout::NONE), PollTimeout::try_from).map_err(io::Error::other)?;
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        match poll(&mut fds, timeout) {
            Ok(_) => return Ok(fds.iter().position(|fd| fd.any() == Some(true))),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A client may be gone between `poll` and `accept`, and nobody should wait for the next one then.
fn nonblocking(listener: &OwnedFd) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(listener, FcntlArg::F_GETFL)?);
    fcntl(listener, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}
