//! The ends of voices. A process that dies closes its pipe some microseconds before its exit can be waited for, so that an
//! end is news only once its process is seen to live on. Whoever does more about it at once than to note it keeps the process
//! from dying meanwhile, and waits for the exit all the same.

use super::super::children;
use super::super::poller::Poller;
use super::super::voice::Voice;
use super::Processes;
use crate::core::{Event, PipeEnd, RunEvent, Time};
use crate::limits::{ENDS_HELD, EXIT_PATIENCE};
use crate::plan::RunId;

/// The voice of a run has ended; whether its process ends too is seen later.
pub(super) struct End {
    run: RunId,
    due: Time,
    /// Our end of it, where it was not closed at once.
    voice: Option<Voice>,
}

impl End {
    fn close(self, poller: &Poller) {
        self.voice.iter().for_each(|voice| poller.forget(voice));
    }
}

impl Processes {
    /// The voice of this run was closed just now, by a process that had not ended.
    pub(super) fn was_closed(&mut self, poller: &Poller, run: RunId, voice: Voice, now: Time) {
        let kept = if self.ends.len() < ENDS_HELD {
            Some(voice)
        } else {
            poller.forget(&voice);
            None
        };
        self.ends.push_back(End { run, due: now + EXIT_PATIENCE, voice: kept });
    }

    /// When [`take_ends`](Self::take_ends) may have something. To be called before a wait: pipes of those whose exit was told
    /// are closed, for which nobody had the time.
    pub(in super::super) fn ends_due(&mut self, poller: &Poller) -> Option<Time> {
        while let Some(end) = self.ends.front() {
            if self.main_pid(end.run).is_some() {
                return Some(end.due);
            }
            // The exit was told.
            self.ends.pop_front().into_iter().for_each(|end| end.close(poller));
        }
        None
    }

    /// The ends that are due by `now` and are news.
    pub(in super::super) fn take_ends(&mut self, poller: &Poller, now: Time) -> Vec<Event> {
        let due = self.ends.partition_point(|end| end.due <= now);
        let ends: Vec<End> = self.ends.drain(..due).collect();
        let news = ends.iter().filter_map(|end| self.news(end)).collect();
        for end in ends {
            end.close(poller);
        }
        news
    }

    /// The ends that are news now, due or not, for a program that goes on in our place.
    pub(in super::super) fn ends(&self) -> impl Iterator<Item = Event> {
        self.ends.iter().filter_map(|end| self.news(end))
    }

    fn news(&self, end: &End) -> Option<Event> {
        let lives_on = !children::is_ending(self.main_pid(end.run)?);
        lives_on.then_some(Event::Run(end.run, RunEvent::PipeEnded(PipeEnd::Closed)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pipe::Pipe;
    use super::super::super::poller::Token;
    use super::super::tests::{RUN, of_one};
    use super::*;
    use crate::plan::Generation;
    use std::fs::File;
    use std::io::Write as _;

    const NEWS: Event = Event::Run(RUN, RunEvent::PipeEnded(PipeEnd::Closed));

    fn at(ms: u64) -> Time {
        Time { ms }
    }

    #[test]
    fn a_pipe_that_was_closed_is_news_when_its_process_has_had_time_to_end() {
        let (poller, mut processes, writer) = of_one();
        let patience = u64::try_from(EXIT_PATIENCE.as_millis()).unwrap();
        assert_eq!(processes.ends_due(&poller), None);
        drop(writer);
        assert_eq!(poller.wait(at(0), None), [Token::VoiceEnded(1)]);
        assert_eq!(processes.hear_end(&poller, 1, at(10)), []);
        assert_eq!(processes.ends_due(&poller), Some(at(10 + patience)));
        assert_eq!(processes.take_ends(&poller, at(9 + patience)), []);
        assert!(processes.ends().eq([NEWS]), "a program that goes on here must know");
        assert_eq!(processes.take_ends(&poller, at(10 + patience)), [NEWS]);
        assert_eq!(processes.take_ends(&poller, at(1000)), [], "told once");
        assert_eq!(processes.ends_due(&poller), None);
    }

    #[test]
    fn of_one_that_has_ended_meanwhile_it_is_no_news_and_not_waited_for() {
        let (poller, mut processes, writer) = of_one();
        drop(writer);
        assert_eq!(processes.hear_end(&poller, 1, at(10)), []);
        processes.main_ended(&poller, std::process::id().cast_signed());
        assert_eq!(processes.ends().count(), 0);
        assert_eq!(processes.ends_due(&poller), None);
        assert_eq!(processes.take_ends(&poller, at(1000)), []);
    }

    #[test]
    fn what_was_said_before_the_end_is_heard_first() {
        let (poller, mut processes, writer) = of_one();
        File::from(writer).write_all(b"ready  ").unwrap();
        assert_eq!(poller.wait(at(0), None), [Token::Voice(1)]);
        let ready = Event::Run(RUN, RunEvent::Said(crate::protocol::Word::Ready));
        assert_eq!(processes.hear(&poller, 1, at(10)), [ready]);
        assert!(processes.ends().eq([NEWS]));
        assert_eq!(poller.wait(at(0), Some(at(0))), []);
    }

    /// There may be just as many descriptors as the services need.
    #[test]
    fn of_many_that_have_ended_only_some_pipes_are_kept() {
        let (poller, mut processes, _writer) = of_one();
        let mut numbers = Vec::new();
        for generation in 2..2 + 2 * u32::try_from(ENDS_HELD).unwrap() {
            let (pipe, _) = Pipe::new().unwrap();
            let run = RunId { generation: Generation(generation), ..RUN };
            numbers.push(processes.ends.iter().filter(|end| end.voice.is_some()).count());
            processes.was_closed(&poller, run, Voice::Pipe(pipe), at(10));
        }
        assert_eq!(numbers.into_iter().max(), Some(ENDS_HELD));
        assert_eq!(processes.ends_due(&poller), None);
        assert!(processes.ends.is_empty());
    }
}
