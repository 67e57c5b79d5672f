//! What a listener does with real sockets.

use super::*;
use crate::plan::Access;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn tcp() -> (Listener, SocketAddr) {
    // Another test may be faster to take the port.
    let bound = (0..10).find_map(|_| {
        let address = free_port();
        Some((Listener::bind(ListenerSpec::new(Address::Tcp(address))).ok()?, address))
    });
    bound.unwrap()
}

fn unix(dir: &tempfile::TempDir) -> (Listener, std::path::PathBuf) {
    let path = dir.path().join("s");
    (Listener::bind(ListenerSpec::new(Address::Unix(path.clone()))).unwrap(), path)
}

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn a_parked_tcp_socket_refuses_and_one_taken_back_accepts() {
    let (mut listener, address) = tcp();
    TcpStream::connect(address).unwrap();
    for _ in 0..2 {
        listener.park().unwrap();
        listener.park().unwrap();
        assert_eq!(errno(TcpStream::connect(address)), Some(libc::ECONNREFUSED));
        listener.listen().unwrap();
        listener.listen().unwrap();
        TcpStream::connect(address).unwrap();
    }
}

#[test]
fn a_parked_tcp_port_is_nobody_elses() {
    let (mut listener, address) = tcp();
    listener.park().unwrap();
    // std sets SO_REUSEADDR.
    assert_eq!(errno(TcpListener::bind(address)), Some(libc::EADDRINUSE));
    listener.listen().unwrap();
    TcpStream::connect(address).unwrap();
}

#[test]
fn a_parked_unix_socket_refuses_and_one_taken_back_accepts_at_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listener, path) = unix(&dir);
    UnixStream::connect(&path).unwrap();
    for _ in 0..2 {
        listener.park().unwrap();
        assert_eq!(errno(UnixStream::connect(&path)), Some(libc::ECONNREFUSED));
        listener.listen().unwrap();
        UnixStream::connect(&path).unwrap();
        let name = listener.socket.local_addr().unwrap();
        assert_eq!(name.as_pathname(), Some(path.as_path()));
    }
    listener.release();
    assert_eq!(dir.path().read_dir().unwrap().count(), 0, "nothing is left behind");
}

/// Clients that waited in the queue of a unix socket when its service crashed once waited on for ever.
#[test]
fn clients_that_wait_are_sent_away_by_a_park() {
    let dir = tempfile::tempdir().unwrap();
    let (mut unix, path) = unix(&dir);
    let (mut tcp, address) = tcp();
    let mut over_unix = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
    let mut over_tcp = TcpStream::connect(address).unwrap();
    over_tcp.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    unix.park().unwrap();
    tcp.park().unwrap();
    for client in &mut over_unix {
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    assert_eq!(errno(over_tcp.read(&mut [0])), Some(libc::ECONNRESET));
}

#[test]
fn what_a_server_did_to_the_socket_is_undone() {
    let (mut listener, address) = tcp();
    listener.restore(false).unwrap();
    let servers = listener.socket.try_clone().unwrap();
    servers.set_nonblocking(true).unwrap();
    servers.set_tcp_nodelay(true).unwrap();
    servers.set_keepalive(true).unwrap();
    set_defer_accept(&servers, Some(Duration::from_secs(3))).unwrap();
    servers.shutdown(Shutdown::Both).unwrap();
    assert_eq!(errno(TcpStream::connect(address)), Some(libc::ECONNREFUSED));

    assert_eq!(listener.restore(false).unwrap(), Some(Repair::ListensAgain));
    assert_eq!(listener.restore(false).unwrap(), None);
    TcpStream::connect(address).unwrap();
    assert!(!servers.nonblocking().unwrap());
    assert!(!servers.tcp_nodelay().unwrap());
    assert!(!servers.keepalive().unwrap());
    // A connection without a byte counts at once, so it can be accepted.
    servers.accept().unwrap();
}

#[test]
fn settings_of_the_spec_are_written_and_a_parked_socket_stays_parked() {
    let (mut listener, address) = tcp();
    let mut spec = ListenerSpec::new(Address::Tcp(address));
    spec.settings.nonblocking = true;
    spec.settings.defer_accept = Some(Duration::from_millis(1500));
    listener.configure(spec.clone()).unwrap();
    let _silent = TcpStream::connect(address).unwrap();
    assert_eq!(errno(listener.socket.accept()), Some(libc::EAGAIN), "deferred, and non-blocking");

    listener.park().unwrap();
    listener.configure(spec).unwrap();
    assert_eq!(errno(TcpStream::connect(address)), Some(libc::ECONNREFUSED));
}

#[test]
fn a_path_that_a_leaving_server_unlinked_is_put_back_with_its_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listener, path) = unix(&dir);
    let _waiting = UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let number = listener.number();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathPutBack));
    UnixStream::connect(&path).unwrap();
    assert_eq!(listener.number(), number, "the same socket");
    listener.socket.accept().unwrap();
    listener.socket.accept().unwrap();
}

/// A server that unlinks the path and binds for itself leaves a dead socket there when it ends.
#[test]
fn a_dead_socket_at_the_path_gives_way_and_all_else_is_left_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listener, path) = unix(&dir);
    let waiting = UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathTaken), "somebody serves there");
    assert_eq!(listener.mend().unwrap(), None, "told at each start, and not at each word");
    drop(other);
    assert_eq!(listener.mend().unwrap(), Some(Repair::PathPutBack));
    UnixStream::connect(&path).unwrap();
    drop(waiting);

    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathTaken));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    // One that was parked would be of no use to a server: it has another, which is at no path.
    listener.park().unwrap();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathTaken));
    assert!(!listener.is_shut_down().unwrap() && listener.socket.is_listener().unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathBoundAnew));
    UnixStream::connect(&path).unwrap();
}

/// A server has other sockets, too: it starts whatever became of one path.
#[test]
fn where_nothing_can_be_put_at_the_path_there_is_a_socket_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for is_parked in [false, true] {
        let (mut listener, path) = unix(&dir);
        if is_parked {
            listener.park().unwrap();
        }
        std::fs::remove_dir_all(&dir).unwrap();
        for _ in 0..2 {
            assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathLost(libc::ENOENT)));
            assert!(!listener.is_shut_down().unwrap() && listener.socket.is_listener().unwrap());
            assert_eq!(listener.mend().ok().flatten(), None, "told at each start, and not at each word");
        }
        let own = listener.socket.local_addr().unwrap();
        assert!(own.as_pathname().is_some_and(|path| !path.exists()), "nobody reaches it: {own:?}");
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathBoundAnew));
        UnixStream::connect(&path).unwrap();
        listener.release();
    }
}

#[test]
fn a_path_whose_spare_name_is_gone_too_gets_a_new_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listener, path) = unix(&dir);
    for entry in dir.path().read_dir().unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathBoundAnew));
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_unix_socket_that_a_server_shut_down_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    for how in [Shutdown::Read, Shutdown::Both] {
        let (mut listener, path) = unix(&dir);
        listener.socket.shutdown(how).unwrap();
        assert_eq!(errno(UnixStream::connect(&path)), Some(libc::ECONNREFUSED));
        listener.restore(false).unwrap();
        UnixStream::connect(&path).unwrap();
        listener.release();
    }
}

#[test]
fn a_stale_path_is_taken_and_nothing_else_ever_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let spec = || ListenerSpec::new(Address::Unix(path.clone()));
    let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert_eq!(errno(Listener::bind(spec())), Some(libc::EADDRINUSE));
    drop(other);
    let ours = Listener::bind(spec()).unwrap();
    UnixStream::connect(&path).unwrap();

    // Somebody puts something else there: it is not ours to remove or to replace.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    ours.release();
    assert_eq!(errno(Listener::bind(spec())), Some(libc::EEXIST));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn udp_is_bound_once_and_only_once() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let spec = || ListenerSpec::new(Address::Udp(address));
    let mut listener = Listener::bind(spec()).unwrap();
    assert_eq!(errno(Listener::bind(spec())), Some(libc::EADDRINUSE));
    listener.park().unwrap();
    listener.restore(false).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"x", address).unwrap();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 2];
    assert_eq!(listener.socket.recv(&mut buffer).unwrap(), 1);
}

#[test]
fn both_families_have_the_same_port() {
    let v6: SocketAddr = ([0_u16; 8], free_port().port()).into();
    let v4: SocketAddr = ([0, 0, 0, 0], v6.port()).into();
    let _v6 = Listener::bind(ListenerSpec::new(Address::Tcp(v6))).unwrap();
    Listener::bind(ListenerSpec::new(Address::Tcp(v4))).unwrap();
}

#[test]
fn a_unix_socket_has_the_mode_that_is_given_and_gets_it_back_before_each_start() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let mut spec = ListenerSpec::new(Address::Unix(path.clone()));
    spec.settings.access =
        Access { mode: Some(0o640), uid: None, gid: Some(nix::unistd::getegid().as_raw()) };
    let mut listener = Listener::bind(spec.clone()).unwrap();
    let mode = || std::fs::symlink_metadata(&path).unwrap().mode() & 0o7777;
    assert_eq!(mode(), 0o640);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    listener.restore(false).unwrap();
    assert_eq!(mode(), 0o640, "what a server changed is not for its successor");
    spec.settings.access.mode = Some(0o600);
    listener.configure(spec.clone()).unwrap();
    assert_eq!(mode(), 0o600);
    // What is taken out is as it would have been: a socket for everybody does not stay one.
    spec.settings.access.mode = None;
    listener.configure(spec.clone()).unwrap();
    let plain = dir.path().join("plain");
    let _other = std::os::unix::net::UnixListener::bind(&plain).unwrap();
    assert_eq!(mode(), std::fs::symlink_metadata(&plain).unwrap().mode() & 0o7777);
    spec.settings.access.mode = Some(0o600);
    listener.configure(spec).unwrap();
    // Bound anew, because a server has removed both names.
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(dir.path().join(".s.bootstrap")).unwrap();
    assert_eq!(listener.restore(false).unwrap(), Some(Repair::PathBoundAnew));
    assert_eq!(mode(), 0o600);
}

/// The directory may be the server's own, and we may be root.
#[test]
fn what_somebody_has_put_at_the_path_is_not_touched() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let (mut listener, path) = unix(&dir);
    let secret = dir.path().join("shadow");
    std::fs::write(&secret, "").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut spec = ListenerSpec::new(Address::Unix(path.clone()));
    spec.settings.access.mode = Some(0o666);
    for replace in [
        (|secret, path| std::os::unix::fs::symlink(secret, path))
            as fn(&std::path::Path, &std::path::Path) -> _,
        |secret, path| std::fs::hard_link(secret, path),
    ] {
        replace(&secret, &path).unwrap();
        assert_eq!(errno(listener.configure(spec.clone())), Some(libc::EEXIST));
        assert_eq!(std::fs::metadata(&secret).unwrap().mode() & 0o7777, 0o600);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_backlog_is_that_of_the_file_whatever_a_server_made_of_it() {
    let (mut listener, address) = tcp();
    let limit = |listener: &Listener| match listener.queue(|_, _| None) {
        Some(Queue::Clients { limit, .. }) => limit,
        other => panic!("{other:?}"),
    };
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let most: u32 = most.trim().parse().unwrap();
    assert_eq!(limit(&listener), most);
    let mut spec = ListenerSpec::new(Address::Tcp(address));
    spec.settings.backlog = Some(7);
    listener.configure(spec).unwrap();
    assert_eq!(limit(&listener), 7);
    listener.restore(false).unwrap();
    // As servers do.
    listener.socket.listen(100).unwrap();
    assert_eq!(limit(&listener), 100.min(most));
    listener.restore(false).unwrap();
    assert_eq!(limit(&listener), 7);
}
