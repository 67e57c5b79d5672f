//! Writing down who runs, and finding those again whom a killed supervisor left behind.

use super::orphans::Finds;
use super::processes::Change;
use super::records::Records;
use super::trail::Trail;
use super::{Os, RuntimeDir, clock};
use crate::core::{Event, Fact, Orphan, Report, Succession, WriterEvent};
use crate::limits::NOTED_AT_ONCE;
use crate::plan::{ListenerId, Orphans, Pid, RunId};
use std::collections::BTreeSet;
use std::io;

impl Os {
    /// Writes down in the runtime directory who runs, from now on.
    ///
    /// # Errors
    ///
    /// The system's: a supervisor that comes after a SIGKILL would find nobody.
    pub fn keep_records(&mut self) -> io::Result<()> {
        if let Some(directory) = &self.runtime_dir {
            self.probes.leave_trail(Trail::of(Some(directory.path())));
            let mut records = Records::open(directory.path())?;
            records.take_former(directory.path());
            self.records = Some(records);
        }
        Ok(())
    }

    /// Finds those whom a killed supervisor left behind, and their sockets; says of whom it is not to be taken over,
    /// and why. What is found waits for [`Action::Adopt`](crate::core::Action::Adopt) and
    /// [`Action::Bind`](crate::core::Action::Bind).
    pub fn find_orphans(&mut self, policy: Orphans) -> (Vec<Orphan>, Vec<Report>) {
        let given = std::mem::take(&mut self.given);
        let (finds, orphans, mut reports) = Finds::look(self.records.as_mut(), policy, given);
        let commands = Trail::of(self.runtime_dir.as_ref().map(RuntimeDir::path)).end_all();
        if commands > 0 {
            reports.push(Report::of_supervisor(Fact::Succession(Succession::ChecksEnded { commands })));
        }
        let former_writer = if policy == Orphans::Ignore { None } else { self.former_writer() };
        self.finds = Finds { former_writer, ..finds };
        (orphans, reports)
    }

    pub(super) fn adopt(&mut self, run: RunId, pid: Pid, listeners: &[ListenerId]) {
        let Some(held) = self.finds.held.remove(&pid.0) else { return };
        let have_them: Vec<i32> = held.rest.iter().flatten().map(|(pid, _)| *pid).chain([pid.0]).collect();
        if self.take_back_pipes(run, &have_them, pid.0, &held.definition, &held.output) > 0 {
            let service = held.definition.name.clone();
            self.events.push_back(Event::Writer(WriterEvent::NotFound { run, service, pid }));
        }
        if let Some(records) = &mut self.records {
            records.know(run, held.place);
        }
        self.processes.adopt(&self.poller, run, pid.0, listeners, held);
    }

    /// Notes what became of runs since the last turn.
    pub(super) fn note_changes(&mut self) {
        // What nobody wanted by now is wanted by nobody.
        let Finds { sockets, unwanted, .. } = std::mem::take(&mut self.finds);
        for listener in sockets.into_values() {
            listener.release();
        }
        if let Some(records) = &self.records {
            for place in unwanted {
                records.forget(place);
            }
        }
        if self.processes.changes() >= NOTED_AT_ONCE {
            // Many end as soon as they are asked to leave: what has ended by now needs no note of having been asked. Of
            // a few the answer is not there yet, and is not to wait for the note.
            self.look();
        }
        self.write_changes();
    }

    /// The same, without another look.
    pub(super) fn write_changes(&mut self) {
        self.write_changes_from(0);
    }

    /// The same, from the change with this number on.
    pub(super) fn write_changes_from(&mut self, number: usize) {
        let changes = self.processes.take_changes_from(number);
        if changes.is_empty() {
            return;
        }
        let ended: BTreeSet<RunId> =
            changes.iter().filter(|(_, change)| *change == Change::Ended).map(|(run, _)| *run).collect();
        for run in &ended {
            self.forget_env_file(*run);
        }
        let Some(records) = &mut self.records else { return };
        for (run, change) in changes {
            if !ended.contains(&run) || matches!(change, Change::Main(_)) {
                records.change(run, change);
            }
        }
        records.ended(&ended);
    }

    /// Reads what a server says. What a later supervisor has to know of it is written down first: nobody would hear it again.
    pub(super) fn hear(&mut self, number: u32) {
        if let Some((run, change)) = self.processes.foretell(number)
            && let Some(records) = &mut self.records
        {
            records.change(run, change);
        }
        let known = self.processes.changes();
        self.events.extend(self.processes.hear(&self.poller, number, clock::now()));
        self.write_changes_from(known);
    }
}
