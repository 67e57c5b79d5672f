//! The core in a seeded world: every story a seed, every step checked.
//!
//! `SEED=7 cargo test --test simulation` tells one story again; `SEEDS=1000000` tells a million.

mod clients;
mod plans;
mod process;
mod restarts;
mod rng;
mod world;

use bootstrap::core::state::State;
use bootstrap::core::{Outcome, Request};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use world::World;

/// Stories that every run of the tests tells.
const STORIES: u64 = 1_000;

/// Tells the stories, on all cores; a failing one is printed with its seed.
fn tell(story: fn(&mut World)) {
    tell_some(STORIES, World::new, story);
}

/// Tells fewer of them, where each takes longer.
fn tell_some(stories: u64, begin: fn(u64) -> World, story: fn(&mut World)) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.map_or(stories, |count| count.div_ceil(STORIES / stories)),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for core in 0..cores {
            let seeds = seeds.clone();
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % cores == core) {
                    tell_one(seed, begin, story);
                }
            });
        }
    });
}

fn tell_one(seed: u64, begin: fn(u64) -> World, story: fn(&mut World)) {
    let mut world = begin(seed);
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| story(&mut world))) {
        eprintln!("{}\nreplay with: SEED={seed} cargo test --test simulation", world.story());
        resume_unwind(failure);
    }
}

/// An hour with signals at any moment, some of them in storms.
fn an_hour(world: &mut World) {
    let end = world.now + Duration::from_secs(3_600);
    while world.now < end && world.outcome().is_none() {
        let pause = match world.rng.below(10) {
            0 => world.rng.ms(0..30),
            1..4 => world.rng.ms(0..20_000),
            _ => world.rng.ms(0..400_000),
        };
        world.run_for(pause);
        for _ in 0..world.rng.below(4) {
            let after = world.rng.ms(0..2_000);
            world.client(after);
        }
        let request = match world.rng.below(20) {
            0..5 => Request::Reload,
            5 => Request::Upgrade,
            _ => Request::Restart,
        };
        for _ in 0..world.rng.pick(&[1, 1, 1, 2, 10]) {
            let after = world.rng.ms(0..20);
            world.signal(request.clone(), after);
        }
    }
}

#[test]
fn after_an_hour_of_trouble_a_restart_in_calm_brings_everything_up_once() {
    tell(|world| {
        an_hour(world);
        world.calm = true;
        // Longer than any timeout: what the trouble left behind has come to its end.
        world.run_for(Duration::from_secs(600));
        world.everything_runs();
        world.run_for(Duration::from_secs(600));
        world.signal(Request::Restart, Duration::ZERO);
        world.run_for(Duration::from_secs(600));
        if world.outcome().is_some() {
            return;
        }
        let before: BTreeMap<_, _> = world.core.services().map(|s| (s.id, s.last)).collect();
        world.check_all_answered();
        for _ in 0..10 {
            world.signal(Request::Restart, Duration::ZERO);
        }
        let killed = world.killed;
        world.run_for(Duration::from_secs(600));
        if world.outcome().is_some() {
            return;
        }
        for service in world.core.services() {
            for worker in &service.workers {
                assert!(
                    matches!(worker.state, State::Up { .. }),
                    "{} is not up, but {:#?}",
                    service.definition.name,
                    service
                );
            }
            let starts = service.last.0 - before[&service.id].0;
            assert_eq!(starts as usize, service.workers.len(), "starts after ten signals in an instant");
        }
        assert_eq!(world.killed, killed, "a good server was killed");
    });
}

#[test]
fn a_stop_at_any_moment_ends_every_process_in_time() {
    tell(|world| {
        let before = world.rng.ms(0..600_000);
        world.run_for(before);
        for _ in 0..world.rng.below(5) {
            let after = world.rng.ms(0..1_000);
            world.client(after);
        }
        for request in [Request::Restart, Request::Reload] {
            if world.rng.chance(50) {
                let after = world.rng.ms(0..10);
                world.signal(request, after);
            }
        }
        let after = world.rng.ms(0..12);
        world.signal(Request::Stop, after);
        if world.rng.chance(30) {
            let after = world.rng.ms(0..10_000);
            let request = if world.rng.chance(50) { Request::Stop } else { Request::StopNow };
            world.signal(request, after);
        }
        // One after the other, where they need each other.
        world.run_for(Duration::from_secs(600));
        let outcome = world.outcome().expect("it has ended");
        if outcome == Outcome::Stopped {
            // Some may hang in the kernel; the world ends them 9 seconds after their SIGKILL.
            let killed = world.killed;
            assert!(world.living() as u64 <= killed, "processes live on that nobody tried to kill");
        }
    });
}

#[test]
fn a_kill_at_any_step_loses_nobody() {
    tell_some(STORIES / 100, World::new, |world| {
        world.deaths = world.rng.pick(&[1, 5, 20]);
        an_hour(world);
    });
}

#[test]
fn an_upgrade_after_every_step_changes_nothing() {
    tell_some(STORIES / 50, World::new, |world| {
        world.upgrades = 100;
        an_hour(world);
    });
}
