//! One run of a program, as everybody in the core knows it.

use super::fact::{Fact, Leave};
use super::health::{Health, Watchdog};
use super::status_text::StatusText;
use super::{Hearing, Time};
use crate::limits::LISTENS_AFTER;
use crate::plan::{Definition, Generation, Handshake, Pid, Probe, RunId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One run of a service's program, from the action that starts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Whose it is and which.
    pub id: RunId,
    /// Which of the service's workers, from 0.
    pub worker: u32,
    /// What it was started from.
    #[serde(with = "crate::plan::shared")]
    pub definition: Arc<Definition>,
    /// The run whose pinned program it is, if it came by a rollback.
    pub program_of: Option<Box<RunId>>,
    /// Its main process, once the start is known to have worked.
    pub pid: Option<Pid>,
    /// When the start was ordered.
    pub started: Time,
    /// Whether its pipe may still bring a word.
    pub pipe_open: bool,
    /// Whether it was ready once, while we were there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub served: bool,
    /// How it is, as far as it was asked while it served.
    pub health: Health,
    /// The last time that it was known to be well; that of its start, if it never was.
    pub well_at: Time,
    /// What it promised to say again and again, once it serves.
    pub watchdog: Option<Box<Watchdog>>,
    /// What it said of itself last, for people.
    pub status: Option<Box<StatusText>>,
    /// Since when it reads its configuration anew, as it said.
    #[serde(default)]
    pub reloading: Option<Box<Time>>,
    /// The signal that an operator had sent to it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signalled: Option<u8>,
}

impl Run {
    /// Which of the service's runs.
    pub fn generation(&self) -> Generation {
        self.id.generation
    }

    /// What is told of its start.
    pub(super) fn has_started(&self) -> Fact {
        let program_of = self.program_of.as_ref().map(|run| run.generation);
        Fact::Started { definition: self.definition.clone(), program_of }
    }

    /// Takes another policy. What another check has found is not what this one finds.
    pub(super) fn redefine(&mut self, definition: &Arc<Definition>) {
        fn probe(definition: &Definition) -> Option<&Probe> {
            definition.policy.check.as_ref().map(|check| &check.probe)
        }
        if probe(&self.definition) != probe(definition) {
            self.health.forget_checks();
        }
        self.definition = definition.clone();
    }

    /// Can it say that it accepts no more?
    pub fn can_answer(&self) -> bool {
        self.definition.program.handshake == Handshake::Pipe && self.pipe_open
    }

    /// Is all that it says of its leave its exit, although it may have clients?
    pub fn leaves_without_a_word(&self) -> bool {
        self.definition.program.handshake != Handshake::Pipe && !self.definition.listeners.is_empty()
    }

    /// How it leaves when it is asked to.
    pub fn leave(&self) -> Leave {
        if self.can_answer() {
            Leave::Answers
        } else if self.definition.listeners.is_empty() {
            Leave::HasNoSocket
        } else {
            Leave::Ends
        }
    }

    /// Whether a signal to leave may be lost on it: one that has served for a while has its handler, and with other
    /// protocols than that of the pipe nobody asks twice.
    pub fn hearing(&self, now: Time) -> Hearing {
        let grown_up = self.served && now - self.started >= LISTENS_AFTER;
        let asked_once = self.definition.program.handshake != Handshake::Pipe;
        if grown_up || asked_once { Hearing::Assumed } else { Hearing::Unknown }
    }
}
