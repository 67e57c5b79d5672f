//! The last lines of a log file and its backups.

use crate::limits::{LOG_BACKUPS, LOG_BACKUPS_AT_ONCE};
use crate::plan::ServiceName;
use crate::writer::{backup, mark};
use flate2::read::MultiGzDecoder;
use nix::fcntl::{Flock, FlockArg};
use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A log file, and whose lines of it are wanted.
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    /// All, where there is none.
    pub(super) only: Option<Vec<ServiceName>>,
}

impl Wanted {
    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Is this line wanted? The second word of it is the service, where others write to the file, too.
    pub(super) fn has(&self, line: &[u8]) -> bool {
        let Some(only) = &self.only else { return true };
        let service = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        only.iter().any(|name| name.as_str().as_bytes() == service)
    }
}

/// How far a file was read.
pub(super) struct Position {
    /// It, or a backup of it; none where there is none yet.
    pub(super) file: Option<Part>,
    /// The beginning of a line that was still being written.
    pub(super) partial: Vec<u8>,
}

/// A file that can be read on.
pub(super) struct Kept {
    pub(super) wanted: Wanted,
    pub(super) position: Position,
    /// It was seen once whether another is in its place.
    pub(super) looked_for: bool,
    /// Why it cannot be read just now, as it was told.
    pub(super) told: Option<String>,
}

/// Which file it is: device and inode.
pub(super) type Identity = (u64, u64);

/// A file, or a backup of it, that is open: as long as it is, no other has its identity.
pub(super) struct Part {
    pub(super) path: PathBuf,
    /// Unpacked.
    pub(super) reader: BufReader<Box<dyn Read>>,
    pub(super) identity: Identity,
    /// How many bytes were taken from it.
    taken: u64,
    /// The mark of what it was made from, where it is compressed.
    origin: Option<Vec<u8>>,
}

impl Part {
    /// A file that holds what was written.
    pub(super) fn plain(path: &Path, file: File) -> io::Result<Self> {
        let identity = identity(&file)?;
        let reader: BufReader<Box<dyn Read>> = BufReader::new(Box::new(file));
        Ok(Self { path: path.into(), reader, identity, taken: 0, origin: None })
    }

    fn packed(path: &Path, file: File) -> io::Result<Self> {
        let identity = identity(&file)?;
        let unpacked = MultiGzDecoder::new(file);
        let origin = unpacked.header().and_then(|header| header.comment()).map(<[u8]>::to_vec);
        let reader: BufReader<Box<dyn Read>> = BufReader::new(Box::new(unpacked));
        Ok(Self { path: path.into(), reader, identity, taken: 0, origin })
    }

    /// Gives every whole line that is new; what is left has no newline yet.
    pub(super) fn read(&mut self, mut take: impl FnMut(Vec<u8>)) -> io::Result<Vec<u8>> {
        let taken = &mut self.taken;
        let rest = read_lines(&mut self.reader, |line| {
            *taken += line.len() as u64;
            take(line);
        })?;
        self.taken += rest.len() as u64;
        Ok(rest)
    }

    /// The same file, where what was read of it is not there any more, behind the last whole line that is: what was `partial` may
    /// have been taken back by whoever wrote it. From its beginning, where somebody has cut off more. A backup stays as it is.
    pub(super) fn cut_short(&self, partial: usize) -> Option<Self> {
        let found = fs::metadata(&self.path).ok().filter(|_| self.origin.is_none())?;
        let is_same = (found.dev(), found.ino()) == self.identity;
        let is_it = is_same && (found.len() < self.taken || partial > 0);
        let mut file = File::open(&self.path).ok().filter(|_| is_it)?;
        let taken = Some(self.whole(partial)).filter(|whole| *whole <= found.len()).unwrap_or(0);
        file.seek(SeekFrom::Start(taken)).ok()?;
        let part = Self::plain(&self.path, file).ok().filter(|part| part.identity == self.identity)?;
        Some(Self { taken, ..part })
    }

    /// How many bytes were taken from it.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many bytes of it are whole lines that were read.
    pub(super) fn whole(&self, partial: usize) -> u64 {
        self.taken.saturating_sub(partial as u64)
    }

    /// Is it this one, or was it made from it?
    pub(super) fn holds(&self, other: Identity) -> bool {
        self.identity == other || self.origin.as_deref() == Some(mark(other).as_bytes())
    }
}

/// What was found in a file and its backups.
pub(super) struct Last {
    /// The last lines that are wanted, the oldest first, each with its newline.
    pub(super) lines: Vec<Vec<u8>>,
    /// Where the file goes on.
    pub(super) position: Position,
    /// Backups that are damaged: what can be read of them is among the lines.
    pub(super) damaged: Vec<(PathBuf, io::Error)>,
}

/// The last `most` lines that are wanted.
///
/// # Errors
///
/// The system's, of the file itself. That there is none yet is none.
pub(super) fn last_lines(wanted: &Wanted, most: usize) -> io::Result<Last> {
    let (mut seen, mut damaged) = (BTreeSet::new(), Vec::new());
    let mut position = Position { file: None, partial: Vec::new() };
    let mut lines = VecDeque::new();
    let mut backups = Vec::new();
    if let Some(current) = open_locked(&wanted.path)? {
        // Nobody rotates it now, so the names of these do not change.
        backups = (1..=LOG_BACKUPS_AT_ONCE).map_while(|number| open_backup(&wanted.path, number)).collect();
        let current = current.unlock().map_err(|(_, errno)| errno)?;
        let mut current = Part::plain(&wanted.path, current)?;
        seen.insert(current.identity);
        position.partial = current.read(|line| keep(&mut lines, line, wanted, most))?;
        position.file = Some(current);
    }
    let more = LOG_BACKUPS_AT_ONCE + 1..=LOG_BACKUPS;
    let more = more.map_while(|number| open_backup(&wanted.path, number));
    for Part { path, mut reader, identity, .. } in backups.into_iter().chain(more) {
        if lines.len() >= most {
            break;
        }
        // A file that became a backup while we read it.
        if !seen.insert(identity) {
            continue;
        }
        let mut earlier = VecDeque::new();
        let room = most - lines.len();
        let read = read_lines(&mut reader, |line| keep(&mut earlier, line, wanted, room));
        damaged.extend(read.err().map(|error| (path, error)));
        earlier.extend(lines);
        lines = earlier;
    }
    Ok(Last { lines: lines.into(), position, damaged })
}

/// The file at the path, locked against rotation; nothing where there is none. The writer waits meanwhile.
///
/// # Errors
///
/// The system's.
pub(super) fn open_locked(path: &Path) -> io::Result<Option<Flock<File>>> {
    loop {
        // A named pipe would be waited for, and its lines taken from whoever reads it.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("no regular file: it keeps nothing of what was written to it"));
        }
        let locked = Flock::lock(file, FlockArg::LockShared).map_err(|(_, errno)| errno)?;
        if identity_at(path) == Some(identity(&locked)?) {
            return Ok(Some(locked));
        }
    }
}

pub(super) fn identity(file: &File) -> io::Result<Identity> {
    file.metadata().map(|found| (found.dev(), found.ino()))
}

/// Of the file that has this name now.
pub(super) fn identity_at(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

fn keep(lines: &mut VecDeque<Vec<u8>>, line: Vec<u8>, wanted: &Wanted, most: usize) {
    if most > 0 && wanted.has(&line) {
        if lines.len() == most {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Gives every whole line; what is left has no newline yet.
pub(super) fn read_lines(
    reader: &mut BufReader<impl Read>,
    mut take: impl FnMut(Vec<u8>),
) -> io::Result<Vec<u8>> {
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(line);
        }
        take(line);
    }
}

/// The backup with this number, if there is one.
pub(super) fn open_backup(path: &Path, number: u32) -> Option<Part> {
    // Between two looks it may have been compressed, or the other way round moved on.
    for _ in 0..2 {
        for ending in ["", ".gz"] {
            let path = backup(path, number, ending);
            if let Ok(file) = File::open(&path) {
                let open = if ending.is_empty() { Part::plain } else { Part::packed };
                return open(&path, file).ok();
            }
        }
    }
    None
}

/// What stands above the lines of a file where there are several.
pub(super) fn said_heading(out: &mut impl io::Write, path: &Path) -> io::Result<()> {
    writeln!(out, "==> {} <==", path.display())
}
