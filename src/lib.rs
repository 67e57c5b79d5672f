//! A multi-service supervisor that holds the listen sockets.

// What no fuzz target calls is left out of what is built for them: with its coverage that takes minutes.
#[cfg(not(fuzzing))]
pub mod cli;
pub mod config;
#[cfg(not(fuzzing))]
pub mod control;
pub mod core;
pub mod exit;
pub mod import;
pub mod limits;
#[cfg(not(fuzzing))]
pub mod metrics;
pub mod os;
pub mod plan;
pub mod protocol;
pub mod report;
#[cfg(not(fuzzing))]
pub mod run;
#[cfg(not(fuzzing))]
pub mod writer;
