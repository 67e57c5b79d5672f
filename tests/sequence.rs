//! Who starts after whom, and stops before whom.

mod support;

#[path = "support/command.rs"]
#[allow(dead_code, reason = "others use more of it")]
mod command;

use command::says;
use nix::sys::signal::Signal::{SIGHUP, SIGTERM, SIGUSR1};
use support::{Supervised, example, free_port, get, http, rude, service};

const WAITS: &str = "[bootstrap]\nwhen_idle = \"wait\"\n";

/// A database that needs a moment, and a web server that needs the database.
fn two(db: &str) -> String {
    http("web", free_port(), "requires = \"db\"") + db
}

#[test]
fn a_service_starts_when_what_it_requires_is_up_and_stops_before_it() {
    let db = service("db", free_port(), &[&support::example("http"), "--delay", "300ms"], "");
    let mut supervised = Supervised::start(&two(&db), &["db"]);
    supervised.wait_for(" db generation=1 … ready after");
    supervised.wait_for(" web generation=1 … ready after");
    supervised.signal(SIGTERM);
    supervised.wait_for(" web stopped");
    supervised.wait_for(" db generation=1 … asked to stop accepting");
    assert_eq!(supervised.wait_exit(), 0);
}

/// A worker without a socket was once asked to stop accepting.
#[test]
fn a_service_that_accepts_nothing_is_asked_to_stop() {
    let config = "[[service]]\nname = \"worker\"\ncommand = [\"sleep\", \"600\"]\nready = \"started\"\n";
    let mut supervised = Supervised::start(config, &["worker"]);
    supervised.signal(SIGTERM);
    supervised.wait_for(" worker generation=1 … asked to stop (SIGTERM); its exit is awaited for ");
    assert_eq!(supervised.wait_exit(), 0);
}

#[test]
fn a_service_whose_requirement_crashes_waits_for_it_and_starts_when_it_comes_back() {
    let port = free_port();
    let broken = rude("db", port, &["--exit", "3"], "");
    let config = format!("[bootstrap]\nwhen_idle = \"wait\"\n\n{}", two(&broken));
    let supervised = Supervised::start(&config, &["db"]);
    supervised.wait_for(" db generation=1 … stays down");
    assert!(!supervised.said(" web generation=1"), "{supervised}");
    supervised.stage.write("services.toml", &config.replace("\"--exit\", \"3\"", ""));
    supervised.signal(SIGHUP);
    supervised.wait_for(" db generation=2 … ready after");
    supervised.wait_for(" web generation=1 … ready after");
    assert!(get(port, "/").is_ok());
    supervised.stop();
}

/// A restart once started what requires a service together with that service, when both were down; and of one
/// that waited nothing was said.
#[test]
fn a_restart_of_what_is_down_waits_as_the_first_start_did() {
    let broken = rude("db", free_port(), &["--exit", "3"], "");
    let config = format!("[bootstrap]\nwhen_idle = \"wait\"\n\n{}", two(&broken));
    let mut supervised = Supervised::start(&config, &["db"]);
    supervised.wait_for(" web starts when db is up");
    supervised.forget();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" db generation=2 … stays down");
    assert!(!supervised.said(" web generation=1"), "{supervised}");
    supervised.stop();
}

#[test]
fn a_start_during_the_own_stop_says_what_it_waits_for() {
    let mut supervised = Supervised::start(
        &(WAITS.to_owned() + &rude("web", free_port(), &["--mute"], "handover_timeout = \"1s\"")),
        &["web"],
    );
    supervised.wait_for(" web generation=1 … started");
    // Each time: once it was told the first time only.
    for generation in [2, 3] {
        supervised.forget();
        for order in [["stop", "--no-wait"], ["start", "--no-wait"]] {
            supervised.stage.run(&["-c", "services.toml", order[0], order[1], "web"]);
        }
        supervised.wait_for(" web starts when its last process has ended");
        supervised.wait_for(&format!(" web generation={generation} … started"));
    }
    supervised.stop();
}

/// Whoever ordered it waited for ever: what crashes again and again is up at no time that anybody knows.
#[test]
fn an_order_for_what_needs_one_that_crashes_again_and_again_is_answered() {
    let broken = rude("db", free_port(), &["--exit", "3"], "restart = \"always\"\nrestart_delay = \"10s\"");
    let supervised = Supervised::start(&two(&broken), &["db"]);
    supervised.wait_for(" web starts when db is up");
    for order in ["start web", "restart web", "restart"] {
        says(&supervised, order, &["web: waits for db"], 5);
    }
    says(&supervised, "wait web --timeout 300ms", &["not up after 300ms; …"], 6);
    supervised.stop();
}

/// It was said to be up: what ran before its restart, for which there was no room yet.
#[test]
fn who_waits_for_a_service_waits_for_its_restart_that_was_ordered() {
    let slow = [&*example("http"), "--delay", "500ms"];
    let more = "restart_order = \"start-first\"\nready = \"pipe\"";
    let config = "[bootstrap]\nstart_concurrency = 1\n".to_owned()
        + &service("a", free_port(), &slow, more)
        + &service("b", free_port(), &slow, more);
    let supervised = Supervised::start(&config, &["a", "b"]);
    says(&supervised, "wait", &["b: up: generation 1 serves"], 0);
    says(&supervised, "restart --no-wait", &["b: …"], 0);
    says(&supervised, "wait b", &["b: up: generation 2 serves"], 0);
    supervised.stop();
}

/// What comes back after a crash waits for no room, and takes none: else a few that never come up would keep the others down.
#[test]
fn one_that_never_comes_up_keeps_nobody_from_starting_once_it_has_failed() {
    let never = "ready = \"pipe\"\nready_timeout = \"2s\"\nrestart = \"always\"";
    let config = "[bootstrap]\nstart_concurrency = 1\n".to_owned()
        + &service("never", free_port(), &["sleep", "1000"], never)
        + &http("web", free_port(), "");
    let supervised = Supervised::start(&config, &["never"]);
    supervised.wait_for(" never generation=1 … not ready after");
    supervised.wait_for(" web generation=1 … started");
    assert!(!supervised.said(" never generation=2 … not ready after"), "{supervised}");
    supervised.stop();
}
