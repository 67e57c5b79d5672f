//! Watching the files of programs for changes: one inotify descriptor for all of them.
//!
//! Watched are the directories on the way to a program: those in which a name could lead elsewhere, which are that of the
//! program and that of each symbolic link, and whether one of all of them is renamed. An event is told only where another
//! file is at the end of the way than before.

mod directories;
mod way;

use super::poller::{Poller, Token};
use crate::limits::{LOOKS_KEPT, WATCH_LINKS};
use crate::plan::{Generation, RunId, ServiceId};
use directories::Directories;
use nix::sys::inotify::AddWatchFlags;
use nix::sys::stat::stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use way::{Name, Way};

/// Which file is at the end of a way, and which writing of it.
type Identity = (u64, u64, i64, i64, i64);

/// A program that is watched.
struct Watched {
    look: Look,
    way: Way,
}

/// What a look at a program has shown.
pub(super) struct Look {
    program: PathBuf,
    found: Option<Identity>,
}

impl Look {
    /// At the program that this path leads to now.
    pub(super) fn at(program: &Path) -> Self {
        Self { program: program.into(), found: identity(program) }
    }

    /// Looks again; tells whether another file is there. While there is none nothing could be started, and what comes in its
    /// place is seen then.
    fn again(&mut self) -> bool {
        let found = identity(&self.program);
        let is_another = found.is_some() && found != self.found;
        if is_another {
            self.found = found;
        }
        is_another
    }
}

/// A program whose watching is left to the next program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptWatch {
    service: ServiceId,
    program: PathBuf,
    found: Option<Identity>,
}

/// All programs that are watched, by the service whose they are.
#[derive(Default)]
pub(super) struct Watches {
    /// Made when the first program is to be watched; none where the system refuses it.
    directories: Option<Directories>,
    programs: BTreeMap<ServiceId, Watched>,
    /// Programs just before they were started, of runs that may be watched next.
    started: BTreeMap<ServiceId, BTreeMap<Generation, Look>>,
}

impl Watches {
    /// A run was started from this program, or could not be. That it is watched comes later, when it may have ended already,
    /// and the program may be another.
    pub(super) fn started(&mut self, run: RunId, look: Look) {
        let looks = self.started.entry(run.service).or_default();
        looks.insert(run.generation, look);
        if looks.len() > LOOKS_KEPT {
            looks.pop_first();
        }
    }

    /// Watches the program that this run was started from, instead of what was watched for the service before; of one that
    /// was not [`started`](Self::started) here it is the one at `path`. Tells whether another one is there by now.
    ///
    /// Where the system refuses it, because there are too many watches, changes are not seen.
    pub(super) fn watch(&mut self, poller: &Poller, run: RunId, path: Option<&Path>) -> bool {
        let mut looks = self.started.remove(&run.service).unwrap_or_default();
        let newer = looks.split_off(&run.generation.next());
        if !newer.is_empty() {
            self.started.insert(run.service, newer);
        }
        let look = looks.remove(&run.generation).or_else(|| path.map(Look::at));
        look.is_some_and(|look| self.turn_to(poller, run.service, look))
    }

    /// Watches the program of this look. Tells whether another one is there by now.
    fn turn_to(&mut self, poller: &Poller, service: ServiceId, look: Look) -> bool {
        if self.directories.is_none() {
            self.directories = Directories::new().ok();
            if let Some(directories) = &self.directories {
                // Fails where there is no memory: then nothing is told.
                let _ = poller.watch_readable(directories, Token::Watch);
            }
        }
        let before = self.programs.insert(service, Watched { look, way: Way::default() });
        let is_another = self.look_again(service, true);
        self.leave(before);
        is_another
    }

    /// Watches the way to the program of this service as it is now. Tells whether another file is at its end: where something
    /// `came` to be on it, or a part of it was not watched until now.
    fn look_again(&mut self, service: ServiceId, mut came: bool) -> bool {
        let Some(watched) = self.programs.get_mut(&service) else { return false };
        // It may change before it is watched; where it does so each time there are events to come.
        for round in 0..WATCH_LINKS {
            let way = Way::to(&watched.look.program);
            if round > 0 && way == watched.way {
                break;
            }
            if let Some(directories) = &mut self.directories {
                came |= directories.need(&way);
                directories.need_no_more(&watched.way);
            }
            watched.way = way;
        }
        // Only now: a change before this is seen here, and one after it is told.
        came && watched.look.again()
    }

    fn leave(&mut self, watched: Option<Watched>) {
        if let (Some(watched), Some(directories)) = (watched, &mut self.directories) {
            directories.need_no_more(&watched.way);
        }
    }

    /// Leaves them to the next program.
    pub(super) fn keep(&self) -> Vec<KeptWatch> {
        let kept = |(service, watched): (&ServiceId, &Watched)| KeptWatch {
            service: *service,
            program: watched.look.program.clone(),
            found: watched.look.found,
        };
        self.programs.iter().map(kept).collect()
    }

    /// Takes them over; gives the services whose programs have changed in between.
    pub(super) fn restore(poller: &Poller, kept: Vec<KeptWatch>) -> (Self, Vec<ServiceId>) {
        let mut watches = Self::default();
        let mut changed = Vec::new();
        for KeptWatch { service, program, found } in kept {
            changed.extend(watches.turn_to(poller, service, Look { program, found }).then_some(service));
        }
        (watches, changed)
    }

    /// Watches nothing for the service any more.
    pub(super) fn forget(&mut self, poller: &Poller, service: ServiceId) {
        self.started.remove(&service);
        let watched = self.programs.remove(&service);
        self.leave(watched);
        if self.programs.is_empty()
            && let Some(directories) = self.directories.take()
        {
            poller.forget(&directories);
        }
    }

    /// The services at the end of whose ways another file is now.
    pub(super) fn changed(&mut self) -> Vec<ServiceId> {
        let Some(directories) = &self.directories else { return Vec::new() };
        let (mut came, mut went): (BTreeSet<Name>, BTreeSet<Name>) = Default::default();
        let mut everything = false;
        for event in directories.events() {
            let goes = event.mask.intersects(AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM);
            // Of one that was watched until now nothing matters. Where events were lost, anything may have changed.
            everything |= event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
            for directory in directories.paths(event.wd) {
                match &event.name {
                    Some(name) if is_begun(event.mask, directory, name) => {}
                    Some(name) if goes => _ = went.insert((directory.into(), name.clone())),
                    Some(name) => _ = came.insert((directory.into(), name.clone())),
                    // It was renamed, or is gone, and what it held with it.
                    None => everything = true,
                }
            }
        }
        let mut touched = Vec::new();
        for (service, Watched { way, .. }) in &self.programs {
            let came = everything || !way.names.is_disjoint(&came);
            if came || !way.names.is_disjoint(&went) {
                touched.push((*service, came));
            }
        }
        touched
            .into_iter()
            .filter_map(|(service, came)| self.look_again(service, came).then_some(service))
            .collect()
    }
}

/// What is only begun may be half written; a link and a directory are whole at once.
fn is_begun(mask: AddWatchFlags, directory: &Path, name: &OsStr) -> bool {
    mask.contains(AddWatchFlags::IN_CREATE)
        && !mask.contains(AddWatchFlags::IN_ISDIR)
        && directory.join(name).read_link().is_err()
}

fn identity(path: &Path) -> Option<Identity> {
    let found = stat(path).ok()?;
    Some((found.st_dev, found.st_ino, found.st_size, found.st_mtime, found.st_mtime_nsec))
}

#[cfg(test)]
mod tests;
