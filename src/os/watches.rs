//! Watching the files of programs for changes: one inotify descriptor for all of them.
//!
//! Watched are the directories on the way to a program in which a name could lead elsewhere: that of the program,
//! and that of each symbolic link. An event is told only where another file is at the end of the way than before.

use super::poller::{Poller, Token};
use crate::limits::WATCH_LINKS;
use crate::plan::ServiceId;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use nix::sys::stat::stat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// Which file is at the end of a way, and which writing of it.
type Identity = (u64, u64, i64, i64, i64);

/// A name in a directory.
type Name = (PathBuf, OsString);

/// A program that is watched.
struct Watched {
    program: PathBuf,
    found: Option<Identity>,
    /// Whoever changes one of these may change the program.
    names: BTreeSet<Name>,
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
    /// Made when the first program is to be watched.
    inotify: Option<Inotify>,
    programs: BTreeMap<ServiceId, Watched>,
    directories: BTreeMap<PathBuf, WatchDescriptor>,
}

impl Watches {
    /// Watches the program at `path`, instead of what was watched for the service before.
    ///
    /// Where the system refuses it, because there are too many watches, changes are not seen.
    pub(super) fn watch(&mut self, poller: &Poller, service: ServiceId, path: &Path) {
        if self.inotify.is_none() {
            self.inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
            if let Some(inotify) = &self.inotify {
                // Fails where there is no memory: then nothing is told.
                let _ = poller.watch_readable(inotify, Token::Watch);
            }
        }
        let watched = Watched { program: path.into(), found: identity(path), names: names_on_the_way(path) };
        self.programs.insert(service, watched);
        self.keep_directories();
    }

    /// Leaves them to the next program.
    pub(super) fn keep(&self) -> Vec<KeptWatch> {
        let kept = |(service, watched): (&ServiceId, &Watched)| KeptWatch {
            service: *service,
            program: watched.program.clone(),
            found: watched.found,
        };
        self.programs.iter().map(kept).collect()
    }

    /// Takes them over; gives the services whose programs have changed in between.
    pub(super) fn restore(poller: &Poller, kept: Vec<KeptWatch>) -> (Self, Vec<ServiceId>) {
        let mut watches = Self::default();
        let mut changed = Vec::new();
        for KeptWatch { service, program, found } in kept {
            watches.watch(poller, service, &program);
            let now = watches.programs.get(&service).and_then(|watched| watched.found);
            changed.extend((now.is_some() && now != found).then_some(service));
        }
        (watches, changed)
    }

    /// Watches nothing for the service any more.
    pub(super) fn forget(&mut self, poller: &Poller, service: ServiceId) {
        self.programs.remove(&service);
        self.keep_directories();
        if self.programs.is_empty()
            && let Some(inotify) = self.inotify.take()
        {
            poller.forget(&inotify);
            self.directories.clear();
        }
    }

    /// The services at the end of whose ways another file is now.
    pub(super) fn changed(&mut self) -> Vec<ServiceId> {
        let Some(inotify) = &self.inotify else { return Vec::new() };
        let mut touched: BTreeSet<Name> = BTreeSet::new();
        let mut everything = false;
        // One turn: what is left makes the next.
        for event in inotify.read_events().unwrap_or_default() {
            let directory =
                self.directories.iter().find(|(_, number)| **number == event.wd).map(|(path, _)| path);
            // What is only begun may be half written; a link is whole at once.
            let begun = |directory: &Path, name: &OsStr| {
                event.mask.contains(AddWatchFlags::IN_CREATE) && directory.join(name).read_link().is_err()
            };
            match (directory, event.name) {
                (Some(directory), Some(name)) if begun(directory, &name) => {}
                (Some(directory), Some(name)) => _ = touched.insert((directory.clone(), name)),
                // Events were lost, or a directory is gone: anything may have changed.
                (None, _) | (_, None) => everything = true,
            }
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                self.directories.retain(|_, number| *number != event.wd);
            }
        }
        let mut changed = Vec::new();
        for (service, watched) in &mut self.programs {
            if everything || !watched.names.is_disjoint(&touched) {
                let found = identity(&watched.program);
                watched.names = names_on_the_way(&watched.program);
                // While it is away nothing could be started; what comes in its place is an event again.
                if found.is_some() && found != watched.found {
                    watched.found = found;
                    changed.push(*service);
                }
            }
        }
        self.keep_directories();
        changed
    }

    /// Watches the directories that somebody needs, and no other.
    fn keep_directories(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        let needed: BTreeSet<&PathBuf> = self
            .programs
            .values()
            .flat_map(|watched| &watched.names)
            .map(|(directory, _)| directory)
            .collect();
        self.directories.retain(|directory, number| {
            let keep = needed.contains(directory);
            if !keep {
                // It fails where the directory is gone, and its watch with it.
                let _ = inotify.rm_watch(*number);
            }
            keep
        });
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_ONLYDIR;
        for directory in needed {
            if !self.directories.contains_key(directory)
                && let Ok(number) = inotify.add_watch(directory, flags)
            {
                self.directories.insert(directory.clone(), number);
            }
        }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = stat(path).ok()?;
    Some((found.st_dev, found.st_ino, found.st_size, found.st_mtime, found.st_mtime_nsec))
}

/// The names on the way to a program that could be made to lead elsewhere: its own, and those of symbolic links.
fn names_on_the_way(path: &Path) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    let mut links = 0;
    let mut ways = vec![std::path::absolute(path).unwrap_or_else(|_| path.into())];
    while let Some(way) = ways.pop() {
        let mut directory = PathBuf::new();
        let mut rest = way.components();
        while let Some(component) = rest.next() {
            let name = match component {
                Component::Normal(name) => name,
                Component::ParentDir => {
                    directory.pop();
                    continue;
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {
                    directory.push(component);
                    continue;
                }
            };
            let at_the_end = rest.as_path() == Path::new("");
            let link = std::fs::read_link(directory.join(name)).ok();
            if at_the_end || link.is_some() {
                names.insert((directory.clone(), OsStr::to_owned(name)));
            }
            match link {
                Some(target) if links < WATCH_LINKS => {
                    links += 1;
                    ways.push(directory.join(target).join(rest.as_path()));
                    break;
                }
                Some(_) => break,
                None => directory.push(name),
            }
        }
    }
    names
}
