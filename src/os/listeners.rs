//! All sockets that are held.

use super::inherited::{Legacy, Numbers};
use super::listener::{HeldSocket, KeptListener, Listener};
use super::owner::owners;
use super::poller::{Poller, Token};
use crate::core::{BindFailure, Event, Repair, SpawnFailure, SpawnStage, pack};
use crate::plan::{Address, Commons, ListenerId, ListenerSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};

/// The sockets, by the id that the core knows them by.
#[derive(Default)]
pub(super) struct Listeners {
    all: BTreeMap<ListenerId, Box<Listener>>,
    /// Whether a socket came or went since somebody last asked.
    changed: bool,
    /// By their inodes: those that are left to others as they are, now that everything ends.
    left: BTreeSet<u64>,
}

impl Listeners {
    /// Binds all or none. They are watched from here on. Of those that were `taken_back` what is not bound stays there; what had
    /// to be repaired of the others is added to `repairs`.
    pub(super) fn bind(
        &mut self,
        poller: &Poller,
        sockets: Vec<(ListenerId, ListenerSpec)>,
        taken_back: &mut BTreeMap<Address, Listener>,
        repairs: &mut impl Extend<Event>,
    ) -> Event {
        let is_back = |(_, spec): &(ListenerId, ListenerSpec)| taken_back.contains_key(&spec.address);
        let (back, new): (Vec<_>, Vec<_>) = sockets.into_iter().partition(is_back);
        let mut bound = Vec::new();
        let mut refused: Vec<(Address, i32)> = Vec::new();
        for (id, spec) in new {
            let address = spec.address.clone();
            match Listener::bind(spec) {
                Ok(listener) => bound.push((id, listener)),
                Err(error) => refused.push((address, errno(&error))),
            }
        }
        if refused.is_empty() {
            for (id, spec) in back {
                let Some(mut listener) = taken_back.remove(&spec.address) else { continue };
                // Its settings are written again before the next start, where a failure is told.
                let _ = listener.configure(spec);
                let repair = listener.put_path_back();
                repairs.extend(repair.map(|what| Event::Repaired { listener: id, what }));
                bound.push((id, listener));
            }
            for (id, listener) in bound {
                self.watch(poller, id, listener);
            }
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

    fn watch(&mut self, poller: &Poller, id: ListenerId, listener: Listener) {
        if let Some(socket) = listener.watched() {
            // Where the kernel has no memory for it the next start repairs what it finds.
            let _ = poller.watch_shutdown(socket, Token::Listener(id));
        }
        self.all.insert(id, Box::new(listener));
        self.changed = true;
    }

    /// Keeps no more room than they need.
    pub(super) fn pack(&mut self) {
        pack(&mut self.all);
    }

    /// Did a socket come or go since the last call?
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Those that are held, with their addresses, by what `/proc` knows them by.
    pub(super) fn by_inode(&self) -> BTreeMap<u64, (&Address, BorrowedFd<'_>)> {
        let held = self.all.values().map(|listener| &**listener);
        held.filter_map(|listener| Some((listener.inode().ok()?, (listener.address(), listener.as_fd()))))
            .collect()
    }

    /// Leaves them to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> Vec<(ListenerId, KeptListener)> {
        self.all.iter().map(|(id, listener)| (*id, listener.keep(numbers))).collect()
    }

    /// Takes them over.
    pub(super) fn restore_kept(
        poller: &Poller,
        kept: Vec<(ListenerId, KeptListener)>,
        legacy: &mut Legacy,
    ) -> nix::Result<Self> {
        let (mut listeners, mut commons) = (Self::default(), Commons::default());
        for (id, listener) in kept {
            listeners.watch(poller, id, Listener::restore_kept(listener, &mut commons, legacy)?);
        }
        Ok(listeners)
    }

    /// Makes the sockets what a server expects; gives their descriptors in the same order. Servers accept from
    /// those `in_use` already. What had to be repaired is added to `repairs`.
    pub(super) fn restore(
        &mut self,
        ids: &[ListenerId],
        in_use: impl Fn(ListenerId) -> bool,
        repairs: &mut impl Extend<Event>,
    ) -> Result<Vec<RawFd>, SpawnFailure> {
        let failure = |errno, subject: String| SpawnFailure { stage: SpawnStage::Listener, errno, subject };
        ids.iter()
            .map(|id| {
                let listener = self.all.get_mut(id).ok_or_else(|| failure(libc::EBADF, String::new()))?;
                let repair = listener
                    .restore(in_use(*id))
                    .map_err(|error| failure(errno(&error), listener.address().to_string()))?;
                self.changed |= matches!(repair, Some(Repair::PathBoundAnew | Repair::PathLost(_)));
                repairs.extend(repair.map(|what| Event::Repaired { listener: *id, what }));
                Ok(listener.number())
            })
            .collect()
    }

    /// Repairs what a server did to one that nobody watches; a TCP socket is watched.
    pub(super) fn mend_unwatched(&mut self, id: ListenerId) -> Option<Event> {
        if self.all.get(&id)?.watched().is_some() { None } else { self.mend(id) }
    }

    /// Repairs what a server did to one.
    pub(super) fn mend(&mut self, id: ListenerId) -> Option<Event> {
        // What cannot be repaired now is tried again before the next start, where a failure is told.
        let what = self.all.get_mut(&id)?.mend().ok()??;
        self.changed |= what == Repair::PathBoundAnew;
        Some(Event::Repaired { listener: id, what })
    }

    /// What a later supervisor must know to take these back.
    pub(super) fn held(&self, ids: &[ListenerId]) -> Vec<HeldSocket> {
        ids.iter().filter_map(|id| self.all.get(id)?.held().ok()).collect()
    }

    /// The inodes of those that are held.
    pub(super) fn inodes(&self, ids: &[ListenerId]) -> BTreeSet<u64> {
        ids.iter().filter_map(|id| self.all.get(id)?.inode().ok()).collect()
    }

    /// How many are held.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// One that is held.
    pub(super) fn get(&self, id: ListenerId) -> Option<&Listener> {
        self.all.get(&id).map(|listener| &**listener)
    }

    /// Takes other settings.
    pub(super) fn configure(&mut self, id: ListenerId, spec: ListenerSpec) {
        if let Some(listener) = self.all.get_mut(&id) {
            // Written again before the next start, where a failure is told.
            let _ = listener.configure(spec);
        }
    }

    /// Takes a parked one back into service.
    pub(super) fn listen(&mut self, id: ListenerId) {
        if let Some(listener) = self.all.get_mut(&id) {
            // Tried again before the next start, where a failure is told.
            let _ = listener.listen();
        }
    }

    /// Leaves these to others, by their inodes: none of them is parked from now on, and no path of one goes. A TCP socket that
    /// is parked already listens again; of a unix socket only a new one could.
    pub(super) fn leave(&mut self, inodes: BTreeSet<u64>) {
        self.left = inodes;
        for listener in self.all.values_mut() {
            if listener.watched().is_some() && is_among(&self.left, listener) {
                // Where it fails they find it as the operator left it.
                let _ = listener.listen();
            }
        }
    }

    /// Keeps the address and refuses clients.
    pub(super) fn park(&mut self, id: ListenerId) {
        if let Some(listener) = self.all.get_mut(&id).filter(|listener| !is_among(&self.left, listener)) {
            // What can fail is the memory of the kernel; the address is kept in any case.
            let _ = listener.park();
        }
    }

    /// Gives an address up.
    pub(super) fn close(&mut self, poller: &Poller, id: ListenerId) {
        if let Some(listener) = self.all.remove(&id) {
            listener.watched().into_iter().for_each(|socket| poller.forget(socket));
            listener.release();
            self.changed = true;
        }
    }

    /// Gives all addresses up.
    pub(super) fn close_all(&mut self) {
        for listener in std::mem::take(&mut self.all).into_values() {
            if !is_among(&self.left, &listener) {
                listener.release();
            }
        }
    }
}

fn is_among(inodes: &BTreeSet<u64>, listener: &Listener) -> bool {
    !inodes.is_empty() && listener.inode().is_ok_and(|inode| inodes.contains(&inode))
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EINVAL)
}
