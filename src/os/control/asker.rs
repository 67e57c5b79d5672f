//! Clients that asked for an upgrade: their connections outlive it, and the next program answers.

use super::{ClientId, ControlSocket};
use crate::core::Time;
use crate::os::client::{Client, Peer};
use crate::os::inherited::{Legacy, Numbers};
use crate::os::poller::Poller;
use crate::plan::Rights;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::RawFd;

/// One of them, as it is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::os) struct KeptClient {
    number: u32,
    /// The number that it gave to its request.
    request: u64,
    uid: u32,
    pid: i32,
    rights: Rights,
    /// What it has sent of its next request.
    inbox: Vec<u8>,
    stream: RawFd,
}

/// One of them, as the next program finds it.
pub(in crate::os) struct Asker {
    number: u32,
    client: Client,
}

impl Asker {
    /// # Errors
    ///
    /// Its connection was not left to this program.
    pub(in crate::os) fn restore(kept: KeptClient, legacy: &mut Legacy, now: Time) -> io::Result<Self> {
        let KeptClient { number, request, uid, pid, rights, inbox, stream } = kept;
        let peer = Peer { uid, pid, rights };
        let client = Client::asking_still(legacy.claim(stream)?, peer, request, inbox, now);
        Ok(Self { number, client })
    }
}

impl ControlSocket {
    /// A client asked for an upgrade, by a request of this number. It does so until it is answered.
    pub(in crate::os) fn asks_for_upgrade(&mut self, client: ClientId, request: u64) {
        if let Some(found) = self.clients.get_mut(&client.0) {
            found.upgrade = Some(request);
        }
    }

    /// Those who ask for one, and by which request.
    pub(in crate::os) fn askers(&self) -> Vec<(ClientId, u64)> {
        let asking = self.clients.iter().filter_map(|(number, client)| Some((*number, client.upgrade?)));
        asking.map(|(number, request)| (ClientId(number), request)).collect()
    }

    /// Leaves them to the next program.
    pub(in crate::os) fn keep_askers(&self, numbers: &mut Numbers) -> Vec<KeptClient> {
        let mut kept = Vec::new();
        for (number, client) in &self.clients {
            if let Some(request) = client.upgrade {
                let Peer { uid, pid, rights } = client.peer;
                let (inbox, stream) = (client.inbox().to_vec(), numbers.keep(client));
                kept.push(KeptClient { number: *number, request, uid, pid, rights, inbox, stream });
            }
        }
        kept
    }

    /// Takes those over whom the program before left.
    pub(in crate::os) fn take_over(&mut self, poller: &Poller, askers: Vec<Asker>, now: Time) {
        for Asker { number, client } in askers {
            self.last = self.last.max(number);
            self.clients.insert(number, client);
            self.go_on(poller, number, true, now);
        }
    }
}
