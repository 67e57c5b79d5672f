//! Addresses as the file writes them, and what is meant by those that are nearly right.

use crate::limits::UNIX_PATH_BYTES;
use crate::plan::Address;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};

/// Why a text is no address, and what to write instead where that can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What is wrong.
    pub fault: AddressFault,
    /// What is most likely meant. It is a good address.
    pub meant: Option<String>,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressFault {
    /// No `tcp://`, `udp://` or `unix:` in front.
    NoScheme,
    /// Something else in front.
    UnknownScheme(String),
    /// A name where an IP address is needed.
    HostName,
    /// Nothing, or a star, where an IP address is needed.
    NoHost,
    /// A version 6 address without brackets.
    NoBrackets,
    /// No port.
    NoPort,
    /// Port 0, or one that is no number up to 65535.
    BadPort,
    /// Something behind the port.
    Path,
    /// An IPv4 address written as IPv6.
    Mapped,
    /// Neither of the two versions of IP, in no way known.
    NotIp,
    /// Nothing after `unix:`.
    NoPath,
    /// A unix path that does not fit into a socket address.
    LongPath {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A NUL byte in a path.
    Nul,
    /// A name in the abstract name space.
    Abstract,
    /// `unix://` and then no slash: a host, to other programs.
    TwoSlashes,
}

/// Reads an address.
pub(super) fn parse(text: &str) -> Result<Address, AddressError> {
    if let Some(rest) = text.strip_prefix("tcp://") {
        ip("tcp", rest).map(Address::Tcp)
    } else if let Some(rest) = text.strip_prefix("udp://") {
        ip("udp", rest).map(Address::Udp)
    } else if let Some(rest) = text.strip_prefix("unix:") {
        unix(rest)
    } else {
        Err(without_scheme(text))
    }
}

fn fault<T>(fault: AddressFault, meant: Option<String>) -> Result<T, AddressError> {
    Err(AddressError { fault, meant: meant.filter(|meant| parse(meant).is_ok()) })
}

fn unix(rest: &str) -> Result<Address, AddressError> {
    // `unix:///run/x.sock`, as URLs write it.
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(path) => return fault(AddressFault::TwoSlashes, Some(format!("unix:/{path}"))),
        None => rest,
    };
    if path.is_empty() {
        fault(AddressFault::NoPath, None)
    } else if path.contains('\0') {
        fault(AddressFault::Nul, None)
    } else if path.starts_with('@') {
        fault(AddressFault::Abstract, None)
    } else if path.len() > UNIX_PATH_BYTES {
        fault(AddressFault::LongPath { bytes: path.len() }, None)
    } else {
        Ok(Address::Unix(without_dot(Path::new(path))))
    }
}

/// `./web.sock` is `web.sock`: what is spelled in two ways is one address.
fn without_dot(path: &Path) -> PathBuf {
    let rest = path.components().skip_while(|part| *part == Component::CurDir).collect::<PathBuf>();
    if path.starts_with(".") && rest.file_name().is_some() { rest } else { path.into() }
}

fn ip(scheme: &str, rest: &str) -> Result<SocketAddr, AddressError> {
    let Ok(address) = rest.parse::<SocketAddr>() else {
        return Err(no_socket_address(scheme, rest));
    };
    if address.port() == 0 {
        return fault(AddressFault::BadPort, None);
    }
    if let SocketAddr::V6(v6) = address
        && let Some(v4) = v6.ip().to_ipv4_mapped()
    {
        return fault(AddressFault::Mapped, Some(format!("{scheme}://{v4}:{}", v6.port())));
    }
    Ok(address)
}

/// Finds out what keeps `rest` from being `IP:PORT`.
fn no_socket_address(scheme: &str, rest: &str) -> AddressError {
    let meant = |text: String| Some(format!("{scheme}://{text}")).filter(|meant| parse(meant).is_ok());
    let found = |fault, meant| AddressError { fault, meant };
    if let Some((before, _)) = rest.split_once('/') {
        return found(AddressFault::Path, meant(before.into()));
    }
    if rest.parse::<Ipv6Addr>().is_ok() {
        // `::1:80` is an address as it is; the last group is more likely a port.
        let with_port = rest.rsplit_once(':').and_then(|(host, port)| meant(format!("[{host}]:{port}")));
        return found(AddressFault::NoBrackets, with_port);
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        Some(_) | None => (rest, None),
    };
    let Some(port) = port else {
        let only_port = rest.parse::<u16>().is_ok().then(|| meant(format!("0.0.0.0:{rest}"))).flatten();
        return found(AddressFault::NoPort, only_port);
    };
    if port.parse::<u16>().is_err() {
        return found(AddressFault::BadPort, None);
    }
    match host {
        "" | "*" => found(AddressFault::NoHost, meant(format!("0.0.0.0:{port}"))),
        "localhost" => found(AddressFault::HostName, meant(format!("127.0.0.1:{port}"))),
        _ if host.parse::<Ipv6Addr>().is_ok() => {
            found(AddressFault::NoBrackets, meant(format!("[{host}]:{port}")))
        }
        _ if host.starts_with(|c: char| c.is_ascii_alphabetic()) => found(AddressFault::HostName, None),
        _ => found(AddressFault::NotIp, None),
    }
}

/// What is meant by a text that begins with none of the schemes.
pub(super) fn without_scheme(text: &str) -> AddressError {
    let good = |text: String| Some(text).filter(|text| parse(text).is_ok());
    // A good address, or the one that is meant by a bad one.
    let nearly = |text: String| match parse(&text) {
        Ok(_) => Some(text),
        Err(error) => error.meant,
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        let ours = if scheme.to_lowercase().starts_with("udp") { "udp" } else { "tcp" };
        let meant = nearly(format!("{ours}://{rest}"));
        return AddressError { fault: AddressFault::UnknownScheme(format!("{scheme}://")), meant };
    }
    for scheme in ["tcp", "udp"] {
        if let Some(rest) = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) {
            return AddressError {
                fault: AddressFault::NoScheme,
                meant: nearly(format!("{scheme}://{rest}")),
            };
        }
    }
    let path = text.starts_with(['/', '.']) || (text.contains('/') && !text.contains(':'));
    let meant = if path { good(format!("unix:{text}")) } else { nearly(format!("tcp://{text}")) };
    AddressError { fault: AddressFault::NoScheme, meant }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        match &self.meant {
            Some(meant) => write!(f, ": write {meant:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme => write!(f, "an address begins with \"tcp://\", \"udp://\" or \"unix:\""),
            Self::UnknownScheme(found) => {
                write!(f, "{found:?} is none of \"tcp://\", \"udp://\" and \"unix:\"")
            }
            Self::HostName => write!(f, "a socket is bound to an IP address, not to a host name"),
            Self::NoHost => write!(f, "the IP address is missing; 0.0.0.0 stands for all"),
            Self::NoBrackets => write!(f, "an IPv6 address stands in brackets, as in \"tcp://[::1]:80\""),
            Self::NoPort => write!(f, "the port is missing, as in \"tcp://127.0.0.1:80\""),
            Self::BadPort => write!(f, "a port is a number from 1 to 65535"),
            Self::Path => write!(f, "nothing follows the port"),
            Self::Mapped => write!(f, "an IPv6 socket takes IPv6 clients only"),
            Self::NotIp => write!(f, "that is no IP address; write one as in \"tcp://127.0.0.1:80\""),
            Self::NoPath => write!(f, "the path is missing, as in \"unix:/run/web.sock\""),
            Self::LongPath { bytes } => {
                write!(f, "the path of a socket has at most {UNIX_PATH_BYTES} bytes, this one has {bytes}")
            }
            Self::Nul => write!(f, "a path holds no NUL"),
            Self::Abstract => {
                write!(f, "a socket without a path can be reached by every user; write the path of a file")
            }
            Self::TwoSlashes => write!(f, "a path follows \"unix:\" at once"),
        }
    }
}
