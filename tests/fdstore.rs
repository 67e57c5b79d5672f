//! Sockets that the manager above keeps: nobody of us and of our servers has to live for a client to be answered.

#![allow(clippy::disallowed_methods, reason = "a client has a thread")]

mod support;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM, SIGUSR2};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::collections::BTreeMap;
use std::io::IoSliceMut;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use support::{Client, Stage, Supervised, eventually, example, free_port, get_unix, http};

/// As systemd does it: it keeps what it is told to keep.
struct Manager {
    socket: UnixDatagram,
    keeps: BTreeMap<String, OwnedFd>,
    /// How often it was told to keep something.
    told: usize,
}

impl Manager {
    fn at(path: &str) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, keeps: BTreeMap::new(), told: 0 }
    }

    /// Takes what was said since the last call.
    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        let mut space = nix::cmsg_space!([RawFd; 4]);
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let found = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
            let Ok(message) = found else { return };
            let fds: Vec<OwnedFd> = message.cmsgs().unwrap().flat_map(owned).collect();
            let text = String::from_utf8(message.iovs().next().unwrap_or_default().to_vec()).unwrap();
            self.hear(&text, fds);
        }
    }

    fn hear(&mut self, text: &str, fds: Vec<OwnedFd>) {
        let lines: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let name = lines.get("FDNAME").map(ToString::to_string).unwrap_or_default();
        if lines.contains_key("FDSTORE") {
            // One that was shut down hangs up, and would not be kept.
            assert_eq!((lines.get("FDPOLL"), fds.len()), (Some(&"0"), 1), "{text}");
            assert!(!name.contains(':') && name.len() < 256, "{name}");
            self.told += 1;
            self.keeps.insert(name, fds.into_iter().next().unwrap());
        } else if lines.contains_key("FDSTOREREMOVE") {
            assert!(self.keeps.remove(&name).is_some(), "{name} is not kept");
        } else {
            assert!(fds.is_empty(), "{text}");
        }
    }

    #[track_caller]
    fn wait(&mut self, names: &[&str]) {
        eventually(&format!("{names:?} are kept"), || {
            self.listen();
            self.keeps.keys().collect::<Vec<_>>() == names
        });
    }

    fn give(&self) -> Vec<(String, OwnedFd)> {
        let copy = |(name, fd): (&String, &OwnedFd)| (name.clone(), fd.try_clone().unwrap());
        self.keeps.iter().map(copy).collect()
    }
}

#[expect(unsafe_code, reason = "descriptors that the kernel has just made for us")]
fn owned(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(numbers) = message else { return Vec::new() };
    // SAFETY: they came with the message, and nobody else has them.
    numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect()
}

/// A service on a port and one on a path, and a manager that keeps `room` sockets.
fn started(room: &str) -> (Supervised, Manager, u16, String) {
    let stage = Stage::new();
    let (notify, path, port) = (stage.path("notify"), stage.path("web.sock"), free_port());
    let manager = Manager::at(&notify);
    let stage = stage.env("NOTIFY_SOCKET", &notify).env("FDSTORE", room);
    let supervised = stage.start(&config(port, Some(&path)), &["web", "local"]);
    supervised.wait_answer(port, 1);
    supervised.wait_for(" local generation=1 … ready");
    (supervised, manager, port, path)
}

fn config(port: u16, path: Option<&str>) -> String {
    let local = |path| {
        let command = example("http");
        format!("[[service]]\nname = \"local\"\nlisten = [\"unix:{path}\"]\ncommand = [{command:?}]\n")
    };
    http("web", port, "") + &path.map(local).unwrap_or_default()
}

fn names(port: u16, path: &str) -> [String; 2] {
    [format!("tcp%3A//127.0.0.1%3A{port}"), format!("unix%3A{path}")]
}

/// Kills it, and every process of it.
fn kill_all(supervised: &mut Supervised) {
    let servers = supervised.offspring();
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    for server in &servers {
        server.signal(SIGKILL);
    }
    eventually("all are gone", || supervised.offspring().is_empty());
}

/// Nobody is there: clients of both sockets wait, and are answered by who is started with what the manager has.
fn clients_wait_for_the_next(supervised: &mut Supervised, manager: &mut Manager, port: u16, path: &str) {
    let mut waiting = Client::connect(port).expect("it listens, though nobody is there");
    waiting.send("/").unwrap();
    let local = std::thread::spawn({
        let path = path.to_owned();
        move || get_unix(Path::new(&path), "/")
    });
    supervised.stage.give(manager.give());
    supervised.start_again();
    supervised.wait_for(" bootstrap … the manager above kept 2 sockets for us");
    assert_eq!(waiting.receive().unwrap().generation(), 1);
    assert_eq!(local.join().unwrap().unwrap().generation(), 1);
    let both = names(port, path);
    manager.wait(&both.each_ref().map(String::as_str));
}

#[test]
fn clients_wait_while_nobody_is_left_and_are_answered_by_who_comes() {
    let (mut supervised, mut manager, port, path) = started("16");
    manager.wait(&names(port, &path).each_ref().map(String::as_str));
    for _ in 0..3 {
        kill_all(&mut supervised);
        clients_wait_for_the_next(&mut supervised, &mut manager, port, &path);
    }
    assert_eq!(manager.told, 2, "it is told once of what it keeps");
    supervised.stop();
}

/// A stop of the unit is not the end of its sockets: the manager has them, over a restart of it at least.
#[test]
fn a_stop_leaves_what_the_manager_has_as_it_is_and_clients_wait_there() {
    let (mut supervised, mut manager, port, path) = started("16");
    manager.wait(&names(port, &path).each_ref().map(String::as_str));
    for _ in 0..2 {
        supervised.signal(SIGTERM);
        supervised.wait_exit();
        clients_wait_for_the_next(&mut supervised, &mut manager, port, &path);
    }
    supervised.stop();
}

/// As with a unit for sockets, which would fail if one of them was shut down.
#[test]
fn sockets_that_were_given_outlive_a_stop_and_one_that_was_ours_does_not() {
    let mut stage = Stage::new();
    let path = stage.path("web.sock");
    // One whose port the kernel has chosen would lose it where it is shut down.
    let [port, own] = [free_port(), free_port()];
    let tcp = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let local = UnixListener::bind(&path).unwrap();
    let given = [OwnedFd::from(tcp.try_clone().unwrap()), local.try_clone().unwrap().into()];
    stage.give(given.map(|fd| ("web.socket".into(), fd)).into());
    let text = config(port, Some(&path)) + &http("own", own, "");
    let mut supervised = stage.start(&text, &["web", "local", "own"]);
    supervised.wait_answer(port, 1);
    supervised.wait_answer(own, 1);
    // It is known to the program after this one, too.
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
    // Down by an order: refused now, and not by whoever has the socket after us.
    let stopped = supervised.stage.run(&["-c", "services.toml", "stop", "web"]);
    assert!(stopped.status.success(), "{stopped:?}");
    TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    supervised.signal(SIGTERM);
    supervised.wait_exit();
    let _clients = (TcpStream::connect(("127.0.0.1", port)).unwrap(), UnixStream::connect(&path).unwrap());
    tcp.accept().unwrap();
    local.accept().unwrap();
    TcpStream::connect(("127.0.0.1", own)).unwrap_err();
}

/// The servers live on: then the sockets are theirs and the manager's, and it is one adoption.
#[test]
fn servers_that_live_are_adopted_with_the_sockets_that_were_kept() {
    let (mut supervised, mut manager, port, path) = started("16");
    let both = names(port, &path);
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    manager.wait(&both);
    let server = supervised.pid_of("web", 1);
    supervised.stage.give(manager.give());
    for _ in 0..2 {
        supervised.kill_and_start_again();
        supervised.wait_for(" web generation=1 … adopted");
        supervised.wait_for(" local generation=1 … adopted");
        assert_eq!(supervised.get(port).pid(), server.0);
    }
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
    manager.wait(&both);
    assert_eq!(manager.told, 2, "it is told once of what it keeps");
    supervised.stop();
}

#[test]
fn an_address_that_leaves_the_file_is_kept_no_more() {
    let (mut supervised, mut manager, port, path) = started("16");
    let both = names(port, &path);
    manager.wait(&[&both[0], &both[1]]);
    supervised.stage.write("services.toml", &config(port, None));
    supervised.signal(SIGHUP);
    manager.wait(&[&both[0]]);

    // It leaves while nobody is there to read the file.
    kill_all(&mut supervised);
    let other = free_port();
    supervised.stage.write("services.toml", &config(other, None));
    supervised.stage.give(manager.give());
    supervised.start_again();
    supervised.wait_answer(other, 1);
    manager.wait(&[&names(other, "")[0]]);
    supervised.stage.give(Vec::new());
    manager.listen();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the old address is still held");
    supervised.stop();
}

/// A unix socket that a server has spoilt is made anew; the manager has the new one then.
#[test]
fn what_is_bound_anew_is_kept_in_place_of_the_old_one() {
    let (mut supervised, mut manager, port, path) = started("16");
    let both = names(port, &path);
    manager.wait(&[&both[0], &both[1]]);
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(supervised.stage.dir().join(".web.sock.bootstrap")).unwrap();
    supervised.signal(nix::sys::signal::Signal::SIGUSR1);
    supervised.wait_for(" local generation=2 … ready");
    eventually("the new one is kept", || {
        manager.listen();
        manager.told == 3
    });
    manager.wait(&[&both[0], &both[1]]);
    kill_all(&mut supervised);
    supervised.stage.give(manager.give());
    supervised.start_again();
    supervised.wait_for(" local generation=1 … ready");
    assert_eq!(get_unix(Path::new(&path), "/").unwrap().generation(), 1);
    supervised.stop();
}

#[test]
fn a_manager_that_keeps_less_is_told_no_more_and_that_is_said() {
    let (supervised, mut manager, port, path) = started("1");
    supervised.wait_for(" bootstrap … keeps 1 of 2 sockets … FileDescriptorStoreMax=");
    eventually("one is kept", || {
        manager.listen();
        manager.keeps.len() == 1
    });
    drop((port, path));
    supervised.stop();
    manager.listen();
    assert_eq!(manager.told, 1);
    let (supervised, mut manager, ..) = started("0");
    supervised.stop();
    manager.listen();
    assert_eq!(manager.told, 0, "it keeps nothing");
}

/// A full queue of the manager delays what it is to keep, and nothing else.
#[test]
fn a_manager_that_is_busy_is_told_later() {
    let stage = Stage::new();
    let (notify, port) = (stage.path("notify"), free_port());
    let mut manager = Manager::at(&notify);
    let flood = UnixDatagram::unbound().unwrap();
    flood.set_nonblocking(true).unwrap();
    while flood.send_to(b"X=1", &notify).is_ok() {}
    let stage = stage.env("NOTIFY_SOCKET", &notify).env("FDSTORE", "8");
    let supervised = stage.start(&config(port, None), &["web"]);
    supervised.wait_answer(port, 1);
    manager.wait(&[&names(port, "")[0]]);
    supervised.stop();
}
