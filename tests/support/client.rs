//! An HTTP client that tells how a request failed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client waits for the next byte.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection ended before the first byte of the answer.
    Empty,
    /// It ended within the answer.
    Short,
    /// It took longer than this test allows.
    Late(Duration),
    /// An answer, but not of the server that was asked.
    Wrong(String),
    /// Something else.
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) body: String,
    /// The connection takes no further request.
    pub(crate) close: bool,
}

impl Answer {
    /// Which generation said it; 0 where it does not tell.
    pub(crate) fn generation(&self) -> u32 {
        self.number("generation=")
    }

    /// Which process said it; 0 where it does not tell.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.number("pid=")).unwrap()
    }

    fn number(&self, name: &str) -> u32 {
        let after = self.body.split_once(name).map_or("", |(_, after)| after);
        after.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    }
}

/// One connection.
pub(crate) struct Client<S = TcpStream>(S);

impl Client {
    pub(crate) fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Has the server ended the connection, or broken its silence?
    pub(crate) fn has_ended(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let silent = matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
        !silent
    }
}

impl<S: Read + Write> Client<S> {
    /// On a connection that was made elsewhere.
    pub(crate) fn over(stream: S) -> Self {
        Self(stream)
    }

    /// Sends a request without waiting for the answer.
    pub(crate) fn send(&mut self, path: &str) -> Result<(), Failure> {
        Ok(self.0.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?)
    }

    /// Reads the answer to a request that was sent.
    pub(crate) fn receive(&mut self) -> Result<Answer, Failure> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 16 * 1024];
        let head_len = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            match self.0.read(&mut chunk)? {
                0 if bytes.is_empty() => return Err(Failure::Empty),
                0 => return Err(Failure::Short),
                len => bytes.extend_from_slice(&chunk[..len]),
            }
        };
        let head = String::from_utf8_lossy(&bytes[..head_len]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(Failure::Wrong(head));
        }
        let length = head.split_once("content-length: ").map_or("0", |(_, after)| after);
        let length: usize = length.split("\r\n").next().unwrap().trim().parse().unwrap();
        while bytes.len() < head_len + length {
            match self.0.read(&mut chunk)? {
                0 => return Err(Failure::Short),
                len => bytes.extend_from_slice(&chunk[..len]),
            }
        }
        Ok(Answer {
            body: String::from_utf8_lossy(&bytes[head_len..]).into_owned(),
            close: head.contains("connection: close"),
        })
    }

    /// Request and answer.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        self.send(path)?;
        self.receive()
    }
}

/// One request on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> Result<Answer, Failure> {
    Client::connect(port)?.get(path)
}

/// The same on a unix socket.
pub(crate) fn get_unix(socket: &Path, path: &str) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Client(stream).get(path)
}

/// Has a request in flight: the answer to its `/sleep` comes after `delay`. The connection is known to be
/// accepted, since a first request on it has been answered: by the process whose pid is given.
pub(crate) fn in_flight(port: u16, delay: Duration) -> (i32, JoinHandle<Result<Answer, Failure>>) {
    let mut client = Client::connect(port).unwrap();
    let pid = client.get("/").unwrap().pid();
    client.send(&format!("/sleep?ms={}", delay.as_millis())).unwrap();
    (pid, thread::spawn(move || client.receive()))
}
