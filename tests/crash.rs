//! The crash rule: an exit nobody asked for stops that service and only that service.

mod support;

use nix::sys::signal::Signal::{SIGKILL, SIGUSR1};
use support::{Failure, Supervised, eventually, free_port, get, http, rude};

/// A well-behaved neighbour beside a service with these sins; gives the neighbour's port and the other's.
fn beside_a_neighbour(sins: &[&str], more: &str) -> (Supervised, u16, u16) {
    let (good, bad) = (free_port(), free_port());
    let config = http("good", good, "") + &rude("bad", bad, sins, more);
    let supervised = Supervised::start(&config, &["good"]);
    supervised.wait_answer(good, 1);
    (supervised, good, bad)
}

/// `bad` is down for good: it is said, its clients are refused, and its neighbour has noticed nothing.
#[track_caller]
fn only_bad_is_down(supervised: &Supervised, good: u16, bad: u16, said: &str) {
    supervised.wait_for(&format!(" bad generation=1 pid= … {said}"));
    eventually("clients of a service that is down are refused", || get(bad, "/") == Err(Failure::Refused));
    assert_eq!(supervised.get(good).pid(), supervised.pid_of("good", 1).0);
    assert!(!supervised.said("generation=2"), "{supervised}");
}

#[test]
fn an_exit_of_any_kind_stops_this_service_and_no_other() {
    for (sins, said) in [
        (&["--exit", "0"][..], "exit code 0 … nobody had asked it to"),
        (&["--exit", "3"], "exit code 3 … nobody had asked it to … stays down"),
        (&["--die", "9"], "SIGKILL … nobody had asked it to … stays down"),
        (&["--die", "6"], "SIGABRT … nobody had asked it to … stays down"),
        (&["--say", "failed ", "--exit", "0"], "failed … stays down"),
        (&["--say", "success", "--exit", "0"], "success … without being asked"),
    ] {
        let (supervised, good, bad) = beside_a_neighbour(sins, "");
        only_bad_is_down(&supervised, good, bad, said);
        supervised.stop();
    }
}

#[test]
fn a_crash_between_requests_is_noticed_at_once() {
    let (supervised, good, bad) = beside_a_neighbour(&["--exit-after", "3", "7"], "");
    for _ in 0..3 {
        assert_eq!(supervised.get(bad).generation(), 1);
    }
    only_bad_is_down(&supervised, good, bad, "exit code 7");
    supervised.stop();
}

#[test]
fn a_server_that_leaves_unasked_but_stays_is_ended_when_its_drain_is_over() {
    let (supervised, good, bad) = beside_a_neighbour(&["--unasked"], "drain_timeout = \"300ms\"");
    let leaving = supervised.pid_of("bad", 1);
    only_bad_is_down(&supervised, good, bad, "without being asked");
    eventually("it is ended", || !leaving.is_alive());
    supervised.stop();
}

#[test]
fn a_crash_after_the_handshake_is_told_and_touches_nothing() {
    let (supervised, good, bad) = beside_a_neighbour(&["--exit-asked", "5"], "");
    supervised.wait_answer(bad, 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" bad generation=1 … exit code 5");
    supervised.wait_answer(bad, 2);
    supervised.wait_answer(good, 2);
    supervised.stop();
}

#[test]
fn on_failure_brings_back_what_failed_and_not_what_ended_well() {
    for (sins, comes_back) in [
        (&["--exit", "0"][..], false),
        (&["--exit", "4"], true),
        (&["--die", "9"], true),
        (&["--say", "failed ", "--exit", "0"], true),
    ] {
        let (supervised, good, bad) = beside_a_neighbour(
            sins,
            "ready = \"started\"\nrestart = \"on-failure\"\nrestart_delay = \"10ms\"",
        );
        if comes_back {
            supervised.pid_of("bad", 3);
        } else {
            only_bad_is_down(&supervised, good, bad, "exit code 0");
        }
        assert_eq!(supervised.get(good).generation(), 1);
        supervised.stop();
    }
}

#[test]
fn always_brings_back_everything_at_once_and_then_with_pauses() {
    let (supervised, ..) =
        beside_a_neighbour(&["--exit", "0"], "restart = \"always\"\nrestart_delay = \"50ms\"");
    supervised.wait_for(" bad generation=1 … starting generation 2");
    supervised.wait_for(" bad generation=2 … starting generation 3 in 50ms");
    supervised.wait_for(" bad generation=3 … starting generation 4 in 100ms");
    supervised.wait_for(" bad generation=4 … starting generation 5 in 200ms");
    supervised.stop();
}

/// Which of them starts first is not known by then.
#[test]
fn of_several_workers_that_pause_none_is_promised_a_number() {
    let (supervised, ..) =
        beside_a_neighbour(&["--exit", "0"], "restart = \"always\"\nrestart_delay = \"50ms\"\nworkers = 2");
    supervised.wait_for(" bad … exit code 0 … starting another in 50ms");
    supervised.wait_for(" bad … exit code 0 … starting another in 100ms");
    assert_eq!(supervised.count(" bad … starting generation … in "), 0, "{supervised}");
    supervised.stop();
}

/// Who had mended a service and started it by hand once waited for the pauses of before at its next crash.
#[test]
fn a_restart_by_hand_counts_crashes_anew() {
    let policy = "restart = \"always\"\nrestart_delay = \"10m\"\nrestart_delay_max = \"20m\"";
    let (supervised, ..) = beside_a_neighbour(&["--exit", "0"], policy);
    supervised.wait_for(" bad generation=2 … starting generation 3 in 10m");
    supervised.signal(SIGUSR1);
    supervised.pid_of("bad", 4);
    supervised.wait_for(" bad generation=4 … starting generation 5 in 10m");
    let start = supervised.stage.run(&["-c", "services.toml", "start", "--no-wait", "bad"]);
    assert!(start.status.success(), "{start:?}");
    supervised.pid_of("bad", 6);
    supervised.wait_for(" bad generation=6 … starting generation 7 in 10m");
    supervised.stop();
}

#[test]
fn clients_wait_through_crashes_and_are_answered_by_the_next_generation() {
    let policy = "restart = \"always\"\nrestart_delay = \"1ms\"\nrestart_delay_max = \"5ms\"";
    let (supervised, _, bad) = beside_a_neighbour(&["--exit-after", "1", "9"], policy);
    for generation in 1..=20 {
        assert_eq!(supervised.get(bad).generation(), generation, "{supervised}");
    }
    supervised.stop();
}

#[test]
fn a_kill_from_outside_is_a_crash_too() {
    let (supervised, good, bad) = beside_a_neighbour(&[], "restart = \"on-failure\"");
    supervised.wait_answer(bad, 1);
    supervised.pid_of("bad", 1).signal(SIGKILL);
    supervised.wait_answer(bad, 2);
    assert_eq!(supervised.get(good).generation(), 1);
    supervised.stop();
}

#[test]
fn usr1_starts_a_crashed_service_again_on_its_socket() {
    let (supervised, good, bad) = beside_a_neighbour(&["--exit-after", "1", "7"], "");
    supervised.get(bad);
    only_bad_is_down(&supervised, good, bad, "exit code 7");
    supervised.signal(SIGUSR1);
    supervised.pid_of("bad", 2);
    assert_eq!(supervised.get(bad).generation(), 2);
    supervised.stop();
}

/// The exit code when these are all the services.
#[track_caller]
fn ends_with(code: i32, services: &[&[&str]], more: &str) {
    let mut supervised = Supervised::start(
        &services
            .iter()
            .enumerate()
            .map(|(index, sins)| rude(&format!("bad-{index}"), free_port(), sins, more))
            .collect::<String>(),
        &[],
    );
    assert_eq!(supervised.wait_exit(), code, "{supervised}");
    assert_eq!(supervised.offspring(), []);
}

#[test]
fn it_ends_with_1_when_all_are_down_and_one_has_crashed() {
    ends_with(1, &[&["--exit", "3"]], "");
    ends_with(1, &[&["--die", "6"]], "");
    ends_with(1, &[&["--exit", "0"], &["--exit", "1"]], "");
    ends_with(1, &[&["--say", "failed ", "--exit", "0"]], "");
    ends_with(1, &[&["--exit", "0"], &["--exit", "1"]], "restart = \"no\"");
}

#[test]
fn it_ends_with_0_when_all_have_ended_well() {
    ends_with(0, &[&["--exit", "0"], &["--exit", "0"]], "ready = \"started\"");
    ends_with(0, &[&["--exit", "0"]], "ready = \"started\"\nrestart = \"on-failure\"");
}

/// Such as one that goes on in the background.
#[test]
fn a_server_that_ends_before_it_was_ready_has_failed_whatever_its_exit_code() {
    ends_with(1, &[&["--exit", "0"]], "ready = \"pipe\"");
    let (supervised, good, bad) = beside_a_neighbour(&["--exit", "0"], "ready = \"pipe\"");
    only_bad_is_down(
        &supervised,
        good,
        bad,
        "exit code 0 before it was ready … nobody had asked it to; has it gone into the background? It has to stay in the \
         foreground; the service stays down",
    );
    let output = supervised.stage.run(&["-c", "services.toml", "start", "bad"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.code() == Some(5) && said.contains("before it was ready"),
        "{}: {said}",
        output.status
    );
    supervised.stop();
}

#[test]
fn when_idle_wait_keeps_it_for_the_operator() {
    let port = free_port();
    let config = "[bootstrap]\nwhen_idle = \"wait\"\n".to_owned()
        + &rude("bad", port, &["--exit-after", "1", "3"], "");
    let supervised = Supervised::start(&config, &["bad"]);
    supervised.get(port);
    supervised.wait_for(" bad generation=1 … exit code 3");
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.stop();
}
