//! The commands of checks that run, each as a small file: a supervisor that comes after one that was killed ends those
//! that it left. One that hangs would be there for ever, for nobody waits for its answer any more.

use super::birth::{Paper, Signature, start_ticks};
use super::pidfd::Pidfd;
use super::sight;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The directory in the runtime directory.
const DIRECTORY: &str = "checks";

/// The file about the command that is being started. It signs it before it is a program, as runs do.
const BORN: &str = "born";

/// Where the files are; without a runtime directory nowhere.
#[derive(Default)]
pub(super) struct Trail(Option<PathBuf>);

impl Trail {
    pub(super) fn of(runtime_dir: Option<&Path>) -> Self {
        Self(runtime_dir.map(|path| path.join(DIRECTORY)))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.as_ref()?.join(name))
    }

    /// The file that a command is to sign.
    pub(super) fn expect(&self) -> Option<Paper> {
        let path = self.path(BORN)?;
        let made = File::create(&path).or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            DirBuilder::new().mode(0o700).create(self.0.as_deref().unwrap_or(Path::new("")))?;
            File::create(&path)
        });
        // Where there is none its end is as good as before.
        made.ok().map(|file| Paper { file: Rc::new(file), at: 0 })
    }

    /// Names the file by the pid of whoever has signed it.
    pub(super) fn born(&self, pid: i32) {
        if let (Some(born), Some(path)) = (self.path(BORN), self.path(&pid.to_string())) {
            let _ = fs::rename(born, path);
        }
    }

    /// It was not started after all.
    pub(super) fn not_born(&self) {
        self.remove(BORN);
    }

    /// It has ended, and was reaped.
    pub(super) fn ended(&self, pid: i32) {
        self.remove(&pid.to_string());
    }

    fn remove(&self, name: &str) {
        if let Some(path) = self.path(name) {
            let _ = fs::remove_file(path);
        }
    }

    /// Kills the commands that another supervisor has left, with their groups; gives how many there were.
    pub(super) fn end_all(&self) -> usize {
        let Some(directory) = &self.0 else { return 0 };
        let mut killed = 0;
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let signature = fs::read(entry.path()).ok().and_then(|text| Signature::of(&text));
            killed += usize::from(signature.is_some_and(end));
            let _ = fs::remove_file(entry.path());
        }
        killed
    }
}

/// Kills the command that has signed, with its group, if it lives.
fn end(signature: Signature) -> bool {
    let (pid, Some(ticks)) = (signature.pid, signature.start(0)) else { return false };
    let Ok(process) = Pidfd::open(pid) else { return false };
    // Held, and then seen to be the same: the number may have become another's before.
    if start_ticks(pid) != Some(ticks) {
        return false;
    }
    if sight::group(pid) == Some(pid) && process.send(0).is_ok() {
        return process.send_to_group(pid, libc::SIGKILL).is_ok();
    }
    process.send(libc::SIGKILL).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_signed_is_about_nobody_and_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let trail = Trail::of(Some(dir.path()));
        assert_eq!(trail.end_all(), 0);
        drop(trail.expect().unwrap());
        trail.born(7);
        assert!(dir.path().join("checks/7").exists());
        drop(trail.expect().unwrap());
        trail.not_born();
        assert_eq!(fs::read_dir(dir.path().join("checks")).unwrap().count(), 1);
        assert_eq!(trail.end_all(), 0);
        assert_eq!(fs::read_dir(dir.path().join("checks")).unwrap().count(), 0);
        assert!(Trail::of(None).expect().is_none());
    }
}
