//! What waits at the sockets that are held. UDP sockets tell it themselves, and a few TCP sockets, too; of unix sockets only
//! `NETLINK_SOCK_DIAG` knows. That is asked once for all of a kind, and not before somebody wants to know.

use super::diag::Diag;
use super::listeners::Listeners;
use crate::limits::QUEUES_ASKED_ONE_BY_ONE;
use crate::plan::ListenerId;
use crate::protocol::status::Queue;
use crate::protocol::{SocketKind, SocketQueue, ask_queues, read_queues};
use std::cell::OnceCell;
use std::collections::HashMap;

/// What waits at the sockets, as of the moment when it was first asked for.
pub struct Queues<'a> {
    listeners: &'a Listeners,
    unix: OnceCell<Known>,
    tcp: OnceCell<Known>,
}

/// What waits at each socket that listens, by the lower half of its inode.
type Known = HashMap<u32, Queue>;

impl<'a> Queues<'a> {
    pub(super) fn of(listeners: &'a Listeners) -> Self {
        Self { listeners, unix: OnceCell::new(), tcp: OnceCell::new() }
    }

    /// What waits at one, where the kernel tells; nothing waits at one that is parked.
    pub fn of_listener(&self, id: ListenerId) -> Option<Queue> {
        let are_few = self.listeners.count() <= QUEUES_ASKED_ONE_BY_ONE;
        self.listeners.get(id)?.queue(|kind, inode| {
            // A kernel without `unix_diag` or `tcp_diag` knows of none.
            let known = match kind {
                SocketKind::Unix => self.unix.get_or_init(|| all_of(&[kind]).unwrap_or_default()),
                SocketKind::TcpV4 | SocketKind::TcpV6 if are_few => return None,
                SocketKind::TcpV4 | SocketKind::TcpV6 => {
                    let both = [SocketKind::TcpV4, SocketKind::TcpV6];
                    self.tcp.get_or_init(|| all_of(&both).unwrap_or_default())
                }
            };
            known.get(&u32::try_from(inode & u64::from(u32::MAX)).ok()?).copied()
        })
    }
}

/// What waits at all sockets of these kinds that listen.
fn all_of(kinds: &[SocketKind]) -> nix::Result<Known> {
    let mut diag = Diag::new()?;
    let mut found = HashMap::new();
    for kind in kinds {
        diag.ask(&ask_queues(*kind), |piece| take(piece, &mut found))?;
    }
    Ok(found)
}

/// Takes what a piece of an answer tells; was it the last?
fn take(piece: &[u8], found: &mut Known) -> bool {
    read_queues(piece).into_iter().any(|queue| match queue {
        SocketQueue::Of { inode, waiting, limit } => {
            found.insert(inode, Queue::Clients { waiting, limit });
            false
        }
        SocketQueue::End => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::poller::Poller;
    use crate::plan::{Address, ListenerSpec};
    use std::collections::BTreeMap;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

    /// Sockets at addresses of their own, with one port that was free; the last is a v6 one.
    fn held(count: u8) -> (Listeners, Vec<SocketAddr>) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let v4 = (1..count).map(|number| IpAddr::from(Ipv4Addr::new(127, 82, count, number)));
        let addresses: Vec<SocketAddr> =
            v4.chain([Ipv6Addr::LOCALHOST.into()]).map(|ip| SocketAddr::new(ip, port)).collect();
        let specs = (0..).zip(&addresses).map(|(id, address)| {
            let mut spec = ListenerSpec::new(Address::Tcp(*address));
            spec.settings.backlog = Some(id + 7);
            (ListenerId(id), spec)
        });
        let (poller, mut listeners) = (Poller::new().unwrap(), Listeners::default());
        listeners.bind(&poller, specs.collect(), &mut BTreeMap::new(), &mut Vec::new());
        assert_eq!(listeners.count(), addresses.len());
        (listeners, addresses)
    }

    /// What is found of each, with one client at the first and two at the last.
    fn found(listeners: &Listeners, addresses: &[SocketAddr], at_once: bool) {
        let ends = [addresses[0], *addresses.last().unwrap(), *addresses.last().unwrap()];
        let _clients = ends.map(|address| TcpStream::connect(address).unwrap());
        let queues = Queues::of(listeners);
        for (id, address) in (0..).zip(addresses) {
            let waiting = ends.iter().filter(|end| *end == address).count().try_into().unwrap();
            let queue = queues.of_listener(ListenerId(id));
            assert_eq!(queue, Some(Queue::Clients { waiting, limit: id + 7 }), "{address}");
        }
        assert_eq!(queues.tcp.get().is_some(), at_once);
        let known = queues.tcp.get().map_or(0, HashMap::len);
        assert!(!at_once || known >= addresses.len(), "{known}");
    }

    #[test]
    fn many_are_asked_for_at_once_and_say_the_same_as_a_few() {
        let (few, addresses) = held(3);
        found(&few, &addresses, false);
        let (many, addresses) = held(u8::MAX);
        assert!(many.count() > QUEUES_ASKED_ONE_BY_ONE);
        found(&many, &addresses, true);
    }
}
