//! What a worker may know and do while it takes one event: the time, its service, and a place for actions.

use super::fact::{Fact, Report};
use super::generation::Run;
use super::history::History;
use super::{Action, Time};
use crate::plan::{Definition, Generation, ListenerId, Policy, RunId, ServiceId};
use std::sync::Arc;

/// The surroundings of one step.
pub struct Scene<'a> {
    /// The time of the event.
    pub now: Time,
    /// What is to be done about it.
    pub out: &'a mut Vec<Action>,
    /// Whose step it is.
    pub service: ServiceId,
    /// What the service's next generation will be.
    pub definition: &'a Arc<Definition>,
    /// Its sockets.
    pub listeners: &'a [ListenerId],
    /// Its last generation.
    pub last: &'a mut Generation,
    /// What it has been through.
    pub history: &'a mut History,
}

impl Scene<'_> {
    /// How the service is treated now.
    pub fn policy(&self) -> &Policy {
        &self.definition.policy
    }

    /// A name for the next run.
    pub fn next_run(&mut self) -> RunId {
        *self.last = self.last.next();
        RunId { service: self.service, generation: *self.last }
    }

    /// Reports about the service as a whole.
    pub fn report(&mut self, fact: Fact) {
        let report = self.report_of_all(fact);
        self.out.push(Action::Report(report));
    }

    /// Reports about one of its runs.
    pub fn report_on(&mut self, run: &Run, fact: Fact) {
        let report = self.report_of(run, fact);
        self.out.push(Action::Report(report));
    }

    /// Reports that one of its runs failed, which a client may want to know as well.
    pub fn report_failure(&mut self, run: &Run, fact: Fact) {
        self.failed(self.report_of(run, fact));
    }

    /// Reports that something failed which none of its runs had a part in.
    pub fn report_failure_of_all(&mut self, fact: Fact) {
        self.failed(self.report_of_all(fact));
    }

    fn failed(&mut self, report: Report) {
        self.history.failed(report.clone(), Some(self.now));
        self.out.push(Action::Report(report));
    }

    fn report_of_all(&self, fact: Fact) -> Report {
        Report { service: Some(self.definition.name.clone()), generation: None, pid: None, fact }
    }

    fn report_of(&self, run: &Run, fact: Fact) -> Report {
        let service = Some(self.definition.name.clone());
        Report { service, generation: Some(run.generation()), pid: run.pid, fact }
    }
}
