//! The control socket: who may speak to it, and its clients. What they say is understood elsewhere.
//!
//! No client delays anything: each is read and written as far as it goes without blocking, what waits for it is
//! bounded, and one that keeps us waiting is cut. While none is connected there is nothing to wake up for.

mod kept;
mod place;
mod rights;

pub(super) use kept::{KeptClient, KeptControl, LeftControl};

use super::client::{Client, Peer, Read, Then};
use super::poller::{Poller, Token};
use super::runtime_dir::{NoRuntimeDir, RuntimeDir};
use super::usage::are_left_for_starts;
use crate::core::Time;
use crate::limits::{CONTROL_ANSWER_BYTES, CONTROL_CLIENTS, CONTROL_TURN};
use crate::protocol::control::{ErrorCode, Reply};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};
use place::{is_at, listen};
use rights::{Admitted, forbidden, is_owner, rights_of};
use socket2::Socket;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// One connection to the control socket; no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// Something that a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It sent a line, here without its end. The next one comes when this one was answered.
    Line(Peer, Vec<u8>),
    /// It is gone.
    Gone,
}

/// What came of a look at the socket's path.
#[derive(Debug)]
pub enum Renewed {
    /// It was removed, and is there again.
    Again,
    /// It was removed, and cannot be made.
    Failed(NoRuntimeDir),
}

/// The socket and its clients.
pub(super) struct ControlSocket {
    socket: Socket,
    /// Device and inode of its path.
    inode: (u64, u64),
    /// Tells of removals in the directory; none where the system had none to give.
    removals: Option<Inotify>,
    /// The watch that tells of them.
    watch: Option<WatchDescriptor>,
    admitted: Option<Admitted>,
    clients: BTreeMap<u32, Client>,
    last: u32,
    heard: VecDeque<(ClientId, Heard)>,
    renewed: VecDeque<Renewed>,
    /// Given up for a moment to turn a client away when there is no other descriptor left.
    spare: Option<File>,
}

impl ControlSocket {
    /// Listens in a runtime directory, for us and root alone; or goes on with what the program before has left.
    pub(super) fn open(
        poller: &Poller,
        directory: &RuntimeDir,
        left: LeftControl,
        now: Time,
    ) -> Result<Self, NoRuntimeDir> {
        let system = |error: io::Error| NoRuntimeDir::System { path: directory.socket(), error };
        let (socket, inode) = match left.socket.filter(|(_, left)| is_at(&directory.socket(), *left)) {
            Some(socket) => socket,
            None => listen(&directory.socket(), None).map_err(system)?,
        };
        poller.watch_readable(&socket, Token::Control).map_err(|errno| system(errno.into()))?;
        let mut control = Self {
            socket,
            inode,
            removals: None,
            watch: None,
            admitted: None,
            clients: BTreeMap::new(),
            last: 0,
            heard: VecDeque::new(),
            renewed: VecDeque::new(),
            spare: File::open("/dev/null").ok(),
        };
        control.watch_removals(poller, directory);
        control.take_over(poller, left.clients, now);
        Ok(control)
    }

    /// The next thing that a client did.
    pub(super) fn next(&mut self) -> Option<(ClientId, Heard)> {
        self.heard.pop_front()
    }

    /// What became of the socket's path, once for each time that somebody removed it.
    pub(super) fn take_renewed(&mut self) -> Option<Renewed> {
        self.renewed.pop_front()
    }

    /// Is something there that nobody has taken?
    pub(super) fn has_news(&self) -> bool {
        !self.heard.is_empty() || !self.renewed.is_empty()
    }

    /// When a client has to be cut, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.clients.values().filter_map(Client::deadline).min()
    }

    /// Cuts those that kept us waiting.
    pub(super) fn deadline_passed(&mut self, poller: &Poller, now: Time) {
        let due = |client: &Client| client.deadline().is_some_and(|by| by <= now);
        let due: Vec<u32> =
            self.clients.iter().filter(|(_, client)| due(client)).map(|(number, _)| *number).collect();
        for number in due {
            let goes_on = self.clients.get_mut(&number).is_some_and(|client| client.deadline_passed(now));
            self.go_on(poller, number, goes_on, now);
        }
    }

    /// Takes some of those that want to speak.
    fn accept(&mut self, poller: &Poller, now: Time) {
        for _ in 0..CONTROL_TURN {
            // Those who ask and go without waiting are no clients any more, but their requests are to be dealt with.
            if self.heard.len() >= CONTROL_CLIENTS {
                return;
            }
            match self.socket.accept() {
                Ok((stream, _)) => self.welcome(poller, stream.into(), now),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::ECONNABORTED) => {}
                    Some(libc::EMFILE | libc::ENFILE) => return self.turn_away(),
                    Some(_) | None => return,
                },
            }
        }
    }

    /// Takes the connection of somebody for whom there is no descriptor, and closes it: else it would wake us for ever.
    fn turn_away(&mut self) {
        self.spare = None;
        if let Ok((stream, _)) = self.socket.accept() {
            refuse(&stream, ErrorCode::Busy, NO_DESCRIPTOR);
        }
        self.spare = File::open("/dev/null").ok();
    }

    fn welcome(&mut self, poller: &Poller, stream: OwnedFd, now: Time) {
        let Ok(found) = getsockopt(&stream, sockopt::PeerCredentials) else { return };
        let Some(rights) = rights_of(&stream, &found, self.admitted) else {
            return refuse(&stream, ErrorCode::Forbidden, &forbidden(found.uid()));
        };
        let others = || self.clients.values().filter(|client| !is_owner(client.peer.uid)).count();
        let is_full = self.clients.len() >= CONTROL_CLIENTS;
        if is_full || !is_owner(found.uid()) && others() >= CONTROL_CLIENTS / 2 {
            let message = format!("{} clients are connected already; try again", self.clients.len());
            return refuse(&stream, ErrorCode::Busy, &message);
        }
        if !are_left_for_starts(2) {
            return refuse(&stream, ErrorCode::Busy, NO_DESCRIPTOR);
        }
        self.last = self.last.wrapping_add(1);
        let peer = Peer { uid: found.uid(), pid: found.pid(), rights };
        self.clients.insert(self.last, Client::new(stream, peer, now));
        // What it wants is there already, where it had to wait for us.
        self.serve(poller, self.last, false, now);
    }

    /// Does what the poller found.
    pub(super) fn take(&mut self, poller: &Poller, directory: &mut RuntimeDir, token: Token, now: Time) {
        match token {
            Token::Control => self.accept(poller, now),
            Token::RuntimeDir => self.look(poller, directory),
            Token::Client(number) => self.serve(poller, number, false, now),
            Token::ClientGone(number) => self.serve(poller, number, true, now),
            Token::Signal
            | Token::SignalWaits
            | Token::Log
            | Token::Voice(_)
            | Token::VoiceEnded(_)
            | Token::Listener(_)
            | Token::Probe(_)
            | Token::Cgroup(_)
            | Token::Watch
            | Token::Successor
            | Token::Writer
            | Token::WriterEnded
            | Token::LogBytes
            | Token::Adopted(_) => {}
        }
    }

    /// A client has said something, takes bytes again, or has gone.
    fn serve(&mut self, poller: &Poller, number: u32, gone: bool, now: Time) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut goes_on = client.write(now);
        // What it said before it went counts.
        let gone = gone && !client.reads();
        match client.read() {
            Read::Nothing => {}
            Read::Line(line) => {
                self.heard.push_back((ClientId(number), Heard::Line(client.peer, line)));
            }
            Read::End => goes_on = false,
        }
        self.go_on(poller, number, goes_on && !gone, now);
    }

    /// Sends a piece of an answer to a client. Tells whether that is still there.
    pub(super) fn answer(
        &mut self,
        poller: &Poller,
        client: ClientId,
        piece: &[u8],
        then: Then,
        now: Time,
    ) -> bool {
        let Some(found) = self.clients.get_mut(&client.0) else { return false };
        found.answer(piece, then, now);
        let mut goes_on = found.write(now);
        if goes_on && found.reads() {
            // The next request may be there already.
            match found.next_line() {
                Read::Nothing => {}
                Read::Line(line) => self.heard.push_back((client, Heard::Line(found.peer, line))),
                Read::End => goes_on = false,
            }
        }
        self.go_on(poller, client.0, goes_on, now);
        goes_on
    }

    /// Tells a client of an event; not, if too much waits for it already.
    pub(super) fn tell(&mut self, poller: &Poller, client: ClientId, id: u64, line: &str, now: Time) {
        if let Some(found) = self.clients.get_mut(&client.0) {
            found.tell(id, line);
            let goes_on = found.write(now);
            self.go_on(poller, client.0, goes_on, now);
        }
    }

    /// Is there room for a large answer?
    pub(super) fn has_room(&self) -> bool {
        self.clients.values().map(Client::answer_bytes).sum::<usize>() < CONTROL_ANSWER_BYTES
    }

    /// Does something wait to be taken by a client?
    pub(super) fn is_taken_from(&self) -> bool {
        self.clients.values().any(Client::writes)
    }

    /// Watches a client for what it is to do next, or closes it.
    fn go_on(&mut self, poller: &Poller, number: u32, goes_on: bool, now: Time) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        // An error for a client that is to be closed may still wait to be written.
        let goes_on = goes_on && (!client.writes() || client.write(now));
        let watched =
            goes_on && poller.watch_client(&*client, number, client.reads(), client.writes()).is_ok();
        if !watched {
            poller.forget(&*client);
            if self.clients.remove(&number).is_some_and(|client| client.has_spoken()) {
                self.heard.push_back((ClientId(number), Heard::Gone));
            }
        }
    }

    /// Somebody removed a name from the directory: is the socket still there? And the lock: without it another supervisor would
    /// take our servers for those of one that was killed.
    pub(super) fn look(&mut self, poller: &Poller, directory: &mut RuntimeDir) {
        match &self.removals {
            Some(removals) => while let Ok(_) | Err(Errno::EINTR) = removals.read_events() {},
            None => self.watch_removals(poller, directory),
        }
        if is_at(&directory.socket(), self.inode) {
            self.renewed.extend(directory.renew().err().map(Renewed::Failed));
            return;
        }
        let renewed = self.renew(poller, directory).map_or_else(Renewed::Failed, |()| Renewed::Again);
        self.renewed.push_back(renewed);
    }

    fn renew(&mut self, poller: &Poller, directory: &mut RuntimeDir) -> Result<(), NoRuntimeDir> {
        directory.renew()?;
        let path = directory.socket();
        let gid = self.admitted.map(|admitted| admitted.gid);
        let system = |error| NoRuntimeDir::System { path: path.clone(), error };
        gid.map_or(Ok(()), |gid| directory.admit(gid)).map_err(system)?;
        let (socket, inode) = listen(&path, gid).map_err(system)?;
        poller.forget(&self.socket);
        poller.watch_readable(&socket, Token::Control).map_err(|errno| system(errno.into()))?;
        (self.socket, self.inode) = (socket, inode);
        self.watch_removals(poller, directory);
        Ok(())
    }

    /// Without it, because a user has too many watches or instances of them, a socket that was removed is made anew at the next
    /// SIGHUP.
    fn watch_removals(&mut self, poller: &Poller, directory: &RuntimeDir) {
        if self.removals.is_none() {
            let new = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
            self.removals = new.filter(|it| poller.watch_readable(it, Token::RuntimeDir).is_ok());
        }
        let flags = AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        self.watch = self.removals.as_ref().and_then(|it| it.add_watch(directory.path(), flags).ok());
    }

    /// Makes no socket any more where it is removed, since the program ends. The kernel takes up to ten milliseconds to
    /// forget the watch, and whoever closes its descriptor waits for that: so there should be other things to do before
    /// [`close`](Self::close).
    pub(super) fn look_no_more(&mut self) {
        if let (Some(watch), Some(removals)) = (self.watch.take(), &self.removals) {
            // The kernel may have forgotten it already, with the directory.
            let _ = removals.rm_watch(watch);
        }
    }

    /// Removes what is ours, at the end of the program, after a last try to write what waits.
    pub(super) fn close(&mut self, directory: &RuntimeDir, now: Time) {
        for client in self.clients.values_mut() {
            client.write(now);
        }
        let path = directory.socket();
        if is_at(&path, self.inode) {
            let _ = fs::remove_file(path);
        }
    }
}

const NO_DESCRIPTOR: &str = "bootstrap has no descriptor left for this connection";

/// Tells somebody why, as far as one write does, before the connection closes.
fn refuse(stream: &impl AsRawFd, code: ErrorCode, message: &str) {
    let line = Reply::error(code, message).line(0);
    // Who does not take it sees the connection close.
    let _ = send(stream.as_raw_fd(), line.as_bytes(), MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
}
