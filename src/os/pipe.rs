//! The supervisor's end of a handshake's pipe.

use super::heard::Heard;
use crate::core::PipeEnd;
use crate::limits::PIPE_TURN_BYTES;
use crate::protocol::{Word, WordReader};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, open, tee};
use nix::sys::stat::{Mode, fstat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// The read end of one generation's pipe.
///
/// It is kept for as long as a process of the run may write to it: a late writer would die of SIGPIPE.
pub(super) struct Pipe {
    reader: OwnedFd,
    words: WordReader,
    /// The last turn ended before all was read.
    is_cut: bool,
}

impl Pipe {
    /// Makes a pipe; gives the end to write to, which blocks as the original's does.
    pub(super) fn new() -> nix::Result<(Self, OwnedFd)> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        // The two ends of a pipe have a description each: only ours becomes non-blocking.
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((Self::from_parts(reader, WordReader::default()), writer))
    }

    /// Takes over a pipe of which a part was read.
    pub(super) fn from_parts(reader: OwnedFd, words: WordReader) -> Self {
        Self { reader, words, is_cut: false }
    }

    /// The pipe to which a process writes under this number: its other end is made anew.
    ///
    /// # Errors
    ///
    /// The system's; `EBADF` where the number is something else by now.
    pub(super) fn of_writer(pid: i32, number: RawFd, inode: u64) -> nix::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let reader = open(format!("/proc/{pid}/fd/{number}").as_str(), flags, Mode::empty())?;
        if fstat(&reader)?.st_ino != inode {
            return Err(Errno::EBADF);
        }
        Ok(Self::from_parts(reader, WordReader::default()))
    }

    /// What was read in part.
    pub(super) fn words(&self) -> WordReader {
        self.words
    }

    /// The words that [`read`](Self::read) will find, as far as they are there; none of them is taken.
    pub(super) fn foretell(&self, scratch: &Scratch) -> Vec<Word> {
        let mut words = self.words;
        scratch
            .copy(&self.reader)
            .map_or_else(|_| Vec::new(), |text| words.push(&text))
            .into_iter()
            .flatten()
            .collect()
    }

    /// Reads what is there: at most [`PIPE_TURN_BYTES`], which is all that a pipe can hold, so that a server
    /// that never stops writing does not keep the loop. Afterwards [`PipeEnd::Closed`], once every writer
    /// has closed it, is the last thing heard; the pipe is then of no more use.
    pub(super) fn read(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        let mut left = PIPE_TURN_BYTES;
        while left > 0 {
            match nix::unistd::read(&self.reader, &mut buffer) {
                Ok(0) => {
                    heard.push(Heard::End(PipeEnd::Closed));
                    break;
                }
                Ok(count) => {
                    left = left.saturating_sub(count);
                    heard.extend(self.words.push(buffer.get(..count).unwrap_or_default()).into_iter().map(
                        |word| match word {
                            Ok(word) => Heard::Word(word),
                            Err(bytes) => Heard::End(PipeEnd::Gibberish(bytes)),
                        },
                    ));
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.is_cut = left == 0;
        heard
    }

    /// May there be more than the last turn has read?
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// A pipe into which what is in others is copied, to be seen before it is taken.
pub(super) struct Scratch {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Scratch {
    /// # Errors
    ///
    /// The system's.
    pub(super) fn new() -> nix::Result<Self> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Self { reader, writer })
    }

    /// What is in a pipe, up to a page of it.
    fn copy(&self, pipe: &OwnedFd) -> nix::Result<Vec<u8>> {
        let mut copy = vec![0; 4096];
        let count = tee(pipe, &self.writer, copy.len(), SpliceFFlags::SPLICE_F_NONBLOCK)?;
        copy.truncate(count);
        let count = nix::unistd::read(&self.reader, &mut copy)?;
        copy.truncate(count);
        Ok(copy)
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;

    fn pair() -> (Pipe, File) {
        let (pipe, writer) = Pipe::new().unwrap();
        (pipe, File::from(writer))
    }

    #[test]
    fn what_is_foretold_is_heard_all_the_same() {
        let (scratch, (mut pipe, mut writer)) = (Scratch::new().unwrap(), pair());
        assert_eq!(pipe.foretell(&scratch), []);
        writer.write_all(b"ready  suc").unwrap();
        for _ in 0..100 {
            assert_eq!(pipe.foretell(&scratch), [Word::Ready], "nothing of it stays in the copy");
        }
        assert_eq!(pipe.read(), [Heard::Word(Word::Ready)]);
        writer.write_all(b"cess").unwrap();
        assert_eq!(pipe.foretell(&scratch), [Word::Success], "a part of it was read before");
        assert_eq!(pipe.read(), [Heard::Word(Word::Success)]);
        assert_eq!(pipe.foretell(&scratch), []);
    }

    #[test]
    fn every_split_of_a_word_is_one_word_and_then_the_end() {
        for cut in 0..=7 {
            let (mut pipe, mut writer) = pair();
            let (front, rest) = b"success".split_at(cut);
            writer.write_all(front).unwrap();
            let mut heard = pipe.read();
            writer.write_all(rest).unwrap();
            drop(writer);
            heard.extend(pipe.read());
            let expected = [Heard::Word(Word::Success), Heard::End(PipeEnd::Closed)];
            assert_eq!(heard, expected, "cut after {cut} bytes");
        }
    }

    #[test]
    fn a_word_cut_off_by_the_end_is_no_word() {
        for len in 0..7 {
            let (mut pipe, mut writer) = pair();
            writer.write_all(b"success".get(..len).unwrap()).unwrap();
            drop(writer);
            assert_eq!(pipe.read(), [Heard::End(PipeEnd::Closed)], "after {len} bytes");
        }
    }

    #[test]
    fn gibberish_is_heard_once_and_what_follows_is_taken_out_of_the_way_of_the_writer() {
        let (mut pipe, mut writer) = pair();
        writer.write_all(b"hello, world").unwrap();
        assert_eq!(pipe.read(), [Heard::End(PipeEnd::Gibberish(*b"hello, "))]);
        // More than fits: the second write would block for ever if nobody read.
        for _ in 0..4 {
            writer.write_all(&b"x".repeat(60_000)).unwrap();
            assert_eq!(pipe.read(), []);
        }
        drop(writer);
        assert_eq!(pipe.read(), [Heard::End(PipeEnd::Closed)]);
    }

    #[test]
    fn one_turn_takes_all_that_a_pipe_holds_and_no_more() {
        let (mut pipe, mut writer) = pair();
        nix::fcntl::fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4 * 65_536)).unwrap();
        writer.write_all(&b"ready  ".repeat(PIPE_TURN_BYTES / 7 + 1000)).unwrap();
        let first = pipe.read().len();
        assert_eq!(first, PIPE_TURN_BYTES / 7);
        assert!(pipe.is_cut());
        assert_eq!(first + pipe.read().len(), PIPE_TURN_BYTES / 7 + 1000);
        assert!(!pipe.is_cut());
    }

    #[test]
    fn the_writers_end_blocks_and_ours_does_not() {
        let (mut pipe, writer) = pair();
        let flags = OFlag::from_bits_truncate(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
        assert_eq!(pipe.read(), []);
    }
}
