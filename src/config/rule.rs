//! What a value has to be: the second half of a sentence about it.

use super::address::{AddressError, AddressFault};
use crate::limits::{CONTROL_DIRECTORY_BYTES, WORKERS};
use crate::plan::NameError;
use std::fmt;

/// What a value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the meaning is the sentence made of it below")]
pub enum Rule {
    Text,
    Name(NameError),
    Path,
    Nul,
    Port { quoted: bool },
    Backlog { quoted: bool },
    Count { most: u32, quoted: bool },
    NoSurge,
    NoneUnavailable,
    TrueOrFalse,
    Word { words: &'static [&'static str], meant: Option<&'static str> },
    Listen,
    Address(AddressError),
    StreamOnly,
    TcpOnly,
    StarterPath,
    Command,
    CommandEmpty,
    Argument,
    UnbalancedQuote,
    Env,
    Variable,
    Quoted { written: String },
    Signal,
    SignalNobodyHears,
    Duration,
    DurationWithoutUnit { number: String },
    DurationZero,
    DurationTooFine,
    DurationTooLong,
    NoRoomForSocket { bytes: usize },
    WholeSeconds,
    LogFileWord { path: String },
    LogPathRelative,
    LogPathDirectory,
    LogBytes,
    Names,
    User,
    Group,
    IdTooLarge,
    Groups,
    NoSuchUser,
    NoSuchGroup,
    NobodyAnswers { reason: String },
    NeedsRight { right: String, root: bool },
    Mode,
    Within { least: i64, most: i64 },
    Rlimits,
    Rlimit,
    SoftPastHard,
    TooManyDescriptors { most: u64 },
    PastHardLimit { own: u64 },
    Capabilities,
    NoSuchCapability { meant: Option<String> },
    UnixOnly,
    Cgroup,
    Bytes,
    Percent,
    CgroupMissing,
    NoCgroup,
    CgroupClosed,
    NoController { controller: String },
    CheckTable,
    TcpTarget,
    HttpTarget,
    HttpsTarget,
    HttpPath,
    Target(AddressError),
    TargetHostName,
    Between { from: u32, to: u32, quoted: bool },
    TableHeader { name: &'static str },
    ServiceHeader,
}

impl fmt::Display for Rule {
    #[expect(clippy::too_many_lines, reason = "one list of all rules, one look to compare them")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => write!(f, "write text in quotes"),
            Self::Name(error) => write!(f, "{error}"),
            Self::Path => write!(f, "write a path in quotes"),
            Self::Nul => write!(f, "no program can be given a NUL"),
            Self::Port { quoted } => write!(f, "a port is a number from 1 to 65535{}", unquoted(*quoted)),
            Self::Backlog { quoted } => {
                write!(f, "a backlog is a number from 1 to 65535{}", unquoted(*quoted))
            }
            Self::Count { most, quoted } => write!(f, "write a number from 1 to {most}{}", unquoted(*quoted)),
            Self::NoSurge => write!(
                f,
                "to start no worker beside the others, write `restart_order = \"stop-first\"`; this is a number from 1 to {WORKERS}"
            ),
            Self::NoneUnavailable => write!(
                f,
                "to miss no worker, write `restart_order = \"start-first\"`; this is a number from 1 to {WORKERS}"
            ),
            Self::TrueOrFalse => write!(f, "write true or false, without quotes"),
            Self::Word { words, meant } => {
                write!(f, "write {}", list(words, '"', "or"))?;
                match meant {
                    Some(meant) if words.len() > 1 => write!(f, "; did you mean {meant:?}?"),
                    Some(_) | None => Ok(()),
                }
            }
            Self::Listen => write!(
                f,
                "write an address such as \"tcp://127.0.0.1:80\", or an array of them and of tables with an `address`"
            ),
            Self::Address(error) => write!(f, "{error}"),
            Self::StreamOnly => write!(f, "only TCP and unix sockets have clients that wait"),
            Self::TcpOnly => write!(f, "only TCP has it"),
            Self::StarterPath => {
                write!(f, "its servers take `=` and `;` for the end of a path: give it one without")
            }
            Self::Command => {
                write!(f, "write an array such as [\"./server\", \"-v\"], or text such as \"./server -v\"")
            }
            Self::CommandEmpty => write!(f, "a command begins with the program to run"),
            Self::Argument => write!(f, "an argument is text in quotes"),
            Self::UnbalancedQuote => {
                write!(f, "a quote in it is never closed; write an array to need no quoting")
            }
            Self::Env => write!(f, "write a table such as {{ NAME = \"value\" }}"),
            Self::Variable => write!(f, "the value of a variable is text in quotes"),
            Self::Quoted { written } => write!(f, "quote it: \"{written}\""),
            Self::Signal => write!(f, "write a signal such as \"SIGTERM\", or its number from 1 to 64"),
            Self::SignalNobodyHears => {
                write!(f, "no process can react to it; SIGKILL is sent when `stop_timeout` is over")
            }
            Self::Duration => write!(f, "write a duration such as \"30s\" or \"1m 30s\""),
            Self::DurationWithoutUnit { number } => {
                write!(f, "add the unit: \"{number}s\" or \"{number}ms\"")
            }
            Self::DurationZero => write!(f, "the shortest is \"1ms\""),
            Self::DurationTooFine => write!(f, "durations are whole milliseconds"),
            Self::NoRoomForSocket { bytes } => write!(
                f,
                "the control socket is made in it: its path has at most {CONTROL_DIRECTORY_BYTES} bytes, this one has {bytes}"
            ),
            Self::DurationTooLong => write!(f, "the longest is \"100days\""),
            Self::CheckTable => {
                write!(f, "write a table such as {{ http = \"http://127.0.0.1:9000/healthz\" }}")
            }
            Self::TcpTarget => {
                write!(f, "write an address such as \"127.0.0.1:9000\" or \"unix:/run/web.sock\"")
            }
            Self::HttpTarget => write!(
                f,
                "write an address such as \"http://127.0.0.1:9000/healthz\" or \"http://unix:/run/web.sock:/healthz\""
            ),
            Self::HttpsTarget => {
                write!(f, "a check speaks no TLS; write \"http://...\", or a command in `exec`")
            }
            Self::HttpPath => write!(f, "a path has no blanks and only ASCII; write %20 for a blank"),
            // Without the scheme, as addresses of checks are.
            Self::Target(AddressError { fault, .. }) => match fault {
                AddressFault::NoPort => write!(f, "the port is missing, as in \"127.0.0.1:80\""),
                AddressFault::NotIp => write!(f, "that is no IP address; write one as in \"127.0.0.1:80\""),
                AddressFault::NoBrackets => {
                    write!(f, "an IPv6 address stands in brackets, as in \"[::1]:80\"")
                }
                AddressFault::NoScheme
                | AddressFault::UnknownScheme(_)
                | AddressFault::HostName
                | AddressFault::NoHost
                | AddressFault::BadPort
                | AddressFault::Path
                | AddressFault::Mapped
                | AddressFault::NoPath
                | AddressFault::LongPath { .. }
                | AddressFault::Nul
                | AddressFault::Abstract
                | AddressFault::TwoSlashes => write!(f, "{fault}"),
            },
            Self::TargetHostName => write!(f, "no name is looked up; write an IP address such as 127.0.0.1"),
            Self::Between { from, to, quoted } => {
                write!(f, "write a number from {from} to {to}{}", unquoted(*quoted))
            }
            Self::Names => write!(f, "write the name of a service in quotes, or an array of names"),
            Self::User => write!(f, "write the name of a user in quotes, or a number"),
            Self::Group => write!(f, "write the name of a group in quotes, or a number"),
            Self::IdTooLarge => write!(f, "that is too large: the largest number is {}", u32::MAX - 1),
            Self::Groups => write!(f, "write an array of names of groups, such as [\"ssl-cert\"]"),
            Self::NoSuchUser => write!(f, "this machine has no such user; create it, or name another"),
            Self::NoSuchGroup => write!(f, "this machine has no such group; create it, or name another"),
            Self::NobodyAnswers { reason } => write!(f, "the machine cannot say who that is: {reason}"),
            Self::NeedsRight { right, root: false } => {
                write!(f, "it needs root, or {right}: run bootstrap as root, or leave the key out")
            }
            Self::NeedsRight { right, root: true } => {
                write!(
                    f,
                    "it needs {right}, which was taken from root here: give it back, or leave the key out"
                )
            }
            Self::Mode => write!(f, "write permissions as octal text, such as \"0660\", at most \"0777\""),
            Self::Within { least, most } => {
                write!(f, "write a number from {least} to {most}, without quotes")
            }
            Self::Rlimits => {
                write!(f, "write a table such as {{ nofile = \"1024:4096\", core = \"unlimited\" }}")
            }
            Self::Rlimit => write!(
                f,
                "write \"SOFT:HARD\" or one for both: a number, one with K, M, G or T, or \"unlimited\""
            ),
            Self::SoftPastHard => write!(f, "the first is what holds, and cannot be more than the second"),
            Self::TooManyDescriptors { most } => {
                write!(f, "the kernel gives a process at most {most} descriptors (sysctl fs.nr_open)")
            }
            Self::PastHardLimit { own } => {
                write!(
                    f,
                    "bootstrap has a hard limit of {own} itself, which only root, or CAP_SYS_RESOURCE, exceeds"
                )
            }
            Self::Capabilities => write!(f, "write an array of names, such as [\"net_bind_service\"]"),
            Self::NoSuchCapability { meant: Some(meant) } => write!(f, "did you mean {meant:?}?"),
            Self::NoSuchCapability { meant: None } => write!(f, "capabilities(7) lists those that there are"),
            Self::Cgroup => {
                write!(
                    f,
                    "write a table such as {{ path = \"/sys/fs/cgroup/bootstrap\", memory_max = \"512M\" }}"
                )
            }
            Self::LogFileWord { path } => write!(f, "write \"file:{path}\" for a file"),
            Self::LogPathRelative => write!(f, "the path of a log file is absolute"),
            Self::LogPathDirectory => write!(f, "that is a directory; name a file in it"),
            Self::LogBytes => write!(f, "write bytes, such as \"10M\", at least 4096, or \"unlimited\""),
            Self::Bytes => write!(f, "write bytes, such as \"512M\", at least 4096"),
            Self::Percent => {
                write!(f, "write a share of one processor, such as \"50%\", or of several: \"150%\"")
            }
            Self::CgroupMissing => write!(f, "there is no such cgroup, and none above it to make it in"),
            Self::NoCgroup => {
                write!(f, "that is in no cgroup tree of version 2, which is often at /sys/fs/cgroup")
            }
            Self::CgroupClosed => {
                write!(f, "bootstrap may not write there: run it as root, or have the cgroup delegated to it")
            }
            Self::NoController { controller } => write!(
                f,
                "the tree has no controller {controller:?}: it is switched off, in a tree of version 1, or not delegated"
            ),
            Self::UnixOnly => write!(f, "only the path of a unix socket has it"),
            Self::WholeSeconds => write!(f, "write whole seconds, at least \"1s\""),
            Self::TableHeader { name } => write!(f, "write one table, [{name}]"),
            Self::ServiceHeader => write!(f, "begin each service with [[service]] and give it a `name`"),
        }
    }
}

fn unquoted(quoted: bool) -> &'static str {
    if quoted { ", without quotes" } else { "" }
}

/// `a, b and c`, each between quotes.
pub(super) fn list(words: &[&str], quote: char, last: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{quote}{word}{quote}")).collect();
    match quoted.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}
