//! `bootstrap` beside other supervisors, and its figures with many services: `cargo bench --bench compare`.
//!
//! `benches/install` brings the others; one that is missing is named. Everything is measured in one run, with the bare
//! loops of vfork, execve, kill and wait as yardstick. Arguments after `--`:
//!
//! - `services=1000`: how many all supervisors run at once
//! - `fewer=200`: how many those run that take a process in Perl or Python, or a second, for each
//! - `many=10000`: the figures of `bootstrap` alone are printed for so many too; 0 for not
//! - `only=WORD`: rows whose name has the word; `only=ours` for no row

#![allow(clippy::disallowed_methods, reason = "a clock and children are what is measured here")]
#![allow(clippy::cast_precision_loss, reason = "these are figures for people")]

mod bare;
mod marks;
mod ours;
#[path = "../peers/mod.rs"]
mod peers;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

use marks::Marks;
use peers::{Way, under_load};
use std::time::Duration;

/// How often each short thing is measured.
const ROUNDS: u32 = 5;

/// Before each: a life that all of them take for a healthy one, after which the next start is immediate.
const REST: Duration = Duration::from_millis(1100);

/// What takes longer is given up.
const LIMIT: Duration = Duration::from_secs(60);

fn main() {
    if !peers::is_to_measure() {
        return;
    }
    let number = |name: &str, usual: usize| {
        argument(name).map_or(usual, |text| text.parse().expect("the argument is a number"))
    };
    let (services, fewer, many) = (number("services", 1000), number("fewer", 200), number("many", 0));
    let only = argument("only").unwrap_or_default();

    let mut marks = Marks::new();
    println!("{}", under_load::subject());
    println!("load of the machine at the beginning  {}", load());
    println!();
    table::head();
    table::bare(&mut marks, services);
    let supervisors = Way::ALL.iter().filter(|way| way.name != Way::BY_HAND.name);
    for way in supervisors.filter(|way| way.name.contains(&only)) {
        table::row(way, services, fewer);
    }
    for count in [services, many].into_iter().filter(|count| *count > 0) {
        if only.is_empty() || only == "ours" {
            ours::print(count);
        }
    }
    println!();
    println!("load of the machine at the end        {}", load());
}

/// The value of `name=value` among the arguments.
fn argument(name: &str) -> Option<String> {
    std::env::args().find_map(|argument| Some(argument.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// How many processes wanted to run in the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("-").to_owned()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
