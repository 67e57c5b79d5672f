//! The path of the control socket, and who may connect to it.

use crate::limits::CONTROL_CLIENTS;
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// A socket that listens at a path which only its owner can connect to, or a group as well. The directory is ours, so
/// what stands at the path is what a former supervisor left.
pub(super) fn listen(path: &Path, gid: Option<u32>) -> io::Result<(Socket, (u64, u64))> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The path gets the mode of the socket: there is no moment at which others could connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&address)?;
    socket.listen(i32::try_from(CONTROL_CLIENTS).expect("a small number"))?;
    // Who waits for the socket hears of this change of its mode: then it listens.
    give(path, gid)?;
    Ok((socket, inode(path)?))
}

/// Lets a group connect, or nobody but the owner.
pub(super) fn give(path: &Path, gid: Option<u32>) -> io::Result<()> {
    let mode = if gid.is_some() { 0o660 } else { 0o600 };
    if gid.is_some() {
        std::os::unix::fs::chown(path, None, gid)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Is this what stands at the path?
pub(super) fn is_at(path: &Path, file: (u64, u64)) -> bool {
    inode(path).is_ok_and(|found| found == file)
}
