//! The system: everything that happens comes in as an [`Event`], everything that is to be done goes out as an
//! [`Action`]. The only system calls of the program are here; no decision about a service is.
//!
//! One thread. [`Os::wait`] is the only call that blocks, and with nothing to do it is never woken.

mod above;
mod accepted;
mod ack;
mod adoption;
mod arguments;
mod arrival;
mod binaries;
mod bind;
mod birth;
mod cgroup;
mod child;
mod children;
mod client;
mod clock;
mod commands;
mod control;
mod diag;
mod dispositions;
mod env_file;
mod env_files;
mod environment;
mod foresight;
mod guise;
mod heard;
mod identity;
mod inherited;
mod interpreter;
mod journal;
mod kept;
mod listener;
mod listeners;
mod log_output;
mod log_pulse;
mod logs;
mod lookup;
mod memory;
mod names;
mod notify;
mod orphans;
mod output;
mod owner;
mod passing;
mod pid_one;
mod pidfd;
mod pipe;
mod poller;
mod precedence;
mod probe;
mod proc_file;
mod processes;
mod program;
mod queues;
mod record;
mod records;
mod reexec;
mod remains;
mod runtime_dir;
mod scribe;
mod share;
mod sight;
mod signals;
mod slots;
mod sockopt;
mod spawn;
mod standstill;
mod start;
mod store;
mod strings;
mod successor;
mod trail;
mod trusted;
mod turn;
mod unix_path;
mod usage;
mod voice;
mod watches;
mod way_out;

pub use above::Superior;
pub use arrival::Arrival;
pub use client::{Peer, Then};
pub use commands::Pieces;
pub use control::{ClientId, Heard, Renewed};
pub use env_file::variable_in_file;
pub use foresight::obstacles;
pub use inherited::{TooFewDescriptors, claim_granted, make_more_room, make_room, take_all_descriptors};

pub use journal::stderr_is_journal;
pub use kept::{Kept, Left};
pub use names::look_up_names_in_files_where_static;
pub use passing::{packet_pair, pipe_capacity, receive, send, widen_pipe};
pub use queues::Queues;
pub use reexec::{Write, begin_anew};
pub use runtime_dir::{NoRuntimeDir, Place, RuntimeDir};
pub use successor::answer_check;
pub use trusted::is_of_us_or_root;

use crate::core::{Action, Event, RunEvent, Time};
use crate::protocol::status::Usage;
use control::{ControlSocket, LeftControl};
use env_files::EnvFiles;
use inherited::DescriptorLimit;
use listeners::Listeners;
use log_output::LogOutput;
use logs::Logs;
use orphans::Finds;
use poller::{Poller, Token};
use probe::{Probes, Question};
use processes::Processes;
use program::Pins;
use records::Records;
use share::Share;
use signals::Signals;
use slots::Slots;
use spawn::Spawner;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use store::{Given, Store};
use successor::Check;
use watches::Watches;

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// It is for the core.
    Event(Event),
    /// A client of the control socket did something.
    Client(ClientId, Heard),
    /// The control socket was removed by somebody.
    ControlRenewed(Renewed),
    /// Much was done, and nothing is to be done now: a good time for [`Os::give_back`].
    Calm,
}

/// The system, as the supervisor sees it.
pub struct Os {
    poller: Poller,
    signals: Signals,
    spawner: Spawner,
    processes: Processes,
    probes: Probes,
    watches: Watches,
    pins: Pins,
    env_files: EnvFiles,
    listeners: Listeners,
    log: LogOutput,
    /// What services write, and the log writer.
    logs: Logs,
    control: Option<ControlSocket>,
    /// What the program before left of one, until there is a control socket.
    left_control: LeftControl,
    /// The poller was asked since a client was last listened to.
    polled: bool,
    /// The deadline before which it was looked at last what has come.
    looked_by: Option<Time>,
    standstill: standstill::Standstill,
    /// What happened and was not given out yet.
    events: VecDeque<Event>,
    /// The path that this program was started by.
    program: PathBuf,
    /// The limit of descriptors that children get.
    limit: DescriptorLimit,
    /// The program that is asked whether it can take over.
    check: Option<Check>,
    /// One that can.
    fit: Option<Check>,
    /// What is written down of each run, where there is a place for it.
    records: Option<Records>,
    /// The directory that is ours alone.
    runtime_dir: Option<RuntimeDir>,
    /// What another supervisor left behind.
    finds: Finds,
    /// When a client is listened to although other things are to be done.
    share: Share,
    /// Memory was used that is not needed any more.
    lavish: bool,
    /// Events since there was nothing to do.
    busy_with: u32,
    /// The manager above us that keeps our sockets.
    store: Option<Store>,
    /// What it gave back to us.
    given: Vec<Given>,
    /// The inodes of all that the manager above gave, to this program or to one before it.
    handed_down: BTreeSet<u64>,
}

impl Os {
    /// Prepares the process: descriptors that it inherited go to no child, orphans come to us, the soft limit
    /// of descriptors becomes the hard one, signals become events. One per process: it reaps every child.
    ///
    /// # Errors
    ///
    /// The system's; then the program cannot run.
    pub fn new() -> io::Result<Self> {
        let given = store::take_given();
        inherited::fill_standard_descriptors()?;
        inherited::keep_from_children()?;
        Self::prepare(inherited::raise_descriptor_limit()?, successor::own_path(), given)
    }

    /// What every program does that supervises; `limit` is what children get.
    fn prepare(limit: DescriptorLimit, program: PathBuf, given: Vec<Given>) -> io::Result<Self> {
        memory::keep_little();
        inherited::adopt_orphans()?;
        // Before anything of ours gets one of these numbers.
        let slots = Slots::reserve()?;
        let poller = Poller::new()?;
        let signals = Signals::install()?;
        poller.watch_readable(&signals, Token::Signal)?;
        poller.watch_readable(signals.waiting(), Token::SignalWaits)?;
        Ok(Self {
            poller,
            signals,
            spawner: Spawner::new(limit, slots)?,
            processes: Processes::none(),
            probes: Probes::default(),
            watches: Watches::default(),
            pins: Pins::default(),
            env_files: EnvFiles::default(),
            listeners: Listeners::default(),
            log: LogOutput::new(io::stderr())?,
            logs: Logs::default(),
            control: None,
            left_control: LeftControl::default(),
            polled: false,
            events: VecDeque::new(),
            program,
            limit,
            check: None,
            fit: None,
            records: None,
            runtime_dir: None,
            finds: Finds::default(),
            share: Share::new(clock::now()),
            lavish: true,
            busy_with: 0,
            store: Store::of_environment(&given),
            looked_by: None,
            standstill: standstill::Standstill::default(),
            handed_down: given.iter().map(Given::inode).collect(),
            given,
        })
    }

    /// Has everything given back, when nothing else is to be done, that was only needed for what has just been done.
    pub fn be_small(&mut self) {
        self.lavish = true;
    }

    /// The time now, for those who have no system to ask.
    pub fn clock() -> Time {
        clock::now()
    }

    /// The time of day, for people.
    pub fn wall_clock() -> std::time::SystemTime {
        clock::wall()
    }

    /// The time now.
    pub fn now(&self) -> Time {
        clock::now()
    }

    /// Does one thing; its outcome, where there is one, comes back through [`wait`](Self::wait).
    pub fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn { run, worker, definition, program_of, listeners } => {
                self.spawn(run, worker, &definition, program_of, &listeners);
            }
            Action::Ask { run, signal, hearing } => {
                self.events.extend(self.processes.ask(run, signal, hearing));
            }
            Action::Terminate { run } => self.events.extend(self.processes.terminate(&self.poller, run)),
            Action::AskGroup { run, signal } => self.signal_group(run, signal),
            Action::TerminateGroup { run } => self.signal_group(run, libc::SIGTERM),
            Action::Kill { run } => self.signal_group(run, libc::SIGKILL),
            Action::Bind { sockets } => {
                let (taken_back, mut repairs) = (&mut self.finds.sockets, Vec::new());
                self.events.push_back(self.listeners.bind(&self.poller, sockets, taken_back, &mut repairs));
                self.events.extend(repairs);
            }
            Action::NoteServing { run } => self.note_serving(run),
            Action::Adopt { run, pid, listeners } => self.adopt(run, pid, &listeners),
            Action::Configure { listener, spec } => self.listeners.configure(listener, spec),
            Action::Listen { listener } => self.listeners.listen(listener),
            Action::Park { listener } => self.listeners.park(listener),
            Action::LeaveSockets => self.leave_sockets(),
            Action::Close { listener } => self.listeners.close(&self.poller, listener),
            Action::Look { run, closeness } => {
                self.processes.touch(run);
                self.mend_touched();
                let sight = self.processes.look(run, closeness, &self.listeners);
                self.events.push_back(Event::Run(run, RunEvent::Seen(sight)));
            }
            Action::Preflight { run, definition } => {
                let failure = self.spawner.obstacle(&definition.program);
                self.events.push_back(Event::Run(run, RunEvent::Foreseen(failure)));
            }
            Action::Probe { run, worker, attempt, target, definition } => {
                // Of one whose main process has ended the exit is on its way; nothing else is awaited of it.
                if let Some(pid) = self.processes.main_pid(run) {
                    let (target, definition) = (&target, &definition);
                    let question = Question { run, worker, attempt, target, definition, pid };
                    self.events.extend(self.probes.ask(&self.poller, &mut self.spawner, &question));
                }
            }
            Action::StopProbe { run, attempt } => self.probes.stop(&self.poller, run, attempt),
            Action::Watch { run } => {
                if self.watches.watch(&self.poller, run, self.processes.program(run)) {
                    self.events.push_back(Event::ProgramChanged { service: run.service });
                }
            }
            Action::Unwatch { service } => self.watches.forget(&self.poller, service),
            Action::Pin { run } => self.pins.keep(run, || self.processes.pin(run)),
            Action::Unpin { run } => {
                self.pins.let_go(run);
                self.forget_env_file(run);
                self.processes.unpin(run);
            }
            Action::TellLastWords { run } => {
                self.events.extend(self.logs.ask_last_words(&self.poller, run, clock::now()));
            }
            Action::StartWriter => self.start_writer(),
            Action::RetireWriter => self.logs.retire(&self.poller),
            Action::Signal { run, signal } => self.processes.signal(run, signal),
            Action::NameLeftovers { run } => {
                self.events.extend(self.processes.leftovers(run, clock::now()));
            }
            // These need the config file, the clients or the reports, which the system knows nothing of: the loop
            // performs them and never hands them on.
            Action::LoadPlan
            | Action::ReadSelector { .. }
            | Action::Answer { .. }
            | Action::CheckSuccessor
            | Action::BecomeSuccessor
            | Action::Report(_) => {}
        }
    }

    /// What this process takes of the machine now.
    pub fn usage(&self) -> Usage {
        usage::own()
    }

    /// How long ago this process was started, whatever programs it has been.
    pub fn age(&self) -> Option<std::time::Duration> {
        usage::age()
    }

    /// Takes an event that the loop made; [`wait`](Self::wait) gives it out in its turn.
    pub fn post(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Has the number of log lines that were lost, because stderr was not read, told in such a line.
    pub fn tell_loss_as(&mut self, line: impl Fn(u64) -> String + 'static) {
        self.log.tell_loss_as(Box::new(line));
    }

    /// Writes one line to stderr, without its newline, at the end of the turn at the latest; never blocks.
    pub fn log(&mut self, line: &str) {
        self.log.line(&self.poller, line);
    }

    fn signal_group(&mut self, run: crate::plan::RunId, signal: i32) {
        self.events.extend(self.processes.signal_group(&self.poller, run, signal));
    }

    /// Writes the lines that wait, for at most [`LOG_FLUSH_PATIENCE`](crate::limits::LOG_FLUSH_PATIENCE).
    pub fn flush_log(&mut self) {
        self.log.flush();
    }

    /// Gives all addresses up, at the end of the program. Unix paths are removed where they are still ours.
    pub fn release(&mut self) {
        self.control.iter_mut().for_each(ControlSocket::look_no_more);
        // Who ended last is not to be looked for by the next supervisor.
        self.note_changes();
        self.records.iter().for_each(Records::release);
        self.listeners.close_all();
        self.release_control();
    }

    /// The same where the sockets could not be bound: whom a killed supervisor left is to be found once more, with all that
    /// they have.
    pub fn leave(&mut self) {
        self.control.iter_mut().for_each(ControlSocket::look_no_more);
        if self.finds.held.is_empty() && self.finds.unwanted.is_empty() {
            self.records.iter().for_each(Records::release);
        }
        self.release_control();
    }
}
