//! The only call that blocks: one epoll set, level-triggered, so that nothing is lost when only a part of
//! what is there is taken.

use crate::core::Time;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::AsFd;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A signal arrived.
    Signal,
    /// Stderr takes bytes again.
    Log,
    /// The pipe with this number has bytes, or its end.
    Pipe(u32),
}

impl Token {
    const KIND_SHIFT: u32 = 32;

    fn pack(self) -> u64 {
        match self {
            Self::Signal => 0,
            Self::Log => 1 << Self::KIND_SHIFT,
            Self::Pipe(number) => (2 << Self::KIND_SHIFT) | u64::from(number),
        }
    }

    fn unpack(packed: u64) -> Option<Self> {
        match packed >> Self::KIND_SHIFT {
            0 => Some(Self::Signal),
            1 => Some(Self::Log),
            2 => u32::try_from(packed & u64::from(u32::MAX)).ok().map(Self::Pipe),
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
            Ok(found) => events.iter().take(found).filter_map(|event| Token::unpack(event.data())).collect(),
            // The signal that interrupted is in its queue, and makes the next call return.
            Err(Errno::EINTR) => Vec::new(),
            Err(error) => panic!("epoll_wait on our own set: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    #[test]
    fn every_token_survives_the_kernel() {
        for token in [Token::Signal, Token::Log, Token::Pipe(0), Token::Pipe(1), Token::Pipe(u32::MAX)] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
    }

    #[test]
    fn what_is_ready_stays_ready_until_it_is_taken_or_forgotten() {
        let poller = Poller::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        poller.watch_readable(&reader, Token::Pipe(7)).unwrap();
        let now = super::super::clock::now();
        assert_eq!(poller.wait(now, Some(now)), []);

        writer.write_all(b"x").unwrap();
        assert_eq!(poller.wait(now, None), [Token::Pipe(7)]);
        assert_eq!(poller.wait(now, None), [Token::Pipe(7)]);
        poller.forget(&reader);
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
}
