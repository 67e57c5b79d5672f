//! One socket that is held for a service: bound once, then listening or parked, its settings written back
//! before each start.

use super::sockopt::set_defer_accept;
use super::unix_path::{Found, UnixPath, clear_stale};
use crate::plan::{Address, ListenerSpec};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::Path;

/// A bound socket.
pub(super) struct Listener {
    socket: Socket,
    spec: ListenerSpec,
    parked: bool,
    /// Where it is in the file system, if it is there.
    path: Option<UnixPath>,
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
            Address::Unix(path) => bind_unix(path).map(|(socket, path)| (socket, Some(path)))?,
        };
        let listener = Self { socket, spec, parked: false, path };
        listener.write_settings().inspect_err(|_| listener.release())?;
        Ok(listener)
    }

    /// The number of its descriptor; another one after a unix socket had to be made anew.
    pub(super) fn number(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Where it is.
    pub(super) fn address(&self) -> &Address {
        &self.spec.address
    }

    /// Takes other settings, and writes them unless it is parked: to write the backlog is to listen.
    pub(super) fn configure(&mut self, spec: ListenerSpec) -> io::Result<()> {
        self.spec = ListenerSpec { address: self.spec.address.clone(), ..spec };
        if self.parked { Ok(()) } else { self.write_settings() }
    }

    /// Makes it what a server expects: listening, at its address, with its own settings, whatever the last
    /// server did to it. Takes a parked one back into service.
    pub(super) fn restore(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            match path.put_back() {
                // `listen` repairs no unix socket that was shut down.
                Found::Ours if self.is_shut_down()? => self.bind_anew()?,
                Found::Ours => {}
                Found::Nothing => self.bind_anew()?,
                Found::Foreign => return Err(Errno::EEXIST.into()),
            }
        }
        self.write_settings()?;
        self.parked = false;
        Ok(())
    }

    /// Does nothing to one that listens, else [`restore`](Self::restore).
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if self.parked { self.restore() } else { Ok(()) }
    }

    /// Keeps the address and refuses clients; those that wait are sent away. UDP has no clients to refuse.
    pub(super) fn park(&mut self) -> io::Result<()> {
        if self.parked || matches!(self.spec.address, Address::Udp(_)) {
            return Ok(());
        }
        self.parked = true;
        // A server may have done it already: then there is nothing to shut down.
        match self.socket.shutdown(Shutdown::Both) {
            Err(error) if error.raw_os_error() != Some(libc::ENOTCONN) => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if matches!(self.spec.address, Address::Tcp(_)) {
            // With it another socket could take the port, now that ours does not listen.
            self.socket.set_reuse_address(false)?;
        }
        Ok(())
    }

    /// Gives up what it has in the file system, as far as it is still ours.
    pub(super) fn release(&self) {
        if let Some(path) = &self.path {
            path.release();
        }
    }

    fn write_settings(&self) -> io::Result<()> {
        self.socket.set_nonblocking(self.spec.nonblocking)?;
        // The kernel cuts it to `net.core.somaxconn`.
        let backlog = self.spec.backlog.map_or(i32::MAX, |most| i32::try_from(most).unwrap_or(i32::MAX));
        match self.spec.address {
            Address::Udp(_) => {}
            Address::Unix(_) => self.socket.listen(backlog)?,
            Address::Tcp(_) => {
                self.socket.set_reuse_address(true)?;
                self.socket.listen(backlog)?;
                set_defer_accept(&self.socket, self.spec.defer_accept)?;
                self.socket.set_tcp_nodelay(false)?;
                self.socket.set_keepalive(false)?;
            }
        }
        Ok(())
    }

    /// Was the socket shut down for reading, by us or by a server?
    fn is_shut_down(&self) -> io::Result<bool> {
        // Waiting clients do not count: POLLIN is not asked for.
        let hung_up = PollFlags::from_bits_retain(libc::POLLRDHUP);
        Ok(poll(&mut [PollFd::new(self.socket.as_fd(), hung_up)], PollTimeout::ZERO)? > 0)
    }

    /// Puts a new socket where the old one was. Servers that still have the old one are not touched.
    fn bind_anew(&mut self) -> io::Result<()> {
        let Address::Unix(path) = &self.spec.address else { return Ok(()) };
        self.release();
        let (socket, path) = bind_unix(path)?;
        self.socket = socket;
        self.path = Some(path);
        Ok(())
    }
}

fn bind_ip(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections of an earlier supervisor that are still closing do not keep the port. For UDP it would
        // let a second socket take the port away.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path) -> io::Result<(Socket, UnixPath)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            clear_stale(path)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    let path = UnixPath::just_bound(path)?;
    Ok((socket, path))
}
