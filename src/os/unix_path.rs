//! The path of a unix socket: whose it is, keeping it while servers come and go, giving it up.

use super::owner;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Device and inode: what a path leads to, whatever its name.
type Inode = (u64, u64);

/// A path that a socket of ours was bound to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnixPath {
    path: PathBuf,
    inode: Inode,
    /// A second name of the same socket, `.NAME.bootstrap` beside it: some servers unlink the path that they
    /// inherited when they leave, and from this name it is put back with clients still waiting in its queue.
    spare: Option<PathBuf>,
}

/// What became of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It leads to our socket.
    Ours,
    /// It does again: nothing was there.
    PutBack,
    /// Nothing is there.
    Nothing,
    /// Something else is there now.
    Foreign,
}

impl UnixPath {
    /// Notes what `bind` has just made.
    pub(super) fn just_bound(path: &Path) -> io::Result<Self> {
        let inode = inode(path)?;
        let spare = spare_name(path).filter(|spare| link(path, spare).is_ok());
        Ok(Self { path: path.into(), inode, spare })
    }

    /// Sees to it that the path leads to our socket.
    pub(super) fn put_back(&self) -> Found {
        if let (Found::Nothing, Some(spare)) = (self.found(&self.path), &self.spare)
            && self.found(spare) == Found::Ours
        {
            // It fails where somebody was faster: then the next line tells.
            let _ = fs::hard_link(spare, &self.path);
            if self.found(&self.path) == Found::Ours {
                return Found::PutBack;
            }
        }
        self.found(&self.path)
    }

    fn found(&self, path: &Path) -> Found {
        match inode(path) {
            Ok(inode) if inode == self.inode => Found::Ours,
            Ok(_) => Found::Foreign,
            Err(_) => Found::Nothing,
        }
    }

    /// Removes what is still ours.
    pub(super) fn release(&self) {
        for path in [Some(&self.path), self.spare.as_ref()].into_iter().flatten() {
            if self.found(path) == Found::Ours {
                // Nobody is there to be told; what stays is stale, and told from a live one at the next start.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Removes a socket that nobody listens on, which its owner left behind.
///
/// Removed and bound anew, not replaced by a rename: nobody is served there meanwhile, and a socket that was
/// bound under another name would tell servers that one when they ask.
///
/// # Errors
///
/// `EADDRINUSE`: somebody holds it. `EEXIST`: it is no socket, and is not touched. `EACCES`: it is somebody
/// else's, and whether it is in use cannot be told.
pub(super) fn clear_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(Errno::EEXIST.into());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        // A parked socket refuses clients too, and is not stale: the supervisor that holds it is alive.
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) && !owner::is_held(path) => {
            fs::remove_file(path)
        }
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => Err(error),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Connected, a full queue, a socket of another type, no permission: somebody has it.
        Ok(()) | Err(_) => Err(Errno::EADDRINUSE.into()),
    }
}

fn inode(path: &Path) -> io::Result<Inode> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn spare_name(path: &Path) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(".bootstrap");
    Some(path.with_file_name(name))
}

/// Makes the spare name; one that a killed supervisor left behind is replaced.
fn link(path: &Path, spare: &Path) -> io::Result<()> {
    match fs::hard_link(path, spare) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(spare)?.file_type().is_socket() {
                return Err(error);
            }
            fs::remove_file(spare)?;
            fs::hard_link(path, spare)
        }
        result => result,
    }
}
