//! What the world tells the core. An event about a process names its run, so that a late one is
//! recognised; the outcome of every action comes back as one of these.

use super::repair::Repair;
use super::request::{Request, Ticket};
use super::sight::Sight;
use crate::plan::{Address, ListenerId, Outlet, Pid, Plan, RunId, Selector, ServiceId, ServiceName};
use crate::protocol::{Notice, Word};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The time that [`deadline`](super::Supervisor::deadline) gave has come. Early or late ones do no harm.
    DeadlinePassed,
    /// Somebody wants something of the supervisor.
    Request(Request),
    /// A signal has arrived that means nothing.
    StraySignal(i32),
    /// We did not run for some time, and our servers most likely neither. No deadline passes for a little longer.
    StoodStill {
        /// How much too late we woke up.
        late: Duration,
    },
    /// The client of this ticket is gone: nobody wants its answer. What was ordered is not undone.
    TicketDropped(Ticket),
    /// Something happened to one run.
    Run(RunId, RunEvent),
    /// All sockets of the last [`Action::Bind`](super::Action::Bind) are bound.
    Bound,
    /// Some could not be; none of that batch is kept.
    BindRefused {
        /// Each address that failed.
        failures: Vec<BindFailure>,
    },
    /// A server had harmed a socket that it shares with us, and it is whole again.
    Repaired {
        /// Which one.
        listener: ListenerId,
        /// What was done.
        what: Repair,
    },
    /// The config file was read anew and holds no mistake. What is the same as before is best shared: it is quickly seen then
    /// ([`Plan::share_with`]).
    PlanLoaded(Box<Plan>),
    /// The config file was read anew and is refused.
    PlanRefused {
        /// One sentence for each mistake.
        mistakes: Vec<String>,
    },
    /// Which services the restart request means.
    SelectorRead(Selector),
    /// A run could not be written down for a later supervisor.
    NotWrittenDown {
        /// Which one.
        run: RunId,
        /// The system's error number.
        errno: i32,
    },
    /// The program now on disk can go on from here.
    SuccessorFit,
    /// It cannot, or could not be asked: this one goes on.
    UpgradeRefused(UpgradeRefusal),
    /// This is the next program, and it goes on where another left off.
    Upgraded {
        /// The version of the one before.
        from: String,
        /// Since the upgrade was asked for.
        took: Duration,
    },
    /// A file on the way to the program of a service that is watched has changed.
    ProgramChanged {
        /// Whose.
        service: ServiceId,
    },
    /// It is about the process that writes logs.
    Writer(WriterEvent),
    /// What a run said on its stderr before it failed; the answer to
    /// [`Action::TellLastWords`](super::Action::TellLastWords).
    LastWords {
        /// Who.
        run: RunId,
        /// Its service, which may be gone by now.
        service: ServiceName,
        /// Its main process.
        pid: Pid,
        /// Its last lines, the oldest first; never none.
        lines: Vec<String>,
    },
    /// The file that may hold the selector could not be read.
    SelectorRefused {
        /// File and reason.
        reason: String,
    },
}

/// Something that happened to one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RunEvent {
    /// Its program was started: `exec` worked.
    Spawned {
        /// Its main process.
        pid: Pid,
    },
    /// It never came to life. No process of it is left.
    SpawnFailed(SpawnFailure),
    /// It wrote a word of the handshake to its pipe, or one that means the same to einhorn's socket.
    Said(Word),
    /// It said this with `sd_notify`. A main process that it names was seen to be one of its processes, and
    /// is the main one from now on.
    Notified(Notice),
    /// It said that this is its main process, which is none of its processes.
    NotItsProcess(Pid),
    /// Its pipe will not bring another word.
    PipeEnded(PipeEnd),
    /// It was not asked to leave after all: it still ignores the signal, because its handler is not installed
    /// yet (handshake servers start with the signal ignored, or an early one would kill them).
    NotListening,
    /// The answer to [`Action::Preflight`](super::Action::Preflight): what a start would fail with; nothing where it may
    /// succeed.
    Foreseen(Option<SpawnFailure>),
    /// The answer to [`Action::Look`](super::Action::Look).
    Seen(Sight),
    /// The answer to [`Action::Probe`](super::Action::Probe).
    Probed {
        /// The number of the question.
        attempt: u32,
        /// Whether it was good, or why not.
        answer: Result<(), Miss>,
    },
    /// Its main process, whichever that was by then, ended.
    Exited {
        /// How.
        status: ExitStatus,
        /// Whether other processes of its group still live.
        group_left: bool,
    },
    /// The last process of its group has ended, some time after the main one.
    GroupEmpty,
    /// Who is left of its group or cgroup without its main process: the first of them, and how many there are.
    LeftBehind {
        /// At most [`LEFTOVERS_NAMED`](crate::limits::LEFTOVERS_NAMED).
        first: Vec<Leftover>,
        /// Of how many.
        all: usize,
    },
}

/// What happened to the process that writes logs, or what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WriterEvent {
    /// It was started.
    Started {
        /// Its process.
        pid: Pid,
    },
    /// It could not be started.
    NotStarted(SpawnFailure),
    /// Its process has ended.
    Ended {
        /// How.
        status: ExitStatus,
    },
    /// It did not take a pipe, or did not answer, in time; it was sent SIGKILL.
    Silent {
        /// How long it had.
        after: Duration,
    },
    /// It has not written everything in time at the end of the supervisor, and goes on with it alone.
    Unfinished {
        /// Its process.
        pid: Pid,
        /// How long it is waited for, where it would die with us.
        waits: Option<Duration>,
    },
    /// An outlet does not take what is written.
    Failing {
        /// Which.
        outlet: Outlet,
        /// Why.
        why: String,
    },
    /// The system gives it no thread for an outlet.
    NoThread {
        /// Which.
        outlet: Outlet,
        /// Why.
        why: String,
    },
    /// It takes it again.
    Recovered {
        /// Which.
        outlet: Outlet,
    },
    /// What an outlet does not take is lost from here on.
    Losing {
        /// Which.
        outlet: Outlet,
    },
    /// So much of it was lost.
    Lost {
        /// Which.
        outlet: Outlet,
        /// How many lines.
        lines: u64,
    },
    /// Pipes of a run that was taken over were not found.
    NotFound {
        /// Whose.
        run: RunId,
        /// Its service.
        service: ServiceName,
        /// Its main process.
        pid: Pid,
    },
}

/// Why a probe had no good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Miss {
    /// There was none in time.
    TimedOut,
    /// The system's error number, of connecting or of talking.
    Failed(i32),
    /// The connection ended before an answer was complete.
    Closed,
    /// What came is no HTTP.
    NotHttp,
    /// The answer has another status.
    Status(u16),
    /// With its placeholders replaced, this is no address.
    Address(String),
    /// The command ended so.
    Exited(ExitStatus),
    /// The command could not be started.
    NotStarted(SpawnFailure),
}

/// A process that outlived the main process of its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Its pid.
    pub pid: Pid,
    /// Its arguments, with blanks between; its name, where it has none.
    pub command: String,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// It ended while it was not our child, and this kernel tells only its parent how.
    Unknown,
}

/// Why a pipe will not bring another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PipeEnd {
    /// Every writer has closed it.
    Closed,
    /// Seven bytes that are no word of the protocol; what follows them is ignored.
    Gibberish([u8; 7]),
}

/// Why a run never came to life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpawnFailure {
    /// The step that failed.
    pub stage: SpawnStage,
    /// The system's error number.
    pub errno: i32,
    /// What the step was about: a path, a program, an interpreter. May be empty.
    pub subject: String,
}

/// The steps of a start, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnStage {
    /// Read `env_file`; the subject is its path and, where it has a bad line, that.
    EnvFile,
    /// Find the program in `PATH`, or see that it can be executed; the subject is the program, and the `directory`
    /// that its path begins in.
    Lookup,
    /// Make the pipe of the handshake.
    Pipe,
    /// Write the settings back to the sockets; the subject is the address.
    Listener,
    /// Create the process.
    Fork,
    /// Give it a session of its own, and with it a process group.
    Group,
    /// Make its cgroup, with the limits of the service, or put it there; the subject is the file or controller.
    Cgroup,
    /// Tell the kernel when to kill it as memory runs out; the subject is the score.
    OomScore,
    /// Give it its limits, or the original limit of descriptors; the subject is the resource and the limit.
    Limits,
    /// Give it its share of the processor; the subject is the number.
    Nice,
    /// Make the pipes for what it writes.
    Output,
    /// Let it have its descriptors.
    Descriptors,
    /// Give it its supplementary groups; the subject lists them.
    SupplementaryGroups,
    /// Give it its group; the subject is its name.
    PrimaryGroup,
    /// Take a capability from what it can ever have; the subject is its name.
    BoundingSet,
    /// Make it the user; the subject is its name.
    User,
    /// Leave it the capabilities that it is to have; the subject is the name of one, or empty.
    Capabilities,
    /// Keep it from gaining rights.
    NoNewPrivs,
    /// Enter the working directory; the subject is its path.
    Directory,
    /// Become the program; the subject is its path.
    Exec,
    /// Become the program, whose interpreter is missing; the subject is the interpreter.
    Interpreter,
}

/// Why the supervisor stays what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpgradeRefusal {
    /// There is no program at the path.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's error number.
        errno: i32,
    },
    /// The program could not be started.
    NotStarted(SpawnFailure),
    /// It did not say in time whether it can go on.
    Silent {
        /// How long it had.
        after: Duration,
    },
    /// It ended without the word that only a program of this kind says.
    NoProof,
    /// It says that it cannot, and why.
    Rejected(String),
    /// It was replaced by another while it was asked.
    Replaced,
    /// The state could not be written.
    Unwritten(String),
    /// The system refused something else; its error number.
    System(i32),
    /// The last step failed; the system's error number.
    NotBecome(i32),
}

/// Why a socket could not be bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindFailure {
    /// Where.
    pub address: Address,
    /// The system's error number.
    pub errno: i32,
    /// Who has the address, where `/proc` tells.
    pub owner: Option<Owner>,
}

/// A process that has an address we want.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Its pid.
    pub pid: Pid,
    /// Its command name.
    pub command: String,
}
