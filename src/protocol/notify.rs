//! What a server says with `sd_notify(3)`: datagrams of `NAME=value` lines.

use crate::plan::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// One thing that a server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// `READY=1`: it has started, or reloaded. Not every server that says so accepts already.
    Ready,
    /// `STOPPING=1`: it is about to leave.
    Stopping,
    /// `RELOADING=1`: it reads its configuration anew, and will say `READY=1` again.
    Reloading {
        /// `MONOTONIC_USEC=`: when it began, on `CLOCK_MONOTONIC`.
        since: Option<Duration>,
    },
    /// `STATUS=`: words for people, at most a datagram of them. Not escaped.
    Status(Box<str>),
    /// `MAINPID=`: which of its processes is the main one.
    MainPid(Pid),
    /// `EXTEND_TIMEOUT_USEC=`: it needs this much longer for what it is doing, from now on.
    ExtendTimeout(Duration),
    /// `WATCHDOG=1`: it is alive.
    Watchdog,
    /// `WATCHDOG=trigger`: it finds itself unable to go on.
    WatchdogTrigger,
    /// `WATCHDOG_USEC=`: it will say so this often.
    WatchdogPeriod(Duration),
    /// `ERRNO=`: why it fails.
    Errno(i32),
}

impl Notice {
    /// What a datagram says, in its order.
    ///
    /// Ignored are names that are not known (`FDSTORE`, and `BARRIER`, which is answered by closing what comes
    /// with it), values that are not what they should be, and lines that are not text.
    pub fn read(datagram: &[u8]) -> Vec<Self> {
        let lines =
            || datagram.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        let since = lines().find_map(|line| microseconds(line.strip_prefix("MONOTONIC_USEC=")?));
        lines().filter_map(|line| Self::line(line, since)).collect()
    }

    /// The datagram that says this.
    pub fn datagram(notices: &[Self]) -> String {
        let lines: Vec<String> = notices.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn line(line: &str, since: Option<Duration>) -> Option<Self> {
        let (name, value) = line.split_once('=')?;
        let notice = match (name, value) {
            ("READY", "1") => Self::Ready,
            ("STOPPING", "1") => Self::Stopping,
            ("RELOADING", "1") => Self::Reloading { since },
            ("WATCHDOG", "1") => Self::Watchdog,
            ("WATCHDOG", "trigger") => Self::WatchdogTrigger,
            ("STATUS", words) => Self::Status(words.into()),
            ("MAINPID", pid) => Self::MainPid(Pid(pid.parse().ok().filter(|&pid| pid > 0)?)),
            ("EXTEND_TIMEOUT_USEC", time) => Self::ExtendTimeout(microseconds(time)?),
            ("WATCHDOG_USEC", time) => Self::WatchdogPeriod(microseconds(time)?),
            ("ERRNO", number) => Self::Errno(number.parse().ok().filter(|&number| number >= 0)?),
            _ => return None,
        };
        Some(notice)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "READY=1"),
            Self::Stopping => write!(f, "STOPPING=1"),
            Self::Reloading { since: None } => write!(f, "RELOADING=1"),
            Self::Reloading { since: Some(since) } => {
                write!(f, "RELOADING=1\nMONOTONIC_USEC={}", since.as_micros())
            }
            Self::Status(words) => write!(f, "STATUS={words}"),
            Self::MainPid(pid) => write!(f, "MAINPID={}", pid.0),
            Self::ExtendTimeout(time) => write!(f, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            Self::Watchdog => write!(f, "WATCHDOG=1"),
            Self::WatchdogTrigger => write!(f, "WATCHDOG=trigger"),
            Self::WatchdogPeriod(time) => write!(f, "WATCHDOG_USEC={}", time.as_micros()),
            Self::Errno(number) => write!(f, "ERRNO={number}"),
        }
    }
}

fn microseconds(text: &str) -> Option<Duration> {
    text.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_line_is_a_notice_or_nothing() {
        for (text, expected) in [
            ("READY=1", vec![Notice::Ready]),
            ("READY=1\n", vec![Notice::Ready]),
            ("STATUS=up: 3 = 3\nREADY=1", vec![Notice::Status("up: 3 = 3".into()), Notice::Ready]),
            ("STATUS=", vec![Notice::Status("".into())]),
            ("STOPPING=1", vec![Notice::Stopping]),
            ("RELOADING=1", vec![Notice::Reloading { since: None }]),
            (
                "RELOADING=1\nMONOTONIC_USEC=1500000",
                vec![Notice::Reloading { since: Some(Duration::from_millis(1500)) }],
            ),
            ("MAINPID=42", vec![Notice::MainPid(Pid(42))]),
            ("EXTEND_TIMEOUT_USEC=2000000", vec![Notice::ExtendTimeout(Duration::from_secs(2))]),
            (
                "WATCHDOG=1\nWATCHDOG_USEC=7",
                vec![Notice::Watchdog, Notice::WatchdogPeriod(Duration::from_micros(7))],
            ),
            ("WATCHDOG=trigger\nWATCHDOG=2", vec![Notice::WatchdogTrigger]),
            ("ERRNO=2", vec![Notice::Errno(2)]),
            ("READY=0\nREADY= 1\nready=1\nREADY\n=1\n\n", vec![]),
            ("MAINPID=0\nMAINPID=-1\nMAINPID=99999999999\nERRNO=-2\nWATCHDOG_USEC=soon", vec![]),
            ("FDSTORE=1\nBARRIER=1\nFDNAME=x\nX_MINE=1", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(Notice::read(text.as_bytes()), expected, "{text:?}");
            assert_eq!(Notice::read(Notice::datagram(&expected).as_bytes()), expected, "said again");
        }
        assert_eq!(Notice::read(b"STATUS=\xff\nREADY=1"), [Notice::Ready], "one line that is no text");
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let lines = bytes.split(|&byte| byte == b'\n').count();
            prop_assert!(Notice::read(&bytes).len() <= lines);
        }

        #[test]
        fn what_is_known_is_found_among_what_is_not(
            lines in proptest::collection::vec("[A-Z_]{0,8}(=[ -~]{0,9})?", 0..9),
            at in 0..9_usize,
        ) {
            let mut lines = lines;
            let before = Notice::read(lines.join("\n").as_bytes());
            lines.insert(at.min(lines.len()), "STOPPING=1".into());
            let after = Notice::read(lines.join("\n").as_bytes());
            prop_assert_eq!(after.len(), before.len() + 1);
            prop_assert!(after.contains(&Notice::Stopping));
        }
    }
}
