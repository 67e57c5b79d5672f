//! What servers say, and that they will say no more.

use super::super::heard::Heard;
use super::super::poller::Poller;
use super::super::voice::Voice;
use super::{Change, Manner, Processes};
use crate::core::{Event, PipeEnd, Time};
use crate::plan::RunId;
use crate::protocol::{Notice, Word};

impl Processes {
    /// What the voice with this number says next, as far as a later supervisor has to know of it: it is still to be read, so that
    /// nothing is lost whenever this one is killed.
    pub(in super::super) fn foretell(&self, number: u32) -> Option<(RunId, Change)> {
        let process = self.by_leader.get(self.voices.get(&number)?)?;
        let Some(Voice::Pipe(pipe)) = &process.voice else { return None };
        let change = |word| match word {
            Word::Ready => Change::Ready,
            Word::Success | Word::Failed => Change::Quiet,
        };
        Some((process.run, pipe.foretell(self.scratch.as_ref()?).pop().map(change)?))
    }

    /// Reads the voice with this number.
    pub(in super::super) fn hear(&mut self, poller: &Poller, number: u32, now: Time) -> Vec<Event> {
        let Some(&leader) = self.voices.get(&number) else { return Vec::new() };
        self.hear_leader(poller, leader, now)
    }

    /// Nothing is left to read of the voice with this number, and nothing will come.
    pub(in super::super) fn hear_end(&mut self, poller: &Poller, number: u32, now: Time) -> Vec<Event> {
        let Some(&leader) = self.voices.get(&number) else { return Vec::new() };
        self.heard(poller, leader, vec![Heard::End(PipeEnd::Closed)], now)
    }

    /// Reads the voice of the run that `leader` leads.
    pub(super) fn hear_leader(&mut self, poller: &Poller, leader: i32, now: Time) -> Vec<Event> {
        let said = self.by_leader.get_mut(&leader).and_then(|process| {
            let number = process.voice_number;
            process.voice.as_mut().map(|voice| voice.read(poller, number, leader))
        });
        said.map_or_else(Vec::new, |said| self.heard(poller, leader, said, now))
    }

    fn heard(&mut self, poller: &Poller, leader: i32, mut heard: Vec<Heard>, now: Time) -> Vec<Event> {
        let Some(process) = self.by_leader.get_mut(&leader) else { return Vec::new() };
        self.touched.extend(&process.listeners);
        // That it is stopping says nothing of whether it accepts.
        let says = heard.iter().any(|heard| matches!(heard, Heard::Word(Word::Success | Word::Failed)));
        let leaves = says || heard.iter().any(|heard| matches!(heard, Heard::Notice(Notice::Stopping)));
        let quiet = leaves || process.manner == Manner::Quiet;
        let run = process.run;
        let ends = |last: &mut Heard| matches!(last, Heard::End(PipeEnd::Closed) | Heard::Hangup);
        if let Some(end) = heard.pop_if(ends)
            && let Some(voice) = process.voice.take()
        {
            self.voices.remove(&process.voice_number);
            // That the pipe ended with the process is no news, and the kernel tells it a moment too soon.
            if process.main_lives && !quiet && end != Heard::Hangup {
                self.was_closed(poller, run, voice, now);
            } else {
                poller.forget(&voice);
            }
        }
        if heard.iter().any(|heard| matches!(heard, Heard::Word(Word::Ready) | Heard::Notice(Notice::Ready)))
        {
            self.changes.push((run, Change::Ready));
        }
        if leaves {
            self.retire(leader);
            self.changes.push((run, if says { Change::Quiet } else { Change::Asked }));
        }
        if says && let Some(process) = self.by_leader.get_mut(&leader) {
            process.manner = Manner::Quiet;
        }
        let events = heard.into_iter().filter_map(|heard| match heard {
            Heard::Notice(Notice::MainPid(pid)) => self.turn_to_main(poller, leader, pid),
            Heard::Word(_) | Heard::Notice(_) | Heard::End(_) | Heard::Hangup => heard.event(),
        });
        events.map(|event| Event::Run(run, event)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::poller::Token;
    use super::super::tests::{RUN, of_one};
    use super::*;
    use crate::core::RunEvent;
    use crate::limits::PIPE_TURN_BYTES;
    use nix::fcntl::{FcntlArg, fcntl};
    use std::fs::File;
    use std::io::Write as _;

    /// Only news are told of a pipe: what one turn leaves must be told again.
    #[test]
    fn what_one_turn_leaves_of_a_pipe_is_heard_in_the_next() {
        let (poller, mut processes, writer) = of_one();
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4 * 65_536)).unwrap();
        File::from(writer)
            .write_all(&[&b"ready  ".repeat(PIPE_TURN_BYTES / 7 + 1)[..], b"success"].concat())
            .unwrap();
        let now = Time { ms: 0 };
        let mut heard = Vec::new();
        while poller.wait(now, Some(now)) == [Token::Voice(1)] {
            heard.extend(processes.hear(&poller, 1, now));
        }
        assert_eq!(heard.len(), PIPE_TURN_BYTES / 7 + 2);
        assert_eq!(heard.last(), Some(&Event::Run(RUN, RunEvent::Said(Word::Success))));
    }
}
