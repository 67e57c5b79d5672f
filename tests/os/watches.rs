//! A program is watched from its start on, whenever that is asked for.

use crate::world::{World, code, deploy, service};
use bootstrap::core::{Action, Event, RunEvent};
use bootstrap::plan::{Handshake, ServiceId};

#[test]
fn a_run_that_has_ended_by_the_time_it_is_to_be_watched_is_watched() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server");
    let mut definition = service(&[path.to_str().unwrap()], Handshake::None);
    let mut policy = (*definition.policy).clone();
    policy.watch = true;
    definition.policy = policy.into();
    let changed = Event::ProgramChanged { service: ServiceId(0) };

    deploy(&path, b"#!/bin/sh\nexit 3\n");
    let (run, _) = world.start(&definition);
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(3), group_left: false }));
    world.os.perform(Action::Watch { run });
    world.quiet();
    deploy(&path, b"#!/bin/sh\nexit 44\n");
    assert_eq!(world.next(), changed);

    // What comes before the watch counts as well.
    let (run, _) = world.start(&definition);
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(44), group_left: false }));
    world.os.perform(Action::Unwatch { service: ServiceId(0) });
    let (run, _) = world.start(&definition);
    deploy(&path, b"#!/bin/sh\nexit 5\n");
    world.os.perform(Action::Watch { run });
    let told = [world.next(), world.next()];
    assert!(told.contains(&changed), "{told:?}");
    world.quiet();
}
