//! Watching the files of programs for changes: one inotify descriptor for all of them.
//!
//! Watched are the directories on the way to a program in which a name could lead elsewhere: that of the program,
//! and that of each symbolic link. An event is told only where another file is at the end of the way than before.

use super::poller::{Poller, Token};
use crate::limits::{LOOKS_KEPT, WATCH_LINKS};
use crate::plan::{Generation, RunId, ServiceId};
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
    look: Look,
    /// Whoever changes one of these may change the program.
    names: BTreeSet<Name>,
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
    /// Made when the first program is to be watched.
    inotify: Option<Inotify>,
    programs: BTreeMap<ServiceId, Watched>,
    directories: BTreeMap<PathBuf, Directory>,
    /// Programs just before they were started, of runs that may be watched next.
    started: BTreeMap<ServiceId, BTreeMap<Generation, Look>>,
}

/// A directory on the way to a program.
struct Directory {
    /// None where the system refused it, or it is gone: it is tried again with the next program on the way through it.
    number: Option<WatchDescriptor>,
    /// How many names of programs are in it.
    names: usize,
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
    fn turn_to(&mut self, poller: &Poller, service: ServiceId, mut look: Look) -> bool {
        if self.inotify.is_none() {
            self.inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
            if let Some(inotify) = &self.inotify {
                // Fails where there is no memory: then nothing is told.
                let _ = poller.watch_readable(inotify, Token::Watch);
            }
        }
        let names = names_on_the_way(&look.program);
        self.need(&names);
        // Only now: a change before this is seen here, and one after it is told.
        let is_another = look.again();
        if let Some(former) = self.programs.insert(service, Watched { look, names }) {
            self.need_no_more(&former.names);
        }
        is_another
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
        if let Some(before) = self.programs.remove(&service) {
            self.need_no_more(&before.names);
        }
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
            let of_it = |directory: &Directory| directory.number == Some(event.wd);
            let directory =
                self.directories.iter().find(|(_, directory)| of_it(directory)).map(|(path, _)| path);
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
                let gone = self.directories.values_mut().filter(|directory| of_it(directory));
                gone.for_each(|directory| directory.number = None);
            }
        }
        let (mut changed, mut ways) = (Vec::new(), Vec::new());
        for (service, watched) in &mut self.programs {
            if everything || !watched.names.is_disjoint(&touched) {
                changed.extend(watched.look.again().then_some(*service));
                let names = names_on_the_way(&watched.look.program);
                ways.push((names.clone(), std::mem::replace(&mut watched.names, names)));
            }
        }
        for (names, before) in ways {
            self.need(&names);
            self.need_no_more(&before);
        }
        changed
    }

    /// Watches the directories that these names are in.
    fn need(&mut self, names: &BTreeSet<Name>) {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_ONLYDIR;
        for (path, _) in names {
            let directory =
                self.directories.entry(path.clone()).or_insert(Directory { number: None, names: 0 });
            directory.names += 1;
            if directory.number.is_none()
                && let Some(inotify) = &self.inotify
            {
                directory.number = inotify.add_watch(path, flags).ok();
            }
        }
    }

    /// Watches those no more that nobody needs.
    fn need_no_more(&mut self, names: &BTreeSet<Name>) {
        for (path, _) in names {
            let Some(directory) = self.directories.get_mut(path) else { continue };
            directory.names -= 1;
            if directory.names > 0 {
                continue;
            }
            let gone = self.directories.remove(path);
            if let (Some(number), Some(inotify)) = (gone.and_then(|gone| gone.number), &self.inotify) {
                // It fails where the directory is gone, and its watch with it.
                let _ = inotify.rm_watch(number);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const SERVICE: ServiceId = ServiceId(7);

    const RUN: RunId = RunId { service: SERVICE, generation: Generation(3) };

    /// A program, and what watches it.
    fn watched(name: &str) -> (TempDir, Poller, Watches) {
        let (directory, poller) = (TempDir::new().unwrap(), Poller::new().unwrap());
        fs::write(directory.path().join("server"), "1").unwrap();
        symlink("server", directory.path().join("link")).unwrap();
        let mut watches = Watches::default();
        watches.watch(&poller, RUN, Some(&directory.path().join(name)));
        (directory, poller, watches)
    }

    #[test]
    fn a_file_that_is_half_written_is_no_change_and_a_whole_one_is() {
        let (directory, _poller, mut watches) = watched("server");
        let path = directory.path().join("server");
        fs::remove_file(&path).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(watches.changed(), [], "it is still open");
        file.write_all(b" and half").unwrap();
        drop(file);
        assert_eq!(watches.changed(), [SERVICE]);
        assert_eq!(watches.changed(), [], "told once");
    }

    #[test]
    fn what_does_not_change_the_program_is_no_change() {
        let (directory, _poller, mut watches) = watched("server");
        fs::write(directory.path().join("log"), "x").unwrap();
        fs::rename(directory.path().join("log"), directory.path().join("log.1")).unwrap();
        fs::remove_file(directory.path().join("server")).unwrap();
        assert_eq!(watches.changed(), []);
        fs::write(directory.path().join("server.new"), "2").unwrap();
        fs::rename(directory.path().join("server.new"), directory.path().join("server")).unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
    }

    /// It has ended before it is watched, so that its path is known from its start alone.
    #[test]
    fn what_changes_between_a_start_and_its_watch_is_a_change() {
        let (directory, poller, mut watches) = watched("server");
        let at = |name: &str| directory.path().join(name);
        let next = |generation| RunId { service: SERVICE, generation: Generation(generation) };
        watches.started(next(4), Look::at(&at("server")));
        assert!(!watches.watch(&poller, next(4), None), "nothing has changed");
        watches.started(next(5), Look::at(&at("server")));
        watches.started(next(6), Look::at(&at("server")));
        fs::write(at("server.new"), "22").unwrap();
        fs::rename(at("server.new"), at("server")).unwrap();
        assert!(watches.watch(&poller, next(6), None));
        assert_eq!(watches.changed(), [], "told once");
        fs::write(at("server.new"), "333").unwrap();
        fs::rename(at("server.new"), at("server")).unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
        assert!(watches.started.is_empty(), "what was never watched is forgotten");
        watches.forget(&poller, SERVICE);
        assert!(!watches.watch(&poller, next(7), None), "nothing is known of it");
        assert!(watches.programs.is_empty());
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_a_change_and_so_is_what_it_then_leads_to() {
        let (directory, _poller, mut watches) = watched("link");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("other")).unwrap();
        fs::write(at("other/server"), "2").unwrap();
        // Not atomic, but made at one go.
        fs::remove_file(at("link")).unwrap();
        symlink("other/server", at("link")).unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
        fs::write(at("other/server.new"), "3").unwrap();
        fs::rename(at("other/server.new"), at("other/server")).unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
        fs::write(at("server.new"), "4").unwrap();
        fs::rename(at("server.new"), at("server")).unwrap();
        assert_eq!(watches.changed(), [], "nobody goes there any more");
    }

    #[test]
    fn events_that_were_lost_are_found_by_looking() {
        let (directory, _poller, mut watches) = watched("server");
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&a, "").unwrap();
        for _ in 0..limit.trim().parse::<u32>().unwrap() {
            fs::rename(&a, &b).unwrap();
            fs::rename(&b, &a).unwrap();
        }
        fs::rename(&a, directory.path().join("server")).unwrap();
        let mut turns = (0..50_000).map(|_| watches.changed());
        assert_eq!(turns.find(|changed| !changed.is_empty()), Some(vec![SERVICE]));
    }

    #[test]
    fn a_circle_of_links_has_an_end_and_what_is_forgotten_is_watched_no_more() {
        let (directory, poller, mut watches) = watched("server");
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        symlink(&one, &two).unwrap();
        symlink(&two, &one).unwrap();
        assert_eq!(names_on_the_way(&one).len(), 2);
        watches.forget(&poller, SERVICE);
        fs::write(directory.path().join("server"), "22").unwrap();
        assert!(watches.directories.is_empty() && watches.changed().is_empty());
    }
}
