//! The pipes that services write to. What is written away is copied out of a pipe first (`tee(2)`) and taken out of it
//! only when it is written: a writer that is killed loses nothing, and the next one writes at most some lines twice.

use super::label::Label;
use super::lines::{Line, lines};
use crate::core::Time;
use crate::limits::{
    LOG_LINE_BYTES, LOG_LOOK_PAUSE, LOG_LOOK_PAUSE_MAX, LOG_PIPE_BYTES, LOG_TAIL_CHARS, LOG_TAIL_LINES,
};
use crate::os::{pipe_capacity, widen_pipe};
use crate::plan::Outlet;
use crate::protocol::logs::LogPipe;
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, tee};
use nix::unistd::{pipe2, read};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// A pipe.
pub(super) struct Source {
    fd: OwnedFd,
    pub(super) pipe: LogPipe,
    pub(super) label: Arc<Label>,
    pub(super) capacity: usize,
    /// Nobody can write to it any more.
    pub(super) hung_up: bool,
    /// Bytes at its head that are being written, and as which piece.
    pub(super) lent: Option<(usize, u64)>,
    /// Pieces that are being written.
    pub(super) unwritten: usize,
    last_piece: u64,
    /// The pause before the next look, where one is needed: a process may be in the middle of a write that found no room. What
    /// it goes on with is told to nobody before the pipe was empty or the write is over (`pipe_write` in the kernel's fs/pipe.c).
    mid_write: Option<Duration>,
    /// When that is.
    pub(super) look_at: Option<Time>,
    tail: VecDeque<String>,
    /// Its last lines are wanted, once all that is there now was read.
    pub(super) tail_wanted: bool,
}

/// What a pipe keeps bytes in.
const PAGE: usize = 4096;

/// A pipe of our own, into which is copied what is in another.
pub(super) struct Glass {
    reader: OwnedFd,
    writer: OwnedFd,
    bytes: Vec<u8>,
}

impl Glass {
    pub(super) fn new() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let capacity = widen_pipe(&writer, LOG_PIPE_BYTES);
        Ok(Self { reader, writer, bytes: vec![0; capacity] })
    }

    /// What is at the head of `pipe`, which stays there. Nothing: it is empty.
    fn look(&mut self, pipe: &OwnedFd) -> nix::Result<&[u8]> {
        let most = self.bytes.len();
        let copied = loop {
            match tee(pipe, &self.writer, most, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break 0,
                result => break result?,
            }
        };
        let mut seen = 0;
        while seen < copied {
            let room = self.bytes.get_mut(seen..copied).unwrap_or_default();
            match read(&self.reader, room) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(count) => seen += count,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.bytes.get(..seen).unwrap_or_default())
    }
}

/// What a look at a pipe shows.
pub(super) struct Seen {
    /// The lines, as they are to be written.
    pub(super) text: Vec<u8>,
    pub(super) lines: usize,
    /// How many bytes of the pipe they are.
    pub(super) taken: usize,
    /// All bytes in the pipe, as far as was looked.
    pub(super) there: usize,
}

impl Source {
    pub(super) fn new(pipe: LogPipe, fd: OwnedFd) -> Self {
        let label = Arc::new(Label::of(&pipe));
        let capacity = pipe_capacity(&fd);
        Self {
            fd,
            pipe,
            label,
            capacity,
            hung_up: false,
            lent: None,
            unwritten: 0,
            last_piece: 0,
            // Another may have left it when it was full.
            mid_write: Some(LOG_LOOK_PAUSE),
            look_at: None,
            tail: VecDeque::new(),
            tail_wanted: false,
        }
    }

    /// The whole lines that are in it, behind what is lent.
    pub(super) fn look(&mut self, glass: &mut Glass, stamp: &str) -> Seen {
        // A pipe of ours that cannot be read is one that is empty: its end tells the rest.
        let bytes = glass.look(&self.fd).unwrap_or_default();
        let limit = LOG_LINE_BYTES.min(self.capacity / 4).saturating_sub(1);
        let (found, taken) = lines(bytes, limit, self.hung_up);
        if bytes.is_empty() {
            self.mid_write = None;
        }
        let mut text = Vec::with_capacity(taken + found.len() * (stamp.len() + 1));
        for line in &found {
            write_line(&mut text, stamp, *line);
        }
        Seen { text, lines: found.len(), taken, there: bytes.len() }
    }

    /// Remembers the last lines of what is written now.
    pub(super) fn remember(&mut self, text: &[u8], stamp_length: usize) {
        let mut ends = text.strip_suffix(b"\n").unwrap_or(text);
        let mut newest = Vec::new();
        while newest.len() < LOG_TAIL_LINES && !ends.is_empty() {
            let from = ends.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let line = ends.get(from + stamp_length..).unwrap_or_default();
            newest.push(String::from_utf8_lossy(line).chars().take(LOG_TAIL_CHARS).collect::<String>());
            ends = ends.get(..from.saturating_sub(1)).unwrap_or_default();
        }
        self.tail.extend(newest.into_iter().rev());
        while self.tail.len() > LOG_TAIL_LINES {
            self.tail.pop_front();
        }
    }

    /// The last lines that came through.
    pub(super) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// A name for the next piece.
    pub(super) fn next_piece(&mut self) -> u64 {
        self.last_piece += 1;
        self.last_piece
    }

    /// Takes so many bytes out of it, which were seen through the glass: in one call, which the kernel does as a whole.
    /// Whoever is killed between two would leave a half of a line, and the next writer take it for one.
    pub(super) fn consume(&mut self, mut bytes: usize, glass: &mut Glass) {
        // Of a full pipe at least every second page is full, and less than a quarter stays there without being taken.
        if bytes + 2 * PAGE >= self.capacity / 4 {
            self.mid_write = Some(LOG_LOOK_PAUSE);
        }
        while bytes > 0 {
            let room = bytes.min(glass.bytes.len());
            match read(&self.fd, glass.bytes.get_mut(..room).unwrap_or_default()) {
                Err(Errno::EINTR) => {}
                // They are there: nobody else reads.
                Ok(0) | Err(_) => return,
                Ok(count) => bytes -= count.min(bytes),
            }
        }
    }

    /// Has it looked at again although nothing is told, where that is needed.
    pub(super) fn look_later(&mut self, now: Time) {
        if let Some(pause) = &mut self.mid_write {
            self.look_at = Some(now + *pause);
            *pause = (2 * *pause).min(LOG_LOOK_PAUSE_MAX);
        }
    }

    /// Takes out what is lent: it is written, or in memory.
    pub(super) fn take_back(&mut self, glass: &mut Glass) {
        if let Some((bytes, _)) = self.lent.take() {
            self.consume(bytes, glass);
        }
    }

    pub(super) fn outlet(&self) -> &Outlet {
        &self.pipe.outlet
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn write_line(text: &mut Vec<u8>, stamp: &str, line: Line<'_>) {
    /// What a piece of a line ends with that is not its last.
    const GOES_ON: &[u8] = b" [goes on]";
    text.extend_from_slice(stamp.as_bytes());
    text.extend_from_slice(line.text);
    if line.goes_on {
        text.extend_from_slice(GOES_ON);
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Generation, Keeping, Pid, ServiceName, Stream};
    use std::fs;

    /// How many calls that read this thread has made, this one's among them.
    fn reads() -> u64 {
        let text = fs::read_to_string("/proc/thread-self/io").unwrap();
        text.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap().parse().unwrap()
    }

    /// Found by a test that kills writers in a flood: it lost the beginning of a line that was written twice.
    #[test]
    fn what_was_written_is_taken_out_in_one_call_however_much_it_is() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        let capacity = widen_pipe(&writer, LOG_PIPE_BYTES);
        let pipe = LogPipe {
            number: 1,
            service: ServiceName::parse("web").unwrap(),
            generation: Generation(1),
            pid: Pid(1),
            stream: Stream::Stdout,
            outlet: Outlet::Null,
            keeping: Keeping::default(),
            torn: false,
        };
        let (mut source, mut glass) = (Source::new(pipe, reader), Glass::new().unwrap());
        let line = format!("{}\n", "x".repeat(99));
        let mut there = 0;
        while there + line.len() <= capacity {
            let Ok(count) = nix::unistd::write(&writer, line.as_bytes()) else { break };
            there += count;
        }
        let taken = source.look(&mut glass, "").taken;
        assert!(taken >= 32 * 1024, "{taken} of {there} bytes, of {capacity}");
        let before = reads();
        let of_counting = reads() - before;
        let before = reads();
        source.consume(taken, &mut glass);
        assert_eq!(reads() - before, of_counting + 1);
        assert_eq!(source.look(&mut glass, "").there, there - taken);
    }
}
