//! Rounds with restarts and rounds without, which take turns under one supervisor.
//!
//! What a machine does besides changes from minute to minute, and a p99.9 is made of the few answers that it delayed.
//! So each round is compared with one of the same length right after it, and all of them together with each other.

use crate::Time;
use crate::peers::Way;
use crate::peers::clients::{Clients, Seen};
use crate::peers::under_load::PAUSE;
use crate::support::{Process, eventually, free_port, get};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Rounds of each kind.
const ROUNDS: usize = 12;

/// How long one takes at least: all of a kind are tens of thousands of requests, so that a p99.9 rests on dozens.
const ROUND: Duration = Duration::from_secs(5);

/// How much longer than without restarts the slowest answer of a thousand may take with them.
const GOAL: f64 = 1.2;

/// What clients saw in all rounds of a kind, and in each.
struct Kind {
    all: Seen,
    tails: Vec<Duration>,
}

/// Measures it and prints what was seen. `way` must fail no request, or there is no p99.9 to compare.
pub(crate) fn compare(way: &Way) {
    let port = free_port();
    let mut running = way.start(&[way.server(port)]).expect("this is bootstrap");
    eventually("the first process answers", || get(port, "/").is_ok());
    let (mut restarts, mut restarted, mut quiet) = (0, Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (clients, begin, before) = (Clients::start(port), Instant::now(), restarts);
        while begin.elapsed() < ROUND {
            let old = clients.newest();
            running.restart();
            restarts += 1;
            eventually("another process answers, and the old one is gone", || {
                clients.newest() != old && !Process(old).is_alive()
            });
            sleep(PAUSE);
        }
        let took = begin.elapsed();
        restarted.push(clients.finish());
        assert_eq!(
            restarted.last().map(|seen| seen.processes),
            Some(restarts - before + 1),
            "of {}",
            way.name
        );
        let clients = Clients::start(port);
        sleep(took);
        quiet.push(clients.finish());
        assert_eq!(quiet.last().map(|seen| seen.processes), Some(1), "nothing is restarted in between");
    }
    running.stop();

    let (restarted, quiet) = (Kind::of(restarted), Kind::of(quiet));
    println!("{}, {ROUNDS} rounds of {} s of each kind, {restarts} restarts", way.name, ROUND.as_secs());
    println!();
    println!(
        "{:<20} {:>8} {:>7} {:>10} {:>10} {:>10}   p99.9 of a round",
        "", "requests", "failed", "p50", "p99", "p99.9"
    );
    restarted.row("rounds with restarts");
    quiet.row("rounds without");
    let each = restarted.tails.iter().zip(&quiet.tails).map(|(with, without)| times(*with, *without));
    let mut each: Vec<f64> = each.collect();
    each.sort_by(f64::total_cmp);
    let (failed, ratio) = (restarted.all.failed, times(restarted.all.tail(), quiet.all.tail()));
    println!("failed with restarts: {failed}; goal 0: {}", verdict(failed == 0));
    println!(
        "p99.9 with restarts is {ratio:.2} times that without; goal at most {GOAL} times: {}; from round to round {:.2} to \
         {:.2}, in the middle {:.2}",
        verdict(ratio <= GOAL),
        each[0],
        each[ROUNDS - 1],
        f64::midpoint(each[(ROUNDS - 1) / 2], each[ROUNDS / 2]),
    );
}

impl Kind {
    fn of(rounds: Vec<Seen>) -> Self {
        let tails = rounds.iter().map(Seen::tail).collect();
        Self { all: rounds.into_iter().reduce(Seen::and).expect("there are rounds"), tails }
    }

    fn row(&self, name: &str) {
        let text = |time: Option<Duration>| Time(time).to_string();
        println!(
            "{name:<20} {:>8} {:>7} {:>10} {:>10} {:>10}   {} to {}",
            self.all.requests(),
            self.all.failed,
            text(self.all.quantile(0.5)),
            text(self.all.quantile(0.99)),
            text(Some(self.all.tail())),
            text(self.tails.iter().min().copied()),
            text(self.tails.iter().max().copied()),
        );
    }
}

impl Seen {
    fn tail(&self) -> Duration {
        self.quantile(0.999).expect("hardly any request fails")
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn times(with: Duration, without: Duration) -> f64 {
    with.as_secs_f64() / without.as_secs_f64()
}
