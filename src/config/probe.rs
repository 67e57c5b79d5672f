//! `check`: how a process is asked whether it serves.

use super::address::{self, AddressFault};
use super::field::{At, Reading, Value};
use super::notes::Notes;
use super::problem::Problem;
use super::raw::Check as RawCheck;
use super::rule::Rule;
use super::schema;
use super::value::{Command, Failures, Status, Timeout};
use crate::plan::{Address, ListenerSpec, Place, Target};
use crate::protocol::{self, Granted, Placeholders};
use serde_json::{Value as Json, json};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// The value of `check`, its placeholders not yet judged.
pub(super) struct CheckTable {
    /// What to do, and where it stands.
    pub(super) target: At<Target>,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) failures: u32,
}

/// `tcp`: an address, as written.
pub(super) struct TcpTarget(Place);
/// `http`: an address, the name of the host, and a path.
pub(super) struct HttpTarget {
    place: Place,
    host: String,
    path: String,
}

pub(super) const PERIOD: Duration = Duration::from_secs(10);
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);
const FAILURES: u32 = 3;

impl Value for CheckTable {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let table = super::field::table(found, key, Rule::CheckTable, notes)?;
        let raw = RawCheck::of(table, notes);
        let before = notes.count();
        let tcp = raw.tcp.read(notes).map(|TcpTarget(place)| Target::Tcp(place));
        let status = raw.status.read(notes).map(|Status(status)| Some(status)).or_default(None);
        let http = raw.http.read(notes).map(|HttpTarget { place, host, path }| Target::Http {
            place,
            host,
            path,
            status: status.flatten(),
        });
        let exec = raw
            .exec
            .read(notes)
            .map(|Command(items)| Target::Exec(items.into_iter().map(|item| item.value).collect()));
        let period = raw.period.read(notes).or_default(Timeout(PERIOD));
        let timeout = raw.timeout.read(notes).or_default(Timeout(TIMEOUT));
        let failures = raw.failures.read(notes).or_default(Failures(FAILURES));
        if let Some(span) = raw.status.span().filter(|_| raw.http.span().is_none()) {
            notes.add(span, Problem::StatusWithoutHttp);
        }
        let target = one_of([tcp, http, exec], found, notes);
        let good = notes.count() == before;
        let (target, Timeout(period), Timeout(timeout), Failures(failures)) =
            (target?, period?, timeout?, failures?);
        good.then_some(Self { target, period, timeout, failures })
    }

    fn schema() -> Json {
        schema::check()
    }
}

/// The one that is there.
fn one_of(
    targets: [Reading<Target>; 3],
    table: &Spanned<DeValue<'_>>,
    notes: &mut Notes<'_>,
) -> Option<At<Target>> {
    let wrong = targets.iter().any(|target| matches!(target, Reading::Wrong));
    let mut good = targets.into_iter().filter_map(|target| match target {
        Reading::Good(at) => Some(at),
        Reading::Absent | Reading::Wrong => None,
    });
    let first = good.next();
    if let Some(second) = good.next() {
        notes.add(second.span, Problem::TwoTargets);
    }
    if first.is_none() && !wrong {
        notes.add(table.span(), Problem::NoTarget);
    }
    first
}

impl Value for TcpTarget {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let read = found.get_ref().as_str().ok_or(Rule::TcpTarget).and_then(|text| {
            let place = match text.strip_prefix("unix:") {
                Some(path) => Place::Unix(path.into()),
                None => Place::Ip(text.strip_prefix("tcp://").unwrap_or(text).into()),
            };
            judged(&place).map(|()| Self(place))
        });
        noted(read, found, key, notes)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^(unix:.+|(tcp://)?[^/]+:[^/:]+)$" })
    }
}

impl Value for HttpTarget {
    fn read(found: &Spanned<DeValue<'_>>, key: &'static str, notes: &mut Notes<'_>) -> Option<Self> {
        let read = found.get_ref().as_str().ok_or(Rule::HttpTarget).and_then(http);
        noted(read, found, key, notes)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^http://.+$" })
    }
}

fn noted<T>(
    read: Result<T, Rule>,
    found: &Spanned<DeValue<'_>>,
    key: &'static str,
    notes: &mut Notes<'_>,
) -> Option<T> {
    read.map_err(|rule| notes.add(found.span(), Problem::value(key, found.get_ref(), rule))).ok()
}

/// `http://IP:PORT/PATH`, or as nginx writes it, `http://unix:SOCKET:/PATH`.
fn http(text: &str) -> Result<HttpTarget, Rule> {
    if text.starts_with("https://") {
        return Err(Rule::HttpsTarget);
    }
    let rest = text.strip_prefix("http://").ok_or(Rule::HttpTarget)?;
    let (place, host, path) = if let Some(unix) = rest.strip_prefix("unix:") {
        let (socket, path) = unix.split_once(":/").unwrap_or((unix, ""));
        (Place::Unix(socket.into()), "localhost".into(), format!("/{path}"))
    } else {
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let has_port = host.rsplit_once(':').is_some_and(|_| !host.ends_with(']'));
        let address = if has_port { host.into() } else { format!("{host}:80") };
        (Place::Ip(address), String::from(host), format!("/{path}"))
    };
    judged(&place)?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Rule::HttpPath);
    }
    Ok(HttpTarget { place, host, path })
}

/// Is it an address, once its placeholders are replaced?
fn judged(place: &Place) -> Result<(), Rule> {
    let sample = sample(place.text());
    let read = match place {
        Place::Ip(_) => address::parse(&format!("tcp://{sample}")),
        Place::Unix(_) => address::parse(&format!("unix:{sample}")),
    };
    match read {
        Ok(_) => Ok(()),
        Err(error) if error.fault == AddressFault::HostName => Err(Rule::TargetHostName),
        Err(error) => Err(Rule::Target(error)),
    }
}

/// The text with the shortest numbers for its placeholders.
fn sample(template: &str) -> String {
    let any = [ListenerSpec::new(Address::Tcp(([0, 0, 0, 0], 1).into()))];
    let granted = Granted {
        service: "",
        listeners: &any,
        fds: &[],
        pipe: None,
        notify: None,
        ack: None,
        ack_path: None,
        generation: crate::plan::Generation(1),
        worker: 0,
        supervisor: 1,
    };
    protocol::expand(template, &granted)
}

/// The placeholders of a target, all texts together.
///
/// # Errors
///
/// The first that nothing can replace.
pub(super) fn placeholders(
    target: &Target,
    listeners: &[ListenerSpec],
) -> Result<Placeholders, protocol::PlaceholderError> {
    let texts: Vec<&str> = match target {
        Target::Tcp(place) => vec![place.text()],
        Target::Http { place, path, .. } => vec![place.text(), path],
        Target::Exec(items) => items.iter().map(String::as_str).collect(),
    };
    let mut all = Placeholders::default();
    for text in &texts {
        protocol::check_of_probe(text, listeners)?;
    }
    // That a path tells processes apart does not make one of them answer.
    if let Target::Tcp(place) | Target::Http { place, .. } = target {
        all = protocol::check_of_probe(place.text(), listeners)?;
    }
    Ok(all)
}
