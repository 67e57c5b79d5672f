//! Restarts of one server, again and again, while clients ask it.

use super::clients::Clients;
pub(crate) use super::clients::Seen;
use super::{Way, server};
use crate::support::{Process, eventually, free_port, get};
use std::thread::sleep;
use std::time::Duration;

/// How often each is restarted.
pub(crate) const RESTARTS: usize = 20;

/// From the end of one restart to the next: the load finds its pace again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How long the run without restarts takes, about as long as one with them.
const UNDISTURBED: Duration = Duration::from_secs(8);

/// What is measured, in a line.
pub(crate) fn subject() -> String {
    let (delay, rate) = (server::DELAY, super::RATE);
    format!(
        "{RESTARTS} restarts of a server that takes {delay} to start; {rate} requests a second, each over a new connection"
    )
}

/// The same where each process is to live for a second first. Some wait for the rest of it before they start another,
/// and would be away for longer than they have to.
pub(crate) const LONG_PAUSE: Duration = Duration::from_millis(750);

/// A run of its own, with this pause before each restart; none where a program is missing.
pub(crate) fn measure(way: &Way, restarts: usize, pause: Duration) -> Option<Seen> {
    let port = free_port();
    let mut running = way.start(&[way.server(port)])?;
    eventually("the first process answers", || get(port, "/").is_ok());
    let clients = Clients::start(port);
    if restarts == 0 {
        sleep(UNDISTURBED);
    }
    for _ in 0..restarts {
        sleep(pause);
        let old = clients.newest();
        running.restart();
        eventually("another process answers, and the old one is gone", || {
            clients.newest() != old && !Process(old).is_alive()
        });
    }
    sleep(pause);
    let seen = clients.finish();
    running.stop();
    assert_eq!(seen.processes, restarts + 1, "{}: a restart is a new process", way.name);
    Some(seen)
}
