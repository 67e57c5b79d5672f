//! What clients notice of restarts, under `bootstrap` and under others: `cargo bench --bench restarts`.
//!
//! The server takes 300 ms to start. Clients ask it over new connections, on a timetable that no slow answer delays,
//! while it is restarted again and again. Every row is measured in the same way, and in the same run as the first one,
//! in which nothing is restarted.
//!
//! `start_server` is taken from the path; `supervisord` and `circusd` from there, or from `peers` in the target
//! directory: `python3 -m venv target/peers && target/peers/bin/pip install supervisor circus`.

#![allow(clippy::disallowed_methods, reason = "a clock and children are what is measured here")]

mod clients;
mod rounds;
mod server;
#[path = "../../tests/support/mod.rs"]
mod support;
mod ways;

use clients::{Clients, Seen};
use std::fmt;
use std::thread::sleep;
use std::time::Duration;
use support::{Process, eventually, free_port};
use ways::Way;

/// How often each is restarted.
const RESTARTS: usize = 20;

/// From the end of one restart to the next: the load finds its pace again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the run without restarts takes, about as long as one with them.
const UNDISTURBED: Duration = Duration::from_secs(8);

/// Makes this program the server: `cargo bench` builds no examples.
const SERVE: &str = "--serve";

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(SERVE) {
        return server::serve(arguments).expect("it is given what its role needs");
    }
    // `cargo test --benches` starts us too, with `--test`: then it is enough that all of it is built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{RESTARTS} restarts of a server that takes {} to start;", server::DELAY);
    println!("{} requests per second, each over a new connection", clients::RATE);
    println!();
    println!(
        "{:<32} {:>8} {:>7} {:>10} {:>10} {:>10} {:>13} {:>12}",
        "", "requests", "failed", "p50", "p99", "p99.9", "undisturbed", "longest gap"
    );
    let undisturbed = measure(&Way::STOP_FIRST, 0).expect("this is bootstrap");
    row("bootstrap, nothing restarted", &undisturbed, &undisturbed);
    for way in Way::ALL {
        match measure(way, RESTARTS) {
            Some(seen) => row(way.name, &seen, &undisturbed),
            None => println!("{:<32} not measured: {} is not installed", way.name, way.program),
        }
    }
    println!();
    rounds::compare(&Way::START_FIRST);
}

/// A run of its own; none where a program is missing.
fn measure(way: &Way, restarts: usize) -> Option<Seen> {
    let port = free_port();
    let mut running = way.start(port)?;
    eventually("the first process answers", || support::get(port, "/").is_ok());
    let clients = Clients::start(port);
    if restarts == 0 {
        sleep(UNDISTURBED);
    }
    for _ in 0..restarts {
        sleep(PAUSE);
        let old = clients.newest();
        running.restart();
        eventually("another process answers, and the old one is gone", || {
            clients.newest() != old && !Process(old).is_alive()
        });
    }
    sleep(PAUSE);
    let seen = clients.finish();
    running.stop();
    assert_eq!(seen.processes, restarts + 1, "{}: a restart is a new process", way.name);
    Some(seen)
}

fn row(name: &str, seen: &Seen, undisturbed: &Seen) {
    let tail = seen.quantile(0.999);
    let ratio = match (tail, undisturbed.quantile(0.999)) {
        (Some(tail), Some(usual)) => format!("{:.2} times", tail.as_secs_f64() / usual.as_secs_f64()),
        _ => "-".into(),
    };
    println!(
        "{name:<32} {:>8} {:>7} {:>10} {:>10} {:>10} {ratio:>13} {:>12}",
        seen.requests(),
        seen.failed,
        Time(seen.quantile(0.5)).to_string(),
        Time(seen.quantile(0.99)).to_string(),
        Time(tail).to_string(),
        Time(Some(seen.longest_gap())).to_string(),
    );
}

/// When an answer came, for people.
struct Time(Option<Duration>);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{:.2} ms", time.as_secs_f64() * 1000.0),
            None => f.write_str("never"),
        }
    }
}
