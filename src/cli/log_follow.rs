//! Following log files over rotations: the kernel tells of each change (inotify), nothing is looked at in between.

use super::answer::complain;
use super::log_files::{Kept, Part, Position, said_heading};
use super::log_newer::{Newer, newer};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Why nothing more can be followed.
pub(super) enum End {
    /// This directory has gone.
    Gone(PathBuf),
    /// The system does not tell what changes.
    Blind(io::Error),
}

/// Prints what is appended, until nobody reads any more.
///
/// # Errors
///
/// That it cannot be printed.
pub(super) fn follow(mut kept: Vec<Kept>, out: &mut impl Write) -> io::Result<End> {
    let mut changes = match Changes::of(&kept) {
        Ok(changes) => changes,
        Err(error) => return Ok(End::Blind(error)),
    };
    let several = kept.len() > 1;
    let mut last = kept.len() - 1;
    loop {
        for (number, file) in kept.iter_mut().enumerate() {
            let Newer { parts, gone, .. } = file.newer(&mut changes, number);
            let mut gone = Some(gone);
            // First the rest of the one that was read so far.
            for part in std::iter::once(None).chain(parts.into_iter().map(Some)) {
                let lines = file.read(part);
                if !lines.is_empty() {
                    if several && std::mem::replace(&mut last, number) != number {
                        said_heading(out, &file.wanted.path)?;
                    }
                    lines.iter().try_for_each(|line| out.write_all(line))?;
                    out.flush()?;
                }
                if gone.take() == Some(true) {
                    file.tell_gap();
                }
            }
        }
        if let Some(gone) = changes.gone.and_then(|number| kept.get(number)) {
            return Ok(End::Gone(gone.wanted.directory().into()));
        }
        if let Err(error) = changes.wait() {
            return Ok(End::Blind(error));
        }
    }
}

/// A name is there no more. A directory itself is not told of its end as long as we read a file in it.
const GOES: AddWatchFlags = AddWatchFlags::IN_DELETE.union(AddWatchFlags::IN_MOVED_FROM);

/// What the kernel tells of the directories of the files.
struct Changes {
    inotify: Inotify,
    /// The directory and name of each file, and how many have come there that were not read; without a bound where the
    /// kernel had more to tell than it keeps.
    files: Vec<(WatchDescriptor, OsString, u32)>,
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
        let files = kept.iter().map(|file| {
            let path = &file.wanted.path;
            let number = watch(file.wanted.directory())?;
            Ok((number, path.file_name().unwrap_or_default().into(), 0))
        });
        let files = files.collect::<io::Result<_>>()?;
        let above = kept.iter().map(|file| {
            let directory = file.wanted.path.parent()?;
            Some((watch(directory.parent()?).ok()?, directory.file_name()?.into()))
        });
        let above = above.collect();
        Ok(Self { inotify, files, above, news: false, gone: None })
    }

    /// How many files have come to this name that were not read.
    fn came(&self, number: usize) -> u32 {
        self.files.get(number).map_or(0, |(.., came)| *came)
    }

    /// So many of them are left.
    fn leave(&mut self, number: usize, left: u32) {
        if let Some((.., came)) = self.files.get_mut(number) {
            *came = left;
        }
        // They are read without that anything is told.
        self.news |= left > 0;
    }

    /// One of them is none that could be read.
    fn discount(&mut self, number: usize) {
        if let Some((.., came)) = self.files.get_mut(number) {
            *came = came.saturating_sub(1);
        }
    }

    /// Takes all that was told since the last call. The kernel gives it in pieces.
    fn take(&mut self) -> io::Result<()> {
        loop {
            match self.inotify.read_events() {
                Ok(events) => self.told(&events),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn told(&mut self, events: &[InotifyEvent]) {
        let comes = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
        for event in events.iter().filter(|event| event.mask.intersects(comes)) {
            for (watch, name, came) in &mut self.files {
                if *watch == event.wd && event.name.as_ref() == Some(name) {
                    *came = came.saturating_add(1);
                }
            }
        }
        if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)) {
            self.files.iter_mut().for_each(|(.., came)| *came = u32::MAX);
        }
        for event in events.iter().filter(|event| event.mask.intersects(GOES)) {
            let is_it = |(watch, name): &(WatchDescriptor, OsString)| {
                *watch == event.wd && event.name.as_ref() == Some(name)
            };
            self.gone = self.gone.or(self.above.iter().position(|above| above.as_ref().is_some_and(is_it)));
        }
        self.news |= !events.is_empty();
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

impl Kept {
    /// The files that came after the one that was read so far. What keeps us from opening them is told once, and may go.
    fn newer(&mut self, changes: &mut Changes, number: usize) -> Newer {
        let ours = self.position.file.as_ref().map(|open| open.identity);
        // Nobody has told how many came before the kernel was asked to tell.
        let unknown = !std::mem::replace(&mut self.looked_for, true) && ours.is_some();
        let came = || changes.take().map(|()| if unknown { u32::MAX } else { changes.came(number) });
        match newer(&self.wanted.path, ours, came) {
            Ok(Some(newer)) => {
                self.told = None;
                changes.leave(number, newer.more);
                newer
            }
            Ok(None) => Newer::default(),
            Err(error) => {
                let told = error.to_string();
                if self.told.as_ref() != Some(&told) {
                    complain(&format!(
                        "{}: {told}; waiting for another file there",
                        self.wanted.path.display()
                    ));
                    self.told = Some(told);
                    // Where nothing can be taken any more, the wait says so.
                    let _ = changes.take();
                    changes.discount(number);
                }
                Newer::default()
            }
        }
    }

    fn tell_gap(&self) {
        complain(&format!(
            "{}: lines are missing here: backups were removed before they were read",
            self.wanted.path.display()
        ));
    }

    /// The file that was read so far, where somebody has cut it short.
    fn cut_short(&mut self) -> Option<Part> {
        let Position { file: Some(file), partial } = &mut self.position else { return None };
        let part = file.cut_short(partial.len())?;
        if part.taken() < file.whole(partial.len()) {
            complain(&format!("{}: cut short by somebody; lines may be missing here", file.path.display()));
        }
        partial.clear();
        Some(part)
    }

    /// The lines that are new, and wanted: of the next part, or else of the one that was read so far.
    fn read(&mut self, next: Option<Part>) -> Vec<Vec<u8>> {
        let next = next.or_else(|| self.cut_short());
        let (mut lines, wanted) = (Vec::new(), &self.wanted);
        let mut partial = std::mem::take(&mut self.position.partial);
        let part = match next {
            Some(part) => Some(self.position.file.insert(part)),
            None => self.position.file.as_mut(),
        };
        if let Some(part) = part {
            let rest = part.read(|line| {
                let mut whole = std::mem::take(&mut partial);
                whole.extend_from_slice(&line);
                if wanted.has(&whole) {
                    lines.push(whole);
                }
            });
            match rest {
                Ok(rest) => partial.extend_from_slice(&rest),
                Err(error) => complain(&format!("{}: damaged: {error}", part.path.display())),
            }
        }
        self.position.partial = partial;
        lines
    }
}
