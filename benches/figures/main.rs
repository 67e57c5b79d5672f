//! Every figure that the README prints: `cargo bench`.
//!
//! Times are medians. The yardstick of a restart is a bare fork and exec of the same program. Beside it stands what the
//! least takes that could restart it at all ([`least`]): what is above that is ours. All take turns, each after the same
//! rest, so that whatever else the machine does is the same for all. The program that was started takes the time, in its
//! `main`: whoever waits for it has to wait for a processor, too.

#![allow(clippy::disallowed_methods, reason = "a clock and children are what is measured here")]
#![allow(clippy::cast_precision_loss, reason = "these are figures for people")]

mod least;
mod mark;
#[path = "../../tests/support/mod.rs"]
mod support;

use mark::Mark;
use nix::sys::signal::Signal::{self, SIGKILL, SIGUSR1};
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use support::{Process, Stage, Supervised, eventually, free_port, service};

/// How often each short thing is measured.
const ROUNDS: u32 = 200;

/// Makes this program a [`mark`]: `cargo bench` builds no examples.
const MARK: &str = "--mark";

/// Makes this program the [`least`] that can restart a `mark`.
const LEAST: &str = "--least";

/// Before each: a healthy life, after which the next start is immediate.
const REST: Duration = Duration::from_millis(5);

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(MARK) => return mark::serve(arguments).expect("a FIFO and a pipe can be written to"),
        Some(LEAST) => return least::supervise(&own_path(), arguments).expect("it can make processes"),
        _ => {}
    }
    // `cargo test --benches` starts us too, with `--test`: then it is enough that all of it is built.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let [bare, least, ours] = side_by_side(Subject::restart);
    println!("bare fork+exec to main                {:>10}", time(bare));
    println!("SIGUSR1 to the new main               {:>10}   {}", time(ours), ratio(ours, bare));
    println!("  the least that could do it          {:>10}   {}", time(least), ratio(least, bare));
    let [bare, least, ours] = side_by_side(Subject::crash);
    println!("bare fork+exec to main, meanwhile     {:>10}", time(bare));
    println!("crash to the new main (always)        {:>10}   {}", time(ours), ratio(ours, bare));
    println!("  the least that could do it          {:>10}   {}", time(least), ratio(least, bare));
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

/// The medians of a bare start, of the least that can restart, and of ours.
fn side_by_side(measure: fn(&mut Subject) -> Duration) -> [Duration; 3] {
    let mut subjects = [Subject::bare(), Subject::least(), Subject::ours()];
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (subject, times) in subjects.iter_mut().zip(&mut times) {
            std::thread::sleep(REST);
            times.push(measure(subject));
        }
    }
    subjects.into_iter().for_each(Subject::stop);
    times.map(median)
}

/// Something that starts a [`mark`], which writes its pid at the beginning of its `main`.
struct Subject {
    kind: Kind,
    marks: File,
    fifo: String,
    /// The process whose `main` began last.
    current: Process,
    _stage: Option<Stage>,
}

enum Kind {
    /// Nobody supervises: each time is from the call that forks.
    Bare,
    Least(Child),
    Ours(Supervised),
}

impl Subject {
    fn bare() -> Self {
        let stage = Stage::new();
        let (fifo, marks) = marks(&stage);
        Self { kind: Kind::Bare, marks, fifo, current: Process(0), _stage: Some(stage) }
    }

    fn least() -> Self {
        let stage = Stage::new();
        let (fifo, mut marks) = marks(&stage);
        let child = Command::new(own_path()).args([LEAST, &fifo]).spawn().unwrap();
        let current = begun(&mut marks);
        Self { kind: Kind::Least(child), marks, fifo, current, _stage: Some(stage) }
    }

    fn ours() -> Self {
        let (supervised, marks, current) = marked();
        Self { kind: Kind::Ours(supervised), marks, fifo: String::new(), current, _stage: None }
    }

    /// From the request to the next `main`.
    fn restart(&mut self) -> Duration {
        self.until_main(|subject| match &subject.kind {
            Kind::Bare => Some(subject.start_barely()),
            Kind::Least(child) => signalled(process(child), SIGUSR1),
            Kind::Ours(supervised) => signalled(supervised.process(), SIGUSR1),
        })
    }

    /// From the death to the next `main`.
    fn crash(&mut self) -> Duration {
        self.until_main(|subject| match &subject.kind {
            Kind::Bare => Some(subject.start_barely()),
            Kind::Least(_) | Kind::Ours(_) => signalled(subject.current, SIGKILL),
        })
    }

    /// From what `begin` does, which gives the process if nobody else looks after it, to the beginning of the next `main`.
    fn until_main(&mut self, begin: impl FnOnce(&Self) -> Option<Child>) -> Duration {
        let before = mark::now().unwrap();
        let nobodys = begin(self);
        let mark = Mark::read(&mut self.marks).unwrap();
        self.current = Process(mark.pid);
        if let Some(mut child) = nobodys {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        mark.begun.checked_sub(before).unwrap()
    }

    fn start_barely(&self) -> Child {
        Command::new(own_path()).args([MARK, &self.fifo]).spawn().unwrap()
    }

    fn stop(self) {
        match self.kind {
            Kind::Bare => {}
            Kind::Least(mut child) => {
                child.kill().unwrap();
                child.wait().unwrap();
                self.current.signal(SIGKILL);
            }
            Kind::Ours(supervised) => supervised.stop(),
        }
    }
}

/// Signals one that somebody looks after.
fn signalled(process: Process, signal: Signal) -> Option<Child> {
    process.signal(signal);
    None
}

fn process(child: &Child) -> Process {
    Process(i32::try_from(child.id()).expect("pids are small"))
}

/// A FIFO in the stage's directory, and its path. Open for writing too, so that it never ends.
fn marks(stage: &Stage) -> (String, File) {
    let path = stage.path("main");
    nix::unistd::mkfifo(path.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let marks = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    (path, marks)
}

/// The process whose `main` begins next.
fn begun(marks: &mut File) -> Process {
    Process(Mark::read(marks).unwrap().pid)
}

/// A supervisor of one `mark`.
fn marked() -> (Supervised, File, Process) {
    let stage = Stage::new();
    let (fifo, mut marks) = marks(&stage);
    let command = [&*own_path(), MARK, &fifo];
    let policy = "ready = \"started\"\nrestart = \"always\"\nhealthy_after = \"1ms\"";
    // Into a file: nobody who reads along takes a processor.
    let log = File::create(stage.path("log")).unwrap();
    let supervised = stage.launch_with(&service("web", free_port(), &command, policy), log.into());
    let current = begun(&mut marks);
    (supervised, marks, current)
}

fn idle() -> u64 {
    let (supervised, _marks, _) = marked();
    let process = supervised.process();
    let before = at_rest(process);
    std::thread::sleep(Duration::from_secs(10));
    process.voluntary_switches() - before
}

/// Waits until it waits for nothing but what others do; gives how often it has waited by then.
fn at_rest(process: Process) -> u64 {
    let mut before = 0;
    eventually("it has come to rest", || {
        std::mem::replace(&mut before, process.voluntary_switches()) == before
    });
    before
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
    // What the start alone needed is given back then.
    at_rest(supervised.process());
    let memory = supervised.process().memory_kib();
    supervised.stop();
    (boot, memory)
}
