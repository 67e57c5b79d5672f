#![no_main]

#[path = "../../tests/fuzz/core.rs"]
#[allow(dead_code, reason = "each target calls one")]
mod core;
#[path = "../../tests/simulation/plans.rs"]
#[allow(dead_code, reason = "some are for other stories")]
mod plans;
#[path = "../../tests/simulation/rng.rs"]
mod rng;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| core::core_events(bytes));
