//! The line that answers `status`. With ten thousand services it has some megabytes: it is written service by service,
//! and whoever hands it on reads no more of it than it has to.

use super::status::{ServiceStatus, Status, SupervisorStatus};
use super::version::VERSION;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Serialize, Serializer};
use serde_json::Error;
use std::cell::Cell;
use std::fmt;

/// The line: its version, the number of the request, and the reply.
#[derive(Serialize)]
struct Line<'a, S> {
    version: u64,
    id: u64,
    reply: &'static str,
    supervisor: &'a SupervisorStatus,
    services: S,
}

/// A list whose items are made as they are written.
struct OneByOne<I>(Cell<Option<I>>);

impl<I: Iterator<Item = ServiceStatus>> Serialize for OneByOne<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.take().into_iter().flatten())
    }
}

/// What is written as the line for a status, without its end: the same as that of a
/// [`Reply::Status`](super::control::Reply::Status). The services are made while it is written, which goes once.
pub fn status_line<'a>(
    id: u64,
    supervisor: &'a SupervisorStatus,
    services: impl Iterator<Item = ServiceStatus> + 'a,
) -> impl Serialize + 'a {
    let services = OneByOne(Cell::new(Some(services)));
    Line { version: VERSION, id, reply: "status", supervisor, services }
}

/// A status as it came, for whoever hands it on. It is shown as the reply in JSON, without what stands in every line.
#[derive(Debug, PartialEq, Eq)]
pub struct StatusAsItCame<'a> {
    line: &'a str,
    /// Where its first field begins.
    begins: usize,
}

impl fmt::Display for StatusAsItCame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}", self.line.get(self.begins..).unwrap_or_default())
    }
}

impl<'a> StatusAsItCame<'a> {
    /// Of a line, with its end or without; none where the line does not begin as the line of a status does.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let (_, begins) = beginning(line)?;
        Some(Self { line: str::from_utf8(line).ok()?.trim_end(), begins })
    }
}

/// Reads the line of a status while it comes: most of the work is done by the time the last of it is there.
#[derive(Debug, Default)]
pub struct StatusAsItComes {
    /// So much of the line was read.
    at: usize,
    /// Known once the list of services has begun.
    supervisor: Option<SupervisorStatus>,
    /// The next service is not the first.
    goes_on: bool,
    is_whole: bool,
}

impl StatusAsItComes {
    const BEFORE_SUPERVISOR: &[u8] = b"\"reply\":\"status\",\"supervisor\":";
    const BEFORE_SERVICES: &[u8] = b",\"services\":[";

    /// Goes on with what has come of the line: all of it from its beginning. Services that are whole by now are handed on;
    /// of each is read what `T` has.
    ///
    /// # Errors
    ///
    /// It is no status.
    pub fn go_on<T: DeserializeOwned>(&mut self, line: &[u8], mut each: impl FnMut(T)) -> Result<(), Error> {
        if self.supervisor.is_none() {
            let Some((_, begins)) = beginning(line) else { return Ok(()) };
            self.at = begins + Self::BEFORE_SUPERVISOR.len();
            let Some(supervisor) = self.value(line)? else { return Ok(()) };
            if !rest(line, self.at).starts_with(Self::BEFORE_SERVICES) {
                return Ok(());
            }
            self.at += Self::BEFORE_SERVICES.len();
            self.supervisor = Some(supervisor);
        }
        while !self.is_whole {
            let before = self.at;
            match rest(line, self.at).first() {
                Some(b']') => {
                    self.is_whole = true;
                    break;
                }
                Some(b',') if self.goes_on => self.at += 1,
                Some(_) if self.goes_on => return Err(Error::custom("no comma between two services")),
                Some(_) | None => {}
            }
            let Some(service) = self.value(line)? else {
                self.at = before;
                break;
            };
            self.goes_on = true;
            each(service);
        }
        Ok(())
    }

    /// What was said of the supervisor, where the whole list has come.
    ///
    /// # Errors
    ///
    /// It has not.
    pub fn end(self) -> Result<SupervisorStatus, Error> {
        let whole = self.supervisor.filter(|_| self.is_whole);
        whole.ok_or_else(|| Error::custom("the list of services has no end"))
    }

    /// The value that comes next, if all of it is there.
    fn value<T: DeserializeOwned>(&mut self, line: &[u8]) -> Result<Option<T>, Error> {
        let mut values = serde_json::Deserializer::from_slice(rest(line, self.at)).into_iter();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(Some(value))
            }
            Some(Err(error)) if !error.is_eof() => Err(error),
            Some(Err(_)) | None => Ok(None),
        }
    }
}

fn rest(line: &[u8], at: usize) -> &[u8] {
    line.get(at..).unwrap_or_default()
}

/// Reads the line, if it is that of a status: not by way of a tree of values. Gives the number of the request, too.
pub(super) fn read_status(line: &[u8]) -> Option<Result<(u64, Status), Error>> {
    let (id, _) = beginning(line)?;
    Some(serde_json::from_slice(line).map(|status| (id, status)))
}

/// The number of the request, and where the fields of the reply begin, if this is the line of a status.
fn beginning(line: &[u8]) -> Option<(u64, usize)> {
    let rest = line.strip_prefix(format!("{{\"version\":{VERSION},\"id\":").as_bytes())?;
    let (id, reply) = rest.split_at_checked(rest.iter().position(|byte| *byte == b',')?)?;
    let id = str::from_utf8(id).ok()?.parse().ok()?;
    reply.starts_with(b",\"reply\":\"status\",").then(|| (id, line.len() - reply.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::control::{ErrorCode, Reply};
    use crate::protocol::status::{ConfigState, RestartCounts, SocketStatus, Usage};

    fn status() -> Status {
        let supervisor = SupervisorStatus {
            pid: 7,
            program: "0.1.0".into(),
            config: "/etc/ä \"b\".toml".into(),
            config_state: ConfigState::Applied,
            uptime_ms: 1,
            program_uptime_ms: 1,
            services: 2,
            up: 1,
            not_loaded: Vec::new(),
            usage: Usage::default(),
        };
        let service = |name: &str, state: &'static str| ServiceStatus {
            name: name.into(),
            state: state.into(),
            stale: None,
            workers: 1,
            generation: Some(3),
            uptime_ms: None,
            restarts: RestartCounts::default(),
            repairs: 0,
            ready_ms: None,
            runs: Vec::new(),
            draining: Vec::new(),
            sockets: vec![SocketStatus {
                address: "unix:a\nb".into(),
                name: None,
                waiting: Some(0),
                limit: Some(128),
                waiting_bytes: None,
                limit_bytes: None,
                dropped: None,
            }],
            waits_for: Vec::new(),
            last_exit: None,
            reason: None,
            last_failure: Some("\"state\":\"held\"".into()),
            last_failure_age_ms: None,
            last_words: Vec::new(),
            restart_failed: false,
            removed: false,
        };
        Status { supervisor, services: vec![service("a", "up"), service("b", "crashed")] }
    }

    #[test]
    fn the_line_is_that_of_the_reply_and_is_read_as_it() {
        for id in [0, 7, u64::MAX] {
            let Status { supervisor, services } = status();
            let line = status_line(id, &supervisor, services.into_iter());
            let line = serde_json::to_string(&line).unwrap() + "\n";
            let reply = Reply::Status(Box::new(status()));
            assert_eq!(line, reply.line(id));
            assert_eq!(Reply::read(line.as_bytes()).unwrap(), (id, reply));
        }
    }

    #[test]
    fn who_hands_it_on_prints_the_reply() {
        let reply = Reply::Status(Box::new(status()));
        let line = reply.line(12);
        let told = StatusAsItCame::of(line.as_bytes()).unwrap();
        assert_eq!(told.to_string(), serde_json::to_string(&reply).unwrap());
    }

    /// Reads a line that comes in pieces of so many bytes.
    fn read(line: impl AsRef<[u8]>, piece: usize) -> Result<Status, Error> {
        let (mut reader, mut services) = (StatusAsItComes::default(), Vec::new());
        let line = line.as_ref();
        for end in (0..line.len()).step_by(piece).chain([line.len()]) {
            reader.go_on(&line[..end], |service| services.push(service))?;
        }
        Ok(Status { supervisor: reader.end()?, services })
    }

    #[test]
    fn it_is_read_while_it_comes_whatever_the_pieces() {
        let line = Reply::Status(Box::new(status())).line(12);
        for piece in 1..=line.len() {
            assert_eq!(read(&line, piece).unwrap(), status(), "{piece}");
        }
        let none = Status { services: Vec::new(), ..status() };
        assert_eq!(read(Reply::Status(Box::new(none.clone())).line(0), 7).unwrap(), none);
    }

    #[test]
    fn what_is_not_whole_or_no_status_is_not_read() {
        let line = Reply::Status(Box::new(status())).line(12);
        let end = line.rfind("]}").unwrap();
        for len in 0..end {
            assert!(read(&line.as_bytes()[..len], 50).is_err(), "{len} bytes of {line}");
        }
        for (what, wrong) in [
            ("},{\"name\"", "}{\"name\""),
            ("{\"name\"", "7,{\"name\""),
            ("\"supervisor\"", "\"somebody\""),
            ("\"pid\":7", "\"pid\":\"7\""),
        ] {
            assert!(line.contains(what) && read(line.replacen(what, wrong, 1), 50).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_status_is_not_taken_for_one() {
        let other = Reply::error(ErrorCode::Busy, "\"reply\":\"status\",").line(1);
        let turned = r#"{"reply":"status","version":1,"id":1,"services":[]}"#;
        let later = r#"{"version":2,"id":1,"reply":"status","services":[]}"#;
        for line in [&*other, turned, later, "", "{\"version\":1,\"id\":1"] {
            assert_eq!(StatusAsItCame::of(line.as_bytes()), None, "{line}");
        }
    }
}
