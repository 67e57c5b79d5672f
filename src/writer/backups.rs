//! The backups of a log file: `PATH.1` is the newest. Compressed ones end with `.gz`.
//!
//! A backup that is being compressed is locked; until it is done there is no further rotation of its file.

use crate::limits::LOG_BACKUPS;
use crate::plan::Keeping;
use flate2::Compression;
use flate2::write::GzEncoder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
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

/// Makes the file at `path`, which is locked, the newest backup.
pub(super) fn rotate(path: &Path, keeping: Keeping, _locked: &File) -> io::Result<Rotated> {
    let newest = backup(path, 1, "");
    if let Ok(file) = File::open(&newest)
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

/// Compresses the newest backup beside everything else; it stays locked meanwhile.
pub(super) fn compress(locked: Flock<File>, path: &Path) {
    let (plain, packed) = (backup(path, 1, ""), backup(path, 1, ".gz"));
    let unfinished = backup(path, 1, ".gz.new");
    let work = move || {
        // Where it fails the backup stays as it was written.
        if pack(&locked, &unfinished).and_then(|()| fs::rename(&unfinished, &packed)).is_ok() {
            let _ = fs::remove_file(&plain);
        } else {
            let _ = fs::remove_file(&unfinished);
        }
    };
    // Where there can be no thread it stays as it was written, too.
    let _ = thread::Builder::new().name("gzip".into()).spawn(work);
}

fn pack(mut from: &File, to: &Path) -> io::Result<()> {
    // What a writer left that was killed.
    let _ = fs::remove_file(to);
    let out = OpenOptions::new().write(true).create_new(true).mode(MODE).open(to)?;
    let mut packing = GzEncoder::new(BufWriter::new(out), Compression::fast());
    from.rewind()?;
    io::copy(&mut from, &mut packing)?;
    packing.finish()?.flush()
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
