//! Who has to hear of the time next, without asking everybody.

use super::Time;
use crate::plan::ServiceId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// At most one deadline for each service, in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Time, ServiceId)>,
    armed: BTreeMap<ServiceId, Time>,
}

impl Deadlines {
    /// Replaces the deadline of a service.
    pub(super) fn set(&mut self, service: ServiceId, deadline: Option<Time>) {
        let before = match deadline {
            Some(time) => self.armed.insert(service, time),
            None => self.armed.remove(&service),
        };
        if before != deadline {
            if let Some(time) = before {
                self.queue.remove(&(time, service));
            }
            if let Some(time) = deadline {
                self.queue.insert((time, service));
            }
        }
    }

    /// The deadline of a service.
    pub(super) fn of(&self, service: ServiceId) -> Option<Time> {
        self.armed.get(&service).copied()
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<Time> {
        self.queue.first().map(|(time, _)| *time)
    }

    /// The services whose time has come, the longest overdue first.
    pub(super) fn due(&self, now: Time) -> Vec<ServiceId> {
        self.queue.iter().take_while(|(time, _)| *time <= now).map(|(_, service)| *service).collect()
    }
}
