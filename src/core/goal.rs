//! What became of an order for a service, as far as it can be seen now.

use super::Time;
use super::answer::{Crew, Verdict};
use super::generation::Run;
use super::request::Verb;
use super::rollout::End;
use super::service::{Service, Wish};
use super::state::State;
use super::tickets::Goal;
use super::worker::Worker;
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

    /// What became of a restart.
    pub(super) fn verdict_of(&self, end: End) -> Verdict {
        let why = self.history.why();
        match end {
            End::Through(generation) => Verdict::Up { generation },
            End::Down => self.come_to_rest().unwrap_or(Verdict::Crashed { why }),
            End::OldServes(one) | End::RolledBack(one) => {
                let crew = self.crew();
                // That one may have ended since: others were waited for.
                let serves = crew.serving.contains(&one).then_some(one).or(crew.serving.last().copied());
                match (end, serves) {
                    (End::RolledBack(_), Some(generation)) => Verdict::RolledBack { generation, crew, why },
                    (_, Some(serving)) => Verdict::Failed { serving, crew, why },
                    (_, None) => self.come_to_rest().unwrap_or(Verdict::Crashed { why }),
                }
            }
        }
    }

    /// Who serves, and who does not.
    fn crew(&self) -> Crew {
        let stay = self.workers.iter().filter(|worker| !worker.is_being_removed());
        let of_workers = stay.map(|worker| worker.serving().map(Run::generation));
        let (mut serving, missing): (Vec<_>, Vec<_>) = of_workers.partition(Option::is_some);
        serving.sort_unstable();
        Crew { serving: serving.into_iter().flatten().collect(), missing: missing.len() }
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
