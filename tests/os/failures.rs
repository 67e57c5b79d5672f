//! Each way in which a start can fail, told by its stage; nothing is left of it.

use crate::world::{World, code, descriptors, has_children, service};
use bootstrap::core::{Event, RunEvent, SpawnFailure, SpawnStage};
use bootstrap::limits::ENV_FILE_BYTES;
use bootstrap::plan::{Definition, Handshake, ListenerId};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) fn fails(
    world: &mut World,
    definition: &Definition,
    stage: SpawnStage,
    errno: i32,
    subject: &str,
) {
    let before = descriptors();
    let run = world.spawn(definition, &[]);
    let failure = SpawnFailure { stage, errno, subject: subject.into() };
    assert_eq!(world.next(), Event::Run(run, RunEvent::SpawnFailed(failure)));
    assert_eq!(descriptors(), before, "{stage:?}");
    assert!(!has_children(), "{stage:?}");
}

fn program(path: &Path, text: &[u8], mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_stage_is_told_with_its_reason_and_subject() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let plain = program(&dir.path().join("plain"), b"#!/bin/sh\n", 0o644);
    let text = program(&dir.path().join("text"), b"no program\n", 0o755);
    let python = program(&dir.path().join("python"), b"#!/opt/python9 -u\n", 0o755);
    let dos = program(&dir.path().join("dos"), b"#!/bin/sh\r\n", 0o755);
    let directory = dir.path().to_str().unwrap();
    for (command, stage, errno, subject) in [
        ("absent-program", SpawnStage::Lookup, libc::ENOENT, "absent-program"),
        (&plain, SpawnStage::Lookup, libc::EACCES, &plain),
        (directory, SpawnStage::Lookup, libc::EISDIR, directory),
        (&text, SpawnStage::Exec, libc::ENOEXEC, &text),
        (&python, SpawnStage::Interpreter, libc::ENOENT, "/opt/python9"),
        (&dos, SpawnStage::Interpreter, libc::ENOENT, "/bin/sh\\r"),
    ] {
        for handshake in [Handshake::Pipe, Handshake::None] {
            fails(&mut world, &service(&[command], handshake), stage, errno, subject);
        }
    }

    let mut long = service(&["true"], Handshake::Pipe);
    long.program.env.insert("LONG".into(), "x".repeat(200_000));
    let found = ["/usr/local/bin", "/usr/bin", "/bin"].map(|place| format!("{place}/true"));
    let run = world.spawn(&long, &[]);
    match world.next() {
        Event::Run(failed, RunEvent::SpawnFailed(failure)) => {
            assert_eq!((failed, failure.stage, failure.errno), (run, SpawnStage::Exec, libc::E2BIG));
            assert!(found.contains(&failure.subject), "{failure:?}");
        }
        other => panic!("{other:?}"),
    }

    let mut lost = service(&["./server"], Handshake::Pipe);
    lost.program.directory = Some("/nowhere/at/all".into());
    fails(&mut world, &lost, SpawnStage::Directory, libc::ENOENT, "/nowhere/at/all");
    lost.program.directory = Some(plain.clone().into());
    fails(&mut world, &lost, SpawnStage::Directory, libc::ENOTDIR, &plain);
}

#[test]
fn a_bad_env_file_is_told_with_its_line() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("env");
    let name = path.to_str().unwrap();
    let mut definition = service(&["true"], Handshake::Pipe);
    definition.program.env_file = Some(path.clone());
    fails(&mut world, &definition, SpawnStage::EnvFile, libc::ENOENT, name);
    fs::write(&path, "A=b\n\nsecret\n").unwrap();
    fails(&mut world, &definition, SpawnStage::EnvFile, libc::EINVAL, &format!("{name}: line 3"));
    fs::write(&path, vec![b'\n'; usize::try_from(ENV_FILE_BYTES).unwrap() + 1]).unwrap();
    fails(&mut world, &definition, SpawnStage::EnvFile, libc::EFBIG, name);
}

#[test]
fn no_descriptor_left_is_a_failed_pipe() {
    let mut world = World::new();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).unwrap();
    let run = world.spawn(&service(&["true"], Handshake::Pipe), &[]);
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    let failure = SpawnFailure { stage: SpawnStage::Pipe, errno: libc::EMFILE, subject: String::new() };
    assert_eq!(world.next(), Event::Run(run, RunEvent::SpawnFailed(failure)));
}

#[test]
fn a_socket_that_is_not_held_is_a_failed_listener() {
    let mut world = World::new();
    let run = world.spawn(&service(&["true"], Handshake::Pipe), &[ListenerId(7)]);
    let failure = SpawnFailure { stage: SpawnStage::Listener, errno: libc::EBADF, subject: String::new() };
    assert_eq!(world.next(), Event::Run(run, RunEvent::SpawnFailed(failure)));
}

#[test]
fn a_file_that_is_being_written_cannot_be_started_until_it_is_closed() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let name = program(&path, &fs::read("/bin/true").unwrap(), 0o755);
    let definition = service(&[&name], Handshake::Pipe);
    let busy = SpawnFailure { stage: SpawnStage::Exec, errno: libc::ETXTBSY, subject: name.clone() };

    let writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let run = world.spawn(&definition, &[]);
    assert_eq!(world.next(), Event::Run(run, RunEvent::SpawnFailed(busy)));

    drop(writer);
    let run = world.spawn(&definition, &[]);
    assert!(matches!(world.next(), Event::Run(spawned, RunEvent::Spawned { .. }) if spawned == run));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: false }));
}
