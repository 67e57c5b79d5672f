//! Whom a worker asks how it is, and what follows from the answers: readiness, a way back, a restart.

use super::cast::Cast;
use super::ending::{Role, Why};
use super::event::{Miss, SpawnFailure};
use super::fact::{Fact, Next};
use super::generation::Run;
use super::health::{Health, Sign, Watchdog};
use super::pulse::{Beat, Purpose};
use super::scene::Scene;
use super::state::State;
use super::status_text::StatusText;
use super::worker::Worker;
use super::{Action, Time};
use crate::limits::{PROBE_FIRST, PROBE_MAX, PROBES_AT_LEAST};
use crate::plan::{Generation, Probe, Restart, RunId, Scope};
use crate::protocol::Notice;
use std::time::Duration;

impl Worker {
    /// Whom to ask, what for, and whether soon.
    ///
    /// While two serve side by side an address that both have tells nothing of either: then nobody is asked there.
    fn patient(&self) -> Option<(RunId, Purpose, &Probe, bool)> {
        let Cast { reserve, serving, candidate } = self.state.cast();
        if let Some(candidate) = candidate {
            // One that is ready in time is found to be (simulation, seed 3972).
            let most = candidate.run.definition.policy.ready_timeout / PROBES_AT_LEAST;
            let gate = Purpose::Gate { most: most.clamp(PROBE_FIRST, PROBE_MAX) };
            return candidate.awaited_probe().map(|probe| (candidate.run.id, gate, probe, true));
        }
        let run = serving?;
        let check = run.definition.policy.check.as_ref()?;
        let tells = reserve.is_none() || check.probe.scope == Scope::Run;
        let soon = matches!(self.state, State::Baking { .. });
        tells.then_some((run.id, Purpose::Health { period: check.period }, &check.probe, soon))
    }

    /// Asks whoever is to be asked now, after anything that may have changed that.
    pub(super) fn attend(&mut self, scene: &mut Scene<'_>) {
        let wanted = self.patient().map(|(run, purpose, probe, soon)| (run, purpose, probe.clone(), soon));
        let soon = wanted.as_ref().is_some_and(|(_, _, _, soon)| *soon);
        let subject = wanted.as_ref().map(|(run, purpose, probe, _)| (*run, *purpose, probe));
        scene.out.extend(self.pulse.turn_to(subject, soon, scene.now));
    }

    /// Is the one asked that is to be?
    pub(super) fn attends(&self) -> bool {
        let wanted = self.patient().map(|(run, purpose, probe, _)| (run, purpose, probe));
        self.pulse.subject() == wanted
    }

    /// The run whose health decides something: not that of one whose successor starts already, or is looked at.
    fn in_care(&self) -> Option<&Run> {
        let Cast { serving, candidate, .. } = self.state.cast();
        serving.filter(|_| candidate.is_none() && !self.is_in_preflight())
    }

    fn in_care_mut(&mut self) -> Option<&mut Run> {
        let looks = self.is_in_preflight();
        let Cast { serving, candidate, .. } = self.state.cast_mut();
        serving.filter(|_| candidate.is_none() && !looks)
    }

    fn is_in_preflight(&self) -> bool {
        matches!(self.state, State::Preflight { .. })
    }

    /// When its health must hear of the time.
    pub(super) fn deadline_of_care(&self) -> Option<Time> {
        let run = self.in_care();
        let watchdog = run.and_then(|run| run.watchdog.as_ref()).and_then(|watchdog| watchdog.by);
        let restart = run.and_then(|run| run.health.restart_at());
        self.pulse.deadline().into_iter().chain(watchdog).chain(restart).min()
    }

    /// Does what the time has come for, but for a restart, whose turn the service gives.
    pub(super) fn care_is_due(&mut self, scene: &mut Scene<'_>) {
        match self.pulse.beat(scene.now) {
            Beat::Rest => {}
            Beat::Ask(run, attempt, probe) => self.ask_how_it_is(run, attempt, probe, scene),
            Beat::TimedOut(run, attempt) => {
                scene.out.push(Action::StopProbe { run, attempt });
                self.probed(run.generation, attempt, Err(Miss::TimedOut), scene);
            }
        }
        self.watchdog_is_due(scene);
    }

    /// One that has not said for too long that it is alive is sick.
    pub(super) fn watchdog_is_due(&mut self, scene: &mut Scene<'_>) {
        let now = scene.now;
        let overdue =
            |run: &&mut Run| run.watchdog.as_ref().and_then(|dog| dog.by).is_some_and(|by| by <= now);
        if let Some(run) = self.in_care_mut().filter(overdue)
            && let Some(watchdog) = &mut run.watchdog
        {
            // One that is left alone is not found dead again and again.
            watchdog.by = (scene.definition.policy.restart != Restart::No).then(|| now + watchdog.period);
            let sign = Sign::Silence(watchdog.period);
            self.found_sick(sign, scene);
        }
    }

    fn ask_how_it_is(&mut self, run: RunId, attempt: u32, probe: Probe, scene: &mut Scene<'_>) {
        let of = self.staying().find(|known| known.id == run);
        scene.out.extend(of.map(|known| Action::Probe {
            run,
            worker: known.worker,
            attempt,
            target: probe.target,
            definition: known.definition.clone(),
        }));
    }

    /// The answer to a question; one that nobody awaits changes nothing.
    pub(super) fn probed(
        &mut self,
        generation: Generation,
        attempt: u32,
        answer: Result<(), Miss>,
        scene: &mut Scene<'_>,
    ) {
        let run = RunId { service: scene.service, generation };
        match (self.pulse.answered(run, attempt, scene.now), answer) {
            (None, _) => {}
            (Some(Purpose::Gate { .. }), answer) => self.candidate_probed(answer, scene),
            (Some(Purpose::Health { .. }), Ok(())) => self.found_well(scene),
            (Some(Purpose::Health { .. }), Err(miss)) if is_want_of_ours(&miss) => {
                if let Some(run) = self.in_care_mut() {
                    let run = run.clone();
                    scene.report_on(&run, Fact::CheckNotMade { miss });
                }
            }
            (Some(Purpose::Health { .. }), Err(miss)) => self.missed(miss, scene),
        }
    }

    fn found_well(&mut self, scene: &mut Scene<'_>) {
        let Some(run) = self.in_care_mut() else { return };
        run.well_at = scene.now;
        if let Some(since) = run.health.good(scene.now) {
            let run = run.clone();
            scene.report_on(&run, Fact::HealthyAgain { after: scene.now - since });
        }
    }

    fn missed(&mut self, miss: Miss, scene: &mut Scene<'_>) {
        let Some(run) = self.in_care_mut() else { return };
        let failures = run.definition.policy.check.as_ref().map_or(1, |check| check.failures.max(1));
        let misses = run.health.bad(miss.clone());
        if misses < failures {
            let run = run.clone();
            scene.report_on(&run, Fact::CheckMissed { misses, failures, miss });
        } else if misses.is_multiple_of(failures) {
            self.found_sick(Sign::Checks { misses, last: miss }, scene);
        }
    }

    /// It is sick: one that has yet to prove itself goes, any other is restarted, if the policy allows that. It
    /// counts as a crash, so that one that is sick again and again is restarted less and less often.
    fn found_sick(&mut self, sign: Sign, scene: &mut Scene<'_>) {
        if matches!(self.state, State::Baking { .. }) {
            return self.ended(Role::Serving, Why::Sick(sign), scene);
        }
        let State::Up { run } = &mut self.state else { return };
        if run.health.restart_at().is_some() {
            return;
        }
        let policy = &scene.definition.policy;
        let pause =
            (policy.restart != Restart::No).then(|| self.backoff.fail(run.well_at - run.started, policy));
        let restart_at = pause.map(|pause| scene.now + pause);
        let next = match pause {
            None => Next::LeftAlone,
            Some(Duration::ZERO) => Next::RestartsNow,
            Some(pause) => Next::RestartsIn(pause),
        };
        let news = run.health.sick(sign.clone(), restart_at, scene.now);
        if news || restart_at.is_some() {
            let run = run.clone();
            scene.report_on(&run, Fact::Unhealthy { sign, next });
        }
    }

    /// Its policy has changed, which had this `before`: a restart or a start that is to come by itself may not be wanted any
    /// more, and one that was left alone although it is sick is to be restarted.
    pub(super) fn reconsider(&mut self, before: Restart, scene: &mut Scene<'_>) {
        let is_left_alone = scene.policy().restart == Restart::No;
        if is_left_alone && matches!(self.state, State::Backoff { .. }) {
            return self.stay_down(scene);
        }
        let State::Up { run } = &mut self.state else { return };
        let Health::Unhealthy(sick) = &mut run.health else { return };
        let sign = sick.sign.clone();
        if !is_left_alone && before == Restart::No {
            self.found_sick(sign, scene);
        } else if is_left_alone && sick.restart_at.take().is_some() {
            let run = run.clone();
            scene.report_on(&run, Fact::Unhealthy { sign, next: Next::LeftAlone });
        }
    }

    /// Is it time to restart it because it is sick? Tells so once.
    pub(super) fn take_restart(&mut self, now: Time) -> bool {
        let State::Up { run } = &mut self.state else { return false };
        let Health::Unhealthy(sickness) = &mut run.health else { return false };
        sickness.restart_at.take_if(|at| *at <= now).is_some()
    }

    /// What a run that nobody asked to leave says of itself.
    pub(super) fn notified(&mut self, role: Role, notice: Notice, scene: &mut Scene<'_>) {
        let now = scene.now;
        let Some(run) = self.state.cast_mut().of(role) else { return };
        match notice {
            Notice::Status(text) => run.status = Some(Box::new(StatusText::of(&text))),
            Notice::Watchdog => self.fed(role, scene),
            Notice::WatchdogPeriod(period) if run.definition.program.watchdog.is_some() => {
                run.watchdog = Watchdog::promising(period, now).map(Box::new);
            }
            Notice::WatchdogTrigger if role == Role::Serving => self.found_sick(Sign::Trigger, scene),
            Notice::Stopping => self.ended(role, Why::Stopping, scene),
            Notice::MainPid(pid) => run.turn_to(pid, scene),
            // Some say so before they are ready for the first time: that is how they start, and nothing else.
            Notice::Reloading { .. } if role != Role::Candidate => run.reloads(scene),
            Notice::Ready => run.has_reloaded(scene),
            Notice::Reloading { .. }
            | Notice::ExtendTimeout(_)
            | Notice::WatchdogPeriod(_)
            | Notice::WatchdogTrigger
            | Notice::Errno(_) => {}
        }
    }

    /// It is alive. That alone makes it healthy, unless it is its check that speaks against it.
    fn fed(&mut self, role: Role, scene: &mut Scene<'_>) {
        let Some(run) = self.state.cast_mut().of(role) else { return };
        let Some(watchdog) = &mut run.watchdog else { return };
        watchdog.fed(scene.now);
        let check_has_a_say = run.definition.policy.check.is_some();
        let by_watchdog = matches!(run.health.sign(), Some(Sign::Silence(_) | Sign::Trigger));
        if role == Role::Serving && (by_watchdog || !check_has_a_say) {
            self.found_well(scene);
        }
    }
}

/// Was nobody asked, for want of descriptors or memory? A restart would need more of the same.
fn is_want_of_ours(miss: &Miss) -> bool {
    let (Miss::Failed(errno) | Miss::NotStarted(SpawnFailure { errno, .. })) = miss else { return false };
    matches!(*errno, libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)
}

#[cfg(test)]
mod tests;
