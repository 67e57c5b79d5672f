//! Clients that never stop asking, and remember every failure.

use super::client::{Client, Failure};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// An answer that takes longer has failed. A connection request that the kernel dropped is repeated after
/// one second, so this finds every one.
const LATE: Duration = Duration::from_millis(950);

/// Pause between the requests of one client.
const PACE: Duration = Duration::from_millis(8);

/// Clients that run until [`finish`](Self::finish).
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Outcome>>,
    began: Instant,
}

/// How clients ask.
#[derive(Clone, Copy, Default)]
pub(crate) struct Manner {
    /// An answer that takes longer has failed.
    pub(crate) late: Duration,
    /// Whether they look, as browsers and proxies do, if the server has ended a kept connection meanwhile, and then
    /// make a new one.
    pub(crate) looks: bool,
}

/// What the clients saw.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Requests that were answered, over new connections and over kept ones.
    pub(crate) over_new: usize,
    pub(crate) over_kept: usize,
    /// Every failure, and how long after the begin.
    pub(crate) failures: Vec<(Duration, Failure)>,
    /// How many of them met the end of a kept connection instead of the first byte of an answer: that is HTTP's
    /// own race, and what clients repeat.
    pub(crate) ends_of_kept: usize,
    /// Generations that answered, and processes.
    pub(crate) generations: BTreeSet<u32>,
    pub(crate) pids: BTreeSet<i32>,
    /// The slowest answer.
    pub(crate) longest: Duration,
    /// How long it all took.
    pub(crate) lasted: Duration,
    manner: Manner,
}

impl Load {
    /// `count` clients that connect anew for each request, and `count` that keep their connection, on a port
    /// that the service `name` answers. Returns when each has had its first answer.
    pub(crate) fn start(name: &str, port: u16, count: usize) -> Self {
        Self::start_as(name, port, count, Manner { late: LATE, looks: false })
    }

    /// The same, in another manner.
    pub(crate) fn start_as(name: &str, port: u16, count: usize, manner: Manner) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let began = Instant::now();
        let clients = (0..2 * count)
            .map(|index| {
                let (stop, answered) = (stop.clone(), answered.clone());
                let name = format!("{name} generation=");
                thread::spawn(move || {
                    let mut outcome = Outcome { manner, ..Outcome::default() };
                    let mut client = None;
                    while !stop.load(Ordering::Relaxed) {
                        outcome.request(&mut client, port, &name, index % 2 == 0, began);
                        answered.fetch_add(1, Ordering::Relaxed);
                        sleep(PACE);
                    }
                    outcome
                })
            })
            .collect();
        let load = Self { stop, answered, clients, began };
        load.wait_requests(2 * count);
        load
    }

    /// Waits until this many more requests have ended.
    pub(crate) fn wait_requests(&self, count: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + count;
        super::eventually("clients are answered", || self.answered.load(Ordering::Relaxed) >= wanted);
    }

    /// Lets each client finish its request.
    pub(crate) fn finish(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Outcome { lasted: self.began.elapsed(), ..Outcome::default() };
        for client in self.clients {
            let one = client.join().unwrap();
            total.over_new += one.over_new;
            total.over_kept += one.over_kept;
            total.failures.extend(one.failures);
            total.ends_of_kept += one.ends_of_kept;
            total.generations.extend(one.generations);
            total.pids.extend(one.pids);
            total.longest = total.longest.max(one.longest);
        }
        total
    }
}

impl Outcome {
    fn request(&mut self, client: &mut Option<Client>, port: u16, name: &str, keep: bool, began: Instant) {
        let (start, reused) = (Instant::now(), client.is_some());
        let answer = match client.take() {
            Some(kept) if !(self.manner.looks && kept.has_ended()) => Ok(kept),
            _ => Client::connect(port),
        }
        .and_then(|mut connection| Ok((connection.get("/")?, connection)));
        let took = start.elapsed();
        self.longest = self.longest.max(took);
        let failure = match answer {
            Ok(_) if took > self.manner.late => Failure::Late(took),
            Ok((answer, _)) if !answer.body.starts_with(name) => Failure::Wrong(answer.body),
            Ok((answer, connection)) => {
                self.generations.insert(answer.generation());
                self.pids.insert(answer.pid());
                *(if reused { &mut self.over_kept } else { &mut self.over_new }) += 1;
                *client = (keep && !answer.close).then_some(connection);
                return;
            }
            Err(failure) => failure,
        };
        let unanswered = matches!(failure, Failure::Empty | Failure::Reset);
        self.ends_of_kept += usize::from(reused && unanswered);
        self.failures.push((began.elapsed(), failure));
    }

    /// Nothing failed, and it was a load, over both kinds of connections.
    #[track_caller]
    pub(crate) fn must_be_perfect(&self) {
        assert!(self.failures.is_empty(), "{self}");
        self.must_be_a_load();
        assert!(self.over_new > 100 && self.over_kept > 100, "{self}");
    }

    /// At least 200 requests per second.
    #[track_caller]
    pub(crate) fn must_be_a_load(&self) {
        let answers = u32::try_from(self.over_new + self.over_kept).unwrap();
        let rate = f64::from(answers) / self.lasted.as_secs_f64();
        assert!(rate >= 200.0, "{rate:.0} requests per second are no load: {self}");
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answers over new and {} over kept connections in {:?} by generations {:?}, the slowest after {:?}; \
             {} failures, of which {} met the end of a kept connection: {:?}",
            self.over_new,
            self.over_kept,
            self.lasted,
            self.generations,
            self.longest,
            self.failures.len(),
            self.ends_of_kept,
            &self.failures[..self.failures.len().min(20)],
        )
    }
}
