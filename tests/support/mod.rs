//! What the end-to-end tests share: the real binary on a stage of its own, clients, and what /proc tells.
//!
//! Tests wait for facts: a log line, an exit, an answer, a line in /proc. The limits are only there to end a
//! hanging test; they are generous, because a loaded machine is not a bug.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::wildcard_enum_match_arm, reason = "kinds of errors that no test tells apart")]
#![allow(clippy::disallowed_methods, reason = "clients have threads, and measure time")]

mod client;
mod load;
mod log;
mod process;
mod stage;
mod terminal;
mod wire;

pub(crate) use client::{Answer, Client, Failure, get, get_unix, in_flight};
pub(crate) use load::{Load, Manner, Outcome};
pub(crate) use log::Log;
pub(crate) use process::{Process, comes_true, eventually};
pub(crate) use stage::{Stage, Supervised, deploy};
pub(crate) use terminal::Terminal;
pub(crate) use wire::Wire;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// When a wait for a fact has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A port that nobody has. Outside the range from which the kernel takes ports for clients: a load test
/// would take ours.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() % 180).expect("below 180") * 100;
    for _ in 0..10_000 {
        let port = 12_000 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 18_000;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// The path of one of our example servers; cargo builds them before the tests.
pub(crate) fn example(name: &str) -> String {
    let examples = PathBuf::from(env!("CARGO_BIN_EXE_bootstrap")).with_file_name("examples");
    let path = examples.join(name);
    assert!(path.exists(), "{} is missing; `cargo build --examples`", path.display());
    path.to_str().expect("a path of ours is text").into()
}

/// A service that runs the example `http`, as TOML. `more` are further lines of its table.
pub(crate) fn http(name: &str, port: u16, more: &str) -> String {
    service(name, port, &[&example("http")], more)
}

/// A service that runs the example `rude` with these sins, as TOML.
pub(crate) fn rude(name: &str, port: u16, sins: &[&str], more: &str) -> String {
    let program = example("rude");
    service(name, port, &[&[&*program], sins].concat(), more)
}

/// A service on a TCP port of the loopback, as TOML.
pub(crate) fn service(name: &str, port: u16, command: &[&str], more: &str) -> String {
    format!(
        "[[service]]\nname = \"{name}\"\nlisten = [\"tcp://127.0.0.1:{port}\"]\ncommand = {command:?}\n{more}\n"
    )
}

/// A server of einhorn's kind, as TOML: it says that it is ready when there is a file of this name.
pub(crate) fn einhorn(name: &str, port: u16, when: &str) -> String {
    let text = "import json,os,signal,socket,sys,time\n\
                signal.signal(signal.SIGUSR2, lambda *_: os._exit(0))\n\
                server = socket.socket(fileno=int(os.environ['EINHORN_FD_0']))\n\
                while not os.path.exists(sys.argv[1]): time.sleep(0.02)\n\
                word = json.dumps(dict(command='worker:ack', pid=os.getpid())) + chr(10)\n\
                socket.socket(fileno=int(os.environ['EINHORN_SOCK_FD'])).sendall(word.encode())\n\
                while True: server.accept()[0].close()\n";
    service(name, port, &["python3", "-c", text, when], "handshake = \"einhorn\"\nready = \"ack\"")
}
