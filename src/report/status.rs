//! What is known of a service, as people and programs are told.

use super::line::{message, printable};
use super::sentence::{and_then, exited, last_sign};
use super::words::{ended, spawn_failure};
use crate::core::health::Health;
use crate::core::history;
use crate::core::leaving::{Leaving, Phase};
use crate::core::service::Service;
use crate::core::worker::Worker;
use crate::core::{ExitStatus, Fact, Next, Report, Time};
use crate::plan::{Definition, ListenerId, ListenerSpec};
use crate::protocol::status::{
    DrainStatus, LastExit, Queue, RestartCounts, RunStatus, ServiceStatus, SocketStatus, Unhealthy,
};
use std::time::Duration;

/// What is known of a service. `queue` gives what waits at a listener, where that is known.
pub fn of_service(
    service: &Service,
    now: Time,
    queue: impl Fn(ListenerId) -> Option<Queue>,
) -> ServiceStatus {
    let kept = || service.workers.iter().filter(|worker| !worker.is_being_removed());
    let youngest = kept().filter_map(Worker::serving).map(|run| run.started).max();
    let history = &service.history;
    let failed = history.last_failure.as_deref().filter(|failed| !ended_well(&failed.report.fact));
    let state = word(service);
    ServiceStatus {
        name: service.definition.name.as_str().into(),
        state: state.into(),
        stale: None,
        removed: service.is_removed(),
        workers: service.definition.policy.workers,
        generation: (service.last.0 > 0).then_some(service.last.0),
        uptime_ms: youngest.map(|started| ms(now - started)).filter(|_| service.is_up()),
        restarts: RestartCounts {
            asked: history.restarts.asked.into(),
            crash: history.restarts.crash.into(),
            unhealthy: history.restarts.unhealthy.into(),
            rollback: history.restarts.rollback.into(),
            failed: history.restarts.failed.into(),
        },
        repairs: history.repairs.into(),
        ready_ms: history.ready.map(|ready| ms(ready.into())),
        runs: kept().flat_map(|worker| runs(worker, &service.definition, now)).collect(),
        draining: all_draining(service, now),
        sockets: sockets(service, queue),
        waits_for: Vec::new(),
        last_exit: history.last_exit.as_ref().map(|exit| last_exit(exit, now)),
        last_failure: failed.map(|failed| failure(&failed.report)),
        last_failure_age_ms: failed.and_then(|failed| Some(ms(now - failed.at?))),
        last_words: failed.map_or_else(Vec::new, |failed| failed.words.clone()),
        restart_failed: history.restart_failed,
        reason: failed
            .filter(|_| matches!(state, "crashed" | "backoff"))
            .map(|failed| reason(&failed.report)),
    }
}

/// Is it no failure, although nobody had asked for it? What came of that may be one all the same, and is told by this.
fn ended_well(fact: &Fact) -> bool {
    fact.is_good_end() && matches!(fact, Fact::Exited { next: Next::Stopped, .. })
}

/// The runs of a service that were asked to leave and have not ended.
pub fn all_draining(service: &Service, now: Time) -> Vec<DrainStatus> {
    service.workers.iter().flat_map(|worker| draining(worker, now)).collect()
}

fn last_exit(exit: &history::LastExit, now: Time) -> LastExit {
    let (code, signal) = match exit.status {
        ExitStatus::Code(code) => (Some(code), None),
        ExitStatus::Signal { signal, .. } => (None, Some(signal)),
        ExitStatus::Unknown => (None, None),
    };
    LastExit {
        generation: exit.generation.0,
        age_ms: ms(now - exit.at),
        code,
        signal,
        message: ended(exit.status),
    }
}

/// What was reported of a run that ended or failed without being asked.
pub fn failure(report: &Report) -> String {
    let generation =
        report.generation.map_or_else(String::new, |generation| format!("generation {generation} "));
    generation + &message(&report.fact)
}

/// The same, without what follows.
pub fn cause(report: &Report) -> String {
    if let Fact::NotRestarted { failure, .. } = &report.fact {
        return spawn_failure(failure);
    }
    without_next(failure(report), report)
}

/// The same, without the generation; of an exit it begins with how it ended, as [`LastExit`] has it.
fn reason(report: &Report) -> String {
    if let Fact::Exited { status, before_ready, .. } = &report.fact {
        return exited(*status, *before_ready);
    }
    without_next(message(&report.fact), report)
}

fn without_next(mut told: String, report: &Report) -> String {
    if let Fact::NotReady { next, .. }
    | Fact::SpawnFailed { next, .. }
    | Fact::LeavesByItself { next, .. }
    | Fact::Exited { next, .. }
    | Fact::Unhealthy { next, .. }
    | Fact::SaidStopping { next } = &report.fact
    {
        let end = format!("; {}", and_then(*next));
        told.truncate(told.strip_suffix(&*end).unwrap_or(&told).len());
    }
    told
}

/// The word for all workers together: what is on its way comes first, then what is wrong. Workers that the service is
/// to have no more have no say, while there are others.
fn word(service: &Service) -> &'static str {
    const ORDER: [&str; 8] =
        ["restarting", "starting", "stopping", "backoff", "crashed", "held", "up", "stopped"];
    let stays = |worker: &&Worker| !worker.is_being_removed();
    let some_stay = service.workers.iter().any(|worker| stays(&worker));
    let counted = service.workers.iter().filter(|worker| !some_stay || stays(worker));
    let first =
        counted.filter_map(|worker| ORDER.into_iter().position(|word| word == worker.state.word())).min();
    // One without a worker waits for others, and its clients wait with it.
    first.map_or("starting", |first| ORDER[first])
}

fn runs<'a>(
    worker: &'a Worker,
    wanted: &'a Definition,
    now: Time,
) -> impl Iterator<Item = RunStatus> + use<'a> {
    let serving = worker.serving().map(|run| run.id);
    let run = move |run: &crate::core::generation::Run| RunStatus {
        worker: worker.index,
        generation: run.generation().0,
        pid: run.pid.map(|pid| pid.0),
        serves: serving == Some(run.id),
        age_ms: ms(now - run.started),
        accepts_at: other_addresses(&run.definition, wanted),
        reloading_ms: run.reloading.as_deref().map(|since| ms(now - *since)),
        status: run.status.as_ref().map(|text| printable(text.as_str())),
        unhealthy: unhealthy(&run.health, now),
    };
    worker.staying().map(run)
}

fn unhealthy(health: &Health, now: Time) -> Option<Unhealthy> {
    match health {
        Health::Unhealthy(sick) => {
            Some(Unhealthy { age_ms: ms(now - sick.since), message: printable(&last_sign(&sick.sign)) })
        }
        Health::Unknown | Health::Healthy { .. } | Health::Failing { .. } => None,
    }
}

fn draining(worker: &Worker, now: Time) -> impl Iterator<Item = DrainStatus> {
    let one = move |leaving: &Leaving| {
        let phase = match leaving.phase {
            Phase::Asked { .. } => "asked",
            Phase::Draining { .. } => "draining",
            Phase::Terminating { .. } => "terminating",
            Phase::Killed { .. } => "killed",
            Phase::Stuck => "stuck",
        };
        DrainStatus {
            worker: worker.index,
            generation: leaving.run.generation().0,
            pid: leaving.run.pid.map(|pid| pid.0),
            phase: phase.into(),
            by_itself: leaving.by_itself,
            age_ms: ms(now - leaving.since),
            left_ms: (leaving.phase != Phase::Stuck).then(|| ms(leaving.patience(now))),
        }
    };
    worker.leaving.iter().map(one)
}

/// The addresses of what runs, where others are wanted.
fn other_addresses(runs: &Definition, wanted: &Definition) -> Vec<String> {
    let is_wanted = |spec: &&ListenerSpec| wanted.listeners.iter().any(|other| other.address == spec.address);
    if runs.listeners.iter().all(|spec| is_wanted(&spec)) {
        return Vec::new();
    }
    runs.listeners.iter().map(|spec| spec.address.to_string()).collect()
}

fn sockets(service: &Service, queue: impl Fn(ListenerId) -> Option<Queue>) -> Vec<SocketStatus> {
    let socket = |(spec, id): (&ListenerSpec, &ListenerId)| {
        let (clients, datagrams) = match queue(*id) {
            Some(Queue::Clients { waiting, limit }) => (Some((waiting, limit)), None),
            Some(Queue::Datagrams { bytes, limit, dropped }) => (None, Some((bytes, limit, dropped))),
            None => (None, None),
        };
        SocketStatus {
            address: spec.address.to_string(),
            name: spec.name.as_deref().map(str::to_owned),
            waiting: clients.map(|(waiting, _)| waiting),
            limit: clients.map(|(_, limit)| limit),
            waiting_bytes: datagrams.map(|(bytes, _, _)| bytes),
            limit_bytes: datagrams.map(|(_, limit, _)| limit),
            dropped: datagrams.map(|(_, _, dropped)| dropped),
        }
    };
    service.definition.listeners.iter().zip(&service.listeners).map(socket).collect()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
