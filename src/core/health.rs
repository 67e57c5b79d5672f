//! How a process is, as far as its check and its watchdog tell.

use super::Time;
use super::event::Miss;
use crate::limits::{DURATION_MAX, WATCHDOG_MIN};
use crate::plan::{Definition, Policy, Restart};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a process is, as far as anybody asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Health {
    /// Nothing was asked, or not answered yet.
    #[default]
    Unknown,
    /// The last answer was good.
    Healthy {
        /// Since when all were.
        since: Time,
    },
    /// The last answers were bad, but not as many in a row as `failures` says.
    Failing {
        /// How many.
        misses: u32,
        /// Why the last was.
        last: Box<Miss>,
    },
    /// It is sick: its service restarts it, if `restart` allows that.
    Unhealthy(Box<Sickness>),
}

/// What is known of a process that is sick. Few are, so it takes room only then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sickness {
    /// Since when it is.
    pub since: Time,
    /// Bad answers in a row.
    pub misses: u32,
    /// What shows it.
    pub sign: Sign,
    /// When its restart is due, if it is to come.
    pub restart_at: Option<Time>,
}

/// What shows that a process is sick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sign {
    /// So many checks in a row had a bad answer.
    Checks {
        /// How many.
        misses: u32,
        /// Why the last had.
        last: Miss,
    },
    /// It did not say for so long that it is alive.
    Silence(Duration),
    /// It said so itself: `WATCHDOG=trigger`.
    Trigger,
}

/// The promise of a server to say again and again that it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// How often.
    pub period: Duration,
    /// The next time at the latest; none where it has failed to, and nothing follows from it.
    pub by: Option<Time>,
}

impl Watchdog {
    /// That of a run which is not ready yet, and is not waited for; what it says of its own period until then holds.
    pub(super) fn asleep(definition: &Definition) -> Option<Box<Self>> {
        definition.program.watchdog.map(|period| Box::new(Self { period, by: None }))
    }

    /// Begins to wait for it.
    pub fn from(now: Time, period: Duration) -> Self {
        Self { period, by: Some(now + period) }
    }

    /// It is alive.
    pub fn fed(&mut self, now: Time) {
        self.by = Some(now + self.period);
    }

    /// The same with another promise, within limits; nothing where it promises no more.
    pub fn promising(period: Duration, now: Time) -> Option<Self> {
        (!period.is_zero()).then(|| Self::from(now, period.clamp(WATCHDOG_MIN, DURATION_MAX)))
    }
}

impl Health {
    /// After a good answer. Tells since when it was sick, if it was.
    pub(super) fn good(&mut self, now: Time) -> Option<Time> {
        match self {
            Self::Healthy { .. } => None,
            Self::Unknown | Self::Failing { .. } => {
                *self = Self::Healthy { since: now };
                None
            }
            Self::Unhealthy(sickness) => {
                let sick_since = sickness.since;
                *self = Self::Healthy { since: now };
                Some(sick_since)
            }
        }
    }

    /// After a bad answer. Tells how many there were in a row.
    pub(super) fn bad(&mut self, miss: Miss) -> u32 {
        match self {
            Self::Unknown | Self::Healthy { .. } => {
                *self = Self::Failing { misses: 1, last: Box::new(miss) };
                1
            }
            Self::Failing { misses, last } => {
                *misses = misses.saturating_add(1);
                **last = miss;
                *misses
            }
            Self::Unhealthy(sickness) => {
                sickness.misses = sickness.misses.saturating_add(1);
                sickness.misses
            }
        }
    }

    /// It is sick. Tells whether that is news.
    pub(super) fn sick(&mut self, sign: Sign, restart_at: Option<Time>, now: Time) -> bool {
        let (since, misses, news) = match self {
            Self::Unhealthy(sickness) => (sickness.since, sickness.misses, false),
            Self::Failing { misses, .. } => (now, *misses, true),
            Self::Unknown | Self::Healthy { .. } => (now, 0, true),
        };
        *self = Self::Unhealthy(Box::new(Sickness { since, misses, sign, restart_at }));
        news
    }

    /// A restart has failed, and was the one that was due where it was sick: the next follows when it is found so again
    /// (simulation, seed 2688).
    pub(super) fn restart_was_tried(&mut self, now: Time) {
        if let Self::Unhealthy(sickness) = self {
            sickness.restart_at.take_if(|at| *at <= now);
        }
    }

    /// It was found to be so by a check that nobody asks any more.
    pub(super) fn forget_checks(&mut self) {
        if let Some(Sign::Checks { .. }) = self.sign() {
            *self = Self::Unknown;
        }
    }

    /// When its restart is due, if it is to come.
    pub(super) fn restart_at(&self) -> Option<Time> {
        match self {
            Self::Unhealthy(sickness) => sickness.restart_at,
            Self::Unknown | Self::Healthy { .. } | Self::Failing { .. } => None,
        }
    }

    /// Is it sick, and was its restart due? Where `restart` says so, nobody has to ask for that.
    pub(super) fn is_being_replaced(&self, policy: &Policy) -> bool {
        matches!(self, Self::Unhealthy(sick) if sick.restart_at.is_none()) && policy.restart != Restart::No
    }

    /// What speaks against it, if anything does.
    pub fn sign(&self) -> Option<Sign> {
        match self {
            Self::Unknown | Self::Healthy { .. } => None,
            Self::Failing { misses, last } => Some(Sign::Checks { misses: *misses, last: Miss::clone(last) }),
            Self::Unhealthy(sickness) => Some(sickness.sign.clone()),
        }
    }
}
