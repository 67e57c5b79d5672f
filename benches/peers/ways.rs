//! Ways to run services and to restart one.

use super::running::{Begun, Running};
use super::{SERVE, others};
use crate::support::Stage;
use std::path::{Path, PathBuf};

/// One of them: who it is, and how it is set up.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// What must be installed; empty where nothing must.
    pub(crate) program: &'static str,
    /// In which role our server runs under it.
    role: &'static str,
    /// How many services it is measured with.
    pub(crate) many: Many,
    begin: fn(&Stage, &Path, &[Service]) -> Begun,
}

/// How many services a way is measured with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Many {
    /// It knows only one, or differs from the row above only in how it restarts.
    One,
    All,
    /// It takes so much time or memory that fewer have to do.
    Fewer,
}

/// What is run.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    /// Who can hold sockets holds one at this address for it.
    pub(crate) address: String,
    /// Further lines of its table in a config file of ours.
    pub(crate) more: String,
}

impl Way {
    pub(crate) const STOP_FIRST: Self = Self {
        name: "bootstrap, stop-first",
        program: "",
        role: "handshake",
        many: Many::All,
        begin: |_, _, services| Begun::Config(ours(services, "")),
    };

    pub(crate) const START_FIRST: Self = Self {
        name: "bootstrap, start-first",
        begin: |_, _, services| Begun::Config(ours(services, "restart_order = \"start-first\"")),
        many: Many::One,
        ..Self::STOP_FIRST
    };

    /// Nobody supervises it.
    pub(crate) const BY_HAND: Self = Self {
        name: "kill, wait, start",
        program: "",
        role: "binds",
        many: Many::One,
        begin: others::kill_and_start,
    };

    pub(crate) const ALL: &[Self] = &[
        Self::STOP_FIRST,
        Self::START_FIRST,
        Self {
            name: "start_server --interval=1",
            program: "start_server",
            role: "starter",
            many: Many::Fewer,
            begin: others::start_server,
        },
        Self::BY_HAND,
        Self { name: "s6-svc -r", program: "s6-svscan", role: "binds", many: Many::All, begin: others::s6 },
        Self {
            name: "runit, sv restart",
            program: "runsvdir",
            role: "binds",
            many: Many::All,
            begin: others::runit,
        },
        Self {
            name: "daemontools, svc -t",
            program: "svscan",
            role: "binds",
            many: Many::All,
            begin: others::daemontools,
        },
        Self {
            name: "supervisorctl restart",
            program: "supervisord",
            role: "binds",
            many: Many::Fewer,
            begin: others::supervisord,
        },
        Self {
            name: "circusctl reload, its socket",
            program: "circusd",
            role: "inherits",
            many: Many::Fewer,
            begin: others::circus,
        },
    ];

    /// Starts the services; none where the program is missing.
    pub(crate) fn start(&self, services: &[Service]) -> Option<Running> {
        let program = if self.program.is_empty() { PathBuf::new() } else { installed(self.program)? };
        let stage = Stage::new();
        let begun = (self.begin)(&stage, &program, services);
        Some(Running::new(stage, begun))
    }

    /// Is its program not installed?
    pub(crate) fn is_missing(&self) -> bool {
        !self.program.is_empty() && installed(self.program).is_none()
    }

    /// The server of our examples in the role that it has here.
    pub(crate) fn server(&self, port: u16) -> Service {
        let own = std::env::current_exe().unwrap().into_os_string().into_string().expect("text");
        let mut command = vec![own, SERVE.into(), self.role.into()];
        if self.role == "binds" {
            command.push(port.to_string());
        }
        Service { name: "web".into(), command, address: format!("127.0.0.1:{port}"), more: String::new() }
    }
}

/// In the path, or among the peers.
fn installed(program: &str) -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::iter::once(peers).chain(std::env::split_paths(&path));
    all.find_map(|directory| Some(directory.join(program)).filter(|program| program.exists()))
}

/// Services as a config file of ours.
pub(crate) fn ours(services: &[Service], more: &str) -> String {
    let one = |service: &Service| {
        let Service { name, command, address, more: own } = service;
        format!(
            "[[service]]\nname = \"{name}\"\nlisten = [\"tcp://{address}\"]\ncommand = {command:?}\n{own}\n{more}\n"
        )
    };
    services.iter().map(one).collect()
}
