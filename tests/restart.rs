//! A restart fails no request.

mod support;

use bootstrap::limits::LEAVING;
use nix::sys::signal::Signal::{SIGQUIT, SIGUSR1};
use std::net::UdpSocket;
use std::time::Duration;
use support::{
    Client, Load, Outcome, Stage, Supervised, eventually, example, free_port, get_unix, http, in_flight,
    rude, service,
};

/// Restarts a service under load, each time as soon as the last restart is complete.
fn twenty_restarts(command: &[&str], ready: &str) -> Outcome {
    let port = free_port();
    let supervised = Supervised::start(&service("web", port, command, ""), &["web"]);
    supervised.wait_answer(port, 1);
    let name = supervised.get(port).body.split(' ').next().unwrap().to_owned();
    let load = Load::start(&name, port, 4);
    for generation in 2..=21 {
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" web generation={generation} pid= … {ready}"));
        load.wait_requests(40);
    }
    let outcome = load.finish();
    supervised.stop();
    outcome
}

#[test]
fn twenty_restarts_under_load_fail_no_request_over_new_and_kept_connections() {
    let outcome = twenty_restarts(&[&example("http")], "ready after");
    outcome.must_be_perfect();
    assert!(outcome.generations.len() >= 15, "restarts were no restarts: {outcome}");
}

#[test]
fn a_server_written_for_the_original_restarts_without_a_failed_request() {
    let outcome = twenty_restarts(&[&example("original")], "started");
    assert!(outcome.failures.is_empty(), "{outcome}");
    assert!(outcome.generations.len() >= 15, "restarts were no restarts: {outcome}");
}

#[test]
fn a_server_in_python_restarts_without_a_failed_request() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/web.py");
    let outcome = twenty_restarts(&["python3", script], "ready after");
    assert!(outcome.failures.is_empty(), "{outcome}");
    assert!(outcome.generations.len() >= 5, "restarts were no restarts: {outcome}");
}

#[test]
fn requests_in_flight_are_answered_by_the_old_process_while_the_new_one_serves() {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, ""), &["web"]);
    let old = supervised.pid_of("web", 1);
    let (pid, answer) = in_flight(port, Duration::from_millis(1500));

    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    assert!(old.is_alive(), "it must finish its request");
    assert!(!answer.is_finished(), "the new one served only when the old one was done");

    let answer = answer.join().unwrap().unwrap();
    assert_eq!((answer.pid(), answer.generation()), (pid, 1));
    assert_eq!(old.0, pid);
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.stop();
}

#[test]
fn the_next_request_of_a_kept_connection_is_answered_with_a_polite_close() {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, ""), &["web"]);
    let mut kept = Client::connect(port).unwrap();
    assert!(!kept.get("/").unwrap().close);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … success");
    let answer = kept.get("/").unwrap();
    assert_eq!((answer.generation(), answer.close), (1, true));
    supervised.stop();
}

#[test]
fn an_answer_in_seven_pieces_is_one_answer() {
    let port = free_port();
    let supervised = Supervised::start(&rude("web", port, &["--pieces", "20ms"], ""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … \"success\"");
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn a_second_answer_is_ignored() {
    let port = free_port();
    let supervised = Supervised::start(&rude("web", port, &["--twice"], ""), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.wait_answer(port, 2);
    assert!(!supervised.said("generation=3"), "{supervised}");
    supervised.stop();
}

/// Servers that never end, restarted more often than they were killed, once piled up without a bound.
#[test]
fn a_hundred_restarts_of_a_server_that_never_ends_leave_no_more_than_the_limit() {
    const RESTARTS: u32 = 100;
    const FEW: usize = 4;
    let more = "drain_timeout = \"10m\"\nstop_timeout = \"100ms\"";
    let port = free_port();
    let config = rude("web", port, &["--stay"], more);
    let mut supervised = Supervised::start(&config, &["web"]);
    for generation in 2..=RESTARTS + 1 {
        supervised.wait_for(&format!(" web generation={} … ready after", generation - 1));
        supervised.signal(SIGUSR1);
        supervised.pid_of("web", generation);
        if generation % 20 == 0 {
            let alive = supervised.offspring().len();
            assert!(alive <= LEAVING + FEW, "{alive} processes at generation {generation}\n{supervised}");
        }
    }
    supervised.wait_answer(port, RESTARTS + 1);
    eventually("no more than the limit are left", || supervised.offspring().len() <= LEAVING + 1);
    let told =
        format!(" web generation= … {LEAVING} generations are leaving already; sent SIGTERM to this one");
    assert!(supervised.count(&told) >= RESTARTS as usize - LEAVING - 1, "{supervised}");
    supervised.wait_for(&format!(" web generation=1 … {LEAVING} generations are leaving already"));
    supervised.wait_for(" web generation=1 … was ended by SIGTERM");
    supervised.signal(SIGQUIT);
    supervised.wait_exit();
}

#[test]
fn one_service_may_have_sockets_of_every_kind_and_keeps_them_over_a_restart() {
    let stage = Stage::new();
    let (v4, v6, udp) = (free_port(), free_port(), free_port());
    let socket = stage.path("web.sock");
    let config = format!(
        r#"
[[service]]
name = "web"
listen = ["tcp://127.0.0.1:{v4}", "tcp://[::1]:{v6}", "unix:{socket}"]
command = {:?}

[[service]]
name = "echo"
handshake = "none"
listen = {{ name = "in", address = "udp://127.0.0.1:{udp}" }}
command = ["python3", "-c", '''
import os, socket
with socket.socket(fileno={{fd:in}}) as s:
    while True:
        _, whom = s.recvfrom(100)
        s.sendto(b"generation=" + os.environ["BOOTSTRAP_GENERATION"].encode(), whom)
''']
"#,
        [example("http")]
    );
    let supervised = stage.start(&config, &["web", "echo"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(support::LIMIT)).unwrap();
    let ask_echo = || {
        client.send_to(b"?", ("127.0.0.1", udp)).unwrap();
        let mut answer = [0; 100];
        let len = client.recv(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    };
    for generation in 1..=2 {
        supervised.wait_answer(v4, generation);
        let over_v6 = Client::over(std::net::TcpStream::connect(("::1", v6)).unwrap()).get("/").unwrap();
        let over_unix = get_unix(socket.as_ref(), "/").unwrap();
        assert_eq!([over_v6.generation(), over_unix.generation()], [generation; 2], "{supervised}");
        assert_eq!(ask_echo(), format!("generation={generation}"), "{supervised}");
        supervised.signal(SIGUSR1);
        supervised.pid_of("web", generation + 1);
        supervised.pid_of("echo", generation + 1);
    }
    supervised.stop();
}
