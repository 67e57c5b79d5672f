//! Asking a server from outside whether it serves: by connecting, by HTTP, by a command. None of it blocks; each
//! question ends with an answer, or when nobody awaits it any more.

use super::children;
use super::output::Channels;
use super::poller::{Poller, Token};
use super::precedence::Precedence;
use super::spawn::{Order, Spawner};
use super::trail::Trail;
use crate::core::{Action, Event, ExitStatus, Miss, RunEvent};
use crate::plan::{Definition, Generation, Handshake, Place, RunId, Target};
use crate::protocol::{Granted, StatusReader, expand, request};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

/// A question to one run.
pub(super) struct Question<'a> {
    pub(super) run: RunId,
    pub(super) worker: u32,
    pub(super) attempt: u32,
    pub(super) target: &'a Target,
    pub(super) definition: &'a Arc<Definition>,
    /// The main process of the run.
    pub(super) pid: i32,
}

/// A question that waits for its answer.
struct Open {
    run: RunId,
    attempt: u32,
    /// What it takes to ask again.
    again: Again,
    way: Way,
}

/// What the next program must know to ask again: it has neither the connection nor the command's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    run: RunId,
    worker: u32,
    attempt: u32,
    target: Target,
    #[serde(with = "crate::plan::shared")]
    definition: Arc<Definition>,
}

/// The questions that are left to the next program.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptProbes {
    open: Vec<Again>,
    commands: Vec<i32>,
}

/// How far a question is.
enum Way {
    /// The connection is being made; then this is asked.
    Connecting(Socket, Option<Inquiry>),
    /// The answer is on its way.
    Reading(Socket, StatusReader, Option<u16>),
    /// The command runs.
    Command(i32),
}

/// What to ask over a connection, and the good status.
struct Inquiry {
    request: Vec<u8>,
    status: Option<u16>,
}

/// What has become of a question: nothing yet, or its answer.
type Answer = Option<Result<(), Miss>>;

/// All questions that wait for an answer.
#[derive(Default)]
pub(super) struct Probes {
    open: BTreeMap<u32, Open>,
    by_run: BTreeMap<RunId, u32>,
    /// Commands that have not been reaped, and the question of each, unless that was given up.
    commands: BTreeMap<i32, Option<u32>>,
    last: u32,
    /// The same commands, for a supervisor that comes after a kill.
    trail: Trail,
}

impl Probes {
    /// Has the commands written down there from now on.
    pub(super) fn leave_trail(&mut self, trail: Trail) {
        self.trail = trail;
    }

    /// Asks. The answer may be known at once.
    pub(super) fn ask(
        &mut self,
        poller: &Poller,
        spawner: &mut Spawner,
        question: &Question<'_>,
    ) -> Option<Event> {
        let number = self.next_number();
        let way = match question.target {
            Target::Tcp(place) => {
                connect(&question.fill(place.text()), place).map(|it| Way::Connecting(it, None))
            }
            Target::Http { place, host, path, status } => {
                let request = request(&question.fill(host), &question.fill(path));
                let inquiry = Inquiry { request, status: *status };
                connect(&question.fill(place.text()), place).map(|it| Way::Connecting(it, Some(inquiry)))
            }
            Target::Exec(command) => start(poller, spawner, &self.trail, question, command).map(Way::Command),
        };
        let way = way.and_then(|way| match &way {
            Way::Command(pid) => {
                self.commands.insert(*pid, Some(number));
                Ok(way)
            }
            Way::Connecting(socket, _) | Way::Reading(socket, ..) => {
                poller
                    .watch_writable(socket, Token::Probe(number))
                    .map_err(|error| Miss::Failed(error as i32))?;
                Ok(way)
            }
        });
        match way {
            Ok(way) => {
                let open =
                    Open { run: question.run, attempt: question.attempt, again: question.again(), way };
                self.open.insert(number, open);
                self.by_run.insert(question.run, number);
                None
            }
            Err(miss) => Some(told(question.run, question.attempt, Err(miss))),
        }
    }

    /// Gives a question up; its command is killed with its group, and reaped when it has ended.
    pub(super) fn stop(&mut self, poller: &Poller, run: RunId, attempt: u32) {
        let number = self.by_run.get(&run).copied();
        let asked = |number: &u32| self.open.get(number).is_some_and(|open| open.attempt == attempt);
        let Some(open) = number.filter(asked).and_then(|number| self.forget(poller, number)) else { return };
        if let Way::Command(pid) = open.way {
            self.commands.insert(pid, None);
            // It may have ended already: then it is a zombie, and the number its own.
            let _ = children::send_to_group(pid, libc::SIGKILL);
        }
    }

    /// Goes on with a question whose connection is ready for more.
    pub(super) fn go_on(&mut self, poller: &Poller, number: u32) -> Option<Event> {
        let open = self.open.get_mut(&number)?;
        let answer = open.way.advance(poller, Token::Probe(number))?;
        let open = self.forget(poller, number)?;
        Some(told(open.run, open.attempt, answer))
    }

    /// Is this child the command of a question?
    pub(super) fn knows(&self, pid: i32) -> bool {
        self.commands.contains_key(&pid)
    }

    /// Reaps the command of a question, with whatever it has left in its group, and gives its answer.
    pub(super) fn reap(&mut self, poller: &Poller, pid: i32) -> Option<Event> {
        // While it is a zombie the number of the group is nobody else's.
        let _ = children::send_to_group(pid, libc::SIGKILL);
        let status = children::reap(pid)?;
        self.trail.ended(pid);
        let number = self.commands.remove(&pid)??;
        let open = self.forget(poller, number)?;
        let answer = if status == ExitStatus::Code(0) { Ok(()) } else { Err(Miss::Exited(status)) };
        Some(told(open.run, open.attempt, answer))
    }

    /// Leaves the questions to the next program.
    pub(super) fn keep(&self) -> KeptProbes {
        let open = self.open.values().map(|open| open.again.clone()).collect();
        KeptProbes { open, commands: self.commands.keys().copied().collect() }
    }

    /// Takes them over: what is to be done to ask them again. Commands that nobody hears any more are ended.
    pub(super) fn restore(kept: KeptProbes) -> (Self, Vec<Action>) {
        for pid in &kept.commands {
            // None was reaped, so the number is its own.
            let _ = children::send_to_group(*pid, libc::SIGKILL);
        }
        let commands = kept.commands.into_iter().map(|pid| (pid, None)).collect();
        let ask = |again: Again| {
            let Again { run, worker, attempt, target, definition } = again;
            Action::Probe { run, worker, attempt, target, definition }
        };
        (Self { commands, ..Self::default() }, kept.open.into_iter().map(ask).collect())
    }

    fn forget(&mut self, poller: &Poller, number: u32) -> Option<Open> {
        let open = self.open.remove(&number)?;
        if let Way::Connecting(socket, _) | Way::Reading(socket, ..) = &open.way {
            poller.forget(socket);
        }
        if self.by_run.get(&open.run) == Some(&number) {
            self.by_run.remove(&open.run);
        }
        Some(open)
    }

    fn next_number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.open.contains_key(&self.last) {
                return self.last;
            }
        }
    }
}

fn told(run: RunId, attempt: u32, answer: Result<(), Miss>) -> Event {
    Event::Run(run, RunEvent::Probed { attempt, answer })
}

impl Question<'_> {
    /// Replaces the placeholders of a text.
    fn fill(&self, template: &str) -> String {
        let granted = Granted {
            service: self.definition.name.as_str(),
            listeners: &self.definition.listeners,
            fds: &[],
            pipe: None,
            notify: None,
            ack: None,
            ack_path: None,
            generation: self.generation(),
            worker: self.worker,
            supervisor: std::process::id(),
        };
        expand(template, &granted)
    }

    fn again(&self) -> Again {
        let (target, definition) = (self.target.clone(), self.definition.clone());
        Again { run: self.run, worker: self.worker, attempt: self.attempt, target, definition }
    }

    fn generation(&self) -> Generation {
        self.run.generation
    }

    /// The service with this command instead of its own, and without its sockets: who it runs as, its
    /// environment and its directory are those of the service.
    fn as_definition(&self, command: &[String]) -> Definition {
        let mut definition = Definition::clone(self.definition);
        definition.program.command = command.to_vec();
        definition.program.handshake = Handshake::None;
        definition.program.watchdog = None;
        // It is none of the run: what is left in that cgroup must be.
        definition.program.identity.cgroup = None;
        definition.program.env.insert("BOOTSTRAP_PID".into(), self.pid.to_string());
        definition
    }
}

/// Begins to connect.
fn connect(filled: &str, place: &Place) -> Result<Socket, Miss> {
    let no_address = || Miss::Address(filled.into());
    let (domain, address) = match place {
        Place::Ip(_) => {
            let address: SocketAddr = filled.parse().map_err(|_| no_address())?;
            (Domain::for_address(address), address.into())
        }
        Place::Unix(_) => (Domain::UNIX, SockAddr::unix(filled).map_err(|_| no_address())?),
    };
    let failed = |error: &io::Error| Miss::Failed(error.raw_os_error().unwrap_or(libc::EIO));
    let socket =
        Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None).map_err(|error| failed(&error))?;
    match socket.connect(&address) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(failed(&error)),
    }
}

/// Starts the command of a question, in a process group of its own.
fn start(
    poller: &Poller,
    spawner: &mut Spawner,
    trail: &Trail,
    question: &Question<'_>,
    command: &[String],
) -> Result<i32, Miss> {
    let order = Order {
        definition: &question.as_definition(command),
        generation: question.generation(),
        worker: question.worker,
        fds: &[],
        pinned: None,
        env_file: None,
        channels: Channels::MUTE,
        runtime_dir: None,
        precedence: Precedence::Ours,
        expect: &|_| trail.expect(),
        missed: &|_| (),
    };
    // It has no voice, so nothing is watched under the number.
    match spawner.start(poller, 0, &order) {
        Ok(started) => {
            trail.born(started.pid);
            Ok(started.pid)
        }
        Err(failure) => {
            trail.not_born();
            Err(Miss::NotStarted(failure))
        }
    }
}

impl Way {
    /// Does what can be done without waiting.
    fn advance(&mut self, poller: &Poller, token: Token) -> Answer {
        match self {
            Self::Connecting(socket, inquiry) => {
                if let Some(error) = socket.take_error().ok().flatten() {
                    return Some(Err(Miss::Failed(error.raw_os_error().unwrap_or(libc::EIO))));
                }
                let Some(inquiry) = inquiry.take() else { return Some(Ok(())) };
                // It fits into the buffer of a connection on which nothing was written yet.
                match socket.write(&inquiry.request) {
                    Ok(written) if written == inquiry.request.len() => {}
                    Ok(_) => return Some(Err(Miss::Closed)),
                    Err(error) => return Some(Err(of_talk(&error))),
                }
                poller.forget(&*socket);
                let ours = match socket.try_clone() {
                    Ok(ours) => ours,
                    Err(error) => return Some(Err(of_talk(&error))),
                };
                if let Err(errno) = poller.watch_readable(&ours, token) {
                    return Some(Err(Miss::Failed(errno as i32)));
                }
                *self = Self::Reading(ours, StatusReader::default(), inquiry.status);
                None
            }
            Self::Reading(socket, reader, wanted) => read(socket, reader, *wanted),
            Self::Command(_) => None,
        }
    }
}

/// Reads what is there, until the status is known; an answer that goes on and on does not keep the loop.
fn read(socket: &mut Socket, reader: &mut StatusReader, wanted: Option<u16>) -> Answer {
    const READS_OF_A_TURN: usize = 16;
    let mut buffer = [0; 1024];
    for _ in 0..READS_OF_A_TURN {
        let count = match socket.read(&mut buffer) {
            Ok(0) => return Some(Err(Miss::Closed)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) => return Some(Err(of_talk(&error))),
        };
        match reader.push(buffer.get(..count).unwrap_or_default()) {
            Ok(None) => {}
            Ok(Some(status)) => {
                let good = wanted.map_or((200..400).contains(&status), |wanted| wanted == status);
                return Some(if good { Ok(()) } else { Err(Miss::Status(status)) });
            }
            Err(_) => return Some(Err(Miss::NotHttp)),
        }
    }
    None
}

fn of_talk(error: &io::Error) -> Miss {
    match error.raw_os_error() {
        Some(libc::ECONNRESET | libc::EPIPE) => Miss::Closed,
        number => Miss::Failed(number.unwrap_or(Errno::EIO as i32)),
    }
}
