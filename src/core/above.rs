//! What the manager above us is told: systemd, or whoever else set `NOTIFY_SOCKET`. It is decided from the state after
//! each event, and what it did not take is said with what is to be said then.

use super::Time;
use super::reconcile::Reload;
use super::service::Service;
use super::supervisor::{Phase, Supervisor};
use crate::limits::ABOVE_RETRY;
use crate::plan::ServiceId;
use crate::protocol::Notice;
use std::time::Duration;

/// What the manager above has been told, and when it is told the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Above {
    told: Told,
    /// How often it is told that we live, and when next.
    watchdog: Option<(Duration, Time)>,
    /// When it is tried again, because it did not take what was said.
    retry: Option<Time>,
    /// Services that were still at their first start when somebody last looked; none before the sockets are bound.
    fresh: Option<Vec<ServiceId>>,
}

/// What it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    life: Life,
    /// Services that are up, and all of them.
    status: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Starting,
    Ready,
    Reloading,
    Stopping,
}

/// What is to be said, in one datagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The lines, in their order.
    pub notices: Vec<Notice>,
    then: Told,
}

impl Above {
    /// Nothing was said yet. Whoever wants to hear from us within each `watchdog` is told twice as often, as
    /// `sd_watchdog_enabled(3)` advises.
    pub fn new(watchdog: Option<Duration>, now: Time) -> Self {
        let told = Told { life: Life::Starting, status: None };
        Self { told, watchdog: watchdog.map(|period| (period / 2, now)), retry: None, fresh: None }
    }

    /// What is to be said now, if anything. Follow it with [`taken`](Self::taken) or [`refused`](Self::refused).
    pub fn turn(&mut self, core: &Supervisor, now: Time) -> Option<Message> {
        let then = Told { life: self.life(core), status: status(core) };
        let mut notices = Vec::new();
        if then.life != self.told.life {
            notices.extend(match then.life {
                Life::Starting => None,
                Life::Ready => Some(Notice::Ready),
                Life::Reloading => Some(Notice::Reloading { since: None }),
                Life::Stopping => Some(Notice::Stopping),
            });
        }
        if let Some((up, all)) = then.status.filter(|_| then.status != self.told.status) {
            notices.push(Notice::Status(format!("{up}/{all} up").into()));
        }
        if self.watchdog.is_some_and(|(_, due)| due <= now) {
            notices.push(Notice::Watchdog);
        }
        if notices.is_empty() {
            self.retry = None;
            return None;
        }
        Some(Message { notices, then })
    }

    /// It was sent.
    pub fn taken(&mut self, message: &Message, now: Time) {
        self.told = message.then;
        self.retry = None;
        if let Some((period, due)) = &mut self.watchdog
            && *due <= now
        {
            *due = now + *period;
        }
    }

    /// There was no room for it.
    pub fn refused(&mut self, now: Time) {
        self.retry = Some(now + ABOVE_RETRY);
    }

    /// When it has its [`turn`](Self::turn), even if nothing happens before.
    pub fn deadline(&self) -> Option<Time> {
        self.retry.or(self.watchdog.map(|(_, due)| due))
    }

    fn life(&mut self, core: &Supervisor) -> Life {
        match core.phase {
            Phase::Booting => Life::Starting,
            Phase::Stopping | Phase::Ended(_) => Life::Stopping,
            // Until it is ready a reload is a part of the start.
            Phase::Running if self.told.life == Life::Starting && !self.all_have_started(core) => {
                Life::Starting
            }
            Phase::Running if self.told.life != Life::Starting && core.reload != Reload::Idle => {
                Life::Reloading
            }
            Phase::Running => Life::Ready,
        }
    }

    /// Has each service been up, or did its first start fail, or does it wait for one of these? One that crashes again
    /// and again must not keep the others from being taken for started: whoever waits for us would end them all.
    fn all_have_started(&mut self, core: &Supervisor) -> bool {
        let fresh = self.fresh.get_or_insert_with(|| core.services.keys().rev().copied().collect());
        let starts = |id: &ServiceId| core.services.get(*id).is_some_and(Service::is_at_its_first_start);
        // Those that wait are moved out of the way; the rest is looked at once each, in all events together.
        let mut waiting = Vec::new();
        let mut all = true;
        while let Some(id) = fresh.pop() {
            if core.waits(id) {
                waiting.push(id);
            } else if starts(&id) {
                fresh.push(id);
                all = false;
                break;
            }
        }
        // In front: they start when others have started.
        fresh.splice(0..0, waiting);
        all
    }
}

fn status(core: &Supervisor) -> Option<(usize, usize)> {
    match core.phase {
        Phase::Booting | Phase::Ended(_) => None,
        Phase::Running | Phase::Stopping => Some((core.up.len(), core.names.len())),
    }
}
