//! How a service is treated: everything that a reload can change without touching its process.

use super::probe::{Check, Probe};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Timeouts and rules of one service. Each field is the key of the same name in the config file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What follows an exit nobody asked for.
    pub restart: Restart,
    /// Whether the successor starts before or after the old generation stops accepting.
    pub restart_order: RestartOrder,
    /// What makes a starting generation `up`.
    pub ready: Ready,
    /// What is asked of it for as long as it serves.
    pub check: Option<Box<Check>>,
    /// Whether it is restarted when the file of its program changes.
    pub watch: bool,
    /// How long a new generation has to stay alive after it was ready, before the old one is given up.
    pub bake_time: Duration,
    /// How many processes serve side by side.
    pub workers: u32,
    /// Start-first: how many workers may be replaced at once, each beside its predecessor.
    pub max_surge: u32,
    /// Stop-first: how many workers may be missing at once.
    pub max_unavailable: u32,
    /// Whether the first worker is replaced alone, and the others only when it is `up`.
    pub canary: bool,
    /// Whether the last good definition and program come back when their successor fails.
    pub rollback: bool,
    /// How long a starting generation may take to be ready.
    pub ready_timeout: Duration,
    /// The signal that asks the main process to leave, by number.
    pub stop_signal: i32,
    /// How long a server that was asked to leave may take to say that it accepts no more.
    pub handover_timeout: Duration,
    /// How long it may then take to finish what is in flight.
    pub drain_timeout: Duration,
    /// How long it has between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Pause before the second restart in a row after a crash; the first is immediate.
    pub restart_delay: Duration,
    /// The pause doubles up to this.
    pub restart_delay_max: Duration,
    /// A run that lived this long wipes the earlier crashes out.
    pub healthy_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: Restart::No,
            restart_order: RestartOrder::StopFirst,
            ready: Ready::Assumed,
            check: None,
            watch: false,
            bake_time: Duration::ZERO,
            workers: 1,
            max_surge: 1,
            max_unavailable: 1,
            canary: false,
            rollback: true,
            ready_timeout: Duration::from_secs(30),
            stop_signal: libc::SIGUSR1,
            handover_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            restart_delay: Duration::from_millis(200),
            restart_delay_max: Duration::from_secs(30),
            healthy_after: Duration::from_secs(10),
        }
    }
}

/// What follows an exit nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Nothing: the service stays down, no other is touched.
    No,
    /// A new generation, unless the exit was a 0.
    OnFailure,
    /// A new generation.
    Always,
}

/// Which comes first in a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartOrder {
    /// The old generation stops accepting, then the successor starts.
    StopFirst,
    /// The successor starts on the same socket; the old one is asked to leave when it is ready.
    StartFirst,
}

/// What makes a starting generation `up`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ready {
    /// Nothing is configured. A service with a socket is seen to accept, or says so; where neither comes in
    /// `ready_timeout`, it is taken for `up` where no other run serves in its place, and this is said. One without a socket is `up`
    /// when its program was started.
    Assumed,
    /// The program was started: `exec` worked.
    Started,
    /// It says so in the words of its handshake: `ready  `, `READY=1`, `worker:ack`.
    Word,
    /// The kernel says that a process of it waits on a socket of the service.
    Accepting,
    /// A probe has had a good answer, and a process of it waits on a socket of the service, where it has one.
    Probe(Box<Probe>),
    /// It is alive for this long.
    Delay(Duration),
}
