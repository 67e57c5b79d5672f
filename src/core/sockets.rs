//! Which sockets of a service listen: those that somebody serves, or will. The others refuse clients.

use super::Action;
use super::generation::Run;
use super::service::{Service, Wish};
use super::worker::Worker;
use crate::plan::{Address, ListenerId};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Service {
    /// Takes sockets back into service that somebody serves again, or will.
    pub(super) fn keep_sockets(&mut self, out: &mut Vec<Action>) {
        let Self { definition, listeners, parked, workers, wish, .. } = self;
        for (listener, spec) in listeners.iter().zip(&definition.listeners) {
            // The next start would do it, too; but clients that come before are to wait.
            if reaches(workers, *wish, &spec.address)
                && let Some(at) = parked.iter().position(|parked| parked == listener)
            {
                parked.remove(at);
                out.push(Action::Listen { listener: *listener });
            }
        }
    }

    /// Some sockets came from another service, which may have parked them, or were bound just now: they listen. Those
    /// that nobody will serve after all, at the end of this event, are parked then (simulation, seed 4738).
    pub(super) fn take_sockets(&self, before: &[ListenerId], out: &mut Vec<Action>) {
        for (listener, spec) in self.listeners.iter().zip(&self.definition.listeners) {
            let served = self.wish == Wish::Run || reaches(&self.workers, self.wish, &spec.address);
            if !before.contains(listener) && served {
                out.push(Action::Listen { listener: *listener });
            }
        }
    }

    /// Parks the sockets that nobody will serve, unless they are `served` by others.
    pub(super) fn park_idle(&mut self, served: &BTreeSet<Address>, out: &mut Vec<Action>) {
        let idle: Vec<ListenerId> =
            self.idle_sockets().filter(|(_, address)| !served.contains(address)).map(|(id, _)| id).collect();
        for listener in idle {
            self.parked.push(listener);
            out.push(Action::Park { listener });
        }
    }

    /// Its sockets that listen, although nobody of it serves them, or will.
    fn idle_sockets(&self) -> impl Iterator<Item = (ListenerId, &Address)> {
        let all =
            self.listeners.iter().copied().zip(self.definition.listeners.iter().map(|spec| &spec.address));
        all.filter(|(listener, address)| {
            self.wish != Wish::Remove
                && !self.parked.contains(listener)
                && !reaches(&self.workers, self.wish, address)
        })
    }

    /// Are there such?
    pub(super) fn has_idle_sockets(&self) -> bool {
        self.idle_sockets().next().is_some()
    }

    /// Does a run have other sockets than the service, as long as it may accept there? Those of a service that was removed may be
    /// anybody's.
    pub(super) fn is_astray(&self) -> bool {
        let mut accepting = self.workers.iter().flat_map(Worker::staying).chain(self.accepting());
        accepting.any(|run| {
            self.wish == Wish::Remove
                || !Arc::ptr_eq(&run.definition, &self.definition)
                    && !run.definition.has_the_same_sockets(&self.definition)
        })
    }

    /// Those who were asked to leave and still accept, as far as is known.
    fn accepting(&self) -> impl Iterator<Item = &Run> {
        let leaving = self.workers.iter().flat_map(|worker| &worker.leaving);
        leaving.filter(|leaving| leaving.may_accept()).map(|leaving| &leaving.run)
    }

    /// Where the runs that nobody has asked to leave serve, or will.
    fn served_addresses(&self) -> impl Iterator<Item = &Address> {
        let runs = self.workers.iter().flat_map(Worker::staying);
        runs.flat_map(|run| &run.definition.listeners).map(|spec| &spec.address)
    }

    /// The same, and where those who were asked still accept, as far as is known.
    pub(super) fn taken_addresses(&self) -> impl Iterator<Item = &Address> {
        let theirs = self.accepting().flat_map(|run| &run.definition.listeners).map(|spec| &spec.address);
        self.served_addresses().chain(theirs)
    }
}

/// Does one of them take clients from this address, or will? Those of a service that waits for others have no
/// worker yet: its clients wait with it.
fn reaches(workers: &[Worker], wish: Wish, address: &Address) -> bool {
    workers.is_empty() && wish == Wish::Run || workers.iter().any(|worker| worker.reaches(address))
}
