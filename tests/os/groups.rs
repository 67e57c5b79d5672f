//! Words, exits, and what outlives a main process.

use crate::world::{World, code, has_children, script, service};
use bootstrap::core::{Action, Event, ExitStatus, Hearing, PipeEnd, RunEvent};
use bootstrap::plan::Handshake;
use bootstrap::protocol::Word;
use std::fs;
use std::time::Duration;

/// A pipe in the file system: a script that reads it waits until the test writes.
fn gate(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("gate");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

#[test]
fn words_in_pieces_come_in_their_order_and_before_the_exit() {
    let mut world = World::new();
    for cut in 0..=7 {
        let (head, tail) = "success".split_at(cut);
        let (run, _) = world.start(&script(&format!(
            "exec 3>/proc/self/fd/$1; printf 'ready  {head}' >&3; printf '{tail}and more' >&3; exit 3"
        )));
        assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Ready)));
        assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Success)));
        assert_eq!(
            world.next(),
            Event::Run(run, RunEvent::Exited { status: code(3), group_left: false }),
            "cut {cut}"
        );
    }
}

#[test]
fn a_server_that_closes_its_pipe_or_talks_nonsense_is_told_once_and_lives_on() {
    let mut world = World::new();
    for (text, end) in [
        ("eval \"exec $1>&-\"; exec sleep 1000", PipeEnd::Closed),
        ("echo hello, world > /proc/self/fd/$1; exec sleep 1000", PipeEnd::Gibberish(*b"hello, ")),
    ] {
        let definition = service(&["/bin/bash", "-c", text, "bash"], Handshake::Pipe);
        let (run, _) = world.start(&definition);
        assert_eq!(world.next(), Event::Run(run, RunEvent::PipeEnded(end)));
        world.os.perform(Action::Kill { run });
        let status = ExitStatus::Signal { signal: libc::SIGKILL, core_dumped: false };
        assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status, group_left: false }));
    }
}

#[test]
fn a_server_that_never_stops_writing_does_not_keep_the_deadline_back() {
    let mut world = World::new();
    let (run, _) = world.start(&script("exec yes xxxxxx > /proc/self/fd/$1"));
    assert!(matches!(world.next(), Event::Run(_, RunEvent::PipeEnded(PipeEnd::Gibberish(_)))));
    for _ in 0..3 {
        let deadline = world.os.now() + Duration::from_millis(20);
        assert_eq!(world.next_before(deadline), None);
    }
    world.end(run);
}

#[test]
fn what_outlives_the_main_process_is_told_and_so_is_its_end() {
    let mut world = World::new();
    let (run, _) = world.start(&script("sleep 1000 & exit 0"));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: true }));
    // Only the main process is asked, and it is gone.
    world.os.perform(Action::Ask { run, signal: libc::SIGKILL, hearing: Hearing::Unknown });
    world.os.perform(Action::Terminate { run });
    assert_eq!(world.next(), Event::Run(run, RunEvent::GroupEmpty));
    assert!(!has_children());
}

#[test]
fn the_last_words_of_a_group_come_before_its_end() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(&dir);
    let text = format!("(read line; printf success > /proc/self/fd/$1) < {} & exit 0", gate.display());
    let (run, _) = world.start(&script(&text));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: true }));
    fs::write(&gate, "go\n").unwrap();
    assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Success)));
    assert_eq!(world.next(), Event::Run(run, RunEvent::GroupEmpty));
}

#[test]
fn a_daemon_that_left_the_group_is_reaped_and_is_nobodys() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let gate = gate(&dir);
    let text = format!("setsid sh -c 'echo $$ > pid; read line < {}' & sleep 1000", gate.display());
    let mut definition = script(&text);
    definition.program.directory = Some(dir.path().into());
    let (run, _) = world.start(&definition);
    // The daemon has opened the gate to read: from here on it is in a group of its own.
    let gate = fs::OpenOptions::new().write(true).open(&gate).unwrap();
    world.os.perform(Action::Kill { run });
    let status = ExitStatus::Signal { signal: libc::SIGKILL, core_dumped: false };
    loop {
        match world.next() {
            Event::Run(_, RunEvent::Exited { status: ended, .. }) => {
                assert_eq!(ended, status);
                break;
            }
            other => assert!(matches!(other, Event::Run(_, RunEvent::PipeEnded(_))), "{other:?}"),
        }
    }
    assert!(has_children(), "the daemon has come to us");
    drop(gate);
    let deadline = world.os.now() + Duration::from_secs(30);
    while has_living_or_dead_children(&mut world) {
        assert!(world.os.now() < deadline);
    }
}

/// Lets the system work, without expecting an event of it.
fn has_living_or_dead_children(world: &mut World) -> bool {
    let soon = world.os.now() + Duration::from_millis(5);
    if let Some(event) = world.next_before(soon) {
        assert!(matches!(event, Event::Run(_, RunEvent::GroupEmpty)), "{event:?}");
    }
    fs::read_to_string(format!("/proc/self/task/{}/children", nix::unistd::gettid()))
        .is_ok_and(|children| !children.is_empty())
}

#[test]
fn a_server_without_a_handler_yet_is_not_asked_and_one_with_a_handler_is() {
    let mut world = World::new();
    let (run, _) = world.start(&script("exec sleep 1000"));
    world.os.perform(Action::Ask { run, signal: libc::SIGUSR1, hearing: Hearing::Unknown });
    assert_eq!(world.next(), Event::Run(run, RunEvent::NotListening));
    // Lost, and no harm.
    world.os.perform(Action::Ask { run, signal: libc::SIGUSR1, hearing: Hearing::Assumed });
    let now = world.os.now();
    assert_eq!(world.next_before(now), None);
    world.os.perform(Action::Ask { run, signal: libc::SIGINT, hearing: Hearing::Unknown });
    let status = ExitStatus::Signal { signal: libc::SIGINT, core_dumped: false };
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status, group_left: false }));

    // A shell cannot take a signal that it was started with ignored, so this one is another.
    let text = "trap 'printf success > /proc/self/fd/$1; exit 0' TERM
        printf 'ready  ' > /proc/self/fd/$1; while :; do sleep 0.01; done";
    let (run, _) = world.start(&script(text));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Ready)));
    world.os.perform(Action::Ask { run, signal: libc::SIGTERM, hearing: Hearing::Unknown });
    assert_eq!(world.next(), Event::Run(run, RunEvent::Said(Word::Success)));
    let exited = world.next();
    assert!(
        matches!(exited, Event::Run(_, RunEvent::Exited { status, .. }) if status == code(0)),
        "{exited:?}"
    );
}

#[test]
fn a_death_by_a_real_time_signal_is_a_death() {
    let mut world = World::new();
    let (run, _) = world.start(&service(&["sleep", "1000"], Handshake::None));
    world.os.perform(Action::Ask { run, signal: libc::SIGRTMIN() + 3, hearing: Hearing::Unknown });
    let status = ExitStatus::Signal { signal: libc::SIGRTMIN() + 3, core_dumped: false };
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status, group_left: false }));
}

#[test]
fn orders_for_a_run_that_is_gone_or_never_was_do_nothing() {
    let mut world = World::new();
    let (run, _) = world.start(&service(&["true"], Handshake::None));
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: false }));
    for action in [
        Action::Ask { run, signal: libc::SIGTERM, hearing: Hearing::Unknown },
        Action::Terminate { run },
        Action::Kill { run },
    ] {
        world.os.perform(action);
    }
    let now = world.os.now();
    assert_eq!(world.next_before(now), None);
}
