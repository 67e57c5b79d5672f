//! Changes of programs, one after the other.

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

/// A program two directories down, another such tree beside it, and what watches the first.
fn deployed() -> (TempDir, Poller, Watches) {
    let (directory, poller) = (TempDir::new().unwrap(), Poller::new().unwrap());
    for tree in ["app", "new"] {
        fs::create_dir_all(directory.path().join(tree).join("bin")).unwrap();
        fs::write(directory.path().join(tree).join("bin/server"), tree).unwrap();
    }
    let mut watches = Watches::default();
    watches.watch(&poller, RUN, Some(&directory.path().join("app/bin/server")));
    (directory, poller, watches)
}

#[test]
fn a_tree_that_is_put_in_the_place_of_another_is_a_change_and_so_is_what_changes_in_it_then() {
    for looks_in_between in [true, false] {
        let (directory, _poller, mut watches) = deployed();
        let at = |name: &str| directory.path().join(name);
        fs::rename(at("app"), at("old")).unwrap();
        if looks_in_between {
            assert_eq!(watches.changed(), [], "nothing is there");
        }
        fs::rename(at("new"), at("app")).unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
        fs::write(at("old/bin/server"), "of the past").unwrap();
        assert_eq!(watches.changed(), []);
        fs::write(at("app/bin/server"), "of today").unwrap();
        assert_eq!(watches.changed(), [SERVICE]);
    }
}

/// Blue and green: what serves at one path is to serve at the other.
#[test]
fn trees_that_change_places_are_watched_where_they_are_then() {
    let (directory, poller, mut watches) = deployed();
    let at = |name: &str| directory.path().join(name);
    let other = ServiceId(8);
    watches.watch(&poller, RunId { service: other, ..RUN }, Some(&at("new/bin/server")));
    for _ in 0..2 {
        fs::rename(at("app"), at("old")).unwrap();
        fs::rename(at("new"), at("app")).unwrap();
        fs::rename(at("old"), at("new")).unwrap();
        assert_eq!(watches.changed(), [SERVICE, other]);
        assert_eq!(watches.changed(), []);
        for (tree, service) in [("app", SERVICE), ("new", other)] {
            fs::write(at(tree).join("bin/server.new"), "x").unwrap();
            fs::rename(at(tree).join("bin/server.new"), at(tree).join("bin/server")).unwrap();
            assert_eq!(watches.changed(), [service], "{tree}");
        }
    }
}

#[test]
fn a_tree_that_comes_back_is_no_change() {
    let (directory, _poller, mut watches) = deployed();
    let at = |name: &str| directory.path().join(name);
    fs::rename(at("app"), at("old")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::rename(at("old"), at("app")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::write(at("app/bin/server"), "another").unwrap();
    assert_eq!(watches.changed(), [SERVICE]);
}

/// A directory in which a process works is not gone when it is removed: the kernel tells nothing of it.
#[test]
fn a_tree_that_is_removed_and_written_anew_is_a_change() {
    let (directory, _poller, mut watches) = deployed();
    let at = |name: &str| directory.path().join(name);
    let _works_there = File::open(at("app/bin")).unwrap();
    fs::remove_file(at("app/bin/server")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::remove_dir_all(at("app")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::create_dir(at("app")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::create_dir(at("app/bin")).unwrap();
    assert_eq!(watches.changed(), []);
    fs::write(at("app/bin/server"), "another").unwrap();
    assert_eq!(watches.changed(), [SERVICE]);
    assert_eq!(watches.changed(), []);
}

/// Others write to `/tmp` all day.
#[test]
fn what_happens_beside_the_way_wakes_nobody() {
    let (directory, _poller, mut watches) = deployed();
    let at = |name: &str| directory.path().join(name);
    let noise = || {
        fs::write(at("noise"), "x").unwrap();
        fs::write(at("app/noise"), "x").unwrap();
        fs::remove_file(at("noise")).unwrap();
    };
    noise();
    assert!(watches.directories.as_ref().unwrap().events().is_empty());
    fs::rename(at("app"), at("old")).unwrap();
    watches.changed();
    fs::rename(at("old"), at("app")).unwrap();
    watches.changed();
    watches.changed();
    noise();
    assert!(watches.directories.as_ref().unwrap().events().is_empty(), "nor later");
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
    assert_eq!(Way::to(&one).names.len(), 2);
    watches.forget(&poller, SERVICE);
    fs::write(directory.path().join("server"), "22").unwrap();
    assert!(watches.directories.is_none() && watches.changed().is_empty());
}
