//! What stays the same however long it runs.

#![expect(clippy::disallowed_methods, reason = "that nothing happens in a while can only be seen by waiting")]

mod support;

use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::io::{PipeReader, Write as _, pipe};
use std::time::Duration;
use support::{Stage, Supervised, eventually, free_port, get, http, rude};

#[test]
fn a_thousand_restarts_leave_descriptors_processes_and_memory_as_they_were() {
    let config = http("web", free_port(), "") + &rude("dull", free_port(), &[], "");
    let mut supervised = Supervised::start(&config, &["web", "dull"]);
    let restart = |supervised: &mut Supervised, generation: u32| {
        supervised.forget();
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" dull generation={generation} … ready after"));
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
    };
    let measure = |supervised: &Supervised, generation: u32| {
        for service in ["web", "dull"] {
            supervised.wait_for(&format!(" {service} generation={generation} … ready after"));
        }
        eventually("two processes are left", || supervised.process().children().len() == 2);
        // The programs of their predecessors, kept by descriptor for a rollback.
        let is_program = |(_, what): &(i32, String)| what.contains("/examples/");
        eventually("no program is kept", || !supervised.process().descriptors().iter().any(is_program));
        (supervised.process().descriptors().len(), supervised.process().heap_kib())
    };
    (2..=50).for_each(|generation| restart(&mut supervised, generation));
    let (descriptors, memory) = measure(&supervised, 50);
    (51..=1050).for_each(|generation| restart(&mut supervised, generation));
    let (descriptors_after, memory_after) = measure(&supervised, 1050);
    assert_eq!(descriptors, descriptors_after, "{:?}", supervised.process().descriptors());
    assert!(memory_after <= memory + 64, "{memory} KiB became {memory_after} KiB");
    assert_eq!(supervised.offspring().len(), 2);
    supervised.stop();
}

/// A supervisor whose stderr is a full pipe that nobody reads.
fn with_full_stderr(config: &str) -> (Supervised, PipeReader) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = nix::fcntl::FcntlArg::F_SETFL;
    nix::fcntl::fcntl(&writer, flags(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    nix::fcntl::fcntl(&writer, flags(nix::fcntl::OFlag::empty())).unwrap();
    (Stage::new().launch_with(config, writer.into()), reader)
}

#[test]
fn a_full_stderr_does_not_stop_it() {
    let port = free_port();
    let (mut supervised, reader) = with_full_stderr(&http("web", port, ""));
    eventually("it serves", || get(port, "/").is_ok());
    for generation in 2..=50 {
        supervised.signal(SIGUSR1);
        supervised.wait_answer(port, generation);
    }
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0);
    assert_eq!(supervised.offspring(), []);
    drop(reader);
}

#[test]
fn a_stderr_that_nobody_will_ever_read_does_not_stop_it() {
    let port = free_port();
    let (mut supervised, reader) = with_full_stderr(&http("web", port, ""));
    drop(reader);
    eventually("it serves", || get(port, "/").is_ok());
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0);
}

#[test]
fn idle_means_idle() {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, "ready = \"pipe\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.get(port);
    let process = supervised.process();
    // It sleeps when its number of switches stands still; from there on it must not change, and here the time
    // is what is tested.
    let mut before = 0;
    eventually("it has come to rest", || {
        std::mem::replace(&mut before, process.voluntary_switches()) == before
    });
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(process.voluntary_switches(), before);
    // And it can be woken.
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    assert!(process.voluntary_switches() > before);
    supervised.stop();
}
