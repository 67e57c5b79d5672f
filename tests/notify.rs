//! What servers say with `sd_notify(3)` beside that they are ready: another main process, and that they reload.

mod support;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use serde_json::Value;
use support::{Load, Process, Stage, Supervised, eventually, free_port, service};

/// Serves one client at a time on descriptor 3, until SIGTERM. It does what `before.py` says before it serves, and what
/// `on_hup.py` says on SIGHUP.
const SERVER: &str = r#"
import os, select, signal, socket, subprocess, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), '\0' + os.environ['NOTIFY_SOCKET'][1:])
listener = socket.socket(fileno=3)
exec(open(os.environ.get('BEFORE', 'before.py')).read())
listener.setblocking(False)
asked, ask = os.pipe()
os.set_blocking(ask, False)
for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, lambda *_: None)
signal.set_wakeup_fd(ask)
say('READY=1')
while True:
    ready = select.select([asked, listener], [], [])[0]
    if asked in ready:
        got = os.read(asked, 9)
        if signal.SIGTERM in got: break
        exec(open('on_hup.py').read())
    try: client, _ = listener.accept()
    except BlockingIOError: continue
    with client:
        client.recv(4096)
        body = f"web generation={os.environ['BOOTSTRAP_GENERATION']} pid={os.getpid()}\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        client.sendall((head + body).encode())
"#;

/// What a program does that puts itself into the background.
const FORKS: &str = r"
if pid := os.fork():
    say(f'MAINPID={pid}')
    sys.exit(0)
";

/// What a server does that becomes a new program beside the old one, and what that one does first.
const BECOMES_ANOTHER: &str =
    "subprocess.Popen([sys.executable, *sys.argv], pass_fds=[3], env={**os.environ, 'BEFORE': 'became.py'})";
const BECAME: &str = "say(f'MAINPID={os.getpid()}')\nos.kill(os.getppid(), signal.SIGTERM)";

fn serving(before: &str, on_hup: &str, more: &str) -> (Supervised, u16) {
    let (stage, port) = (Stage::new(), free_port());
    for (name, text) in
        [("server.py", SERVER), ("before.py", before), ("on_hup.py", on_hup), ("became.py", BECAME)]
    {
        stage.write(name, text);
    }
    let more = format!("handshake = \"systemd\"\nready = \"notify\"\n{more}");
    let supervised = stage.start(&service("web", port, &["python3", "server.py"], &more), &["web"]);
    (supervised, port)
}

/// The main process that a generation has turned to.
#[track_caller]
fn turned_to(supervised: &Supervised, generation: u32) -> Process {
    let wanted = format!(" web generation={generation} pid= … is its main process from now on, instead of");
    let line = supervised.wait_for(&wanted);
    let number = line.split_once("pid=").unwrap().1.split(' ').next().unwrap();
    Process(number.parse().unwrap())
}

/// The status of the service, as programs read it.
fn status(supervised: &Supervised) -> Value {
    let output = supervised.stage.run(&["-c", "services.toml", "status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    status["services"][0].clone()
}

#[track_caller]
fn upgrade(supervised: &mut Supervised) {
    supervised.forget();
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
}

#[test]
fn a_wrapper_that_forks_and_ends_is_no_crash_and_its_child_is_restarted_without_a_failed_request() {
    let (supervised, port) = serving(FORKS, "", "restart_order = \"start-first\"");
    let wrapper = supervised.pid_of("web", 1);
    let main = turned_to(&supervised, 1);
    supervised.wait_answer(port, 1);
    eventually("the wrapper has ended", || !wrapper.is_alive());
    assert_eq!(supervised.get(port).pid(), main.0);
    assert_eq!(status(&supervised)["runs"][0]["pid"], main.0);
    let load = Load::start("web", port, 2);
    for generation in 2..=4 {
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
        let old = generation - 1;
        supervised.wait_for(&format!(" web generation={old} … ended with exit code 0 … after it was asked"));
    }
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    assert_eq!(supervised.count("nobody had asked it to"), 0, "{supervised}");
    assert!(!main.is_alive());
    supervised.stop();
}

#[test]
fn the_end_of_the_main_process_is_that_of_the_run_whoever_supervises_by_then() {
    let (mut supervised, port) = serving(FORKS, "", "restart = \"always\"");
    let dies = |supervised: &Supervised, main: Process, generation: u32| {
        main.signal(SIGKILL);
        supervised.wait_for(&format!(
            " web generation={generation} pid={} … was ended by SIGKILL … nobody had asked it to",
            main.0
        ));
        supervised.wait_for(&format!(" web generation={} … ready after", generation + 1));
        turned_to(supervised, generation + 1)
    };
    let main = turned_to(&supervised, 1);
    supervised.wait_for(" web generation=1 … ready after");
    let main = dies(&supervised, main, 1);
    upgrade(&mut supervised);
    let main = dies(&supervised, main, 2);
    // It is another process than the one that was written down when it was started.
    supervised.kill_and_start_again();
    supervised.wait_for(&format!(" web generation=3 pid={} … adopted", main.0));
    assert_eq!(supervised.get(port).pid(), main.0);
    let main = dies(&supervised, main, 3);
    supervised.kill_and_start_again();
    supervised.wait_for(&format!(" web generation=4 pid={} … adopted", main.0));
    supervised.stop();
    assert!(!main.is_alive());
}

#[test]
fn a_server_that_becomes_a_new_program_beside_the_old_one_is_followed() {
    let (mut supervised, port) = serving("", BECOMES_ANOTHER, "");
    supervised.wait_for(" web generation=1 … ready after");
    let first = supervised.pid_of("web", 1);
    let load = Load::start("web", port, 2);
    let sent = supervised.stage.run(&["-c", "services.toml", "signal", "HUP", "web"]);
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let second = turned_to(&supervised, 1);
    eventually("the old one has ended", || !first.is_alive());
    load.wait_requests(20);
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    assert_eq!(outcome.pids.iter().copied().collect::<Vec<_>>().len(), 2, "{outcome}");
    assert_eq!(status(&supervised)["state"], "up");
    assert_eq!(status(&supervised)["runs"][0]["pid"], second.0);
    // It is the new one that is asked to leave.
    supervised.signal(SIGTERM);
    supervised.wait_for(&format!(" web generation=1 pid={} … asked to stop accepting (SIGTERM)", second.0));
    supervised.wait_for(" web generation=1 … ended with exit code 0 … after it was asked");
    assert_eq!(supervised.wait_exit(), 0);
}

#[test]
fn a_main_process_that_is_none_of_its_own_is_refused() {
    let before = "say('MAINPID=1')\nsay(f'MAINPID={os.getppid()}')\nsay(f'MAINPID={os.getpid()}')";
    let (supervised, port) = serving(before, "", "");
    supervised.wait_answer(port, 1);
    let server = supervised.pid_of("web", 1);
    for stranger in [1, supervised.process().0] {
        supervised.wait_for(&format!(
            "said that {stranger} is its main process, which is not in its process group"
        ));
    }
    assert_eq!(supervised.count("its main process"), 2, "{supervised}");
    assert_eq!(status(&supervised)["runs"][0]["pid"], server.0);
    supervised.stop();
}

#[test]
fn a_reload_of_a_server_is_shown_and_takes_it_for_ready_all_the_while() {
    // HAProxy says so before it is ready for the first time.
    let before = "say('RELOADING=1\\nMONOTONIC_USEC=1\\nSTATUS=loading')";
    let on_hup = "say('RELOADING=1\\nMONOTONIC_USEC=2' if not globals().get('r') else 'READY=1\\nSTATUS=loaded'); r = True";
    let (supervised, port) = serving(before, on_hup, "");
    let server = supervised.pid_of("web", 1);
    supervised.wait_for(" web generation=1 … ready after");
    assert_eq!(
        (supervised.count("configuration anew"), supervised.count(" ready after")),
        (0, 1),
        "{supervised}"
    );
    server.signal(SIGHUP);
    supervised.wait_for(" web generation=1 … reads its configuration anew");
    let shown = status(&supervised);
    assert_eq!((&shown["state"], &shown["runs"][0]["status"]), (&"up".into(), &"loading".into()), "{shown}");
    assert!(shown["runs"][0]["reloading_ms"].is_u64(), "{shown}");
    assert_eq!(supervised.get(port).pid(), server.0);
    let waited = supervised.stage.run(&["-c", "services.toml", "wait", "web"]);
    assert_eq!(waited.status.code(), Some(0), "{waited:?}");
    let table = supervised.stage.run(&["-c", "services.toml", "status"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("reloading"), "{table:?}");
    server.signal(SIGHUP);
    supervised.wait_for(" web generation=1 … has read its configuration anew, in");
    let shown = status(&supervised);
    assert_eq!(
        (&shown["runs"][0]["reloading_ms"], &shown["runs"][0]["status"]),
        (&Value::Null, &"loaded".into())
    );
    assert_eq!(supervised.count(" ready after"), 1, "{supervised}");
    supervised.stop();
}

/// The reason stands in the line about the end, where it is looked for.
#[test]
fn what_a_server_said_last_of_itself_is_told_with_its_failure() {
    let (mut supervised, _) =
        serving("say('STATUS=cannot open the database')\nsys.exit(5)", "", "restart = \"no\"");
    supervised.wait_for(
        " web generation=1 … ended with exit code 5 … nobody had asked it to (it had said \"cannot open the database\")",
    );
    assert_eq!(supervised.wait_exit(), 1);
}
