//! What the world tells the core. An event about a process names its run, so that a late one is
//! recognised; the outcome of every action comes back as one of these.

use crate::plan::{Address, Generation, ListenerId, Pid, Plan, RunId, Selector};
use crate::protocol::Word;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The time that [`deadline`](super::Supervisor::deadline) gave has come. Early or late ones do no harm.
    DeadlinePassed,
    /// Somebody wants something of the supervisor.
    Request(Request),
    /// The program of this run was started: `exec` worked.
    Spawned {
        /// Which one.
        run: RunId,
        /// Its main process.
        pid: Pid,
    },
    /// The run never came to life. No process of it is left.
    SpawnFailed {
        /// Which one.
        run: RunId,
        /// At which step and why.
        failure: SpawnFailure,
    },
    /// The server wrote a word of the handshake to its pipe.
    Said {
        /// Which one.
        run: RunId,
        /// What it said.
        word: Word,
    },
    /// The server's pipe will not bring another word.
    PipeEnded {
        /// Whose.
        run: RunId,
        /// Why.
        end: PipeEnd,
    },
    /// The server was not asked to leave after all: it still ignores the signal, because its handler is not
    /// installed yet (handshake servers start with the signal ignored, or an early one would kill them).
    NotListening {
        /// Which one.
        run: RunId,
    },
    /// The main process ended and was reaped.
    Exited {
        /// Which one.
        run: RunId,
        /// How.
        status: ExitStatus,
        /// Whether other processes of its group still live.
        group_left: bool,
    },
    /// The last process of the group has ended, some time after the main one.
    GroupEmpty {
        /// Which one.
        run: RunId,
    },
    /// All sockets of the last [`Action::Bind`](super::Action::Bind) are bound.
    Bound,
    /// Some could not be; none of that batch is kept.
    BindRefused {
        /// Each address that failed.
        failures: Vec<BindFailure>,
    },
    /// A parked socket could not be made to listen again.
    ListenFailed {
        /// Which one.
        listener: ListenerId,
        /// The system's error number.
        errno: i32,
    },
    /// The config file was read anew and holds no mistake.
    PlanLoaded(Box<Plan>),
    /// The config file was read anew and is refused.
    PlanRefused {
        /// One sentence for each mistake.
        mistakes: Vec<String>,
    },
    /// Which services the restart request means.
    SelectorRead(Selector),
    /// The file that may hold the selector could not be read.
    SelectorRefused {
        /// File and reason.
        reason: String,
    },
}

/// What somebody wants of the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGUSR1: restart the services that `BOOTSTRAP_SELECT` names, or all.
    Restart,
    /// SIGHUP: read the config anew and apply it.
    Reload,
    /// SIGTERM, SIGINT: stop everything gracefully; the second time, now.
    Stop,
    /// SIGQUIT: stop everything now.
    StopNow,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
}

/// Why a pipe will not bring another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// Every writer has closed it.
    Closed,
    /// Seven bytes that are no word of the protocol; what follows them is ignored.
    Gibberish([u8; 7]),
}

/// Why a run never came to life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnFailure {
    /// The step that failed.
    pub stage: SpawnStage,
    /// The system's error number.
    pub errno: i32,
    /// What the step was about: a path, a program, an interpreter. May be empty.
    pub subject: String,
}

/// The steps of a start, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnStage {
    /// Read `env_file`; the subject is its path and, where it has a bad line, that.
    EnvFile,
    /// Find the program in `PATH`, or see that it can be executed; the subject is the program.
    Lookup,
    /// Make the pipe of the handshake.
    Pipe,
    /// Write the settings back to the sockets; the subject is the address.
    Listener,
    /// Create the process.
    Fork,
    /// Give it a process group of its own.
    Group,
    /// Give it the original limit of descriptors.
    Limits,
    /// Enter the working directory; the subject is its path.
    Directory,
    /// Let it have its descriptors.
    Descriptors,
    /// Become the program; the subject is its path.
    Exec,
    /// Become the program, whose interpreter is missing; the subject is the interpreter.
    Interpreter,
}

/// Why a socket could not be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindFailure {
    /// Where.
    pub address: Address,
    /// The system's error number.
    pub errno: i32,
    /// Who has the address, where `/proc` tells.
    pub owner: Option<Owner>,
}

/// A process that has an address we want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its pid.
    pub pid: Pid,
    /// Its command name.
    pub command: String,
}

impl Event {
    /// The run that this event is about, if it is about one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Spawned { run, .. }
            | Self::SpawnFailed { run, .. }
            | Self::Said { run, .. }
            | Self::PipeEnded { run, .. }
            | Self::NotListening { run }
            | Self::Exited { run, .. }
            | Self::GroupEmpty { run } => Some(*run),
            Self::DeadlinePassed
            | Self::Request(_)
            | Self::Bound
            | Self::BindRefused { .. }
            | Self::ListenFailed { .. }
            | Self::PlanLoaded(_)
            | Self::PlanRefused { .. }
            | Self::SelectorRead(_)
            | Self::SelectorRefused { .. } => None,
        }
    }

    /// The generation of [`run`](Self::run).
    pub fn generation(&self) -> Option<Generation> {
        self.run().map(|run| run.generation)
    }
}
