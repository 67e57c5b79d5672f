//! Texts of snapshots. Where there are none to change, the core writes some.

#![no_main]

#[path = "../../tests/fuzz/core.rs"]
#[allow(dead_code, reason = "each target calls one")]
mod core;
#[path = "../../tests/simulation/plans.rs"]
#[allow(dead_code, reason = "some are for other stories")]
mod plans;
#[path = "../../tests/simulation/rng.rs"]
mod rng;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|bytes: &[u8]| core::snapshot_text(bytes));

// No chance makes a core out of nothing: one change in 64 is another text that is sound.
fuzz_mutator!(|text: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if size > 2 && !seed.is_multiple_of(64) {
        return fuzzer_mutate(text, size, max_size);
    }
    let sound = core::a_snapshot(&seed.to_le_bytes().repeat(usize::from(seed.to_le_bytes()[1] % 16)));
    let size = sound.len().min(max_size);
    text[..size].copy_from_slice(&sound.as_bytes()[..size]);
    size
});
