//! What a run says of itself that nobody else has to do anything about: another main process, a reload.

use super::fact::Fact;
use super::generation::Run;
use super::scene::Scene;
use crate::plan::Pid;

impl Run {
    /// Another of its processes is the main one from now on, as it said.
    pub(super) fn turn_to(&mut self, main: Pid, scene: &mut Scene<'_>) {
        let before = self.pid.replace(main);
        if before != Some(main) {
            scene.report_on(self, Fact::MainProcess { before });
        }
    }

    /// It reads its configuration anew, as it said. It serves all the while, as far as anybody knows.
    pub(super) fn reloads(&mut self, scene: &mut Scene<'_>) {
        if self.reloading.is_none() {
            self.reloading = Some(Box::new(scene.now));
            scene.report_on(self, Fact::Reloading);
        }
    }

    /// It is ready again, as it said.
    pub(super) fn has_reloaded(&mut self, scene: &mut Scene<'_>) {
        if let Some(since) = self.reloading.take() {
            scene.report_on(self, Fact::ReloadedItself { after: scene.now - *since });
        }
    }
}
