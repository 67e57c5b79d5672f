//! The upgrade of the supervisor itself: it becomes the program now on disk, and nobody else notices.
//!
//! It may come in any state, for all of the state comes along; so there is nothing to decide but whether it is over
//! already.

use super::fact::{Fact, Report};
use super::succession::Succession;
use super::supervisor::{Phase, Supervisor, report};
use super::tickets::Tickets;
use super::{Action, UpgradeRefusal};
use crate::plan::RunId;
use std::time::Duration;

impl Supervisor {
    pub(super) fn upgrade_requested(&self, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Booting | Phase::Running | Phase::Stopping => out.push(Action::CheckSuccessor),
            Phase::Ended(_) => {}
        }
    }

    pub(super) fn successor_fit(&self, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Booting | Phase::Running | Phase::Stopping => out.push(Action::BecomeSuccessor),
            Phase::Ended(_) => {}
        }
    }

    pub(super) fn upgrade_refused(why: UpgradeRefusal, out: &mut Vec<Action>) {
        out.push(report(Fact::Succession(Succession::UpgradeRefused { why })));
    }

    pub(super) fn not_written_down(&self, run: RunId, errno: i32, out: &mut Vec<Action>) {
        let service = self.services.get(run.service).map(|service| service.definition.name.clone());
        let fact = Fact::Succession(Succession::NotWrittenDown { errno });
        out.push(Action::Report(Report { service, generation: Some(run.generation), pid: None, fact }));
    }

    /// Forgets all clients that wait for an answer: their connections did not come along.
    pub fn drop_clients(&mut self) {
        self.tickets = Tickets::default();
    }

    pub(super) fn upgraded(&self, from: String, took: Duration, out: &mut Vec<Action>) {
        let runs = self.services().map(super::service::Service::runs).sum();
        let sockets = self.sockets.len();
        out.push(report(Fact::Succession(Succession::Upgraded { from, took, sockets, runs })));
    }
}
