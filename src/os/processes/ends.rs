//! The ends of voices. A process that dies closes its pipe some microseconds before its exit can be waited for, so that an
//! end is news only once its process is seen to live on. Who looks at once keeps the process from dying meanwhile, and waits
//! for the exit all the same.

use super::super::children;
use super::Processes;
use crate::core::{Event, PipeEnd, RunEvent, Time};
use crate::limits::EXIT_PATIENCE;
use crate::plan::RunId;

/// The voice of a run has ended; whether its process ends too is seen later.
pub(super) struct End {
    run: RunId,
    due: Time,
}

impl Processes {
    /// The voice of this run was closed just now, by a process that had not ended.
    pub(super) fn was_closed(&mut self, run: RunId, now: Time) {
        self.ends.push_back(End { run, due: now + EXIT_PATIENCE });
    }

    /// When [`take_ends`](Self::take_ends) may have something.
    pub(in super::super) fn ends_due(&mut self) -> Option<Time> {
        while let Some(end) = self.ends.front() {
            if self.main_pid(end.run).is_some() {
                return Some(end.due);
            }
            // The exit was told.
            self.ends.pop_front();
        }
        None
    }

    /// The ends that are due by `now` and are news.
    pub(in super::super) fn take_ends(&mut self, now: Time) -> Vec<Event> {
        let due = self.ends.partition_point(|end| end.due <= now);
        let ends: Vec<End> = self.ends.drain(..due).collect();
        ends.iter().filter_map(|end| self.news(end)).collect()
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
    use super::super::super::poller::Poller;
    use super::super::super::spawn::Started;
    use super::*;
    use crate::plan::{Generation, ServiceId};

    const RUN: RunId = RunId { service: ServiceId(1), generation: Generation(1) };

    fn at(ms: u64) -> Time {
        Time { ms }
    }

    /// Those of this very process, which lives.
    fn of_one() -> (Poller, Processes) {
        let (poller, mut processes) = (Poller::new().unwrap(), Processes::default());
        let pid = std::process::id().cast_signed();
        let program = "server".into();
        let started = Started { pid, voice: None, origin: None, program, leaf: None, signed: false };
        processes.add(&poller, RUN, &[], 1, started);
        (poller, processes)
    }

    #[test]
    fn a_pipe_that_was_closed_is_news_when_its_process_has_had_time_to_end() {
        let (_poller, mut processes) = of_one();
        let news = Event::Run(RUN, RunEvent::PipeEnded(PipeEnd::Closed));
        let patience = u64::try_from(EXIT_PATIENCE.as_millis()).unwrap();
        assert_eq!(processes.ends_due(), None);
        processes.was_closed(RUN, at(10));
        assert_eq!(processes.ends_due(), Some(at(10 + patience)));
        assert_eq!(processes.take_ends(at(9 + patience)), []);
        assert!(processes.ends().eq([news.clone()]), "a program that goes on here must know");
        assert_eq!(processes.take_ends(at(10 + patience)), [news]);
        assert_eq!(processes.take_ends(at(1000)), [], "told once");
        assert_eq!(processes.ends_due(), None);
    }

    #[test]
    fn of_one_that_has_ended_meanwhile_it_is_no_news_and_not_waited_for() {
        let (poller, mut processes) = of_one();
        processes.was_closed(RUN, at(10));
        processes.main_ended(&poller, std::process::id().cast_signed());
        assert_eq!(processes.ends().count(), 0);
        assert_eq!(processes.ends_due(), None);
        assert_eq!(processes.take_ends(at(1000)), []);
    }
}
