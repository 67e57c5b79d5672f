//! What a status, a plan and an outcome consist of, as programs read it. Times are milliseconds.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the supervisor.
    pub supervisor: SupervisorStatus,
    /// Of each service that was asked for, in the order of names.
    pub services: Vec<ServiceStatus>,
}

/// How the supervisor is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorStatus {
    /// Its pid.
    pub pid: i32,
    /// The version of the program.
    pub program: String,
    /// Its config file.
    pub config: String,
    /// Whether the file is what runs.
    pub config_state: ConfigState,
    /// How long its process has been there, over upgrades.
    pub uptime_ms: u64,
    /// How long it has been the program that it is: since its start, or the last upgrade.
    #[serde(default)]
    pub program_uptime_ms: u64,
    /// How many services it has.
    pub services: usize,
    /// How many of them are up.
    pub up: usize,
    /// Services that only the file on disk has: a reload would start them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_loaded: Vec<String>,
    /// What it takes of the machine, as far as the kernel tells.
    #[serde(default)]
    pub usage: Usage,
}

/// What a process takes of the machine, as far as the kernel tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// The same, with its part only of what it shares with others (PSS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proportional_bytes: Option<u64>,
    /// Descriptors that are open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<u64>,
    /// How many may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor_limit: Option<u64>,
}

/// Whether the file on disk is what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigState {
    /// It is.
    Applied,
    /// A reload would change something.
    Changed,
    /// A reload would be refused: the file has mistakes, or cannot be read.
    Broken,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The word for its state.
    pub state: Cow<'static, str>,
    /// What runs is not what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<Stale>,
    /// It was removed from the config that runs, and finishes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// How many workers it is to have.
    pub workers: u32,
    /// Its newest generation; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// Since when all that serves has served: the age of the youngest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// How often it was started again, each worker for itself.
    pub restarts: RestartCounts,
    /// Sockets that a server had harmed and that were repaired.
    #[serde(default)]
    pub repairs: u64,
    /// How long the last run that became ready took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<u64>,
    /// The runs that nobody has asked to leave.
    pub runs: Vec<RunStatus>,
    /// Those that were asked to, and have not ended.
    pub draining: Vec<DrainStatus>,
    /// Its sockets, in the order of the file.
    pub sockets: Vec<SocketStatus>,
    /// It starts when these are up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// How the last main process ended that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// What was reported of the last run that ended or failed without being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// How long ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure_age_ms: Option<u64>,
    /// The last lines that this run wrote to its stderr, where that is captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<String>,
    /// The last restart has failed: what serves is not what somebody wanted to serve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_failed: bool,
    /// Why it is down, in words; only while it is `crashed` or in `backoff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How what runs differs from the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stale {
    /// The file has another definition.
    Changed,
    /// The file is loaded, and a process still runs what it said before: its restart goes on, or has failed.
    Behind,
    /// The file does not have it.
    Removed,
}

/// A run that nobody has asked to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Which worker it is, from 0.
    pub worker: u32,
    /// Which generation.
    pub generation: u32,
    /// Its main process, once it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// Clients are served by it.
    pub serves: bool,
    /// How long ago it was started.
    pub age_ms: u64,
    /// The addresses that it accepts at, where the service is to have others: a restart with these has failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepts_at: Vec<String>,
    /// For how long it has been reading its configuration anew, as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloading_ms: Option<u64>,
    /// What it said of itself last, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// It is sick, as its check or its watchdog tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unhealthy: Option<Unhealthy>,
}

/// A process that is sick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhealthy {
    /// For how long.
    pub age_ms: u64,
    /// What shows it: the last answer, in words.
    pub message: String,
}

/// A run that was asked to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Which worker it was.
    pub worker: u32,
    /// Which generation.
    pub generation: u32,
    /// Its main process, which may have ended before the rest of its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// How far it is: `asked`, `draining`, `terminating`, `killed` or `stuck`.
    pub phase: Cow<'static, str>,
    /// It was not asked: it said that it leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_itself: bool,
    /// How long ago it was asked, or said so.
    pub age_ms: u64,
    /// How long until the next step; none for one that is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// A socket that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketStatus {
    /// As in the file.
    pub address: String,
    /// Its name for `{fd:NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Clients that wait to be accepted, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// How many may, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Of UDP: bytes of datagrams that nobody has read, as the kernel counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_bytes: Option<u64>,
    /// Of UDP: how many may wait before datagrams are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
    /// Of UDP: datagrams that were dropped since it was bound, for want of room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
}

/// What waits at a socket, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Connections that nobody has accepted.
    Clients {
        /// How many.
        waiting: u32,
        /// How many may.
        limit: u32,
    },
    /// Datagrams that nobody has read.
    Datagrams {
        /// Their bytes, with what the kernel needs to keep them.
        bytes: u64,
        /// How many may wait.
        limit: u64,
        /// Datagrams that found no room.
        dropped: u64,
    },
}

/// How often a service was started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartCounts {
    /// Somebody asked for it.
    pub asked: u64,
    /// It had ended, and its policy brought it back.
    pub crash: u64,
    /// Its process was found sick.
    #[serde(default)]
    pub unhealthy: u64,
    /// What ran before was started again.
    pub rollback: u64,
    /// Of those that were asked for or that a sick process had: how many failed.
    pub failed: u64,
}

/// How a main process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// Which generation.
    pub generation: u32,
    /// How long ago.
    pub age_ms: u64,
    /// The code that it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How, in words.
    pub message: String,
}

/// What a reload changed: how many services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCounts {
    /// Are new.
    pub added: usize,
    /// Are gone.
    pub removed: usize,
    /// Have another program or other addresses.
    pub restarted: usize,
    /// Have another policy.
    pub in_place: usize,
    /// Are as they were.
    pub untouched: usize,
}

/// What a reload would do to one service, or to `[bootstrap]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChange {
    /// The service; none for `[bootstrap]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What would be done.
    pub effect: Effect,
    /// Each key that differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
}

/// What a reload would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is new and is started.
    Add,
    /// It is gone and is stopped.
    Remove,
    /// It gets a new generation, by its restart order.
    Restart,
    /// It applies at once; the process stays.
    InPlace,
    /// It applies when the service, which was put down, or the supervisor itself is started again.
    NextStart,
}

/// A key that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// As in the file.
    pub key: String,
    /// What runs.
    pub old: String,
    /// What the file says.
    pub new: String,
}

/// What came of an order for one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceOutcome {
    /// Its name.
    pub service: String,
    /// The word for it.
    pub outcome: String,
    /// It is as it was asked for, as far as the client wanted to wait.
    pub ok: bool,
    /// The generation that serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// For people.
    pub message: String,
    /// The last lines that the run which failed wrote to its stderr, where that is captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<String>,
}
