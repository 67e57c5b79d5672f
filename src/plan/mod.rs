//! The checked values that all other modules speak of: what a config file means, once every rule holds.
//!
//! Nothing here reads a file or asks the system; nothing here can be wrong, only different.
//! [`diff`] says what it takes to get from one [`Plan`] to another.

mod common;
mod commons;
mod definition;
mod diff;
mod id;
mod identity;
mod listener;
mod listener_ids;
mod name;
mod output;
mod policy;
mod probe;
mod selector;
pub mod shared;

pub use common::Common;
pub use commons::Commons;
pub use definition::{Definition, Handshake, Program};
pub use diff::{Change, diff};
pub use id::{Generation, ListenerId, Pid, RunId, ServiceId};
pub use identity::{Account, Capabilities, Cgroup, Group, Identity, Rlimit, UNLIMITED, User};
pub use listener::{Access, Address, ListenerName, ListenerSpec, SocketSettings};
pub use listener_ids::ListenerIds;
pub use name::{NameError, ServiceName};
pub use output::{Keeping, Outlet, Output, Stream};
pub use policy::{Policy, Ready, Restart, RestartOrder};
pub use probe::{Check, Place, Probe, Scope, Target};
pub use selector::Selector;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Everything that a config file says.
///
/// Names of services are unique and so are addresses; there is at least one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The `[bootstrap]` table.
    pub settings: Settings,
    /// The services, in the order of the file.
    #[serde(with = "shared::list")]
    pub services: Vec<Arc<Definition>>,
}

impl Plan {
    /// Shares with another plan what is the same in both, so that it costs no memory: whole definitions, and what the
    /// others have in common.
    pub fn share_with(&mut self, other: &Self) {
        let known: BTreeMap<_, _> = other.services.iter().map(|service| (&service.name, service)).collect();
        let mut commons = Commons::default();
        for service in &mut self.services {
            match known.get(&service.name) {
                Some(same) if ***same == **service => *service = (*same).clone(),
                Some(_) | None => commons.share(Arc::make_mut(service)),
            }
        }
    }

    /// How many descriptors it takes to hold all sockets, to hear every worker and what it writes, and as many who start in
    /// their places as do at a time: the old ones may say something still.
    pub fn descriptors(&self) -> usize {
        let to_hear = |definition: &Definition| {
            usize::from(definition.program.handshake.is_heard()) + definition.program.captured().count()
        };
        let all = || self.services.iter().map(|definition| &**definition);
        let sockets: usize = all().map(|definition| definition.listeners.len()).sum();
        let heard: usize = all().map(|one| to_hear(one) * one.policy.workers as usize).sum();
        let most = all().map(to_hear).max().unwrap_or_default();
        sockets + heard + heard.min(most.saturating_mul(self.settings.start_concurrency))
    }
}

/// The `[bootstrap]` table: what concerns the supervisor itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What to do when nothing is up and nothing can come back by itself.
    pub when_idle: WhenIdle,
    /// File that may hold `BOOTSTRAP_SELECT`, read anew at each SIGUSR1.
    pub env_file: Option<PathBuf>,
    /// Directory of the control socket and the lock; where there is none the system layer chooses one.
    pub runtime_dir: Option<PathBuf>,
    /// The group whose members may speak to the control socket.
    pub control_group: Option<Group>,
    /// What they may ask for.
    pub control_rights: Rights,
    /// What becomes of those whom a supervisor left behind that was killed.
    pub orphans: Orphans,
    /// How many services may start a process at a time, when more than that are to.
    pub start_concurrency: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            when_idle: WhenIdle::default(),
            env_file: None,
            runtime_dir: None,
            control_group: None,
            control_rights: Rights::default(),
            orphans: Orphans::default(),
            start_concurrency: 100,
        }
    }
}

/// What becomes of processes that a supervisor left behind that was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Orphans {
    /// They are taken over, and serve on.
    #[default]
    Adopt,
    /// They are taken over and asked to leave; new ones start on their sockets.
    Stop,
    /// They are left alone.
    Ignore,
}

/// What somebody may ask of the control socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rights {
    /// To look: nothing changes by it.
    #[default]
    Read,
    /// To look and to act.
    Full,
}

/// What the supervisor does when nothing is up and nothing can come back by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenIdle {
    /// It ends: with 1 if a service crashed, with 0 if all ended well.
    #[default]
    Exit,
    /// It stays for the operator, who may restart or reload.
    Wait,
}
