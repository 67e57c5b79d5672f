//! Stderr that never blocks: the lines that wait for it, and those that are lost.

use super::clock;
use super::poller::{Poller, Token};
use super::way_out::{PIECE_BYTES, Way};
use crate::core::Time;
use crate::limits::{LOG_FLUSH_PATIENCE, LOG_QUEUE_BYTES, LOG_RETRY};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// What is left to the next program to write.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptLines {
    waiting: VecDeque<Vec<u8>>,
    lost: u64,
}

/// Makes a line of the number of lines that were lost.
pub(super) type LossLine = Box<dyn Fn(u64) -> String>;

/// The lines that wait and the way out.
pub(super) struct LogOutput {
    out: OwnedFd,
    way: Way,
    /// Pieces of whole lines, as many as a pipe takes at once without a line of others between them; the first may
    /// have been written in part.
    waiting: VecDeque<Vec<u8>>,
    /// Bytes of all of them.
    waiting_bytes: usize,
    /// Lines dropped since the last time that this was told.
    lost: u64,
    /// The line that tells how many were lost.
    loss_line: LossLine,
    watched: bool,
}

impl LogOutput {
    /// Writes to what `fd` leads to.
    pub(super) fn new(fd: impl AsFd) -> io::Result<Self> {
        let (out, way) = Way::to(fd)?;
        Ok(Self {
            out,
            way,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            lost: 0,
            loss_line: Box::new(plain_loss),
            watched: false,
        })
    }

    /// Leaves what waits to the next program.
    pub(super) fn keep(&self) -> KeptLines {
        KeptLines { waiting: self.waiting.clone(), lost: self.lost }
    }

    /// Takes over what waits, ahead of any line of its own.
    pub(super) fn take_over(&mut self, kept: KeptLines) {
        self.waiting_bytes = kept.waiting.iter().map(Vec::len).sum();
        (self.waiting, self.lost) = (kept.waiting, kept.lost);
    }

    /// Has the number of lost lines told in this line.
    pub(super) fn tell_loss_as(&mut self, line: LossLine) {
        self.loss_line = line;
    }

    /// Takes a line, without its newline. It is lost, and counted, where too much waits already. It is written with
    /// those that follow: at the end of the turn, or once they are a piece.
    pub(super) fn line(&mut self, poller: &Poller, line: &str) {
        if self.way == Way::Gone {
            return;
        }
        if !self.push(line) {
            self.write(poller);
            // While lines are being lost those that follow are too, or their order would lie.
            if self.lost > 0 || !self.push(line) {
                self.lost += 1;
                return;
            }
        }
        // The last piece may still grow.
        self.write_all_but(1, poller);
    }

    /// Writes what came in this turn. What stderr did not take is written when the poller says that it does.
    pub(super) fn end_turn(&mut self, poller: &Poller) {
        if !self.watched && !self.waiting.is_empty() {
            self.write(poller);
        }
    }

    /// When to try again, where nobody tells when there is room: a disk that is full.
    pub(super) fn tries_again(&self, now: Time) -> Option<Time> {
        (!self.watched && !self.waiting.is_empty()).then(|| now + LOG_RETRY)
    }

    /// Writes what can be written now; has the poller watch for more room where something is left.
    pub(super) fn write(&mut self, poller: &Poller) {
        self.write_all_but(0, poller);
    }

    fn write_all_but(&mut self, pieces: usize, poller: &Poller) {
        self.write_some(pieces);
        let wants = self.waiting.len() > pieces;
        if wants && !self.watched {
            // Where it cannot be watched it is tried again later.
            self.watched = poller.watch_writable(&self.out, Token::Log).is_ok();
        } else if !wants && self.watched {
            poller.forget(&self.out);
            self.watched = false;
        }
    }

    /// Writes what waits, for at most [`LOG_FLUSH_PATIENCE`].
    pub(super) fn flush(&mut self) {
        let end = clock::now() + LOG_FLUSH_PATIENCE;
        loop {
            self.write_some(0);
            let left = end - clock::now();
            if self.waiting.is_empty() || left.is_zero() {
                return;
            }
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            // Interrupted or not, the next turn finds out.
            let _ = poll(&mut [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)], timeout);
        }
    }

    /// Queues a line where there is room.
    fn push(&mut self, line: &str) -> bool {
        let fits = self.waiting_bytes + line.len() < LOG_QUEUE_BYTES;
        if fits && self.lost == 0 {
            let is_full = |piece: &Vec<u8>| piece.len() + line.len() >= PIECE_BYTES;
            if self.waiting.back().is_none_or(is_full) {
                // More lines follow, as a rule.
                self.waiting.push_back(Vec::with_capacity(PIECE_BYTES.max(line.len() + 1)));
            }
            if let Some(piece) = self.waiting.back_mut() {
                piece.extend_from_slice(line.as_bytes());
                piece.push(b'\n');
            }
            self.waiting_bytes += line.len() + 1;
            return true;
        }
        false
    }

    /// Writes what can be written now of all pieces but the last so many.
    fn write_some(&mut self, last: usize) {
        loop {
            self.tell_loss();
            let waiting = self.waiting.len();
            let Some(piece) = self.waiting.front_mut().filter(|_| waiting > last) else { return };
            match self.way.write(self.out.as_fd(), piece) {
                Ok(count) => {
                    self.waiting_bytes -= count;
                    piece.drain(..count);
                    if piece.is_empty() {
                        self.waiting.pop_front();
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOSPC) => return,
                Err(_) => {
                    self.way = Way::Gone;
                    self.waiting.clear();
                    self.waiting_bytes = 0;
                }
            }
        }
    }

    /// Puts the number of lost lines where they would have stood, once there is room enough that the next
    /// lines will not be lost at once again.
    fn tell_loss(&mut self) {
        if self.lost > 0 && self.waiting_bytes <= LOG_QUEUE_BYTES / 2 {
            let text = (self.loss_line)(self.lost);
            self.lost = 0;
            self.push(&text);
        }
    }
}

/// What was said before a panic is still written.
impl Drop for LogOutput {
    fn drop(&mut self) {
        self.write_some(0);
    }
}

fn plain_loss(lines: u64) -> String {
    format!("{lines} log lines lost: stderr was not read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::{PipeReader, Read};
    use std::os::unix::net::UnixStream;

    fn all(mut reader: PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_full_pipe_stops_nobody_and_every_line_arrives_once_it_is_read() {
        let poller = Poller::new().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut log = LogOutput::new(&writer).unwrap();
        let flags = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0, "the description that children share stays as it was");
        drop(writer);
        let line = "x".repeat(999);
        for _ in 0..200 {
            log.line(&poller, &line);
        }
        assert!(log.watched);

        let mut text = Vec::new();
        while text.len() < 200_000 {
            let mut buffer = [0; 10_000];
            let count = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..count]);
            let now = clock::now();
            if poller.wait(now, Some(now)) == [Token::Log] {
                log.write(&poller);
            }
        }
        assert!(text.split(|&byte| byte == b'\n').take(200).all(|found| found == line.as_bytes()));
        assert!(!log.watched, "nothing waits, so nothing wakes us");
    }

    #[test]
    fn who_is_not_told_of_room_tries_again() {
        let (poller, now) = (Poller::new().unwrap(), clock::now());
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut log = LogOutput::new(&full).unwrap();
        assert_eq!(log.tries_again(now), None);
        log.line(&poller, "a line");
        log.end_turn(&poller);
        assert_eq!(log.tries_again(now), Some(now + LOG_RETRY));
        let (_reader, writer) = io::pipe().unwrap();
        let mut log = LogOutput::new(&writer).unwrap();
        for _ in 0..200 {
            log.line(&poller, &"x".repeat(999));
        }
        assert_eq!(log.tries_again(now), None, "the poller tells");
    }

    #[test]
    fn lines_past_the_limit_are_counted_and_told_where_they_would_have_stood() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut log = LogOutput::new(&writer).unwrap();
        drop(writer);
        let line = "x".repeat(1023);
        let fitting = 64 + LOG_QUEUE_BYTES / 1024;
        for _ in 0..fitting + 7 {
            log.line(&poller, &line);
        }
        assert_eq!((log.lost, log.waiting_bytes), (7, LOG_QUEUE_BYTES));

        let text = std::thread::scope(|scope| {
            let read = scope.spawn(|| all(reader));
            while log.lost > 0 {
                log.flush();
            }
            log.line(&poller, "after");
            log.flush();
            drop(log);
            read.join().unwrap()
        });
        let last: Vec<&str> = text.lines().skip(fitting).collect();
        assert_eq!(last, ["7 log lines lost: stderr was not read", "after"]);
    }

    #[test]
    fn a_flush_ends_though_nobody_reads() {
        let poller = Poller::new().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        let mut log = LogOutput::new(&writer).unwrap();
        for _ in 0..200 {
            log.line(&poller, &"x".repeat(999));
        }
        let start = clock::now();
        log.flush();
        assert!(clock::now() - start >= LOG_FLUSH_PATIENCE);
        assert!(!log.waiting.is_empty());
    }

    #[test]
    fn a_reader_that_is_gone_is_no_reason_to_die() {
        let poller = Poller::new().unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let mut log = LogOutput::new(&writer).unwrap();
        drop(reader);
        log.line(&poller, "one");
        log.end_turn(&poller);
        log.line(&poller, "two");
        assert_eq!((log.way, log.waiting_bytes), (Way::Gone, 0));

        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut log = LogOutput::new(&ours).unwrap();
        drop(theirs);
        log.line(&poller, "one");
        log.end_turn(&poller);
        assert_eq!(log.way, Way::Gone);
    }

    #[test]
    fn a_full_socket_and_a_shared_pipe_stop_nobody_either() {
        let poller = Poller::new().unwrap();
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (_reader, writer) = io::pipe().unwrap();
        let mut shared = LogOutput::new(&writer).unwrap();
        (shared.out, shared.way) = (writer.into(), Way::LookFirst);
        for mut log in [LogOutput::new(&ours).unwrap(), shared] {
            for _ in 0..2000 {
                log.line(&poller, &"x".repeat(999));
            }
            assert!(log.watched && log.lost > 0, "{:?}", log.way);
        }
    }

    #[test]
    fn a_file_is_appended_to_and_the_null_device_takes_everything() {
        let poller = Poller::new().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = LogOutput::new(file.as_file()).unwrap();
        let written = || std::fs::read_to_string(file.path()).unwrap();
        log.line(&poller, "one");
        log.line(&poller, "two");
        assert_eq!(written(), "", "they leave together");
        log.end_turn(&poller);
        assert_eq!(written(), "one\ntwo\n");
        for _ in 0..5 {
            log.line(&poller, &"x".repeat(1000));
        }
        assert_eq!(written().len(), 8 + 4 * 1001, "a piece does not wait for the end of the turn");
        drop(log);
        assert_eq!(written().len(), 8 + 5 * 1001, "nor does anything outlive the program in its memory");

        let mut log = LogOutput::new(OpenOptions::new().write(true).open("/dev/null").unwrap()).unwrap();
        for _ in 0..1000 {
            log.line(&poller, &"x".repeat(999));
        }
        log.end_turn(&poller);
        assert_eq!((log.waiting_bytes, log.lost), (0, 0));
    }
}
