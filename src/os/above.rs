//! The manager above us: systemd, or whoever else set `NOTIFY_SOCKET`. It is told, and never waited for.

use super::clock;
use crate::protocol::Notice;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Whoever started us and wants to hear how we are.
pub struct Superior {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Superior {
    /// The one that the environment names. One that cannot be reached is none: it is no reason not to serve.
    pub fn of_environment() -> Option<Self> {
        let address = address(&std::env::var_os("NOTIFY_SOCKET")?)?;
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        let watchdog = watchdog(|name| std::env::var_os(name), std::process::id());
        Some(Self { socket, address, watchdog })
    }

    /// How long we may be silent, where it minds.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says all of it in one datagram; whether that was taken. Where nobody is there any more it counts as taken.
    pub fn tell(&self, notices: &[Notice]) -> bool {
        let stamped: Vec<Notice> = notices.iter().cloned().map(stamp).collect();
        match self.socket.send_to_addr(Notice::datagram(&stamped).as_bytes(), &self.address) {
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
            Ok(_) => true,
        }
    }
}

/// A reload begins when it is told: systemd drops one that began before it asked.
fn stamp(notice: Notice) -> Notice {
    if let Notice::Reloading { since: None } = notice {
        Notice::Reloading { since: Some(clock::microseconds()) }
    } else {
        notice
    }
}

/// A path, or with `@` a name in the abstract name space.
pub(super) fn address(text: &OsStr) -> Option<SocketAddr> {
    match text.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(text).ok(),
        _ => None,
    }
}

/// The name of an address in the abstract name space.
pub(super) fn abstract_name(address: &SocketAddr) -> Option<&[u8]> {
    address.as_abstract_name()
}

/// As `sd_watchdog_enabled(3)` reads it: not zero, and for us or for nobody in particular.
fn watchdog(variable: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> Option<Duration> {
    let number = |name| variable(name).map(|value| value.to_str().and_then(|text| text.parse::<u64>().ok()));
    let period = number("WATCHDOG_USEC")?.filter(|microseconds| *microseconds > 0)?;
    match number("WATCHDOG_PID") {
        None => {}
        Some(pid) if pid == Some(own_pid.into()) => {}
        Some(_) => return None,
    }
    // The clock of the supervisor counts milliseconds; half of less would be no pause at all.
    Some(Duration::from_micros(period).max(Duration::from_millis(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
        let variable = |name: &str| match name {
            "WATCHDOG_USEC" => usec.map(Into::into),
            _ => pid.map(Into::into),
        };
        watchdog(variable, 7)
    }

    #[test]
    fn the_watchdog_of_others_is_not_ours() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(of(Some("1000000"), Some("7")), second);
        assert_eq!(of(Some("1000000"), None), second);
        for (usec, pid) in [
            (Some("1000000"), Some("8")),
            (Some("1000000"), Some("")),
            (Some("0"), None),
            (Some("soon"), None),
            (None, Some("7")),
        ] {
            assert_eq!(of(usec, pid), None, "{usec:?} {pid:?}");
        }
        assert_eq!(of(Some("1"), None), Some(Duration::from_millis(2)), "no loop without a pause");
    }

    #[test]
    fn an_address_is_a_path_or_abstract() {
        assert!(address(OsStr::new("/run/notify")).unwrap().as_pathname().is_some());
        assert_eq!(address(OsStr::new("@a")).unwrap().as_abstract_name(), Some(&b"a"[..]));
        for text in ["", "run/notify", "vsock:2:1", &"/".repeat(200)] {
            assert!(address(OsStr::new(text)).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_full_socket_is_no_reason_to_wait_and_one_that_is_gone_none_to_try_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let theirs = UnixDatagram::bind(&path).unwrap();
        let socket = UnixDatagram::unbound().unwrap();
        socket.set_nonblocking(true).unwrap();
        let superior =
            Superior { socket, address: SocketAddr::from_pathname(&path).unwrap(), watchdog: None };
        let taken = (0..100_000).take_while(|_| superior.tell(&[Notice::Ready])).count();
        assert!((1..100_000).contains(&taken), "{taken} datagrams, and none was too many");
        drop(theirs);
        assert!(superior.tell(&[Notice::Ready]), "nobody is there");
    }
}
