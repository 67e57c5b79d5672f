//! What the core tells people: facts in fields. The sentences are made in [`report`](crate::report).

use super::Outcome;
use super::Verb;
use super::event::{BindFailure, ExitStatus, Leftover, Miss, PipeEnd, SpawnFailure};
use super::health::Sign;
use super::logs::LogFact;
use super::repair::Repair;
use super::status_text::StatusText;
use super::succession::Succession;
use crate::plan::{Address, Change, Definition, Generation, Pid, Ready, ServiceName};
use crate::protocol::Word;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A fact and what it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The service, or none where it concerns the supervisor.
    pub service: Option<ServiceName>,
    /// The generation, where it is about one.
    pub generation: Option<Generation>,
    /// Its main process, where that is known.
    pub pid: Option<Pid>,
    /// What happened and what happens next.
    pub fact: Fact,
}

impl Report {
    /// A report about the supervisor itself.
    pub fn of_supervisor(fact: Fact) -> Self {
        Self { service: None, generation: None, pid: None, fact }
    }
}

/// How one leaves that is asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leave {
    /// It accepts no more, answers so, and drains.
    Answers,
    /// It accepts no more, drains, and ends.
    Ends,
    /// It ends; it has no socket.
    HasNoSocket,
}

/// What happened, and what happens next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a field's meaning is the sentence that `report` makes of it")]
pub enum Fact {
    // -- one generation --
    /// `exec` worked.
    Started {
        #[serde(with = "crate::plan::shared")]
        definition: Arc<Definition>,
        /// Whose program it was, where that is not the one on disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program_of: Option<Generation>,
    },
    /// It is serving.
    Ready { after: Duration },
    /// Not ready in time: what was to show it did not come.
    NotReady {
        timeout: Duration,
        #[serde(default)]
        awaited: Option<Ready>,
        last: Option<Miss>,
        next: Next,
    },
    /// Nothing showed that it is ready, and nothing was configured that would; it is taken for ready.
    TakenForReady { after: Duration },
    /// It cannot be seen whether it accepts; it is taken for ready.
    CannotBeSeen,
    /// Never came to life.
    SpawnFailed { failure: SpawnFailure, next: Next },
    /// It was asked to stop.
    Asked { signal: i32, leave: Leave, timeout: Duration },
    /// It ignores the signal still; it is asked again.
    AskedTooEarly { again_in: Duration },
    /// It answered when asked: it accepts no more and finishes what is in flight.
    Answered { word: Word, after: Duration, drain_timeout: Duration },
    /// It cannot answer, but can be seen to accept no more.
    SeenQuiet { after: Duration, drain_timeout: Duration },
    /// It said, without being asked, that it accepts no more.
    LeavesByItself { word: Word, next: Next },
    /// No word can come any more, although one is awaited.
    PipeEnded { end: PipeEnd, left: Option<Duration> },
    /// It did not answer in time; SIGTERM was sent.
    Silent { after: Duration, stop_timeout: Duration },
    /// It did not finish in time; SIGTERM was sent.
    DrainTooLong {
        after: Duration,
        #[serde(default)]
        by_itself: bool,
        stop_timeout: Duration,
    },
    /// SIGTERM to its main process did not end it; all of its group have it now.
    GroupTerminated { rest: Duration },
    /// SIGTERM did not end it; SIGKILL was sent to its group.
    Killed { timeout: Duration },
    /// Too many of its predecessors are still leaving; this one is ended early.
    TooManyLeaving { limit: usize },
    /// SIGKILL did not end it: it hangs in the kernel.
    Unkillable { after: Duration },
    /// It ended, as it was asked to, or as it had said itself.
    Left {
        status: ExitStatus,
        after: Duration,
        #[serde(default)]
        by_itself: bool,
        group_left: bool,
    },
    /// The rest of its process group has ended too.
    GroupEnded {
        after: Duration,
        #[serde(default)]
        by_itself: bool,
    },
    /// It ended, and nobody had asked it to; but an operator may have had the signal sent that ended it.
    Exited {
        status: ExitStatus,
        lived: Duration,
        #[serde(default)]
        before_ready: bool,
        #[serde(default)]
        signalled: bool,
        /// What it had said of itself, where it has failed.
        #[serde(default)]
        said: Option<StatusText>,
        next: Next,
    },
    /// Its check had a bad answer, which is not the last that it may have.
    CheckMissed { misses: u32, failures: u32, miss: Miss },
    /// Its check could not be made, for want of something of ours: that says nothing about it.
    CheckNotMade { miss: Miss },
    /// It is sick.
    Unhealthy { sign: Sign, next: Next },
    /// It was sick.
    HealthyAgain { after: Duration },
    /// It reads its configuration anew.
    Reloading,
    /// It has.
    ReloadedItself { after: Duration },
    /// Another of its processes is the main one from now on.
    MainProcess { before: Option<Pid> },
    /// It named a main process that is none of its own.
    NotItsProcess { named: Pid },
    /// It said that it is about to leave.
    SaidStopping { next: Next },
    /// It serves; its predecessor is kept in reserve for a while.
    Baking { bake_time: Duration },
    /// Processes of its group outlived it; they were asked to finish what they serve.
    LeftoversAsked { signal: i32, drain_timeout: Duration },
    /// Processes of its group outlived it; they were sent SIGTERM.
    Leftovers { stop_timeout: Duration },
    /// Who outlived its main process.
    LeftBehind { first: Vec<Leftover>, all: usize },
    /// All services have stopped, and these die with us, who are PID 1: they are sent SIGTERM before.
    LeftToPid1 { first: Vec<Leftover>, all: usize, patience: Duration },

    // -- one service --
    /// A step of ours for it panicked; it is left alone.
    Quarantined { why: String },
    /// A server had harmed a socket; it is whole again.
    Repaired { address: Address, what: Repair },
    /// The restart of one worker failed, so the others are not restarted.
    RolloutStopped { left: usize },
    /// The file of its program has changed; it is restarted.
    ProgramChanged,
    /// A restart was asked for while one is under way.
    RestartQueued,
    /// It starts when these are up.
    WaitsFor { names: Vec<ServiceName> },
    /// All its processes have ended, as it was asked to.
    Stopped,
    /// It was to start after a pause; its policy was changed, and does not bring it back.
    StaysDown,
    /// A successor could not be started, by what was seen before anybody was asked to leave; this one serves on.
    NotRestarted { failure: SpawnFailure, serves: Generation },
    /// It serves on at an address that is another service's by now: it makes way.
    Displaced { address: Address, owner: ServiceName },
    /// Its processes are asked to leave, and none is started until it is released. With `sockets` clients wait.
    Held { sockets: bool },
    /// A restart was asked for of more than this one, which an operator holds or has stopped.
    LeftAlone { held: bool },
    /// An operator had a signal sent to this run.
    Signalled { signal: i32 },

    // -- the supervisor --
    /// All sockets are bound.
    Holding { sockets: usize, services: usize },
    /// A socket could not be bound.
    BindFailed {
        failure: BindFailure,
        overlaps: Option<Address>,
        /// The run of ours that was asked to leave, and has it still.
        #[serde(default)]
        drains: Option<(ServiceName, Generation)>,
    },
    /// The consequence of the above.
    BindRefused { failed: usize, boot: bool, orphans: usize },
    /// SIGUSR1 arrived; these are restarted.
    Restarting { services: usize },
    /// SIGUSR1 arrived; a pattern of the selector matches no service.
    SelectorUnmatched { pattern: String },
    /// SIGUSR1 arrived; the selector matches nothing, so nothing is restarted.
    NothingSelected,
    /// SIGUSR1 arrived; there is no file that could hold the selector.
    SelectorFileMissing { path: PathBuf },
    /// SIGUSR1 arrived; the file with the selector could not be read, so nothing is restarted.
    SelectorRefused { reason: String },
    /// An operator asked for this.
    Ordered { verb: Verb, services: usize },
    /// SIGHUP arrived; the file has a mistake.
    Mistake { text: String },
    /// The consequence of the above.
    ReloadRefused { mistakes: usize },
    /// The new file applies.
    Reloaded { applied: Applied },
    /// What the new file does to one service.
    Changed {
        change: Change,
        /// Somebody has put the service down: it takes the change when it starts.
        #[serde(default)]
        at_start: bool,
    },
    /// SIGHUP arrived while everything is being stopped.
    ReloadIgnored,
    /// One supervisor follows another.
    Succession(Succession),
    /// We did not run for some time.
    StoodStill { late: Duration },
    /// Log lines were lost: nobody read them.
    LogLost { lines: u64 },
    /// It is about what services write.
    Logs(LogFact),
    /// It is about the control socket.
    Control(ControlFact),
    /// SIGTERM, SIGINT arrived.
    Stopping { services: usize },
    /// SIGQUIT arrived, or a second stop.
    StoppingNow { processes: usize },
    /// A signal arrived that means nothing.
    StraySignal { signal: i32 },
    /// It cannot begin to supervise.
    NotStarted { reason: String },
    /// Everything has ended.
    Ended { outcome: Outcome, crashed: usize },
}

/// What happened to the control socket, or on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlFact {
    /// It begins.
    Begins {
        /// With this file, as it was named.
        config: PathBuf,
    },
    /// A client asked for something to be done.
    Commanded {
        /// What, in the words of the command line.
        command: String,
        /// The client's user.
        uid: u32,
        /// Its process.
        pid: i32,
    },
    /// There is none.
    Missing {
        /// Why.
        reason: String,
    },
    /// It was removed, and is there again.
    Again {
        /// Where.
        path: PathBuf,
    },
    /// The group that may speak to it cannot.
    NotAdmitted {
        /// Its name.
        group: String,
        /// Why.
        reason: String,
    },
    /// Another runtime directory was configured.
    MovesLater,
}

/// What a new config changed: how many services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Are new.
    pub added: usize,
    /// Are not in it any more.
    pub removed: usize,
    /// Have another program or other addresses.
    pub restarted: usize,
    /// Have another policy.
    pub in_place: usize,
    /// Are as they were.
    pub untouched: usize,
}

/// What follows the end of a generation that nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Next {
    /// The next generation starts at once.
    StartsNow(Generation),
    /// The next generation starts after a pause; which that is cannot be known where there are other workers.
    StartsIn(Option<Generation>, Duration),
    /// The service is restarted at once, in its own order.
    RestartsNow,
    /// The service is restarted after a pause, unless it recovers.
    RestartsIn(Duration),
    /// Nothing is done about it: that is its policy.
    LeftAlone,
    /// The generation before it serves on.
    OldServesOn(Generation),
    /// The generation that was to replace it is starting already.
    SuccessorStarts(Generation),
    /// The generation that was to replace it serves already.
    SuccessorServes(Generation),
    /// The program and definition of the generation before it are started again, as this one.
    RollsBack(Generation),
    /// The service stays down: it ended well and its policy does not bring it back.
    Stopped,
    /// The service stays down: it crashed and its policy does not bring it back.
    Crashed,
    /// It was to go anyway.
    Nothing,
}

impl Fact {
    /// Did it serve, and end with 0, without being asked?
    pub fn is_good_end(&self) -> bool {
        matches!(self, Self::Exited { status: ExitStatus::Code(0), before_ready: false, .. })
    }
}
