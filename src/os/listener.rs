//! One socket that is held for a service: bound once, then listening or parked, its settings written back
//! before each start.

use super::bind::{bind_ip, bind_nowhere, bind_unix};
use super::sockopt::{set_defer_accept, tcp_queue, udp_queue};
use super::unix_path::{Found, UnixPath};
use crate::core::Repair;
use crate::plan::{Address, Common, ListenerSpec, SocketSettings};
use crate::protocol::SocketKind;
use crate::protocol::status::Queue;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Socket, Type};
use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A bound socket.
pub(super) struct Listener {
    socket: Socket,
    /// Of the socket, once it was asked for.
    inode: Cell<Option<NonZeroU64>>,
    address: Address,
    settings: Common<SocketSettings>,
    parked: bool,
    /// It is as it was made: nobody has had it since it was bound, and it was given no other settings.
    untouched: bool,
    /// Where it is in the file system, if it is there.
    path: Option<Box<UnixPath>>,
}

impl Listener {
    /// Binds and listens.
    ///
    /// # Errors
    ///
    /// The system's; `EEXIST` where a unix path leads to something that is no socket.
    pub(super) fn bind(spec: ListenerSpec) -> io::Result<Self> {
        let (socket, path) = match &spec.address {
            Address::Tcp(address) => (bind_ip(*address, Type::STREAM)?, None),
            Address::Udp(address) => (bind_ip(*address, Type::DGRAM)?, None),
            Address::Unix(path) => bind_unix(path).map(|(socket, path)| (socket, Some(Box::new(path))))?,
        };
        let listener = Self { untouched: true, ..Self::of(socket, spec, path) };
        listener.write_settings(false, true).inspect_err(|_| listener.release())?;
        Ok(listener)
    }

    /// A socket that others may have had.
    fn of(socket: Socket, spec: ListenerSpec, path: Option<Box<UnixPath>>) -> Self {
        let ListenerSpec { name: _, address, settings } = spec;
        Self { socket, inode: Cell::default(), address, settings, parked: false, untouched: false, path }
    }

    /// The number of its descriptor; another one after a unix socket had to be made anew.
    pub(super) fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Its descriptor.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What `/proc` knows it by.
    pub(super) fn inode(&self) -> nix::Result<u64> {
        if let Some(known) = self.inode.get() {
            return Ok(known.into());
        }
        let found = nix::sys::stat::fstat(&self.socket)?.st_ino;
        self.inode.set(NonZeroU64::new(found));
        Ok(found)
    }

    /// Has another socket from now on.
    fn replace(&mut self, socket: Socket, path: UnixPath) {
        (self.socket, self.path) = (socket, Some(Box::new(path)));
        self.inode.set(None);
    }

    /// What is watched for its being shut down: a TCP socket. A unix socket cannot be taken back then, and its
    /// server would not have the new one: it gets one at the next start.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        matches!(self.address, Address::Tcp(_)).then(|| self.socket.as_fd())
    }

    /// What waits at it, where the kernel tells. `known` gives what is known of all sockets of a kind, by the inode.
    pub(super) fn queue(&self, known: impl FnOnce(SocketKind, u64) -> Option<Queue>) -> Option<Queue> {
        match self.address {
            Address::Udp(_) => {
                let (bytes, limit, dropped) = udp_queue(&self.socket).ok()?;
                Some(Queue::Datagrams { bytes: bytes.into(), limit: limit.into(), dropped: dropped.into() })
            }
            Address::Tcp(_) | Address::Unix(_) if self.parked => None,
            Address::Tcp(address) => {
                let kind = if address.is_ipv4() { SocketKind::TcpV4 } else { SocketKind::TcpV6 };
                known(kind, self.inode().ok()?).or_else(|| {
                    let (waiting, limit) = tcp_queue(&self.socket).ok()?;
                    Some(Queue::Clients { waiting, limit })
                })
            }
            Address::Unix(_) => known(SocketKind::Unix, self.inode().ok()?),
        }
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Takes other settings, and writes them unless it is parked: to write the backlog is to listen.
    pub(super) fn configure(&mut self, spec: ListenerSpec) -> io::Result<()> {
        self.untouched = false;
        let before = std::mem::replace(&mut self.settings, spec.settings);
        if let Some(path) = &self.path {
            path.take_access_back(&before.access, &self.settings.access)?;
        }
        if self.parked { Ok(()) } else { self.write_settings(true, true) }
    }

    /// Makes it what a server expects: listening, at its address, with its own settings, whatever the last
    /// server did to it. Takes a parked one back into service. Gives what had to be repaired.
    /// `in_use` says that a server accepts from it already.
    pub(super) fn restore(&mut self, in_use: bool) -> io::Result<Option<Repair>> {
        if std::mem::take(&mut self.untouched) && !self.parked && self.path.is_none() {
            return Ok(None);
        }
        let path = self.mend_path().or_else(|error| self.stand_in(error))?;
        let lost = matches!(path, Some(Repair::PathTaken | Repair::PathLost(_)));
        let repair = if self.parked && !lost {
            None
        } else if matches!(self.address, Address::Tcp(_)) && self.is_shut_down()? {
            Some(Repair::ListensAgain)
        } else {
            path
        };
        self.write_settings(in_use, !lost)?;
        self.parked = false;
        Ok(repair)
    }

    /// Repairs what a server did to it, and leaves it alone where that is nothing. What we did is no harm.
    pub(super) fn mend(&mut self) -> io::Result<Option<Repair>> {
        if self.parked {
            return Ok(None);
        }
        match self.address {
            Address::Tcp(_) if self.is_shut_down()? => self.restore(true),
            Address::Tcp(_) | Address::Udp(_) => Ok(None),
            Address::Unix(_) => {
                let repair = self.mend_path()?;
                if repair == Some(Repair::PathBoundAnew) {
                    self.write_settings(true, true)?;
                }
                // That it is taken is told before each start, and not each time that a server says a word.
                Ok(repair.filter(|repair| *repair != Repair::PathTaken))
            }
        }
    }

    /// Puts its path back where somebody has removed it, as far as it can be the path of this very socket: its server has no
    /// other.
    pub(super) fn put_path_back(&self) -> Option<Repair> {
        let found = self.path.as_ref()?.put_back(self.inode().ok()?);
        (found == Found::PutBack).then_some(Repair::PathPutBack)
    }

    /// Sees to it that the path leads to a socket that can listen.
    fn mend_path(&mut self) -> io::Result<Option<Repair>> {
        let Some(path) = &self.path else { return Ok(None) };
        let found = path.put_back(self.inode()?);
        match found {
            Found::Foreign if self.is_shut_down()? => return Err(Errno::EEXIST.into()),
            Found::Foreign => return Ok(Some(Repair::PathTaken)),
            // `listen` repairs no unix socket that was shut down.
            Found::Ours | Found::PutBack if !self.is_shut_down()? => {
                return Ok((found == Found::PutBack).then_some(Repair::PathPutBack));
            }
            Found::Ours | Found::PutBack | Found::Nothing => {}
        }
        self.bind_anew()?;
        Ok(Some(Repair::PathBoundAnew))
    }

    /// The path cannot be had. A server is started all the same, for it may have other sockets: with one that listens, where the
    /// old one cannot any more.
    fn stand_in(&mut self, error: io::Error) -> io::Result<Option<Repair>> {
        let Address::Unix(path) = &self.address else { return Err(error) };
        if self.is_shut_down()? {
            let Ok(socket) = bind_nowhere() else { return Err(error) };
            let path = UnixPath::lost(path);
            self.release();
            self.replace(socket, path);
        }
        Ok(Some(match error.raw_os_error() {
            Some(libc::EEXIST) => Repair::PathTaken,
            number => Repair::PathLost(number.unwrap_or(libc::EIO)),
        }))
    }

    /// Does nothing to one that listens, else [`restore`](Self::restore).
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if self.parked { self.restore(false).map(drop) } else { Ok(()) }
    }

    /// Keeps the address and refuses clients; those that wait are sent away. UDP has no clients to refuse.
    pub(super) fn park(&mut self) -> io::Result<()> {
        if self.parked || matches!(self.address, Address::Udp(_)) {
            return Ok(());
        }
        self.parked = true;
        // A server may have done it already: then there is nothing to shut down.
        match self.socket.shutdown(Shutdown::Both) {
            Err(error) if error.raw_os_error() != Some(libc::ENOTCONN) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match self.address {
            // With it another socket could take the port, now that ours does not listen.
            Address::Tcp(_) => self.socket.set_reuse_address(false)?,
            // The kernel lets nobody else in, but keeps those that wait until somebody takes them. One that is
            // shut down never blocks: when the last was taken it says EINVAL.
            Address::Unix(_) => while self.socket.accept().is_ok() {},
            Address::Udp(_) => {}
        }
        Ok(())
    }

    /// Gives up what it has in the file system, as far as it is still ours.
    pub(super) fn release(&self) {
        if let Some(path) = &self.path {
            path.release();
        }
    }

    /// `O_NONBLOCK` is not taken from a socket in use: its server would block in `accept` (uvicorn, start-first). Those of
    /// the path are written where that leads `here`. What one that was just made has by itself is not written to it.
    fn write_settings(&self, in_use: bool, here: bool) -> io::Result<()> {
        let settings = &self.settings;
        let nonblocking = settings.nonblocking || in_use && self.socket.nonblocking()?;
        if nonblocking || !self.untouched {
            self.socket.set_nonblocking(nonblocking)?;
        }
        // The kernel cuts it to `net.core.somaxconn`.
        let backlog = settings.backlog.map_or(i32::MAX, |most| i32::try_from(most).unwrap_or(i32::MAX));
        match self.address {
            Address::Udp(_) => {}
            Address::Unix(_) => {
                // Nobody can connect before it listens.
                if let Some(path) = self.path.iter().find(|_| here) {
                    path.set_access(&settings.access)?;
                }
                self.socket.listen(backlog)?;
            }
            Address::Tcp(_) => {
                if !self.untouched {
                    self.socket.set_reuse_address(true)?;
                    self.socket.set_tcp_nodelay(false)?;
                    self.socket.set_keepalive(false)?;
                }
                self.socket.listen(backlog)?;
                if settings.defer_accept.is_some() || !self.untouched {
                    set_defer_accept(&self.socket, settings.defer_accept)?;
                }
            }
        }
        Ok(())
    }

    /// Was the socket shut down for reading, by us or by a server?
    fn is_shut_down(&self) -> io::Result<bool> {
        // Waiting clients do not count: POLLIN is not asked for.
        let hung_up = PollFlags::from_bits_retain(libc::POLLRDHUP);
        loop {
            // Even a poll that does not wait is interrupted by a signal that arrives just then.
            match poll(&mut [PollFd::new(self.socket.as_fd(), hung_up)], PollTimeout::ZERO) {
                Err(Errno::EINTR) => {}
                found => return Ok(found? > 0),
            }
        }
    }

    /// Puts a new socket where the old one was. Servers that still have the old one are not touched.
    fn bind_anew(&mut self) -> io::Result<()> {
        let Address::Unix(path) = &self.address else { return Ok(()) };
        self.release();
        let (socket, path) = bind_unix(path)?;
        self.replace(socket, path);
        Ok(())
    }
}

mod kept;
pub(super) use kept::{HeldSocket, KeptListener};

#[cfg(test)]
mod tests;
