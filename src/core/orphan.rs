//! One whom another supervisor left behind.

use super::Time;
use super::generation::Run;
use super::health::Health;
use crate::plan::{Definition, Generation, Pid, RunId, ServiceId, ServiceName};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A run that another supervisor started and that still lives, held so that it is no other process.
#[expect(clippy::struct_excessive_bools, reason = "facts about a process, independent of each other")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// Whose it was.
    pub service: ServiceName,
    /// Which of the service's workers.
    pub worker: u32,
    /// Which of the service's runs.
    pub generation: Generation,
    /// Its main process.
    pub pid: Pid,
    /// What it was started from.
    #[serde(with = "crate::plan::shared")]
    pub definition: Arc<Definition>,
    /// When its start was ordered.
    pub started: Time,
    /// Whether it had come as far as to serve.
    pub serves: bool,
    /// Whether it was asked to leave.
    pub leaving: bool,
    /// Whether it has said that it accepts no more. Then it is leaving.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// Whether its main process has ended, and others of its group or cgroup live. Then it leaves, and if nobody had asked it
    /// to, it crashed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bereft: bool,
    /// Whether its pipe may still bring a word.
    pub pipe_open: bool,
    /// Whether all its sockets were taken back.
    pub held: bool,
}

impl Orphan {
    /// Does it leave, whether it was asked to or not?
    pub(super) fn leaves(&self) -> bool {
        self.leaving || self.bereft
    }

    /// The run, under the name that it has from now on.
    pub(super) fn run(&self, service: ServiceId) -> Run {
        Run {
            id: RunId { service, generation: self.generation },
            worker: self.worker,
            definition: self.definition.clone(),
            program_of: None,
            pid: Some(self.pid),
            started: self.started,
            pipe_open: self.pipe_open,
            served: false,
            health: Health::Unknown,
            well_at: self.started,
            watchdog: None,
            status: None,
            reloading: None,
            signalled: None,
        }
    }
}
