//! Whether the log writer still reads. It is asked only where a service has written something, and then no more for a
//! while: where nobody writes nobody wakes up.

use super::poller::{Poller, Token};
use crate::core::Time;
use crate::limits::LOG_WRITER_PATIENCE;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::os::fd::AsFd;

/// How far the question is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The next bytes in any pipe are told.
    #[default]
    Watches,
    /// It was asked then.
    Asked(Time),
    /// It has answered, or there is none; nothing is told before that.
    Rests(Time),
}

/// All pipes as one descriptor, which tells once that there are bytes in any of them.
#[derive(Default)]
pub(super) struct LogPulse {
    /// Made with the first pipe. Where there is no descriptor for it, a writer that hangs shows at the next start.
    pipes: Option<Epoll>,
    state: State,
}

impl LogPulse {
    /// Watches a pipe, too. Its bytes are told once, whoever reads them when.
    pub(super) fn watch(&mut self, poller: &Poller, pipe: impl AsFd) {
        if self.pipes.is_none() {
            let made = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).ok();
            self.pipes = made.filter(|pipes| poller.watch_once(&pipes.0, Token::LogBytes).is_ok());
        }
        if let Some(pipes) = &self.pipes {
            // Fails where there is no memory: what goes through it is then not told.
            let _ = pipes.add(pipe, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0));
        }
    }

    /// Watches it no more: others may hold it still.
    pub(super) fn forget(&self, pipe: impl AsFd) {
        if let Some(pipes) = &self.pipes {
            let _ = pipes.delete(pipe);
        }
    }

    /// Ends with all pipes.
    pub(super) fn end(&mut self, poller: &Poller) {
        if let Some(pipes) = self.pipes.take() {
            poller.forget(&pipes.0);
        }
        self.state = State::Watches;
    }

    /// There are bytes. Tells whether the writer, if there is one, is to be asked.
    pub(super) fn stirred(&mut self, has_writer: bool, now: Time) -> bool {
        self.drain();
        self.state = if has_writer { State::Asked(now) } else { State::Rests(now + LOG_WRITER_PATIENCE) };
        has_writer
    }

    /// What was told is not told again.
    fn drain(&self) {
        let mut told = [EpollEvent::empty(); 64];
        while let Some(pipes) = &self.pipes
            && pipes.wait(&mut told, EpollTimeout::ZERO).is_ok_and(|count| count == told.len())
        {}
    }

    /// It has answered.
    pub(super) fn answered(&mut self, now: Time) {
        if let State::Asked(_) = self.state {
            self.state = State::Rests(now + LOG_WRITER_PATIENCE);
        }
    }

    /// It has ended: the next one has its time.
    pub(super) fn writer_ended(&mut self, now: Time) {
        self.state = State::Rests(now + LOG_WRITER_PATIENCE);
    }

    /// When it must hear of the time, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Watches => None,
            State::Asked(since) => Some(since + LOG_WRITER_PATIENCE),
            State::Rests(until) => Some(until),
        }
    }

    /// Does what the time has come for. Tells whether the writer is late.
    pub(super) fn deadline_passed(&mut self, poller: &Poller, now: Time) -> bool {
        match self.state {
            State::Asked(_) => self.deadline().is_some_and(|deadline| deadline <= now),
            State::Rests(until) if until <= now => {
                self.state = State::Watches;
                if let Some(pipes) = &self.pipes {
                    poller.watch_once_more(&pipes.0, Token::LogBytes);
                }
                false
            }
            State::Watches | State::Rests(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::clock;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    #[test]
    fn bytes_are_told_once_and_what_stays_in_a_pipe_wakes_nobody() {
        let (poller, mut pulse) = (Poller::new().unwrap(), LogPulse::default());
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let now = clock::now();
        let tokens = || poller.wait(now, Some(now));
        pulse.watch(&poller, &reader);
        assert_eq!((tokens(), pulse.deadline()), (vec![], None));
        writer.write_all(b"no newline").unwrap();
        assert_eq!(tokens(), [Token::LogBytes]);
        assert!(pulse.stirred(true, now));
        writer.write_all(b", and more").unwrap();
        assert_eq!(tokens(), [], "it was told, and the answer is awaited");
        assert!(!pulse.deadline_passed(&poller, now));
        assert!(pulse.deadline_passed(&poller, now + LOG_WRITER_PATIENCE), "it is late");
        pulse.answered(now);
        // It has read meanwhile.
        reader.read_exact(&mut [0; 20]).unwrap();
        let later = now + LOG_WRITER_PATIENCE;
        assert!(!pulse.deadline_passed(&poller, later));
        assert_eq!((tokens(), pulse.deadline()), (vec![], None), "nothing new was written");
        writer.write_all(b"a line without end").unwrap();
        assert_eq!(tokens(), [Token::LogBytes]);
        pulse.stirred(true, later);
        pulse.answered(later);
        assert!(!pulse.deadline_passed(&poller, later + LOG_WRITER_PATIENCE));
        assert_eq!((tokens(), pulse.deadline()), (vec![], None), "what stays there is not told again");
        pulse.forget(&reader);
        writer.write_all(b"\n").unwrap();
        assert_eq!(tokens(), []);
        pulse.end(&poller);
        assert!(!pulse.stirred(false, later + Duration::from_secs(1)));
    }
}
