//! A story of the simulation whose every choice is the fuzzer's: what servers do, when, and what people ask for.
//! `CHOSEN=FILE cargo test --test simulation` tells what was found, with what came before.

#![no_main]

#[path = "../../tests/simulation/clients.rs"]
mod clients;
#[path = "../../tests/simulation/plans.rs"]
#[allow(dead_code, reason = "some are for other stories")]
mod plans;
#[path = "../../tests/simulation/process.rs"]
mod process;
#[path = "../../tests/simulation/rng.rs"]
mod rng;
#[path = "../../tests/simulation/stories.rs"]
mod stories;
#[path = "../../tests/simulation/world.rs"]
#[allow(dead_code, reason = "nobody reads the story here")]
mod world;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    stories::what_was_chosen(&mut world::World::new(rng::Rng::of_bytes(bytes)));
});
