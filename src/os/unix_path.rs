//! The path of a unix socket: whose it is, keeping it while servers come and go, giving it up.

use super::owner;
use crate::plan::Access;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid, fchownat};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
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

    /// The path of a socket that somebody kept for us. The spare name is ours alone; without it the path has to do.
    pub(super) fn found_again(path: &Path) -> Option<Self> {
        let is_socket =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        if let Some(spare) = spare_name(path).filter(|spare| is_socket(spare)) {
            return Some(Self { path: path.into(), inode: inode(&spare).ok()?, spare: Some(spare) });
        }
        is_socket(path).then(|| Self::just_bound(path).ok()).flatten()
    }

    /// A path at which nothing is ours.
    pub(super) fn lost(path: &Path) -> Self {
        Self { path: path.into(), inode: (0, 0), spare: None }
    }

    /// Sees to it that the path leads to our socket. A socket there that nobody holds any more is removed: a server that
    /// unlinks what it inherited and binds for itself leaves one. `own` is what `/proc` knows our socket by.
    pub(super) fn put_back(&self, own: u64) -> Found {
        if self.found(&self.path) == Found::Foreign {
            // What somebody has is told by what is found there afterwards.
            let _ = clear_stale(&self.path, Some(own));
        }
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

    /// Has the socket belong to those who may reach it. Whoever owns the directory can put something else at the path
    /// at any time, and we may be root: what is changed is what was seen to be ours.
    ///
    /// # Errors
    ///
    /// The system's; `EEXIST` where something else is at the path.
    pub(super) fn set_access(&self, access: &Access) -> io::Result<()> {
        if *access == Access::default() {
            return Ok(());
        }
        let node = open(&self.path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        let found = fstat(&node)?;
        if (found.st_dev, found.st_ino) != self.inode {
            return Err(Errno::EEXIST.into());
        }
        if access.uid.is_some() || access.gid.is_some() {
            let (uid, gid) = (access.uid.map(Uid::from_raw), access.gid.map(Gid::from_raw));
            fchownat(&node, "", uid, gid, AtFlags::AT_EMPTY_PATH)?;
        }
        if let Some(mode) = access.mode {
            // The kernel has no call for such a descriptor; its name in `/proc` leads to what it stands for.
            let name = format!("/proc/self/fd/{}", node.as_raw_fd());
            fs::set_permissions(name, fs::Permissions::from_mode(mode))?;
        }
        Ok(())
    }

    /// Gives it what it would have had without those settings that are taken out.
    ///
    /// # Errors
    ///
    /// As [`set_access`](Self::set_access).
    pub(super) fn take_access_back(&self, before: &Access, now: &Access) -> io::Result<()> {
        let umask = nix::sys::stat::umask(Mode::empty());
        nix::sys::stat::umask(umask);
        self.set_access(&Access {
            mode: before.mode.filter(|_| now.mode.is_none()).map(|_| 0o777 & !umask.bits()),
            uid: before.uid.filter(|_| now.uid.is_none()).map(|_| Uid::effective().as_raw()),
            gid: before.gid.filter(|_| now.gid.is_none()).map(|_| Gid::effective().as_raw()),
        })
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

/// Removes a socket that nobody listens on, which its owner left behind. One of `own` that had this path is nobody's there.
///
/// Removed and bound anew, not replaced by a rename: nobody is served there meanwhile, and a socket that was
/// bound under another name would tell servers that one when they ask.
///
/// # Errors
///
/// `EADDRINUSE`: somebody holds it. `EEXIST`: it is no socket, and is not touched. `EACCES`: it is somebody
/// else's, and whether it is in use cannot be told.
pub(super) fn clear_stale(path: &Path, own: Option<u64>) -> io::Result<()> {
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
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) && !owner::is_held(path, own) => {
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
