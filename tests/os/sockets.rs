//! Sockets as the core knows them: by id.

use crate::world::{World, descriptors};
use bootstrap::core::{Action, BindFailure, Event, Owner};
use bootstrap::plan::{Address, ListenerId, ListenerSpec, Pid};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

fn spec(address: Address) -> ListenerSpec {
    ListenerSpec::new(address)
}

#[test]
fn of_a_batch_all_are_bound_or_none_and_the_owner_of_what_is_taken_is_named() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Address::Tcp(other.local_addr().unwrap());
    let before = descriptors();
    world.os.perform(Action::Bind {
        sockets: vec![
            (ListenerId(1), spec(Address::Unix(path.clone()))),
            (ListenerId(2), spec(taken.clone())),
            (ListenerId(3), spec(Address::Unix(plain.clone()))),
        ],
    });
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let owner = Owner { pid: Pid(std::process::id().try_into().unwrap()), command: own.trim_end().into() };
    let expected = [
        BindFailure { address: taken, errno: libc::EADDRINUSE, owner: Some(owner) },
        BindFailure { address: Address::Unix(plain.clone()), errno: libc::EEXIST, owner: None },
    ];
    assert_eq!(world.next(), Event::BindRefused { failures: expected.into() });
    assert_eq!(descriptors(), before);
    assert!(!path.exists() && plain.exists());

    world.os.perform(Action::Bind { sockets: vec![(ListenerId(1), spec(Address::Unix(path.clone())))] });
    assert_eq!(world.next(), Event::Bound);
    UnixStream::connect(&path).unwrap();
    world.os.perform(Action::Close { listener: ListenerId(1) });
    assert!(!path.exists());
    assert_eq!(descriptors(), before);
}

#[test]
fn a_parked_address_refuses_until_it_is_taken_back_and_a_foreign_path_is_told() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (tcp, unix) = (ListenerId(1), ListenerId(2));
    let sockets = vec![(tcp, spec(Address::Tcp(port))), (unix, spec(Address::Unix(path.clone())))];
    world.os.perform(Action::Bind { sockets });
    assert_eq!(world.next(), Event::Bound);
    let served = || (TcpStream::connect(port).is_ok(), UnixStream::connect(&path).is_ok());
    assert_eq!(served(), (true, true));
    for listener in [tcp, unix] {
        world.os.perform(Action::Park { listener });
    }
    assert_eq!(served(), (false, false));
    for listener in [tcp, unix] {
        world.os.perform(Action::Listen { listener });
    }
    assert_eq!(served(), (true, true));

    world.os.perform(Action::Park { listener: unix });
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    world.os.perform(Action::Listen { listener: unix });
    world.os.release();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert!(TcpStream::connect(port).is_err());
}
