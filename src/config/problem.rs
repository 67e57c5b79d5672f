//! What can be wrong, as facts; the sentences are made here and nowhere else.
//!
//! A sentence names the subject and the value found, then after a semicolon what is allowed or what to do.

use super::found::{Found, beginning};
use super::rule::{Rule, list};
use crate::limits::{CONFIG_BYTES, LISTENERS_PER_SERVICE, SERVICES, WATCHDOG_MIN};
use crate::plan::Address;
use crate::protocol::PlaceholderError;
use std::fmt;
use std::time::Duration;
use toml::de::DeValue;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field's meaning is the sentence made of it below")]
pub enum Problem {
    // -- the file --
    /// The system does not let us read it.
    Unreadable { reason: String, remedy: Option<&'static str> },
    /// It is a directory.
    Directory,
    /// It is larger than a config file can be.
    TooLarge,
    /// A byte that is no UTF-8.
    NotText { byte: u8 },
    /// It is no TOML.
    Syntax { message: String },
    /// The same key or table twice.
    GivenTwice { key: String },

    // -- keys --
    /// No such key; `known` are the ones there are.
    UnknownKey { key: String, meant: Option<&'static str>, known: &'static [&'static str] },
    /// A key that has no default is not there.
    Missing { key: &'static str },
    /// A key in `[defaults]` that each service has of its own.
    NotShared { key: &'static str },
    /// A value that the key cannot have.
    Value { key: String, found: Found, rule: Rule },
    /// What cannot be the name of an environment variable.
    VariableName { found: Found },

    // -- between keys --
    /// A setting that a socket with this address does not have.
    NotForAddress { key: &'static str, address: Address, rule: Rule },
    /// More listeners than a service may have.
    TooManyListeners { found: usize },
    /// Two listeners of a service with one name; the first is in `line`.
    ListenerTwice { name: String, line: usize },
    /// A placeholder that nothing can replace.
    Placeholder { key: String, error: PlaceholderError },
    /// `ready = "pipe"` without the pipe handshake.
    ReadyNeedsPipe,
    /// `handshake = "inetd"` with another number of sockets than one.
    OneSocket { found: usize },
    /// A word of a handshake that the service does not have.
    ReadyNeedsHandshake { ready: &'static str, handshake: &'static str },
    /// `check` without anything to do.
    NoTarget,
    /// `check` with two things to do.
    TwoTargets,
    /// `status` without `http`.
    StatusWithoutHttp,
    /// A check that any worker may answer.
    CheckOfAnyWorker { key: &'static str },
    /// A gate that another process may open.
    ReadyOfAnother { ready: &'static str, has_socket: bool },
    /// A gate that asks, and nothing says what.
    ReadyNeedsCheck { ready: &'static str },
    /// A gate that asks in one way, and a check that asks in another.
    ReadyIsNotTheCheck { ready: &'static str, check: &'static str },
    /// `watchdog` without `sd_notify`.
    WatchdogNeedsSystemd,
    /// A watchdog that is to be fed too often.
    WatchdogTooOften { period: Duration },
    /// `after` or `requires` names nobody.
    NoSuchService { name: String, meant: Option<String> },
    /// Services that wait for each other; the first stands at the end again.
    Circle { circle: Vec<String> },
    /// A user that is only a number, without a group.
    UserNeedsGroup { user: String },
    /// A capability in `ambient_capabilities` that `capabilities` takes away.
    GivenNotKept { capability: String },
    /// `ambient_capabilities` for root.
    GivenToRoot,
    /// `ready = "accepting"` without a socket.
    ReadyNeedsSocket,
    /// `ready = "delay"` without the delay.
    ReadyNeedsDelay,
    /// A delay that `ready` does not ask for.
    DelayUnused,
    /// It would never be ready in time.
    DelayPastTimeout { delay: Duration, timeout: Duration },
    /// The first pause is longer than the longest.
    DelayPastMax { delay: Duration, max: Duration },

    /// A key about log files, and nothing goes to one.
    NoLogFile { key: &'static str },
    /// `log_compress` without a backup.
    NothingToCompress,

    // -- between services --
    /// A log file that is kept in another way in `line`.
    LogKeptOtherwise { path: String, line: usize },
    /// There is none.
    NoService,
    /// There are more than [`SERVICES`].
    TooManyServices { found: usize },
    /// Two services with one name; the first is in `line`.
    NameTwice { name: String, line: usize },
    /// Two listeners that cannot both be bound; the first is in `line`.
    AddressTaken { address: Address, owner: Address, line: usize },
}

impl Rule {
    /// What to do with a value that only lacks its quotes; `otherwise` for those that lack more.
    pub(super) fn quoted(value: &DeValue<'_>, otherwise: Self) -> Self {
        match Found::of(value) {
            Found::Word(written) => Self::Quoted { written },
            Found::Text(..) | Found::Array | Found::EmptyArray | Found::Table | Found::Hidden(_) => otherwise,
        }
    }
}

impl Problem {
    pub(super) fn value(key: &str, found: &DeValue<'_>, rule: Rule) -> Self {
        Self::Value { key: beginning(key).into(), found: Found::of(found), rule }
    }

    /// The same of what may be a secret.
    pub(super) fn hidden_value(key: &str, found: &DeValue<'_>, rule: Rule) -> Self {
        Self::Value { key: beginning(key).into(), found: Found::hidden(found), rule }
    }

    pub(super) fn unknown_key(
        key: &str,
        meant: Option<&'static str>,
        known: &'static [&'static str],
    ) -> Self {
        Self::UnknownKey { key: beginning(key).into(), meant, known }
    }

    /// Does it say that something is not there, which may stand in a line that could not be read?
    pub(super) fn claims_absence(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Placeholder { .. }
                | Self::ReadyNeedsPipe
                | Self::OneSocket { .. }
                | Self::ReadyNeedsSocket
                | Self::ReadyNeedsHandshake { .. }
                | Self::NoTarget
                | Self::StatusWithoutHttp
                | Self::CheckOfAnyWorker { .. }
                | Self::ReadyOfAnother { .. }
                | Self::ReadyNeedsCheck { .. }
                | Self::ReadyIsNotTheCheck { .. }
                | Self::WatchdogNeedsSystemd
                | Self::NoSuchService { .. }
                | Self::Circle { .. }
                | Self::UserNeedsGroup { .. }
                | Self::GivenNotKept { .. }
                | Self::GivenToRoot
                | Self::ReadyNeedsDelay
                | Self::DelayUnused
                | Self::DelayPastTimeout { .. }
                | Self::DelayPastMax { .. }
                | Self::NoLogFile { .. }
                | Self::NoService
        )
    }

    /// The subject and the value found: the first half of the sentence.
    pub fn what(&self) -> String {
        match self {
            Self::Unreadable { reason, .. } => format!("cannot be read: {reason}"),
            Self::Directory => "is a directory".into(),
            Self::TooLarge => format!("has more than {CONFIG_BYTES} bytes"),
            Self::NotText { byte } => format!("the byte 0x{byte:02x} is no UTF-8 text"),
            Self::Syntax { message } => message.clone(),
            Self::NoLogFile { key } => format!("`{key}` is given, and nothing goes to a file"),
            Self::NothingToCompress => "`log_compress` is true and `log_backups` is 0".into(),
            Self::LogKeptOtherwise { path, line } => {
                format!("{path} is kept in another way in line {line}")
            }
            Self::GivenTwice { key } => format!("`{key}` is given twice"),
            Self::UnknownKey { key, .. } => format!("unknown key `{}`", key.escape_debug()),
            Self::Missing { key } => format!("`{key}` is missing"),
            Self::NotShared { key } => format!("`{key}` is given for all services"),
            Self::Value { key, found, .. } => format!("`{}` is {found}", key.escape_debug()),
            Self::VariableName { found } => format!("`env` has a variable {found}"),
            Self::NotForAddress { key, address, .. } => format!("`{key}` is given for {address}"),
            Self::TooManyListeners { found } => format!("it has {found} listeners"),
            Self::ListenerTwice { name, line } => {
                format!("the listener in line {line} is named {name:?} as well")
            }
            Self::Placeholder { key, .. } => {
                format!("`{}` has a placeholder that nothing replaces", key.escape_debug())
            }
            Self::ReadyNeedsPipe => "`ready` is \"pipe\" and the service has no pipe".into(),
            Self::ReadyNeedsHandshake { ready, handshake } => {
                format!("`ready` is {ready:?}, a word of the handshake {handshake:?}")
            }
            Self::NoTarget => "`check` asks nothing".into(),
            Self::TwoTargets => "`check` asks in two ways".into(),
            Self::StatusWithoutHttp => "`status` is given and `http` is not".into(),
            Self::CheckOfAnyWorker { key } => format!("any of its workers may answer `{key}`"),
            Self::ReadyOfAnother { ready, .. } => {
                format!("`ready` is {ready:?}, and another process may answer for the new one")
            }
            Self::ReadyNeedsCheck { ready } => format!("`ready` is {ready:?} and nothing says what to ask"),
            Self::ReadyIsNotTheCheck { ready, check } => {
                format!("`ready` is {ready:?} and `check` asks by `{check}`")
            }
            Self::WatchdogNeedsSystemd => "`watchdog` is given and nothing could feed it".into(),
            Self::WatchdogTooOften { period } => format!("`watchdog` is {:?}", written(*period)),
            Self::NoSuchService { name, .. } => format!("no service is called {name:?}"),
            Self::Circle { circle } => format!("services wait for each other: {}", circle.join(" -> ")),
            Self::OneSocket { found } => {
                let sockets = if *found == 0 { "no socket".into() } else { format!("{found} sockets") };
                format!("`handshake` is \"inetd\" and the service has {sockets}")
            }
            Self::UserNeedsGroup { user } => {
                format!("`user` is {user}, which is no account of this machine and has no group")
            }
            Self::GivenNotKept { capability } => {
                format!("`ambient_capabilities` has {capability:?}, which `capabilities` has not")
            }
            Self::GivenToRoot => "`ambient_capabilities` is given and the process is root".into(),
            Self::ReadyNeedsSocket => "`ready` is \"accepting\" and the service has no socket".into(),
            Self::ReadyNeedsDelay => "`ready` is \"delay\" and `ready_delay` is missing".into(),
            Self::DelayUnused => "`ready_delay` is given and `ready` is not \"delay\"".into(),
            Self::DelayPastTimeout { delay, timeout } => format!(
                "`ready_delay` is {:?} and `ready_timeout` is {:?}",
                written(*delay),
                written(*timeout)
            ),
            Self::DelayPastMax { delay, max } => format!(
                "`restart_delay` is {:?} and `restart_delay_max` is {:?}",
                written(*delay),
                written(*max)
            ),
            Self::NoService => "there is no service".into(),
            Self::TooManyServices { found } => format!("there are {found} services"),
            Self::NameTwice { name, line } => format!("the service in line {line} is named {name:?} as well"),
            Self::AddressTaken { address, owner, line } if address == owner => {
                format!("{address} is taken in line {line} already")
            }
            Self::AddressTaken { address, owner, line } => {
                format!("{address} overlaps with {owner} in line {line}")
            }
        }
    }

    /// What is allowed, or what to do: the second half.
    pub fn remedy(&self) -> Option<String> {
        let remedy = match self {
            Self::Syntax { .. } | Self::GivenTwice { .. } => return None,
            Self::Unreadable { remedy, .. } => (*remedy)?.into(),
            Self::Directory => "name the file in it".into(),
            Self::TooLarge => "a config file never needs as many".into(),
            Self::NotText { .. } => "save the file as UTF-8".into(),
            Self::UnknownKey { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            Self::UnknownKey { known, .. } => format!("there are {}", list(known, '`', "and")),
            Self::Missing { .. } => "it has no default".into(),
            Self::NoLogFile { .. } => "write `stdout = \"file:PATH\"`, or leave it out".into(),
            Self::NothingToCompress => "what is compressed are the backups".into(),
            Self::LogKeptOtherwise { .. } => {
                "`log_max_bytes`, `log_backups` and `log_compress` are the same for all that write to a file"
                    .into()
            }
            Self::NotShared { .. } => "each has its own, below its [[service]]".into(),
            Self::Value { rule, .. } | Self::NotForAddress { rule, .. } => rule.to_string(),
            Self::VariableName { .. } => {
                "the name of a variable is not empty and holds no `=` and no NUL".into()
            }
            Self::TooManyListeners { .. } => format!("a service has at most {LISTENERS_PER_SERVICE}"),
            Self::ListenerTwice { .. } => "`{fd:NAME}` needs a name for each".into(),
            Self::Placeholder { error, .. } => error.to_string(),
            Self::ReadyNeedsHandshake { handshake, .. } => {
                format!("write `handshake = {handshake:?}`, or leave `ready` out")
            }
            Self::NoTarget => "give it one of `tcp`, `http` and `exec`".into(),
            Self::TwoTargets => "leave one of `tcp`, `http` and `exec`".into(),
            Self::StatusWithoutHttp => "it is the status of an answer to `http`".into(),
            Self::CheckOfAnyWorker { .. } => {
                "give each an address of its own with `{worker}` or `{generation}` in it".into()
            }
            Self::ReadyOfAnother { has_socket, .. } => {
                let else_ready = if *has_socket { "\"accepting\"" } else { "\"delay\"" };
                format!(
                    "give each process an address of its own with `{{generation}}` in it, in `check`; or write \
                     `ready = {else_ready}`"
                )
            }
            Self::ReadyNeedsCheck { ready } => format!("write `check = {{ {ready} = ... }}`"),
            Self::ReadyIsNotTheCheck { check, .. } => format!("write `ready = {check:?}`"),
            Self::WatchdogNeedsSystemd => "write `handshake = \"systemd\"`".into(),
            Self::WatchdogTooOften { .. } => format!("the shortest is {:?}", written(WATCHDOG_MIN)),
            Self::NoSuchService { meant: Some(meant), .. } => format!("did you mean {meant:?}?"),
            Self::NoSuchService { meant: None, .. } => "it names a service of this file".into(),
            Self::Circle { .. } => "none of them could start; break it at one place".into(),
            Self::ReadyNeedsPipe => "write `handshake = \"pipe\"`, or leave `ready` out".into(),
            Self::OneSocket { .. } => "give it one, which becomes its stdin".into(),
            Self::UserNeedsGroup { .. } => "write its `group`, too".into(),
            Self::GivenNotKept { .. } => "what it is given has to be kept".into(),
            Self::GivenToRoot => {
                "name a `user`, or leave it out: root has all that is in `capabilities`".into()
            }
            Self::ReadyNeedsSocket => {
                "give it a `port` or `listen`, or write `ready = \"started\"` or \"delay\"".into()
            }
            Self::ReadyNeedsDelay => "write how long it has to live, such as `ready_delay = \"2s\"`".into(),
            Self::DelayUnused => "write `ready = \"delay\"`, or leave `ready_delay` out".into(),
            Self::DelayPastTimeout { .. } => {
                "the first has to be shorter, or it is never ready in time".into()
            }
            Self::DelayPastMax { .. } => "the pause grows from the first to the second".into(),
            Self::NoService => "write at least one [[service]] with a `name` and a `command`".into(),
            Self::TooManyServices { .. } => format!("one file has at most {SERVICES}"),
            Self::NameTwice { .. } => "each service has a name of its own".into(),
            Self::AddressTaken { address, owner, .. } if address == owner => {
                "an address can be bound once".into()
            }
            Self::AddressTaken { address: Address::Unix(_), .. } => "both are the same path".into(),
            Self::AddressTaken { .. } => "0.0.0.0 and [::] take their port on every address".into(),
        };
        Some(remedy)
    }
}

/// The whole sentence.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
