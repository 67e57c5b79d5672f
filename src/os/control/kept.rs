//! What is left to the next program: the socket, with those who wait to be let in; clients that asked for the upgrade, whom
//! the next program answers; and those whose request nobody has looked at yet.

use super::{ClientId, ControlSocket, Heard};
use crate::core::Time;
use crate::os::client::{Client, Peer};
use crate::os::inherited::{Legacy, Numbers};
use crate::os::poller::Poller;
use crate::plan::Rights;
use serde::{Deserialize, Serialize};
use socket2::Socket;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;

/// The socket, as it is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::os) struct KeptControl {
    socket: RawFd,
    /// Device and inode of its path.
    inode: (u64, u64),
}

/// A client, as it is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::os) struct KeptClient {
    number: u32,
    /// The number that it gave to its request for an upgrade, where that is what it waits for.
    request: Option<u64>,
    uid: u32,
    pid: i32,
    rights: Rights,
    /// What it has sent of its next requests.
    inbox: Vec<u8>,
    stream: RawFd,
}

/// All of it, as the next program finds it.
#[derive(Default)]
pub(in crate::os) struct LeftControl {
    /// With device and inode of its path.
    pub(super) socket: Option<(Socket, (u64, u64))>,
    pub(super) clients: BTreeMap<u32, Client>,
}

impl LeftControl {
    /// # Errors
    ///
    /// A descriptor was not left to this program.
    pub(in crate::os) fn restore(
        socket: Option<&KeptControl>,
        clients: Vec<KeptClient>,
        legacy: &mut Legacy,
        now: Time,
    ) -> io::Result<Self> {
        let mut left = Self::default();
        if let Some(kept) = socket {
            left.socket = Some((legacy.claim(kept.socket)?.into(), kept.inode));
        }
        for KeptClient { number, request, uid, pid, rights, inbox, stream } in clients {
            let peer = Peer { uid, pid, rights };
            left.clients.insert(number, Client::left(legacy.claim(stream)?, peer, request, inbox, now));
        }
        Ok(left)
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

    /// Leaves the socket to the next program.
    pub(in crate::os) fn keep(&self, numbers: &mut Numbers) -> KeptControl {
        KeptControl { socket: numbers.keep(&self.socket), inode: self.inode }
    }

    /// Leaves clients to the next program: those who ask for an upgrade, and those who wait for nothing that was begun.
    pub(in crate::os) fn keep_clients(&self, numbers: &mut Numbers) -> Vec<KeptClient> {
        let mut kept = Vec::new();
        for (number, client) in &self.clients {
            let asked = self.heard.iter().find_map(|(of, heard)| match heard {
                Heard::Line(_, line) if of.0 == *number => Some(line),
                Heard::Line(..) | Heard::Gone => None,
            });
            if client.upgrade.is_none() && asked.is_none() && !client.reads() {
                continue;
            }
            // What nobody has looked at is read again.
            let mut inbox = asked.map_or_else(Vec::new, |line| [line, &b"\n"[..]].concat());
            inbox.extend(client.inbox());
            let (request, Peer { uid, pid, rights }) = (client.upgrade, client.peer);
            let stream = numbers.keep(client);
            kept.push(KeptClient { number: *number, request, uid, pid, rights, inbox, stream });
        }
        kept
    }

    /// Takes those over whom the program before left.
    pub(super) fn take_over(&mut self, poller: &Poller, clients: BTreeMap<u32, Client>, now: Time) {
        for (number, client) in clients {
            self.last = self.last.max(number);
            self.clients.insert(number, client);
            self.serve(poller, number, false, now);
        }
    }
}
