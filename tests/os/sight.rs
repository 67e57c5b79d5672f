//! Whether a server accepts, seen from outside, for the ways in which servers wait.

use crate::world::{World, example, service};
use bootstrap::core::{Action, Closeness, Event, Hearing, RunEvent, Sight};
use bootstrap::plan::{Address, Definition, Handshake, ListenerId, ListenerSpec, RunId};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const SOCKET: ListenerId = ListenerId(1);

/// An address with a port that is free.
fn free(address: &str) -> SocketAddr {
    TcpListener::bind(address).unwrap().local_addr().unwrap()
}

/// A service with one TCP socket, which is bound.
fn serving(world: &mut World, command: &[&str], handshake: Handshake) -> (Definition, SocketAddr) {
    let address = free("127.0.0.1:0");
    (serving_at(world, command, handshake, Address::Tcp(address)), address)
}

fn serving_at(world: &mut World, command: &[&str], handshake: Handshake, address: Address) -> Definition {
    let mut definition = service(command, handshake);
    definition.listeners.push(ListenerSpec::new(address));
    world.os.perform(Action::Bind { sockets: vec![(SOCKET, definition.listeners[0].clone())] });
    assert_eq!(world.next(), Event::Bound);
    definition
}

/// A Python server, whose listener is `s`. It leaves at SIGTERM and drains for ever.
fn python(world: &mut World, text: &str) -> (RunId, SocketAddr) {
    let address = free("127.0.0.1:0");
    (python_at(world, text, Address::Tcp(address)).0, address)
}

fn python_at(world: &mut World, text: &str, address: Address) -> (RunId, Address) {
    let text = format!(
        "import os, signal, socket, sys, threading, time\n\
         s = socket.socket(fileno=int(sys.argv[1]))\n\
         class Leave(Exception): pass\n\
         def leave(*_): raise Leave\n\
         signal.signal(signal.SIGTERM, leave)\n\
         def drain():\n    while True: signal.pause()\n\
         {text}"
    );
    let definition = serving_at(world, &["python3", "-c", &text, "{fd}"], Handshake::None, address.clone());
    (world.spawn(&definition, &[SOCKET]), address)
}

/// What one look shows.
fn look(world: &mut World, run: RunId) -> Sight {
    look_for_what(world, run, Closeness::Waiting)
}

fn look_for_what(world: &mut World, run: RunId, closeness: Closeness) -> Sight {
    world.os.perform(Action::Look { run, closeness });
    loop {
        match world.next() {
            Event::Run(seen, RunEvent::Seen(sight)) if seen == run => return sight,
            Event::Run(_, RunEvent::Spawned { .. } | RunEvent::Said(_) | RunEvent::PipeEnded(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Looks until it shows `wanted`; the limit only ends a hanging test.
#[track_caller]
fn look_for(world: &mut World, run: RunId, wanted: Sight) {
    let limit = world.os.now() + Duration::from_secs(30);
    while look(world, run) != wanted {
        assert!(world.os.now() < limit, "never {wanted:?}");
        std::thread::yield_now();
    }
}

/// It is seen to accept, and after `signal` not to, while it lives.
#[track_caller]
fn accepts_until_asked(world: &mut World, run: RunId, signal: i32, then: Sight) {
    look_for(world, run, Sight::Accepting);
    world.os.perform(Action::Ask { run, signal, hearing: Hearing::Unknown });
    look_for(world, run, then);
    world.end(run);
    world.os.perform(Action::Close { listener: SOCKET });
}

#[test]
fn our_own_example_servers_are_seen() {
    for name in ["http", "original"] {
        let mut world = World::new();
        let program = example(name);
        let (definition, address) = serving(&mut world, &[program.to_str().unwrap()], Handshake::Pipe);
        let run = world.spawn(&definition, &[SOCKET]);
        look_for(&mut world, run, Sight::Accepting);
        // A connection that has not ended keeps the server alive after it was asked.
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        if name == "original" {
            // It serves one client at a time.
            look_for(&mut world, run, Sight::NotAccepting);
            client.write_all(b"\r\n").unwrap();
            client.read_to_end(&mut Vec::new()).unwrap();
            look_for(&mut world, run, Sight::Accepting);
            world.end(run);
            world.os.perform(Action::Close { listener: SOCKET });
        } else {
            accepts_until_asked(&mut world, run, libc::SIGUSR1, Sight::Closed);
        }
    }
}

#[test]
fn every_way_of_waiting_is_seen_until_the_server_is_asked_to_leave() {
    for text in [
        // The main thread blocked in accept.
        "try:\n    while True: s.accept()\nexcept Leave: s.close()\ndrain()",
        "import select\ntry: select.select([s], [], [])\nexcept Leave: s.close()\ndrain()",
        "import select\np = select.poll()\np.register(s, select.POLLIN)\n\
         try: p.poll()\nexcept Leave: s.close()\ndrain()",
        "import select\ne = select.epoll()\ntry:\n    e.register(s, select.EPOLLIN)\n    e.poll()\n\
         except Leave: e.unregister(s)\ndrain()",
        // Closed, but not taken out of the set: the supervisor's copy keeps it in there.
        "import select\ne = select.epoll()\ntry:\n    e.register(s, select.EPOLLIN)\n    e.poll()\n\
         except Leave: s.close()\ndrain()",
        "import socketserver\nt = socketserver.ThreadingTCPServer(('127.0.0.1', 0), None, False)\n\
         t.socket = s\ntry: t.serve_forever()\nexcept Leave: s.close()\ndrain()",
        "import selectors\nx = selectors.DefaultSelector()\ntry:\n    x.register(s, selectors.EVENT_READ)\n    x.select()\n\
         except Leave: x.unregister(s)\ndrain()",
        // Its handler is there before it can be seen to accept.
        "import asyncio\nasync def main():\n    \
         server = await asyncio.start_server(lambda r, w: None, sock=s, start_serving=False)\n    \
         asyncio.get_running_loop().add_signal_handler(15, server.close)\n    await server.start_serving()\n    \
         await asyncio.Event().wait()\nasyncio.run(main())",
        // A worker has the listener and the main process has not.
        "try:
    if os.fork() == 0:
        try:
            while True: s.accept()
        except Leave: s.close()
    else:
        s.close()
    drain()
except Leave:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    while True: signal.pause()",
    ] {
        let mut world = World::new();
        let (run, _) = python(&mut world, text);
        // Who has it open still may accept again.
        let then = if text.contains("unregister") { Sight::NotAccepting } else { Sight::Closed };
        accepts_until_asked(&mut world, run, libc::SIGTERM, then);
    }
}

#[test]
fn a_thread_that_accepts_is_seen_and_so_is_a_datagram_server() {
    let mut world = World::new();
    let (run, _) = python(&mut world, "threading.Thread(target=s.accept).start()\ndrain()");
    look_for(&mut world, run, Sight::Accepting);
    world.end(run);

    let text = "import socket, sys; socket.socket(fileno=int(sys.argv[1])).recvfrom(9)";
    let mut definition = service(&["python3", "-c", text, "{fd}"], Handshake::None);
    let address = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    definition.listeners.push(ListenerSpec::new(Address::Udp(address)));
    let sockets = vec![(ListenerId(2), definition.listeners[0].clone())];
    world.os.perform(Action::Bind { sockets });
    assert_eq!(world.next(), Event::Bound);
    let run = world.spawn(&definition, &[ListenerId(2)]);
    look_for(&mut world, run, Sight::Accepting);
    world.end(run);
}

#[test]
fn a_worker_that_is_busy_shows_nothing_until_it_waits_again() {
    let mut world = World::new();
    let (run, address) =
        python(&mut world, "while True:\n    c, _ = s.accept()\n    c.recv(1)\n    c.close()");
    look_for(&mut world, run, Sight::Accepting);
    assert_eq!(look_for_what(&mut world, run, Closeness::Serving), Sight::Accepting);
    let mut client = TcpStream::connect(address).unwrap();
    look_for(&mut world, run, Sight::NotAccepting);
    assert_eq!(look_for_what(&mut world, run, Closeness::Serving), Sight::Busy);
    client.write_all(b"x").unwrap();
    look_for(&mut world, run, Sight::Accepting);
    world.end(run);
}

/// What a process has made itself, or what waits in the queue, is no client that it has accepted.
#[test]
fn who_has_accepted_a_client_is_busy_and_nobody_else() {
    const SERVES: &str = "c, _ = s.accept()\nc.recv(1)";
    // It waits for the answer of a client of its own, at that very address.
    const ASKS: &str = "c = socket.socket(s.family)\nc.connect(s.getsockname())\nc.recv(1)";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    for (text, expected) in [(SERVES, Sight::Busy), (ASKS, Sight::NotAccepting)] {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut world = World::new();
            let (run, address) = python_at(&mut world, text, Address::Tcp(free(address)));
            let Address::Tcp(socket) = address else { panic!() };
            let _client = (expected == Sight::Busy).then(|| TcpStream::connect(socket).unwrap());
            settles(&mut world, run, expected);
        }
        let mut world = World::new();
        let (run, _) = python_at(&mut world, text, Address::Unix(path.clone()));
        let _client = (expected == Sight::Busy).then(|| UnixStream::connect(&path).unwrap());
        settles(&mut world, run, expected);
    }
}

/// Once it blocks in a read it shows this.
#[track_caller]
fn settles(world: &mut World, run: RunId, expected: Sight) {
    let Event::Run(_, RunEvent::Spawned { pid }) = world.next() else { panic!("not started") };
    let limit = world.os.now() + Duration::from_secs(30);
    let reads = |call: String| call.starts_with(&format!("{} ", libc::SYS_recvfrom));
    while !std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(reads) {
        assert!(world.os.now() < limit, "never reads");
        std::thread::yield_now();
    }
    assert_eq!(look(world, run), Sight::NotAccepting);
    assert_eq!(look_for_what(world, run, Closeness::Serving), expected);
    world.end(run);
    world.os.perform(Action::Close { listener: SOCKET });
}

#[test]
fn workers_that_outlive_their_main_process_are_seen() {
    let mut world = World::new();
    // It is seen from `register` on, and may be asked to leave at once.
    let text = "import select\nif os.fork(): os._exit(0)\ntry:\n    e = select.epoll()\n\
                \x20   e.register(s, select.EPOLLIN)\n    e.poll()\nexcept Leave: s.close()\ndrain()";
    let (run, _) = python(&mut world, text);
    loop {
        match world.next() {
            Event::Run(_, RunEvent::Exited { group_left: true, .. }) => break,
            Event::Run(_, RunEvent::Spawned { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    look_for(&mut world, run, Sight::Accepting);
    world.os.perform(Action::Terminate { run });
    look_for(&mut world, run, Sight::Closed);
    world.end(run);
}

#[test]
fn a_socket_of_its_own_is_not_one_of_the_service_and_a_run_that_is_gone_accepts_nothing() {
    let mut world = World::new();
    let text = "import select\no = socket.create_server(('127.0.0.1', 0))\ne = select.epoll()\n\
                e.register(o, select.EPOLLIN)\nprint(flush=True)\ntry: e.poll()\nexcept Leave: os._exit(0)";
    let (run, _) = python(&mut world, text);
    // It sleeps in its epoll set before it is looked at.
    let Event::Run(_, RunEvent::Spawned { pid }) = world.next() else { panic!("not started") };
    let limit = world.os.now() + Duration::from_secs(30);
    while !std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|at| at.contains("poll")) {
        assert!(world.os.now() < limit, "never waits");
        std::thread::yield_now();
    }
    assert_eq!(look(&mut world, run), Sight::NotAccepting);
    world.end(run);
    assert_eq!(look(&mut world, run), Sight::NotAccepting);
}
