//! The core in a seeded world: every story a seed, every step checked.
//!
//! `SEED=7 cargo test --test simulation` tells one story again; `SEEDS=1000000` tells a million. `CHOSEN=FILE` tells
//! what the fuzzer has found.

mod clients;
mod moves;
mod overlaps;
mod plans;
mod process;
mod restarts;
mod rng;
mod stories;
mod world;

use bootstrap::core::{Outcome, Request};
use rng::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use stories::{an_hour, calm, what_was_chosen};
use world::World;

/// Stories that every run of the tests tells.
const STORIES: u64 = 1_000;

/// Tells the stories, on all cores; a failing one is printed with its seed.
fn tell(story: fn(&mut World)) {
    tell_some(STORIES, World::new, story);
}

/// Tells fewer of them, where each takes longer.
fn tell_some(stories: u64, begin: fn(Rng) -> World, story: fn(&mut World)) {
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

fn tell_one(seed: u64, begin: fn(Rng) -> World, story: fn(&mut World)) {
    tell_by(Rng::new(seed), &format!("SEED={seed}"), begin, story);
}

fn tell_by(rng: Rng, name: &str, begin: fn(Rng) -> World, story: fn(&mut World)) {
    let mut world = begin(rng);
    if let Err(failure) = catch_unwind(AssertUnwindSafe(|| story(&mut world))) {
        eprintln!("{}\nreplay with: {name} cargo test --test simulation", world.story());
        resume_unwind(failure);
    }
}

#[test]
fn after_an_hour_of_trouble_a_restart_in_calm_brings_everything_up_once() {
    tell(|world| {
        an_hour(world);
        calm(world);
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

/// The stories of `fuzz/fuzz_targets/core_story.rs`: there each choice is the fuzzer's, here they are drawn.
#[test]
fn what_a_fuzzer_may_choose_ends_in_calm() {
    if let Ok(file) = std::env::var("CHOSEN") {
        let chosen = std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        return tell_by(Rng::of_bytes(&chosen), &format!("CHOSEN={file}"), World::new, what_was_chosen);
    }
    for seed in 0..STORIES / 5 {
        let mut drawn = Rng::new(seed);
        let len = drawn.below(2_000);
        let chosen: Vec<u8> = (0..len).map(|_| drawn.pick(&[0, 1, 2, 3, 7, 30, 99, 200, 255])).collect();
        tell_by(Rng::of_bytes(&chosen), &format!("chosen by seed {seed}:"), World::new, what_was_chosen);
    }
}
