//! The supervisor becomes another program, and nobody else notices.

mod support;

use nix::sys::signal::Signal::{SIGHUP, SIGUSR1, SIGUSR2};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use support::{Load, Stage, Supervised, Wire, eventually, example, free_port, http, in_flight, service};

const OURS: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Puts a program where the supervisor was started from, as a deployment should.
fn deploy(stage: &Stage, program: &Path) {
    let (new, path) = (stage.dir().join("bootstrap.new"), stage.dir().join("bootstrap"));
    fs::copy(program, &new).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, &path).unwrap();
}

/// A supervisor that was started from a file of its own.
fn staged(config: &str, services: &[&str]) -> Supervised {
    let stage = Stage::new();
    deploy(&stage, Path::new(OURS));
    let program = stage.path("bootstrap");
    stage.program(&program).start(config, services)
}

/// Upgrades it to what is on disk, and waits until that is done.
#[track_caller]
fn upgrade(supervised: &mut Supervised) {
    supervised.forget();
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
}

#[test]
fn a_hundred_upgrades_under_load_change_nothing_but_the_program() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    supervised.wait_answer(port, 1);
    let (process, server) = (supervised.process(), supervised.pid_of("web", 1));
    upgrade(&mut supervised);
    let descriptors = process.descriptors();
    let load = Load::start("web", port, 2);
    for _ in 0..100 {
        upgrade(&mut supervised);
    }
    let outcome = load.finish();
    outcome.must_be_perfect();
    assert_eq!(outcome.pids.iter().collect::<Vec<_>>(), [&server.0], "{outcome}");
    let kinds = |all: &[(i32, String)]| {
        let mut kinds: Vec<_> =
            all.iter().map(|(_, what)| what.split(['[', ':']).next().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&process.descriptors()), kinds(&descriptors));
    assert_eq!(process.children(), [server], "a child too many, or too few\n{supervised}");
    // It is still a child, and can still take its leave.
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … answered \"success\"");
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn an_upgrade_takes_the_program_now_on_disk() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    // The file that it runs has no name any more, and the one that has is another.
    deploy(&supervised.stage, Path::new(OURS));
    upgrade(&mut supervised);
    let running = fs::canonicalize(format!("/proc/{}/exe", supervised.process().0)).unwrap();
    assert_eq!(running, fs::canonicalize(supervised.stage.dir().join("bootstrap")).unwrap());
    supervised.stop();
}

/// Whatever is on disk: the old one goes on, says why, and can be asked again.
#[test]
fn a_program_that_cannot_go_on_is_refused_in_so_many_words() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    let server = supervised.pid_of("web", 1);
    let path = supervised.stage.dir().join("bootstrap");
    let script = |text: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, text).unwrap();
        file
    };
    let says = |what: &str| {
        let last = "for last; do :; done";
        script(&format!("#!/bin/sh\n{last}\nprintf '{what}\\n' >/proc/self/fd/${{last#*,}}\n"))
    };
    let rejects = says("bootstrap cannot go on from here: too old");
    let liar = says("ok");
    let deaf = script("not executable, not even a program");
    let refused = |supervised: &mut Supervised, why: &str| {
        supervised.forget();
        supervised.signal(SIGUSR2);
        supervised.wait_for(&format!(" bootstrap … {why} … this one goes on"));
        assert_eq!(supervised.get(port).pid(), server.0);
    };
    fs::remove_file(&path).unwrap();
    refused(&mut supervised, "the program is not there: No such file or directory");
    deploy(&supervised.stage, Path::new("/bin/true"));
    refused(&mut supervised, "the program is no bootstrap that can be upgraded to");
    deploy(&supervised.stage, liar.path());
    refused(&mut supervised, "the program is no bootstrap that can be upgraded to");
    deploy(&supervised.stage, rejects.path());
    refused(&mut supervised, "the program cannot go on from here: too old");
    deploy(&supervised.stage, deaf.path());
    refused(&mut supervised, "the program could not be started: … not a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&mut supervised, "the program could not be started: … Permission denied");

    deploy(&supervised.stage, Path::new(OURS));
    upgrade(&mut supervised);
    assert_eq!(supervised.get(port).pid(), server.0);
    assert_eq!(supervised.process().children(), [server], "{supervised}");
    supervised.stop();
}

/// A command of ours, whatever is on disk.
#[track_caller]
fn command(supervised: &mut Supervised, words: &[&str], code: i32) -> String {
    let stage = std::mem::replace(&mut supervised.stage, Stage::new());
    supervised.stage = stage.program(OURS);
    let output = supervised.stage.run(&[&["-c", "services.toml"], words].concat());
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?} said {said}\n{supervised}");
    said
}

#[test]
fn the_command_tells_what_came_of_it() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    let (process, server) = (supervised.process(), supervised.pid_of("web", 1));
    let path = supervised.stage.dir().join("bootstrap");
    supervised.forget();
    let said = command(&mut supervised, &["upgrade"], 0);
    let version = env!("CARGO_PKG_VERSION");
    let wanted = format!("pid {} is {version} now, was {version}; took ", process.0);
    assert!(said.starts_with(&wanted), "{said}");
    supervised.wait_for(" bootstrap upgrade: asked for by user");
    supervised.wait_for(" bootstrap pid= … is now");
    let said = command(&mut supervised, &["upgrade", "--json"], 0);
    assert!(said.contains(&format!("\"reply\":\"upgraded\",\"from\":\"{version}\"")), "{said}");

    fs::remove_file(&path).unwrap();
    let said = command(&mut supervised, &["upgrade"], 1);
    assert!(said.contains("the program is not there: No such file or directory") && said.contains("goes on"));
    deploy(&supervised.stage, Path::new("/bin/true"));
    let said = command(&mut supervised, &["upgrade"], 1);
    assert!(said.contains("no bootstrap that can be upgraded to"), "{said}");
    let said = command(&mut supervised, &["upgrade", "--json"], 1);
    assert!(said.contains("\"code\":\"upgrade-refused\""), "{said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let said = command(&mut supervised, &["upgrade"], 1);
    assert!(said.contains("Permission denied"), "{said}");
    let hang = supervised.stage.write("hang", "#!/bin/sh\nexec sleep 60\n");
    deploy(&supervised.stage, &hang);
    let said = command(&mut supervised, &["upgrade", "--timeout", "100ms"], 6);
    assert!(said.contains("not known after 100ms"), "{said}");
    assert_eq!(supervised.get(port).pid(), server.0);
    supervised.stop();
}

/// Whoever asked for it stays connected, and can ask on; whoever waits for something else is told to ask again.
#[test]
fn clients_are_told_of_an_upgrade() {
    let port = free_port();
    let config = service("web", port, &["sleep", "60"], "ready = \"pipe\"\nready_timeout = \"1m\"");
    let mut supervised = staged(&config, &["web"]);
    let (mut waits, mut follows, mut asks) =
        (Wire::to(&supervised), Wire::to(&supervised), Wire::to(&supervised));
    waits.send(r#"{"version":1,"id":5,"request":"wait"}"#);
    follows.send(r#"{"version":1,"id":6,"request":"events"}"#);
    assert_eq!(follows.reply()["reply"], "following");
    // Both requests in one write: the second is read by the next program.
    asks.send(
        "{\"version\":1,\"id\":7,\"request\":\"upgrade\"}\n{\"version\":1,\"id\":8,\"request\":\"version\"}",
    );
    let upgraded = asks.reply();
    assert_eq!((&upgraded["reply"], &upgraded["id"]), (&"upgraded".into(), &7.into()), "{upgraded}");
    assert_eq!(upgraded["pid"], supervised.process().0);
    let version = asks.reply();
    assert_eq!((&version["reply"], &version["id"]), (&"version".into(), &8.into()), "{version}");
    for (wire, id) in [(waits, 5), (follows, 6)] {
        let rest = wire.rest();
        let last = rest.lines().last().unwrap_or_default();
        assert_eq!(last, format!("{{\"version\":1,\"id\":{id},\"reply\":\"upgrading\"}}"), "{rest}");
    }
    drop(asks);
    let said = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| supervised.stage.run(&["-c", "services.toml", "restart", "web"]));
        supervised.wait_for(" bootstrap restart web: asked for by user");
        supervised.signal(SIGUSR2);
        waiting.join().unwrap()
    });
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(said.status.code(), Some(6), "{text}");
    assert!(text.contains("became another program before it answered"), "{text}");
    supervised.signal(nix::sys::signal::Signal::SIGQUIT);
    supervised.wait_exit();
}

/// It may hang for as long as it likes: nothing else waits for it.
#[test]
fn a_program_that_does_not_answer_stops_nobody() {
    let port = free_port();
    let supervised = staged(&http("web", port, ""), &["web"]);
    let hang = "#!/bin/sh\nexec sleep 60\n";
    let path = supervised.stage.write("hang", hang);
    deploy(&supervised.stage, &path);
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap … asking");
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.wait_for(" bootstrap … did not say within 5s … this one goes on");
    eventually("it is gone", || supervised.process().children().len() == 1);
    supervised.stop();
}

/// A server that takes its time over everything, so that an upgrade comes in between.
#[test]
fn upgrades_during_a_restart_a_drain_a_reload_and_a_backoff_lose_nothing() {
    let port = free_port();
    let config = |more: &str| {
        let web = http("web", port, more);
        let crashes = "restart = \"always\"\nrestart_delay = \"1s\"\nready = \"started\"";
        format!("{web}\n[[service]]\nname = \"crash\"\ncommand = [\"false\"]\n{crashes}\n")
    };
    let mut supervised = staged(&config(""), &["web"]);
    supervised.wait_answer(port, 1);
    // A drain.
    let (pid, answer) = in_flight(port, Duration::from_millis(1500));
    supervised.signal(SIGUSR1);
    upgrade(&mut supervised);
    supervised.wait_answer(port, 2);
    upgrade(&mut supervised);
    let answer = answer.join().unwrap().unwrap();
    assert_eq!((answer.pid(), answer.generation()), (pid, 1));
    supervised.wait_for(" web generation=1 … exit code 0 … after it was asked");
    // A backoff: it goes on, and its pauses go on growing.
    supervised.forget();
    supervised.wait_for(" crash … starting generation … in");
    upgrade(&mut supervised);
    supervised.wait_for(" crash … starting generation … in");
    // A reload, and a restart, and an upgrade, in one instant.
    supervised.stage.write("services.toml", &config("stop_timeout = \"3s\""));
    supervised.forget();
    supervised.signal(SIGHUP);
    supervised.signal(SIGUSR2);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" bootstrap … config applied … 1 changed in place");
    supervised.wait_for(" bootstrap pid= … is now");
    supervised.wait_answer(port, 3);
    supervised.stop();
}

/// The last program stays pinned, and the pipe is heard, across an upgrade.
#[test]
fn a_rollback_goes_on_after_an_upgrade() {
    let stage = Stage::new();
    deploy(&stage, Path::new(OURS));
    let (program, port) = (stage.path("bootstrap"), free_port());
    let server = stage.dir().join("server");
    fs::copy(example("http"), &server).unwrap();
    let more = "ready = \"pipe\"\nready_timeout = \"2s\"";
    let config = service("web", port, &["./server"], more);
    let mut supervised = stage.program(&program).start(&config, &["web"]);
    supervised.wait_answer(port, 1);
    fs::remove_file(&server).unwrap();
    fs::write(&server, "#!/bin/sh\nexec sleep 60\n").unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 pid= … started");
    upgrade(&mut supervised);
    supervised.wait_for(" web generation=2 … going back to what ran before, as generation 3");
    supervised.wait_answer(port, 3);
    supervised.stop();
}
