//! What a service is: its sockets, its program and how it is treated.

use super::{
    Address, Common, Identity, ListenerName, ListenerSpec, Output, Policy, Ready, ServiceName, Stream,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use thin_vec::ThinVec;

/// One `[[service]]` of the config file, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Its name, unique in the file.
    pub name: ServiceName,
    /// Its sockets, in the order in which their descriptors are handed to the program.
    pub listeners: ThinVec<ListenerSpec>,
    /// Services that have to be up, or to have given up, before it starts; they stop after it.
    pub after: ThinVec<ServiceName>,
    /// Services that have to be up before it starts; they stop after it.
    pub requires: ThinVec<ServiceName>,
    /// What a generation is made of; a change makes a new generation.
    pub program: Common<Program>,
    /// How it is treated; a change applies in place.
    pub policy: Common<Policy>,
}

impl Definition {
    /// The services that it starts after and stops before.
    pub fn predecessors(&self) -> impl Iterator<Item = &ServiceName> {
        self.after.iter().chain(&self.requires)
    }

    /// Is nothing waited for but that its program is started? It may be a wrapper still, which becomes the server.
    pub fn is_up_by_its_start(&self) -> bool {
        match self.policy.ready {
            Ready::Started => true,
            Ready::Assumed | Ready::Accepting => self.listeners.is_empty(),
            Ready::Word | Ready::Probe(_) | Ready::Delay(_) => false,
        }
    }

    /// Can a process of the one go on as a process of the other? It cannot be given another program, or other
    /// sockets, while it runs.
    pub fn runs_the_same(&self, other: &Self) -> bool {
        self.program == other.program && self.has_the_same_sockets(other)
    }

    /// Have they the same sockets? Names of listeners count: they may stand in the command.
    pub fn has_the_same_sockets(&self, other: &Self) -> bool {
        fn sockets(definition: &Definition) -> impl Iterator<Item = (&Option<ListenerName>, &Address)> {
            definition.listeners.iter().map(|listener| (&listener.name, &listener.address))
        }
        sockets(self).eq(sockets(other))
    }

    /// Has it a socket at this address?
    pub fn listens_at(&self, address: &Address) -> bool {
        self.listeners.iter().any(|spec| spec.address == *address)
    }
}

#[cfg(test)]
impl Definition {
    /// The least that a service can be: no socket, and `true` for a program. For tests, which change what they are about.
    pub(crate) fn least(name: &str) -> Self {
        let program = Program {
            command: vec!["true".into()],
            directory: None,
            env: BTreeMap::new(),
            env_file: None,
            handshake: Handshake::Pipe,
            identity: Identity::default().into(),
            watchdog: None,
            output: None,
        };
        Self {
            name: ServiceName::parse(name).expect("the name of a test"),
            listeners: [].into(),
            after: [].into(),
            requires: [].into(),
            program: program.into(),
            policy: Policy::default().into(),
        }
    }
}

/// What a generation is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments, placeholders not yet replaced. Never empty; the first item never is.
    pub command: Vec<String>,
    /// Working directory; the supervisor's own where there is none.
    pub directory: Option<PathBuf>,
    /// Variables set for the process, over those of the supervisor and of `env_file`; values may hold placeholders.
    pub env: BTreeMap<String, String>,
    /// File of `NAME=value` lines, read at each start.
    pub env_file: Option<PathBuf>,
    /// How sockets are handed over, and how the program says that it accepts no more.
    pub handshake: Handshake,
    /// Who it is, what it may do and how much it may use.
    pub identity: Common<Identity>,
    /// How often it has to say that it is alive, by `sd_notify`. Only with that handshake.
    pub watchdog: Option<Duration>,
    /// Where what it writes goes; where that of the supervisor goes, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<Output>>,
}

impl Program {
    /// The streams that go through the process that writes logs.
    pub fn captured(&self) -> impl Iterator<Item = Stream> {
        self.output.iter().flat_map(|output| output.captured())
    }
}

/// How sockets are handed to a program and how it takes its leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handshake {
    /// `LISTEN_FD PIPE_FD` are the last arguments; SIGUSR1 asks, 7 bytes on the pipe answer.
    Pipe,
    /// `LISTEN_FDS` descriptors from 3 on, and a `NOTIFY_SOCKET`, as systemd does it.
    Systemd,
    /// `SERVER_STARTER_PORT` names the descriptors, as `Server::Starter` does it.
    ServerStarter,
    /// `EINHORN_FD_0` and so on, and a socket for the worker's word that it is ready.
    Einhorn,
    /// The one socket is the program's stdin.
    Inetd,
    /// Descriptors go where the placeholders are; the program's exit is its only answer.
    None,
}

impl Handshake {
    /// Does a server of this kind talk to us, on a descriptor of ours?
    pub fn is_heard(self) -> bool {
        match self {
            Self::Pipe | Self::Systemd | Self::Einhorn => true,
            Self::ServerStarter | Self::Inetd | Self::None => false,
        }
    }

    /// The signal that asks a server of this kind to leave, where the file names none.
    pub fn default_stop_signal(self) -> i32 {
        match self {
            Self::Pipe => libc::SIGUSR1,
            Self::Einhorn => libc::SIGUSR2,
            Self::Systemd | Self::ServerStarter | Self::Inetd | Self::None => libc::SIGTERM,
        }
    }
}
