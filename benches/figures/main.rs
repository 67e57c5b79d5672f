//! Every figure that the README prints: `cargo bench`.
//!
//! Times are medians. The yardstick of a restart is a bare fork and exec of the same program in the same run.

#![allow(clippy::disallowed_methods, reason = "a clock and children are what is measured here")]
#![allow(clippy::cast_precision_loss, reason = "these are figures for people")]

mod mark;
#[path = "../../tests/support/mod.rs"]
mod support;

use nix::sys::signal::Signal::{SIGKILL, SIGUSR1};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Stage, Supervised, eventually, free_port, service};

/// How often each short thing is measured.
const ROUNDS: u32 = 200;

/// Makes this program a [`mark`]: `cargo bench` builds no examples.
const MARK: &str = "--mark";

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(MARK) {
        return mark::serve(arguments).expect("a FIFO and a pipe can be written to");
    }
    // `cargo test --benches` starts us too, with `--test`: then it is enough that all of it is built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bare = bare_start();
    println!("bare fork+exec to main                {:>10}", time(bare));
    let restart = restart();
    println!("SIGUSR1 to the new main               {:>10}   {}", time(restart), ratio(restart, bare));
    let crash = crash();
    println!("crash to the new main (always)        {:>10}   {}", time(crash), ratio(crash, bare));
    println!("wake-ups in 10 idle seconds           {:>10}", idle());
    println!();
    println!("services   boot, all sockets bound and all processes started   memory of bootstrap (PSS)");
    for count in [1, 10, 100, 1000] {
        let (boot, memory) = boot(count);
        println!("{count:>8}   {:>50}   {:>21} KiB", time(boot), memory);
    }
}

fn own_path() -> String {
    std::env::current_exe().unwrap().to_str().expect("a path of ours is text").into()
}

fn time(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

fn ratio(time: Duration, bare: Duration) -> String {
    format!("{:.2} times a bare fork+exec", time.as_secs_f64() / bare.as_secs_f64())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// From the call that forks to the byte that the program writes at the beginning of its `main`.
fn bare_start() -> Duration {
    let stage = Stage::new();
    let (fifo, mut marks) = marks(&stage);
    let times = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        let mut child = Command::new(own_path()).args([MARK, &fifo]).spawn().unwrap();
        marks.read_exact(&mut [0]).unwrap();
        let took = begin.elapsed();
        child.kill().unwrap();
        child.wait().unwrap();
        took
    });
    median(times.collect())
}

/// A FIFO in the stage's directory, and its path. Open for writing too, so that it never ends.
fn marks(stage: &Stage) -> (String, File) {
    let path = stage.path("main");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let marks = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (path, marks)
}

/// A supervisor of one `mark`, whose generations each write a byte into a FIFO at the beginning of `main`.
fn marked(policy: &str) -> (Supervised, File) {
    let stage = Stage::new();
    let (fifo, mut marks) = marks(&stage);
    let command = [&*own_path(), MARK, &fifo];
    let supervised = stage
        .start(&service("web", free_port(), &command, &format!("ready = \"started\"\n{policy}")), &["web"]);
    marks.read_exact(&mut [0]).unwrap();
    (supervised, marks)
}

fn restart() -> Duration {
    let (supervised, mut marks) = marked("");
    let times = (0..ROUNDS).map(|round| {
        supervised.pid_of("web", round + 1);
        let begin = Instant::now();
        supervised.signal(SIGUSR1);
        marks.read_exact(&mut [0]).unwrap();
        begin.elapsed()
    });
    let times = median(times.collect());
    supervised.stop();
    times
}

fn crash() -> Duration {
    let policy = "restart = \"always\"\nhealthy_after = \"1ms\"";
    let (supervised, mut marks) = marked(policy);
    let times = (0..ROUNDS).map(|round| {
        let process = supervised.pid_of("web", round + 1);
        std::thread::sleep(Duration::from_millis(5)); // a healthy life: the next start is immediate
        let begin = Instant::now();
        process.signal(SIGKILL);
        marks.read_exact(&mut [0]).unwrap();
        begin.elapsed()
    });
    let times = median(times.collect());
    supervised.stop();
    times
}

fn idle() -> u64 {
    let (supervised, _marks) = marked("");
    let process = supervised.process();
    let mut before = 0;
    eventually("it has come to rest", || {
        std::mem::replace(&mut before, process.voluntary_switches()) == before
    });
    std::thread::sleep(Duration::from_secs(10));
    process.voluntary_switches() - before
}

/// Services that each hold a socket and a process that sleeps.
fn boot(count: usize) -> (Duration, u64) {
    let ports: Vec<u16> = (0..)
        .map(|_| free_port())
        .filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .take(count)
        .collect();
    let sleep = ["sleep", "1000"];
    let config: String = ports
        .iter()
        .enumerate()
        .map(|(index, port)| {
            service(&format!("s-{index}"), *port, &sleep, "handshake = \"none\"\nready = \"started\"")
        })
        .collect();
    let stage = Stage::new();
    let begin = Instant::now();
    let supervised = stage.launch(&config);
    supervised.pid_of(&format!("s-{}", count - 1), 1);
    eventually("all are started", || supervised.process().children().len() == count);
    let boot = begin.elapsed();
    let memory = supervised.process().memory_kib();
    supervised.stop();
    (boot, memory)
}
