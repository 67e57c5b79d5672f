//! Programs that were looked at before: one that has not changed since is found by a single look, where it takes six system
//! calls to see that a path leads to a file, that it may be executed, and that it is no script.

use super::lookup::{self, Inode};
use super::program::Origin;
use crate::limits::BINARIES_KNOWN;
use nix::errno::Errno;
use nix::sys::stat::stat;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Which file it is, and which state of it: neither its bytes nor who may execute it change without a trace in the time of the
/// last change, which nobody can set.
#[derive(PartialEq)]
struct State {
    inode: Inode,
    size: i64,
    changed: (i64, i64),
}

impl State {
    fn of(path: &Path) -> Option<Self> {
        let found = stat(path).ok()?;
        let changed = (found.st_ctime, found.st_ctime_nsec);
        Some(Self { inode: Inode::of(&found), size: found.st_size, changed })
    }
}

/// The binaries that were found, by their paths as we see them.
#[derive(Default)]
pub(super) struct Binaries(BTreeMap<PathBuf, State>);

/// A program that is there.
pub(super) struct Found {
    /// The path to execute.
    pub(super) path: PathBuf,
    /// The same as we see it.
    pub(super) seen: PathBuf,
    /// What it is, where that can be seen.
    pub(super) origin: Option<Origin>,
}

impl Found {
    /// One that is executed as it was kept, whatever is at its path.
    pub(super) fn kept(
        program: &str,
        search: Option<&OsStr>,
        directory: Option<&Path>,
        origin: Option<Origin>,
    ) -> Self {
        let path = lookup::place(program, search, directory);
        Self { seen: lookup::seen_from(directory, &path), path, origin }
    }
}

impl Binaries {
    /// Finds a program as [`lookup::find`] does, and looks what it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub(super) fn find(
        &mut self,
        program: &str,
        search: Option<&OsStr>,
        directory: Option<&Path>,
    ) -> Result<Found, Errno> {
        if program.contains('/') {
            let seen = lookup::seen_from(directory, Path::new(program));
            if let Some(inode) = self.unchanged(&seen) {
                return Ok(Found { path: program.into(), seen, origin: Some(Origin::Binary(inode)) });
            }
        }
        // Before it is looked at: what changes meanwhile is not known.
        let path = lookup::find(program, search, directory)?;
        let seen = lookup::seen_from(directory, &path);
        let state = State::of(&seen);
        let origin = Origin::at(&seen, search, directory);
        let is_it = |state: &State| origin.as_ref().and_then(Origin::binary) == Some(state.inode);
        if let Some(state) = state.filter(is_it) {
            self.remember(&seen, state);
        }
        Ok(Found { path, seen, origin })
    }

    fn unchanged(&self, seen: &Path) -> Option<Inode> {
        let known = self.0.get(seen)?;
        State::of(seen).filter(|state| state == known).map(|state| state.inode)
    }

    fn remember(&mut self, seen: &Path, state: State) {
        if self.0.len() >= BINARIES_KNOWN {
            self.0.clear();
        }
        self.0.insert(seen.into(), state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    /// A program of its own, which is a copy of one that is there.
    fn program() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        fs::copy("/bin/true", &path).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (directory, path)
    }

    fn found(binaries: &mut Binaries, path: &str) -> Result<Option<Inode>, Errno> {
        binaries.find(path, None, None).map(|found| found.origin.and_then(|origin| origin.binary()))
    }

    fn inode(path: &str) -> Inode {
        Inode::of(&stat(path).unwrap())
    }

    #[test]
    fn one_that_has_not_changed_is_known_and_is_what_was_found_first() {
        let (_directory, path) = program();
        let mut binaries = Binaries::default();
        assert!(binaries.unchanged(Path::new(&path)).is_none());
        assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
        assert!(binaries.unchanged(Path::new(&path)).is_some());
        assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
    }

    /// The time of a change is as exact as the clock of the kernel ticks.
    #[test]
    fn whatever_happens_to_it_is_seen() {
        let (directory, path) = program();
        let mut binaries = Binaries::default();
        let mut know = || {
            assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
            let state = State::of(Path::new(&path)).unwrap();
            let tick = directory.path().join("tick");
            while State::of(&tick).is_none_or(|now| now.changed == state.changed) {
                fs::write(&tick, "").unwrap();
            }
        };
        know();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(found(&mut binaries, &path), Err(Errno::EACCES));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let mut know = || assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
        know();
        let other = directory.path().join("other");
        fs::copy("/bin/false", &other).unwrap();
        let before = inode(&path);
        fs::rename(&other, &path).unwrap();
        know();
        assert_ne!(inode(&path), before);
        fs::remove_file(&path).unwrap();
        assert_eq!(found(&mut binaries, &path), Err(Errno::ENOENT));
        fs::create_dir(&path).unwrap();
        assert_eq!(found(&mut binaries, &path), Err(Errno::EISDIR));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found(&mut binaries, &path), Ok(None), "a script is looked at each time");
        assert_eq!(binaries.0.len(), 1);
    }

    #[test]
    fn no_more_are_known_than_a_few() {
        let (directory, path) = program();
        let mut binaries = Binaries::default();
        for number in 0..=BINARIES_KNOWN {
            let link = directory.path().join(number.to_string());
            fs::hard_link(&path, &link).unwrap();
            assert_eq!(found(&mut binaries, link.to_str().unwrap()), Ok(Some(inode(&path))));
        }
        assert_eq!(binaries.0.len(), 1);
    }
}
