//! Start-first: the new process is started beside the old one, which leaves when the new one is ready. A new one that
//! fails changes nothing.

mod support;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1};
use std::time::Duration;
use support::{
    Client, Failure, Load, Stage, Supervised, eventually, example, free_port, get, http, in_flight, rude,
    service,
};

const START_FIRST: &str = "restart_order = \"start-first\"";

/// Writes another config and has it read.
fn reload(supervised: &mut Supervised, config: &str) {
    supervised.forget();
    supervised.stage.write("services.toml", config);
    supervised.signal(SIGHUP);
}

/// The example `http`, start-first, with these options and further lines of its table.
fn web(port: u16, options: &[&str], more: &str) -> String {
    let program = example("http");
    service("web", port, &[&[&*program], options].concat(), &format!("{START_FIRST}\n{more}"))
}

/// One of our examples as a server that knows no handshake: nobody reads what it writes to its pipe.
fn speechless(port: u16, program: &str, more: &str) -> String {
    let run = format!("exec {program} {{fd}} 1 > /dev/null");
    let more = format!("handshake = \"none\"\nstop_signal = \"SIGUSR1\"\n{more}");
    service("web", port, &["sh", "-c", &run], &more)
}

/// Restarts under load, each as soon as the last one is complete; no request may fail.
#[track_caller]
fn restarts_under_load(config: &str, port: u16, restarts: u32) {
    let supervised = Supervised::start(config, &["web"]);
    supervised.wait_answer(port, 1);
    let load = Load::start("web", port, 4);
    for generation in 2..=restarts + 1 {
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" web generation={} pid= … asked to stop accepting", generation - 1));
        assert!(supervised.said(&format!(" web generation={generation} pid= … ready after")), "{supervised}");
        load.wait_requests(20);
    }
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    assert!(outcome.generations.len() > restarts as usize / 2, "restarts were no restarts: {outcome}");
    supervised.stop();
}

#[test]
fn twenty_restarts_of_a_slow_starter_fail_no_request() {
    let port = free_port();
    restarts_under_load(&web(port, &["--delay", "300ms"], ""), port, 20);
}

#[test]
fn a_server_that_cannot_speak_is_seen_to_be_ready() {
    let port = free_port();
    let program = format!("{} --delay 100ms", example("http"));
    restarts_under_load(&speechless(port, &program, START_FIRST), port, 10);
}

#[test]
fn a_server_in_python_that_cannot_speak_is_seen_to_be_ready() {
    let port = free_port();
    let program = format!("python3 {}", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/web.py"));
    let more = format!("{START_FIRST}\nready = \"accepting\"");
    restarts_under_load(&speechless(port, &program, &more), port, 5);
}

#[test]
fn the_old_process_answers_until_the_new_one_is_ready() {
    let port = free_port();
    let mut supervised = Supervised::start(&web(port, &[], ""), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &web(port, &["--delay", "1500ms"], ""));
    supervised.pid_of("web", 2);
    let mut answers = 0;
    while !supervised.said(" web generation=2 … ready after") {
        answers += u32::from(supervised.get(port).generation() == 1);
    }
    assert!(answers > 10, "{answers} answers of the old process\n{supervised}");
    supervised.wait_for(" web generation=1 … exit code 0");
    assert_eq!(supervised.get(port).generation(), 2);
    supervised.stop();
}

/// Replaces a well-behaved server by `config`: that must fail in these words, and change nothing.
#[track_caller]
fn fails(config: impl Fn(u16) -> String, said: &str) {
    let port = free_port();
    let mut supervised = Supervised::start(&rude("web", port, &[], START_FIRST), &["web"]);
    supervised.wait_answer(port, 1);
    let old = supervised.pid_of("web", 1);
    let is_reported = |supervised: &Supervised, generation: u32| {
        let wanted =
            format!(" web generation={generation} … {said} … the restart failed; generation 1 serves on");
        eventually(&format!("{wanted}\n{supervised}"), || {
            // Some fail when they are asked for something.
            get(port, "/").is_ok() && supervised.said(&wanted)
        });
    };
    reload(&mut supervised, &config(port));
    is_reported(&supervised, 2);
    // And once more: what failed is still what the file asks for.
    supervised.signal(SIGUSR1);
    is_reported(&supervised, 3);
    eventually("only the old process is left", || supervised.offspring() == [old]);
    assert_eq!(supervised.get(port).pid(), old.0, "{supervised}");
    supervised.forget();
    assert!(!supervised.said(" web generation=1 … asked"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let sins = |sins: &'static [&'static str], more: &'static str| {
        move |port| rude("web", port, sins, &format!("{START_FIRST}\n{more}"))
    };
    fails(sins(&["--exit", "7"], ""), "exit code 7");
    fails(sins(&["--exit", "0"], "restart = \"always\""), "exit code 0");
    fails(sins(&["--die", "9"], ""), "SIGKILL");
    fails(sins(&["--say", "failed ", "--exit", "0"], ""), "wrote \"failed \"");
    fails(sins(&["--late", "1h"], "ready_timeout = \"200ms\""), "not ready after 200ms");
    // It accepts, and never says so.
    fails(sins(&["--mute"], "ready = \"pipe\"\nready_timeout = \"200ms\""), "not ready after 200ms");
    fails(
        sins(&["--late", "1h"], "ready = \"accepting\"\nready_timeout = \"200ms\""),
        "not ready after 200ms",
    );
    fails(|port| service("web", port, &["./none"], START_FIRST), "could not be started");
}

#[test]
fn a_successor_that_dies_in_its_bake_time_changes_nothing() {
    let more = format!("{START_FIRST}\nbake_time = \"1h\"");
    fails(|port| rude("web", port, &["--exit-after", "3", "9"], &more), "exit code 9");
    fails(|port| rude("web", port, &["--unasked"], &format!("{more}\ndrain_timeout = \"100ms\"")), "");
}

/// Settings of the socket are written back before each start. When that took `O_NONBLOCK` from a socket that the old
/// process still accepted from, it blocked in its next `accept`: uvicorn answered nobody for 300 ms and then lost what
/// it had accepted, and HAProxy was aborted by its own watchdog.
#[test]
fn the_socket_of_the_old_process_stays_as_it_made_it() {
    let port = free_port();
    let mut supervised = Supervised::start(&web(port, &[], ""), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &web(port, &["--delay", "1h"], "ready_timeout = \"1h\""));
    let old = supervised.pid_of("web", 1);
    supervised.pid_of("web", 2);
    let listener = old.descriptors().into_iter().find(|(_, what)| what.starts_with("socket:")).unwrap().0;
    let told = std::fs::read_to_string(format!("/proc/{}/fdinfo/{listener}", old.0)).unwrap();
    let flags = told.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let nonblocking = i32::from_str_radix(flags, 8).unwrap() & nix::libc::O_NONBLOCK;
    assert_ne!(nonblocking, 0, "{told}\n{supervised}");
}

#[test]
fn the_old_process_is_kept_for_the_bake_time_and_then_leaves() {
    let port = free_port();
    let supervised = Supervised::start(&web(port, &[], "bake_time = \"400ms\""), &["web"]);
    supervised.wait_answer(port, 1);
    let old = supervised.pid_of("web", 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … what it replaces is kept for 400ms");
    assert!(old.is_alive() && !supervised.said(" web generation=1 … asked"), "{supervised}");
    supervised.wait_for(" web generation=1 … exit code 0");
    assert_eq!(supervised.get(port).generation(), 2);
    supervised.stop();
}

#[test]
fn an_old_process_that_dies_in_the_bake_time_is_not_missed() {
    let port = free_port();
    let supervised = Supervised::start(&web(port, &[], "bake_time = \"1h\""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … what it replaces is kept");
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_for(" web generation=1 … SIGKILL … generation 2 serves already");
    assert_eq!(supervised.get(port).generation(), 2);
    supervised.stop();
}

#[test]
fn clients_wait_when_the_old_process_dies_while_the_new_one_starts() {
    let port = free_port();
    let mut supervised = Supervised::start(&web(port, &[], ""), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &web(port, &["--delay", "2s"], ""));
    supervised.pid_of("web", 2);
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_for(" web generation=1 … SIGKILL … generation 2 is starting already");
    assert_eq!(supervised.get(port).generation(), 2);
    assert_eq!(supervised.last_generation("web"), 2, "{supervised}");
    supervised.stop();
}

#[test]
fn a_stop_in_the_middle_ends_both_and_answers_what_is_in_flight() {
    let port = free_port();
    let mut supervised = Supervised::start(&web(port, &[], ""), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &web(port, &["--delay", "1h"], ""));
    supervised.pid_of("web", 2);
    let (pid, answer) = in_flight(port, Duration::from_millis(500));
    supervised.stop();
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid);

    // In the bake time both serve.
    let supervised = Supervised::start(&web(port, &[], "bake_time = \"1h\""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … what it replaces is kept");
    supervised.stop();
}

#[test]
fn a_second_restart_during_the_first_runs_once_after_it() {
    let port = free_port();
    let supervised = Supervised::start(&web(port, &["--delay", "300ms"], ""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.signal(SIGUSR1);
    supervised.pid_of("web", 2);
    for _ in 0..5 {
        supervised.signal(SIGUSR1);
        supervised.wait_for("restart asked for during a start");
    }
    supervised.wait_answer(port, 3);
    supervised.wait_for(" web generation=2 … exit code 0");
    assert_eq!(supervised.last_generation("web"), 3, "{supervised}");
    supervised.stop();
}

#[test]
fn a_server_that_lives_for_its_delay_is_ready() {
    let port = free_port();
    let program = example("http");
    let more = "ready = \"delay\"\nready_delay = \"300ms\"";
    let supervised = Supervised::start(&speechless(port, &program, more), &["web"]);
    let line = supervised.wait_for(" web generation=1 … ready after");
    let after = line.split("ready after ").nth(1).unwrap();
    assert!(humantime::parse_duration(after).unwrap() >= Duration::from_millis(300), "{supervised}");
    supervised.stop();
}

/// Stop-first, and no handshake: the old process is seen to accept no more, long before it ends.
#[test]
fn the_successor_of_a_server_that_cannot_speak_does_not_wait_for_its_drain() {
    let port = free_port();
    let supervised = Stage::new().start(&speechless(port, &example("http"), ""), &["web"]);
    supervised.wait_answer(port, 1);
    let old = supervised.pid_of("web", 1);
    let (pid, answer) = in_flight(port, Duration::from_secs(3));
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … seen to accept no more");
    supervised.wait_answer(port, 2);
    assert!(
        old.is_alive() && !answer.is_finished(),
        "it served only when the old one was done\n{supervised}"
    );
    let answer = answer.join().unwrap().unwrap();
    assert_eq!((answer.pid(), answer.generation()), (pid, 1));
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.stop();
}

/// Nobody waits for it: but a client is refused at once, and is not sent away when the last answer is done.
#[test]
fn a_stop_of_a_server_that_cannot_speak_refuses_clients_while_it_drains() {
    let port = free_port();
    let supervised = Stage::new().start(&speechless(port, &example("http"), ""), &["web"]);
    supervised.wait_answer(port, 1);
    let (pid, answer) = in_flight(port, Duration::from_secs(5));
    let stop = supervised.stage.run(&["-c", "services.toml", "stop", "--no-wait", "web"]);
    assert!(stop.status.success(), "{stop:?}");
    supervised.wait_for(" web generation=1 … seen to accept no more");
    eventually("clients are refused", || matches!(Client::connect(port), Err(Failure::Refused)));
    assert!(!answer.is_finished(), "{supervised}");
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid);
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.stop();
}

/// A server of which nothing is seen, and nothing heard, is taken for ready where nobody else serves.
#[test]
fn a_server_that_shows_nothing_is_taken_for_ready_where_nobody_else_serves() {
    for order in ["stop-first", "start-first"] {
        let port = free_port();
        let slow = format!("{} --delay 1h", example("http"));
        let more = format!("ready_timeout = \"200ms\"\nrestart_order = \"{order}\"");
        let mut supervised = Supervised::start(&speechless(port, &slow, &more), &["web"]);
        supervised.wait_for(" web generation=1 … not seen to accept within 200ms; taken for ready");
        if order == "start-first" {
            // Where one serves doubt is for that one.
            supervised.signal(SIGUSR1);
            let failed = "not ready after 200ms (not seen to accept; `ready` may name another sign)";
            supervised.wait_for(&format!(" web generation=2 … {failed} … generation 1 serves on"));
        }
        supervised.signal(SIGTERM);
        assert_eq!(supervised.wait_exit(), 0);
    }
}

/// Where those before it were seen, it means something that this one is not: it hangs, and what ran before comes back.
#[test]
fn a_successor_that_shows_nothing_has_failed_where_those_before_it_were_seen() {
    let (stage, port) = (Stage::new(), free_port());
    stage.deploy("server", &std::fs::read(example("http")).unwrap());
    let more = "handshake = \"none\"\nstop_signal = \"SIGUSR1\"\nready_timeout = \"500ms\"";
    let supervised = stage.start(&service("web", port, &["./server", "{fd}", "1"], more), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.wait_answer(port, 1);
    supervised.stage.deploy("server", b"#!/bin/sh\nexec sleep 60\n");
    supervised.signal(SIGUSR1);
    supervised.wait_for(
        " web generation=2 … not ready after 500ms (not seen to accept … going back to what ran before",
    );
    supervised.wait_answer(port, 3);
    supervised.stop();
}

/// One that takes its first client from a queue that is never empty is not seen to wait for the next.
#[test]
fn a_server_that_is_busy_from_its_first_client_on_is_ready() {
    let port = free_port();
    let text = "import socket, sys, time\nt = socket.socket(fileno=int(sys.argv[1]))\ntime.sleep(1)\n\
                c = t.accept()[0]\nwhile True: time.sleep(1)";
    let config = format!(
        "[[service]]\nname = 'web'\nport = {port}\nhandshake = 'none'\nready = 'accepting'\nready_timeout = '10s'\n\
         command = ['python3', '-c', '''{text}''', '{{fd}}']\n"
    );
    let supervised = Supervised::start(&config, &[]);
    supervised.wait_for(" web generation=1 … started");
    let _waits = Client::connect(port).unwrap();
    supervised.wait_for(" web generation=1 … ready after");
    assert!(!supervised.said("not ready"), "{supervised}");
    supervised.stop();
}

/// A failed reload that moved the service to another address once gave the old one up under the process that
/// served on: it could not be taken back, and a unix path was gone at once.
#[test]
fn the_address_of_a_process_that_serves_on_is_held_and_can_be_taken_back() {
    let (here, there) = (free_port(), free_port());
    let good = http("web", here, "restart_order = \"start-first\"");
    let bad = service("web", there, &["sh", "-c", "exit 4"], "restart_order = \"start-first\"");
    let supervised = Supervised::start(&good, &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.stage.write("services.toml", &bad);
    supervised.signal(SIGHUP);
    supervised.wait_for(" web generation=2 … generation 1 serves on");
    assert_eq!(get(here, "/").unwrap().generation(), 1);
    supervised.stage.write("services.toml", &good);
    supervised.signal(SIGHUP);
    supervised.wait_for(" web generation=3 … ready after");
    supervised.wait_answer(here, 3);
    supervised.stop();
}

/// Its address is given up with it, and there is nothing else to start.
#[test]
fn a_crash_after_a_move_that_failed_starts_what_the_file_says() {
    let (here, there) = (free_port(), free_port());
    let more = format!("{START_FIRST}\nrestart = \"on-failure\"");
    let mut supervised = Supervised::start(&http("web", here, &more), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    let pid = supervised.pid_of("web", 1);
    reload(&mut supervised, &service("web", there, &["sh", "-c", "exit 4"], &more));
    supervised.wait_for(" web generation=2 … generation 1 serves on");
    pid.signal(SIGKILL);
    supervised.wait_for(" web generation=3 pid= … started: sh -c");
    eventually("the old address refuses", || get(here, "/") == Err(Failure::Refused));
    supervised.stop();
}

/// It once answered there beside the new owner, without end.
#[test]
fn who_fails_to_move_away_makes_way_for_the_new_owner_of_its_address() {
    let [shop, blog, new] = [(); 3].map(|()| free_port());
    let front =
        |name: &str, port: u16| service(name, port, &[&*example("http"), "--name", "front"], START_FIRST);
    let mut supervised = Supervised::start(&(front("shop", shop) + &front("blog", blog)), &["shop", "blog"]);
    supervised.wait_for(" blog generation=1 … ready after");
    supervised.wait_for(" shop generation=1 … ready after");
    let load = Load::start("front", shop, 2);
    let gives_up = service("shop", new, &["sh", "-c", "exit 4"], START_FIRST);
    let both = format!("\"tcp://127.0.0.1:{blog}\", \"tcp://127.0.0.1:{shop}\"");
    let takes = front("blog", blog).replace(&format!("\"tcp://127.0.0.1:{blog}\""), &both);
    reload(&mut supervised, &(gives_up + &takes));
    supervised.wait_for(" shop generation=2 … generation 1 serves on");
    let why = format!("still serves tcp://127.0.0.1:{shop}, which is blog's by now; it makes way");
    supervised.wait_for(&format!(" shop generation=1 … {why}"));
    supervised.wait_for(" shop generation=1 … ended with exit code 0");
    supervised.wait_for(" blog generation=2 … ready after");
    for _ in 0..20 {
        assert_eq!(get(shop, "/").unwrap().pid(), supervised.pid_of("blog", 2).0, "{supervised}");
    }
    load.wait_requests(400);
    load.finish().must_be_perfect();
    supervised.stop();
}

/// Nobody is asked to leave for a program that is not there, whatever address it is to have.
#[test]
fn a_move_to_another_address_without_a_program_leaves_what_serves_where_it_is() {
    let (here, there) = (free_port(), free_port());
    let mut supervised = Supervised::start(&http("web", here, ""), &["web"]);
    supervised.wait_answer(here, 1);
    reload(&mut supervised, &service("web", there, &["./missing"], ""));
    supervised.wait_for(" web not restarted: … No such file or directory; generation 1 serves on");
    assert_eq!(get(here, "/").unwrap().generation(), 1);
    assert_eq!(get(there, "/"), Err(Failure::Refused), "{supervised}");
    reload(&mut supervised, &http("web", there, ""));
    supervised.wait_answer(there, 2);
    eventually("the old address refuses", || get(here, "/") == Err(Failure::Refused));
    supervised.stop();
}
