//! How a service is treated: everything that a reload can change without touching its process.

use std::time::Duration;

/// Timeouts and rules of one service. Each field is the key of the same name in the config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What follows an exit nobody asked for.
    pub restart: Restart,
    /// What makes a starting generation `up`.
    pub ready: Ready,
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
            ready: Ready::Started,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: the service stays down, no other is touched.
    No,
    /// A new generation, unless the exit was a 0.
    OnFailure,
    /// A new generation.
    Always,
}

/// What makes a starting generation `up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The program was started (`exec` worked). A server written for the original says no more than that.
    Started,
    /// It wrote the 7 bytes `ready  ` to its pipe.
    Pipe,
}
