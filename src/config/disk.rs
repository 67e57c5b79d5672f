//! The file as it stands on disk, read anew only when it has changed.

use super::error::Refused;
use super::load::load;
use crate::plan::Plan;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file as it stands on disk.
pub struct Disk {
    file: PathBuf,
    read: Option<(Stamp, Result<Plan, Refused>)>,
}

/// What changes with a file: another one is there, or it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Disk {
    /// The file at this path, not read yet.
    pub fn of(file: &Path) -> Self {
        Self { file: file.into(), read: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// What the file says now. What is the same in `plan` is shared with it, so it costs no memory.
    ///
    /// # Errors
    ///
    /// Every mistake of the file; or why it cannot be read.
    pub fn look(&mut self, plan: &Plan) -> Result<&Plan, &Refused> {
        let stamp = stamp(&self.file);
        // A file that is not there has no stamp, and is quickly looked for.
        let known = self.read.take().filter(|(read, _)| stamp.is_some_and(|stamp| stamp == *read));
        let read = known.unwrap_or_else(|| {
            let mut found = load(&self.file);
            if let Ok(found) = &mut found {
                found.share_with(plan);
            }
            (stamp.unwrap_or(Stamp::NONE), found)
        });
        self.read.insert(read).1.as_ref()
    }
}

impl Stamp {
    const NONE: Self = Self { inode: (0, 0), size: 0, written: (0, 0), changed: (0, 0) };
}

fn stamp(file: &Path) -> Option<Stamp> {
    let found = fs::metadata(file).ok()?;
    Some(Stamp {
        inode: (found.dev(), found.ino()),
        size: found.size(),
        written: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn it_is_read_again_when_it_has_changed_and_shares_what_has_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        let service = |name: &str| format!("[[service]]\nname = '{name}'\ncommand = 'true'\n");
        fs::write(&path, service("a") + &service("b")).unwrap();
        let plan = load(&path).unwrap();
        let mut disk = Disk::of(&path);
        let first = disk.look(&plan).unwrap().services[0].clone();
        assert!(Arc::ptr_eq(&first, &plan.services[0]), "shared");

        fs::write(&path, service("a") + &service("c") + "restart = 'always'\n").unwrap();
        let found = disk.look(&plan).unwrap();
        assert_eq!(found.services[1].name.as_str(), "c");
        assert!(Arc::ptr_eq(&found.services[0], &plan.services[0]));

        fs::write(&path, "[[service]]\n").unwrap();
        assert!(disk.look(&plan).is_err());
        fs::remove_file(&path).unwrap();
        assert!(disk.look(&plan).is_err());
    }
}
