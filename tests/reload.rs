//! SIGHUP re-reads the config and applies it as a transaction.

mod support;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGQUIT};
use std::fs;
use std::net::TcpListener;
use std::time::Duration;
use support::{
    Failure, Load, Stage, Supervised, eventually, example, free_port, get, http, in_flight, service,
};

/// Writes another config and has it read.
fn reload(supervised: &mut Supervised, config: &str) {
    supervised.forget();
    supervised.stage.write("services.toml", config);
    supervised.signal(SIGHUP);
}

#[test]
fn a_reload_that_changes_half_the_services_under_load_fails_no_request() {
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let config = |round: u32| -> String {
        let tables = ports.iter().enumerate().map(|(index, port)| {
            let round = if index < 2 { round } else { 0 };
            http(&format!("web-{index}"), *port, &format!("env = {{ ROUND = \"{round}\" }}"))
        });
        tables.collect()
    };
    let mut supervised = Supervised::start(&config(0), &["web-0", "web-1", "web-2", "web-3"]);
    let untouched = [2, 3].map(|index| supervised.pid_of(&format!("web-{index}"), 1));
    let loads: Vec<Load> = ports
        .iter()
        .enumerate()
        .map(|(index, port)| {
            supervised.wait_answer(*port, 1);
            Load::start(&format!("web-{index}"), *port, 2)
        })
        .collect();
    for round in 1..=10 {
        reload(&mut supervised, &config(round));
        supervised.wait_for(" bootstrap … reload: … 2 restarted … 2 untouched");
        for index in 0..2 {
            supervised.wait_for(&format!(" web-{index} generation={} … ready after", round + 1));
        }
        for load in &loads {
            load.wait_requests(20);
        }
    }
    for (index, load) in loads.into_iter().enumerate() {
        let outcome = load.finish();
        outcome.must_be_perfect();
        let generations = outcome.generations.len();
        assert!(if index < 2 { generations >= 8 } else { generations == 1 }, "web-{index}: {outcome}");
    }
    assert!(untouched.iter().all(|process| process.is_alive()));
    supervised.stop();
}

#[test]
fn added_removed_changed_and_untouched_in_one_step() {
    let [same, gone, changed, new] = [(); 4].map(|()| free_port());
    let before = http("same", same, "") + &http("gone", gone, "") + &http("changed", changed, "");
    let mut supervised = Supervised::start(&before, &["same", "gone", "changed"]);
    for port in [same, gone, changed] {
        supervised.wait_answer(port, 1);
    }
    let (pid, answer) = in_flight(gone, Duration::from_millis(500));

    let command = [&*example("http"), "--name", "otherwise"];
    let after = http("new", new, "") + &http("same", same, "") + &service("changed", changed, &command, "");
    reload(&mut supervised, &after);
    supervised.wait_for(" bootstrap … 1 added, 1 removed, 1 restarted, 0 changed in place, 1 untouched");
    supervised.wait_answer(new, 1);
    supervised.wait_answer(changed, 2);
    assert!(supervised.get(changed).body.starts_with("otherwise "));
    assert_eq!(supervised.get(same).pid(), supervised.pid_of("same", 1).0);
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid, "what was in flight is answered");
    eventually("the removed one refuses", || get(gone, "/") == Err(Failure::Refused));
    supervised.stop();
}

/// The old config goes on in every detail, and the message has `said`.
#[track_caller]
fn changes_nothing(prepare: impl FnOnce(&mut Supervised, &str, u16), said: &[&str]) {
    let (web, spare) = (free_port(), free_port());
    let config = http("web", web, "");
    let mut supervised = Supervised::start(&config, &["web"]);
    supervised.wait_answer(web, 1);
    prepare(&mut supervised, &config, spare);
    for said in said {
        supervised.wait_for(said);
    }
    supervised.wait_for(" bootstrap … nothing was changed");
    assert_eq!(supervised.get(web).pid(), supervised.pid_of("web", 1).0);
    assert_eq!(get(spare, "/").unwrap_err(), Failure::Refused, "{supervised}");
    assert_eq!(supervised.count("started:"), 1, "{supervised}");
    supervised.stop();
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_names_them_all() {
    changes_nothing(
        |supervised, _, spare| {
            let config = http("new", spare, "restrat = \"no\"") + &http("web", 1, "drain_timeout = 7");
            reload(supervised, &config);
        },
        &["restrat", "drain_timeout"],
    );
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    changes_nothing(
        |supervised, _, _| {
            supervised.forget();
            fs::remove_file(supervised.stage.dir().join("services.toml")).unwrap();
            supervised.signal(SIGHUP);
        },
        &["No such file"],
    );
}

#[test]
fn an_address_that_cannot_be_bound_changes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    changes_nothing(
        |supervised, config, spare| {
            reload(supervised, &(http("new", spare, "") + &http("other", port, "") + config));
        },
        &["already in use"],
    );
}

#[test]
fn a_change_of_policy_applies_to_the_process_that_runs() {
    let port = free_port();
    let mut supervised = Supervised::start(&http("web", port, ""), &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &http("web", port, "restart = \"always\""));
    supervised.wait_for(" bootstrap … 0 restarted, 1 changed in place");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn an_address_keeps_its_socket_and_its_queue_when_another_service_takes_it() {
    let (a, b) = (free_port(), free_port());
    // `one` sleeps before it serves, so clients wait in the queue of its socket.
    let slow = [&*example("http"), "--delay", "1h"];
    let before = service("one", a, &slow, "") + &http("two", b, "");
    let mut supervised = Supervised::start(&before, &["one", "two"]);
    supervised.wait_answer(b, 1);
    let sockets = || -> Vec<_> {
        let all = supervised.process().descriptors().into_iter();
        all.filter(|(_, what)| what.starts_with("socket:")).collect()
    };
    let held = sockets();
    let mut waiting = support::Client::connect(a).unwrap();
    waiting.send("/").unwrap();

    supervised.stage.write("services.toml", &(http("three", a, "") + &http("two", b, "")));
    supervised.signal(SIGHUP);
    supervised.wait_for(" bootstrap … 1 added, 1 removed, 0 restarted");
    assert!(waiting.receive().unwrap().body.starts_with("three "), "{supervised}");
    assert_eq!(sockets(), held, "{supervised}");
    supervised.forget();
    supervised.stop();
}

#[test]
fn a_file_with_nothing_new_touches_nothing() {
    let port = free_port();
    let config = http("web", port, "");
    let mut supervised = Supervised::start(&config, &["web"]);
    supervised.wait_answer(port, 1);
    reload(&mut supervised, &format!("# a comment\n{config}"));
    supervised.wait_for(" bootstrap … 0 added, 0 removed, 0 restarted, 0 changed in place, 1 untouched");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}

#[test]
fn a_reload_during_a_stop_starts_nothing() {
    let (web, new) = (free_port(), free_port());
    let mut supervised = Stage::new().start(&http("web", web, ""), &["web"]);
    let (_, answer) = in_flight(web, Duration::from_millis(500));
    supervised.signal(nix::sys::signal::Signal::SIGTERM);
    supervised.wait_for(" bootstrap … stopping");
    reload(&mut supervised, &(http("web", web, "") + &http("new", new, "")));
    assert_eq!(supervised.wait_exit(), 0);
    assert!(answer.join().unwrap().is_ok());
    assert!(!supervised.said("started:"), "{supervised}");
}

/// A reload gives `web` another command and a new definition in other ways, while a request is in flight. The old
/// process is asked to leave by the definition that it was started with, or it dies with the request.
#[track_caller]
fn answers_what_is_in_flight(port: u16, before: &str, after: &str) {
    let mut supervised = Supervised::start(before, &["web"]);
    supervised.wait_answer(port, 1);
    let (pid, answer) = in_flight(port, Duration::from_millis(1500));
    reload(&mut supervised, after);
    supervised.wait_for(" bootstrap … 1 restarted");
    match answer.join().unwrap() {
        Ok(answer) => assert_eq!((answer.pid(), answer.generation()), (pid, 1), "{supervised}"),
        Err(failure) => panic!("the request in flight failed: {failure:?}\n{supervised}"),
    }
    supervised.wait_answer(port, 2);
    supervised.stop();
}

/// `http` under another name: a change of the command.
fn renamed(port: u16, more: &str) -> String {
    service("web", port, &[&*example("http"), "--name", "renamed"], more)
}

/// `http` without the pipe handshake, which it speaks to a file.
fn pipeless(port: u16, more: &str) -> String {
    let script = format!("exec {} --name $BOOTSTRAP_SERVICE $0 9 9>/dev/null", example("http"));
    let more = format!("handshake = \"none\"\nstop_signal = \"SIGUSR1\"\n{more}");
    service("web", port, &["sh", "-c", &script, "{fd}"], &more)
}

/// A reload that turned the pipe handshake off asked the old server, which speaks it, by SIGTERM, and it died.
#[test]
fn a_reload_from_pipe_to_none_asks_the_old_server_through_its_pipe() {
    let port = free_port();
    let none = pipeless(port, "").replace("stop_signal", "# stop_signal");
    answers_what_is_in_flight(port, &http("web", port, ""), &none);
}

/// A reload that turned the pipe handshake on asked the old server, which does not speak it, by the new signal.
#[test]
fn a_reload_from_none_to_pipe_asks_the_old_server_by_its_own_signal() {
    let port = free_port();
    answers_what_is_in_flight(port, &pipeless(port, ""), &renamed(port, "stop_signal = \"SIGTERM\""));
}

/// A reload that changed `stop_signal` with the command sent the new signal to the old server, and it died of it.
#[test]
fn a_reload_that_changes_the_stop_signal_asks_the_old_server_by_the_old_one() {
    let port = free_port();
    answers_what_is_in_flight(port, &http("web", port, ""), &renamed(port, "stop_signal = \"SIGTERM\""));
}

/// A reload that made `drain_timeout` shorter with the command cut the drain of the old server to the new length.
#[test]
fn a_reload_that_shortens_the_drain_lets_the_old_server_finish_in_its_own_time() {
    let port = free_port();
    let short = "drain_timeout = \"100ms\"\nstop_timeout = \"100ms\"";
    answers_what_is_in_flight(port, &http("web", port, ""), &renamed(port, short));
}

/// Has said that it accepts no more, and has its socket as long as it drains.
const SAYS_SO: &str = "import os,signal,sys,time\n\
                       signal.signal(signal.SIGUSR1, lambda *_: os.write(int(sys.argv[2]), b'success'))\n\
                       while True: time.sleep(60)\n";

/// The same, ready when it has begun to listen to signals.
fn says_so(port: u16, command: &[&str]) -> String {
    service("web", port, command, "ready = \"delay\"\nready_delay = \"300ms\"")
}

/// A deployment that is taken back at once was refused: the process of before had the address, and nobody else.
#[test]
fn an_address_that_was_given_up_is_had_again_while_the_process_of_before_is_asked() {
    let (here, there) = (free_port(), free_port());
    let deaf = ["sh", "-c", "exec sleep 1000"];
    let mut supervised = Supervised::start(&says_so(here, &deaf), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    reload(&mut supervised, &says_so(there, &deaf));
    supervised.wait_for(" web generation=1 … asked to stop accepting");
    reload(&mut supervised, &says_so(here, &deaf));
    supervised.wait_for(" bootstrap reload: config applied: 0 added, 0 removed, 1 restarted");
    assert!(!supervised.said("cannot bind"), "{supervised}");
    supervised.signal(SIGQUIT);
    supervised.wait_exit();
}

/// One that drains may have its socket still, which is its own by then.
#[test]
fn who_has_an_address_that_was_given_up_is_named() {
    let (here, there) = (free_port(), free_port());
    let server = ["python3", "-c", SAYS_SO];
    let mut supervised = Supervised::start(&says_so(here, &server), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    reload(&mut supervised, &says_so(there, &server));
    supervised.wait_for(" web generation=1 … answered \"success\"");
    reload(&mut supervised, &says_so(here, &server));
    supervised.wait_for(&format!(
        " bootstrap cannot bind tcp://127.0.0.1:{here}: web generation 1 has it until it has finished"
    ));
    supervised.wait_for(" bootstrap … nothing was changed");
    supervised.signal(SIGQUIT);
    supervised.wait_exit();
}

/// To narrow a wildcard address in one reload was refused as "already in use by bootstrap", which is true and no
/// help: the message now says what holds it and what to do.
#[test]
fn an_address_is_narrowed_in_two_reloads_and_refused_in_one() {
    let (port, other) = (free_port(), free_port());
    let others = http("other", other, "");
    let wide = http("web", port, "").replace("127.0.0.1", "0.0.0.0") + &others;
    let narrow = http("web", port, "") + &others;
    let mut supervised = Supervised::start(&wide, &["web", "other"]);
    supervised.wait_answer(port, 1);
    let pid = supervised.get(port).pid();

    supervised.stage.write("services.toml", &narrow);
    let plan = supervised.stage.run(&["-c", "services.toml", "plan"]);
    let said = format!(
        "a reload would be refused: tcp://127.0.0.1:{port} overlaps with tcp://0.0.0.0:{port}, which is held"
    );
    assert!(String::from_utf8_lossy(&plan.stderr).contains(&said), "{plan:?}");
    assert_eq!(plan.status.code(), Some(78));
    reload(&mut supervised, &narrow);
    supervised.wait_for(&format!(
        " bootstrap cannot bind tcp://127.0.0.1:{port}: it overlaps with tcp://0.0.0.0:{port}, which is held"
    ));
    supervised.wait_for(" bootstrap … nothing was changed");
    assert_eq!(supervised.get(port).pid(), pid, "{supervised}");

    reload(&mut supervised, &others);
    supervised.wait_for(" web stopped");
    assert_eq!(get(port, "/"), Err(Failure::Refused), "{supervised}");
    reload(&mut supervised, &narrow);
    supervised.wait_for(" bootstrap … 1 added, 0 removed, 0 restarted, 0 changed in place, 1 untouched");
    supervised.wait_answer(port, 1);
    assert_ne!(supervised.get(port).pid(), pid, "{supervised}");
    supervised.stop();
}

/// Its socket was shut down under the server that still accepted: it ended, or was ended, with a client in flight.
#[test]
fn an_address_that_a_stopped_service_takes_is_served_until_its_server_accepts_no_more() {
    let [one, two, new] = [(); 3].map(|()| free_port());
    let waits = "[bootstrap]\nwhen_idle = \"wait\"\n";
    let before = waits.to_owned() + &http("one", one, "") + &http("two", two, "");
    let mut supervised = Supervised::start(&before, &["one", "two"]);
    supervised.wait_answer(two, 1);
    let stopped = supervised.stage.run(&["-c", "services.toml", "stop", "one"]);
    assert!(stopped.status.success(), "{stopped:?}");
    let (pid, answer) = in_flight(two, Duration::from_secs(1));
    reload(&mut supervised, &(waits.to_owned() + &http("one", two, "") + &http("two", new, "")));
    supervised.wait_answer(new, 2);
    assert_eq!(answer.join().unwrap().unwrap().pid(), pid, "what was in flight is answered");
    supervised.wait_for(" two generation=1 … ended with exit code 0");
    eventually("the stopped one refuses", || get(two, "/") == Err(Failure::Refused));
    supervised.stop();
}
