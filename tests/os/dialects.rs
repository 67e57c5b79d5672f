//! The hand-over protocols as a server meets them: descriptors, variables, and what it says back.

use crate::world::{World, code, descriptors, service};
use bootstrap::core::{Action, Event, RunEvent};
use bootstrap::limits::NOTIFY_BYTES;
use bootstrap::plan::{Address, Definition, Handshake, ListenerId, ListenerSpec, RunId};
use bootstrap::protocol::{Notice, Word};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::time::Duration;

/// Two sockets are bound for it and handed over in the order opposite to that of their numbers.
fn serving(world: &mut World, command: &[&str], handshake: Handshake) -> (Definition, [SocketAddr; 2]) {
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = taken.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(taken);
    let mut definition = service(command, handshake);
    for (id, address) in [(2, addresses[1]), (1, addresses[0])] {
        let spec = ListenerSpec::new(Address::Tcp(address));
        world.os.perform(Action::Bind { sockets: vec![(ListenerId(id), spec)] });
        assert_eq!(world.next(), Event::Bound);
    }
    definition.listeners = addresses.map(|address| ListenerSpec::new(Address::Tcp(address))).into();
    definition.listeners[1].name = Some("admin".into());
    (definition, addresses)
}

/// Prints its pid, its variables and the address of each of its sockets to the file `out`.
const LOOK_AT_YOURSELF: &str = r"
import os, socket
with open('out', 'w') as out:
    print('PID', os.getpid(), sep='=', file=out)
    for name, value in os.environ.items(): print(name, value, sep='=', file=out)
    for fd in range(64):
        try:
            s = socket.socket(fileno=fd)
            if s.family == socket.AF_INET: print('fd %d' % fd, s.getsockname()[1], sep='=', file=out)
            else: print('fd %d' % fd, 'unix', sep='=', file=out)
            s.detach()
        except OSError: pass
";

/// What a server of this protocol finds.
fn found(handshake: Handshake, sockets: usize) -> (BTreeMap<String, String>, [String; 2]) {
    let mut world = World::new();
    let before = descriptors();
    let dir = tempfile::tempdir().unwrap();
    let (mut definition, addresses) = serving(&mut world, &["python3", "-c", LOOK_AT_YOURSELF], handshake);
    definition.program.directory = Some(dir.path().into());
    definition.program.env.insert("PLACED".into(), "{fd} {generation}".into());
    definition.listeners.truncate(sockets);
    let listeners: Vec<ListenerId> = [ListenerId(1), ListenerId(2)][..sockets].into();
    let run = world.spawn(&definition, &listeners);
    loop {
        match world.next() {
            Event::Run(_, RunEvent::Spawned { .. } | RunEvent::Notified(_)) => {}
            Event::Run(ended, RunEvent::Exited { status, .. }) => {
                assert_eq!((ended, status), (run, code(0)));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    let text = std::fs::read_to_string(dir.path().join("out")).unwrap();
    for listener in [ListenerId(1), ListenerId(2)] {
        world.os.perform(Action::Close { listener });
    }
    assert_eq!(descriptors(), before);
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let ports = addresses.map(|address| address.port().to_string());
    (lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), ports)
}

/// The sockets that were found, by number.
fn sockets(found: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    found.iter().filter_map(|(name, value)| Some((name.strip_prefix("fd ")?, value.as_str()))).collect()
}

#[test]
fn a_systemd_server_finds_its_sockets_from_three_on_and_its_own_pid() {
    let (found, [first, second]) = found(Handshake::Systemd, 2);
    assert_eq!(sockets(&found), [("3", &*first), ("4", &*second)]);
    for (name, expected) in [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "web:admin"), ("PLACED", "3 1")] {
        assert_eq!(found[name], expected, "{name}");
    }
    assert_eq!(found["LISTEN_PID"], found["PID"]);
    assert!(found["NOTIFY_SOCKET"].starts_with('@'), "{found:?}");
}

#[test]
fn an_inetd_server_finds_its_socket_as_stdin() {
    let (found, [first, _]) = found(Handshake::Inetd, 1);
    assert_eq!(sockets(&found), [("0", &*first)]);
    assert_eq!(found["PLACED"], "0 1");
}

#[test]
fn a_server_of_server_starter_finds_its_ports_by_name() {
    let (found, [first, second]) = found(Handshake::ServerStarter, 2);
    let fds: BTreeMap<&str, &str> = sockets(&found).into_iter().map(|(fd, port)| (port, fd)).collect();
    let expected = format!("127.0.0.1:{first}={};127.0.0.1:{second}={}", fds[&*first], fds[&*second]);
    assert_eq!(found["SERVER_STARTER_PORT"], expected);
    assert_eq!(found["SERVER_STARTER_GENERATION"], "1");
    assert_eq!(fds.len(), 2);
}

#[test]
fn an_einhorn_worker_finds_its_sockets_and_one_to_say_that_it_is_ready() {
    let (found, [first, second]) = found(Handshake::Einhorn, 2);
    let fds: BTreeMap<&str, &str> = sockets(&found).into_iter().map(|(fd, port)| (port, fd)).collect();
    assert_eq!((&*found["EINHORN_FD_0"], &*found["EINHORN_FD_1"]), (fds[&*first], fds[&*second]));
    assert_eq!(found["EINHORN_SOCK_FD"], fds["unix"]);
    assert_eq!(found["EINHORN_FD_COUNT"], "2");
    assert_eq!(found["EINHORN_MASTER_PID"], std::process::id().to_string());
    assert_eq!(fds.len(), 3);
}

/// A Python program with this text.
fn python(text: &str, handshake: Handshake) -> Definition {
    service(&["python3", "-c", text], handshake)
}

/// The beginning of a program that has `say`.
const SAY: &str = "import os, socket, sys, array, subprocess
n = '\\0' + os.environ['NOTIFY_SOCKET'][1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def say(text): s.sendto(text, n)
";

#[track_caller]
fn notified(world: &mut World, run: RunId) -> Notice {
    match world.next() {
        Event::Run(from, RunEvent::Notified(notice)) if from == run => notice,
        other => panic!("{other:?}"),
    }
}

#[test]
fn notices_come_in_their_order_from_every_process_of_the_group_and_before_the_exit() {
    let mut world = World::new();
    let before = descriptors();
    let text = format!(
        "{SAY}say(b'STATUS=loading\\nREADY=1')
subprocess.run([sys.executable, '-c', r'''{SAY}say(b\"STATUS=from a child\")\nsys.stdin.read()'''], input=b'')
say(b'ERRNO=1\\n' + b'x' * ({NOTIFY_BYTES} - 7))
say(b'READY=1\\n' + b'x' * ({NOTIFY_BYTES} - 8))
say(b'STOPPING=1')"
    );
    let (run, _) = world.start(&python(&text, Handshake::Systemd));
    assert_eq!(notified(&mut world, run), Notice::Status("loading".into()));
    assert_eq!(notified(&mut world, run), Notice::Ready);
    let mut rest = Vec::new();
    loop {
        match world.next() {
            Event::Run(_, RunEvent::Notified(notice)) => rest.push(notice),
            Event::Run(_, RunEvent::Exited { status, group_left }) => {
                assert_eq!((status, group_left), (code(0), false));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    // The child may have been reaped by its parent before we read what it had said.
    rest.retain(|notice| *notice != Notice::Status("from a child".into()));
    assert_eq!(rest, [Notice::Ready, Notice::Stopping], "at the limit, but not one past it");
    assert_eq!(descriptors(), before);
}

#[test]
fn a_worker_that_lives_is_heard_and_a_stranger_is_not() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "{SAY}import signal
open('address', 'w').write(n[1:])
if os.fork() == 0:
    say(b'STATUS=worker')
signal.pause()"
    );
    let mut definition = python(&text, Handshake::Systemd);
    definition.program.directory = Some(dir.path().into());
    let (run, _) = world.start(&definition);
    assert_eq!(notified(&mut world, run), Notice::Status("worker".into()));

    // This test is no process of the group, nor is another generation.
    let address = std::fs::read(dir.path().join("address")).unwrap();
    let address = std::os::unix::net::SocketAddr::from_abstract_name(address).unwrap();
    let stranger = std::os::unix::net::UnixDatagram::unbound().unwrap();
    stranger.send_to_addr(b"READY=1", &address).unwrap();
    world.quiet();
    world.end(run);
}

#[test]
fn a_barrier_is_passed_once_what_came_before_was_read_and_no_descriptor_stays() {
    let mut world = World::new();
    let text = format!(
        "{SAY}r, w = os.pipe()
say(b'READY=1')
s.sendmsg([b'BARRIER=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w]))], 0, n)
os.close(w)
os.read(r, 1)
s.sendmsg([b'FDSTORE=1\\nSTATUS=behind it'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [r] * 253))], 0, n)"
    );
    let definition = python(&text, Handshake::Systemd);
    let before = descriptors();
    let (run, _) = world.start(&definition);
    assert_eq!(notified(&mut world, run), Notice::Ready);
    assert_eq!(notified(&mut world, run), Notice::Status("behind it".into()));
    let exited = RunEvent::Exited { status: code(0), group_left: false };
    assert_eq!(world.next(), Event::Run(run, exited));
    assert_eq!(descriptors(), before);
}

#[test]
fn an_einhorn_worker_says_ready_in_pieces_and_its_hanging_up_is_no_news() {
    let mut world = World::new();
    let before = descriptors();
    let text = "import os, socket, signal
s = socket.socket(fileno=int(os.environ['EINHORN_SOCK_FD']))
s.sendall(b'nonsense\\n{\"command\":\"worker:')
s.sendall(b'ack\",\"pid\":%d}\\n' % os.getpid())
s.close()
signal.pause()";
    let (run, _) = world.start(&python(text, Handshake::Einhorn));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Ready)));
    let soon = world.os.now() + Duration::from_millis(50);
    assert_eq!(world.next_before(soon), None);
    world.end(run);
    assert_eq!(descriptors(), before);
}

#[test]
fn a_program_that_was_kept_gets_its_sockets_at_their_numbers_all_the_same() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let script = format!("#!/usr/bin/env python3\n{LOOK_AT_YOURSELF}\nimport signal\nsignal.pause()");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (mut definition, addresses) = serving(&mut world, &[path.to_str().unwrap()], Handshake::Systemd);
    definition.program.directory = Some(dir.path().into());
    let (first, _) = world.start(&definition);
    world.os.perform(Action::Pin { run: first });
    world.end(first);
    std::fs::remove_file(&path).unwrap();
    let _ = std::fs::remove_file(dir.path().join("out"));

    // So many sockets that the number of the script itself is among those that are handed out.
    let many = 40;
    let listeners: Vec<ListenerId> = (0..many).map(|at| ListenerId(1 + at % 2)).collect();
    definition.listeners = listeners
        .iter()
        .map(|id| ListenerSpec::new(Address::Tcp(addresses[usize::try_from(id.0).unwrap() - 1])))
        .collect();
    let run = world.order(&definition, Some(first), &listeners);
    let limit = world.os.now() + Duration::from_secs(30);
    let out = loop {
        assert!(world.os.now() < limit);
        match std::fs::read_to_string(dir.path().join("out")) {
            Ok(text) if text.contains("fd 42=") => break text,
            _ => std::thread::yield_now(),
        }
    };
    for at in 0..many {
        let expected = format!("fd {}={}", 3 + at, addresses[usize::try_from(at).unwrap() % 2].port());
        assert!(out.lines().any(|line| line == expected), "no {expected} in\n{out}");
    }
    world.end(run);
}
