//! Where a service is reached, and with which settings.

use super::Common;
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

/// The address of a listener. Two listeners with the same address are the same socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Address {
    /// `tcp://0.0.0.0:80`, `tcp://[::]:80`. A v6 address takes v6 clients only, so that both may be listed.
    Tcp(SocketAddr),
    /// `udp://0.0.0.0:53`.
    Udp(SocketAddr),
    /// `unix:/run/web.sock`, a stream socket.
    Unix(PathBuf),
}

impl Address {
    /// The port, where the address has one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) | Self::Udp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }
}

impl Address {
    /// Can the two not be bound together, although they are not the same? A wildcard takes its port on every
    /// address of its family.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) | (Self::Udp(a), Self::Udp(b)) => {
                let wildcard = a.ip().is_unspecified() || b.ip().is_unspecified();
                a != b && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && wildcard
            }
            (Self::Tcp(_) | Self::Udp(_) | Self::Unix(_), _) => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One entry of `listen`: an address and the settings of its socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct ListenerSpec {
    /// Its name for `{fd:NAME}`; unique within the service.
    pub name: Option<ListenerName>,
    /// Where clients reach it.
    pub address: Address,
    /// What its socket is like.
    pub settings: Common<SocketSettings>,
}

/// The name of a listener. Few have one, and there may be ten thousand listeners: it takes one word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListenerName(Box<Box<str>>);

impl From<&str> for ListenerName {
    fn from(name: &str) -> Self {
        Self(Box::new(name.into()))
    }
}

impl Deref for ListenerName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What is written to a socket before each start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketSettings {
    /// Clients that may wait; `None` is the most that the kernel allows (`net.core.somaxconn`).
    pub backlog: Option<u32>,
    /// Whether `O_NONBLOCK` is set on the shared description.
    pub nonblocking: bool,
    /// `TCP_DEFER_ACCEPT`: a connection counts from its first bytes on, or after this time.
    pub defer_accept: Option<Duration>,
    /// Who may reach a unix socket.
    pub access: Access,
}

/// Who may reach a unix socket: what its path belongs to. What is not given stays as `bind` makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its permissions, such as 0o660.
    pub mode: Option<u32>,
    /// The user that it belongs to.
    pub uid: Option<u32>,
    /// The group that it belongs to.
    pub gid: Option<u32>,
}

impl ListenerSpec {
    /// A listener at `address` with the default settings.
    pub fn new(address: Address) -> Self {
        Self { name: None, address, settings: SocketSettings::default().into() }
    }
}

/// How it is written down: as it is in the file, with the settings beside the address.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ListenerSpec", deny_unknown_fields)]
struct Written<'a> {
    name: Option<Cow<'a, ListenerName>>,
    address: Cow<'a, Address>,
    backlog: Option<u32>,
    nonblocking: bool,
    defer_accept: Option<Duration>,
    access: Cow<'a, Access>,
}

impl From<Written<'_>> for ListenerSpec {
    fn from(written: Written<'_>) -> Self {
        let Written { name, address, backlog, nonblocking, defer_accept, access } = written;
        let access = access.into_owned();
        let settings = SocketSettings { backlog, nonblocking, defer_accept, access };
        Self { name: name.map(Cow::into_owned), address: address.into_owned(), settings: settings.into() }
    }
}

impl Serialize for ListenerSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, address, settings } = self;
        let SocketSettings { backlog, nonblocking, defer_accept, access } = &**settings;
        let written = Written {
            name: name.as_ref().map(Cow::Borrowed),
            address: Cow::Borrowed(address),
            backlog: *backlog,
            nonblocking: *nonblocking,
            defer_accept: *defer_accept,
            access: Cow::Borrowed(access),
        };
        written.serialize(serializer)
    }
}
