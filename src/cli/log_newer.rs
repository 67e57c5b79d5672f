//! What came after the file that was read so far, which may have been rotated on many times meanwhile.

use super::log_files::{Identity, Part, identity, identity_at, open_backup, open_locked};
use crate::limits::{LOG_BACKUPS, LOG_BACKUPS_AT_ONCE};
use std::io;
use std::path::Path;

/// How often the names may change while they are looked at: whoever renames without our lock does not do it for ever.
const TRIES: usize = 3;

/// The files behind one.
#[derive(Default)]
pub(super) struct Newer {
    /// They, the oldest first.
    pub(super) parts: Vec<Part>,
    /// How many more there are, which were not opened yet.
    pub(super) more: u32,
    /// Some came and went, and nobody can read them any more.
    pub(super) gone: bool,
}

/// Opens what came after the file that is `ours`. Where that is no backup any more, `came` tells how many files were
/// begun at the path since it was. There may be none at the path just now: then all come with the next.
///
/// # Errors
///
/// The system's.
pub(super) fn newer(
    path: &Path,
    ours: Option<Identity>,
    mut came: impl FnMut() -> io::Result<u32>,
) -> io::Result<Option<Newer>> {
    let mut tries = 0;
    loop {
        // Nobody rotates it now, so the names of the backups do not change; unless others rename them.
        let Some(current) = open_locked(path)? else { return Ok(None) };
        let came = came()?;
        let there = identity(&current)?;
        if ours == Some(there) {
            return Ok(Some(Newer::default()));
        }
        let (count, gone) = behind(path, ours, came);
        // No more than may be open at once.
        let more = count.saturating_sub(LOG_BACKUPS_AT_ONCE);
        let mut parts: Vec<Part> =
            (more + 1..=count).rev().filter_map(|number| open_backup(path, number)).collect();
        tries += 1;
        let changed = behind(path, ours, came) != (count, gone) || identity_at(path) != Some(there);
        if changed && tries < TRIES {
            continue;
        }
        if more == 0 {
            let current = current.unlock().map_err(|(_, errno)| errno)?;
            parts.push(Part::plain(path, current)?);
        }
        // The file itself is one of those that are left.
        return Ok(Some(Newer { parts, more: if more > 0 { more + 1 } else { 0 }, gone }));
    }
}

/// How many backups are newer than ours, and whether others were that are none any more.
fn behind(path: &Path, ours: Option<Identity>, came: u32) -> (u32, bool) {
    let mut count = 0;
    // The newest that holds it: before we had opened it, another one may have had its inode.
    for backup in (1..=LOG_BACKUPS).map_while(|number| open_backup(path, number)) {
        if ours.is_some_and(|ours| backup.holds(ours)) {
            return (count, false);
        }
        count += 1;
    }
    // The last that came is the one at the path.
    let backups = came.saturating_sub(1);
    (backups.min(count), backups > count)
}
