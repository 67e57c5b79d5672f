//! What became of an order for a service, as far as it can be seen now.

use super::Time;
use super::answer::{Crew, Verdict};
use super::generation::Run;
use super::request::Verb;
use super::rollout::End;
use super::service::{Service, Wish};
use super::state::State;
use super::tickets::Goal;
use super::worker::{Worker, kept};
use crate::plan::Generation;

impl Service {
    /// The word for its state: of its workers', the one that needs most attention.
    pub fn word(&self) -> &'static str {
        let has = |word: &&&'static str| self.workers.iter().any(|worker| worker.state.word() == **word);
        ATTENTION.iter().find(has).copied().unwrap_or("stopped")
    }

    /// Since when [`word`](Self::word) says what it says; none before it was started for the first time.
    pub fn since(&self) -> Option<Time> {
        let same = self.workers.iter().filter(|worker| worker.state.word() == self.word());
        same.map(|worker| worker.since).min()
    }

    /// Its newest generation that serves.
    pub fn serving(&self) -> Option<Generation> {
        self.workers.iter().filter_map(Worker::serving).map(Run::generation).max()
    }

    /// What there is to say to somebody who waits for this, if anything. That it waits for others is not known
    /// here.
    pub(super) fn verdict(&self, goal: Goal) -> Option<Verdict> {
        match goal {
            Goal::Round(round) => (!self.rollout.is_open(round)).then(|| self.come_to_rest())?,
            Goal::Up => self.up().or_else(|| self.come_to_rest()),
            Goal::Settled => {
                let verdict = self.come_to_rest()?;
                let restarts = self.rollout.is_under_way() && matches!(verdict, Verdict::Up { .. });
                let goes_on = restarts || matches!(verdict, Verdict::Backoff { .. });
                (!goes_on).then_some(verdict)
            }
            Goal::Down => (!self.is_busy()).then_some(Verdict::Stopped),
            Goal::Held => (self.wish == Wish::Hold && self.is_held()).then_some(Verdict::Held),
        }
    }

    fn up(&self) -> Option<Verdict> {
        let generation = self.serving()?;
        self.is_up().then_some(Verdict::Up { generation })
    }

    /// How it stands, unless it is on its way.
    fn come_to_rest(&self) -> Option<Verdict> {
        let on_its_way =
            |worker: &Worker| worker.in_transit() || matches!(worker.state, State::Stopping { .. });
        if self.workers.iter().any(on_its_way) {
            return None;
        }
        let count = |is: fn(&State) -> bool| self.workers.iter().filter(|worker| is(&worker.state)).count();
        let stopped = count(|state| matches!(state, State::Stopped));
        let why = self.history.why();
        Some(if count(|state| matches!(state, State::Crashed)) > 0 {
            Verdict::Crashed { why }
        } else if count(|state| matches!(state, State::Backoff { .. })) > 0 {
            Verdict::Backoff { why }
        } else if count(|state| matches!(state, State::Held)) > 0 {
            Verdict::Held
        } else if stopped == self.workers.len() {
            Verdict::Stopped
        } else if stopped > 0 {
            Verdict::Crashed { why }
        } else {
            self.up()?
        })
    }

    /// Is it held, and have all its processes ended?
    pub(super) fn is_held(&self) -> bool {
        self.workers.iter().all(|worker| worker.state == State::Held && !worker.has_company())
    }

    /// What became of a restart; nothing yet, where it failed and somebody else is on his way already.
    pub(super) fn verdict_of(&self, end: End) -> Option<Verdict> {
        let why = self.history.why();
        Some(match end {
            End::Through(generation) => Verdict::Up { generation },
            End::Down => return self.come_to_rest(),
            End::OldServes(one) | End::RolledBack(one) => {
                // Of several workers others may run the new program.
                let (back, all) = (self.crew(|run| run.program_of.is_some()), self.crew(|_| true));
                // That one may have ended since: others were waited for.
                let newest =
                    |crew: &Crew| crew.serving.contains(&one).then_some(one).or(crew.serving.last().copied());
                match (end, newest(&back), newest(&all)) {
                    (End::RolledBack(_), Some(generation), _) => {
                        Verdict::RolledBack { generation, crew: back, why }
                    }
                    (_, _, Some(serving)) => Verdict::Failed { serving, crew: all, why },
                    (_, _, None) => return self.come_to_rest(),
                }
            }
        })
    }

    /// Who serves, as far as it counts, and how many do not.
    fn crew(&self, counts: impl Fn(&Run) -> bool) -> Crew {
        let (up, missing): (Vec<_>, Vec<_>) =
            kept(&self.workers).map(Worker::serving).partition(Option::is_some);
        let mut serving: Vec<_> =
            up.into_iter().flatten().filter(|run| counts(run)).map(Run::generation).collect();
        serving.sort_unstable();
        Crew { serving, missing: missing.len() }
    }
}

impl Goal {
    /// What somebody is told who waits for this when another order comes, if that ends his hope.
    pub(super) fn against(self, other: Verb) -> Option<Verdict> {
        let hopeless = match (self, other) {
            (Self::Round(_) | Self::Up, Verb::Stop | Verb::Hold)
            | (Self::Down, Verb::Start | Verb::Restart | Verb::Hold | Verb::Release)
            | (Self::Held, Verb::Start | Verb::Restart | Verb::Stop | Verb::Release) => true,
            (
                Self::Round(_) | Self::Up,
                Verb::Start | Verb::Restart | Verb::Release | Verb::Wait | Verb::Signal(_),
            )
            | (Self::Down, Verb::Stop | Verb::Wait | Verb::Signal(_))
            | (Self::Held, Verb::Hold | Verb::Wait | Verb::Signal(_))
            | (Self::Settled, _) => false,
        };
        hopeless.then_some(Verdict::Superseded { by: other })
    }
}

/// The words for states: what needs attention, then what is on its way, then what rests.
const ATTENTION: [&str; 8] =
    ["crashed", "backoff", "starting", "restarting", "stopping", "held", "stopped", "up"];
