//! The supervisor is killed before each of its system calls: at its start, in a restart, an upgrade, a stop, an
//! adoption. Between two system calls nothing happens that anybody else could see, so these are all the moments that
//! there are. The next supervisor has to make good whatever the last one left half done.
//!
//! `DEATHS=all cargo test --test deaths` kills it before every one; without it at a sample of them. `DEATHS=120` is the
//! moment before the 120th.

mod support;
#[path = "deaths/talk.rs"]
mod talk;
#[path = "deaths/tracer.rs"]
mod tracer;

use nix::sys::signal::Signal::{self, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use support::{Load, Process, Stage, Supervised, comes_true, eventually, example, free_port, get, service};
use talk::Check;
use tracer::{End, trace};

/// So many of the moments of a deed are tried, spread over all, where nobody wants more.
const SAMPLE: usize = 25;

/// The same of one that writes and is asked how it is, which takes longer.
const SAMPLE_OF_TALK: usize = 10;

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
    /// It writes lines to a log file, and is asked like this.
    talks: Option<Check>,
}

impl Deed {
    /// Of a server of this kind, started by nobody but it.
    const START: Self = Self {
        server: "http",
        keys: "",
        adopts: false,
        signal: None,
        is_done: |supervised| supervised.said(" web generation=1 … ready"),
        serves: false,
        talks: None,
    };
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
            "" => {
                let some = if self.talks.is_some() { SAMPLE_OF_TALK } else { SAMPLE };
                (0..some).map(|sample| 1 + sample * (all - 1) / (some - 1)).collect()
            }
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
            supervised.signal(SIGTERM);
        }
        assert_eq!(supervised.wait_exit(), 0);
        eventually("nobody is left", || supervised.offspring().is_empty());
        count
    }

    /// A supervisor that is about to do it.
    fn before(&self) -> (Supervised, u16) {
        let hold = format!("[ -e {HOLD} ] && kill -STOP $$; exec \"$0\" \"$@\"");
        let stage = Stage::new().through(&["sh", "-c", &hold]);
        let port = free_port();
        let config = match self.talks {
            Some(check) => {
                let command = talk::command();
                let keys = check.keys(&stage, port) + "\n" + self.keys;
                service("web", port, &command.each_ref().map(String::as_str), &keys)
            }
            None => service("web", port, &[&example(self.server)], self.keys),
        };
        let waits = |stage: &Stage| _ = stage.write(HOLD, "");
        if self.signal.is_none() && !self.adopts {
            waits(&stage);
            return (stage.launch(&config), port);
        }
        let mut supervised = stage.start(&config, &["web"]);
        supervised.wait_answer(port, 1);
        supervised.wait_for(" web generation=1 … ready");
        if let Some(check) = self.talks {
            eventually("it writes, and is asked", || check.is_under_way(&supervised));
        }
        if self.adopts {
            waits(&supervised.stage);
            supervised.kill_and_start_again();
        }
        (supervised, port)
    }

    /// Those that serve, or did, among all that it has started.
    fn servers(&self, supervised: &Supervised) -> Vec<Process> {
        if self.talks.is_some() { talk::servers(supervised) } else { supervised.offspring() }
    }

    fn begin(&self, supervised: &Supervised, death: usize) -> (End, usize) {
        let process = supervised.process();
        if self.signal.is_none() {
            eventually("it waits to be traced", || process.state() == Some('T'));
        }
        let begin = || self.signal.into_iter().for_each(|signal| process.signal(signal));
        let program = self.signal.is_none().then_some("bootstrap");
        let is_under_way = || self.talks.is_none_or(|check| check.is_under_way(supervised));
        trace(process, program, death, begin, || (self.is_done)(supervised) && is_under_way())
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
        talk::let_go(&supervised.stage);
        if !supervised.process().is_alive() {
            supervised.start_again();
        }
        // Exactly one server is there in the end, and it is one that the supervisor knows.
        let one_serves = comes_true(|| {
            let servers = self.servers(&supervised);
            let [server] = servers[..] else { return false };
            supervised.knows(server) && get(port, "/").is_ok_and(|answer| answer.pid() == server.0)
        });
        let there = supervised.offspring();
        assert!(one_serves, "{there:?} are there after a death before system call {moment}\n{supervised}");
        // What it had said is known, too: nobody waits for it in vain.
        let said = supervised.stage.run(&["-c", "services.toml", "wait", "--timeout", "30s", "web"]);
        assert!(said.status.success(), "{said:?} after a death before system call {moment}\n{supervised}");
        if let Some(load) = load {
            load.wait_requests(4);
            let outcome = load.finish();
            assert!(outcome.failures.is_empty(), "{outcome}, after {moment}\n{supervised}");
        }
        let directory = supervised.stage.dir().join("run");
        if self.talks.is_some() {
            talk::is_whole(&supervised, moment);
        }
        supervised.signal(SIGTERM);
        assert_eq!(supervised.wait_exit(), 0, "after {moment}\n{supervised}");
        if self.talks.is_some() {
            talk::has_all_lines(&supervised, moment);
        }
        assert_eq!(supervised.offspring(), [], "after {moment}\n{supervised}");
        let left = fs::read_to_string(directory.join("records"));
        assert!(left.is_err(), "{left:?} is left after {moment}\n{supervised}");
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
    Deed::START.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_restart() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … ended with exit code 0");
    let keys = "restart_order = \"start-first\"";
    Deed { keys, signal: Some(SIGUSR1), is_done, serves: true, ..Deed::START }.sweep();
}

/// It says once that it is ready.
#[test]
fn a_death_at_any_moment_of_the_start_of_one_that_says_so() {
    let keys = "ready = \"pipe\"\nready_timeout = \"2s\"";
    Deed { keys, ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_restart_of_one_that_says_so() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=2 … ready");
    let keys = "ready = \"pipe\"\nready_timeout = \"2s\"\nhandover_timeout = \"2s\"";
    Deed { keys, signal: Some(SIGUSR1), is_done, ..Deed::START }.sweep();
}

/// This server says nothing that could tell it that its supervisor is gone.
#[test]
fn a_death_at_any_moment_of_a_restart_of_a_server_that_says_nothing() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … ended with exit code 0");
    let keys = "restart_order = \"start-first\"\nhandshake = \"server-starter\"\nready = \"accepting\"";
    Deed { server: "starter", keys, signal: Some(SIGUSR1), is_done, serves: true, ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_restart_that_stops_first() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=2 … ready");
    Deed { signal: Some(SIGUSR1), is_done, ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_an_upgrade() {
    let is_done = |supervised: &Supervised| supervised.said(" bootstrap pid= … is now");
    Deed { signal: Some(SIGUSR2), is_done, serves: true, ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_a_stop() {
    let is_done = |supervised: &Supervised| !supervised.process().is_alive();
    Deed { signal: Some(SIGTERM), is_done, ..Deed::START }.sweep();
}

#[test]
fn a_second_death_at_any_moment_of_an_adoption() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … adopted");
    Deed { adopts: true, is_done, serves: true, ..Deed::START }.sweep();
}

/// Its log writer is started, and gets its pipe, and is heard; checks are started, reaped, and one hangs.
#[test]
fn a_death_at_any_moment_of_the_start_of_one_that_writes_and_is_asked_by_a_command() {
    Deed { talks: Some(Check::Exec), ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_the_start_of_one_that_writes_and_is_asked_over_http() {
    Deed { talks: Some(Check::Http), ..Deed::START }.sweep();
}

#[test]
fn a_death_at_any_moment_of_an_upgrade_of_one_that_writes_and_is_asked() {
    let is_done = |supervised: &Supervised| supervised.said(" bootstrap pid= … is now");
    let talks = Some(Check::Exec);
    Deed { signal: Some(SIGUSR2), is_done, serves: true, talks, ..Deed::START }.sweep();
}

#[test]
fn a_second_death_at_any_moment_of_an_adoption_of_one_that_writes_and_is_asked() {
    let is_done = |supervised: &Supervised| supervised.said(" web generation=1 … adopted");
    Deed { adopts: true, is_done, serves: true, talks: Some(Check::Exec), ..Deed::START }.sweep();
}
