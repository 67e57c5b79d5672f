//! The supervisor becomes another program, and nobody else notices.

mod support;

#[path = "support/slice.rs"]
mod slice;

use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGUSR1, SIGUSR2};
use slice::slice;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use support::{
    Load, Process, Stage, Supervised, Wire, einhorn, eventually, example, free_port, http, in_flight, service,
};

const OURS: &str = env!("CARGO_BIN_EXE_bootstrap");

/// Puts a program where the supervisor was started from, as a deployment should.
fn deploy(stage: &Stage, program: &Path) {
    stage.install(program, "bootstrap");
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
    assert_eq!(slice(supervised.pid_of("web", 2).0), slice(0), "it has our short slices of time");
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
    refused(&mut supervised, &format!("there is no program {}: No such file or directory", path.display()));
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
    let missing = format!("there is no program {}: No such file or directory", path.display());
    assert!(said.contains(&missing) && said.contains("goes on"), "{said}");
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

/// Whoever asks while one program becomes the other is answered by one of them.
#[test]
fn a_request_that_comes_during_an_upgrade_is_answered() {
    let mut supervised = staged(
        &service("web", free_port(), &["sleep", "60"], "handshake = \"none\"\nready = \"started\""),
        &["web"],
    );
    let (mut answered, mut told) = (0, 0);
    for _ in 0..20 {
        supervised.forget();
        supervised.signal(SIGUSR2);
        while !supervised.said(" bootstrap pid= … is now") {
            let mut wire = Wire::to(&supervised);
            wire.send(r#"{"version":1,"request":"version"}"#);
            let reply = wire.reply();
            match reply["reply"].as_str() {
                Some("version") => answered += 1,
                Some("upgrading") => told += 1,
                _ => panic!("{reply}\n{supervised}"),
            }
        }
    }
    assert!(answered > 20, "{answered} answered, {told} told to ask again\n{supervised}");
    // One that was let in and has not asked yet.
    let mut idle = Wire::to(&supervised);
    assert_eq!(idle.ask("\"version\"")["reply"], "version");
    upgrade(&mut supervised);
    assert_eq!(idle.ask("\"version\"")["reply"], "version");
    // One whose request has come in part.
    let mut slow = Wire::to(&supervised);
    slow.stream().write_all(b"{\"version\":1,\"id\":9,").unwrap();
    assert_eq!(idle.ask("\"version\"")["reply"], "version");
    upgrade(&mut supervised);
    slow.send("\"request\":\"version\"}");
    let version = slow.reply();
    assert_eq!((&version["reply"], &version["id"]), (&"version".into(), &9.into()), "{version}");
    supervised.stop();
}

/// Who has ended just then is not written down for ever.
#[test]
fn whoever_ends_during_an_upgrade_is_forgotten() {
    let names = ["a", "b", "c", "d", "e"];
    let more = "handshake = \"none\"\nready = \"started\"\nrestart = \"always\"\n\
                restart_delay = \"1ms\"\nrestart_delay_max = \"1ms\"";
    let config: String =
        names.iter().map(|name| service(name, free_port(), &["sleep", "60"], more)).collect();
    let mut supervised = staged(&config, &names);
    let records = supervised.stage.dir().join("run/records");
    for _ in 0..10 {
        supervised.forget();
        for child in supervised.process().children() {
            child.signal(SIGKILL);
        }
        supervised.signal(SIGUSR2);
        supervised.wait_for(" bootstrap pid= … is now");
        eventually("all run again", || supervised.process().children().len() == names.len());
    }
    let living = |text: &str| text.lines().filter(|line| line.starts_with(['n', 's', 'i', 'l'])).count();
    eventually("those who run are written down, and nobody else", || {
        living(&fs::read_to_string(&records).unwrap()) == names.len()
    });
    supervised.stop();
}

/// It may hang for as long as it likes: nothing else waits for it.
#[test]
fn a_program_that_does_not_answer_stops_nobody() {
    let port = free_port();
    let supervised = staged(&http("web", port, ""), &["web"]);
    // A shell that stays: what it has started ends with it.
    let hang = "#!/bin/sh\nsleep 60\nexit 1\n";
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

/// Nobody waits for its answer any more.
#[test]
fn a_program_that_does_not_answer_ends_with_the_supervisor_that_has_asked_it() {
    let mut supervised = staged(&http("web", free_port(), ""), &["web"]);
    let path = supervised.stage.write("hang", "#!/bin/sh\nexec sleep 60\n");
    deploy(&supervised.stage, &path);
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap … asking");
    let is_asked = |process: &Process| process.arguments().first().is_some_and(|word| word == "sleep");
    let asked = || supervised.process().children().into_iter().find(is_asked);
    eventually("it hangs", || asked().is_some());
    let asked = asked().unwrap();
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    eventually("it is gone", || !asked.is_alive());
    deploy(&supervised.stage, Path::new(OURS));
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
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
    let server = stage.install(example("http"), "server");
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

/// It said that it can go on, and then does not: what only the state knew is lost, and nothing else.
#[test]
fn a_program_that_fails_after_the_point_of_no_return_begins_anew_and_takes_over() {
    let port = free_port();
    let supervised = staged(&http("web", port, ""), &["web"]);
    supervised.wait_answer(port, 1);
    let (process, server) = (supervised.process(), supervised.pid_of("web", 1));
    let fails = "exec '{OURS}' -c services.toml --state=999";
    let script =
        format!("#!/bin/sh\ncase \"$*\" in *--check-state=*) exec '{OURS}' \"$@\";; esac\n{fails}\n")
            .replace("{OURS}", OURS);
    let path = supervised.stage.write("fails", &script);
    deploy(&supervised.stage, &path);
    let load = Load::start("web", port, 1);
    supervised.signal(SIGUSR2);
    supervised.wait_for("bootstrap: cannot go on from the state that was left to it: … begins anew");
    supervised.wait_for(" web generation=1 … adopted");
    load.wait_requests(240);
    let outcome = load.finish();
    outcome.must_be_perfect();
    assert_eq!(outcome.pids.iter().collect::<Vec<_>>(), [&server.0], "{outcome}");
    assert_eq!(supervised.process(), process);
    // It is a child, and adopted all the same: its end is told once.
    assert_eq!(process.children(), [server]);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … answered \"success\"");
    supervised.wait_for(" web generation=1 … exit code 0");
    supervised.wait_answer(port, 2);
    assert_eq!(supervised.count(" web generation=1 … ended with"), 1, "{supervised}");
    supervised.stop();
}

/// What answered is not what would be executed: nobody has asked that one.
#[test]
fn a_program_that_is_replaced_while_it_is_asked_is_not_become() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    let (process, server) = (supervised.process(), supervised.pid_of("web", 1));
    let other = supervised.stage.write("other", "#!/bin/sh\nexit 9\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let path =
        supervised.stage.write("quick", &format!("#!/bin/sh\nmv other bootstrap\nexec '{OURS}' \"$@\"\n"));
    deploy(&supervised.stage, &path);
    supervised.signal(SIGUSR2);
    supervised
        .wait_for(" bootstrap … the program was replaced while it was asked; ask again; this one goes on");
    assert_eq!((supervised.process(), supervised.get(port).pid()), (process, server.0));
    deploy(&supervised.stage, Path::new(OURS));
    upgrade(&mut supervised);
    supervised.stop();
}

/// Nor is it executed to be shown what has changed meanwhile, and what it would say is no reason.
#[test]
fn a_program_that_is_replaced_while_there_is_news_is_not_asked() {
    let port = free_port();
    let supervised =
        staged(&http("web", port, "restart = \"on-failure\"\nrestart_delay = \"10ms\""), &["web"]);
    let (process, stage) = (supervised.process(), &supervised.stage);
    let go = stage.dir().join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Open for both, so that nobody waits for a reader that never comes.
    let mut go = fs::File::options().read(true).write(true).open(go).unwrap();
    let other = stage.write("other", "#!/bin/sh\n: >was-executed\nexit 9\n");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("#!/bin/sh\nread line <go\nmv other bootstrap\nexec '{OURS}' \"$@\"\n");
    deploy(stage, &stage.write("slow", &script));
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap upgrade: asking ");
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_for(" web generation=2 … ready");
    go.write_all(b"on\n").unwrap();
    supervised
        .wait_for(" bootstrap … the program was replaced while it was asked; ask again; this one goes on");
    assert_eq!(supervised.process(), process);
    assert!(!stage.dir().join("was-executed").exists(), "{supervised}");
    supervised.stop();
}

/// Nobody can help a program that lies all the way; but it takes nobody down.
#[test]
fn a_liar_that_ends_instead_of_going_on_is_no_worse_than_a_kill() {
    let port = free_port();
    let mut supervised = staged(&http("web", port, ""), &["web"]);
    supervised.wait_answer(port, 1);
    let server = supervised.pid_of("web", 1);
    let says = "printf 'bootstrap can go on from here\\n' >/proc/self/fd/${last#*,}";
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\ncase $last in --check-state=*) {says}; exit 0;; esac\nexit 3\n"
    );
    let path = supervised.stage.write("liar", &script);
    deploy(&supervised.stage, &path);
    let load = Load::start("web", port, 1);
    supervised.signal(SIGUSR2);
    assert_eq!(supervised.wait_exit(), 3);
    deploy(&supervised.stage, Path::new(OURS));
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
    load.wait_requests(240);
    load.finish().must_be_perfect();
    assert_eq!(supervised.get(port).pid(), server.0);
    supervised.stop();
}

/// What servers talk on, what is asked of them and watched, and what operators hold: all of it comes along.
#[test]
fn every_handshake_a_check_a_watch_and_a_hold_go_on_after_an_upgrade() {
    let stage = Stage::new();
    deploy(&stage, Path::new(OURS));
    let program = stage.path("bootstrap");
    let (notify, ack, asked, watched, held) =
        (free_port(), free_port(), free_port(), free_port(), free_port());
    stage.install(example("http"), "server");
    let config = [
        service(
            "notify",
            notify,
            &[&example("systemd"), "--delay", "1s"],
            "handshake = \"systemd\"\nready = \"notify\"",
        ),
        einhorn("ack", ack, "go"),
        http(
            "asked",
            asked,
            "restart = \"always\"\ncheck = { exec = \"test ! -e sick\", period = \"50ms\", failures = 2 }",
        ),
        service("watched", watched, &["./server"], "restart_order = \"start-first\"\nwatch = true"),
        http("held", held, ""),
    ]
    .concat();
    let mut supervised =
        stage.program(&program).start(&config, &["notify", "ack", "asked", "watched", "held"]);
    supervised.wait_answer(asked, 1);
    supervised.wait_answer(watched, 1);
    supervised.wait_answer(held, 1);
    command(&mut supervised, &["hold", "held"], 0);
    let mut waiting = support::Client::connect(held).unwrap();
    waiting.send("/").unwrap();
    for _ in 0..3 {
        upgrade(&mut supervised);
    }
    supervised.stage.write("go", "");
    supervised.wait_answer(notify, 1);
    eventually("both have said that they are ready", || {
        ["notify", "ack"]
            .iter()
            .all(|name| supervised.count(&format!("INFO {name} generation=1 … ready after")) == 1)
    });
    supervised.stage.install(example("http"), "server");
    supervised.wait_answer(watched, 2);
    supervised.stage.write("sick", "");
    supervised.wait_for(" asked generation=1 … unhealthy: 2 checks failed");
    fs::remove_file(supervised.stage.dir().join("sick")).unwrap();
    supervised.wait_for(" asked generation=2 … ready after");
    command(&mut supervised, &["release", "held"], 0);
    assert_eq!(waiting.receive().unwrap().generation(), 2);
    supervised.stop();
}
