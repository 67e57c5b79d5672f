//! Programs that were looked at before: one that has not changed since is found by a single look, where it takes six system
//! calls to see that a path leads to a file, that it may be executed, and that it is no script.

use super::lookup::{self, Identity, Inode};
use super::program::Origin;
use crate::limits::BINARIES_KNOWN;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The binaries that were found, by their paths as we see them.
#[derive(Default)]
pub(super) struct Binaries(BTreeMap<PathBuf, Identity>);

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
        if !program.contains('/') {
            // Another one may have come before it.
            let path = lookup::find(program, search, directory)?;
            let seen = lookup::seen_from(directory, &path);
            let origin = Origin::at(&seen, search, directory);
            return Ok(Found { path, seen, origin });
        }
        let (path, seen) = (program.into(), lookup::seen_from(directory, Path::new(program)));
        // Before it is looked at: what changes meanwhile is not known.
        let identity = Identity::of(&seen).ok();
        if let Some(inode) = identity.as_ref().and_then(|identity| self.unchanged(&seen, identity)) {
            return Ok(Found { path, seen, origin: Some(Origin::Binary(inode)) });
        }
        lookup::find(program, search, directory)?;
        let origin = Origin::at(&seen, search, directory);
        let is_it = |found: &Identity| origin.as_ref().and_then(Origin::binary) == Some(found.inode);
        if let Some(identity) = identity.filter(is_it) {
            self.remember(&seen, identity);
        }
        Ok(Found { path, seen, origin })
    }

    /// Is this program known, and as it was?
    pub(super) fn knows(&self, program: &str, directory: Option<&Path>) -> bool {
        let seen = lookup::seen_from(directory, Path::new(program));
        program.contains('/')
            && Identity::of(&seen).is_ok_and(|identity| self.unchanged(&seen, &identity).is_some())
    }

    fn unchanged(&self, seen: &Path, identity: &Identity) -> Option<Inode> {
        (self.0.get(seen) == Some(identity)).then_some(identity.inode)
    }

    fn remember(&mut self, seen: &Path, identity: Identity) {
        if self.0.len() >= BINARIES_KNOWN {
            self.0.clear();
        }
        self.0.insert(seen.into(), identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

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
        Identity::of(Path::new(path)).unwrap().inode
    }

    #[test]
    fn one_that_has_not_changed_is_known_and_is_what_was_found_first() {
        let (_directory, path) = program();
        let mut binaries = Binaries::default();
        let knows = |binaries: &Binaries| {
            let identity = Identity::of(Path::new(&path)).unwrap();
            binaries.unchanged(Path::new(&path), &identity).is_some()
        };
        assert!(!knows(&binaries));
        assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
        assert!(knows(&binaries));
        assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
    }

    /// The time of a change is as exact as the clock of the kernel ticks.
    #[test]
    fn whatever_happens_to_it_is_seen() {
        let (directory, path) = program();
        let mut binaries = Binaries::default();
        let mut know = || {
            assert_eq!(found(&mut binaries, &path), Ok(Some(inode(&path))));
            let changed =
                |path: &Path| fs::metadata(path).map(|found| (found.ctime(), found.ctime_nsec())).unwrap();
            let (before, tick) = (changed(Path::new(&path)), directory.path().join("tick"));
            // The clock goes on by itself.
            fs::write(&tick, "").unwrap();
            while changed(&tick) == before {
                fs::write(&tick, "x").unwrap();
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
