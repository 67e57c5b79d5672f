//! Checks, the gates that ask, and watchdogs: who is found sick, and what follows.

#![expect(clippy::disallowed_methods, reason = "servers that answer what a test wants")]

mod support;

#[path = "support/command.rs"]
mod command;

use command::{json, says};
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGSTOP, SIGTERM, SIGUSR1};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};
use support::{Load, Stage, Supervised, eventually, example, free_port, service};

/// The example `http` with these lines in its table.
fn web(port: u16, more: &str) -> String {
    service("web", port, &[&example("http")], more)
}

/// A check that is good as long as there is no file `sick-GENERATION`.
const UNLESS_SICK: &str =
    "exec = [\"sh\", \"-c\", \"test ! -e sick-$BOOTSTRAP_GENERATION && test -d /proc/$BOOTSTRAP_PID\"]";

fn check(what: &str, failures: u32) -> String {
    format!("check = {{ {what}, period = \"30ms\", timeout = \"5s\", failures = {failures} }}")
}

/// A server of the test: what it does with each connection, until the test ends.
fn stub(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
    port
}

#[test]
fn a_sick_process_is_replaced_in_the_order_of_its_service_and_no_request_fails() {
    let port = free_port();
    let more =
        format!("restart_order = \"start-first\"\nrestart = \"on-failure\"\n{}", check(UNLESS_SICK, 2));
    let mut supervised = Supervised::start(&web(port, &more), &["web"]);
    supervised.wait_answer(port, 1);
    let load = Load::start("web", port, 2);
    for generation in 1..=2 {
        supervised.forget();
        supervised.stage.write(&format!("sick-{generation}"), "");
        let next = generation + 1;
        supervised
            .wait_for(&format!(" web generation={generation} … check 1 of 2 failed: its command ended with"));
        supervised.wait_for(&format!(
            " web generation={generation} … unhealthy: 2 checks failed in a row, the last one: its command ended with exit code 1; restarting it"
        ));
        supervised.wait_for(&format!(" web generation={next} … ready after"));
        supervised.wait_for(&format!(" web generation={generation} … exit code 0"));
    }
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    // Nobody asked for them.
    let restarts = &json(&supervised, "status").0["services"][0]["restarts"];
    let counts = ["asked", "crash", "unhealthy", "failed"].map(|reason| restarts[reason].as_u64());
    assert_eq!(counts, [Some(0), Some(0), Some(2), Some(0)], "{restarts}");
    says(&supervised, "status web", &["restarts…2 of sick processes"], 0);
    supervised.stop();
}

#[test]
fn with_restart_no_it_is_told_once_and_left_alone_until_it_is_well_again() {
    let port = free_port();
    let mut supervised = Supervised::start(&web(port, &check(UNLESS_SICK, 1)), &["web"]);
    supervised.wait_answer(port, 1);
    for _ in 0..2 {
        supervised.forget();
        let sick = supervised.stage.write("sick-1", "");
        supervised.wait_for(" web generation=1 … unhealthy: … it is left alone (restart = \"no\")");
        let last = "its command ended with exit code 1";
        says(&supervised, "status", &[&format!("web…up…unhealthy for …: {last}")], 0);
        says(&supervised, "status web", &[&format!("unhealthy…for …: {last}")], 0);
        assert_eq!(json(&supervised, "status").0["services"][0]["runs"][0]["unhealthy"]["message"], last);
        fs::remove_file(sick).unwrap();
        supervised.wait_for(" web generation=1 … healthy again, after");
    }
    let (status, _) = json(&supervised, "status");
    assert!(status["services"][0]["runs"][0].get("unhealthy").is_none(), "{status}");
    assert_eq!(supervised.count("unhealthy"), 2, "{supervised}");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}

#[test]
fn what_is_wrong_with_an_answer_is_told() {
    let silent = stub(std::mem::forget);
    let closing = stub(drop);
    let talking = stub(|mut connection| {
        let _ = connection.read(&mut [0; 16]);
        let _ = connection.write_all(b"220 smtp.example ESMTP\r\n");
        std::mem::forget(connection);
    });
    let port = free_port();
    for (target, said) in [
        (format!("tcp = \"127.0.0.1:{}\"", free_port()), "Connection refused"),
        ("tcp = \"unix:nobody-{generation}.sock\"".into(), "No such file or directory"),
        (format!("http = \"http://127.0.0.1:{port}/nope\""), "status 404"),
        ("http = \"http://127.0.0.1:{port}/\", status = 204".into(), "status 200"),
        (format!("http = \"http://127.0.0.1:{silent}/\", timeout = \"50ms\""), "no answer in time"),
        (format!("http = \"http://127.0.0.1:{closing}/\""), "the connection ended without an answer"),
        (format!("http = \"http://127.0.0.1:{talking}/\""), "the answer is no HTTP"),
        ("exec = \"false\"".into(), "its command ended with exit code 1"),
        ("exec = [\"sh\", \"-c\", \"kill -9 $$\"]".into(), "its command was ended by SIGKILL"),
        ("exec = \"./missing\"".into(), "its command could not be started: ./missing: No such file"),
    ] {
        let check = format!("check = {{ {target}, period = \"20ms\", failures = 1 }}");
        let supervised = Supervised::start(&web(port, &check), &["web"]);
        supervised.wait_for(&format!(" web generation=1 … unhealthy: … the last one: {said}"));
        supervised.stop();
    }
}

#[test]
fn good_answers_over_tcp_http_and_unix_sockets_are_good() {
    let port = free_port();
    let stage = Stage::new();
    let unix = UnixListener::bind(stage.dir().join("own-1.sock")).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut connection in unix.incoming().flatten() {
            let mut request = [0; 1024];
            let count = connection.read(&mut request).unwrap_or(0);
            let _ = tell.send(String::from_utf8_lossy(&request[..count]).into_owned());
            for byte in b"HTTP/1.1 302 Found\r\n" {
                let _ = connection.write_all(&[*byte]);
            }
        }
    });
    let checked = |name: &str, port: u16, target: &str| {
        let more = format!("restart = \"always\"\ncheck = {{ {target}, period = \"10ms\", failures = 1 }}");
        service(name, port, &[&example("http")], &more)
    };
    let config = [
        checked("tcp", port, "tcp = \"127.0.0.1:{port}\""),
        checked("http", free_port(), "http = \"http://127.0.0.1:{port}/?n=1\", status = 200"),
        checked("unix", free_port(), "http = \"http://unix:own-{generation}.sock:/healthz?worker={worker}\""),
    ];
    let supervised = stage.start(&config.concat(), &["tcp", "http", "unix"]);
    for _ in 0..20 {
        let request = told.recv_timeout(support::LIMIT).unwrap();
        if !request.is_empty() {
            assert!(
                request.starts_with("GET /healthz?worker=0 HTTP/1.1\r\nHost: localhost\r\n"),
                "{request:?}"
            );
            assert!(request.contains("\r\nConnection: close\r\n"), "{request:?}");
        }
    }
    assert_eq!(supervised.count("unhealthy"), 0, "{supervised}");
    supervised.stop();
}

#[test]
fn a_command_that_hangs_is_killed_with_its_group_and_is_not_the_service() {
    let port = free_port();
    let hangs = "exec = [\"sh\", \"-c\", \"sleep 3600 & echo $! >> pids; wait\"]";
    let check = format!("check = {{ {hangs}, period = \"20ms\", timeout = \"100ms\", failures = 3 }}");
    let mut supervised = Supervised::start(&web(port, &check), &["web"]);
    supervised
        .wait_for(" web generation=1 … unhealthy: 3 checks failed in a row, the last one: no answer in time");
    let pids = fs::read_to_string(supervised.stage.dir().join("pids")).unwrap();
    let first: i32 = pids.lines().next().unwrap().parse().unwrap();
    eventually("what a command has started is ended with it", || !support::Process(first).is_alive());
    assert_eq!(supervised.get(port).generation(), 1);
    assert!(!supervised.said("ended with") && !supervised.said("was ended"), "{supervised}");
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    // SIGKILL was sent; the last one may still be on its way out.
    eventually("nothing is left", || supervised.offspring().is_empty());
}

#[test]
fn a_process_is_ready_when_its_check_is_good_and_not_before() {
    let port = free_port();
    let good = "exec = [\"sh\", \"-c\", \"test -e good-$BOOTSTRAP_GENERATION\"]";
    let more = format!("ready = \"exec\"\nrestart_order = \"start-first\"\ncheck = {{ {good} }}");
    let mut supervised = Supervised::start(&web(port, &more), &["web"]);
    supervised.wait_answer(port, 1);
    assert!(!supervised.said("ready after"), "{supervised}");
    supervised.stage.write("good-1", "");
    supervised.wait_for(" web generation=1 … ready after");
    supervised.forget();
    supervised.signal(SIGUSR1);
    // It accepts, and it is not what it is asked for: the old one stays, and its good answers are not for it.
    supervised.wait_answer(port, 2);
    assert!(!supervised.said("asked to stop"), "{supervised}");
    supervised.stage.write("good-2", "");
    supervised.wait_for(" web generation=2 … ready after");
    supervised.wait_for(" web generation=1 … asked to stop accepting");
    supervised.stop();
}

#[test]
fn a_gate_that_never_opens_says_why() {
    let port = free_port();
    let more = "ready = \"http\"\nready_timeout = \"400ms\"\nrestart = \"always\"\nrestart_delay = \"1h\"\n\
                restart_delay_max = \"1h\"\ncheck = { http = \"http://127.0.0.1:{port}/nope\" }";
    let supervised = Supervised::start(&web(port, more), &["web"]);
    supervised.wait_for(" web generation=1 … not ready after 400ms (its check: status 404); sent SIGTERM;");
    supervised.stop();
    // Without a check it is the first socket that is asked.
    let supervised = Supervised::start(&web(port, "ready = \"http\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.stop();
}

#[test]
fn a_successor_that_is_sick_in_its_bake_time_goes_and_the_old_process_serves_on() {
    let port = free_port();
    let with = |more: &str| {
        let check = check(UNLESS_SICK, 2);
        web(port, &format!("restart = \"always\"\nbake_time = \"1h\"\n{more}\n{check}"))
    };
    let first_config = with("restart_order = \"start-first\"");
    let mut supervised = Supervised::start(&first_config, &["web"]);
    supervised.wait_answer(port, 1);
    supervised.stage.write("sick-2", "");
    supervised.signal(SIGUSR1);
    supervised.wait_for(
        " web generation=2 … unhealthy: 2 checks failed … the restart failed; generation 1 serves on",
    );
    supervised.wait_for(" web generation=2 … exit code 0");
    assert_eq!(supervised.get(port).generation(), 1);
    // Stop-first: what ran before comes back as another generation.
    supervised.forget();
    supervised.stage.write("services.toml", &with(""));
    supervised.signal(SIGHUP);
    supervised.wait_for("changed in place");
    supervised.stage.write("sick-3", "");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=3 … unhealthy: … going back to what ran before, as generation 4");
    supervised.wait_for(" web generation=4 … ready after");
    supervised.wait_answer(port, 4);
    supervised.stop();
}

#[test]
fn the_last_answer_of_a_bake_time_has_to_be_good() {
    let port = free_port();
    let more = format!("bake_time = \"500ms\"\nrestart_order = \"start-first\"\n{}", check(UNLESS_SICK, 100));
    let mut supervised = Supervised::start(&web(port, &more), &["web"]);
    supervised.wait_answer(port, 1);
    supervised.stage.write("sick-2", "");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … unhealthy: … the restart failed; generation 1 serves on");
    supervised.forget();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=3 … ready after");
    supervised.wait_for(" web generation=1 … asked to stop accepting");
    assert!(!supervised.said("unhealthy"), "{supervised}");
    supervised.stop();
}

#[test]
fn one_that_is_sick_from_its_start_is_restarted_less_and_less_often() {
    let port = free_port();
    let more = format!("restart = \"always\"\n{}", check("exec = \"false\"", 1));
    let supervised = Supervised::start(&web(port, &more), &["web"]);
    supervised.wait_for(" web generation=1 … unhealthy: … restarting it");
    supervised.wait_for(" web generation=2 … unhealthy: … restarting it in 200ms, unless it recovers");
    supervised.wait_for(" web generation=3 … unhealthy: … restarting it in 400ms, unless it recovers");
    supervised.stop();
}

/// A server that feeds its watchdog, until there is a file that says otherwise.
const FED: &str = "
import os, socket, time
generation = os.environ['BOOTSTRAP_GENERATION']
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])
assert os.environ['WATCHDOG_PID'] == str(os.getpid())
period = int(os.environ['WATCHDOG_USEC']) / 1e6
notify.send(b'READY=1')
fed = 0
while not os.path.exists('silent-' + generation):
    notify.send(b'WATCHDOG=1')
    fed += 1
    if fed == 20:
        open('fed-' + generation, 'w').close()
    for word in ('trigger', 'stopping', 'longer'):
        try:
            os.remove(word + '-' + generation)
        except FileNotFoundError:
            continue
        notify.send({'trigger': b'WATCHDOG=trigger', 'stopping': b'STOPPING=1', 'longer': b'WATCHDOG_USEC=500000'}[word])
        if word == 'stopping':
            raise SystemExit(0)
    time.sleep(period / 5)
time.sleep(3600)
";

/// A supervisor of that server.
fn fed(watchdog: &str) -> Supervised {
    let stage = Stage::new();
    stage.write("fed.py", FED);
    let config = format!(
        "[[service]]\nname = \"fed\"\nhandshake = \"systemd\"\ncommand = [\"python3\", \"fed.py\"]\n\
         ready = \"notify\"\nwatchdog = \"{watchdog}\"\nrestart = \"always\"\n"
    );
    stage.start(&config, &["fed"])
}

#[test]
fn a_watchdog_that_is_not_fed_finds_its_server_sick() {
    let supervised = fed("2s");
    let file = |name: &str| supervised.stage.dir().join(name);
    eventually("it is fed for longer than its period", || file("fed-1").exists());
    assert_eq!(supervised.count("unhealthy"), 0, "{supervised}");

    supervised.stage.write("longer-1", "");
    eventually("it is read", || !file("longer-1").exists());
    supervised.stage.write("silent-1", "");
    supervised.wait_for(
        " fed generation=1 … unhealthy: it did not say within 500ms that it is alive; restarting it",
    );

    supervised.wait_for(" fed generation=2 … ready after");
    supervised.stage.write("trigger-2", "");
    supervised.wait_for(" fed generation=2 … unhealthy: it says so itself; restarting it");

    supervised.wait_for(" fed generation=3 … ready after");
    supervised.stage.write("stopping-3", "");
    supervised
        .wait_for(" fed generation=3 … says that it is stopping, without being asked; starting generation 4");
    supervised.wait_for(" fed generation=4 … ready after");
    supervised.stop();
}

/// As a frozen cgroup, or a machine without time: the server had none either.
#[test]
fn who_stood_still_with_the_supervisor_is_not_late() {
    let supervised = fed("1s");
    supervised.wait_for(" fed generation=1 … ready after");
    let server = supervised.pid_of("fed", 1);
    for process in [supervised.process(), server] {
        process.signal(SIGSTOP);
    }
    let begin = Instant::now();
    eventually("it is long over", || begin.elapsed() > Duration::from_secs(4));
    supervised.signal(SIGCONT);
    supervised.wait_for(" bootstrap stood still for");
    server.signal(SIGCONT);
    eventually("it is fed for longer than its period", || supervised.stage.dir().join("fed-1").exists());
    assert!(!supervised.said("unhealthy"), "{supervised}");
    // Who says nothing after that is found all the same.
    server.signal(SIGSTOP);
    supervised.wait_for(" fed generation=1 … unhealthy: it did not say within 1s that it is alive");
    server.signal(SIGCONT);
    supervised.stop();
}

/// What it says of its period before it is ready holds, too: that there is none.
#[test]
fn a_server_that_promises_nothing_before_it_is_ready_is_not_found_silent() {
    let stage = Stage::new();
    let script = "
import os, socket, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])
if os.environ['BOOTSTRAP_SERVICE'] == 'mute':
    notify.send(b'WATCHDOG_USEC=0')
notify.send(b'READY=1')
time.sleep(3600)
";
    stage.write("mute.py", script);
    let of = |name: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nhandshake = \"systemd\"\ncommand = [\"python3\", \"mute.py\"]\n\
             ready = \"notify\"\nwatchdog = \"200ms\"\nrestart = \"always\"\n"
        )
    };
    let supervised = stage.start(&(of("mute") + &of("other")), &["mute", "other"]);
    supervised.wait_for(" mute generation=1 … ready after");
    // The other one has promised what its `watchdog` says, and is restarted again and again meanwhile.
    supervised.wait_for(" other generation=3 … unhealthy");
    assert_eq!(supervised.count(" mute generation=1 … unhealthy"), 0, "{supervised}");
    supervised.stop();
}
