//! A config file from `config/`, on a stage, under load.

#![allow(clippy::disallowed_methods, reason = "a load is measured in time")]

use crate::support::{LIMIT, Load, Manner, Stage, Supervised, eventually, free_port, get};
use crate::table::{Row, config};
use nix::sys::signal::Signal::SIGUSR1;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often each server is restarted.
const RESTARTS: u32 = 20;

/// Requests from one restart to the next.
const BETWEEN: u32 = 100;

/// The port in the config files, and in those of the servers.
const PORT: &str = "8080";

/// The order of a restart, as the config has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    StopFirst,
    StartFirst,
}

/// A server that is ready to be started.
pub(crate) struct Case {
    row: Row,
    order: Order,
    port: u16,
    service: String,
    text: String,
}

impl Case {
    /// The server of `config/NAME.toml`, in this order.
    pub(crate) fn of(name: &str, order: Order) -> Self {
        let port = free_port();
        let given = "restart_order = \"start-first\"\n";
        let text = fs::read_to_string(config(name)).unwrap();
        assert_eq!(text.matches(given).count(), 1, "config/{name}.toml is start-first");
        let text = match order {
            Order::StartFirst => text,
            Order::StopFirst => text.replace(given, "restart_order = \"stop-first\"\n"),
        };
        let (_, service) = text.split_once("\nname = \"").unwrap();
        let service = service.split('"').next().unwrap().into();
        Self { row: Row::of(name), order, port, service, text: on(port, &text) }
    }

    fn start(&self) -> Supervised {
        let stage = Stage::new();
        checkout(stage.dir(), self.port);
        let path = format!("{}:{}:/usr/sbin:/sbin", installed().display(), std::env::var("PATH").unwrap());
        let supervised = stage.env("PATH", &path).start(&self.text, &[&self.service]);
        eventually(&format!("it serves\n{supervised}"), || get(self.port, "/").is_ok());
        supervised
    }

    /// Restarts it, each time as soon as the last restart is complete, and counts what fails.
    pub(crate) fn restart_under_load(&self) {
        let supervised = self.start();
        // While nobody serves clients wait in the queue, for as long as the server takes to start.
        let late = match self.order {
            Order::StartFirst => Duration::from_millis(950),
            Order::StopFirst => LIMIT / 2,
        };
        supervised.wait_for(&format!(" {} generation=1 pid=… ready after", self.service));
        let name = supervised.get(self.port).body.split(' ').next().unwrap().to_owned();
        let load = Load::start_as(&name, self.port, 4, Manner { late, looks: true });
        // As between two restarts: a worker that gunicorn has just forked does not hear its SIGTERM, and is waited for.
        load.wait_requests(BETWEEN as usize);
        let mut served = Duration::ZERO;
        for generation in 2..=RESTARTS + 1 {
            supervised.signal(SIGUSR1);
            let of = |generation| format!(" {} generation={generation} pid=", self.service);
            supervised.wait_for(&format!("{}… ready after", of(generation)));
            supervised.wait_for(&format!("{}… asked to", of(generation - 1)));
            let began = Instant::now();
            load.wait_requests(BETWEEN as usize);
            served += began.elapsed();
        }
        for generation in 1..=RESTARTS {
            supervised.wait_for(&format!(" {} generation={generation} pid=…ended", self.service));
        }
        let outcome = load.finish();
        let failed = (outcome.failures.len() - outcome.ends_of_kept, outcome.ends_of_kept);
        let bound = self.row.bound(self.order);
        eprintln!("{} {:?}: {failed:?} failed; {outcome}", self.row.name, self.order);
        assert!(
            failed.0 <= bound.0 && failed.1 <= bound.1,
            "{failed:?} past {bound:?}: {outcome}\n{supervised}"
        );
        assert!(outcome.pids.len() >= 15, "restarts were no restarts: {outcome}\n{supervised}");
        // Stop-first, there is no load while nobody serves.
        let rate = f64::from(RESTARTS) * f64::from(BETWEEN) / served.as_secs_f64();
        assert!(rate >= 200.0, "{rate:.0} requests per second are no load: {outcome}");
        if self.order == Order::StartFirst {
            outcome.must_be_a_load();
        }
        supervised.stop();
    }
}

/// A text with our port.
fn on(port: u16, text: &str) -> String {
    text.replace(PORT, &port.to_string())
}

/// Where `tests/install` has put what is in no package of the system.
fn installed() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("servers").join("bin")
}

/// Makes a directory look like a checkout in which everything was built, with our port.
fn checkout(dir: &Path, port: u16) {
    let built = Path::new(env!("CARGO_BIN_EXE_bootstrap")).parent().unwrap();
    fs::create_dir_all(dir.join("target")).unwrap();
    symlink(built, dir.join("target/release")).unwrap();
    let apps = dir.join("examples/apps");
    fs::create_dir_all(&apps).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/apps")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(apps.join(path.file_name().unwrap()), on(port, &text)).unwrap();
        }
    }
}
