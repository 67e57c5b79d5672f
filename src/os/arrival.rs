//! Waiting for something to come to be in a directory, which need not be there yet either.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directories that are watched, or the nearest ones on the way to them.
pub struct Arrival(Inotify);

impl Arrival {
    /// Watches from now on.
    ///
    /// # Errors
    ///
    /// There are too many watches, or a directory may not be looked into.
    pub fn at(directories: &[PathBuf]) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        directories.iter().try_for_each(|directory| watch(&inotify, directory))?;
        Ok(Self(inotify))
    }

    /// Waits until something came, or changed its mode, or `patience` is over.
    pub fn wait(&self, patience: Duration) {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        // Whoever looks sees what has come; after a signal there is a look more.
        let _ = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], patience);
    }
}

/// Watches the nearest directory that is there, and then the next one if it has come meanwhile.
fn watch(inotify: &Inotify, directory: &Path) -> nix::Result<()> {
    let came = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ATTRIB;
    let went = AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF;
    let nearest = || directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let mut watched = None;
    // Each turn is one directory further down, or somebody removes and makes them all the time.
    for _ in directory.ancestors() {
        let next = nearest();
        if watched == Some(next) {
            break;
        }
        inotify.add_watch(next, came | went | AddWatchFlags::IN_ONLYDIR)?;
        watched = Some(next);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_comes_below_a_directory_that_is_not_there_yet_is_waited_for() {
        let top = tempfile::tempdir().unwrap();
        let directory = top.path().join("a/b");
        for step in [top.path().join("a"), directory.clone(), directory.join("socket")] {
            let arrival = Arrival::at(std::slice::from_ref(&directory)).unwrap();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| arrival.wait(Duration::MAX));
                fs::create_dir(&step).unwrap();
                waiting.join().unwrap();
            });
        }
    }
}
