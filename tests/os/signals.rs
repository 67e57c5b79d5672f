//! Signals to the supervisor, one and many.

use crate::world::{World, code, has_children, service};
use bootstrap::core::{Event, Request, RunEvent};
use bootstrap::plan::Handshake;
use nix::sys::signal::{Signal, raise};
use std::collections::BTreeSet;

/// To this very thread: the handler has run when it returns. One sent to the process may run in another
/// thread of the test, at any later time.
fn send(signal: Signal) {
    raise(signal).unwrap();
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
fn two_stop_signals_are_two_stops_and_two_equal_restarts_that_wait_are_one() {
    let mut world = World::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1, Signal::SIGUSR1] {
        send(signal);
    }
    let seen = [world.next(), world.next(), world.next()];
    for (request, times) in [(Request::Stop, 2), (Request::Restart, 1)] {
        let wanted = Event::Request(request.clone());
        let count = seen.iter().filter(|event| **event == wanted).count();
        assert_eq!(count, times, "{request:?} in {seen:?}");
    }
    let now = world.os.now();
    assert_eq!(world.next_before(now), None);
}

#[test]
fn in_a_storm_every_exit_is_told_and_the_last_request_is_never_lost() {
    let mut world = World::new();
    let definition = service(&["sh", "-c", "kill -USR1 $PPID"], Handshake::Pipe);
    for _ in 0..10 {
        let mut left: BTreeSet<_> = (0..20).map(|_| world.spawn(&definition, &[])).collect();
        let mut restarts = 0;
        while !left.is_empty() || restarts == 0 {
            match world.next() {
                Event::Run(run, RunEvent::Exited { status, group_left }) => {
                    assert_eq!((status, group_left), (code(0), false));
                    assert!(left.remove(&run), "{run:?} ended twice");
                }
                Event::Request(Request::Restart) => restarts += 1,
                Event::Run(_, RunEvent::Spawned { .. } | RunEvent::PipeEnded(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(restarts <= 20, "{restarts}");
        send(Signal::SIGUSR1);
        assert_eq!(world.next(), Event::Request(Request::Restart));
    }
    assert!(!has_children());
}
