//! Asking a process again and again whether it serves: one question at a time, and each has an end.

use super::{Action, Time};
use crate::limits::PROBE_FIRST;
use crate::plan::{Probe, RunId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a worker's process is being asked; of nobody, there is no deadline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pulse {
    subject: Option<Box<Subject>>,
    /// The number of the last question: an answer to an earlier one is known by it.
    asked: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Subject {
    run: RunId,
    purpose: Purpose,
    probe: Probe,
    /// The last pause before a question, where they grow.
    pause: Duration,
    wait: Wait,
}

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// To find out when it is ready: with growing pauses, until the first good answer.
    Gate {
        /// The longest pause.
        most: Duration,
    },
    /// To see that it still serves.
    Health {
        /// The pause between an answer and the next question.
        period: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Wait {
    /// For the time of the next question.
    Pause { until: Time },
    /// For an answer.
    Answer { by: Time },
}

/// What a pulse does when its time has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Beat {
    /// Nothing yet.
    Rest,
    /// It asks this run, under this number.
    Ask(RunId, u32, Probe),
    /// It has waited long enough for the answer of this run to this number.
    TimedOut(RunId, u32),
}

impl Pulse {
    /// Asks this one from now on, or nobody; gives up the question that somebody else was asked.
    pub(super) fn turn_to(
        &mut self,
        wanted: Option<(RunId, Purpose, &Probe)>,
        soon: bool,
        now: Time,
    ) -> Option<Action> {
        let present = self.subject.as_ref().map(|subject| (subject.run, subject.purpose, &subject.probe));
        if present == wanted {
            return None;
        }
        let stopped = self.awaited().map(|(run, attempt)| Action::StopProbe { run, attempt });
        self.subject = wanted.map(|(run, purpose, probe)| {
            let first = match purpose {
                Purpose::Health { period } if !soon => period,
                Purpose::Gate { .. } | Purpose::Health { .. } => PROBE_FIRST,
            };
            let wait = Wait::Pause { until: now + first };
            Box::new(Subject { run, purpose, probe: probe.clone(), pause: PROBE_FIRST, wait })
        });
        stopped
    }

    /// It says itself that it serves: the pause before the next question is over.
    pub(super) fn hurry(&mut self, now: Time) {
        if let Some(Subject { purpose: Purpose::Gate { .. }, wait: Wait::Pause { until }, .. }) =
            self.subject.as_deref_mut()
        {
            *until = (*until).min(now);
        }
    }

    /// Whom it asks.
    pub(super) fn subject(&self) -> Option<(RunId, Purpose, &Probe)> {
        self.subject.as_ref().map(|subject| (subject.run, subject.purpose, &subject.probe))
    }

    /// The question whose answer is awaited.
    fn awaited(&self) -> Option<(RunId, u32)> {
        let subject = self.subject.as_ref()?;
        matches!(subject.wait, Wait::Answer { .. }).then_some((subject.run, self.asked))
    }

    /// Until when the answer of this run is awaited.
    pub(super) fn answer_by(&self, run: RunId) -> Option<Time> {
        let subject = self.subject.as_ref().filter(|subject| subject.run == run)?;
        match subject.wait {
            Wait::Answer { by } => Some(by),
            Wait::Pause { .. } => None,
        }
    }

    /// When it must hear of the time, if ever.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.subject.as_ref().map(|subject| match subject.wait {
            Wait::Pause { until } => until,
            Wait::Answer { by } => by,
        })
    }

    /// Does what the time has come for.
    pub(super) fn beat(&mut self, now: Time) -> Beat {
        let Some(subject) = &mut self.subject else { return Beat::Rest };
        match subject.wait {
            Wait::Pause { until } if until <= now => {
                self.asked = self.asked.wrapping_add(1);
                subject.wait = Wait::Answer { by: now + subject.probe.timeout };
                Beat::Ask(subject.run, self.asked, subject.probe.clone())
            }
            Wait::Answer { by } if by <= now => Beat::TimedOut(subject.run, self.asked),
            Wait::Pause { .. } | Wait::Answer { .. } => Beat::Rest,
        }
    }

    /// Takes an answer, if it is the one that is awaited; tells what it was for.
    pub(super) fn answered(&mut self, run: RunId, attempt: u32, now: Time) -> Option<Purpose> {
        if self.awaited() != Some((run, attempt)) {
            return None;
        }
        let subject = self.subject.as_mut()?;
        let pause = match subject.purpose {
            Purpose::Gate { most } => {
                subject.pause = (subject.pause * 2).min(most);
                subject.pause
            }
            Purpose::Health { period } => period,
        };
        subject.wait = Wait::Pause { until: now + pause };
        Some(subject.purpose)
    }
}
