//! Nobody makes way for a successor that cannot be started: that is seen before.

use super::{Breaks, World, known_of};
use bootstrap::core::leaving::Leaving;
use bootstrap::core::service::Service;
use bootstrap::core::state::State;
use bootstrap::core::worker::Worker;
use bootstrap::core::{Fact, Report, RunEvent, SpawnFailure, SpawnStage};
use bootstrap::plan::RunId;

impl World {
    /// What is seen now may be another by the time of the start.
    pub(super) fn preflight(&mut self, run: RunId) {
        let process = &self.processes[&run];
        assert!(!process.asked, "looked for a successor of {run:?} when it was asked already");
        let missing = self.breaks == Some(Breaks::IsMissing) || !self.calm && self.rng.chance(10);
        let failure = missing.then(|| SpawnFailure {
            stage: SpawnStage::Lookup,
            errno: libc::ENOENT,
            subject: "x".into(),
        });
        if failure.is_none() {
            self.cleared.insert(run);
        }
        self.hear(run, RunEvent::Foreseen(failure));
    }

    /// Whoever makes way was looked for a successor of, but for one that is sick and comes back, and one whose address is
    /// another's by now.
    pub(super) fn check_preflight(&mut self, run: RunId) {
        let was_cleared = self.cleared.remove(&run);
        let Some(service) = self.core.services().find(|s| s.id == run.service) else { return };
        let makes_way =
            |worker: &&Worker| matches!(worker.state, State::Restarting { old, .. } if old == run.generation);
        let Some(worker) = service.workers.iter().find(makes_way) else { return };
        let asked_now = |leaving: &Leaving| leaving.run.id == run && leaving.since == self.now;
        if !worker.leaving.iter().any(asked_now) {
            // It was asked before, and did not hear it.
            return;
        }
        let known = known_of(worker).find(|known| known.id == run).expect("it is leaving");
        let comes_back =
            service.definition.policy.rollback && known.definition.has_the_same_sockets(&service.definition);
        // What was sick in its bake time goes, and without a socket it is waited for.
        let sick = known.health.sign().is_some() && (comes_back || known.definition.listeners.is_empty());
        // One that is taken over may not stay, whatever comes after it.
        let taken_over = self.processes[&run].adopted == Some(self.now);
        assert!(
            was_cleared || sick || taken_over || self.makes_way_for_another(run),
            "{run:?} makes way for what may not be there"
        );
    }

    /// It serves on, and that was told: nobody is owed a start.
    pub(super) fn not_restarted(&mut self, report: &Report) {
        let Fact::NotRestarted { serves, .. } = report.fact else { return };
        let of = |service: &&Service| {
            Some(&service.definition.name) == report.service.as_ref()
                && service.workers.iter().any(|w| {
                    let serves_on = w.serving().is_some_and(|run| run.generation() == serves);
                    let id = RunId { service: service.id, generation: serves };
                    serves_on || self.makes_way_for_another(id)
                })
        };
        let id = self.core.services().find(of).expect("what is told to serve on serves").id;
        self.owed.start.remove(&id);
        self.owed.outdated.remove(&RunId { service: id, generation: serves });
    }
}
