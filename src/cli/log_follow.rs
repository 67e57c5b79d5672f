//! Following log files over rotations: the kernel tells of each change (inotify), nothing is looked at in between.

use super::log_files::{Kept, identity, open_backup, open_locked, read_lines, said_heading};
use crate::writer::backup;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Prints what is appended, until nobody reads any more; or until a directory has gone, which is given.
///
/// # Errors
///
/// The system's.
pub(super) fn follow(mut kept: Vec<Kept>, out: &mut impl Write) -> io::Result<PathBuf> {
    let mut changes = Changes::of(&kept)?;
    let several = kept.len() > 1;
    let mut last = kept.len() - 1;
    loop {
        for (number, file) in kept.iter_mut().enumerate() {
            let pieces = file.opened(&mut changes, number)?;
            let lines = file.read(pieces)?;
            if !lines.is_empty() {
                if several && std::mem::replace(&mut last, number) != number {
                    said_heading(out, &file.wanted.path)?;
                }
                lines.iter().try_for_each(|line| out.write_all(line))?;
                out.flush()?;
            }
        }
        if let Some(gone) = changes.gone.and_then(|number| kept.get(number)) {
            return Ok(gone.wanted.path.parent().unwrap_or(Path::new("/")).into());
        }
        changes.wait()?;
    }
}

/// A name is there no more. A directory itself is not told of its end as long as we read a file in it.
const GOES: AddWatchFlags = AddWatchFlags::IN_DELETE.union(AddWatchFlags::IN_MOVED_FROM);

/// What the kernel tells of the directories of the files.
struct Changes {
    inotify: Inotify,
    /// The directory and name of the newest backup of each file, and how often it was made since that was handled.
    newest: Vec<(WatchDescriptor, OsString, u32)>,
    /// The directory of each file as a name in the one above it, where that may be watched.
    above: Vec<Option<(WatchDescriptor, OsString)>>,
    /// Something was told that was not handled.
    news: bool,
    /// The directory of this file was renamed or removed.
    gone: Option<usize>,
}

impl Changes {
    fn of(kept: &[Kept]) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let comes = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        // The same directory is the same watch, and may be above another.
        let watch = |path: &Path| inotify.add_watch(path, comes | GOES);
        let newest = kept.iter().map(|file| {
            let newest = backup(&file.wanted.path, 1, "");
            let number = watch(newest.parent().unwrap_or(Path::new("/")))?;
            Ok((number, newest.file_name().unwrap_or_default().into(), 0))
        });
        let newest = newest.collect::<io::Result<_>>()?;
        let above = kept.iter().map(|file| {
            let directory = file.wanted.path.parent()?;
            Some((watch(directory.parent()?).ok()?, directory.file_name()?.into()))
        });
        let above = above.collect();
        Ok(Self { inotify, newest, above, news: false, gone: None })
    }

    /// How often this file became a backup.
    fn rotations(&self, number: usize) -> u32 {
        self.newest.get(number).map_or(0, |(.., rotations)| *rotations)
    }

    /// That is handled.
    fn forget(&mut self, number: usize) {
        if let Some((.., rotations)) = self.newest.get_mut(number) {
            *rotations = 0;
        }
    }

    /// Takes what was told since the last call; tells whether there was something.
    fn take(&mut self) -> io::Result<bool> {
        let events = match self.inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for event in events.iter().filter(|event| event.mask.contains(AddWatchFlags::IN_MOVED_TO)) {
            for (watch, name, rotations) in &mut self.newest {
                if *watch == event.wd && event.name.as_ref() == Some(name) {
                    *rotations += 1;
                }
            }
        }
        for event in events.iter().filter(|event| event.mask.intersects(GOES)) {
            let is_it = |(watch, name): &(WatchDescriptor, OsString)| {
                *watch == event.wd && event.name.as_ref() == Some(name)
            };
            self.gone = self.gone.or(self.above.iter().position(|above| above.as_ref().is_some_and(is_it)));
        }
        self.news |= !events.is_empty();
        Ok(!events.is_empty())
    }

    /// Waits until something is told.
    fn wait(&mut self) -> io::Result<()> {
        while !std::mem::take(&mut self.news) {
            let mut readable = [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
            match poll(&mut readable, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                result => _ = result?,
            }
            self.take()?;
        }
        Ok(())
    }
}

/// A file behind the one that was read so far.
enum Piece {
    Backup(BufReader<Box<dyn Read>>),
    Current(BufReader<File>),
}

impl Kept {
    /// The files that came after the one that was read so far. There may be none at the path just now: then they come
    /// with the next.
    fn opened(&self, changes: &mut Changes, number: usize) -> io::Result<Vec<Piece>> {
        let Some(current) = open_locked(&self.wanted.path)? else { return Ok(Vec::new()) };
        // Nobody rotates it now, so these are all rotations there were.
        changes.take()?;
        let backups = (1..changes.rotations(number)).rev();
        let backups = backups.filter_map(|number| open_backup(&self.wanted.path, number));
        let mut pieces: Vec<Piece> =
            backups.map(|backup| Piece::Backup(BufReader::new(backup.reader))).collect();
        changes.forget(number);
        let current = current.unlock().map_err(|(_, errno)| errno)?;
        let ours = self.position.file.as_ref().and_then(|open| identity(open.get_ref()));
        if ours.is_none() || ours != identity(&current) {
            pieces.push(Piece::Current(BufReader::new(current)));
        }
        Ok(pieces)
    }

    /// The lines that are new, and wanted.
    fn read(&mut self, pieces: Vec<Piece>) -> io::Result<Vec<Vec<u8>>> {
        let (mut lines, wanted) = (Vec::new(), &self.wanted);
        let mut partial = std::mem::take(&mut self.position.partial);
        let mut take = |partial: &mut Vec<u8>, line: Vec<u8>| {
            let mut whole = std::mem::take(partial);
            whole.extend_from_slice(&line);
            if wanted.has(&whole) {
                lines.push(whole);
            }
        };
        if let Some(open) = &mut self.position.file {
            let rest = read_lines(open, |line| take(&mut partial, line))?;
            partial.extend_from_slice(&rest);
        }
        for piece in pieces {
            let rest = match piece {
                Piece::Backup(mut reader) => read_lines(&mut reader, |line| take(&mut partial, line))?,
                Piece::Current(mut reader) => {
                    let rest = read_lines(&mut reader, |line| take(&mut partial, line))?;
                    self.position.file = Some(reader);
                    rest
                }
            };
            partial.extend_from_slice(&rest);
        }
        self.position.partial = partial;
        Ok(lines)
    }
}
