//! Sockets that are bound and do not listen yet.

use super::unix_path::{UnixPath, clear_stale};
use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// A TCP or UDP socket; a v6 one takes v6 clients only.
pub(super) fn bind_ip(address: SocketAddr, kind: Type) -> io::Result<Socket> {
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

/// A unix stream socket that nobody can reach: its name is gone when this returns, and a name without a path would be there
/// for everybody.
pub(super) fn bind_nowhere() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let directory = nix::unistd::mkdtemp(&std::env::temp_dir().join(format!("bootstrap-{:X<6}", "")))?;
    let path = directory.join("s");
    let bound = SockAddr::unix(&path).and_then(|address| socket.bind(&address));
    // Where it was not bound there is nothing to remove; and what stays is an empty directory.
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir(&directory);
    bound.map(|()| socket)
}

/// A unix stream socket; a path that its owner left behind is taken.
pub(super) fn bind_unix(path: &Path) -> io::Result<(Socket, UnixPath)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            clear_stale(path, None)?;
            socket.bind(&address)?;
        }
        result => result?,
    }
    let path = UnixPath::just_bound(path)?;
    Ok((socket, path))
}
