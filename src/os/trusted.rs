//! Whom a path and a connection can be trusted with: us and root, and nobody else.

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Uid, getegid, geteuid};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Who has no number in a user namespace has this one there.
const OVERFLOW: u32 = 65_534;

/// Does our user, or root, listen at the other end?
///
/// # Errors
///
/// It is no unix socket.
pub fn is_of_us_or_root(stream: &impl AsFd) -> io::Result<bool> {
    let peer = getsockopt(stream, sockopt::PeerCredentials)?;
    Ok(peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

/// Why somebody else could put another directory in place of this one, if so.
///
/// Looked at is the way to it as it is spelled, with the symbolic links on it, and the way to where they lead.
pub(super) fn who_could_replace(path: &Path) -> io::Result<Option<String>> {
    let (spelled, real) = (std::path::absolute(path)?, fs::canonicalize(path)?);
    Ok(spelled.ancestors().chain(real.ancestors()).find_map(whose))
}

/// Why somebody else could put another thing behind this step of a path, if so.
fn whose(step: &Path) -> Option<String> {
    let found = fs::symlink_metadata(step).ok()?;
    let owner = Uid::from_raw(found.uid());
    if owner != geteuid() && !owner.is_root() && !is_unmapped(owner) {
        return Some(format!("{} on the way to it belongs to the user {owner}", step.display()));
    }
    // In a directory with the sticky bit each can move only what is his.
    let is_sticky = found.mode() & libc::S_ISVTX != 0;
    // The group of a user's own is the user.
    let shared = if found.gid() == getegid().as_raw() { 0o002 } else { 0o022 };
    let mode = found.mode() & 0o7777;
    (found.is_dir() && !is_sticky && mode & shared != 0)
        .then(|| format!("others may write to {} on the way to it (mode {mode:04o})", step.display()))
}

/// Is this root of the machine, or another user, as seen from a user namespace where he has no number? None of its
/// processes is he.
fn is_unmapped(owner: Uid) -> bool {
    let map = || fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_all = |map: &str| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    owner.as_raw() == OVERFLOW && !is_all(&map())
}
