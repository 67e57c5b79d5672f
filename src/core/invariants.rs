//! What must hold between any two events. The simulation asks after every step.

use super::Supervisor;
use super::generation::Run;
use super::leaving::{self, Leaving};
use super::service::{Service, Wish};
use super::state::{State, Then};
use super::supervisor::Phase;
use super::worker::{Worker, kept};
use crate::limits::LEAVING;
use crate::plan::{Generation, ServiceId, ServiceName};
use std::collections::BTreeSet;

impl Supervisor {
    fn name(&self, id: ServiceId) -> &str {
        self.services.get(id).map_or("nobody", |service| service.definition.name.as_str())
    }

    /// Looks for a broken invariant.
    ///
    /// # Errors
    ///
    /// The first one found, in words.
    pub fn check(&self) -> Result<(), String> {
        for (id, service) in self.services.iter() {
            let name = &service.definition.name;
            let broken = |what: String| format!("{name}: {what}");
            check_service(service).map_err(broken)?;
            let known = [
                ("deadline", self.deadlines.of(*id) == service.deadline()),
                ("busy", self.busy.contains(id) == service.is_busy()),
                ("crashed", self.crashed.contains(id) == service.is_crashed()),
                ("being up", self.up.contains(id) == service.is_up()),
                ("idle sockets", self.idle_sockets.contains(id) == service.has_idle_sockets()),
                ("output", self.captured.contains(id) == service.is_captured()),
                ("strays", self.astray.contains(id) == service.is_astray()),
                ("starts", self.turns.starting.contains(id) == service.is_starting()),
            ];
            for (what, holds) in known {
                if !holds && !self.is_quarantined(*id) {
                    return Err(broken(format!("what is known of its {what} is out of step")));
                }
            }
            let serves = service.workers.iter().any(|worker| !worker.is_empty());
            if self.is_quarantined(*id) {
                continue;
            }
            if serves && self.names.get(name) != Some(id) {
                return Err(broken("removed, yet it serves".into()));
            }
            if self.phase == Phase::Running {
                check_wish(service, self.is_to_stop(*id), self.waits(*id)).map_err(broken)?;
            }
            if let Some((_, address, owner)) = self.displaced(*id).first() {
                return Err(broken(format!("it serves on at {address}, which is {owner}'s")));
            }
            if serves && self.phase == Phase::Stopping && !self.stops.contains(id) {
                return Err(broken("everything stops, yet it serves".into()));
            }
        }
        if let Some((name, generation)) = self.two_of_one_number() {
            return Err(format!("{name}: two runs are generation {generation}"));
        }
        if let Some(id) = self.waits_for_nobody() {
            return Err(format!("{}: it waits, and for nobody", self.name(id)));
        }
        if let Some(id) = self.waiting.intersection(&self.stops).next() {
            return Err(format!("{}: it is to start, and to stop", self.name(*id)));
        }
        let over = matches!(self.phase, Phase::Ended(_));
        if !over && self.captured.is_empty() == self.writer.is_wanted() {
            return Err("there is a log writer, and nothing to write; or the other way round".into());
        }
        if !self.touched.is_empty() {
            return Err("something changed, and nobody who waits for it was told".into());
        }
        let planned = self.plan.services.len();
        if self.names.len() != planned {
            return Err(format!("{planned} services in the plan, {} by name", self.names.len()));
        }
        Ok(())
    }
}

impl Supervisor {
    /// A generation of which there are two: one of a service that was removed, and one of what came back under its name.
    fn two_of_one_number(&self) -> Option<(&ServiceName, Generation)> {
        let mut known = BTreeSet::new();
        let runs = self.services.values().flat_map(|service| {
            let leaving =
                service.workers.iter().flat_map(|worker| &worker.leaving).map(|leaving| &leaving.run);
            let staying = service.workers.iter().flat_map(Worker::staying);
            leaving.chain(staying).map(|run| (&service.definition.name, run.generation()))
        });
        runs.into_iter().find(|run| !known.insert(*run))
    }
}

/// Is it as people want it? Only one that others need first runs on when it was told to stop.
fn check_wish(service: &Service, is_to_stop: bool, waits: bool) -> Result<(), String> {
    let stays = service.workers.iter().any(|worker| !worker.is_empty() || worker.starts_later());
    let is_forgotten =
        |worker: &Worker| worker.state == State::Held && !service.rollout.has_turn_to_come(worker.index);
    let holds = |worker: &Worker| matches!(worker.state, State::Held | State::Stopping { then: Then::Gone });
    let broken = match service.wish {
        Wish::Stop if stays && !is_to_stop => "it was stopped, yet it runs",
        Wish::Hold if !service.workers.iter().all(holds) => "it is held, yet not all of it",
        Wish::Remove if stays => "it was removed, yet it runs",
        // Released, it starts, or waits for its turn (simulation, seed 1233), or for that of the worker (seed 7303).
        Wish::Run if !waits && service.workers.iter().any(is_forgotten) => {
            "it is to run and waits for nobody, yet a worker is held"
        }
        Wish::Run | Wish::Stop | Wish::Hold | Wish::Remove => return Ok(()),
    };
    Err(broken.into())
}

fn check_service(service: &Service) -> Result<(), String> {
    if service.is_gone() {
        return Err("it is gone, yet known".into());
    }
    let mut kept: Vec<u32> = kept(&service.workers).map(|worker| worker.index).collect();
    kept.sort_unstable();
    if kept.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("two workers have the same number: {kept:?}"));
    }
    let works = |worker: &Worker| !worker.is_empty() || worker.starts_later();
    let wanted = service.definition.policy.workers as usize;
    if service.wish == Wish::Run && service.workers.iter().any(works) && kept.len() != wanted {
        return Err(format!("it has the workers {kept:?}, and is to have {wanted}"));
    }
    let surge = service.workers.iter().filter(|worker| worker.staying().count() > 1).count();
    if surge > service.definition.policy.max_surge as usize {
        return Err(format!("{surge} workers have two runs that nobody asked to leave"));
    }
    service.workers.iter().try_for_each(|worker| check_worker(worker, service))
}

fn check_worker(worker: &Worker, service: &Service) -> Result<(), String> {
    let mut generations: Vec<_> = worker.leaving.iter().map(|leaving| leaving.run.generation()).collect();
    generations.extend(worker.staying().map(Run::generation));
    if generations.iter().any(|generation| *generation > service.last) {
        return Err(format!("a run is newer than the last generation {}", service.last));
    }
    generations.sort_unstable();
    if generations.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("a run is known twice: {generations:?}"));
    }
    if worker.proven().is_some() && !worker.needs_proven() {
        return Err("it keeps a program from which nothing serves".into());
    }
    if !worker.attends() {
        return Err("it asks somebody else than it should how he is".into());
    }
    let patient =
        |run: &&Leaving| matches!(run.phase, leaving::Phase::Asked { .. } | leaving::Phase::Draining { .. });
    if worker.leaving.iter().filter(patient).count() > LEAVING {
        return Err(format!("more than {LEAVING} runs leave in peace"));
    }
    match &worker.state {
        State::Restarting { old, .. } => {
            let waited_for = worker.leaving.iter().find(|leaving| leaving.run.generation() == *old);
            if !waited_for.is_some_and(|leaving| leaving.quiet_since.is_none() && leaving.awaited()) {
                return Err(format!("it waits for generation {old}, from which nothing can come"));
            }
        }
        State::Stopping { .. } => {
            if !worker.leaving.iter().any(Leaving::awaited) {
                return Err("it is stopping, and nobody is left".into());
            }
        }
        State::Gone => return Err("a worker is gone, yet known".into()),
        State::Stopped
        | State::Crashed
        | State::Held
        | State::Starting { .. }
        | State::Up { .. }
        | State::Preflight { .. }
        | State::Replacing { .. }
        | State::Baking { .. }
        | State::Backoff { .. } => {}
    }
    Ok(())
}
