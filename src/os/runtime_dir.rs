//! The runtime directory: where it is, that nobody else can write to it, and the lock that keeps a second supervisor
//! out of it.

use super::inherited::{Legacy, Numbers};
use super::{proc_file, trusted};
use crate::limits::{LOCK_PATIENCE, LOCK_RETRY};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollTimeout, poll};
use nix::unistd::{Uid, geteuid};
use serde::{Deserialize, Serialize};
use std::env;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, RawFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file that is locked. It holds the pid of its holder and the config file.
const LOCK: &str = "lock";

/// The socket for commands.
const SOCKET: &str = "control";

/// Where a runtime directory is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory.
    pub path: PathBuf,
    /// Somebody named it; else it is where such directories are by custom.
    pub named: bool,
}

impl Place {
    /// The place that the config file names, else `$RUNTIME_DIRECTORY`, else one by custom for the user that we are.
    pub fn of(setting: Option<&Path>, config: &Path) -> Self {
        let by_parent = || {
            // systemd separates several with colons.
            let value = env::var_os("RUNTIME_DIRECTORY")?.into_string().ok()?;
            value.split(':').find(|path| path.starts_with('/')).map(PathBuf::from)
        };
        match setting.map(Path::to_path_buf).or_else(by_parent) {
            Some(path) => Self { path, named: true },
            None => Self { path: by_custom().join(stem(config)), named: false },
        }
    }

    /// Where root's supervisor of this file is by custom.
    pub fn of_root(config: &Path) -> PathBuf {
        Path::new("/run/bootstrap").join(stem(config))
    }

    /// The pid and the config file of whoever holds a runtime directory, as it wrote them down.
    pub fn holder(directory: &Path) -> Option<(i32, PathBuf)> {
        let (pid, config) = holder(File::open(directory.join(LOCK)).ok()?)?;
        Some((pid, config.into()))
    }

    /// The path of the control socket in a runtime directory.
    pub fn socket(directory: &Path) -> PathBuf {
        directory.join(SOCKET)
    }
}

fn stem(config: &Path) -> &Path {
    config.file_stem().map_or(Path::new("bootstrap"), Path::new)
}

/// The directory above those of all supervisors of a user.
fn by_custom() -> PathBuf {
    let uid = geteuid();
    if uid.is_root() {
        return "/run/bootstrap".into();
    }
    let of_session = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    of_session.map_or_else(|| format!("/tmp/bootstrap-{uid}").into(), |path| path.join("bootstrap"))
}

/// A runtime directory that is ours alone, for as long as this lives.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    config: PathBuf,
    lock: Flock<File>,
}

/// Why there is no runtime directory.
#[derive(Debug)]
pub enum NoRuntimeDir {
    /// Another supervisor has it.
    Held {
        /// The directory.
        path: PathBuf,
        /// Its pid, and its config file; as far as it got to write them down.
        by: Option<(i32, String)>,
    },
    /// Somebody else could put something into it.
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be made, or the lock cannot.
    System {
        /// What could not be made.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for NoRuntimeDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { path, by } => {
                write!(f, "runtime directory {} is held by another bootstrap", path.display())?;
                if let Some((pid, config)) = by {
                    write!(f, ", pid {pid}, with {config}")?;
                }
                write!(f, "; give one of them another `runtime_dir`")
            }
            Self::Unsafe { path, why } => write!(f, "runtime directory {}: {why}", path.display()),
            Self::System { path, error } => write!(f, "runtime directory: {}: {error}", path.display()),
        }
    }
}

impl RuntimeDir {
    /// Makes the directory, sees that nobody else can write to it, and locks it.
    ///
    /// # Errors
    ///
    /// Another supervisor has it, it is not safe, or the system refuses.
    pub fn take(place: &Place, config: &Path) -> Result<Self, NoRuntimeDir> {
        let config = std::path::absolute(config).unwrap_or_else(|_| config.into());
        let lock = take(&place.path, place.named, &config)?;
        Ok(Self { path: place.path.clone(), config, lock })
    }

    /// Makes it again, and locks it, where somebody removed it or its lock.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take); what there was is kept.
    pub(super) fn renew(&mut self) -> Result<(), NoRuntimeDir> {
        if !is_at(&self.lock, &self.path.join(LOCK)) {
            self.lock = take(&self.path, true, &self.config)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the control socket is.
    pub fn socket(&self) -> PathBuf {
        Place::socket(&self.path)
    }

    /// Lets the members of a group pass through it, where it is ours.
    pub(super) fn admit(&self, group: u32) -> io::Result<()> {
        let found = fs::metadata(&self.path)?;
        if found.uid() != geteuid().as_raw() {
            return Ok(());
        }
        std::os::unix::fs::chown(&self.path, None, Some(group))?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(found.mode() & 0o7777 | 0o010))
    }

    /// Removes what is ours, at the end of the program. The next one would not mind it.
    pub(super) fn release(&self) {
        // Whoever waits for the lock sees that its file is gone, and makes one.
        if is_at(&self.lock, &self.path.join(LOCK)) {
            let _ = fs::remove_file(self.path.join(LOCK));
        }
    }
}

/// A [`RuntimeDir`] that is left to the next program, locked all the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptRuntimeDir {
    path: PathBuf,
    config: PathBuf,
    lock: RawFd,
}

impl RuntimeDir {
    /// Leaves it to the next program.
    pub(super) fn keep(&self, numbers: &mut Numbers) -> KeptRuntimeDir {
        let lock = numbers.keep(self.lock.as_fd());
        KeptRuntimeDir { path: self.path.clone(), config: self.config.clone(), lock }
    }

    /// Takes it over: a lock belongs to what the descriptor leads to, and was never let go.
    pub(super) fn restore(kept: KeptRuntimeDir, legacy: &mut Legacy) -> Option<Self> {
        let file = File::from(legacy.claim(kept.lock).ok()?);
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?;
        Some(Self { path: kept.path, config: kept.config, lock })
    }
}

fn take(path: &Path, named: bool, config: &Path) -> Result<Flock<File>, NoRuntimeDir> {
    let system = |path: &Path| {
        let path = path.to_path_buf();
        |error| NoRuntimeDir::System { path, error }
    };
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty() && !above.exists()) {
        // By custom it is for one user's supervisors, unless that is root.
        let mode = if named || geteuid().is_root() { 0o755 } else { 0o700 };
        DirBuilder::new().mode(mode).recursive(true).create(above).map_err(system(above))?;
    }
    if !named && let Some(above) = path.parent() {
        check(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(system(path)(error)),
        Ok(()) | Err(_) => check(path),
    }?;
    let file = path.join(LOCK);
    let mut looks = LOCK_PATIENCE.as_millis() / LOCK_RETRY.as_millis();
    loop {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Whoever can open it could lock it.
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&file)
            .map_err(system(&file))?;
        let mut lock = match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((opened, Errno::EWOULDBLOCK)) => {
                let by = holder(opened);
                if looks == 0 || !by.as_ref().is_some_and(|(pid, _)| has_ended(*pid)) {
                    return Err(NoRuntimeDir::Held { path: path.into(), by });
                }
                looks -= 1;
                let _ = poll(&mut [], PollTimeout::try_from(LOCK_RETRY).unwrap_or(PollTimeout::ZERO));
                continue;
            }
            Err((_, errno)) => return Err(system(&file)(errno.into())),
        };
        // Its last holder may have removed the file between our two steps: then we hold the lock of nothing.
        if is_at(&lock, &file) {
            // An older version let everybody read it.
            lock.set_permissions(fs::Permissions::from_mode(0o600)).map_err(system(&file))?;
            let text = format!("{}\n{}\n", std::process::id(), config.display());
            lock.set_len(0).and_then(|()| lock.write_all(text.as_bytes())).map_err(system(&file))?;
            return Ok(lock);
        }
    }
}

/// What the holder of the lock wrote into it.
fn holder(lock: File) -> Option<(i32, String)> {
    let mut text = String::new();
    lock.take(4096).read_to_string(&mut text).ok()?;
    let (pid, config) = text.trim_end().split_once('\n')?;
    Some((pid.parse().ok()?, config.into()))
}

/// Then its lock is held by a child that it was starting, or until the kernel has ended it, and not for long.
fn has_ended(pid: i32) -> bool {
    proc_file::stat(pid).is_none_or(|found| found.is_dead) || proc_file::is_being_killed(pid)
}

/// Is the file still the one at this path?
fn is_at(file: &File, path: &Path) -> bool {
    let found = file.metadata().and_then(|ours| Ok((ours, fs::symlink_metadata(path)?)));
    found.is_ok_and(|(ours, there)| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
}

/// A directory that only its owner can write to, which is us or root, in directories where nobody else can put another
/// in its place.
fn check(path: &Path) -> Result<(), NoRuntimeDir> {
    let system = |path: &Path, error| NoRuntimeDir::System { path: path.into(), error };
    let found = fs::metadata(path).map_err(|error| system(path, error))?;
    let us = geteuid();
    let owner = Uid::from_raw(found.uid());
    let why = if !found.is_dir() {
        "it is no directory".into()
    } else if owner != us && !owner.is_root() {
        format!("it belongs to the user {owner}, and bootstrap runs as {us}")
    } else if found.mode() & 0o022 != 0 {
        format!("others may write to it (mode {:04o}); chmod go-w", found.mode() & 0o7777)
    } else {
        match trusted::who_could_replace(path).map_err(|error| system(path, error))? {
            None => return Ok(()),
            Some(why) => why,
        }
    };
    Err(NoRuntimeDir::Unsafe { path: path.into(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &Path) -> Place {
        Place { path: path.into(), named: true }
    }

    #[test]
    fn one_supervisor_holds_it_and_the_second_learns_who() {
        let above = tempfile::tempdir().unwrap();
        let place = named(&above.path().join("a/b"));
        let first = RuntimeDir::take(&place, Path::new("/x/services.toml")).unwrap();
        assert_eq!(fs::metadata(&place.path).unwrap().mode() & 0o777, 0o700);
        let refused = RuntimeDir::take(&place, Path::new("/x/other.toml")).unwrap_err().to_string();
        let expected =
            format!("is held by another bootstrap, pid {}, with /x/services.toml; ", std::process::id());
        assert!(refused.contains(&expected), "{refused}");
        drop(first);
        let third =
            RuntimeDir::take(&place, Path::new("/x/third.toml")).expect("a stale lock is no obstacle");
        third.release();
        assert!(!place.path.join(LOCK).exists());
    }

    #[test]
    fn one_that_others_can_write_to_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("open");
        fs::create_dir(&path).unwrap();
        for mode in [0o770, 0o1777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = RuntimeDir::take(&named(&path), Path::new("a.toml")).unwrap_err().to_string();
            assert!(refused.contains(&format!("others may write to it (mode {mode:04o}); ")), "{refused}");
        }
        let file = above.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = RuntimeDir::take(&named(&file), Path::new("a.toml")).unwrap_err().to_string();
        assert!(refused.ends_with("it is no directory"), "{refused}");
    }

    #[test]
    fn one_that_somebody_could_put_another_in_place_of_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let (open, link) = (above.path().join("open"), above.path().join("link"));
        fs::create_dir(&open).unwrap();
        std::os::unix::fs::symlink(&open, &link).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        for way in [&open, &link] {
            let refused =
                RuntimeDir::take(&named(&way.join("run")), Path::new("a.toml")).unwrap_err().to_string();
            let expected = format!("others may write to {} on the way to it (mode 0777)", open.display());
            assert!(refused.ends_with(&expected), "{refused}");
        }
        // As /tmp is: nobody can move what is ours.
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        RuntimeDir::take(&named(&link.join("run")), Path::new("a.toml")).unwrap();
    }

    #[test]
    fn a_directory_that_was_removed_is_made_and_locked_again() {
        let above = tempfile::tempdir().unwrap();
        let place = named(&above.path().join("gone"));
        let mut held = RuntimeDir::take(&place, Path::new("a.toml")).unwrap();
        fs::remove_dir_all(&place.path).unwrap();
        held.renew().unwrap();
        held.renew().unwrap();
        assert!(matches!(
            RuntimeDir::take(&place, Path::new("b.toml")),
            Err(NoRuntimeDir::Held { by: Some(_), .. })
        ));
    }

    #[test]
    fn what_the_file_names_comes_first() {
        let place = Place::of(Some(Path::new("/x/y")), Path::new("services.toml"));
        assert_eq!(place, named(Path::new("/x/y")));
        assert_eq!(Place::of_root(Path::new("a/services.toml")), Path::new("/run/bootstrap/services"));
        assert_eq!(stem(Path::new("/")), Path::new("bootstrap"));
    }
}
