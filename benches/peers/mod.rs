//! Supervisors of others, and ours: how each is set up, asked to restart, and stopped, and what clients notice of it.

#![allow(dead_code, reason = "each bench uses a part of it")]

pub(crate) mod clients;
mod others;
mod running;
pub(crate) mod server;
pub(crate) mod under_load;
mod ways;

pub(crate) use clients::RATE;
#[allow(unused_imports, reason = "each bench uses a part of it")]
pub(crate) use ways::{Many, Service, Way, ours};

/// Makes the program the server: `cargo bench` builds no examples.
pub(crate) const SERVE: &str = "--serve";
