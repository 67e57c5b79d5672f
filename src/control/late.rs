//! Answers about what has failed, which wait a moment for what it said last: that is known to the log writer, a process of
//! its own.

use crate::core::{Answer, Supervisor, Ticket, Time};
use crate::limits::LAST_WORDS_PATIENCE;
use crate::os::Os;
use crate::plan::RunId;

/// An answer that waits.
struct Late {
    ticket: Ticket,
    answer: Answer,
    runs: Vec<RunId>,
    until: Time,
}

/// All that wait, the oldest first.
#[derive(Default)]
pub(super) struct LateAnswers(Vec<Late>);

impl LateAnswers {
    /// The answer, unless it has to wait.
    pub(super) fn keep(
        &mut self,
        core: &Supervisor,
        os: &Os,
        ticket: Ticket,
        answer: Answer,
    ) -> Option<Answer> {
        let failures = answer.verdicts().iter().filter_map(|(name, verdict)| {
            let generation = verdict.failure()?.generation?;
            let service = core.services().find(|service| service.definition.name == *name)?.id;
            Some(RunId { service, generation })
        });
        let runs: Vec<RunId> = failures.filter(|run| os.awaits_last_words(*run)).collect();
        if runs.is_empty() {
            return Some(answer);
        }
        self.0.push(Late { ticket, answer, runs, until: os.now() + LAST_WORDS_PATIENCE });
        None
    }

    /// Those that wait no more.
    pub(super) fn take(&mut self, os: &Os) -> Vec<(Ticket, Answer)> {
        let waits =
            |late: &Late| os.now() < late.until && late.runs.iter().any(|run| os.awaits_last_words(*run));
        let over = self.0.extract_if(.., |late| !waits(late));
        over.map(|late| (late.ticket, late.answer)).collect()
    }

    /// All of them: nothing more will come.
    pub(super) fn take_all(&mut self) -> Vec<(Ticket, Answer)> {
        self.0.drain(..).map(|late| (late.ticket, late.answer)).collect()
    }

    /// When the next waits no more.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().map(|late| late.until).min()
    }
}
