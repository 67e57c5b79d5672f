//! A socket that is left to the next program, and taken over by it: bound, with its queue, as it is.

use super::super::inherited::{Legacy, Numbers};
use super::super::unix_path::UnixPath;
use super::Listener;
use crate::plan::{Address, Commons, ListenerSpec};
use serde::{Deserialize, Serialize};
use socket2::Socket;
use std::os::fd::{OwnedFd, RawFd};

/// What the next program must know of it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct KeptListener {
    socket: RawFd,
    spec: ListenerSpec,
    parked: bool,
    path: Option<UnixPath>,
}

/// A socket as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct HeldSocket {
    pub(in super::super) spec: ListenerSpec,
    pub(in super::super) inode: u64,
    pub(in super::super) path: Option<UnixPath>,
}

impl Listener {
    /// What it is bound to and how. What services call it is not known here.
    fn spec(&self) -> ListenerSpec {
        ListenerSpec { name: None, address: self.address.clone(), settings: self.settings.clone() }
    }

    /// Leaves it to the next program.
    pub(in super::super) fn keep(&self, numbers: &mut Numbers) -> KeptListener {
        let (spec, path) = (self.spec(), self.path.as_deref().cloned());
        KeptListener { socket: numbers.keep(&self.socket), spec, parked: self.parked, path }
    }

    /// What a later supervisor must know to take it back from a server.
    pub(in super::super) fn held(&self) -> nix::Result<HeldSocket> {
        Ok(HeldSocket { spec: self.spec(), inode: self.inode()?, path: self.path.as_deref().cloned() })
    }

    /// A socket that was taken back from a server, which serves on it.
    pub(in super::super) fn taken_back(socket: OwnedFd, spec: ListenerSpec, path: Option<UnixPath>) -> Self {
        Self::of(socket.into(), spec, path.map(Box::new))
    }

    /// A socket that was given back by whoever kept it. None where it had a path, and nothing of that is left.
    pub(in super::super) fn given_back(socket: Socket, spec: ListenerSpec) -> Option<Self> {
        let path = match &spec.address {
            Address::Unix(path) => Some(Box::new(UnixPath::found_again(path)?)),
            Address::Tcp(_) | Address::Udp(_) => None,
        };
        Some(Self::of(socket, spec, path))
    }

    /// Takes it over.
    pub(in super::super) fn restore_kept(
        kept: KeptListener,
        commons: &mut Commons,
        legacy: &mut Legacy,
    ) -> nix::Result<Self> {
        let KeptListener { socket, mut spec, parked, path } = kept;
        commons.share_settings(&mut spec);
        let (socket, path) = (legacy.claim(socket)?.into(), path.map(Box::new));
        Ok(Self { parked, ..Self::of(socket, spec, path) })
    }
}
