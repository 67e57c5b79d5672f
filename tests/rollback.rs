//! A stop-first restart that fails goes back to the program that served last, whatever became of its file.

mod support;

#[path = "support/command.rs"]
mod command;

use command::{json, says};
use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGUSR1, SIGUSR2};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;
use support::{Client, Load, Stage, Supervised, example, free_port, in_flight, rude, service};

/// Writes another config and has it read.
fn reload(supervised: &mut Supervised, config: &str) {
    supervised.forget();
    supervised.stage.write("services.toml", config);
    supervised.signal(SIGHUP);
}

/// Puts a program in the place of `server`.
fn deploy(stage: &Stage, program: &[u8]) {
    stage.deploy("server", program);
}

fn binary() -> Vec<u8> {
    fs::read(example("http")).unwrap()
}

fn script() -> Vec<u8> {
    fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/web.py")).unwrap()
}

/// A supervisor of `./server`, and its port.
fn staged(program: &[u8], more: &str) -> (Supervised, u16) {
    let (stage, port) = (Stage::new(), free_port());
    deploy(&stage, program);
    let more = format!("ready = \"pipe\"\nready_timeout = \"2s\"\n{more}");
    let supervised = stage.start(&service("web", port, &["./server"], &more), &["web"]);
    supervised.wait_answer(port, 1);
    (supervised, port)
}

/// Damages the file of a program that serves: two restarts fail in these words, and the old program serves on. A
/// repaired one then takes over.
#[track_caller]
fn comes_back(program: &[u8], damage: impl FnOnce(&Stage), said: &str) {
    let (mut supervised, port) = staged(program, "");
    let load = Load::start("web", port, 2);
    damage(&supervised.stage);
    for failed in [2, 4] {
        supervised.forget();
        supervised.signal(SIGUSR1);
        let back = failed + 1;
        supervised.wait_for(&format!(
            " web generation={failed} … {said} … going back to what ran before, as generation {back}"
        ));
        supervised.wait_for(&format!(" web generation={back} … ready after"));
        supervised.wait_answer(port, back);
    }
    deploy(&supervised.stage, program);
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 6);
    // How long clients wait is for the new program to say; that they are answered is for us.
    let outcome = load.finish();
    let lost = outcome.failures.iter().filter(|(_, failure)| !matches!(failure, support::Failure::Late(_)));
    assert_eq!(lost.count(), 0, "{outcome}\n{supervised}");
    supervised.stop();
}

/// After a restart that failed `serving` serves on. It crashes, and so does what comes after it; each time the same
/// program is back. The next restart starts what is on disk by then.
#[track_caller]
fn outlives_its_file(order: &str, serving: u32) {
    let crashes = "restart = \"always\"\nrestart_delay = \"10ms\"";
    let (supervised, port) = staged(&binary(), &format!("restart_order = \"{order}\"\n{crashes}"));
    deploy(&supervised.stage, b"#!/bin/sh\nexit 3\n");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … exit code 3 … the restart failed");
    supervised.wait_answer(port, serving);
    let mut last = serving;
    // The number 2 is taken.
    for (dies, comes) in [(serving, 3.max(serving + 1)), (3.max(serving + 1), 4.max(serving + 2))] {
        supervised.pid_of("web", dies).signal(SIGKILL);
        supervised.wait_answer(port, comes);
        last = comes;
    }
    assert_eq!(supervised.count("exit code 3"), 1, "{supervised}");
    deploy(&supervised.stage, &binary());
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, last + 1);
    supervised.stop();
}

#[test]
fn what_a_rollback_brought_back_outlives_its_file() {
    outlives_its_file("stop-first", 3);
}

#[test]
fn what_serves_on_after_a_start_first_restart_that_failed_outlives_its_file() {
    outlives_its_file("start-first", 1);
}

#[test]
fn a_broken_binary_is_answered_by_the_program_that_ran_before() {
    comes_back(&binary(), |stage| deploy(stage, b"#!/bin/sh\nexit 3\n"), "exit code 3");
}

/// A restart for which there is no program touches nobody: not even a connection that is kept is closed. A crash then
/// starts what ran before.
#[track_caller]
fn is_not_restarted(program: &[u8]) {
    let (supervised, port) = staged(program, "restart = \"always\"\nrestart_delay = \"10ms\"");
    let mut kept = Client::connect(port).unwrap();
    assert_eq!(kept.get("/").unwrap().generation(), 1);
    let load = Load::start("web", port, 2);
    fs::remove_file(supervised.stage.dir().join("server")).unwrap();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web not restarted: ./server: No such file … generation 1 serves on");
    says(
        &supervised,
        "restart web",
        &["web: the restart failed; generation 1 serves on: ./server: No such file or directory"],
        5,
    );
    says(&supervised, "status", &["the last restart failed"], 0);
    says(&supervised, "status web", &["last failure … not restarted: ./server: No such file"], 0);
    let (status, _) = json(&supervised, "status web");
    let counts = &status["services"][0]["restarts"];
    assert_eq!((&counts["asked"], &counts["failed"]), (&0.into(), &2.into()), "{counts}");
    load.wait_requests(100);
    let outcome = load.finish();
    assert!(outcome.failures.is_empty() && outcome.generations.len() == 1, "{outcome}");
    assert_eq!(kept.get("/").unwrap().generation(), 1, "{supervised}");
    assert!(!supervised.said(" asked to stop"), "{supervised}");
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_answer(port, 2);
    supervised.wait_for(" web generation=2 … started the program of generation 1, which was kept: ./server");
    deploy(&supervised.stage, program);
    says(&supervised, "restart web", &["web: up: generation 3 serves"], 0);
    supervised.stop();
}

#[test]
fn a_restart_to_a_deleted_binary_touches_nobody() {
    is_not_restarted(&binary());
}

#[test]
fn a_restart_to_a_deleted_script_touches_nobody() {
    is_not_restarted(&script());
}

/// The whole supervisor hung, and heard no signal any more.
#[test]
fn a_pipe_in_the_place_of_a_program_holds_nobody_up() {
    for more in ["", "watch = true"] {
        let (supervised, port) = staged(&binary(), more);
        let pipe = supervised.stage.dir().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        says(&supervised, "check", &["services.toml: ok"], 0);
        fs::rename(&pipe, supervised.stage.dir().join("server")).unwrap();
        if more.is_empty() {
            supervised.signal(SIGUSR1);
        }
        supervised.wait_for(" web not restarted: ./server: Permission denied … generation 1 serves on");
        says(&supervised, "check", &["it would not start here: ./server: Permission denied"], 0);
        assert_eq!(supervised.get(port).generation(), 1);
        supervised.stop();
    }
}

/// It was ended, and there was nothing to take its place.
#[test]
fn a_sick_process_stays_where_nothing_can_take_its_place_and_nothing_comes_back() {
    let check = "rollback = false\nrestart = \"always\"\ncheck = { exec = [\"test\", \"-e\", \"well\"], period = \"100ms\", \
                 failures = 1 }";
    let (stage, port) = (Stage::new(), free_port());
    stage.write("well", "");
    deploy(&stage, &binary());
    let supervised = stage.start(&service("web", port, &["./server"], check), &["web"]);
    supervised.wait_answer(port, 1);
    fs::remove_file(supervised.stage.dir().join("server")).unwrap();
    fs::remove_file(supervised.stage.dir().join("well")).unwrap();
    supervised.wait_for(" web generation=1 … unhealthy … restarting it");
    supervised.wait_for(" web not restarted: ./server: No such file … generation 1 serves on");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}

/// There was no way back, and it went down.
#[test]
fn a_restart_for_which_there_is_no_interpreter_or_directory_touches_nobody() {
    let off = "rollback = false\ndirectory = \"place\"";
    let (stage, port) = (Stage::new(), free_port());
    fs::create_dir(stage.path("place")).unwrap();
    stage.deploy("place/server", &script());
    let mut supervised = stage.start(&service("web", port, &["./server"], off), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.stage.deploy("place/server", b"#!/no/such/interpreter\n");
    supervised.signal(SIGUSR1);
    supervised.wait_for(
        " web not restarted: its interpreter /no/such/interpreter is missing; generation 1 serves on",
    );
    supervised.stage.write("place/closed", "");
    for (first, said) in [
        ("#!/usr/bin/env no-such-program\n", "no-such-program is missing"),
        ("#!./closed\n", "./closed: Permission denied"),
    ] {
        supervised.stage.deploy("place/server", first.as_bytes());
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" web not restarted: its interpreter {said} … generation 1 serves on"));
    }
    fs::rename(supervised.stage.path("place"), supervised.stage.path("elsewhere")).unwrap();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web not restarted: directory place: No such file … generation 1 serves on");
    let missing = service("web", port, &["no-such-program"], "rollback = false");
    reload(&mut supervised, &missing);
    supervised.wait_for(" web not restarted: no program \"no-such-program\" in PATH; generation 1 serves on");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}

#[test]
fn garbage_in_its_place_is_answered_by_the_program_that_ran_before() {
    comes_back(&binary(), |stage| deploy(stage, b"\x7fELF garbage"), "could not be started");
}

#[test]
fn a_program_that_hangs_is_answered_by_the_program_that_ran_before() {
    comes_back(&binary(), |stage| deploy(stage, b"#!/bin/sh\nexec sleep 3600\n"), "not ready after 2s");
}

#[test]
fn a_broken_script_is_answered_by_the_script_that_ran_before() {
    comes_back(&script(), |stage| deploy(stage, b"#!/usr/bin/env python3\nnone()\n"), "exit code 1");
}

#[test]
fn a_reload_to_a_broken_command_goes_back_to_command_and_environment_of_before() {
    let (stage, port) = (Stage::new(), free_port());
    let http = example("http");
    let old = service("web", port, &[&http, "--name", "old"], "env = { ROUND = \"one\" }");
    let mut supervised = stage.start(&old, &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &service("web", port, &["false"], "env = { ROUND = \"two\" }"));
    supervised.wait_for(" web generation=2 … going back to what ran before, as generation 3");
    supervised.wait_answer(port, 3);
    assert!(supervised.get(port).body.starts_with("old "), "{supervised}");
    let environment = supervised.pid_of("web", 3).environment();
    assert!(environment.contains(&"ROUND=one".into()), "{environment:?}");
    // A third file that works takes over.
    reload(&mut supervised, &service("web", port, &[&http, "--name", "new"], ""));
    supervised.wait_answer(port, 4);
    assert!(supervised.get(port).body.starts_with("new "), "{supervised}");
    supervised.stop();
}

/// What came back died once before it was ready, and what had failed was started in its place; it served without its
/// `bake_time`, with `canary` from every worker, and whoever had asked was told that all is well.
#[test]
fn a_crash_of_what_came_back_does_not_start_what_has_failed() {
    let (stage, port) = (Stage::new(), free_port());
    let policy = "workers = 2\ncanary = true\nready = \"pipe\"\nbake_time = \"1s\"\nrestart = \"on-failure\"\n\
                  restart_delay = \"100ms\"";
    let script = |at_start: &str| format!("{at_start}; exec {} --name good \"$@\"", example("http"));
    let config = |at_start: &str| service("web", port, &["sh", "-c", &script(at_start), "sh"], policy);
    let dies = "if [ -e die ]; then mv die died; exit 4; fi; if [ -e died ]; then mv died gone; exit 5; fi";
    let supervised = stage.start(&config(dies), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.wait_for(" web generation=2 … ready after");
    supervised.stage.write("services.toml", &config("touch die; exit 3"));
    let output = supervised.stage.run(&["-c", "services.toml", "reload"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{said}\n{supervised}");
    supervised.wait_for(" web generation=4 … exit code 4 … starting generation 5");
    supervised.wait_for(" web generation=5 … exit code 5 … starting another in 100ms");
    supervised.wait_for(" web generation=6 … ready after");
    supervised.wait_for(" the restart of a worker failed; 1 worker not restarted");
    assert_eq!(supervised.count("exit code 3"), 1, "{supervised}");
    let status = supervised.stage.run(&["-c", "services.toml", "status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("the last restart failed"), "{status}");
    supervised.stop();
}

/// What came back had the `env_file` of today; a typo in that took the service down, since nothing could be started any more.
#[test]
fn what_comes_back_has_the_env_file_of_then() {
    let (stage, port) = (Stage::new(), free_port());
    stage.write("a.env", "ROUND=one\n");
    let server = format!("[ \"$ROUND\" = two ] && exit 3; exec {} \"$@\"", example("http"));
    let more = "ready = \"pipe\"\nenv_file = \"a.env\"\nrestart = \"always\"\nrestart_delay = \"10ms\"";
    let config = service("web", port, &["sh", "-c", &server, "sh"], more);
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_answer(port, 1);
    let load = Load::start("web", port, 2);
    let has_round_one = |generation| {
        supervised.wait_answer(port, generation);
        let environment = supervised.pid_of("web", generation).environment();
        assert!(environment.contains(&"ROUND=one".into()), "{environment:?}");
    };
    for (failed, back) in [(2, 3), (4, 5)] {
        supervised.stage.write("a.env", "ROUND=two\n");
        // What was asked to leave is still there when the supervisor becomes another program.
        let (_, answer) = in_flight(port, Duration::from_millis(700));
        supervised.signal(SIGUSR1);
        supervised
            .wait_for(&format!(" web generation={failed} … exit code 3 … going back to what ran before"));
        has_round_one(back);
        supervised.signal(SIGUSR2);
        supervised.wait_for(" is now … as before");
        assert!(answer.join().unwrap().is_ok(), "{supervised}");
    }
    supervised.stage.write("a.env", "ROUND\n");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web not restarted: env_file a.env: line … generation 5 serves on");
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    supervised.pid_of("web", 5).signal(SIGKILL);
    has_round_one(6);
    supervised.stage.write("a.env", "ROUND=three\n");
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 7);
    assert!(supervised.pid_of("web", 7).environment().contains(&"ROUND=three".into()));
    supervised.stop();
}

#[test]
fn a_successor_that_dies_in_its_bake_time_is_rolled_back() {
    let port = free_port();
    let bake = "bake_time = \"1h\"";
    let mut supervised = Supervised::start(&rude("web", port, &[], bake), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &rude("web", port, &["--exit-after", "2", "9"], bake));
    supervised.wait_for(" web generation=2 … what it replaces is kept");
    supervised.wait_answer(port, 3);
    supervised.wait_for(" web generation=2 … exit code 9 … going back to what ran before, as generation 3");
    for _ in 0..5 {
        assert_eq!(supervised.get(port).generation(), 3);
    }
    supervised.stop();
}

#[test]
fn without_rollback_the_crash_rule_decides() {
    let port = free_port();
    let off = "rollback = false\nrestart = \"no\"";
    let mut supervised = Supervised::start(&rude("web", port, &[], off), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &rude("web", port, &["--exit", "3"], off));
    supervised.wait_for(" web generation=2 … exit code 3 … the service stays down");
    assert_eq!(supervised.wait_exit(), 1);
}

#[test]
fn a_stop_while_the_new_program_hangs_ends_everything() {
    let (mut supervised, port) = staged(&binary(), "handover_timeout = \"300ms\"");
    let (pid, answer) = in_flight(port, Duration::from_millis(500));
    deploy(&supervised.stage, b"#!/bin/sh\nexec sleep 3600\n");
    supervised.forget();
    supervised.signal(SIGUSR1);
    supervised.pid_of("web", 2);
    supervised.stop();
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid);
}

/// Where even the old program does not come up any more, the crash rule decides.
#[test]
fn a_rollback_that_fails_too_is_a_crash() {
    let (mut supervised, _) = staged(&script(), "env = { PYTHONPATH = \".\" }\nrestart = \"no\"");
    deploy(&supervised.stage, b"#!/bin/sh\nexit 3\n");
    supervised.stage.write("select.py", "none()\n");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … exit code 3 … going back to what ran before, as generation 3");
    supervised.wait_for(" web generation=3 … exit code 1 … the service stays down");
    assert_eq!(supervised.wait_exit(), 1);
}

/// A wrapper that looks for its program beside itself was started as `/dev/fd/6`, and found nothing there.
#[test]
fn a_wrapper_that_is_still_in_its_place_is_started_there() {
    for first in ["#!/bin/sh", "#!/usr/bin/env bash"] {
        let (stage, port) = (Stage::new(), free_port());
        deploy(&stage, &binary());
        let wrapper = format!("{first}\nexec \"$(dirname \"$0\")/server\" \"$@\"\n");
        fs::set_permissions(stage.write("wrapper", &wrapper), fs::Permissions::from_mode(0o755)).unwrap();
        let config =
            |more: &[&str]| service("web", port, &[&["./wrapper"], more].concat(), "ready = \"pipe\"");
        let mut supervised = stage.start(&config(&[]), &["web"]);
        supervised.wait_answer(port, 1);
        reload(&mut supervised, &config(&["--nonsense"]));
        supervised.wait_for(" web generation=2 … going back to what ran before, as generation 3");
        supervised.wait_answer(port, 3);
        supervised.stop();
    }
}

/// A script that is written over in place is another script under the same descriptor: the limit that the README tells.
#[test]
fn a_script_that_is_written_over_in_place_cannot_be_kept() {
    let (mut supervised, _) = staged(&script(), "restart = \"no\"");
    fs::write(supervised.stage.dir().join("server"), b"#!/bin/sh\nexit 3\n").unwrap();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … exit code 3 … going back to what ran before, as generation 3");
    supervised.wait_for(" web generation=3 … exit code 3 … the service stays down");
    assert_eq!(supervised.wait_exit(), 1);
}

/// A new binary is renamed over the old one: its code serves, and no request fails.
#[track_caller]
fn hot_update(more: &str) {
    let (supervised, port) = staged(&binary(), more);
    let load = Load::start("web", port, 4);
    for generation in 2..=6 {
        // What follows an ELF file does not matter to it.
        deploy(&supervised.stage, &[binary(), vec![0; generation as usize]].concat());
        supervised.signal(SIGUSR1);
        supervised.wait_answer(port, generation);
        let running = fs::metadata(format!("/proc/{}/exe", supervised.pid_of("web", generation).0)).unwrap();
        let deployed = fs::metadata(supervised.stage.dir().join("server")).unwrap();
        assert_eq!((running.dev(), running.ino()), (deployed.dev(), deployed.ino()), "{supervised}");
        supervised.wait_for(&format!(" web generation={} … exit code 0", generation - 1));
        load.wait_requests(60);
    }
    load.finish().must_be_perfect();
    assert!(!supervised.said("failed"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_new_binary_takes_over_stop_first_and_no_request_fails() {
    hot_update("restart_order = \"stop-first\"");
}

#[test]
fn a_new_binary_takes_over_start_first_and_no_request_fails() {
    hot_update("restart_order = \"start-first\"");
}
