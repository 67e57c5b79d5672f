//! Signals to the supervisor, one and many.

use crate::world::{World, code, has_children, service};
use bootstrap::core::{Event, Request};
use bootstrap::plan::Handshake;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;

fn send(signal: Signal) {
    kill(Pid::this(), signal).unwrap();
}

#[test]
fn each_signal_is_its_request() {
    let mut world = World::new();
    for (signal, request) in [
        (Signal::SIGUSR1, Request::Restart),
        (Signal::SIGHUP, Request::Reload),
        (Signal::SIGTERM, Request::Stop),
        (Signal::SIGINT, Request::Stop),
        (Signal::SIGQUIT, Request::StopNow),
    ] {
        send(signal);
        assert_eq!(world.next(), Event::Request(request), "{signal}");
    }
    // No meaning, and no death of it.
    send(Signal::SIGUSR2);
    send(Signal::SIGHUP);
    assert_eq!(world.next(), Event::Request(Request::Reload));
}

#[test]
fn two_stop_signals_are_two_stops_and_two_equal_restarts_may_be_one() {
    let mut world = World::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR1] {
        send(signal);
    }
    send(Signal::SIGQUIT);
    let mut seen = Vec::new();
    while seen.iter().filter(|event| **event == Event::Request(Request::Stop)).count() < 2
        || !seen.contains(&Event::Request(Request::Restart))
        || !seen.contains(&Event::Request(Request::StopNow))
    {
        seen.push(world.next());
    }
    let now = world.os.now();
    assert_eq!(world.next_before(now), None, "after {seen:?}");
}

#[test]
fn in_a_storm_every_exit_is_told_and_the_last_request_is_never_lost() {
    let mut world = World::new();
    let definition = service(&["sh", "-c", "kill -USR1 $PPID"], Handshake::Pipe);
    for _ in 0..10 {
        let mut left: BTreeSet<_> = (0..20).map(|_| world.spawn(&definition, &[])).collect();
        let mut restarts = 0;
        // The last child's signal was sent before its exit, so it is told at the latest with it.
        while !left.is_empty() {
            match world.next() {
                Event::Exited { run, status, group_left } => {
                    assert_eq!((status, group_left), (code(0), false));
                    assert!(left.remove(&run), "{run:?} ended twice");
                }
                Event::Request(Request::Restart) => restarts += 1,
                Event::Spawned { .. } | Event::PipeEnded { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!((1..=20).contains(&restarts), "{restarts}");
        let now = world.os.now();
        assert_eq!(world.next_before(now), None);
        send(Signal::SIGUSR1);
        assert_eq!(world.next(), Event::Request(Request::Restart));
    }
    assert!(!has_children());
}
