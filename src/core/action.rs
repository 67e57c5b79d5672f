//! What the core wants done. Performing an action returns nothing: its outcome, where there is one,
//! comes back as an [`Event`](super::Event).

use super::answer::Answer;
use super::fact::Report;
use super::request::Ticket;
use crate::plan::{Definition, ListenerId, ListenerSpec, Pid, RunId, ServiceId, Target};
use std::path::PathBuf;
use std::sync::Arc;

/// Whether a process has a handler for the signal that asks it to leave. Without one the signal is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// It is to be looked at first. One that still ignores the signal is left alone, and `NotListening` comes back.
    Unknown,
    /// The signal is sent without a look.
    Assumed,
}

/// What a look is to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closeness {
    /// Whether somebody waits for clients.
    Waiting,
    /// The same; and where nobody does, whether somebody has accepted clients. That takes longer to see.
    Serving,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a generation. Answered by `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its name from now on.
        run: RunId,
        /// Which of the service's workers it is, from 0.
        worker: u32,
        /// What to start and how.
        definition: Arc<Definition>,
        /// The program of this run, as it was pinned; else the one that the command names.
        program_of: Option<RunId>,
        /// The sockets to hand over, in the order of the definition. Their settings are written back first, and
        /// a parked one listens again.
        listeners: Vec<ListenerId>,
    },
    /// Note for a later supervisor that this run serves, unless it is up by its start: then that is noted with the start.
    NoteServing {
        /// Which one.
        run: RunId,
    },
    /// Take over a process of another supervisor, which is held already.
    Adopt {
        /// Its name from now on.
        run: RunId,
        /// Its main process.
        pid: Pid,
        /// The sockets that it was given, as far as they are held.
        listeners: Vec<ListenerId>,
    },
    /// See whether a successor of this run could be started, before the run is asked to leave. Answered by `Foreseen`.
    Preflight {
        /// Of which run.
        run: RunId,
        /// What is to be started.
        definition: Arc<Definition>,
    },
    /// Send the signal that asks the main process to leave; to nobody, if it has ended.
    Ask {
        /// Whom.
        run: RunId,
        /// The signal's number.
        signal: i32,
        /// Whether it is to be seen first that the signal is not lost.
        hearing: Hearing,
    },
    /// Look whether a process of the run waits for clients. Answered by `Seen`.
    Look {
        /// At whom.
        run: RunId,
        /// How closely.
        closeness: Closeness,
    },
    /// Ask a run from outside whether it serves. Answered by `Probed`.
    Probe {
        /// Whom.
        run: RunId,
        /// Which of the service's workers it is.
        worker: u32,
        /// The number of the question.
        attempt: u32,
        /// What to do.
        target: Target,
        /// What the run was started from.
        definition: Arc<Definition>,
    },
    /// The answer to a question is awaited no more. It may be on its way.
    StopProbe {
        /// Who was asked.
        run: RunId,
        /// The number of the question.
        attempt: u32,
    },
    /// Tell of changes of the file that a run's program was started from, instead of what was watched for its
    /// service before. Each is told by `ProgramChanged`.
    Watch {
        /// Whose.
        run: RunId,
    },
    /// Tell of them no more.
    Unwatch {
        /// Whose.
        service: ServiceId,
    },
    /// Keep the program of a run that lives, whatever becomes of its file.
    Pin {
        /// Whose.
        run: RunId,
    },
    /// Keep it no longer.
    Unpin {
        /// Whose.
        run: RunId,
    },
    /// Say who is left of a run whose main process has ended. Answered by `LeftBehind`, or by nothing where nobody is
    /// found, or where that is asked too often.
    NameLeftovers {
        /// Whose.
        run: RunId,
    },
    /// Say what a run said last on its stderr. Answered by `LastWords`, which may have no lines, or by nothing where that is
    /// not known any more.
    TellLastWords {
        /// Who.
        run: RunId,
    },
    /// Start the process that writes logs, and let it read. Answered by `Writer`.
    StartWriter,
    /// It is not needed any more: it writes what it has, and ends by itself.
    RetireWriter,
    /// Send SIGTERM: to the main process, or to what is left of its group.
    Terminate {
        /// Whom.
        run: RunId,
    },
    /// Send the signal that asks to leave to the whole group, whose main process has ended.
    AskGroup {
        /// Whom.
        run: RunId,
        /// The signal's number.
        signal: i32,
    },
    /// Send SIGTERM to the whole group: a main process that waits for the others, such as a shell, passes nothing on.
    TerminateGroup {
        /// Whom.
        run: RunId,
    },
    /// Send SIGKILL to the whole group.
    Kill {
        /// Whom.
        run: RunId,
    },
    /// Bind and listen, all or none. Answered by `Bound` or `BindRefused`.
    Bind {
        /// Each socket and its name from now on.
        sockets: Vec<(ListenerId, ListenerSpec)>,
    },
    /// Write other settings to a socket, now and before each start to come.
    Configure {
        /// Which one.
        listener: ListenerId,
        /// The settings; the address is the one it has.
        spec: ListenerSpec,
    },
    /// Take a parked socket back into service, ahead of the next start (which would do it, too, and report
    /// why it cannot be done).
    Listen {
        /// Which one.
        listener: ListenerId,
    },
    /// Keep the address but refuse clients: nobody will serve them. The next start listens again.
    Park {
        /// Which one.
        listener: ListenerId,
    },
    /// Everything ends: a socket that the manager above has as well is left to it as it is, with those who wait in it.
    LeaveSockets,
    /// Give the address up.
    Close {
        /// Which one.
        listener: ListenerId,
    },
    /// Read the config file. Answered by `PlanLoaded` or `PlanRefused`.
    LoadPlan,
    /// Find out whom a restart means. Answered by `SelectorRead` or `SelectorRefused`.
    ReadSelector {
        /// The file that may hold it; else the supervisor's own environment.
        env_file: Option<PathBuf>,
    },
    /// Ask the program now on disk whether it can go on from here. Answered by `SuccessorFit` or `UpgradeRefused`.
    CheckSuccessor,
    /// Become it, once everything else of this step is done. Answered, where it cannot be, by `UpgradeRefused`; else
    /// by the next program, with `Upgraded`.
    BecomeSuccessor,
    /// Send a signal to the main process, whatever it means to it; to nobody, if it has ended.
    Signal {
        /// Whom.
        run: RunId,
        /// The signal's number.
        signal: i32,
    },
    /// Tell a client what became of its request. Its ticket is over.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// What.
        answer: Answer,
    },
    /// Tell people.
    Report(Report),
}
