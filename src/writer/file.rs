//! A log file: whole lines at its end, and another file in its place when it is full.
//!
//! Whoever writes or renames holds a lock on the file (`flock(2)`) and has seen under it that it still is the one at the
//! path. So two writers, such as that of a supervisor that was killed and that of the next one, write side by side. Anybody
//! who may read the file may lock it as well: one who does so for long is not waited for, and there is no rotation then.

use super::backups::{self, Rotated};
use super::lock::Lock;
use crate::plan::Keeping;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How often another file may be at the path before that is a failure: others rotate, but not for ever.
const TRIES: usize = 8;

/// A file at the end of which lines are written.
pub(super) struct LogFile {
    path: PathBuf,
    keeping: Keeping,
    /// A writer may have been killed in the middle of a line.
    torn: bool,
    open: Option<Lock>,
    /// What is to be told, though lines are written all the same.
    complaint: Option<String>,
}

impl LogFile {
    pub(super) fn new(path: &Path, keeping: Keeping, torn: bool) -> Self {
        Self { path: path.into(), keeping, torn, open: None, complaint: None }
    }

    /// It is kept so from now on.
    pub(super) fn keep(&mut self, keeping: Keeping) {
        self.keeping = keeping;
    }

    /// What is to be told, though lines were written.
    pub(super) fn take_complaint(&mut self) -> Option<String> {
        self.complaint.take()
    }

    /// Writes the whole lines in `text` from `done` on, and moves that. After a failure the file ends with a whole line.
    ///
    /// # Errors
    ///
    /// The system's; what is not done yet can be tried again.
    pub(super) fn write(&mut self, text: &[u8], done: &mut usize) -> io::Result<()> {
        while let Some(rest) = text.get(*done..).filter(|rest| !rest.is_empty()) {
            let locked = self.lock()?;
            let found = locked.file().metadata()?;
            let (size, first) = (found.len(), end_of_line(rest));
            let full = found.is_file() && size > 0 && size + first as u64 > self.keeping.max_bytes;
            if full && self.rotated(&locked) {
                if self.keeping.compress {
                    backups::compress(locked.file().try_clone()?, &self.path);
                }
                locked.release()?;
                continue;
            }
            let room = usize::try_from(self.keeping.max_bytes.saturating_sub(size)).unwrap_or(usize::MAX);
            // A file that cannot be rotated now grows on.
            let piece = if full || !found.is_file() { rest } else { fitting(rest, room.max(first)) };
            let (written, failure) = append(locked.file(), &found, piece);
            *done += written;
            self.open = Some(locked.release()?);
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// The file that is at the path now, locked, unless somebody keeps us from that.
    fn lock(&mut self) -> io::Result<Lock> {
        for _ in 0..TRIES {
            let lock = match self.open.take() {
                Some(lock) => lock,
                None => Lock::Free(open(&self.path)?),
            };
            let locked = lock.take()?;
            let ours = locked.file().metadata()?;
            let there = fs::symlink_metadata(&self.path);
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                mend(locked.file(), &ours, std::mem::take(&mut self.torn))?;
                return Ok(locked);
            }
            locked.release()?;
        }
        Err(io::Error::other("others put another file in its place again and again"))
    }

    /// Makes it a backup; tells whether that was done.
    fn rotated(&mut self, lock: &Lock) -> bool {
        if let Lock::Refused(..) = lock {
            self.complaint = Some("somebody holds a lock on it: it is not rotated, and grows".into());
            return false;
        }
        match backups::rotate(&self.path, self.keeping) {
            Ok(Rotated::Done) => true,
            Ok(Rotated::Later) => false,
            Err(error) => {
                self.complaint = Some(format!("it cannot be rotated, and grows: {error}"));
                false
            }
        }
    }
}

/// Where `O_NOFOLLOW` refuses a link: whoever may write to the directory could have us write anywhere else.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(backups::MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    match file {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            Err(io::Error::other("it is a symbolic link, which is not followed"))
        }
        file => file,
    }
}

/// Has the file end with a whole line: what a writer left that was killed in the middle of one is taken away, since it
/// comes again; what others left is ended.
fn mend(mut file: &File, found: &Metadata, torn: bool) -> io::Result<()> {
    if !found.is_file() || found.len() == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(());
    }
    if torn && let Some(whole) = end_of_whole_lines(file, found.len())? {
        return file.set_len(whole);
    }
    file.write_all(b"\n")
}

/// Where the last whole line ends, if a piece as long as one line may be shows it.
fn end_of_whole_lines(mut file: &File, size: u64) -> io::Result<Option<u64>> {
    let from = size.saturating_sub(2 * crate::limits::LOG_LINE_BYTES as u64);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(size - from).read_to_end(&mut end)?;
    let newline = end.iter().rposition(|byte| *byte == b'\n');
    Ok(newline.map(|at| from + at as u64 + 1).or((from == 0).then_some(0)))
}

/// Writes whole lines; gives how many bytes of them are there, and why not all.
fn append(mut file: &File, found: &Metadata, lines: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    let failure = loop {
        let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) else { return (written, None) };
        match file.write(rest) {
            Ok(0) => break io::ErrorKind::WriteZero.into(),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break error,
        }
    };
    let there = lines.get(..written).unwrap_or_default();
    let whole = there.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < written && found.is_file() && file.set_len(found.len() + whole as u64).is_err() {
        // The line stays broken, and comes again whole.
        return (whole, Some(failure));
    }
    (whole, Some(failure))
}

/// The length of the first line, with its newline.
fn end_of_line(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
}

/// The whole lines at the beginning of `text` that fit; at least the first.
fn fitting(text: &[u8], room: usize) -> &[u8] {
    let Some(within) = text.get(..room) else { return text };
    let end = within.iter().rposition(|byte| *byte == b'\n').map_or_else(|| end_of_line(text), |at| at + 1);
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::Os;
    use nix::fcntl::{Flock, FlockArg};

    fn keeping(max_bytes: u64) -> Keeping {
        Keeping { max_bytes, backups: 3, compress: false, timestamps: false }
    }

    fn write(file: &mut LogFile, text: &str) {
        let mut done = 0;
        file.write(text.as_bytes(), &mut done).unwrap();
        assert_eq!(done, text.len());
    }

    #[test]
    fn it_rotates_between_lines_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(&path, keeping(10), false);
        write(&mut file, "1234\n5678\n90\n");
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        assert_eq!((&*read("a.log.1"), &*read("a.log")), ("1234\n5678\n", "90\n"));
        write(&mut file, "a line that is longer than the whole file\n");
        assert_eq!(&*read("a.log.1"), "90\n");
        for n in 0..9 {
            write(&mut file, &format!("line {n}x\n"));
        }
        assert_eq!(&*read("a.log.3"), "line 5x\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
    }

    #[test]
    fn a_file_that_others_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(&path, keeping(1000), false);
        write(&mut file, "one\n");
        fs::rename(&path, dir.path().join("moved")).unwrap();
        write(&mut file, "two\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_torn_line_is_taken_away_and_one_of_others_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        for (before, torn, after) in [
            ("one\ntw", true, "one\nx\n"),
            ("one\ntw", false, "one\ntw\nx\n"),
            ("on", true, "x\n"),
            ("", true, "x\n"),
        ] {
            fs::write(&path, before).unwrap();
            write(&mut LogFile::new(&path, keeping(1000), torn), "x\n");
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[test]
    fn two_writers_of_one_file_lose_and_mix_nothing_over_rotations() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let keeping = Keeping { max_bytes: 4000, backups: 1000, compress: true, timestamps: false };
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let path = &path;
                scope.spawn(move || {
                    let mut file = LogFile::new(path, keeping, false);
                    for n in 0..2000 {
                        write(&mut file, &format!("{writer} {n}\n"));
                    }
                });
            }
        });
        let text = backups::whole(&path);
        for writer in ["a", "b"] {
            let mut numbers: Vec<u32> =
                text.lines().filter_map(|line| line.strip_prefix(writer)?.trim().parse().ok()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..2000).collect::<Vec<_>>(), "of {writer}");
        }
        assert_eq!(text.lines().count(), 4000);
    }

    /// Whoever may read a log file may lock it.
    #[test]
    fn one_who_holds_a_lock_on_the_file_delays_it_and_stops_it_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(&path, keeping(10), false);
        write(&mut file, "one\n");
        let stranger = File::open(&path).unwrap();
        let stranger = Flock::lock(stranger, FlockArg::LockShared).unwrap();
        write(&mut file, "two\n");
        assert_eq!(file.take_complaint(), None);
        write(&mut file, "three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n", "nobody rotates what is locked");
        assert!(file.take_complaint().unwrap().starts_with("somebody holds a lock on it"));
        drop(stranger);
        // It comes with the lock, as soon as the thread that waits for it has it.
        let until = Os::clock() + std::time::Duration::from_secs(30);
        while !backups::backup(&path, 1, "").exists() {
            write(&mut file, "more\n");
            assert!(Os::clock() < until, "the lock never comes");
        }
    }

    /// The same of what a backup is compressed from, and into.
    #[test]
    fn one_who_holds_locks_on_the_backups_does_not_keep_the_file_from_being_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(&path, Keeping { compress: true, ..keeping(10) }, false);
        let (mut strangers, mut rotations, mut before) = (Vec::new(), 0, 0);
        let until = Os::clock() + std::time::Duration::from_secs(30);
        while rotations < 20 {
            write(&mut file, "a line\n");
            let size = fs::metadata(&path).unwrap().len();
            rotations += u32::from(size <= before);
            before = size;
            // What its mode lets a group read; we ourselves could read all.
            for path in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
                let opened =
                    File::open(&path).ok().filter(|file| file.metadata().unwrap().mode() & 0o040 != 0);
                let backup = opened.filter(|_| path.extension().is_some_and(|ending| ending != "log"));
                strangers.extend(backup.map(|file| Flock::lock(file, FlockArg::LockSharedNonblock)));
            }
            assert!(Os::clock() < until, "it grows: {rotations} rotations");
        }
    }

    /// Whoever writes faster than is compressed has larger files (README), and is not kept waiting.
    #[test]
    fn while_a_backup_is_compressed_the_file_grows_and_becomes_the_next_one_after_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        let mut file = LogFile::new(&path, Keeping { compress: true, ..keeping(10) }, false);
        let unfinished = backups::backup(&path, 1, ".gz.new");
        let packing = Flock::lock(File::create(&unfinished).unwrap(), FlockArg::LockExclusive).unwrap();
        for _ in 0..3 {
            write(&mut file, "a line\n");
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 21);
        assert_eq!(file.take_complaint(), None);
        drop(packing);
        write(&mut file, "a line\n");
        assert_eq!(fs::metadata(&path).unwrap().len(), 7);
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_a_link_is_not_followed() {
        let mut done = 0;
        let failure = LogFile::new(Path::new("/dev/full"), keeping(1000), false).write(b"one\n", &mut done);
        assert_eq!((failure.unwrap_err().raw_os_error(), done), (Some(libc::ENOSPC), 0));

        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("a.log"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(LogFile::new(&path, keeping(1000), false).write(b"one\n", &mut done).is_err());
        assert!(!target.exists());
    }
}
