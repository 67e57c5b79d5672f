//! The control socket: one JSON object a line, in both directions. docs/control.md is its specification.
//!
//! A connection has one request at a time: the next one is read when the one before it was answered.

use super::status::{AppliedCounts, PlanChange, ServiceOutcome, Status};
use super::status_line::read_status;
pub use super::version::VERSION;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a client asks for. Patterns in `services` are names and globs; none means all services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Who is there?
    Version {},
    /// How are they?
    Status {
        /// Which services.
        #[serde(default)]
        services: Vec<String>,
    },
    /// What would a reload do?
    Plan {},
    /// Whatever is reported from now on, until the client goes.
    Events {
        /// About which services; all means the supervisor as well.
        #[serde(default)]
        services: Vec<String>,
    },
    /// Start what is down.
    Start(Order),
    /// End the processes and refuse clients.
    Stop(Order),
    /// Replace the processes without refusing a client.
    Restart(Order),
    /// End the processes and let clients wait.
    Hold(Order),
    /// Start what is held.
    Release(Order),
    /// Tell when they are up, or will not be.
    Wait {
        /// Which services.
        #[serde(default)]
        services: Vec<String>,
    },
    /// Send a signal to the main processes.
    Signal {
        /// Which services.
        #[serde(default)]
        services: Vec<String>,
        /// The number of the signal.
        signal: i32,
    },
    /// Read the config anew and apply it.
    Reload {
        /// Answer when what it started is up, or is not.
        #[serde(default)]
        wait: bool,
    },
    /// Become the program now on disk.
    Upgrade {},
}

/// What all orders have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Which services.
    #[serde(default)]
    pub services: Vec<String>,
    /// Answer when it is known what came of it, and tell what is reported of these services until then.
    #[serde(default)]
    pub wait: bool,
}

impl ControlRequest {
    /// Does it change nothing?
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Version {}
            | Self::Status { .. }
            | Self::Plan {}
            | Self::Events { .. }
            | Self::Wait { .. } => true,
            Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Hold(_)
            | Self::Release(_)
            | Self::Signal { .. }
            | Self::Reload { .. }
            | Self::Upgrade {} => false,
        }
    }

    /// The line for it, with its end.
    pub fn line(&self, id: u64) -> String {
        line(id, self)
    }

    /// Reads a line, without its end. Gives the number of the request, as far as it has one.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as the client is told.
    pub fn read(line: &[u8]) -> (u64, Result<Self, Reply>) {
        let refused = |code, message: String| Err(Reply::Error { code, message, details: Vec::new() });
        let mut fields: Map<String, Value> = match serde_json::from_slice(line) {
            Ok(fields) => fields,
            Err(error) => return (0, refused(ErrorCode::BadRequest, format!("no JSON object: {error}"))),
        };
        let id = fields.remove("id");
        let number = id.as_ref().and_then(Value::as_u64).unwrap_or(0);
        if id.is_some_and(|id| !id.is_u64()) {
            return (0, refused(ErrorCode::BadRequest, "`id` is a number from 0 on".into()));
        }
        let version = fields.remove("version");
        if version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
            let found = version.map_or_else(|| "none".into(), |version| version.to_string());
            let message = format!("this is version {VERSION} of the protocol; `version` is {found}");
            return (number, refused(ErrorCode::Version, message));
        }
        let request = serde_json::from_value(Value::Object(fields));
        (number, request.or_else(|error| refused(ErrorCode::BadRequest, error.to_string())))
    }
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Who is there.
    Version {
        /// The version of the program.
        program: String,
        /// The supervisor's pid.
        pid: i32,
        /// Its config file.
        config: String,
        /// What the client may do: `read` or `full`.
        rights: String,
    },
    /// How they are.
    Status(Box<Status>),
    /// What a reload would do.
    Plan {
        /// Each service that would change, and each key of `[bootstrap]`.
        changes: Vec<PlanChange>,
        /// The services of which a process runs what the file said before, which no reload would change.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        behind: Vec<String>,
    },
    /// Events follow.
    Following {},
    /// A log line in the JSON format.
    Event {
        /// The line.
        event: Value,
    },
    /// So many events were not told: the client did not read.
    Lost {
        /// How many.
        events: u64,
    },
    /// The order was taken, and this is what came of it.
    Done {
        /// All of it is as it was asked for, as far as the client wanted to wait.
        ok: bool,
        /// Each service, by its name.
        services: Vec<ServiceOutcome>,
        /// What a reload changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applied: Option<AppliedCounts>,
    },
    /// The supervisor is the program now on disk, which tells this.
    Upgraded {
        /// The version of the program that it was.
        from: String,
        /// The version of the program that it is.
        program: String,
        /// Its pid, which is the same.
        pid: i32,
        /// Since it was asked for, in milliseconds.
        took_ms: u64,
    },
    /// The supervisor is about to become another program, and this connection ends with this one. What was ordered
    /// goes on; what comes of it is to be asked for again.
    Upgrading {},
    /// Nothing was done.
    Error {
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
        /// Each mistake, pattern or address that it is about.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        details: Vec<String>,
    },
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// The line is no request.
    BadRequest,
    /// The line has more bytes than a request may have.
    TooLong,
    /// No whole request came in time.
    TooSlow,
    /// It is a request of another version of the protocol.
    Version,
    /// The client may not ask for this.
    Forbidden,
    /// A name or glob matches no service.
    NoSuchService,
    /// The config file has mistakes, or an address cannot be bound.
    BadConfig,
    /// There are too many clients, or too many of them wait.
    Busy,
    /// The sockets are not bound yet.
    Booting,
    /// Everything is being stopped.
    Stopping,
    /// The program now on disk cannot go on from here.
    UpgradeRefused,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::TooLong,
        Self::TooSlow,
        Self::Version,
        Self::Forbidden,
        Self::NoSuchService,
        Self::BadConfig,
        Self::Busy,
        Self::Booting,
        Self::Stopping,
        Self::UpgradeRefused,
    ];
}

impl Reply {
    /// An error without details.
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into(), details: Vec::new() }
    }

    /// The line for it, with its end.
    pub fn line(&self, id: u64) -> String {
        line(id, self)
    }

    /// The line that tells an event, which is JSON already.
    pub fn event_line(id: u64, event: &str) -> String {
        format!("{{\"version\":{VERSION},\"id\":{id},\"reply\":\"event\",\"event\":{event}}}\n")
    }

    /// Reads a line; gives the number of the request that it answers.
    ///
    /// # Errors
    ///
    /// It is no reply of this version.
    pub fn read(line: &[u8]) -> Result<(u64, Self), serde_json::Error> {
        if let Some(read) = read_status(line) {
            let (id, status) = read?;
            return Ok((id, Self::Status(Box::new(status))));
        }
        let mut fields: Map<String, Value> = serde_json::from_slice(line)?;
        fields.remove("version");
        let id = fields.remove("id").and_then(|id| id.as_u64()).unwrap_or(0);
        Ok((id, serde_json::from_value(Value::Object(fields))?))
    }
}

/// A message with what stands in every one.
#[derive(Serialize)]
struct Envelope<'a, T> {
    version: u64,
    id: u64,
    #[serde(flatten)]
    message: &'a T,
}

fn line(id: u64, message: &impl Serialize) -> String {
    let envelope = Envelope { version: VERSION, id, message };
    serde_json::to_string(&envelope).expect("texts, numbers and lists of them") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> (u64, ErrorCode, String) {
        match ControlRequest::read(line.as_bytes()) {
            (id, Err(Reply::Error { code, message, .. })) => (id, code, message),
            other => panic!("{line} is {other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let order = || Order { services: vec!["web*".into(), "api".into()], wait: true };
        for request in [
            ControlRequest::Version {},
            ControlRequest::Status { services: vec![] },
            ControlRequest::Plan {},
            ControlRequest::Events { services: vec!["a".into()] },
            ControlRequest::Start(order()),
            ControlRequest::Stop(order()),
            ControlRequest::Restart(order()),
            ControlRequest::Hold(order()),
            ControlRequest::Release(order()),
            ControlRequest::Wait { services: vec!["b".into()] },
            ControlRequest::Signal { services: vec![], signal: 1 },
            ControlRequest::Reload { wait: true },
            ControlRequest::Upgrade {},
        ] {
            let line = request.line(7);
            assert!(
                line.starts_with("{\"version\":1,\"id\":7,\"request\":\"") && line.ends_with("}\n"),
                "{line}"
            );
            assert_eq!(ControlRequest::read(line.as_bytes()), (7, Ok(request)));
        }
        let short = br#"{"version":1,"request":"restart"}"#;
        assert_eq!(ControlRequest::read(short), (0, Ok(ControlRequest::Restart(Order::default()))));
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, code, why) in [
            ("", ErrorCode::BadRequest, "no JSON object: EOF"),
            ("restart", ErrorCode::BadRequest, "no JSON object: expected value"),
            ("[1]", ErrorCode::BadRequest, "no JSON object: invalid type: sequence"),
            ("{}", ErrorCode::Version, "`version` is none"),
            (r#"{"version":2,"request":"plan"}"#, ErrorCode::Version, "`version` is 2"),
            (r#"{"version":"1","request":"plan"}"#, ErrorCode::Version, "`version` is \"1\""),
            (r#"{"version":1}"#, ErrorCode::BadRequest, "missing field `request`"),
            (r#"{"version":1,"request":"explode"}"#, ErrorCode::BadRequest, "unknown variant `explode`"),
            (r#"{"version":1,"request":"plan","x":1}"#, ErrorCode::BadRequest, "unknown field `x`"),
            (r#"{"version":1,"request":"stop","wiat":true}"#, ErrorCode::BadRequest, "unknown field `wiat`"),
            (r#"{"version":1,"request":"stop","services":"web"}"#, ErrorCode::BadRequest, "invalid type"),
            (r#"{"version":1,"request":"signal"}"#, ErrorCode::BadRequest, "missing field `signal`"),
            (r#"{"version":1,"id":"a","request":"plan"}"#, ErrorCode::BadRequest, "`id` is a number"),
        ] {
            let (_, found, message) = refused(line);
            assert_eq!(found, code, "{line}: {message}");
            assert!(message.contains(why), "{line}: {message}");
        }
        assert_eq!(refused(r#"{"version":2,"id":9}"#).0, 9);
    }

    #[test]
    fn a_reply_is_read_as_it_was_written() {
        for code in ErrorCode::ALL {
            let reply = Reply::Error { code, message: "a \"b\"\nc".into(), details: vec!["d".into()] };
            let line = reply.line(3);
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert_eq!(Reply::read(line.as_bytes()).unwrap(), (3, reply));
        }
        let event = Reply::event_line(4, r#"{"event":"ready"}"#);
        let expected = Reply::Event { event: serde_json::json!({"event": "ready"}) };
        assert_eq!(Reply::read(event.as_bytes()).unwrap(), (4, expected));
    }
}
