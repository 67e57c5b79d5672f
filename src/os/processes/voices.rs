//! What servers say, and that they will say no more.

use super::super::heard::Heard;
use super::super::poller::Poller;
use super::super::voice::Voice;
use super::{Manner, Processes};
use crate::core::{Event, PipeEnd, Time};
use crate::plan::RunId;
use crate::protocol::{Notice, Word};

/// What came of listening to a voice.
#[derive(Default)]
pub(super) struct Said {
    pub(super) events: Vec<Event>,
    /// The run, where it has closed its pipe, which is news if its main process lives on; and our end of that.
    pub(super) closed: Option<(RunId, Voice)>,
}

impl Processes {
    /// Reads the voice with this number.
    pub(in super::super) fn hear(&mut self, poller: &Poller, number: u32, now: Time) -> Vec<Event> {
        let Some(&leader) = self.voices.get(&number) else { return Vec::new() };
        let said = self.hear_leader(poller, leader);
        self.note_end(poller, said, now)
    }

    /// Nothing is left to read of the voice with this number, and nothing will come.
    pub(in super::super) fn hear_end(&mut self, poller: &Poller, number: u32, now: Time) -> Vec<Event> {
        let Some(&leader) = self.voices.get(&number) else { return Vec::new() };
        let said = self.heard(poller, leader, vec![Heard::End(PipeEnd::Closed)]);
        self.note_end(poller, said, now)
    }

    /// Keeps the end of a voice until it is known whether it is news; gives the rest.
    pub(super) fn note_end(&mut self, poller: &Poller, said: Said, now: Time) -> Vec<Event> {
        if let Some((run, voice)) = said.closed {
            self.was_closed(poller, run, voice, now);
        }
        said.events
    }

    /// Reads the voice of the run that `leader` leads.
    pub(super) fn hear_leader(&mut self, poller: &Poller, leader: i32) -> Said {
        let said = self.by_leader.get_mut(&leader).and_then(|process| {
            let number = process.voice_number;
            process.voice.as_mut().map(|voice| voice.read(poller, number, leader))
        });
        said.map_or_else(Said::default, |said| self.heard(poller, leader, said))
    }

    fn heard(&mut self, poller: &Poller, leader: i32, mut heard: Vec<Heard>) -> Said {
        let mut said = Said::default();
        let Some(process) = self.by_leader.get_mut(&leader) else { return said };
        self.touched.extend(&process.listeners);
        let leaves = |heard: &Heard| {
            matches!(heard, Heard::Word(Word::Success | Word::Failed) | Heard::Notice(Notice::Stopping))
        };
        let leaves = heard.iter().any(leaves);
        let quiet = leaves || process.manner == Manner::Quiet;
        let run = process.run;
        let ends = |last: &mut Heard| matches!(last, Heard::End(PipeEnd::Closed) | Heard::Hangup);
        if let Some(end) = heard.pop_if(ends)
            && let Some(voice) = process.voice.take()
        {
            self.voices.remove(&process.voice_number);
            // That the pipe ended with the process is no news, and the kernel tells it a moment too soon.
            if process.main_lives && !quiet && end != Heard::Hangup {
                said.closed = Some((run, voice));
            } else {
                poller.forget(&voice);
            }
        }
        if leaves {
            self.retire(leader);
            if let Some(process) = self.by_leader.get_mut(&leader) {
                process.manner = Manner::Quiet;
            }
            self.changes.push((run, super::Change::Asked));
        }
        let events = heard.into_iter().filter_map(|heard| match heard {
            Heard::Notice(Notice::MainPid(pid)) => self.turn_to_main(poller, leader, pid),
            Heard::Word(_) | Heard::Notice(_) | Heard::End(_) | Heard::Hangup => heard.event(),
        });
        said.events.extend(events.map(|event| Event::Run(run, event)));
        said
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pipe::Pipe;
    use super::super::super::poller::Token;
    use super::super::super::spawn::Started;
    use super::*;
    use crate::core::RunEvent;
    use crate::limits::PIPE_TURN_BYTES;
    use crate::plan::{Generation, ServiceId};
    use nix::fcntl::{FcntlArg, fcntl};
    use std::fs::File;
    use std::io::Write as _;

    /// Only news are told of a pipe: what one turn leaves must be told again.
    #[test]
    fn what_one_turn_leaves_of_a_pipe_is_heard_in_the_next() {
        let (poller, mut processes) = (Poller::new().unwrap(), Processes::default());
        let (pipe, writer) = Pipe::new().unwrap();
        fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4 * 65_536)).unwrap();
        let voice = Voice::Pipe(pipe);
        voice.watch(&poller, 1).unwrap();
        let run = RunId { service: ServiceId(1), generation: Generation(1) };
        let pid = std::process::id().cast_signed();
        let started = Started {
            pid,
            voice: Some(voice),
            origin: None,
            program: "server".into(),
            leaf: None,
            signed: false,
        };
        processes.add(&poller, run, &[], 1, started);
        File::from(writer)
            .write_all(&[&b"ready  ".repeat(PIPE_TURN_BYTES / 7 + 1)[..], b"success"].concat())
            .unwrap();
        let now = Time { ms: 0 };
        let mut heard = Vec::new();
        while poller.wait(now, Some(now)) == [Token::Voice(1)] {
            heard.extend(processes.hear(&poller, 1, now));
        }
        assert_eq!(heard.len(), PIPE_TURN_BYTES / 7 + 2);
        assert_eq!(heard.last(), Some(&Event::Run(run, RunEvent::Said(Word::Success))));
    }
}
