//! The backups of a log file: `PATH.1` is the newest. Compressed ones end with `.gz`.
//!
//! What a backup is compressed into is locked, and until that is done nobody else can open it: whoever may read the logs
//! must not be able to keep them from being rotated. Meanwhile there is no further rotation of the file.

use crate::limits::LOG_BACKUPS;
use crate::plan::Keeping;
use flate2::{Compression, GzBuilder};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::thread;

/// Permissions of a log file: what services say is not for everybody.
pub(super) const MODE: u32 = 0o640;

/// The endings of a backup: as it was written, and compressed.
const ENDINGS: [&str; 2] = ["", ".gz"];

/// What came of a rotation.
pub(super) enum Rotated {
    /// The file is a backup now.
    Done,
    /// The last one is still being compressed.
    Later,
}

/// Makes the file at `path`, on which the caller holds the lock, the newest backup.
pub(super) fn rotate(path: &Path, keeping: Keeping) -> io::Result<Rotated> {
    let newest = backup(path, 1, "");
    if let Ok(file) = File::open(unfinished(path))
        && let Err((_, Errno::EWOULDBLOCK)) = Flock::lock(file, FlockArg::LockExclusiveNonblock)
    {
        return Ok(Rotated::Later);
    }
    // Those that are too many now: the last one, and where fewer are kept than before, more.
    for number in keeping.backups.max(1)..=LOG_BACKUPS {
        let removed = ENDINGS.map(|ending| fs::remove_file(backup(path, number, ending)).is_ok());
        if number > keeping.backups && removed == [false, false] {
            break;
        }
    }
    for number in (1..keeping.backups).rev() {
        for ending in ENDINGS {
            let to = backup(path, number + 1, ending);
            match fs::rename(backup(path, number, ending), to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }
    if keeping.backups == 0 {
        fs::remove_file(path)?;
    } else {
        fs::rename(path, newest)?;
    }
    Ok(Rotated::Done)
}

/// Compresses the newest backup beside everything else. Nobody else may rotate when this is called.
pub(super) fn compress(from: File, path: &Path) {
    let (plain, packed) = (backup(path, 1, ""), backup(path, 1, ".gz"));
    let unfinished = unfinished(path);
    // What a writer left that was killed.
    let _ = fs::remove_file(&unfinished);
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished);
    // Where it fails, or the file system has no hard links, the backup stays as it was written.
    let Ok(to) = new.map(|new| Flock::lock(new, FlockArg::LockExclusiveNonblock)) else { return };
    let Ok(to) = to else { return };
    let work = move || {
        if pack(&from, &to).and_then(|()| fs::hard_link(&unfinished, &packed)).is_ok() {
            let _ = fs::remove_file(&plain);
        }
        // Last of all: as long as it is there nobody rotates, and what has the name of the backup is that backup.
        let _ = fs::remove_file(&unfinished);
    };
    // Where there can be no thread it stays as it was written, too.
    let _ = thread::Builder::new().name("gzip".into()).spawn(work);
}

fn pack(mut from: &File, to: &File) -> io::Result<()> {
    let found = from.metadata()?;
    let named = GzBuilder::new().comment(mark((found.dev(), found.ino())));
    let mut packing = named.write(BufWriter::new(to), Compression::fast());
    from.rewind()?;
    io::copy(&mut from, &mut packing)?;
    packing.finish()?.flush()?;
    resemble(&found, to)
}

/// Gives it the owner and the permissions of what it is a copy of. Until then, and where the owner cannot be given, it is
/// ours alone: nobody reads it who may not read the other, and nobody locks it.
fn resemble(original: &Metadata, copy: &File) -> io::Result<()> {
    let made = copy.metadata()?;
    let owner = (original.uid(), original.gid());
    if owner != (made.uid(), made.gid()) && fchown(copy, Some(owner.0), Some(owner.1)).is_err() {
        return Ok(());
    }
    copy.set_permissions(Permissions::from_mode(original.mode() & 0o777))
}

/// What a compressed backup says of the file that it was made from, by its device and inode: so a reader that has that one
/// open finds its place again.
pub fn mark((device, inode): (u64, u64)) -> String {
    format!("file {device}:{inode}")
}

/// What the newest backup is being compressed into.
fn unfinished(path: &Path) -> PathBuf {
    backup(path, 1, ".gz.new")
}

/// The path of a backup.
pub fn backup(path: &Path, number: u32, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}{ending}"));
    name.into()
}

/// The file and all its backups as one text, the oldest first.
#[cfg(test)]
pub(super) fn whole(path: &Path) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    for number in (1..=LOG_BACKUPS).rev() {
        if let Ok(file) = File::open(backup(path, number, ".gz")) {
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else if let Ok(mut file) = File::open(backup(path, number, "")) {
            file.read_to_string(&mut text).unwrap();
        }
    }
    text + &fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks again and again until it is so.
    #[expect(clippy::disallowed_methods, reason = "a clock, for a test that would hang")]
    fn until(what: &str, mut is_so: impl FnMut() -> bool) {
        let begin = std::time::Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < std::time::Duration::from_secs(30), "still not: {what}");
            thread::yield_now();
        }
    }

    /// A log for one reader alone was one for a whole group once it was compressed.
    #[test]
    fn a_compressed_backup_has_the_permissions_and_the_owner_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let keeping = Keeping { backups: 2, compress: true, ..Keeping::default() };
        for mode in [0o600, 0o640, 0o644] {
            fs::write(&path, "line\n").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            // Only root may give a file away.
            let _ = std::os::unix::fs::chown(&path, Some(65_534), Some(65_534));
            let file = File::open(&path).unwrap();
            let before = file.metadata().unwrap();
            assert!(matches!(rotate(&path, keeping).unwrap(), Rotated::Done));
            compress(file, &path);
            until("it is finished", || !unfinished(&path).exists());
            let packed = fs::metadata(backup(&path, 1, ".gz")).unwrap();
            assert_eq!(packed.mode() & 0o777, mode);
            assert_eq!((packed.uid(), packed.gid()), (before.uid(), before.gid()));
        }
    }

    /// Rotates as soon as that can be done, which is when the one before is just finished.
    #[test]
    fn a_backup_is_moved_on_only_when_its_original_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let keeping = Keeping { backups: 2, compress: true, ..Keeping::default() };
        for number in 0..3000 {
            fs::write(&path, format!("{number}\n")).unwrap();
            let file = File::open(&path).unwrap();
            until("the one before is finished", || {
                !matches!(rotate(&path, keeping).unwrap(), Rotated::Later)
            });
            assert!(!backup(&path, 2, "").exists(), "{number}");
            compress(file, &path);
        }
        until("the last is finished", || !unfinished(&path).exists());
        assert_eq!(whole(&path), "2998\n2999\n");
    }
}
