//! The rules of `check`, of the gates that ask, and of `watchdog`.

use super::field::{At, Reading};
use super::notes::Notes;
use super::probe::{CheckTable, TIMEOUT, placeholders};
use super::problem::Problem;
use super::raw::Service;
use super::value::{Asks, Timeout};
use crate::plan::{
    Address, Check, Handshake, ListenerSpec, Place, Probe, Ready, RestartOrder, Scope, Target,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

impl Asks {
    fn key(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Exec => "exec",
        }
    }
}

/// What stands around the question.
pub(super) struct Surroundings<'a> {
    pub(super) listeners: &'a [ListenerSpec],
    pub(super) order: RestartOrder,
    pub(super) workers: u32,
}

/// A mistake was noted; what depends on it cannot be judged.
pub(super) struct Noted;

/// `check`.
///
/// # Errors
///
/// It is there, and wrong.
pub(super) fn check(
    raw: &Service<'_>,
    around: &Surroundings<'_>,
    notes: &mut Notes<'_>,
) -> Result<Option<Check>, Noted> {
    let CheckTable { target, period, timeout, failures } = match raw.check.read(notes) {
        Reading::Absent => return Ok(None),
        Reading::Wrong => return Err(Noted),
        Reading::Good(at) => at.value,
    };
    let scope = match placeholders(&target.value, around.listeners) {
        Ok(found) => match &target.value {
            // The command is told which process it is about.
            Target::Exec(_) => Scope::Run,
            Target::Tcp(_) | Target::Http { .. } if found.generation => Scope::Run,
            Target::Tcp(_) | Target::Http { .. } if found.worker => Scope::Worker,
            Target::Tcp(_) | Target::Http { .. } => Scope::Service,
        },
        Err(error) => {
            let key = format!("check.{}", target.value.key());
            notes.add(target.span, Problem::Placeholder { key, error });
            return Err(Noted);
        }
    };
    if scope == Scope::Service && around.workers > 1 {
        notes.add(target.span, Problem::CheckOfAnyWorker { key: target.value.key() });
        return Err(Noted);
    }
    Ok(Some(Check { probe: Probe { target: target.value, scope, timeout }, period, failures }))
}

/// `ready = "tcp"`, `"http"` or `"exec"`: asks what `check` asks, or the first socket, where no other process can
/// answer for the new one.
pub(super) fn ready(
    asks: Asks,
    span: Range<usize>,
    check: Option<&Check>,
    around: &Surroundings<'_>,
    notes: &mut Notes<'_>,
) -> Option<Ready> {
    let probe = match check {
        Some(check) if check.probe.target.key() != asks.key() => {
            let (ready, check) = (asks.key(), check.probe.target.key());
            notes.add(span, Problem::ReadyIsNotTheCheck { ready, check });
            return None;
        }
        Some(check) => check.probe.clone(),
        None => {
            let Some(target) = first_socket(asks, around.listeners) else {
                notes.add(span, Problem::ReadyNeedsCheck { ready: asks.key() });
                return None;
            };
            Probe { target, scope: Scope::Service, timeout: TIMEOUT }
        }
    };
    let alone = match probe.scope {
        Scope::Run => true,
        Scope::Worker => around.order == RestartOrder::StopFirst,
        Scope::Service => around.order == RestartOrder::StopFirst && around.workers == 1,
    };
    if !alone {
        let has_socket = !around.listeners.is_empty();
        notes.add(span, Problem::ReadyOfAnother { ready: asks.key(), has_socket });
        return None;
    }
    Some(Ready::Probe(Box::new(probe)))
}

/// The first socket that one can connect to, as a client of this machine reaches it.
fn first_socket(asks: Asks, listeners: &[ListenerSpec]) -> Option<Target> {
    let place = listeners.iter().find_map(|listener| match &listener.address {
        Address::Tcp(address) => Some(Place::Ip(local(*address).to_string())),
        Address::Unix(path) => Some(Place::Unix(path.to_str()?.replace('{', "{{"))),
        Address::Udp(_) => None,
    })?;
    match asks {
        Asks::Tcp => Some(Target::Tcp(place)),
        Asks::Http => {
            let host = if let Place::Ip(address) = &place { address.clone() } else { "localhost".into() };
            Some(Target::Http { place, host, path: "/".into(), status: None })
        }
        Asks::Exec => None,
    }
}

fn local(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `watchdog`, which only servers that know `sd_notify` can feed.
///
/// # Errors
///
/// It is there, and wrong.
pub(super) fn watchdog(
    raw: &Service<'_>,
    handshake: Option<Handshake>,
    notes: &mut Notes<'_>,
) -> Result<Option<Duration>, Noted> {
    let period = match raw.watchdog.read(notes) {
        Reading::Absent => return Ok(None),
        Reading::Wrong => return Err(Noted),
        Reading::Good(At { span, value: Timeout(period) }) => {
            if handshake.is_some_and(|handshake| handshake != Handshake::Systemd) {
                notes.add(span.clone(), Problem::WatchdogNeedsSystemd);
            }
            if period < crate::limits::WATCHDOG_MIN {
                notes.add(span, Problem::WatchdogTooOften { period });
            }
            period
        }
    };
    Ok(Some(period))
}
