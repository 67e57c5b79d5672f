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

/// Is a bench to be run? Otherwise this program was started as a server and has served, or `cargo test --benches`
/// started it, with `--test`: then it is enough that all of it is built.
pub(crate) fn is_to_measure() -> bool {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(SERVE) {
        server::serve(arguments).expect("it is given what its role needs");
        return false;
    }
    std::env::args().any(|argument| argument == "--bench")
}
