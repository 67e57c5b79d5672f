//! Restarts of one service whose servers do as they should, or whose new program is broken: what may be missing, what
//! may be too much, and what serves in the end is exact.

use crate::plans;
use crate::rng::Rng;
use crate::world::{Breaks, World};
use crate::{STORIES, tell_some};
use bootstrap::core::generation::Run;
use bootstrap::core::service::Service;
use bootstrap::core::state::State;
use bootstrap::core::worker::Worker;
use bootstrap::core::{Request, Supervisor, Verb};
use bootstrap::plan::{Definition, Generation, Ready, Restart, RestartOrder};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any restart of the service.
pub(crate) const ENOUGH: Duration = Duration::from_secs(600);

/// A service of some workers, each of which serves.
pub(crate) fn all_up(mut rng: Rng) -> World {
    let mut world = World::of(plans::replicated(&mut rng), rng, true);
    world.run_for(ENOUGH);
    assert!(web(&world.core).is_up());
    world
}

pub(crate) fn web(core: &Supervisor) -> &Service {
    core.services().next().expect("there is one")
}

pub(crate) fn serving(world: &World) -> BTreeMap<u32, Run> {
    let workers = web(&world.core).workers.iter();
    workers.filter_map(|worker| Some((worker.index, worker.serving()?.clone()))).collect()
}

/// The file has another command.
pub(crate) fn edit(world: &mut World, change: impl Fn(&mut Definition)) {
    world.edited = Some(plans::changed(world.core.plan(), change));
    world.signal(Request::Reload, Duration::ZERO);
}

pub(crate) fn restart_or_edit(world: &mut World) {
    if world.rng.chance(50) {
        world.signal(Request::Restart, Duration::ZERO);
    } else {
        edit(world, |web| web.program.command.push("--new".into()));
    }
}

/// What must hold at any moment of a restart of which `before` was the last generation that is old.
pub(crate) fn keeps_its_bounds(service: &Service, before: Generation) {
    let (policy, workers) = (&service.definition.policy, &service.workers);
    let through = |worker: &Worker| matches!(&worker.state, State::Up { run } if run.generation() > before);
    let in_transit = workers.iter().filter(|worker| worker.in_transit()).count();
    assert!(
        !policy.canary || in_transit <= 1 || workers.iter().any(through),
        "{in_transit} are replaced, and no canary has come through"
    );
    let missing = workers.iter().filter(|worker| worker.serving().is_none()).count();
    let staying = workers.iter().flat_map(Worker::staying).count();
    let (wanted, surge) = (policy.workers as usize, policy.max_surge as usize);
    match policy.restart_order {
        RestartOrder::StopFirst => {
            let most = policy.max_unavailable as usize;
            assert!(missing <= most, "{missing} workers are missing, of which {most} may");
            assert!(staying <= wanted, "{staying} stay, of {wanted}");
        }
        RestartOrder::StartFirst => {
            assert_eq!(missing, 0, "start-first, and workers are missing");
            assert!(staying <= wanted + surge, "{staying} stay, of {wanted} and {surge} beside them");
        }
    }
}

#[test]
fn a_restart_misses_no_more_workers_and_has_no_more_beside_them_than_it_may() {
    tell_some(STORIES, all_up, |world| {
        let before = web(&world.core).last;
        world.watchful = Some(Box::new(move |core| keeps_its_bounds(web(core), before)));
        restart_or_edit(world);
        world.run_for(ENOUGH);
        for (worker, run) in serving(world) {
            assert!(run.generation() > before, "worker {worker} was not restarted");
            assert_eq!(run.definition, web(&world.core).definition);
        }
        assert!(web(&world.core).is_up());
    });
}

#[test]
fn a_restart_that_is_asked_for_during_one_runs_after_it() {
    tell_some(STORIES / 10, all_up, |world| {
        restart_or_edit(world);
        let after = world.rng.ms(0..1_000);
        world.run_for(after);
        let before = web(&world.core).last;
        // What the first one is asked by takes a moment to arrive.
        let has_begun = before.0 as usize > serving(world).len()
            || web(&world.core).workers.iter().any(Worker::in_transit);
        world.order(Verb::Restart);
        world.run_for(ENOUGH);
        world.check_all_answered();
        // Those whose turn was still to come are not restarted twice.
        let (starts, workers) = (web(&world.core).last.0 - before.0, serving(world).len());
        let most = if has_begun { workers } else { 2 * workers };
        assert!(starts as usize <= most, "{starts} starts of {workers} workers, and {most} at most");
        for (worker, run) in serving(world) {
            let later = run.generation() > before;
            assert!(
                later,
                "worker {worker} still runs as {}, which is older than the request",
                run.generation()
            );
        }
    });
}

#[test]
fn a_restart_that_fails_ends_with_what_served_before() {
    tell_some(STORIES, all_up, |world| {
        let policy = web(&world.core).definition.policy.clone();
        let bakes = policy.bake_time > Duration::from_millis(300);
        let last = if bakes { Breaks::DiesReady } else { Breaks::Dies };
        world.breaks = Some(world.rng.pick(&[Breaks::Dies, Breaks::Hangs, last]));
        let before = serving(world);
        restart_or_edit(world);
        world.run_for(ENOUGH);
        let after = serving(world);
        assert!(web(&world.core).is_up(), "{:?} serve of {:?}", after.keys(), before.keys());
        let changed = after.iter().filter(|(worker, run)| before[worker].id != run.id).count();
        let most = match policy.restart_order {
            RestartOrder::StartFirst => 0,
            RestartOrder::StopFirst if policy.canary => 1,
            RestartOrder::StopFirst => policy.max_unavailable as usize,
        };
        assert!(changed <= most, "{changed} workers are others than before");
        for (worker, run) in after {
            let was = &before[&worker];
            assert!(was.definition.runs_the_same(&run.definition), "worker {worker} runs something else");
            assert_eq!(
                run.program_of.as_deref().copied(),
                (was.id != run.id).then_some(was.id),
                "of which program it is"
            );
        }
    });
}

/// Such as one that a deployment has removed, or has not brought yet.
#[test]
fn a_restart_whose_program_is_missing_leaves_all_that_serves_alone() {
    tell_some(STORIES / 10, all_up, |world| {
        world.breaks = Some(Breaks::IsMissing);
        let before = serving(world);
        restart_or_edit(world);
        world.run_for(ENOUGH);
        let after = serving(world);
        let ids = |runs: &BTreeMap<u32, Run>| runs.values().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(ids(&before), ids(&after));
        let web = web(&world.core);
        assert!(web.is_up() && web.history.restart_failed);
        assert!(web.workers.iter().all(|worker| worker.leaving.is_empty()), "somebody was asked to leave");
        // It is there again.
        world.breaks = None;
        let last = web.last;
        world.signal(Request::Restart, Duration::ZERO);
        world.run_for(ENOUGH);
        assert!(serving(world).values().all(|run| run.generation() > last));
    });
}

#[test]
fn another_number_of_workers_starts_and_ends_only_the_difference() {
    tell_some(STORIES / 10, all_up, |world| {
        let before = serving(world);
        let workers = world.rng.pick(&[1, 2, 3, 4, 6]);
        edit(world, |web| web.policy.workers = workers);
        world.run_for(ENOUGH);
        let after = serving(world);
        assert_eq!(after.keys().copied().collect::<Vec<_>>(), (0..workers).collect::<Vec<_>>());
        for (worker, run) in &after {
            assert!(before.get(worker).is_none_or(|was| was.id == run.id), "worker {worker} is another");
        }
    });
}

/// A start that comes to nothing is no life, however long it takes.
#[test]
fn who_is_never_ready_is_started_less_and_less_often() {
    let hopeless = |mut rng: Rng| {
        let plan = plans::changed(&plans::replicated(&mut rng), |web| {
            let policy = &mut *web.policy;
            (policy.restart, policy.ready) = (Restart::Always, Ready::Accepting);
            policy.ready_timeout = policy.healthy_after * 2;
        });
        let mut world = World::of(plan, rng, true);
        world.breaks = Some(Breaks::Hangs);
        world
    };
    tell_some(STORIES / 100, hopeless, |world| {
        world.run_for(ENOUGH);
        let before = web(&world.core).last;
        world.run_for(ENOUGH);
        let policy = &web(&world.core).definition.policy;
        let starts = web(&world.core).last.0 - before.0;
        let each = policy.ready_timeout + policy.restart_delay_max;
        let most = policy.workers * (1 + u32::try_from(ENOUGH.as_secs() / each.as_secs()).expect("few"));
        assert!(starts <= most, "{starts} starts of {} workers, and {most} at most", policy.workers);
    });
}
