//! Runs in cgroups of their own, where there is a tree of version 2 that the test may write to.

use crate::failures::fails;
use crate::world::{World, alone, code, has_children, service};
use bootstrap::core::{Action, Event, RunEvent, SpawnStage};
use bootstrap::plan::{Cgroup, Definition, Handshake, Identity, RunId};
use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup of this test, which is removed with it.
struct Tree(PathBuf);

impl Tree {
    /// Says so where there can be none.
    fn new(name: &str) -> Option<Self> {
        // Others count their descriptors meanwhile.
        let _alone = alone();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let places = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
        let made = places.filter_map(|line| {
            let path =
                Path::new(line.split(' ').nth(4)?).join(format!("bootstrap-{name}-{}", std::process::id()));
            fs::create_dir(&path).is_ok().then_some(Self(path))
        });
        let first = made.into_iter().next();
        if first.is_none() {
            eprintln!("skipped: no cgroup tree of version 2 that may be written to");
        }
        first
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup { path: self.0.clone(), memory_max: None, cpu_percent: None, pids_max: None }
    }

    fn service(&self, text: &str) -> Definition {
        let mut definition = service(&["/bin/sh", "-c", text], Handshake::None);
        definition.program.identity = Identity { cgroup: Some(self.cgroup()), ..Identity::default() }.into();
        definition
    }

    /// Who is in the cgroup of this run.
    fn members(&self, run: RunId) -> Vec<i32> {
        let path = self.0.join("web").join(run.generation.to_string()).join("cgroup.procs");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Left where a test has failed, and with it a process: it says where to look.
        let _ = fs::remove_dir(&self.0);
    }
}

/// The cgroup says that they have ended a moment before they can be reaped; the next test counts children.
fn bury_orphans() {
    while has_children() {
        std::thread::yield_now();
    }
}

/// Its main process has ended, and somebody is left.
#[track_caller]
fn leaves_somebody(world: &mut World, run: RunId) {
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: true }));
}

/// A daemon in a session of its own, which is in the cgroup before its starter ends.
const DAEMON: &str =
    "setsid sh -c 'echo > \"$0\"; exec sleep 1000' \"$OUT\" & while [ ! -s \"$OUT\" ]; do sleep 0.01; done";

#[test]
fn whoever_left_the_group_is_of_the_run_all_the_same_and_is_ended_with_it() {
    let Some(tree) = Tree::new("kill") else { return };
    let mut world = World::new();
    for end in [|run| Action::Kill { run }, (|run| Action::Terminate { run }) as fn(RunId) -> Action] {
        let dir = tempfile::tempdir().unwrap();
        let mut definition = tree.service(DAEMON);
        let out = dir.path().join("out").to_str().unwrap().to_owned();
        definition.program.env.insert("OUT".into(), out);
        let (run, main) = world.start(&definition);
        assert!(tree.members(run).contains(&main.0));
        let (neighbour, _) = world.start(&tree.service("exec sleep 1000"));
        leaves_somebody(&mut world, run);
        let [daemon] = tree.members(run)[..] else { panic!("{:?}", tree.members(run)) };
        assert_ne!(nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(daemon))).unwrap().as_raw(), main.0);

        world.os.perform(end(run));
        assert_eq!(world.next(), Event::Run(run, RunEvent::GroupEmpty));
        assert!(!tree.0.join("web").join(run.generation.to_string()).exists(), "its cgroup is gone");
        assert_eq!(tree.members(neighbour).len(), 1, "another generation is not touched");
        world.end(neighbour);
    }
    assert!(!tree.0.join("web").exists(), "and that of the service with the last run");
    bury_orphans();
}

#[test]
fn the_end_of_the_last_process_is_told_whoever_reaps_it() {
    let Some(tree) = Tree::new("empty") else { return };
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // The daemon waits for the pipe; the main process only for its having its own session.
    let text = format!(
        "setsid sh -c 'echo > \"$0\"; read line < {}' \"$OUT\" & while [ ! -s \"$OUT\" ]; do sleep 0.01; done",
        pipe.display()
    );
    let mut definition = tree.service(&text);
    definition.program.env.insert("OUT".into(), dir.path().join("out").to_str().unwrap().into());
    let (run, _) = world.start(&definition);
    leaves_somebody(&mut world, run);
    world.quiet();
    fs::write(&pipe, "go\n").unwrap();
    assert_eq!(world.next(), Event::Run(run, RunEvent::GroupEmpty));
    bury_orphans();
}

#[test]
fn what_the_tree_does_not_have_is_told_and_nothing_is_left() {
    let Some(tree) = Tree::new("refused") else { return };
    let mut world = World::new();
    let mut definition = tree.service("true");
    let path = tree.0.join("a/b");
    definition.program.identity.cgroup = Some(Cgroup { path: path.clone(), ..tree.cgroup() });
    fails(&mut world, &definition, SpawnStage::Cgroup, libc::ENOENT, path.to_str().unwrap());
    let offered = fs::read_to_string(tree.0.join("../cgroup.controllers")).unwrap();
    if !offered.contains("memory") {
        definition.program.identity.cgroup = Some(Cgroup { memory_max: Some(1 << 30), ..tree.cgroup() });
        fails(&mut world, &definition, SpawnStage::Cgroup, libc::ENODEV, "memory");
    }
    // A program that cannot be executed leaves no cgroup behind.
    let mut definition = tree.service("");
    definition.program.command = vec!["/etc/passwd".into()];
    fails(&mut world, &definition, SpawnStage::Lookup, libc::EACCES, "/etc/passwd");
    definition.program.command = vec!["/bin/true".into()];
    definition.program.identity.rlimits = vec![bootstrap::plan::Rlimit {
        name: "nofile".into(),
        resource: libc::RLIMIT_NOFILE,
        soft: 0,
        hard: 0,
    }];
    fails(&mut world, &definition, SpawnStage::Descriptors, libc::EBADF, "");
    assert!(!tree.0.join("web").exists());
}

#[test]
fn limits_hold_where_the_controllers_are() {
    let Some(tree) = Tree::new("limits") else { return };
    let offered = fs::read_to_string(tree.0.join("../cgroup.controllers")).unwrap();
    if !offered.contains("pids") {
        eprintln!("skipped: the tree has no controller for processes");
        return;
    }
    let mut world = World::new();
    let mut definition = tree.service("exec sleep 1000");
    definition.program.identity.cgroup = Some(Cgroup { pids_max: Some(7), ..tree.cgroup() });
    let (run, _) = world.start(&definition);
    assert_eq!(fs::read_to_string(tree.0.join("web/pids.max")).unwrap().trim(), "7");
    world.end(run);
}
