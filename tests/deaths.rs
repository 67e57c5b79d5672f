//! The supervisor is killed before each of its system calls: at its start, in a restart, an upgrade, a stop, an
//! adoption. Between two system calls nothing happens that anybody else could see, so these are all the moments that
//! there are. The next supervisor has to make good whatever the last one left half done.
//!
//! `DEATHS=all cargo test --test deaths` kills it before every one; without it at a sample of them. `DEATHS=120` is the
//! moment before the 120th.

mod support;
#[path = "deaths/tracer.rs"]
mod tracer;

use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{Load, Process, Stage, Supervised, comes_true, eventually, example, free_port, get, service};
use tracer::{End, trace};

/// So many of the moments of a deed are tried, spread over all, where nobody wants more.
const SAMPLE: usize = 25;

/// What a supervisor does when it dies.
struct Deed {
    /// The example that serves.
    server: &'static str,
    /// More keys of the service.
    keys: &'static str,
    /// Whether another supervisor ran before this one, and was killed.
    adopts: bool,
    /// What makes it begin; nothing where the start is the deed.
    signal: Option<Signal>,
    /// Whether it is done.
    is_done: fn(&Supervised) -> bool,
    /// Whether somebody serves all the while, whatever becomes of the supervisor.
    serves: bool,
}

/// A file in whose presence the supervisor waits to be traced before it begins.
const HOLD: &str = "hold";

impl Deed {
    /// Kills it at one moment after the other, and looks what the next supervisor makes of it.
    fn sweep(&self) {
        let all = self.moments();
        assert!(all > 20, "only {all} system calls were seen");
        let wanted = std::env::var("DEATHS").unwrap_or_default();
        let moments: Vec<usize> = match wanted.as_str() {
            "" => (0..SAMPLE).map(|sample| 1 + sample * (all - 1) / (SAMPLE - 1)).collect(),
            "all" => (1..=all).collect(),
            one => vec![one.parse().expect("all, or a number")],
        };
        let fails = |moment: &usize| catch_unwind(AssertUnwindSafe(|| self.die_before(*moment))).is_err();
        let failed: Vec<usize> = moments.into_iter().filter(fails).collect();
        assert!(failed.is_empty(), "it matters that it dies before system call {failed:?} of {all}");
    }

    /// How many system calls it takes.
    fn moments(&self) -> usize {
        let (mut supervised, _) = self.before();
        let (_, count) = self.begin(&supervised, usize::MAX);
        if supervised.process().is_alive() {
            supervised.stop();
        } else {
            supervised.wait_exit();
        }
        count
    }

    /// A supervisor that is about to do it.
    fn before(&self) -> (Supervised, u16) {
        let hold = format!("[ -e {HOLD} ] && kill -STOP $$; exec \"$0\" \"$@\"");
        let stage = Stage::new().through(&["sh", "-c", &hold]);
        let port = free_port();
        let config = service("web", port, &[&example(self.server)], self.keys);
        let waits = |stage: &Stage| _ = stage.write(HOLD, "");
        if self.signal.is_none() && !self.adopts {
            waits(&stage);
            return (stage.launch(&config), port);
        }
        let mut supervised = stage.start(&config, &["web"]);
        supervised.wait_answer(port, 1);
        supervised.wait_for(" web generation=1 … ready");
        if self.adopts {
            waits(&supervised.stage);
            supervised.kill_and_start_again();
        }
        (supervised, port)
    }

    fn begin(&self, supervised: &Supervised, death: usize) -> (End, usize) {
        let process = supervised.process();
        if self.signal.is_none() {
            eventually("it waits to be traced", || process.state() == Some('T'));
        }
        let begin = || self.signal.into_iter().for_each(|signal| process.signal(signal));
        let program = self.signal.is_none().then_some("bootstrap");
        trace(process, program, death, begin, || (self.is_done)(supervised))
    }

    fn die_before(&self, moment: usize) {
        let (mut supervised, port) = self.before();
        let load = self.serves.then(|| Load::start("web", port, 1));
        let (end, _) = self.begin(&supervised, moment);
        match end {
            // It was done in fewer system calls this time.
            End::Done if supervised.process().is_alive() => {}
            End::Done => assert_eq!(supervised.wait_exit(), 0),
            End::Killed => assert_eq!(supervised.wait_exit(), -(SIGKILL as i32)),
        }
        let _ = fs::remove_file(supervised.stage.path(HOLD));
        if !supervised.process().is_alive() {
            supervised.start_again();
        }
        // Exactly one server is there in the end, and it is one that the supervisor knows.
        let one_serves = comes_true(|| {
            let servers = supervised.offspring();
            let [server] = servers[..] else { return false };
            supervised.knows(server) && get(port, "/").is_ok_and(|answer| answer.pid() == server.0)
        });
        let there = supervised.offspring();
        assert!(one_serves, "{there:?} are there after a death before system call {moment}\n{supervised}");
        if let Some(load) = load {
            load.wait_requests(4);
            let outcome = load.finish();
            assert!(outcome.failures.is_empty(), "{outcome}, after {moment}\n{supervised}");
        }
        let directory = supervised.stage.dir().join("run");
        supervised.signal(SIGTERM);
        assert_eq!(supervised.wait_exit(), 0, "after {moment}\n{supervised}");
        assert_eq!(supervised.offspring(), [], "after {moment}\n{supervised}");
        let left: Vec<_> =
            fs::read_dir(directory.join("runs")).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?} are left after {moment}\n{supervised}");
        assert!(!directory.join("control").exists() && !directory.join("lock").exists());
        assert!(get(port, "/").is_err(), "its port is not given up after {moment}\n{supervised}");
    }
}

impl Supervised {
    /// Has it started or adopted this process?
    fn knows(&self, server: Process) -> bool {
        self.said(&format!(" web generation= … pid={} … started", server.0))
            || self.said(&format!(" web generation= … pid={} … adopted", server.0))
    }
}

#[test]
fn a_death_at_any_moment_of_the_start() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … ready");
    Deed { server: "http", keys: "", adopts: false, signal: None, is_done, serves: false }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_restart() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … ended with exit code 0");
    let keys = "restart_order = \"start-first\"";
    Deed { server: "http", keys, adopts: false, signal: Some(SIGUSR1), is_done, serves: true }.sweep();
}

/// This server says nothing that could tell it that its supervisor is gone.
#[test]
fn a_death_at_any_moment_of_a_restart_of_a_server_that_says_nothing() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … ended with exit code 0");
    let keys = "restart_order = \"start-first\"\nhandshake = \"server-starter\"\nready = \"accepting\"";
    Deed { server: "starter", keys, adopts: false, signal: Some(SIGUSR1), is_done, serves: true }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_restart_that_stops_first() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=2 … ready");
    Deed { server: "http", keys: "", adopts: false, signal: Some(SIGUSR1), is_done, serves: false }.sweep();
}

#[test]
fn a_death_at_any_moment_of_an_upgrade() {
    let is_done = |supervised: &Supervised| supervised.said(" bootstrap pid= … is now");
    Deed { server: "http", keys: "", adopts: false, signal: Some(SIGUSR2), is_done, serves: true }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_stop() {
    let is_done = |supervised: &Supervised| !supervised.process().is_alive();
    Deed { server: "http", keys: "", adopts: false, signal: Some(SIGTERM), is_done, serves: false }.sweep();
}

#[test]
fn a_second_death_at_any_moment_of_an_adoption() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … adopted");
    Deed { server: "http", keys: "", adopts: true, signal: None, is_done, serves: true }.sweep();
}
