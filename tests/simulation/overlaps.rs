//! One thing in the middle of another: a check that fails, a changed program, a hold, a release, a reload, each while a
//! restart of several workers is under way. What serves in the end is exact.

use crate::plans;
use crate::restarts::{ENOUGH, all_up, edit, keeps_its_bounds, restart_or_edit, serving, web};
use crate::rng::Rng;
use crate::world::{Breaks, World};
use crate::{STORIES, tell_some};
use bootstrap::core::leaving::Leaving;
use bootstrap::core::service::Service;
use bootstrap::core::state::State;
use bootstrap::core::{Event, Verb};
use bootstrap::plan::{Check, Definition, Place, Probe, RestartOrder, Scope, Target};
use std::time::Duration;

/// Long enough for a check to fail in it.
const BAKE_TIME: Duration = Duration::from_secs(4);

/// Longer than any restart of a service that is asked all the time: each answer is an event.
const ENOUGH_CHECKED: Duration = Duration::from_secs(100);

/// Longer than the first start of all workers.
const FIRST_START: Duration = Duration::from_secs(20);

/// A service of some workers that are asked every now and then how they are, and have to prove themselves.
fn checked(rng: &mut Rng, change: impl Fn(&mut Definition)) -> bootstrap::plan::Plan {
    let plan = plans::replicated(rng);
    let period = rng.ms(500..1_000);
    let failures = rng.pick(&[1, 2]);
    plans::changed(&plan, |web| {
        let target = Target::Tcp(Place::Unix("/run/{generation}".into()));
        let probe = Probe { target, scope: Scope::Run, timeout: Duration::from_millis(400) };
        let policy = &mut *web.policy;
        policy.check = Some(Box::new(Check { probe, period, failures }));
        change(web);
    })
}

fn up(plan: bootstrap::plan::Plan, rng: Rng, breaks: Option<Breaks>) -> World {
    let mut world = World::of(plan, rng, true);
    world.breaks = breaks;
    world.run_for(FIRST_START);
    assert!(web(&world.core).is_up());
    world.breaks = None;
    world
}

fn proves_itself(mut rng: Rng) -> World {
    let plan = checked(&mut rng, |web| web.policy.bake_time = BAKE_TIME);
    up(plan, rng, None)
}

/// One whose processes are sick a moment after the story has begun: the first ones have been up for long then.
fn about_to_be_sick(mut rng: Rng) -> World {
    let plan = checked(&mut rng, |web| web.policy.bake_time = Duration::ZERO);
    let after = FIRST_START + rng.ms(0..3_000);
    up(plan, rng, Some(Breaks::Sickens(after)))
}

/// Lets a restart come to a moment of its own choosing.
fn begin(world: &mut World) {
    restart_or_edit(world);
    let after = world.rng.ms(0..1_500);
    world.run_for(after);
}

#[test]
fn a_check_that_fails_in_the_bake_time_ends_with_what_served_before() {
    tell_some(STORIES / 10, proves_itself, |world| {
        let policy = web(&world.core).definition.policy.clone();
        let before = serving(world);
        // As ready as ever, and then its answers are bad for longer than it bakes.
        world.breaks = Some(Breaks::Sickens(Duration::from_secs(1)));
        restart_or_edit(world);
        world.run_for(ENOUGH_CHECKED);
        let after = serving(world);
        assert_eq!(after.len(), before.len());
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

/// The change is newer than what the canary runs: all are restarted after it, the canary as well.
#[test]
fn a_program_that_changes_in_the_middle_of_a_canary_is_what_serves_in_the_end() {
    let watched = |mut rng: Rng| {
        let plan = plans::changed(&plans::replicated(&mut rng), |web| {
            let policy = &mut *web.policy;
            (policy.watch, policy.canary, policy.workers) = (true, true, 3);
        });
        up(plan, rng, None)
    };
    tell_some(STORIES / 4, watched, |world| {
        let begun = web(&world.core).last;
        world.watchful = Some(Box::new(move |core| keeps_its_bounds(web(core), begun)));
        begin(world);
        let (service, before) = (web(&world.core).id, web(&world.core).last);
        world.arrives_at(world.now, Event::ProgramChanged { service });
        world.run_for(ENOUGH);
        for (worker, run) in serving(world) {
            assert!(run.generation() > before, "worker {worker} runs what was there before the change");
        }
        assert!(web(&world.core).is_up());
    });
}

/// Whoever is coming up goes like those that serve; and what is released serves by what applies then.
#[test]
fn a_hold_in_the_middle_of_a_restart_leaves_nobody_and_a_release_brings_everybody_back() {
    tell_some(STORIES / 4, all_up, |world| {
        begin(world);
        world.order(Verb::Hold);
        world.run_for(ENOUGH);
        let held = web(&world.core);
        assert!(held.workers.iter().all(|worker| worker.state == State::Held), "{:?}", held.workers);
        assert_eq!(world.living(), 0);
        let last = held.last;
        world.order(Verb::Release);
        world.run_for(ENOUGH);
        let service = web(&world.core);
        assert!(service.is_up());
        for (worker, run) in serving(world) {
            assert!(run.generation() > last && run.definition == service.definition, "worker {worker}");
        }
        assert_eq!(service.last.0 - last.0, service.definition.policy.workers, "starts after one release");
        world.check_all_answered();
    });
}

/// Stop-first: nobody stays beside one that was asked to leave and may still accept.
fn starts_after_the_others_are_quiet(service: &Service) {
    if service.definition.policy.restart_order == RestartOrder::StopFirst {
        for worker in service.workers.iter().filter(|worker| !worker.is_empty()) {
            assert!(!worker.leaving.iter().any(Leaving::may_accept), "{worker:?} started too soon");
        }
    }
}

/// A release that comes while those that were held still finish starts each worker once.
#[test]
fn a_release_while_the_held_ones_drain_starts_each_worker_once() {
    tell_some(STORIES / 4, all_up, |world| {
        let last = web(&world.core).last;
        world.watchful = Some(Box::new(|core| starts_after_the_others_are_quiet(web(core))));
        world.order(Verb::Hold);
        let after = world.rng.ms(0..20);
        world.run_for(after);
        world.order(Verb::Release);
        world.run_for(ENOUGH);
        let service = web(&world.core);
        assert!(service.is_up());
        assert_eq!(service.last.0 - last.0, service.definition.policy.workers, "starts after one release");
        assert_eq!(world.living(), service.workers.len());
        world.check_all_answered();
    });
}

#[test]
fn a_service_that_is_removed_in_the_middle_of_its_restart_is_gone_with_all_its_processes() {
    tell_some(STORIES / 4, all_up, |world| {
        begin(world);
        world.edited = Some(bootstrap::plan::Plan { services: Vec::new(), ..world.core.plan().clone() });
        world.signal(bootstrap::core::Request::Reload, Duration::ZERO);
        world.run_for(ENOUGH);
        assert_eq!((world.core.services().count(), world.living()), (0, 0));
    });
}

/// The same, and what comes back under its name is another service: nobody of the first is taken for one of it.
#[test]
fn a_service_that_is_removed_and_comes_back_has_processes_of_its_own() {
    tell_some(STORIES / 4, all_up, |world| {
        let plan = world.core.plan().clone();
        let before = web(&world.core).id;
        begin(world);
        world.edited = Some(bootstrap::plan::Plan { services: Vec::new(), ..plan.clone() });
        world.signal(bootstrap::core::Request::Reload, Duration::ZERO);
        let after = world.rng.ms(10..100);
        world.run_for(after);
        world.edited = Some(plan);
        world.signal(bootstrap::core::Request::Reload, Duration::ZERO);
        world.run_for(ENOUGH);
        let service = web(&world.core);
        assert!(service.is_up() && service.id != before);
        assert_eq!(world.living(), service.workers.len());
    });
}

/// Who is sick waits for its turn: no more are missing, or beside them, than may be.
#[test]
fn workers_that_are_sick_in_the_middle_of_a_restart_are_restarted_within_its_bounds() {
    tell_some(STORIES / 10, about_to_be_sick, |world| {
        let before = web(&world.core).last;
        world.watchful = Some(Box::new(move |core| keeps_its_bounds(web(core), before)));
        begin(world);
        world.run_for(ENOUGH_CHECKED);
        for (worker, run) in serving(world) {
            assert!(run.generation() > before, "worker {worker} was not restarted");
        }
        assert!(web(&world.core).is_up());
    });
}

/// Another number of workers, another policy: what is under way comes to its end by the new one.
#[test]
fn another_number_of_workers_in_the_middle_of_a_restart_is_what_there_is_in_the_end() {
    tell_some(STORIES / 4, all_up, |world| {
        let before = web(&world.core).last;
        begin(world);
        let workers = world.rng.pick(&[1, 2, 3, 4, 6]);
        edit(world, |web| web.policy.workers = workers);
        world.run_for(ENOUGH);
        let after = serving(world);
        assert_eq!(after.keys().copied().collect::<Vec<_>>(), (0..workers).collect::<Vec<_>>());
        assert!(after.values().all(|run| run.generation() > before), "some were not restarted");
        assert_eq!(world.living(), workers as usize);
    });
}

/// A restart that follows on one that is under way may find that whoever it was to restart is gone.
#[test]
fn a_restart_that_is_ordered_while_workers_go_tells_what_serves_in_the_end() {
    tell_some(STORIES / 4, all_up, |world| {
        begin(world);
        world.signal(bootstrap::core::Request::Restart, Duration::ZERO);
        let after = world.rng.ms(0..1_000);
        world.run_for(after);
        let workers = world.rng.pick(&[1, 2]);
        edit(world, |web| web.policy.workers = workers);
        let after = world.rng.ms(0..200);
        world.run_for(after);
        world.order(Verb::Restart);
        world.run_for(ENOUGH);
        assert!(web(&world.core).is_up());
        world.check_all_answered();
    });
}
