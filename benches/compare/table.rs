//! A row for each supervisor.

use crate::bare;
use crate::marks::Marks;
use crate::peers::under_load::{self, LONG_PAUSE, RESTARTS};
use crate::peers::{Many, Way};
use crate::support::Process;
use crate::{LIMIT, REST, ROUNDS, median, millis};
use nix::sys::signal::Signal::SIGKILL;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

/// How long the wake-ups of idle services are counted.
const IDLE: Duration = Duration::from_secs(5);

pub(crate) fn head() {
    println!(
        "{:<28} {:>6} {:>9} {:>9} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "",
        "failed",
        "gap",
        "reaction",
        "recovery",
        "services",
        "boot",
        "stop",
        "processes",
        "PSS",
        "wake-ups/s"
    );
}

/// The yardsticks, in their columns.
pub(crate) fn bare(marks: &mut Marks, services: usize) {
    let one = millis(bare::start(marks));
    let (started, stopped) = bare::start_and_stop(marks, services);
    println!(
        "{:<28} {:>6} {:>9} {one:>9} {one:>9} {services:>8} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "nobody: bare loops",
        "-",
        "-",
        millis(started),
        millis(stopped),
        0,
        "-",
        "-"
    );
}

/// What is not measured, or breaks, is a dash: a peer that cannot do one thing is still measured in the others.
pub(crate) fn row(way: &Way, services: usize, fewer: usize) {
    if way.is_missing() {
        println!("{:<28} not measured: {} is not installed", way.name, way.program);
        return;
    }
    let [failed, gap] = cells(|| {
        let seen = under_load::measure(way, RESTARTS, LONG_PAUSE)?;
        Some([seen.failed.to_string(), millis(seen.longest_gap())])
    });
    let [reaction, recovery] = cells(|| one(way).map(|times| times.map(millis)));
    let count = match way.many {
        Many::One => 0,
        Many::All => services,
        Many::Fewer => fewer.min(services),
    };
    let [count, boot, stop, processes, memory, wakes] =
        cells(|| if count == 0 { None } else { many(way, count) });
    println!(
        "{:<28} {failed:>6} {gap:>9} {reaction:>9} {recovery:>9} {count:>8} {boot:>9} {stop:>9} {processes:>9} {memory:>9} {wakes:>10}",
        way.name
    );
}

fn cells<const N: usize>(measured: impl FnOnce() -> Option<[String; N]>) -> [String; N] {
    let measured = catch_unwind(AssertUnwindSafe(measured));
    measured.ok().flatten().unwrap_or_else(|| std::array::from_fn(|_| "-".into()))
}

/// One service: the order to restart, and a SIGKILL to its process, each to the `main` of the next.
fn one(way: &Way) -> Option<[Duration; 2]> {
    let mut marks = Marks::new();
    let mut running = way.start(&marks.services(1))?;
    let mut pid = marks.wait(1, LIMIT)?[0];
    let (mut reaction, mut recovery) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sleep(REST);
        // Beside it: some commands return only long after the new process has begun.
        let (took, new) = scope(|scope| {
            let begin = Instant::now();
            let order = scope.spawn(|| running.restart());
            let new = marks.wait(1, LIMIT);
            let took = begin.elapsed();
            order.join().expect("the command works");
            (took, new)
        });
        reaction.push(took);
        pid = new?[0];
    }
    for _ in 0..ROUNDS {
        sleep(REST);
        let begin = Instant::now();
        Process(pid).signal(SIGKILL);
        pid = marks.wait(1, LIMIT)?[0];
        recovery.push(begin.elapsed());
    }
    running.end();
    Some([median(reaction), median(recovery)])
}

/// Many services: how many, boot, stop, processes that supervise, their memory, their wake-ups when nothing happens.
fn many(way: &Way, count: usize) -> Option<[String; 6]> {
    let mut marks = Marks::new();
    let mut running = way.start(&marks.services(count))?;
    let services = marks.wait(count, LIMIT)?;
    let boot = running.began.elapsed();
    sleep(2 * REST);
    let supervisors = running.supervisors(&services);
    let memory: u64 = supervisors.iter().map(|process| process.memory_kib()).sum();
    let switches = || supervisors.iter().map(|process| process.voluntary_switches()).sum::<u64>();
    let before = switches();
    sleep(IDLE);
    let wakes = switches() - before;
    let begin = Instant::now();
    running.end();
    let ended = marks.wait_ended(LIMIT);
    let stop = begin.elapsed();
    Some([
        count.to_string(),
        millis(boot),
        if ended { millis(stop) } else { "-".into() },
        supervisors.len().to_string(),
        format!("{:.1} MB", kib_as_mb(memory)),
        format!("{:.1}", wakes as f64 / IDLE.as_secs_f64()),
    ])
}

/// For people: a megabyte of 1024 times 1024 bytes.
pub(crate) fn kib_as_mb(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
