//! Workers of einhorn's kind that find the command socket by its path, as einhorn's own library does where nothing else is
//! asked for.

mod support;

use nix::sys::signal::Signal::{SIGUSR1, SIGUSR2};
use support::{Load, Stage, Supervised, free_port, service};

/// `Einhorn::Worker.ack!` and `graceful_shutdown`, around a server that serves one client at a time. It waits for the file
/// `go` before it says that it is ready, and first makes some connections that say nothing, or not all.
const WORKER: &str = r#"
import os, select, signal, socket, time
def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ['EINHORN_SOCK_PATH'])
    return client
def ack(client): client.sendall(f'---%0Acommand: worker:ack%0Apid: {os.getpid()}%0A\n'.encode())
listener = socket.socket(fileno=int(os.environ['EINHORN_FD_0']))
listener.setblocking(False)
asked, ask = os.pipe()
os.set_blocking(ask, False)
signal.signal(signal.SIGUSR2, lambda *_: None)
signal.set_wakeup_fd(ask)
silent = [connect() for _ in range(20)]
half = connect()
half.sendall(b'---%0Acommand: wor')
while not os.path.exists('go'): time.sleep(0.005)
if os.environ.get('IN_TWO'): half.sendall(f'ker:ack%0Apid: {os.getpid()}%0A\n'.encode())
else:
    client = connect()
    ack(client)
    client.close()
while asked not in select.select([asked, listener], [], [])[0]:
    try: client, _ = listener.accept()
    except BlockingIOError: continue
    with client:
        client.recv(4096)
        body = f"web generation={os.environ['BOOTSTRAP_GENERATION']} pid={os.getpid()}\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        client.sendall((head + body).encode())
"#;

fn started(more: &str) -> (Supervised, u16) {
    let (stage, port) = (Stage::new(), free_port());
    stage.write("worker.py", WORKER);
    let more = format!("handshake = \"einhorn\"\nready = \"ack\"\nrestart_order = \"start-first\"\n{more}");
    let supervised = stage.start(&service("web", port, &["python3", "worker.py"], &more), &["web"]);
    (supervised, port)
}

#[test]
fn workers_that_connect_by_the_path_are_restarted_without_a_failed_request() {
    let (supervised, port) = started("");
    supervised.stage.write("go", "");
    supervised.wait_for(" web generation=1 … ready after");
    let load = Load::start("web", port, 2);
    for generation in 2..=5 {
        supervised.signal(SIGUSR1);
        supervised.wait_for(&format!(" web generation={generation} … ready after"));
        supervised.wait_for(&format!(" web generation={} … ended with exit code 0", generation - 1));
    }
    let outcome = load.finish();
    assert!(outcome.failures.is_empty(), "{outcome}\n{supervised}");
    assert!(!supervised.stage.dir().join("run/ack").exists(), "it is no path for others");
    supervised.stop();
}

#[test]
fn what_was_said_in_part_and_to_whom_is_known_to_the_next_program() {
    let (mut supervised, port) = started("env = { IN_TWO = \"1\" }");
    for _ in 0..2 {
        supervised.forget();
        supervised.signal(SIGUSR2);
        supervised.wait_for(" bootstrap pid= … is now");
    }
    assert!(!supervised.said("ready after"), "{supervised}");
    supervised.stage.write("go", "");
    supervised.wait_for(" web generation=1 … ready after");
    supervised.wait_answer(port, 1);
    supervised.stop();
}
