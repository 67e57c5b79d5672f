//! The directories that are watched, each once, however many ways lead through it.

use super::way::Way;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The watched directories, by their paths.
pub(super) struct Directories {
    inotify: Inotify,
    all: BTreeMap<PathBuf, Directory>,
}

/// A directory on the way to a program.
#[derive(Default)]
struct Directory {
    /// None where the system refused it, or nothing is there: it is tried again with the next way through it.
    number: Option<WatchDescriptor>,
    /// How many names of programs, or of links to them, are in it.
    names: usize,
    /// How many ways lead through it.
    ways: usize,
}

impl Directories {
    /// # Errors
    ///
    /// The system's.
    pub(super) fn new() -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, all: BTreeMap::new() })
    }

    /// What has happened in them: one turn, what is left makes the next.
    pub(super) fn events(&self) -> Vec<InotifyEvent> {
        self.inotify.read_events().unwrap_or_default()
    }

    /// The paths of what is watched under this number: there may be several of a directory that is mounted twice.
    pub(super) fn paths(&self, number: WatchDescriptor) -> impl Iterator<Item = &Path> {
        let is_it = move |directory: &Directory| directory.number == Some(number);
        self.all.iter().filter(move |(_, directory)| is_it(directory)).map(|(path, _)| &**path)
    }

    /// Watches those on this way; tells whether there is one among them that was not watched until now.
    pub(super) fn need(&mut self, way: &Way) -> bool {
        for path in &way.directories {
            self.all.entry(path.clone()).or_default().ways += 1;
        }
        for (path, _) in &way.names {
            self.all.entry(path.clone()).or_default().names += 1;
        }
        let mut is_new = false;
        for path in way.all() {
            is_new |= self.watch(path);
        }
        is_new
    }

    /// Watches those no more that no other way needs.
    pub(super) fn need_no_more(&mut self, way: &Way) {
        for path in &way.directories {
            self.all.get_mut(path).into_iter().for_each(|directory| directory.ways -= 1);
        }
        for (path, _) in &way.names {
            self.all.get_mut(path).into_iter().for_each(|directory| directory.names -= 1);
        }
        way.all().for_each(|path| _ = self.watch(path));
    }

    /// Watches it as far as it is needed; tells whether the directory at this path was not watched until now.
    fn watch(&mut self, path: &Path) -> bool {
        let Some(directory) = self.all.get_mut(path) else { return false };
        let flags = match (directory.names, directory.ways) {
            (0, 0) => None,
            (0, _) => Some(of_itself()),
            (_, _) => Some(of_itself() | of_names()),
        };
        // One that is watched already keeps its number.
        let number = flags.and_then(|flags| self.inotify.add_watch(path, flags).ok());
        let before = std::mem::replace(&mut directory.number, number);
        if flags.is_none() {
            self.all.remove(path);
        }
        if let Some(before) = before.filter(|_| before != number) {
            // It fails where the directory is gone, and its watch with it. One that has another path by now is told of, and
            // so is watched again.
            let _ = self.inotify.rm_watch(before);
        }
        number.is_some() && number != before
    }
}

/// That it is renamed; that it is removed is told unasked.
fn of_itself() -> AddWatchFlags {
    AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_ONLYDIR
}

/// What becomes of the names in it. It is told only where it matters: others write to a directory as well.
fn of_names() -> AddWatchFlags {
    let comes = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
    let goes = AddWatchFlags::IN_MOVED_FROM | AddWatchFlags::IN_DELETE;
    comes | goes
}

impl AsFd for Directories {
    /// Readable while there are [`events`](Self::events).
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
