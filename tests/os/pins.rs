//! A program that is kept comes back after its file was replaced or deleted.

use crate::world::{World, code, deploy, descriptors, service};
use bootstrap::core::{Action, Event, RunEvent};
use bootstrap::plan::{Definition, Handshake, Pid, RunId};
use std::fs;
use std::time::Duration;

fn of_dir(dir: &tempfile::TempDir, command: &[&str]) -> Definition {
    let mut definition = service(command, Handshake::None);
    definition.program.directory = Some(dir.path().into());
    definition
}

/// Starts the program of `old`.
#[track_caller]
fn start_again(world: &mut World, definition: &Definition, old: RunId) -> (RunId, Pid) {
    let run = world.spawn_program_of(definition, old);
    match world.next() {
        Event::Run(spawned, RunEvent::Spawned { pid }) if spawned == run => (run, pid),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_binary_that_was_replaced_or_deleted_runs_again_under_its_own_name() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let old_code = fs::read("/bin/sleep").unwrap();
    deploy(&path, &old_code);
    let definition = of_dir(&dir, &["./server", "1000"]);
    let before = descriptors();
    let (first, _) = world.start(&definition);
    // The file may be another one by the time it is kept.
    deploy(&path, &fs::read("/bin/true").unwrap());
    world.os.perform(Action::Pin { run: first });
    world.os.perform(Action::Pin { run: first });
    world.end(first);

    let (second, pid) = start_again(&mut world, &definition, first);
    assert!(fs::read(format!("/proc/{pid}/exe")).unwrap() == old_code, "the old code");
    // It counts as started a moment before the kernel has closed its descriptors and set its arguments.
    let cmdline = || fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    while cmdline().is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(cmdline(), b"./server\x001000\0");
    // What its loader opens it closes again; one of ours would stay.
    let given = || fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let deadline = world.os.now() + Duration::from_secs(30);
    while given() != 3 && world.os.now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(given(), 3, "it has no descriptor of ours");
    // The one that came back can be kept itself, from a file that is in no folder any more.
    fs::remove_file(&path).unwrap();
    world.os.perform(Action::Pin { run: second });
    world.os.perform(Action::Unpin { run: first });
    world.end(second);
    let (third, pid) = start_again(&mut world, &definition, second);
    assert!(fs::read(format!("/proc/{pid}/exe")).unwrap() == old_code, "the old code");
    world.end(third);

    world.os.perform(Action::Unpin { run: second });
    assert_eq!(descriptors(), before);
}

#[test]
fn a_script_that_was_replaced_or_deleted_runs_again() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    deploy(&path, b"#!/bin/sh\n[ -e go ] && exit 7\nexec sleep 1000\n");
    let definition = of_dir(&dir, &["./server"]);
    let before = descriptors();
    let (first, pid) = world.start(&definition);
    let limit = world.os.now() + std::time::Duration::from_secs(30);
    while fs::read(format!("/proc/{pid}/exe")).unwrap() != fs::read("/bin/sleep").unwrap() {
        assert!(world.os.now() < limit);
    }
    world.os.perform(Action::Pin { run: first });
    deploy(&path, b"#!/bin/sh\nexit 8\n");
    world.end(first);
    assert_eq!(descriptors(), before + 1, "its interpreter has become something else, and is not kept");

    fs::write(dir.path().join("go"), "").unwrap();
    for _ in 0..2 {
        let (run, _) = start_again(&mut world, &definition, first);
        let exited = RunEvent::Exited { status: code(7), group_left: false };
        assert_eq!(world.next(), Event::Run(run, exited));
        let _ = fs::remove_file(&path);
    }
    world.os.perform(Action::Unpin { run: first });
    assert_eq!(descriptors(), before);
}

/// Scripts look for their like beside their own name.
#[test]
fn a_script_that_is_still_where_it_was_runs_again_under_its_own_name() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let (path, shell) = (dir.path().join("server"), dir.path().join("own-sh"));
    deploy(&shell, &fs::read("/bin/sh").unwrap());
    let text = "if [ -e go ]; then echo $0 >name; exit 7; fi\nwhile sleep 1000; do :; done\n";
    let script = format!("#!{}\n{text}", shell.display());
    deploy(&path, script.as_bytes());
    let definition = of_dir(&dir, &["./server"]);
    let (first, _) = world.start(&definition);
    world.os.perform(Action::Pin { run: first });
    world.end(first);
    fs::write(dir.path().join("go"), "").unwrap();
    let name = |world: &mut World| {
        let (run, _) = start_again(world, &definition, first);
        let exited = RunEvent::Exited { status: code(7), group_left: false };
        assert_eq!(world.next(), Event::Run(run, exited));
        fs::read_to_string(dir.path().join("name")).unwrap()
    };
    assert_eq!(name(&mut world), "./server\n");
    // Another interpreter is not what it ran under.
    deploy(&shell, &fs::read("/bin/false").unwrap());
    assert!(name(&mut world).starts_with("/dev/fd/"));
    deploy(&shell, &fs::read("/bin/sh").unwrap());
    // Another file with the same text is another.
    deploy(&path, script.as_bytes());
    assert!(name(&mut world).starts_with("/dev/fd/"));
    world.os.perform(Action::Unpin { run: first });
}

/// An update of the machine brings another interpreter, or none: the script runs under the one that it ran under.
#[track_caller]
fn comes_back_with_its_interpreter(first_line: &str, own_name: &str) {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let (script, shell) = (dir.path().join("server"), dir.path().join("own-sh"));
    let old_code = fs::read("/bin/sh").unwrap();
    deploy(&shell, &old_code);
    let head = format!("#!{}\n", first_line.replace("DIR", dir.path().to_str().unwrap()));
    deploy(&script, format!("{head}[ -e go ] || while sleep 1000; do :; done\nexit $#\n").as_bytes());
    let mut definition = of_dir(&dir, &["./server", "one", "two"]);
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    definition.program.env.insert("PATH".into(), path);
    let before = descriptors();
    let (first, pid) = world.start(&definition);
    let limit = world.os.now() + std::time::Duration::from_secs(30);
    while fs::read(format!("/proc/{pid}/exe")).unwrap() != old_code {
        assert!(world.os.now() < limit);
    }
    deploy(&shell, &fs::read("/bin/false").unwrap());
    world.os.perform(Action::Pin { run: first });
    deploy(&script, b"#!/bin/sh\nexit 8\n");
    world.end(first);
    assert_eq!(descriptors(), before + 2, "the script and its interpreter");

    // It is kept in its turn.
    let (second, pid) = start_again(&mut world, &definition, first);
    while fs::read(format!("/proc/{pid}/cmdline")).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    let arguments: Vec<&str> = arguments.split_terminator('\0').collect();
    let number = arguments.iter().position(|argument| argument.starts_with("/dev/fd/")).expect("the script");
    let name = own_name.replace("DIR", dir.path().to_str().unwrap());
    assert_eq!(arguments[..number].join(" "), name);
    assert_eq!(arguments[number + 1..], ["one", "two"]);
    assert_eq!(fs::read(format!("/proc/{pid}/exe")).unwrap(), old_code);
    world.os.perform(Action::Pin { run: second });
    world.os.perform(Action::Unpin { run: first });
    world.end(second);
    let _ = fs::remove_file(&shell);
    fs::write(dir.path().join("go"), "").unwrap();
    let (third, _) = start_again(&mut world, &definition, second);
    assert_eq!(world.next(), Event::Run(third, RunEvent::Exited { status: code(2), group_left: false }));
    world.os.perform(Action::Unpin { run: second });
    assert_eq!(descriptors(), before);
}

#[test]
fn a_script_comes_back_under_its_interpreter_though_that_was_replaced_and_deleted() {
    comes_back_with_its_interpreter("DIR/own-sh", "DIR/own-sh");
    comes_back_with_its_interpreter("DIR/own-sh -e", "DIR/own-sh -e");
}

#[test]
fn a_script_that_env_found_an_interpreter_for_comes_back_under_that_one() {
    comes_back_with_its_interpreter("/usr/bin/env own-sh", "own-sh");
}

#[test]
fn where_nothing_was_kept_the_command_says_what_runs() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    // It becomes another program: what runs in the end is not what was started.
    deploy(&path, &fs::read("/usr/bin/env").unwrap());
    let definition = of_dir(&dir, &["./server", "sleep", "1000"]);
    let before = descriptors();
    let (first, pid) = world.start(&definition);
    let limit = world.os.now() + std::time::Duration::from_secs(30);
    while fs::read_link(format!("/proc/{pid}/exe")).unwrap() == path {
        assert!(world.os.now() < limit);
    }
    world.os.perform(Action::Pin { run: first });
    world.end(first);
    // Neither is a run that has ended, nor one that never was.
    world.os.perform(Action::Pin { run: first });
    assert_eq!(descriptors(), before);
    deploy(&path, b"#!/bin/sh\nexit 8\n");
    let (run, _) = start_again(&mut world, &definition, first);
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(8), group_left: false }));
    assert_eq!(descriptors(), before);
}
