//! Clients that ask on a timetable.
//!
//! A client that waits for an answer before it asks again would ask a server that is away only once, and so hide most
//! of what others suffer. Here a request that is late because of the one before is counted from when it was due.

use crate::support::{Client, Failure};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// Requests per second, of all clients together.
pub(crate) const RATE: u32 = 500;

const CLIENTS: u32 = 16;

/// Clients that run until [`finish`](Self::finish).
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    newest: Arc<AtomicI32>,
    all: Vec<JoinHandle<One>>,
}

/// What one client saw.
#[derive(Default)]
struct One {
    /// When each answer was there, and how long it took.
    answers: Vec<(Instant, Duration)>,
    failed: usize,
    processes: BTreeSet<i32>,
}

/// What all of them saw.
pub(crate) struct Seen {
    /// How long each answer took, the shortest first.
    times: Vec<Duration>,
    /// When each answer was there, in order.
    moments: Vec<Instant>,
    pub(crate) failed: usize,
    /// How many processes have answered.
    pub(crate) processes: usize,
}

impl Clients {
    pub(crate) fn start(port: u16) -> Self {
        let (stop, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(0)));
        let period = Duration::from_secs(1) * CLIENTS / RATE;
        let begin = Instant::now();
        let all = (0..CLIENTS).map(|index| {
            let (stop, newest) = (stop.clone(), newest.clone());
            let first = begin + period * index / CLIENTS;
            thread::spawn(move || One::default().ask_until(&stop, port, first, period, &newest))
        });
        let clients = Self { all: all.collect(), stop, newest };
        crate::eventually("clients are answered", || clients.newest() != 0);
        clients
    }

    /// The process that began to answer last.
    pub(crate) fn newest(&self) -> i32 {
        self.newest.load(Ordering::Relaxed)
    }

    pub(crate) fn finish(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = One::default();
        for client in self.all {
            let one = client.join().expect("a client does not panic");
            total.answers.extend(one.answers);
            total.failed += one.failed;
            total.processes.extend(one.processes);
        }
        let (mut moments, mut times): (Vec<_>, Vec<_>) = total.answers.into_iter().unzip();
        moments.sort();
        times.sort();
        Seen { times, moments, failed: total.failed, processes: total.processes.len() }
    }
}

impl One {
    fn ask_until(
        mut self,
        stop: &AtomicBool,
        port: u16,
        mut due: Instant,
        period: Duration,
        newest: &AtomicI32,
    ) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let mut asked = due;
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                sleep(early);
                asked = Instant::now(); // that our own sleep was long is not the server's doing
            }
            match request(port) {
                Ok(pid) => {
                    let now = Instant::now();
                    self.answers.push((now, now - asked));
                    if self.processes.insert(pid) {
                        newest.store(pid, Ordering::Relaxed);
                    }
                }
                Err(_) => self.failed += 1,
            }
            due += period;
        }
        self
    }
}

/// Who answers.
fn request(port: u16) -> Result<i32, Failure> {
    let pid = Client::connect(port)?.get("/")?.pid();
    if pid == 0 { Err(Failure::Empty) } else { Ok(pid) }
}

impl Seen {
    /// What was seen here and there; the gap between them counts.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.times.extend(other.times);
        self.times.sort();
        self.moments.extend(other.moments);
        self.moments.sort();
        Self { failed: self.failed + other.failed, processes: self.processes + other.processes, ..self }
    }

    pub(crate) fn requests(&self) -> usize {
        self.times.len() + self.failed
    }

    /// In which time this share of all requests was answered; none where more than the rest has failed.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.requests() as f64 * share).ceil() as usize;
        self.times.get(rank.saturating_sub(1)).copied()
    }

    /// The longest time without an answer.
    pub(crate) fn longest_gap(&self) -> Duration {
        let gaps = self.moments.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }
}
