//! What clients notice of restarts, under `bootstrap` and under others: `cargo bench --bench restarts`.
//!
//! The server takes 300 ms to start. Clients ask it over new connections, on a timetable that no slow answer delays,
//! while it is restarted again and again. Every row is measured in the same way, and in the same run as the first one,
//! in which nothing is restarted. `benches/install` brings the others.

#![allow(clippy::disallowed_methods, reason = "a clock and children are what is measured here")]

#[path = "../peers/mod.rs"]
mod peers;
mod rounds;
#[path = "../../tests/support/mod.rs"]
mod support;

use peers::Way;
use peers::under_load::{PAUSE, RESTARTS, Seen, measure, subject};
use std::fmt;
use std::time::Duration;

fn main() {
    if !peers::is_to_measure() {
        return;
    }
    println!("{}", subject());
    println!();
    println!(
        "{:<32} {:>8} {:>7} {:>10} {:>10} {:>10} {:>13} {:>12}",
        "", "requests", "failed", "p50", "p99", "p99.9", "undisturbed", "longest gap"
    );
    let undisturbed = measure(&Way::STOP_FIRST, 0, PAUSE).expect("this is bootstrap");
    row("bootstrap, nothing restarted", &undisturbed, &undisturbed);
    for way in Way::ALL {
        match measure(way, RESTARTS, PAUSE) {
            Some(seen) => row(way.name, &seen, &undisturbed),
            None => println!("{:<32} not measured: {} is not installed", way.name, way.program),
        }
    }
    println!();
    rounds::compare(&Way::START_FIRST);
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
