//! What servers do to the sockets that they share with us, and what becomes of it.

use crate::world::{World, descriptors, service};
use bootstrap::core::{Action, Event, Repair, RunEvent};
use bootstrap::plan::{Address, Definition, Handshake, ListenerId, ListenerSpec, RunId};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

const TCP: ListenerId = ListenerId(1);
const UNIX: ListenerId = ListenerId(2);

fn bind(world: &mut World, listener: ListenerId, address: Address) {
    world.os.perform(Action::Bind { sockets: vec![(listener, ListenerSpec::new(address))] });
    assert_eq!(world.next(), Event::Bound);
}

/// A program that does this to the socket `s` and then waits for ever.
fn rude(text: &str) -> Definition {
    let text = format!(
        "import os, signal, socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\n{text}\nsignal.pause()"
    );
    let mut definition = service(&["python3", "-c", &text, "{fd}"], Handshake::None);
    definition.listeners.push(ListenerSpec::new(Address::Unix("/nowhere".into())));
    definition
}

/// What is repaired next; all else that a run may do is passed over.
#[track_caller]
fn repaired(world: &mut World) -> (ListenerId, Repair) {
    loop {
        match world.next() {
            Event::Repaired { listener, what } => return (listener, what),
            Event::Run(_, RunEvent::Spawned { .. } | RunEvent::Exited { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Waits for the end of a run, in which nothing was repaired.
#[track_caller]
fn ends_quietly(world: &mut World, run: RunId) {
    loop {
        match world.next() {
            Event::Run(ended, RunEvent::Exited { group_left: false, .. }) if ended == run => break,
            Event::Run(_, RunEvent::Spawned { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    world.quiet();
}

#[test]
fn a_tcp_socket_that_a_server_shuts_down_listens_again_at_once_and_each_time() {
    let mut world = World::new();
    let before = descriptors();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bind(&mut world, TCP, Address::Tcp(address));
    for how in ["SHUT_RD", "SHUT_RDWR"] {
        let run = world.spawn(&rude(&format!("s.shutdown(socket.{how})")), &[TCP]);
        assert_eq!(repaired(&mut world), (TCP, Repair::ListensAgain), "{how}");
        TcpStream::connect(address).unwrap();
        world.end(run);
    }
    world.os.perform(Action::Close { listener: TCP });
    assert_eq!(descriptors(), before);
}

#[test]
fn a_socket_that_we_parked_is_not_one_that_a_server_harmed() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bind(&mut world, TCP, Address::Tcp(address));
    bind(&mut world, UNIX, Address::Unix(path.clone()));
    for _ in 0..2 {
        let run = world.spawn(&service(&["true"], Handshake::None), &[TCP, UNIX]);
        ends_quietly(&mut world, run);
        world.os.perform(Action::Park { listener: TCP });
        world.os.perform(Action::Park { listener: UNIX });
        world.quiet();
        assert!(TcpStream::connect(address).is_err());
    }
    world.os.perform(Action::Listen { listener: TCP });
    world.quiet();
    TcpStream::connect(address).unwrap();
}

#[test]
fn what_becomes_of_a_unix_path_is_seen_when_a_run_ends() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let name = path.to_str().unwrap();
    bind(&mut world, UNIX, Address::Unix(path.clone()));
    let spare = dir.path().join(".s.bootstrap");
    let remove = |paths: &[&Path]| {
        let mut command = vec!["rm"];
        command.extend(paths.iter().map(|path| path.to_str().unwrap()));
        service(&command, Handshake::None)
    };
    let waiting = UnixStream::connect(&path).unwrap();
    world.spawn(&remove(&[Path::new(name)]), &[UNIX]);
    assert_eq!(repaired(&mut world), (UNIX, Repair::PathPutBack));
    UnixStream::connect(&path).unwrap();
    drop(waiting);

    world.spawn(&remove(&[&path, &spare]), &[UNIX]);
    assert_eq!(repaired(&mut world), (UNIX, Repair::PathBoundAnew));
    UnixStream::connect(&path).unwrap();

    let run = world.spawn(&rude("s.shutdown(socket.SHUT_RDWR)\nos._exit(0)"), &[UNIX]);
    assert_eq!(repaired(&mut world), (UNIX, Repair::PathBoundAnew));
    UnixStream::connect(&path).unwrap();

    // Nobody harmed it since.
    let after = world.spawn(&service(&["true"], Handshake::None), &[UNIX]);
    assert_ne!(run, after);
    ends_quietly(&mut world, after);
}

#[test]
fn a_path_that_a_server_removes_when_it_says_that_it_leaves_is_put_back_while_it_drains() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    bind(&mut world, UNIX, Address::Unix(path.clone()));
    let text = format!("rm {}; printf success > /proc/self/fd/$2; exec sleep 1000", path.display());
    let mut definition = service(&["sh", "-c", &text, "sh"], Handshake::Pipe);
    definition.listeners.push(ListenerSpec::new(Address::Unix(path.clone())));
    let run = world.spawn(&definition, &[UNIX]);
    loop {
        match world.next() {
            Event::Repaired { listener, what } => {
                assert_eq!((listener, what), (UNIX, Repair::PathPutBack));
                break;
            }
            Event::Run(_, RunEvent::Spawned { .. } | RunEvent::Said(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    UnixStream::connect(&path).unwrap();
    world.end(run);
}
