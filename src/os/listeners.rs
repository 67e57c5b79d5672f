//! All sockets that are held.

use super::listener::Listener;
use super::owner::owners;
use crate::core::{BindFailure, Event, SpawnFailure, SpawnStage};
use crate::plan::{Address, ListenerId, ListenerSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::RawFd;

/// The sockets, by the id that the core knows them by.
#[derive(Default)]
pub(super) struct Listeners(BTreeMap<ListenerId, Listener>);

impl Listeners {
    /// Binds all or none.
    pub(super) fn bind(&mut self, sockets: Vec<(ListenerId, ListenerSpec)>) -> Event {
        let mut bound = Vec::new();
        let mut refused: Vec<(Address, i32)> = Vec::new();
        for (id, spec) in sockets {
            let address = spec.address.clone();
            match Listener::bind(spec) {
                Ok(listener) => bound.push((id, listener)),
                Err(error) => refused.push((address, errno(&error))),
            }
        }
        if refused.is_empty() {
            self.0.extend(bound);
            return Event::Bound;
        }
        for (_, listener) in &bound {
            listener.release();
        }
        let taken: Vec<Address> = refused
            .iter()
            .filter(|(_, errno)| *errno == libc::EADDRINUSE)
            .map(|(address, _)| address.clone())
            .collect();
        let owners = owners(&taken);
        let failure = |(address, errno)| {
            let owner = owners.get(&address).cloned();
            BindFailure { address, errno, owner }
        };
        Event::BindRefused { failures: refused.into_iter().map(failure).collect() }
    }

    /// Makes the sockets what a server expects; gives their descriptors in the same order.
    pub(super) fn restore(&mut self, ids: &[ListenerId]) -> Result<Vec<RawFd>, SpawnFailure> {
        let failure = |errno, subject: String| SpawnFailure { stage: SpawnStage::Listener, errno, subject };
        ids.iter()
            .map(|id| {
                let listener = self.0.get_mut(id).ok_or_else(|| failure(libc::EBADF, String::new()))?;
                let restored = listener.restore();
                restored.map_err(|error| failure(errno(&error), listener.address().to_string()))?;
                Ok(listener.number())
            })
            .collect()
    }

    /// The inodes of those that are held.
    pub(super) fn inodes(&self, ids: &[ListenerId]) -> BTreeSet<u64> {
        ids.iter().filter_map(|id| self.0.get(id)?.inode().ok()).collect()
    }

    /// Takes other settings.
    pub(super) fn configure(&mut self, id: ListenerId, spec: ListenerSpec) {
        if let Some(listener) = self.0.get_mut(&id) {
            // Written again before the next start, where a failure is told.
            let _ = listener.configure(spec);
        }
    }

    /// Takes a parked one back into service.
    pub(super) fn listen(&mut self, id: ListenerId) {
        if let Some(listener) = self.0.get_mut(&id) {
            // Tried again before the next start, where a failure is told.
            let _ = listener.listen();
        }
    }

    /// Keeps the address and refuses clients.
    pub(super) fn park(&mut self, id: ListenerId) {
        if let Some(listener) = self.0.get_mut(&id) {
            // What can fail is the memory of the kernel; the address is kept in any case.
            let _ = listener.park();
        }
    }

    /// Gives an address up.
    pub(super) fn close(&mut self, id: ListenerId) {
        if let Some(listener) = self.0.remove(&id) {
            listener.release();
        }
    }

    /// Gives all addresses up.
    pub(super) fn close_all(&mut self) {
        for listener in std::mem::take(&mut self.0).into_values() {
            listener.release();
        }
    }
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}
