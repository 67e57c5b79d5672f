//! What must hold between any two events. The simulation asks after every step.

use super::Supervisor;
use super::service::{Service, State};
use super::supervisor::Phase;

impl Supervisor {
    /// Looks for a broken invariant.
    ///
    /// # Errors
    ///
    /// The first one found, in words.
    pub fn check(&self) -> Result<(), String> {
        for (id, service) in &self.services {
            let name = &service.definition.name;
            check_service(service).map_err(|broken| format!("{name}: {broken}"))?;
            let known = [
                ("deadline", self.deadlines.of(*id) == service.deadline()),
                ("busy", self.busy.contains(id) == service.is_busy()),
                ("crashed", self.crashed.contains(id) == (service.state == State::Crashed)),
            ];
            for (what, holds) in known {
                if !holds {
                    return Err(format!("{name}: what is known of its {what} is out of step"));
                }
            }
            let removed = self.names.get(name) != Some(id);
            if removed && !matches!(service.state, State::Stopping { .. } | State::Stopped) {
                return Err(format!("{name}: removed, yet {:?}", service.state));
            }
            if self.phase == Phase::Stopping && service.serving().is_some() {
                return Err(format!("{name}: everything stops, yet it serves"));
            }
        }
        let planned = self.plan.services.len();
        if self.names.len() != planned {
            return Err(format!("{planned} services in the plan, {} by name", self.names.len()));
        }
        Ok(())
    }
}

fn check_service(service: &Service) -> Result<(), String> {
    let mut generations: Vec<_> = service.leaving.iter().map(|leaving| leaving.run.generation()).collect();
    generations.extend(service.serving().map(super::leaving::Run::generation));
    if generations.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(format!("its runs are not in the order of their generations: {generations:?}"));
    }
    if generations.iter().any(|generation| *generation > service.last) {
        return Err(format!("a run is newer than the last generation {}", service.last));
    }
    match &service.state {
        State::Restarting { old } => {
            let waited_for = service.leaving.iter().find(|leaving| leaving.run.generation() == *old);
            if !waited_for.is_some_and(|leaving| leaving.quiet_since.is_none() && leaving.awaited()) {
                return Err(format!("it waits for generation {old}, from which nothing can come"));
            }
        }
        State::Stopping { .. } => {
            if !service.leaving.iter().any(super::leaving::Leaving::awaited) {
                return Err("it is stopping, and nobody is left".into());
            }
        }
        State::Stopped
        | State::Crashed
        | State::Starting { .. }
        | State::TextBusy { .. }
        | State::Up { .. }
        | State::Backoff { .. } => {}
        State::Gone => return Err("it is gone, yet known".into()),
    }
    Ok(())
}
