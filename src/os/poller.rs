//! The only call that blocks: one epoll set, level-triggered, so that nothing is lost when only a part of
//! what is there is taken.

use crate::core::Time;
use crate::plan::ListenerId;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A signal arrived.
    Signal,
    /// A signal waits that no handler takes: that of a child that has ended, or one that means nothing.
    SignalWaits,
    /// Stderr takes bytes again.
    Log,
    /// The server that talks under this number has said something, or will say no more.
    Voice(u32),
    /// It will say no more, and nothing is left to read.
    VoiceEnded(u32),
    /// The first process is in the cgroup of the run with this number, or the last has left it.
    Cgroup(u32),
    /// The connection of a question with this number is ready for more.
    Probe(u32),
    /// The file of a program may have changed.
    Watch,
    /// Somebody shut this listener down.
    Listener(ListenerId),
    /// Somebody wants to speak to the control socket.
    Control,
    /// A name was removed from the runtime directory, or the directory itself.
    RuntimeDir,
    /// This client of the control socket has said something, or takes bytes again.
    Client(u32),
    /// This client has gone.
    ClientGone(u32),
    /// The program that was asked whether it can take over has said something.
    Successor,
    /// The log writer has said something, or takes more.
    Writer,
    /// The log writer has ended.
    WriterEnded,
    /// A service has written something to its log.
    LogBytes,
    /// A process of the run that this one leads, which is not our child, has ended.
    Adopted(u32),
}

impl Token {
    const KIND_SHIFT: u32 = 32;

    fn pack(self) -> u64 {
        match self {
            Self::Signal => 0,
            Self::Log => 1 << Self::KIND_SHIFT,
            Self::Voice(number) => (2 << Self::KIND_SHIFT) | u64::from(number),
            Self::VoiceEnded(number) => (17 << Self::KIND_SHIFT) | u64::from(number),
            Self::Cgroup(number) => (12 << Self::KIND_SHIFT) | u64::from(number),
            Self::Probe(number) => (4 << Self::KIND_SHIFT) | u64::from(number),
            Self::Watch => 5 << Self::KIND_SHIFT,
            Self::Listener(ListenerId(number)) => (3 << Self::KIND_SHIFT) | u64::from(number),
            Self::Successor => 6 << Self::KIND_SHIFT,
            Self::Adopted(leader) => (7 << Self::KIND_SHIFT) | u64::from(leader),
            Self::Writer => 13 << Self::KIND_SHIFT,
            Self::WriterEnded => 14 << Self::KIND_SHIFT,
            Self::LogBytes => 15 << Self::KIND_SHIFT,
            Self::SignalWaits => 16 << Self::KIND_SHIFT,
            Self::Control => 8 << Self::KIND_SHIFT,
            Self::RuntimeDir => 9 << Self::KIND_SHIFT,
            Self::Client(number) => (10 << Self::KIND_SHIFT) | u64::from(number),
            Self::ClientGone(number) => (11 << Self::KIND_SHIFT) | u64::from(number),
        }
    }

    fn unpack(packed: u64) -> Option<Self> {
        let number = u32::try_from(packed & u64::from(u32::MAX)).ok();
        match packed >> Self::KIND_SHIFT {
            0 => Some(Self::Signal),
            1 => Some(Self::Log),
            2 => number.map(Self::Voice),
            3 => number.map(ListenerId).map(Self::Listener),
            4 => number.map(Self::Probe),
            5 => Some(Self::Watch),
            6 => Some(Self::Successor),
            7 => number.map(Self::Adopted),
            8 => Some(Self::Control),
            9 => Some(Self::RuntimeDir),
            12 => number.map(Self::Cgroup),
            13 => Some(Self::Writer),
            14 => Some(Self::WriterEnded),
            15 => Some(Self::LogBytes),
            16 => Some(Self::SignalWaits),
            10 => number.map(Self::Client),
            11 => number.map(Self::ClientGone),
            17 => number.map(Self::VoiceEnded),
            _ => None,
        }
    }
}

/// Descriptors that are watched.
pub(super) struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// Most events taken in one turn; the rest stays ready for the next.
    const TURN: usize = 256;

    const NEWS: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLET);

    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Watches for bytes to read.
    pub(super) fn watch_readable(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.pack()))
    }

    /// Watches for room to write.
    pub(super) fn watch_writable(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLOUT, token.pack()))
    }

    /// Watches for bytes to read, and tells of those that come only: whoever leaves some asks to be [told
    /// again](Self::tell_again).
    pub(super) fn watch_news(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(Self::NEWS, token.pack()))
    }

    /// Tells of the bytes that are there as if they had just come.
    pub(super) fn tell_again(&self, fd: impl AsFd, token: Token) {
        // It is watched, so it does not fail.
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(Self::NEWS, token.pack()));
    }

    /// Watches for bytes to read, and tells of the next ones only.
    pub(super) fn watch_once(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        self.epoll.add(fd, EpollEvent::new(flags, token.pack()))
    }

    /// Tells of the next ones once more.
    pub(super) fn watch_once_more(&self, fd: impl AsFd, token: Token) {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        // It is watched, so it does not fail.
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(flags, token.pack()));
    }

    /// Watches a listener for its being shut down, and for nothing else: clients never wake us. Told once for each
    /// time, since one that we shut down ourselves stays so.
    pub(super) fn watch_shutdown(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET, token.pack()))
    }

    /// Watches a client: for bytes to read, for room to write, both or neither; for its going in any case. The
    /// first time it is added.
    pub(super) fn watch_client(
        &self,
        fd: impl AsFd,
        number: u32,
        read: bool,
        write: bool,
    ) -> nix::Result<()> {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, read);
        flags.set(EpollFlags::EPOLLOUT, write);
        let mut event = EpollEvent::new(flags, Token::Client(number).pack());
        match self.epoll.modify(&fd, &mut event) {
            Err(Errno::ENOENT) => self.epoll.add(fd, event),
            result => result,
        }
    }

    /// Watches one that is watched for bytes to read for room to write, too, or not.
    pub(super) fn watch_talk(&self, fd: impl AsFd, token: Token, room: bool) {
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, room);
        // It fails only where it is not watched any more: then nobody is at the other end.
        let _ = self.epoll.modify(fd, &mut EpollEvent::new(flags, token.pack()));
    }

    /// Watches a file of the kernel for its being changed; reading it ends that.
    pub(super) fn watch_change(&self, fd: impl AsFd, token: Token) -> nix::Result<()> {
        self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLPRI, token.pack()))
    }

    /// Watches no more. To be called before the descriptor closes: a child that was being started may hold a
    /// copy, and epoll watches the description, not the number.
    pub(super) fn forget(&self, fd: impl AsFd) {
        // It fails only where the descriptor is not watched, which is what is wanted.
        let _ = self.epoll.delete(fd);
    }

    /// Blocks until something is ready or `deadline` has come; gives what is ready, or nothing.
    pub(super) fn wait(&self, now: Time, deadline: Option<Time>) -> Vec<Token> {
        let timeout = deadline.map_or(EpollTimeout::NONE, |at| {
            let left = i32::try_from((at - now).as_millis()).unwrap_or(i32::MAX);
            EpollTimeout::try_from(left).unwrap_or(EpollTimeout::MAX)
        });
        let mut events = [EpollEvent::empty(); Self::TURN];
        match self.epoll.wait(&mut events, timeout) {
            Ok(found) => events.iter().take(found).filter_map(token).collect(),
            // The signal that interrupted is in its queue, and makes the next call return.
            Err(Errno::EINTR) => Vec::new(),
            Err(error) => panic!("epoll_wait on our own set: {error}"),
        }
    }
}

/// What an event is about. Only of a client and of a server that talks it matters that nobody is at the other end any
/// more, and of the latter only once all is read that it said.
fn token(event: &EpollEvent) -> Option<Token> {
    let events = event.events();
    let gone = events.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
    let token = Token::unpack(event.data())?;
    Some(if let (Token::Client(number), true) = (token, gone) {
        Token::ClientGone(number)
    } else if let (Token::Voice(number), EpollFlags::EPOLLHUP) = (token, events) {
        Token::VoiceEnded(number)
    } else {
        token
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn every_token_survives_the_kernel() {
        let pipes = [0, 1, u32::MAX].map(Token::Voice).into_iter().chain([7, u32::MAX].map(Token::Probe));
        let cgroups = [0, u32::MAX].map(Token::Cgroup);
        let listeners = [0, u32::MAX].map(|number| Token::Listener(ListenerId(number)));
        let clients = [0, u32::MAX].map(Token::Client).into_iter().chain([Token::ClientGone(7)]);
        let pipes = pipes.chain([Token::VoiceEnded(7)]);
        let ours = [Token::Signal, Token::SignalWaits, Token::Log, Token::Control, Token::RuntimeDir];
        let writer = [Token::Writer, Token::WriterEnded, Token::LogBytes];
        let cgroups = cgroups.into_iter().chain(writer);
        let others = [Token::Watch, Token::Successor, Token::Adopted(7)].into_iter().chain(cgroups);
        for token in ours.into_iter().chain(others).chain(pipes).chain(listeners).chain(clients) {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
    }

    #[test]
    fn what_is_ready_stays_ready_until_it_is_taken_or_forgotten() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        poller.watch_readable(&reader, Token::Voice(7)).unwrap();
        let now = super::super::clock::now();
        assert_eq!(poller.wait(now, Some(now)), []);

        writer.write_all(b"x").unwrap();
        assert_eq!(poller.wait(now, None), [Token::Voice(7)]);
        assert_eq!(poller.wait(now, None), [Token::Voice(7)]);
        poller.forget(&reader);
        assert_eq!(poller.wait(now, Some(now)), []);
    }

    #[test]
    fn of_a_pipe_news_are_told_once_and_its_end_when_all_is_read() {
        let poller = Poller::new().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        poller.watch_news(&reader, Token::Voice(7)).unwrap();
        let now = super::super::clock::now();
        writer.write_all(b"x").unwrap();
        assert_eq!(poller.wait(now, None), [Token::Voice(7)]);
        assert_eq!(poller.wait(now, Some(now)), []);
        poller.tell_again(&reader, Token::Voice(7));
        assert_eq!(poller.wait(now, None), [Token::Voice(7)]);
        writer.write_all(b"y").unwrap();
        drop(writer);
        assert_eq!(poller.wait(now, None), [Token::Voice(7)], "there is something to read");
        reader.read_exact(&mut [0; 2]).unwrap();
        poller.tell_again(&reader, Token::Voice(7));
        assert_eq!(poller.wait(now, None), [Token::VoiceEnded(7)]);
        assert_eq!(poller.wait(now, Some(now)), []);
    }

    #[test]
    fn a_deadline_past_the_range_of_the_kernel_is_a_long_wait_and_no_error() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        poller.watch_readable(&reader, Token::Signal).unwrap();
        writer.write_all(b"x").unwrap();
        let now = super::super::clock::now();
        let late = now + Duration::from_secs(u64::from(u32::MAX));
        assert_eq!(poller.wait(now, Some(late)), [Token::Signal]);
    }

    /// A listener that is watched belongs to a server: its clients must not cost the supervisor a wake-up each.
    #[test]
    fn ten_thousand_clients_of_a_watched_listener_wake_nobody_and_its_shutdown_does_once() {
        let poller = Poller::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let token = Token::Listener(ListenerId(5));
        poller.watch_shutdown(&listener, token).unwrap();
        let now = super::super::clock::now();
        let (tell, told) = mpsc::channel();
        let poller = &poller;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                tell.send(nix::unistd::gettid()).unwrap();
                poller.wait(now, None)
            });
            let thread = format!("/proc/self/task/{}", told.recv().unwrap());
            let status = |name: &str| std::fs::read_to_string(format!("{thread}/{name}")).unwrap();
            while !status("wchan").contains("poll") {
                std::thread::yield_now();
            }
            let slept = || {
                let status = status("status");
                status.lines().find(|line| line.starts_with("voluntary")).unwrap().to_owned()
            };
            let before = slept();
            for _ in 0..10_000 {
                let client =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                client.connect(&listener.local_addr().unwrap().into()).unwrap();
                // A reset at the end: no port is kept from the next.
                client.set_linger(Some(Duration::ZERO)).unwrap();
                listener.accept().unwrap();
            }
            assert_eq!(slept(), before);
            nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
            assert_eq!(waiting.join().unwrap(), [token]);
        });
        // The kernel says so in two steps, and whoever wakes up between them is told again: now nobody waits.
        poller.wait(now, Some(now));
        let shut_down = || nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::MAXCONN).unwrap();
        shut_down().unwrap();
        assert_eq!(poller.wait(now, Some(now)), [token]);
        assert_eq!(poller.wait(now, Some(now)), [], "it stays shut down, and says so once");
    }
}
