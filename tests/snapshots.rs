//! Snapshots of released versions are read by this one: whoever upgrades has the state of an older program.
//!
//! `SNAPSHOT=write cargo test --test snapshots` makes the one of today's version. One of a released version is never
//! changed: what can no longer be read is read by a conversion, not by another file.

mod support;

use bootstrap::core::snapshot::{self, Snapshot, VERSION};
use bootstrap::core::worker::Worker;
use bootstrap::os::Kept;
use nix::sys::signal::Signal::{SIGHUP, SIGUSR2};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Stage, Supervised, example, free_port, http, in_flight, service};

const OURS: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Where they are kept.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

/// The file of this version: by version of the format, and of the program.
fn file_of_today() -> PathBuf {
    directory().join(format!("{VERSION}-{}.json", env!("CARGO_PKG_VERSION")))
}

fn all() -> Vec<(PathBuf, String)> {
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn there_is_one_of_this_version() {
    if std::env::var_os("SNAPSHOT").is_some_and(|value| value == "write") {
        fs::write(file_of_today(), scrubbed(&taken())).unwrap();
    }
    let file = file_of_today();
    assert!(file.exists(), "{} is missing; SNAPSHOT=write cargo test --test snapshots", file.display());
}

#[test]
fn each_is_read_and_nothing_that_it_says_is_lost() {
    for (path, text) in all() {
        let Snapshot { core, beside, .. } = snapshot::read::<Kept>(&text).unwrap_or_else(|refused| {
            panic!("{}: {refused}\nwhoever changes the format reads the old one as well", path.display())
        });
        let again: Value = serde_json::from_str(&snapshot::write(&core, &beside).unwrap()).unwrap();
        let before: Value = serde_json::from_str(&text).unwrap();
        for part in ["core", "beside"] {
            assert_holds(&again[part], &before[part], &format!("{}: {part}", path.display()));
        }
    }
}

/// Whatever stood in the older one stands in the newer one; there may be more.
#[track_caller]
fn assert_holds(new: &Value, old: &Value, place: &str) {
    if let (Value::Object(new), Value::Object(old)) = (new, old) {
        for (key, value) in old {
            let there = new.get(key).unwrap_or(&Value::Null);
            assert_holds(there, value, &format!("{place}.{key}"));
        }
    } else if let (Value::Array(new), Value::Array(old)) = (new, old) {
        assert_eq!(new.len(), old.len(), "{place}");
        let pairs = new.iter().zip(old).enumerate();
        pairs.for_each(|(at, (new, old))| assert_holds(new, old, &format!("{place}[{at}]")));
    } else {
        assert_eq!(new, old, "{place}");
    }
}

/// One that held only a service that is up would prove little.
#[test]
fn each_has_services_in_many_states() {
    for (path, text) in all() {
        let read = snapshot::read::<Kept>(&text).unwrap();
        let states: BTreeSet<String> = read
            .core
            .services()
            .flat_map(|service| &service.workers)
            .map(|worker| format!("{:?}", worker.state).split([' ', '(']).next().unwrap().to_owned())
            .collect();
        let wanted = ["Backoff", "Crashed", "Held", "Replacing", "Starting", "Stopped", "Up"];
        assert_eq!(states.iter().map(String::as_str).collect::<Vec<_>>(), wanted, "{}", path.display());
        let leaves = |worker: &Worker| !worker.leaving.is_empty();
        let mut workers = read.core.services().flat_map(|service| &service.workers);
        assert!(workers.any(leaves), "{}: nobody leaves", path.display());
        let text = text.replace(char::is_whitespace, "");
        for voice in
            ["\"Pipe\":{", "\"Notify\":{", "\"Ack\":{", "\"adopted\":[", "\"probes\":", "\"watches\":[{"]
        {
            assert!(text.contains(voice), "{}: no {voice}", path.display());
        }
    }
}

/// What the program itself says of it, asked as a supervisor asks it.
#[test]
fn the_program_finds_itself_fit_to_go_on_from_each() {
    let stage = Stage::new();
    for (path, _) in all() {
        let command =
            format!("exec 3<'{}' 4>answer && exec {OURS} -c services.toml --check-state=3,4", path.display());
        let status =
            std::process::Command::new("sh").args(["-c", &command]).current_dir(stage.dir()).status();
        let answer = fs::read_to_string(stage.dir().join("answer")).unwrap();
        assert_eq!(answer, "bootstrap can go on from here\n", "{}", path.display());
        assert!(status.unwrap().success());
    }
}

/// The state of a supervisor that has much to do, from the hands of a program that it asks.
fn taken() -> String {
    let stage = Stage::new();
    let program = stage.install(OURS, "bootstrap");
    let mut supervised = busy(stage.program(&program));
    let spy = "#!/bin/sh\nfor last; do :; done\npair=${last#*=}\ncat /proc/self/fd/${pair%,*} >taken.new\n\
               mv taken.new taken\nprintf 'bootstrap cannot go on from here: seen\\n' >/proc/self/fd/${pair#*,}\n";
    let path = supervised.stage.write("spy", spy);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&path, &program).unwrap();
    supervised.forget();
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap … cannot go on from here: seen");
    let text = fs::read_to_string(supervised.stage.dir().join("taken")).unwrap();
    let (dir, boot) =
        (supervised.stage.path(""), fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap());
    supervised.signal(nix::sys::signal::Signal::SIGQUIT);
    supervised.wait_exit();
    text.replace(dir.trim_end_matches('/'), "/srv")
        .replace(boot.trim(), "00000000-0000-0000-0000-000000000000")
}

fn busy(stage: Stage) -> Supervised {
    let (port, asked) = (free_port(), free_port());
    let long = "ready_timeout = \"10m\"";
    let sleep = |name, more: &str| service(name, free_port(), &["sleep", "1000"], more);
    let next = |command: &[&str]| {
        let more = format!("restart_order = \"start-first\"\nready = \"pipe\"\n{long}");
        service("next", port, command, &more)
    };
    let rest = [
        http("web", free_port(), "workers = 2\nready = \"pipe\"\nwatch = true"),
        http("drains", free_port(), "ready = \"pipe\""),
        http("asked", asked, &format!("check = {{ http = \"http://127.0.0.1:{asked}/\", period = \"1h\" }}")),
        sleep("slow", &format!("ready = \"pipe\"\n{long}")),
        sleep("notify", &format!("handshake = \"systemd\"\nready = \"notify\"\n{long}")),
        sleep("held", "ready = \"started\"\nhandshake = \"none\""),
        sleep("rests", "ready = \"started\"\nhandshake = \"none\""),
        service(
            "pauses",
            free_port(),
            &["false"],
            "restart = \"always\"\nrestart_delay = \"10m\"\nrestart_delay_max = \"1h\"",
        ),
        service("crashed", free_port(), &["false"], ""),
    ]
    .concat();
    let mut supervised =
        stage.start(&(rest.clone() + &next(&[&example("http")])), &["web", "notify", "next"]);
    let ready = |supervised: &Supervised, name: &str| {
        supervised.wait_for(&format!(" {name} generation=1 … ready after"));
    };
    for name in ["web", "drains", "asked", "held", "rests", "next"] {
        ready(&supervised, name);
    }
    // What is adopted is held in other ways than what was started.
    supervised.kill_and_start_again();
    supervised.wait_for(" next generation=1 … adopted");
    supervised.wait_for(" pauses … in");
    let drains = supervised.stage.dir().join("services.toml");
    let text = fs::read_to_string(drains).unwrap();
    let at = text.find("name = \"drains\"").unwrap();
    let address = text[at..].split("127.0.0.1:").nth(1).unwrap();
    let drained: u16 = address[..address.find('"').unwrap()].parse().unwrap();
    drop(in_flight(drained, Duration::from_secs(600)));
    let order = |words: &[&str]| {
        let said = supervised.stage.run(&[&["-c", "services.toml"], words].concat());
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
    };
    for words in [["hold", "held"], ["stop", "rests"], ["restart", "drains"]] {
        order(&words);
    }
    supervised.forget();
    // Of this kind nothing is heard any more after an adoption.
    let ack = sleep("ack", &format!("handshake = \"einhorn\"\nready = \"ack\"\n{long}"));
    supervised.stage.write("services.toml", &(rest + &next(&["sleep", "1000"]) + &ack));
    supervised.signal(SIGHUP);
    supervised.wait_for(" next generation=2 pid= … started");
    supervised.wait_for(" ack generation=1 pid= … started");
    supervised
}

/// Without the names of this machine.
fn scrubbed(text: &str) -> String {
    let examples = Path::new(&example("http")).parent().unwrap().to_str().unwrap().to_owned();
    // As text: what many share stands in full where it comes first, so the order of fields is a part of the format.
    let text = text.replace(&examples, "/usr/lib/bootstrap") + "\n";
    let target = Path::new(OURS).parent().unwrap().to_str().unwrap();
    assert!(!text.contains(target), "a path of this machine is left");
    text
}
