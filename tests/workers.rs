//! Several workers on one socket: restarted some at a time, and no further after one that failed.

mod support;

#[path = "support/command.rs"]
mod command;

use command::{json, says};
use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGUSR1};
use std::collections::BTreeSet;
use support::{Load, Process, Stage, Supervised, eventually, example, free_port, get, rude, service};

/// Writes another config and has it read.
fn reload(supervised: &mut Supervised, config: &str) {
    supervised.forget();
    supervised.stage.write("services.toml", config);
    supervised.signal(SIGHUP);
}

/// The example `http` with these options and further lines of its table.
fn web(port: u16, options: &[&str], more: &str) -> String {
    service("web", port, &[&[&*example("http")], options].concat(), more)
}

/// Starts `config` and waits until its workers, so many, are ready: their processes.
#[track_caller]
fn start(config: &str, workers: u32) -> (Supervised, Vec<Process>) {
    let supervised = Supervised::start(config, &[]);
    let processes = (1..=workers)
        .map(|generation| {
            supervised.wait_for(&format!(" web generation={generation} pid= … ready after"));
            supervised.pid_of("web", generation)
        })
        .collect();
    (supervised, processes)
}

/// The number of the worker that a process is.
fn number(process: Process) -> String {
    let environment = process.environment();
    environment.iter().find_map(|variable| variable.strip_prefix("BOOTSTRAP_WORKER=")).unwrap().into()
}

/// Processes that hold the socket: those that serve, or will.
fn holders(supervised: &Supervised) -> usize {
    let is_tcp = |process: &Process| {
        // Nothing else of a server without clients is a socket; the supervisor's log is a pipe.
        process.descriptors().iter().any(|(_, what)| what.starts_with("socket:"))
    };
    supervised.offspring().iter().filter(|process| is_tcp(process)).count()
}

/// What the log tells of a restart of so many workers: the fewest that served, from `ready` until asked to leave, and the
/// most new ones that were started and not ready.
fn told(supervised: &Supervised, workers: u32) -> (u32, u32) {
    let (mut serving, mut starting) = (workers, 0_u32);
    let (mut fewest, mut most) = (workers, 0);
    for line in supervised.lines() {
        let Some((_, subject)) = line.split_once(" web generation=") else { continue };
        let generation: u32 = subject.split(' ').next().unwrap().parse().unwrap();
        if line.contains("asked to stop accepting") {
            serving -= 1;
        } else if generation > workers && line.contains(" started: ") {
            starting += 1;
        } else if generation > workers && line.contains("ready after") {
            serving += 1;
            starting -= 1;
        }
        (fewest, most) = (fewest.min(serving), most.max(starting));
    }
    (fewest, most)
}

#[test]
fn three_workers_serve_side_by_side_and_each_knows_its_number() {
    let port = free_port();
    let (supervised, processes) = start(&web(port, &[], "workers = 3"), 3);
    let numbers: BTreeSet<String> = processes.iter().map(|process| number(*process)).collect();
    assert_eq!(numbers, ["0", "1", "2"].map(String::from).into());
    // Whoever wakes first accepts, so this takes a while, and no more than a while.
    let mut answered = BTreeSet::new();
    eventually("all three answer", || {
        answered.extend(get(port, "/").map(|answer| Process(answer.pid())));
        answered.len() == 3
    });
    assert_eq!(answered, processes.into_iter().collect(), "{supervised}");
    supervised.stop();
}

/// Restarts all workers under load. Gives how few served, and how many were started at once.
#[track_caller]
fn rolling(workers: u32, more: &str) -> (u32, u32) {
    let port = free_port();
    let config = web(port, &["--delay", "100ms"], &format!("workers = {workers}\n{more}"));
    let (supervised, old) = start(&config, workers);
    let load = Load::start("web", port, 2);
    supervised.signal(SIGUSR1);
    let last = format!(" web generation={} pid= … ready after", 2 * workers);
    let mut fewest = usize::MAX;
    while !supervised.said(&last) {
        fewest = fewest.min(holders(&supervised));
    }
    eventually("all old ones are gone", || old.iter().all(|process| !process.is_alive()));
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    let told = told(&supervised, workers);
    assert!(fewest >= told.0 as usize, "{fewest} held the socket, and {told:?}\n{supervised}");
    let numbers: BTreeSet<String> = supervised.offspring().iter().map(|process| number(*process)).collect();
    assert_eq!(numbers, (0..workers).map(|number| number.to_string()).collect(), "{supervised}");
    supervised.stop();
    told
}

#[test]
fn a_rolling_restart_misses_no_more_workers_than_it_may() {
    for (workers, at_once) in [(3, 1), (4, 2), (2, 9)] {
        let (fewest, starting) = rolling(workers, &format!("max_unavailable = {at_once}"));
        assert_eq!(fewest, workers.saturating_sub(at_once), "{workers} workers, {at_once} at once");
        assert!(starting <= at_once, "{starting} at once");
    }
}

#[test]
fn a_rolling_restart_start_first_misses_none() {
    for (workers, at_once) in [(3, 1), (4, 2)] {
        let more = format!("restart_order = \"start-first\"\nmax_surge = {at_once}");
        assert_eq!(rolling(workers, &more), (workers, at_once));
    }
}

/// Reloads workers into something that fails: so many others are not restarted, and these processes go on.
#[track_caller]
fn stops_after_a_failure(workers: u32, more: &str, left: &str, survivors: usize) {
    let port = free_port();
    let more = format!("workers = {workers}\n{more}");
    let (mut supervised, old) = start(&web(port, &[], &more), workers);
    reload(&mut supervised, &rude("web", port, &["--exit", "3"], &more));
    supervised.wait_for(&format!("the restart of a worker failed; {left} not restarted"));
    eventually(&format!("it is over\n{supervised}"), || supervised.offspring().len() == workers as usize);
    let alive = old.iter().filter(|process| process.is_alive()).count();
    assert_eq!(alive, survivors, "{supervised}");
    assert!(supervised.get(port).body.starts_with("web "), "{supervised}");
    supervised.stop();
}

#[test]
fn a_canary_that_fails_stops_the_restart_of_the_others() {
    let start_first = "restart_order = \"start-first\"";
    stops_after_a_failure(3, "canary = true\nmax_unavailable = 3", "2 workers", 2);
    stops_after_a_failure(3, &format!("canary = true\nmax_surge = 3\n{start_first}"), "2 workers", 3);
}

#[test]
fn a_worker_that_fails_stops_the_restart_of_the_others() {
    stops_after_a_failure(3, "", "2 workers", 2);
    stops_after_a_failure(3, "max_surge = 2\nrestart_order = \"start-first\"", "1 worker", 3);
}

#[test]
fn a_canary_proves_itself_before_the_others_follow() {
    let port = free_port();
    let more =
        "workers = 3\ncanary = true\nmax_surge = 3\nrestart_order = \"start-first\"\nbake_time = \"500ms\"";
    let (supervised, old) = start(&web(port, &[], more), 3);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=4 … what it replaces is kept for 500ms");
    assert!(old.iter().all(|process| process.is_alive()));
    supervised.wait_for("asked to stop accepting");
    supervised.wait_for(" web generation=6 … ready after");
    let lines = supervised.lines();
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted)).unwrap();
    assert!(at("asked to stop accepting") < at("generation=5 "), "{supervised}");
    eventually("all old ones are gone", || old.iter().all(|process| !process.is_alive()));
    supervised.stop();
}

#[test]
fn another_number_of_workers_touches_only_the_difference() {
    let port = free_port();
    let workers = |count: u32| web(port, &[], &format!("workers = {count}"));
    let (mut supervised, old) = start(&workers(2), 2);
    let load = Load::start("web", port, 2);
    reload(&mut supervised, &workers(4));
    supervised.wait_for(" bootstrap … 0 restarted, 1 changed in place");
    for generation in 3..=4 {
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
    }
    let four: BTreeSet<Process> = supervised.offspring().into_iter().collect();
    assert!(four.len() == 4 && old.iter().all(|process| four.contains(process)), "{supervised}");

    reload(&mut supervised, &workers(1));
    let first = *old.iter().find(|process| number(**process) == "0").unwrap();
    eventually("the first is left", || supervised.offspring() == [first]);
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");

    // And up again: the numbers are those that are free.
    reload(&mut supervised, &workers(2));
    supervised.wait_for(" web generation=5 … ready after");
    assert_eq!(number(supervised.pid_of("web", 5)), "1");
    supervised.stop();
}

#[test]
fn a_crash_touches_one_worker() {
    let port = free_port();
    let (supervised, old) = start(&web(port, &[], "workers = 3\nrestart = \"always\""), 3);
    old[1].signal(SIGKILL);
    supervised.wait_for(" web generation=4 … ready after");
    assert_eq!(number(supervised.pid_of("web", 4)), "1");
    assert!(old[0].is_alive() && old[2].is_alive());
    supervised.stop();

    // One that stays down leaves the others, and comes back with the next restart.
    let (supervised, old) = start(&web(port, &[], "workers = 2"), 2);
    old[0].signal(SIGKILL);
    supervised.wait_for(" web generation=1 … SIGKILL");
    assert_eq!(supervised.get(port).pid(), old[1].0);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=4 … ready after");
    assert_eq!(supervised.offspring().iter().filter(|process| process.is_alive()).count(), 2);
    supervised.stop();
}

/// Those that are too many leave slowly: all that is wanted serves.
#[test]
fn a_service_of_which_only_surplus_workers_leave_is_up() {
    let port = free_port();
    let config =
        |workers| rude("web", port, &["--stay"], &format!("ready = \"accepting\"\nworkers = {workers}"));
    let (mut supervised, _) = start(&config(3), 3);
    reload(&mut supervised, &config(1));
    supervised.wait_for("the policy of web has changed; it applies without a restart");
    supervised.wait_for(" web … answered \"success\"");
    says(&supervised, "status", &["web…up…2 draining", "1/1 up"], 0);
    assert_eq!(json(&supervised, "status").0["services"][0]["state"], "up");
    supervised.signal(nix::sys::signal::Signal::SIGQUIT);
    supervised.wait_exit();
}

/// Whoever orders more workers hears of those that do not come; the first start of a worker is no restart.
#[test]
fn more_workers_are_waited_for_and_are_no_restarts() {
    let port = free_port();
    let script = format!("test {{worker}} -lt 3 || exit 7; exec {} $0 $1", example("http"));
    let config = |workers| {
        let more = format!(
            "workers = {workers}\nready = \"pipe\"\nrestart = \"on-failure\"\nrestart_delay = \"30s\""
        );
        service("web", port, &["sh", "-c", &script], &more)
    };
    let (supervised, _) = start(&config(2), 2);
    let restarts = || json(&supervised, "status web").0["services"][0]["restarts"]["asked"].clone();
    assert_eq!(restarts(), 0);
    supervised.stage.write("services.toml", &config(3));
    says(&supervised, "reload", &["1 changed in place", "web: up: generation 3 serves"], 0);
    assert_eq!(restarts(), 0);
    supervised.stage.write("services.toml", &config(4));
    says(&supervised, "reload", &["web: crashed, and is started again after a pause"], 5);
    supervised.stop();
}

/// Only the worker that was tried was safe: a crash of one whose turn had not come started the program that had failed.
#[test]
fn what_a_failed_restart_did_not_come_to_comes_back_from_its_own_program() {
    for order in ["start-first", "stop-first"] {
        let stage = Stage::new();
        stage.install(example("http"), "server");
        let more =
            format!("ready = \"pipe\"\nworkers = 3\nrestart = \"always\"\nrestart_order = \"{order}\"");
        let supervised = stage.start(&service("web", free_port(), &["./server"], &more), &[]);
        for generation in 1..=3 {
            supervised.wait_for(&format!(" web generation={generation} pid= … ready after"));
        }
        supervised.stage.deploy("server", b"#!/bin/sh\nexit 3\n");
        says(&supervised, "restart web", &["web: the restart failed; …"], 5);
        let failed = supervised.last_generation("web");
        for generation in [2, 3] {
            supervised.pid_of("web", generation).signal(SIGKILL);
            supervised.wait_for(&format!(" web generation={} pid= … ready after", failed + generation - 1));
        }
        assert_eq!(supervised.count("ended with exit code 3"), 1, "{order}\n{supervised}");
        supervised.stop();
    }
}

/// The next start was of as many as before, and those that were too many were ended at once.
#[test]
fn fewer_workers_while_it_is_down_are_no_more_at_the_next_start() {
    for order in ["start", "restart"] {
        let port = free_port();
        let config = |workers: u32| {
            "[bootstrap]\nwhen_idle = \"wait\"\n".to_owned()
                + &web(port, &[], &format!("ready = \"pipe\"\nworkers = {workers}"))
        };
        let (supervised, _) = start(&config(4), 4);
        says(&supervised, "stop web", &["web: stopped"], 0);
        supervised.stage.write("services.toml", &config(1));
        says(&supervised, "reload", &["…"], 0);
        says(&supervised, &format!("{order} web"), &["web: up: generation 5 serves"], 0);
        assert_eq!(supervised.last_generation("web"), 5, "{supervised}");
        supervised.stop();
    }
}

/// Their file had gone since; only those whose turn had not come were safe from that.
#[test]
fn those_that_came_through_before_another_failed_come_back_from_their_own_program() {
    for order in ["start-first", "stop-first"] {
        let stage = Stage::new();
        stage.install(example("http"), "server");
        let more = format!(
            "ready = \"pipe\"\nworkers = 2\nrestart = \"always\"\nbake_time = \"1s\"\nrestart_order = \"{order}\""
        );
        let supervised = stage.start(&service("web", free_port(), &["./server"], &more), &[]);
        for generation in 1..=2 {
            supervised.wait_for(&format!(" web generation={generation} pid= … ready after"));
        }
        supervised.signal(SIGUSR1);
        supervised.wait_for(" web generation=3 pid= … ready after");
        std::fs::remove_file(supervised.stage.dir().join("server")).unwrap();
        supervised.wait_for(" web … ./server: No such file … generation 2 serves on");
        let failed = supervised.last_generation("web").max(4);
        supervised.pid_of("web", 3).signal(SIGKILL);
        supervised.wait_for(" web generation=3 … was ended by SIGKILL … starting generation");
        let back = if order == "start-first" { failed + 1 } else { failed };
        supervised.wait_for(&format!(" web generation={back} pid= … ready after"));
        supervised.stop();
    }
}
