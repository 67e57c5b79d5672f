//! What is known of the processes of a run: for whoever writes it down.

use super::super::program::Origin;
use super::super::records::Known;
use super::super::voice::Voice;
use super::{Manner, Process, Processes};
use crate::plan::RunId;
use std::path::Path;

impl Processes {
    fn of(&self, run: RunId) -> Option<(i32, &Process)> {
        let leader = *self.leaders.get(&run)?;
        Some((leader, self.by_leader.get(&leader)?))
    }

    /// What a later supervisor needs to find a run.
    pub(in super::super) fn known(&self, run: RunId) -> Option<Known<'_>> {
        let (leader, process) = self.of(run)?;
        Some(Known {
            pid: process.main.unwrap_or(leader),
            group: process.main.map(|_| leader),
            listeners: &process.listeners,
            voice: process.voice.as_ref().and_then(Voice::mark),
            program: &process.program,
            inode: process.origin.as_ref().and_then(Origin::binary),
            cgroup: process.leaf.as_ref().map(|leaf| leaf.path()),
        })
    }

    /// The path of a run's program.
    pub(in super::super) fn program(&self, run: RunId) -> Option<&Path> {
        self.leaders.get(&run).and_then(|leader| Some(self.by_leader.get(leader)?.program.as_path()))
    }

    /// Points out that a run may have changed its sockets.
    pub(in super::super) fn touch(&mut self, run: RunId) {
        let process = self.leaders.get(&run).and_then(|leader| self.by_leader.get(leader));
        self.touched.extend(process.iter().flat_map(|process| &process.listeners));
    }

    /// Has nobody asked it to leave, and has it not said that it does?
    pub(in super::super) fn stays(&self, run: RunId) -> bool {
        self.of(run).is_some_and(|(_, process)| process.manner == Manner::Stays)
    }

    /// Has it said that it accepts no more?
    pub(in super::super) fn is_quiet(&self, run: RunId) -> bool {
        self.of(run).is_some_and(|(_, process)| process.manner == Manner::Quiet)
    }

    /// Does the main process run the binary that it was started from? Wrappers become another one.
    pub(in super::super) fn is_what_was_started(&self, run: RunId) -> bool {
        self.of(run).is_some_and(|(leader, process)| {
            process.main_lives
                && process
                    .origin
                    .as_ref()
                    .is_some_and(|origin| origin.is_run_by(process.main.unwrap_or(leader)))
        })
    }
}
