//! The file as it stands on disk, read anew only when it has changed, or was refused: what was wrong may be outside of it.

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

/// What a file says, and which file that was.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub plan: Plan,
    /// How it stood just before it was read.
    pub stamp: Stamp,
}

/// What changes with a file: another one is there, or it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
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

    /// Somebody else has read the file: it need not be read again as long as it stands as it did then. What is the same in the
    /// plan that runs is to be shared with it by now.
    pub fn learn(&mut self, stamp: Stamp, found: Plan) {
        self.read = Some((stamp, Ok(found)));
    }

    /// What the file says now. What is the same in `plan` is shared with it, so it costs no memory.
    ///
    /// # Errors
    ///
    /// Every mistake of the file; or why it cannot be read.
    pub fn look(&mut self, plan: &Plan) -> Result<&Plan, &Refused> {
        let stamp = Stamp::of(&self.file);
        // A file that is not there is quickly looked for.
        let is_that = |read: &Stamp| stamp != Stamp::NONE && stamp == *read;
        let known = self.read.take().filter(|(read, found)| found.is_ok() && is_that(read));
        let read = known.unwrap_or_else(|| {
            let mut found = load(&self.file);
            if let Ok(found) = &mut found {
                found.share_with(plan);
            }
            (stamp, found)
        });
        self.read.insert(read).1.as_ref()
    }

    /// The same, as a reload would find it: users that it names may have other numbers by now.
    ///
    /// # Errors
    ///
    /// As [`look`](Self::look).
    pub fn read_anew(&mut self, plan: &Plan) -> Result<&Plan, &Refused> {
        self.read = None;
        self.look(plan)
    }
}

/// Reads and checks a config file, for a supervisor that will want to know whether it has changed since.
///
/// # Errors
///
/// Every mistake of the file; or why it cannot be read.
pub fn load_to_run(file: &Path) -> Result<Loaded, Refused> {
    let stamp = Stamp::of(file);
    Ok(Loaded { plan: load(file)?, stamp })
}

impl Stamp {
    /// Of a file that is not there.
    const NONE: Self = Self { inode: (0, 0), size: 0, written: (0, 0), changed: (0, 0) };

    fn of(file: &Path) -> Self {
        fs::metadata(file).map_or(Self::NONE, |found| Self {
            inode: (found.dev(), found.ino()),
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
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

    #[test]
    fn what_somebody_else_has_read_is_not_read_again_until_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        fs::write(&path, "[[service]]\nname = 'a'\ncommand = 'true'\n").unwrap();
        let Loaded { plan, stamp } = load_to_run(&path).unwrap();
        // One that stands nowhere: who gives it has not read the file.
        let learned = Plan { services: Vec::new(), ..plan.clone() };
        let mut disk = Disk::of(&path);
        disk.learn(stamp, learned.clone());
        assert_eq!(disk.look(&plan).unwrap(), &learned);
        assert_eq!(disk.read_anew(&plan).unwrap(), &plan, "as a reload would");

        // Whatever was wrong may be mended, although nobody has touched the file.
        disk.read = Some((stamp, Err(parse("a.toml", "[[service]]").unwrap_err())));
        assert_eq!(disk.look(&plan).unwrap(), &plan);

        fs::write(&path, "[[service]]\nname = 'b'\ncommand = 'true'\n").unwrap();
        assert_eq!(disk.look(&plan).unwrap().services[0].name.as_str(), "b");

        // It was changed while it was read, and looks as if it had never been there.
        disk.learn(Stamp::NONE, learned);
        fs::remove_file(&path).unwrap();
        assert!(disk.look(&plan).is_err());
    }
}
