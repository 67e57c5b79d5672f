//! The server: one thread, a bounded number of clients, and the pipe handshake.

use super::client::{Client, Step};
use crate::core::Time;
use crate::limits::{METRICS_CLIENTS, METRICS_FAILURE_HOLDS};
use crate::os::Os;
use crate::protocol::Word;
use crate::protocol::status::Status;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::SIGUSR1;
use socket2::Socket;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Asks the supervisor how it and its services are; or says why it does not answer.
pub type Source<'a> = &'a mut dyn FnMut() -> Result<Status, String>;

/// Serves on these sockets until SIGUSR1, then answers who was accepted. `pipe` is told what the handshake has words
/// for; `own` is the service that this process belongs to.
///
/// # Errors
///
/// What the system refused. Serving may have begun.
pub fn serve(
    listeners: Vec<OwnedFd>,
    pipe: OwnedFd,
    own: Option<&str>,
    source: Source<'_>,
) -> io::Result<()> {
    let mut pipe = File::from(pipe);
    let mut server = match Server::new(listeners, own, source) {
        Ok(server) => server,
        Err(error) => {
            say(&mut pipe, Word::Failed);
            return Err(error);
        }
    };
    say(&mut pipe, Word::Ready);
    while !server.turn()? {}
    server.listeners.clear();
    say(&mut pipe, Word::Success);
    while !server.clients.is_empty() {
        server.turn()?;
    }
    Ok(())
}

/// Says a word. A supervisor that was killed does not hear it, and its successor sees what we do.
fn say(pipe: &mut File, word: Word) {
    let _ = pipe.write_all(word.bytes());
}

struct Server<'a> {
    listeners: Vec<Socket>,
    /// Readable once we were asked to leave.
    asked: UnixStream,
    clients: Vec<Client>,
    /// How many clients there may be now.
    room: usize,
    own: Option<&'a str>,
    source: Source<'a>,
    /// Why there was no answer the last time, and when that was known.
    failed: Option<(String, Time)>,
}

/// What a wait ended with.
struct Stirred {
    /// We were asked to leave.
    asked: bool,
    /// Somebody may wait to be accepted: of the listeners that were watched.
    listeners: Vec<bool>,
    clients: Vec<bool>,
}

impl<'a> Server<'a> {
    fn new(listeners: Vec<OwnedFd>, own: Option<&'a str>, source: Source<'a>) -> io::Result<Self> {
        let (asked, asks) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGUSR1, asks)?;
        let listeners: Vec<Socket> = listeners.into_iter().map(Socket::from).collect();
        for listener in &listeners {
            if !listener.is_listener()? {
                return Err(io::Error::other("the descriptor is not a socket that listens"));
            }
            // Another generation may take a client first.
            listener.set_nonblocking(true)?;
        }
        Ok(Self { listeners, asked, clients: Vec::new(), room: METRICS_CLIENTS, own, source, failed: None })
    }

    /// Waits for something to happen and deals with it. Were we asked to leave?
    fn turn(&mut self) -> io::Result<bool> {
        let stirred = self.wait()?;
        let mut wants = Vec::new();
        for (at, client) in self.clients.iter_mut().enumerate().filter(|(at, _)| stirred.clients[*at]) {
            match client.go_on() {
                Step::Waits => {}
                Step::Wants(wanted) => wants.push((at, wanted)),
                Step::Ends => client.end(),
            }
        }
        // Who asks in the same turn is told the same.
        let status = if wants.iter().any(|(_, wanted)| wanted.page.is_ok()) {
            self.status()
        } else {
            Err(String::new())
        };
        let now = Os::clock();
        for (at, wanted) in wants {
            let client = &mut self.clients[at];
            if client.answer(wanted.answer(&status, self.own), now) == Step::Ends {
                client.end();
            }
        }
        self.clients.retain(|client| now < client.deadline());
        if !stirred.asked {
            self.accept(&stirred.listeners, now)?;
        }
        Ok(stirred.asked)
    }

    /// How everything is. Who has asked while we waited for an answer that did not come has waited as well.
    fn status(&mut self) -> Result<Status, String> {
        let now = Os::clock();
        if let Some((why, _)) = self.failed.as_ref().filter(|(_, at)| now < *at + METRICS_FAILURE_HOLDS) {
            return Err(why.clone());
        }
        let status = (self.source)();
        self.failed = status.as_ref().err().map(|why| (why.clone(), Os::clock()));
        status
    }

    /// Waits until something stirs, or the time of a client is over. Only what is of interest now is watched: what
    /// hangs up, and cannot be dealt with, would wake us up again and again.
    fn wait(&self) -> io::Result<Stirred> {
        let accepts = self.clients.len() < self.room;
        let listeners = if accepts { &self.listeners[..] } else { &[] };
        // With the listeners gone we know that we were asked.
        let asked = (!self.listeners.is_empty()).then_some(&self.asked);
        let watch = |fd, events| PollFd::new(fd, events);
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        fds.extend(asked.map(|asked| watch(asked.as_fd(), PollFlags::POLLIN)));
        fds.extend(listeners.iter().map(|listener| watch(listener.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.clients.iter().map(|client| watch(client.as_fd(), client.events())));
        match poll(&mut fds, self.timeout(Os::clock())) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut stirred = fds.iter().map(|fd| fd.any() == Some(true));
        Ok(Stirred {
            asked: asked.is_some() && stirred.next() == Some(true),
            listeners: stirred.by_ref().take(listeners.len()).collect(),
            clients: stirred.collect(),
        })
    }

    /// Until the first client has been waited for long enough, a millisecond late rather than early.
    fn timeout(&self, now: Time) -> PollTimeout {
        let first = self.clients.iter().map(Client::deadline).min();
        let left = first.map(|by| (by - now) + Duration::from_millis(1));
        left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))
    }

    /// Takes those who wait, as far as there is room.
    fn accept(&mut self, callers: &[bool], now: Time) -> io::Result<()> {
        self.room = METRICS_CLIENTS;
        for (listener, _) in self.listeners.iter().zip(callers).filter(|(_, calls)| **calls) {
            while self.clients.len() < self.room {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(true)?;
                        self.clients.push(Client::new(stream, now));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                        ) => {}
                    // No descriptor is left, or no memory: the next client comes when one of these has gone.
                    Err(_) if !self.clients.is_empty() => self.room = self.clients.len(),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_came_while_an_answer_was_awaited_in_vain_are_told_with_the_first() {
        let mut asked = 0;
        let mut source = || {
            asked += 1;
            Err(format!("silent {asked}"))
        };
        let mut server = Server::new(Vec::new(), None, &mut source).unwrap();
        let why = |server: &mut Server<'_>| server.status().err().unwrap();
        assert_eq!(why(&mut server), "silent 1");
        // However long the next one takes to come here.
        let later = Os::clock() + Duration::from_secs(3600);
        server.failed = server.failed.map(|(why, _)| (why, later));
        assert_eq!(why(&mut server), "silent 1");
        server.failed = server.failed.map(|(why, _)| (why, Time::default()));
        assert_eq!(why(&mut server), "silent 2");
    }
}
