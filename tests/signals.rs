//! What signals to the supervisor do.

#![expect(clippy::disallowed_methods, reason = "`now` is what some of them mean")]

mod support;

use nix::sys::signal::Signal::{self, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Stage, Supervised, eventually, example, free_port, get, http, in_flight, rude, service};

/// Four services, of which each has answered.
fn four(stage: Stage, head: &str) -> (Supervised, Vec<(&'static str, u16)>) {
    let services: Vec<_> = ["web-eu", "web-us", "api", "mail"].map(|name| (name, free_port())).into();
    let tables: Vec<String> = services.iter().map(|(name, port)| http(name, *port, "")).collect();
    let names: Vec<&str> = services.iter().map(|(name, _)| *name).collect();
    let supervised = stage.start(&format!("{head}\n{}", tables.join("\n")), &names);
    for (_, port) in &services {
        supervised.wait_answer(*port, 1);
    }
    (supervised, services)
}

/// Which generation of each service answers, once the restarts in `expected` have happened.
#[track_caller]
fn generations(supervised: &Supervised, services: &[(&'static str, u16)], expected: [u32; 4]) {
    for ((name, port), generation) in services.iter().zip(expected) {
        supervised.pid_of(name, generation);
        supervised.wait_answer(*port, generation);
        assert!(!supervised.said(&format!(" {name} generation={} ", generation + 1)), "{supervised}");
    }
}

#[test]
fn usr1_restarts_every_service() {
    let (supervised, services) = four(Stage::new(), "");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [2, 2, 2, 2]);
    supervised.stop();
}

#[test]
fn usr1_restarts_what_the_selector_in_the_environment_names() {
    let (supervised, services) = four(Stage::new().env("BOOTSTRAP_SELECT", "web-*, mail"), "");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [2, 2, 1, 2]);
    supervised.stop();
}

#[test]
fn the_selector_in_env_file_goes_before_and_is_read_anew_at_each_signal() {
    let stage = Stage::new().env("BOOTSTRAP_SELECT", "mail");
    stage.write("bootstrap.env", "BOOTSTRAP_SELECT=web-?s\n");
    let (supervised, services) = four(stage, "[bootstrap]\nenv_file = \"bootstrap.env\"");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [1, 2, 1, 1]);

    supervised.stage.write("bootstrap.env", "# nothing but api\nBOOTSTRAP_SELECT=\"api\"\n");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [1, 2, 2, 1]);

    supervised.stage.write("bootstrap.env", "OTHER=1\n");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [1, 2, 2, 2]);
    supervised.stop();
}

#[test]
fn an_env_file_that_is_wrong_restarts_nothing_and_says_so() {
    let stage = Stage::new();
    stage.write("bootstrap.env", "BOOTSTRAP_SELECT=api\nthis is no assignment\n");
    let (supervised, services) = four(stage, "[bootstrap]\nenv_file = \"bootstrap.env\"");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" bootstrap … bootstrap.env … 2 … nothing is restarted");
    generations(&supervised, &services, [1, 1, 1, 1]);
    supervised.stop();
}

#[test]
fn a_selector_of_commas_alone_restarts_nothing_and_says_so() {
    let (supervised, services) = four(Stage::new().env("BOOTSTRAP_SELECT", ", ,"), "");
    supervised.signal(SIGUSR1);
    supervised
        .wait_for(" bootstrap … BOOTSTRAP_SELECT is \", ,\", which names no service; nothing is restarted");
    generations(&supervised, &services, [1, 1, 1, 1]);
    supervised.stop();
}

#[test]
fn without_its_env_file_the_environment_is_asked() {
    let stage = Stage::new().env("BOOTSTRAP_SELECT", "mail");
    let (supervised, services) = four(stage, "[bootstrap]\nenv_file = \"missing.env\"");
    supervised.signal(SIGUSR1);
    generations(&supervised, &services, [1, 1, 1, 2]);
    supervised.stop();
}

#[test]
fn a_selector_that_matches_nothing_restarts_nothing_and_says_so() {
    let (supervised, services) = four(Stage::new().env("BOOTSTRAP_SELECT", "wbe"), "");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" bootstrap … \"wbe\" … matches no service");
    supervised.wait_for(" bootstrap … nothing is restarted");
    generations(&supervised, &services, [1, 1, 1, 1]);
    supervised.stop();
}

#[test]
fn a_misspelt_name_beside_a_right_one_is_told() {
    let (supervised, services) = four(Stage::new().env("BOOTSTRAP_SELECT", "wbe,api"), "");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" bootstrap … \"wbe\" … matches no service");
    generations(&supervised, &services, [1, 1, 2, 1]);
    supervised.stop();
}

#[test]
fn restarts_asked_for_during_a_start_are_one_restart_after_it() {
    let port = free_port();
    let slow = [&*example("http"), "--delay", "700ms"];
    let supervised = Supervised::start(&service("web", port, &slow, "ready = \"pipe\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.signal(SIGUSR1);
    supervised.pid_of("web", 2);
    for _ in 0..5 {
        supervised.signal(SIGUSR1);
    }
    supervised.wait_for(" web generation=3 … ready after");
    supervised.wait_answer(port, 3);
    assert!(!supervised.said("generation=4"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_storm_of_signals_loses_none_and_acts_on_none_twice() {
    let (mut supervised, services) = four(Stage::new(), "");
    for _ in 0..50 {
        supervised.signal(SIGUSR1);
        supervised.signal(SIGHUP);
    }
    // Signals that arrived together are heard in any order; after two more rounds all of them were.
    for _ in 0..2 {
        supervised.forget();
        supervised.signal(SIGHUP);
        supervised.wait_for(" bootstrap … reload: … 4 untouched");
    }
    // One more, which cannot hide behind another: when all is quiet, each service has a start for it.
    eventually("all is quiet", || services.iter().all(|(name, _)| supervised.is_settled(name)));
    let before: Vec<u32> = services.iter().map(|(name, _)| supervised.last_generation(name)).collect();
    supervised.signal(SIGUSR1);
    for ((name, port), before) in services.iter().zip(before) {
        supervised.pid_of(name, before + 1);
        supervised.wait_answer(*port, before + 1);
        let orders = u32::try_from(supervised.count(" bootstrap … SIGUSR1: ")).unwrap();
        assert!(orders <= 51, "51 signals were {orders} orders\n{supervised}");
        assert!(before < 1 + orders, "{orders} orders made {before} generations of {name}\n{supervised}");
    }
    supervised.stop();
}

#[test]
fn a_restart_in_the_first_milliseconds_does_not_kill_a_server_whose_handler_is_not_there_yet() {
    let port = free_port();
    let supervised = Supervised::start(&rude("web", port, &["--late", "500ms"], ""), &["web"]);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … \"success\"");
    supervised.wait_answer(port, 2);
    supervised.stop();
}

/// Ends with 0, and only after the request in flight was answered.
fn stops_gracefully(ask: impl Fn(&Supervised)) {
    let port = free_port();
    let mut supervised = Supervised::start(&http("web", port, ""), &["web"]);
    let (pid, answer) = in_flight(port, Duration::from_millis(700));
    ask(&supervised);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    assert!(answer.is_finished(), "it did not wait for the drain\n{supervised}");
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid);
    assert_eq!(supervised.offspring(), []);
}

#[test]
fn term_stops_gracefully() {
    stops_gracefully(|supervised| supervised.signal(SIGTERM));
}

#[test]
fn int_stops_gracefully() {
    stops_gracefully(|supervised| supervised.signal(SIGINT));
}

#[test]
fn control_c_goes_to_the_group_and_does_not_cut_the_drain() {
    stops_gracefully(|supervised| killpg(Pid::from_raw(supervised.process().0), SIGINT).unwrap());
}

/// Ends at once, with a request in flight that would take half a minute.
fn stops_now(signals: &[Signal]) {
    let port = free_port();
    let mut supervised = Supervised::start(&http("web", port, ""), &["web"]);
    let (_, answer) = in_flight(port, Duration::from_secs(30));
    let begin = Instant::now();
    for signal in signals {
        supervised.signal(*signal);
        supervised.wait_for(" bootstrap … stopping");
    }
    supervised.wait_exit();
    assert!(begin.elapsed() < Duration::from_secs(15), "{supervised}");
    assert!(answer.join().unwrap().is_err());
    assert_eq!(supervised.offspring(), [], "{supervised}");
}

#[test]
fn a_second_term_stops_now() {
    stops_now(&[SIGTERM, SIGTERM]);
}

#[test]
fn an_int_after_a_term_stops_now() {
    stops_now(&[SIGTERM, SIGINT]);
}

#[test]
fn quit_stops_now() {
    stops_now(&[SIGQUIT]);
}

#[test]
fn once_it_has_ended_clients_are_refused() {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, ""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.stop();
    assert_eq!(get(port, "/"), Err(support::Failure::Refused));
}

/// A stray SIGALRM once ended the supervisor without a line.
#[test]
fn a_signal_that_means_nothing_is_told_and_ends_nobody() {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, ""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    for (name, told) in [
        ("ALRM", "SIGALRM"),
        ("VTALRM", "SIGVTALRM"),
        ("PROF", "SIGPROF"),
        ("IO", "SIGIO"),
        ("PWR", "SIGPWR"),
        ("STKFLT", "SIGSTKFLT"),
        ("XCPU", "SIGXCPU"),
        ("34", "signal 34"),
        ("64", "signal 64"),
    ] {
        let pid = supervised.process().0.to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success(), "{name}");
        supervised.wait_for(&format!(" WARN bootstrap {told}: it means nothing here; ignored"));
    }
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}
