//! The manager above us keeps our sockets, where it can: whoever is started in our place has them from it, with all
//! clients that wait in them, even if nobody of us and of our servers is left.

use super::Os;
use super::above;
use super::clock;
use super::inherited::Legacy;
use super::listener::Listener;
use super::slots::moved_up;
use crate::core::Time;
use crate::limits::ABOVE_RETRY;
use crate::plan::{Address, ListenerSpec};
use crate::protocol::fdstore;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
};
use socket2::{Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// The number of the first descriptor that a manager gives.
const FIRST: RawFd = 3;

/// What the manager has of ours.
pub(super) struct Store {
    socket: OwnedFd,
    address: UnixAddr,
    /// How many it keeps.
    room: usize,
    /// The names of those that it has, by the inodes of the sockets.
    has: BTreeMap<u64, String>,
    /// When it is told again what it had no room for.
    retry: Option<Time>,
}

/// A socket that it kept for us, and gave back.
pub(super) struct Given {
    name: String,
    socket: Socket,
    inode: u64,
    address: Address,
}

/// Takes what was given to this process at its start. To be called before it opens anything of its own. What is no
/// socket of a kind that we hold is closed.
pub(super) fn take_given() -> Vec<Given> {
    let names = fdstore::given(|name| env::var_os(name), std::process::id());
    let Some(mut legacy) = (!names.is_empty()).then(|| Legacy::find().ok()).flatten() else {
        return Vec::new();
    };
    // The low numbers are for children.
    let mut claim = |number| legacy.claim(number).ok().and_then(moved_up);
    let claimed = (FIRST..).zip(names).filter_map(|(number, name)| Some((name, claim(number)?)));
    claimed.filter_map(|(name, fd)| Given::new(name, fd)).collect()
}

impl Given {
    fn new(name: String, fd: OwnedFd) -> Option<Self> {
        let inode = nix::sys::stat::fstat(&fd).ok()?.st_ino;
        let socket = Socket::from(fd);
        let (local, kind) = (socket.local_addr().ok()?, socket.r#type().ok()?);
        let address = match (local.as_socket(), local.as_pathname()) {
            (Some(address), _) if kind == Type::STREAM => Address::Tcp(address),
            (Some(address), _) if kind == Type::DGRAM => Address::Udp(address),
            (None, Some(path)) if kind == Type::STREAM => Address::Unix(path.into()),
            (Some(_) | None, _) => return None,
        };
        Some(Self { name, socket, inode, address })
    }

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.socket.into()
    }

    /// The listener that it was, and its address; none where its path is gone.
    pub(super) fn into_listener(self) -> Option<(Address, Listener)> {
        let listener = Listener::given_back(self.socket, ListenerSpec::new(self.address.clone()))?;
        Some((self.address, listener))
    }
}

impl Store {
    /// The one above us, if it keeps anything. It has what it has `given` to us.
    pub(super) fn of_environment(given: &[Given]) -> Option<Self> {
        let room = fdstore::room(|name| env::var_os(name));
        let address = above::address(&env::var_os("NOTIFY_SOCKET")?)?;
        let address = match (address.as_pathname(), above::abstract_name(&address)) {
            (Some(path), _) => UnixAddr::new(path).ok()?,
            (None, Some(name)) => UnixAddr::new_abstract(name).ok()?,
            (None, None) => return None,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None).ok()?;
        let has: BTreeMap<u64, String> = given
            .iter()
            .map(|given| (given.inode, given.name.clone()))
            .filter(|(_, n)| !n.is_empty())
            .collect();
        // What it gave back may be wanted by nobody now.
        let retry = (!has.is_empty()).then(clock::now);
        (room > 0).then_some(Self { socket, address, room, has, retry })
    }

    /// Has it keep `sockets`, and nothing else: by inode, with address and descriptor.
    fn sync(&mut self, sockets: &BTreeMap<u64, (&Address, BorrowedFd<'_>)>, now: Time) {
        self.retry = None;
        let gone: BTreeSet<String> = self
            .has
            .iter()
            .filter(|(inode, _)| !sockets.contains_key(inode))
            .map(|(_, name)| name.clone())
            .collect();
        for name in gone {
            if !self.tell(&fdstore::let_go(&name), None, now) {
                return;
            }
            // All that have the name: who is to stay is kept anew.
            self.has.retain(|_, other| *other != name);
        }
        for (inode, (address, fd)) in sockets {
            if self.has.contains_key(inode) || self.has.len() >= self.room {
                continue;
            }
            let name = fdstore::name(address, *inode);
            if !self.tell(&fdstore::keep(&name), Some(*fd), now) {
                return;
            }
            self.has.insert(*inode, name);
        }
    }

    /// Says it, unless there is no room: then it is said later. Where nobody is there any more it counts as said.
    fn tell(&mut self, text: &str, fd: Option<BorrowedFd<'_>>, now: Time) -> bool {
        let numbers: Vec<RawFd> = fd.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let rights = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let parts = [IoSlice::new(text.as_bytes())];
        match sendmsg(self.socket.as_raw_fd(), &parts, rights, flags, Some(&self.address)) {
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS | Errno::ETOOMANYREFS) => {
                self.retry = Some(now + ABOVE_RETRY);
                false
            }
            Ok(_) | Err(_) => true,
        }
    }
}

impl Os {
    /// How many descriptors the manager above keeps for us.
    pub fn store_room(&self) -> Option<usize> {
        self.store.as_ref().map(|store| store.room)
    }

    /// Has the manager above keep the sockets that are held, where that has changed.
    pub(super) fn hand_up(&mut self) {
        let Some(store) = &mut self.store else { return };
        let now = clock::now();
        if self.listeners.take_changed() || store.retry.is_some_and(|at| at <= now) {
            store.sync(&self.listeners.by_inode(), now);
        }
    }

    /// When that is tried again.
    pub(super) fn hand_up_at(&self) -> Option<Time> {
        self.store.as_ref().and_then(|store| store.retry)
    }

    /// Everything ends. Whoever comes next has from the manager above what that has of ours: clients wait there meanwhile.
    pub(super) fn leave_sockets(&mut self) {
        let stored = self.store.iter().flat_map(|store| store.has.keys());
        self.listeners.leave(self.handed_down.iter().chain(stored).copied().collect());
    }

    /// What the manager above has: for the next program.
    pub(super) fn stored(&self) -> BTreeMap<u64, String> {
        self.store.as_ref().map_or_else(BTreeMap::new, |store| store.has.clone())
    }

    /// Takes over what is known of that.
    pub(super) fn restore_store(&mut self, stored: BTreeMap<u64, String>) {
        if let Some(store) = &mut self.store {
            store.has = stored;
        }
    }
}
