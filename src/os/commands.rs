//! The system's side of commands: the control socket in the runtime directory, and what is sent to its clients.

use super::client::Then;
use super::control::{ClientId, ControlSocket};
use super::poller::Poller;
use super::queues::Queues;
use super::runtime_dir::{NoRuntimeDir, RuntimeDir};
use super::{Os, memory};
use crate::core::Time;
use crate::plan::Rights;
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

impl Os {
    /// Holds the runtime directory.
    pub fn hold(&mut self, directory: RuntimeDir) {
        self.runtime_dir = Some(directory);
    }

    /// Listens for commands in the runtime directory, if there is one. They come from [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// The socket cannot be made.
    pub fn open_control(&mut self) -> Result<(), NoRuntimeDir> {
        let now = self.now();
        let left = std::mem::take(&mut self.left_control);
        self.control = match &self.runtime_dir {
            Some(directory) => Some(ControlSocket::open(&self.poller, directory, left, now)?),
            None => None,
        };
        Ok(())
    }

    /// Where the control socket is, if there is one.
    pub fn control_path(&self) -> Option<PathBuf> {
        self.control.as_ref().and(self.runtime_dir.as_ref()).map(RuntimeDir::socket)
    }

    /// Lets the members of a group speak to the control socket, or nobody but us and root.
    ///
    /// # Errors
    ///
    /// The socket cannot be given to the group: then nobody else may.
    pub fn admit(&mut self, gid: Option<u32>, rights: Rights) -> io::Result<()> {
        let now = self.now();
        match (&mut self.control, &self.runtime_dir) {
            (Some(control), Some(directory)) => control.admit(&self.poller, directory, (gid, rights), now),
            _ => Ok(()),
        }
    }

    /// Sees that the control socket is still there, and makes it anew if not.
    pub fn look_after_control(&mut self) {
        if let (Some(control), Some(directory)) = (&mut self.control, &mut self.runtime_dir) {
            control.look(&self.poller, directory);
        }
    }

    /// Sends a line to a client of the control socket, without waiting until it takes it.
    pub fn answer(&mut self, client: ClientId, line: &str, then: Then) {
        let now = self.now();
        if let Some(control) = self.control.as_mut() {
            control.answer(&self.poller, client, line.as_bytes(), then, now);
        }
    }

    /// The same, while the line is being made: it may have megabytes, and whoever takes a piece of it works on that while we
    /// make the next. `make` is given what waits at the sockets now.
    pub fn answer_in_pieces(
        &mut self,
        client: ClientId,
        make: impl FnOnce(&Queues<'_>, &mut Pieces<'_>) -> io::Result<()>,
    ) {
        let (now, poller) = (self.now(), &self.poller);
        let Some(control) = self.control.as_mut() else { return };
        let mut pieces = Pieces { control, poller, client, now, bytes: 0 };
        // Who is gone hears no more of it.
        let _ = make(&Queues::of(&self.listeners), &mut pieces);
        self.lavish |= pieces.bytes > memory::LARGE_BYTES;
        control.answer(poller, client, &[], Then::Next, now);
    }

    /// Tells a client of an event. It loses those that it is too slow for, and is told how many, by the number
    /// of its request.
    pub fn tell(&mut self, client: ClientId, id: u64, line: &str) {
        let now = self.now();
        if let Some(control) = self.control.as_mut() {
            control.tell(&self.poller, client, id, line, now);
        }
    }

    /// A client asks for an upgrade, by a request of this number: its connection outlives that.
    pub fn asks_for_upgrade(&mut self, client: ClientId, request: u64) {
        if let Some(control) = self.control.as_mut() {
            control.asks_for_upgrade(client, request);
        }
    }

    /// The clients that asked for an upgrade and were not answered, and by which request.
    pub fn askers(&self) -> Vec<(ClientId, u64)> {
        self.control.as_ref().map_or_else(Vec::new, ControlSocket::askers)
    }

    /// Is there room for a large answer to a client, or do too many wait already?
    pub fn has_room_for_answers(&self) -> bool {
        self.control.as_ref().is_some_and(ControlSocket::has_room)
    }

    /// Closes what clients speak to, and lets the runtime directory go, at the end of the program.
    pub(super) fn release_control(&mut self) {
        let now = self.now();
        let Some(directory) = &self.runtime_dir else { return };
        if let Some(mut control) = self.control.take() {
            control.close(directory, now);
        }
        directory.release();
    }
}

/// Takes pieces of an answer, and sends each as it comes.
pub struct Pieces<'a> {
    control: &'a mut ControlSocket,
    poller: &'a Poller,
    client: ClientId,
    now: Time,
    /// That have come so far.
    bytes: usize,
}

impl Pieces<'_> {
    /// Bytes that are sent at a time: about what the kernel keeps of them.
    const PIECE_BYTES: usize = 256 * 1024;

    /// Writes a line of JSON, while it is being made.
    ///
    /// # Errors
    ///
    /// The client is gone.
    pub fn write_line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(Self::PIECE_BYTES, self);
        serde_json::to_writer(&mut out, line)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.bytes += piece.len();
        let is_there = self.control.answer(self.poller, self.client, piece, Then::More, self.now);
        if is_there { Ok(piece.len()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
