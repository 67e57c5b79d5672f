//! The line that answers `status`. With ten thousand services it has some megabytes: it is written service by service,
//! and whoever hands it on reads no more of it than it has to.

use super::status::{ServiceStatus, Status, SupervisorStatus};
use super::version::VERSION;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufWriter, Write};

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

/// Bytes of the line that are written at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// Writes the line for a status, with its end: the same as that of a [`Reply::Status`](super::control::Reply::Status), but
/// piece by piece. Neither the line nor all services are in memory at a time.
///
/// # Errors
///
/// Those of `out`.
pub fn write_status_line(
    out: impl Write,
    id: u64,
    supervisor: &SupervisorStatus,
    services: impl Iterator<Item = ServiceStatus>,
) -> io::Result<()> {
    let services = OneByOne(Cell::new(Some(services)));
    let line = Line { version: VERSION, id, reply: "status", supervisor, services };
    let mut out = BufWriter::with_capacity(PIECE_BYTES, out);
    serde_json::to_writer(&mut out, &line)?;
    out.write_all(b"\n")?;
    out.flush()
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

/// What is read of it.
#[derive(Deserialize)]
struct States<'a> {
    #[serde(borrow)]
    services: Vec<State<'a>>,
}

#[derive(Deserialize)]
struct State<'a> {
    #[serde(borrow)]
    state: Cow<'a, str>,
}

impl<'a> StatusAsItCame<'a> {
    /// Of a line, with its end or without; none where the line does not begin as the line of a status does.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let (_, begins) = beginning(line)?;
        Some(Self { line: str::from_utf8(line).ok()?.trim_end(), begins })
    }

    /// Reads all of it. Each service is handed on as soon as it is read, so that ten thousand are never in memory at a time.
    ///
    /// # Errors
    ///
    /// It is no status.
    pub fn read(&self, each: impl FnMut(ServiceStatus)) -> Result<SupervisorStatus, serde_json::Error> {
        let mut line = serde_json::Deserializer::from_str(self.line);
        let supervisor = line.deserialize_map(Told(each))?;
        line.end().map(|()| supervisor)
    }

    /// The word for the state of each service.
    ///
    /// # Errors
    ///
    /// It is no status.
    pub fn states(&self) -> Result<impl Iterator<Item = Cow<'a, str>>, serde_json::Error> {
        let States { services } = serde_json::from_str(self.line)?;
        Ok(services.into_iter().map(|service| service.state))
    }
}

/// Hands the services of a list on, each as soon as it is read.
struct ToEach<F>(F);

impl<'de, F: FnMut(ServiceStatus)> DeserializeSeed<'de> for ToEach<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(ServiceStatus)> Visitor<'de> for ToEach<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of services")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(service) = list.next_element()? {
            self.0(service);
        }
        Ok(())
    }
}

/// A status, of which the services are handed on.
struct Told<F>(F);

impl<'de, F: FnMut(ServiceStatus)> Visitor<'de> for Told<F> {
    type Value = SupervisorStatus;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<SupervisorStatus, A::Error> {
        let mut supervisor = None;
        while let Some(key) = fields.next_key::<Cow<'_, str>>()? {
            match &*key {
                "supervisor" => supervisor = Some(fields.next_value()?),
                "services" => fields.next_value_seed(ToEach(&mut self.0))?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        supervisor.ok_or_else(|| A::Error::missing_field("supervisor"))
    }
}

/// Reads the line, if it is that of a status: not by way of a tree of values. Gives the number of the request, too.
pub(super) fn read_status(line: &[u8]) -> Option<Result<(u64, Status), serde_json::Error>> {
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
        let service = |name: &str, state: &str| ServiceStatus {
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
            last_words: Vec::new(),
        };
        Status { supervisor, services: vec![service("a", "up"), service("b", "crashed")] }
    }

    #[test]
    fn the_line_is_that_of_the_reply_and_is_read_as_it() {
        for id in [0, 7, u64::MAX] {
            let Status { supervisor, services } = status();
            let mut line = Vec::new();
            write_status_line(&mut line, id, &supervisor, services.into_iter()).unwrap();
            let reply = Reply::Status(Box::new(status()));
            assert_eq!(str::from_utf8(&line).unwrap(), reply.line(id));
            assert_eq!(Reply::read(&line).unwrap(), (id, reply));
        }
    }

    #[test]
    fn who_hands_it_on_prints_the_reply_and_knows_the_states() {
        let reply = Reply::Status(Box::new(status()));
        let line = reply.line(12);
        let told = StatusAsItCame::of(line.as_bytes()).unwrap();
        assert_eq!(told.to_string(), serde_json::to_string(&reply).unwrap());
        assert_eq!(told.states().unwrap().collect::<Vec<_>>(), ["up", "crashed"]);
    }

    #[test]
    fn each_service_is_read_by_itself() {
        let line = Reply::Status(Box::new(status())).line(12);
        let mut services = Vec::new();
        let read = |line: &str, each: &mut dyn FnMut(ServiceStatus)| {
            StatusAsItCame::of(line.as_bytes()).unwrap().read(each)
        };
        let supervisor = read(&line, &mut |service| services.push(service)).unwrap();
        assert_eq!(Status { supervisor, services }, status());
        let (begin, list) = line.split_once(",\"services\":").unwrap();
        let cut = format!("{begin},\"services\":{}", &list[..list.len() / 2]);
        let nobodys = line.replacen("\"supervisor\"", "\"nobody\"", 1);
        for wrong in [cut, nobodys, format!("{} 1", line.trim_end()), line.replacen('[', "7, [", 1)] {
            assert!(read(&wrong, &mut |_| {}).is_err(), "{wrong}");
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
        let cut = StatusAsItCame::of(br#"{"version":1,"id":1,"reply":"status","#).unwrap();
        assert!(cut.states().is_err());
    }
}
