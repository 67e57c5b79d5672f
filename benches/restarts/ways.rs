//! Ways to restart a server.

use crate::SERVE;
use crate::support::{Process, Stage, Supervised, service};
use nix::sys::signal::Signal::{self, SIGHUP, SIGTERM, SIGUSR1};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Who restarts it, and how.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// What must be installed; empty where nothing must.
    pub(crate) program: &'static str,
    begin: fn(&Stage, PathBuf, u16) -> Begun,
}

/// What runs, or is to be run by `bootstrap` as this config says.
#[expect(clippy::large_enum_variant, reason = "there is one of it at a time")]
enum Begun {
    Config(String),
    Other(Child, Restart),
}

/// How it is told to restart the server.
pub(crate) enum Restart {
    Signal(Signal),
    /// End the process, wait for it, and start it again.
    Loop(Command),
    Command(Command),
}

/// A server under one of these.
pub(crate) enum Running {
    Bootstrap(Supervised),
    Other {
        child: Child,
        restart: Restart,
        /// Its files are there as long as this is.
        _directory: Stage,
    },
}

impl Way {
    pub(crate) const STOP_FIRST: Self = Self {
        name: "bootstrap, stop-first",
        program: "",
        begin: |_, _, port| Begun::Config(service("web", port, &command("handshake"), "")),
    };

    pub(crate) const START_FIRST: Self = Self {
        name: "bootstrap, start-first",
        program: "",
        begin: |_, _, port| {
            Begun::Config(service("web", port, &command("handshake"), "restart_order = \"start-first\""))
        },
    };

    pub(crate) const ALL: &[Self] = &[
        Self::STOP_FIRST,
        Self::START_FIRST,
        Self { name: "start_server --interval=1", program: "start_server", begin: start_server },
        Self { name: "kill, wait, start", program: "", begin: kill_and_start },
        Self { name: "supervisorctl restart", program: "supervisord", begin: supervisord },
        Self { name: "circusctl reload, its socket", program: "circusd", begin: circus },
    ];

    /// Starts the server; none where the program is missing.
    pub(crate) fn start(&self, port: u16) -> Option<Running> {
        let program = if self.program.is_empty() { PathBuf::new() } else { installed(self.program)? };
        let stage = Stage::new();
        Some(match (self.begin)(&stage, program, port) {
            Begun::Config(config) => Running::Bootstrap(stage.start(&config, &["web"])),
            Begun::Other(child, restart) => Running::Other { child, restart, _directory: stage },
        })
    }
}

impl Running {
    /// Has the server restarted. It may not be complete when this returns.
    pub(crate) fn restart(&mut self) {
        match self {
            Self::Bootstrap(supervised) => supervised.signal(SIGUSR1),
            Self::Other { child, restart: Restart::Signal(signal), .. } => process(child).signal(*signal),
            Self::Other { child, restart: Restart::Loop(command), .. } => {
                process(child).signal(SIGTERM);
                child.wait().unwrap();
                *child = command.spawn().unwrap();
            }
            Self::Other { restart: Restart::Command(command), .. } => {
                let output = command.output().unwrap();
                assert!(output.status.success(), "{command:?}: {output:?}");
            }
        }
    }

    pub(crate) fn stop(self) {
        match self {
            Self::Bootstrap(supervised) => supervised.stop(),
            Self::Other { mut child, .. } => {
                process(&child).signal(SIGTERM);
                child.wait().unwrap();
            }
        }
    }
}

fn process(child: &Child) -> Process {
    Process(i32::try_from(child.id()).expect("pids are small"))
}

/// This program, as the server in that role.
fn command(role: &str) -> [&str; 3] {
    static OWN: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let own =
        OWN.get_or_init(|| std::env::current_exe().unwrap().into_os_string().into_string().expect("text"));
    [own, SERVE, role]
}

/// In the path, or among the peers.
fn installed(program: &str) -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join("bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = std::iter::once(peers).chain(std::env::split_paths(&path));
    all.find_map(|directory| Some(directory.join(program)).filter(|program| program.exists()))
}

/// A command that says nothing.
fn silent(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn start_server(_: &Stage, program: PathBuf, port: u16) -> Begun {
    let mut starter = silent(program);
    starter.args([&format!("--port=127.0.0.1:{port}"), "--interval=1", "--"]).args(command("starter"));
    Begun::Other(starter.spawn().unwrap(), Restart::Signal(SIGHUP))
}

fn kill_and_start(_: &Stage, _: PathBuf, port: u16) -> Begun {
    let [own, serve, role] = command("binds");
    let mut server = silent(own);
    server.args([serve, role, &port.to_string()]);
    Begun::Other(server.spawn().unwrap(), Restart::Loop(server))
}

fn supervisord(stage: &Stage, program: PathBuf, port: u16) -> Begun {
    let (command, socket) = (command("binds").join(" "), stage.path("supervisor.sock"));
    let config = stage.write(
        "supervisord.conf",
        &format!(
            "[unix_http_server]\nfile={socket}\n\
             [supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{socket}\n\
             [program:web]\ncommand={command} {port}\nstartsecs=0\n",
            stage.path("pid"),
        ),
    );
    let mut restart = Command::new(program.with_file_name("supervisorctl"));
    restart.arg("-c").arg(&config).args(["restart", "web"]);
    let child = silent(program).arg("-c").arg(&config).spawn().unwrap();
    Begun::Other(child, Restart::Command(restart))
}

fn circus(stage: &Stage, program: PathBuf, port: u16) -> Begun {
    let endpoint = format!("ipc://{}", stage.path("control"));
    let [own, serve, role] = command("inherits");
    let config = stage.write(
        "circus.ini",
        &format!(
            "[circus]\nendpoint = {endpoint}\npubsub_endpoint = ipc://{}\n\
             [watcher:web]\ncmd = {own} {serve} {role} $(circus.sockets.web)\nuse_sockets = True\n\
             [socket:web]\nhost = 127.0.0.1\nport = {port}\n",
            stage.path("events"),
        ),
    );
    let mut restart = Command::new(program.with_file_name("circusctl"));
    restart.args(["--endpoint", &endpoint, "reload", "web"]);
    let child = silent(program).arg(config).spawn().unwrap();
    Begun::Other(child, Restart::Command(restart))
}
