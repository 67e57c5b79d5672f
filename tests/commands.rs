//! Every client command, as text and as JSON that its schema accepts, with each exit code; and what they do when nobody
//! answers, or the wrong one would.

mod support;

#[path = "support/command.rs"]
mod command;

use bootstrap::cli::Invocation;
use command::{command, is_valid, json, says};
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use serde_json::Value;
use std::collections::BTreeSet;
use support::{Stage, Supervised, Wire, free_port, http};

const WAITS: &str = "[bootstrap]\nwhen_idle = \"wait\"\n";

/// `web` and `api`, which say that they are ready.
fn config(ports: [u16; 2], more: &str) -> String {
    let ready = "ready = \"pipe\"\n";
    WAITS.to_owned() + &http("web", ports[0], &format!("{ready}{more}")) + &http("api", ports[1], ready)
}

fn two() -> (Supervised, [u16; 2]) {
    let ports = [free_port(), free_port()];
    let supervised = Supervised::start(&config(ports, ""), &["web", "api"]);
    for service in ["web", "api"] {
        supervised.wait_for(&format!(" {service} generation=1 … ready after"));
    }
    (supervised, ports)
}

/// A command, its exit code, a line that it says, and what stands where in its JSON.
type Step = (&'static str, i32, &'static str, &'static str, &'static str);

/// A story that needs every command. Pieces of a line are separated by `…`.
const STORY: &[Step] = &[
    ("check", 0, "services.toml: ok: 2 services, 2 sockets", "/ok", "true"),
    ("wait", 0, "web: up: generation 1 serves", "/ok", "true"),
    ("status", 0, "web…up", "/services/1/state", "\"up\""),
    ("status web", 0, "web: up for", "/services/0/name", "\"web\""),
    ("status *", 0, "2/2 up; bootstrap", "/supervisor/up", "2"),
    ("plan", 0, "a reload would change nothing", "/changes", "[]"),
    ("restart web", 0, "web: up: generation 2 serves", "/services/0/generation", "2"),
    ("restart --no-wait api", 0, "api: ordered", "/services/0/outcome", "\"ordered\""),
    ("wait --timeout 30s a*", 0, "api: up: generation 2 serves", "/services/0/outcome", "\"up\""),
    ("signal CONT", 0, "web: sent to 1 process", "/services/1/outcome", "\"signalled\""),
    ("stop web", 0, "web: stopped", "/services/0/outcome", "\"stopped\""),
    ("stop web", 0, "web: stopped", "/ok", "true"),
    ("status web", 3, "web: stopped", "/services/0/state", "\"stopped\""),
    ("wait web", 3, "web: stopped", "/ok", "false"),
    ("signal HUP web", 3, "web: sent to 0 processes", "/ok", "false"),
    ("release web", 0, "web: …", "/services/0/service", "\"web\""),
    ("start web", 0, "web: up: generation 3 serves", "/services/0/outcome", "\"up\""),
    (
        "hold web",
        0,
        "web: held: nothing is started, and clients wait, until it is released",
        "/services/0/outcome",
        "\"held\"",
    ),
    ("start web", 5, "web: held", "/ok", "false"),
    ("release web", 0, "web: up: generation 4 serves", "/services/0/outcome", "\"up\""),
    ("reload", 0, "config applied: 0 added, …2 untouched", "/applied/untouched", "2"),
    ("restart wbe", 4, "no service matches \"wbe\"; did you mean \"web\"?", "/code", "\"no-such-service\""),
    ("status WEB", 4, "no service matches \"WEB\"; did you mean \"web\"?", "/details/0", "\"WEB\""),
    ("stop x* web", 4, "no service matches \"x*\"", "/code", "\"no-such-service\""),
    ("events wbe", 4, "no service matches \"wbe\"", "/code", "\"no-such-service\""),
    ("upgrade", 0, "pid … is … now, was", "/reply", "\"upgraded\""),
];

/// The same, once a key of `web` is another in the file.
const CHANGED: &[Step] = &[
    ("check", 0, "services.toml: ok: 2 services, 2 sockets", "/services", "2"),
    ("plan", 2, "web is restarted", "/changes/0/effect", "\"restart\""),
    ("status", 0, "services.toml is not what runs", "/supervisor/config_state", "\"changed\""),
    ("status web", 0, "config …says something else than runs", "/services/0/stale", "\"changed\""),
];

/// The same, once its program is broken.
const FAILING: &[Step] = &[
    (
        "reload",
        5,
        "web: the restart failed; what ran before serves",
        "/services/0/outcome",
        "\"rolled-back\"",
    ),
    ("restart web", 5, "web: the restart failed", "/ok", "false"),
];

/// The same, once it has mistakes.
const BROKEN: &[Step] = &[
    ("check", 78, "unknown key `prot`", "/mistakes/1/line", "3"),
    ("check", 78, "refused: 2 mistakes", "/mistakes/1/help", "\"did you mean `port`?\""),
    ("plan", 78, "the file has 2 mistakes", "/code", "\"bad-config\""),
    ("reload", 78, "the config is refused; nothing was changed", "/code", "\"bad-config\""),
    ("status", 0, "services.toml has mistakes", "/supervisor/config_state", "\"broken\""),
    ("restart api", 0, "api: up", "/ok", "true"),
];

#[track_caller]
fn play(supervised: &Supervised, steps: &[Step], as_json: bool) {
    for (words, code, line, pointer, wanted) in steps {
        if !as_json {
            says(supervised, words, &[line], *code);
            continue;
        }
        let (value, ended) = json(supervised, words);
        let wanted: Value = serde_json::from_str(wanted).unwrap();
        assert_eq!((value.pointer(pointer), ended), (Some(&wanted), *code), "`{words}`: {value:#}");
    }
}

#[test]
fn every_command_tells_what_came_of_it_as_text_and_as_json() {
    for as_json in [false, true] {
        let (supervised, ports) = two();
        play(&supervised, STORY, as_json);
        supervised.stage.write("services.toml", &config(ports, "env = { A = \"1\" }"));
        play(&supervised, CHANGED, as_json);
        let broken = config(ports, "").replacen("command = [", "command = [\"false\", ", 1);
        supervised.stage.write("services.toml", &broken);
        play(&supervised, FAILING, as_json);
        supervised.stage.write("services.toml", "[[service]]\nname = 'web'\nprot = 1");
        play(&supervised, BROKEN, as_json);
        supervised.stop();
    }
}

/// A command that is new does not pass until it stands in the story.
#[test]
fn the_story_has_every_command_that_speaks_to_a_supervisor() {
    let help = Invocation::parse(["bootstrap".into(), "--help".into()]).expect_err("help").to_string();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    // What a name is followed by goes over several lines.
    let names =
        lines.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    let elsewhere = ["logs", "metrics", "schema", "completions", "man", "import", "help"];
    let names: BTreeSet<&str> = names.filter(|name| !elsewhere.contains(name)).collect();
    let told: BTreeSet<&str> = STORY.iter().map(|(words, ..)| words.split(' ').next().unwrap()).collect();
    assert_eq!(told, names);
}

/// What each command is called with where none is to be answered.
const ALL: [&str; 13] = [
    "status",
    "plan",
    "start",
    "stop",
    "restart",
    "hold",
    "release",
    "reload",
    "wait",
    "signal CONT",
    "upgrade",
    "events",
    "restart --no-wait",
];

#[test]
fn a_supervisor_that_is_not_there_is_told_with_what_to_do() {
    let (mut supervised, _) = two();
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    let killed = "/run/control: Connection refused …`bootstrap -c services.toml` runs it, and takes over what a killed";
    for words in ALL {
        says(&supervised, words, &[&format!("the supervisor is not reachable: …{killed}")], 7);
    }
    std::fs::remove_dir_all(supervised.stage.dir().join("run")).unwrap();
    says(&supervised, "status", &["run/control: No such file …; `bootstrap -c services.toml` runs it"], 7);
    // From elsewhere a relative directory is another one.
    let file = supervised.stage.path("relative.toml");
    supervised.stage.write("relative.toml", "[bootstrap]\nruntime_dir = 'other'\n");
    let elsewhere = Stage::new();
    let said = String::from_utf8(elsewhere.run(&["-c", &file, "status"]).stderr).unwrap();
    let place = elsewhere.path("other/control");
    assert!(said.contains(&format!("not reachable: {place}: No such file")), "{said}");
    assert!(said.contains("`runtime_dir` is relative to where the supervisor was started"), "{said}");
    std::fs::remove_file(supervised.stage.dir().join("services.toml")).unwrap();
    says(&supervised, "status", &["and services.toml cannot be found: No such file"], 7);
}

/// It has the connection in its queue, and says nothing. An order that it never heard is not carried out later.
#[test]
fn a_supervisor_that_is_stopped_is_told_by_its_pid_and_hears_nothing_of_it_later() {
    let (supervised, ports) = two();
    let pid = supervised.process().0;
    supervised.signal(SIGSTOP);
    says(&supervised, "status --timeout 200ms", &["no answer within 200ms"], 6);
    says(&supervised, "restart --timeout 200ms", &["no answer within 200ms"], 6);
    let silent = format!(
        "the supervisor, pid {pid}, has not answered for 10s: it is stopped (SIGSTOP); `kill -CONT {pid}` lets it go on"
    );
    let all_at_once = |words: &[&str]| {
        std::thread::scope(|scope| {
            for words in words {
                let (supervised, silent) = (&supervised, &silent);
                scope.spawn(move || says(supervised, words, &[silent], 7));
            }
        });
    };
    all_at_once(&ALL);
    // Nor does one wait for ever whose connection is not even taken.
    let path = Wire::path(&supervised);
    let full = |_: usize| {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&socket2::SockAddr::unix(&path).unwrap()).ok().map(|()| socket)
    };
    let waiting: Vec<_> = (0..10_000).map_while(full).collect();
    assert!(waiting.len() < 10_000, "its queue has an end");
    all_at_once(&["status", "restart"]);
    drop(waiting);
    supervised.signal(SIGCONT);
    says(&supervised, "status", &["web…up…1", "api…up…1"], 0);
    assert_eq!((supervised.get(ports[0]).generation(), supervised.get(ports[1]).generation()), (1, 1));
    assert!(!supervised.said("asked for by"), "{supervised}");
    supervised.stop();
}

/// Two files with the same name in two directories have the same place by custom: `stop` once stopped the services of
/// the other.
#[test]
fn a_supervisor_of_another_file_is_asked_for_nothing() {
    let (supervised, ports) = two();
    let elsewhere = supervised.stage.dir().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let file = elsewhere.join("services.toml");
    std::fs::write(&file, config(ports, "")).unwrap();
    let file = file.to_str().unwrap();
    let ours = supervised.stage.path("services.toml");
    let refused = format!("pid {}, has {ours}, not {file}; nothing was asked of it", supervised.process().0);
    for words in [&["status"][..], &["stop"], &["plan"], &["events"], &["restart", "web"]] {
        let output = supervised.stage.run(&[&["-c", file], words].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(7) && said.contains(&refused), "{words:?}: {said}");
    }
    // Whoever names the directory knows what he does; and a link to the file is the file.
    let run = supervised.stage.path("run");
    std::os::unix::fs::symlink(&ours, supervised.stage.dir().join("link.toml")).unwrap();
    let dots = supervised.stage.path("elsewhere/../services.toml");
    for words in
        [&["-c", file, "--runtime-dir", &run][..], &["-c", "link.toml"], &["-c", &dots], &["-c", &ours]]
    {
        let words = [&["status"], words].concat();
        let output = supervised.stage.run(&words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    supervised.stop();
}

/// `bootstrap status | head -1` is no failure, and no panic.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (mut supervised, _) = two();
    let stage = std::mem::replace(&mut supervised.stage, Stage::new());
    supervised.stage = stage.through(&["bash", "-c", "exec \"$0\" \"$@\" > >(exit 0)"]);
    for words in ["status", "status --json", "restart web", "events"] {
        // Events end with the first one that nobody reads.
        let restarts = || while command(&supervised, "restart --no-wait web").1 != Some(0) {};
        let (said, code) = if words == "events" {
            std::thread::scope(|scope| {
                let events = scope.spawn(|| command(&supervised, words));
                while !events.is_finished() {
                    restarts();
                }
                events.join().unwrap()
            })
        } else {
            command(&supervised, words)
        };
        assert_eq!((&*said, code), ("", Some(0)), "{words}");
    }
}

/// Whoever wrote it meant something, but surely not all.
#[test]
fn an_empty_selector_and_an_empty_name_are_mistakes() {
    let (mut supervised, _) = two();
    for value in ["", ",", " , ,"] {
        let stage = std::mem::replace(&mut supervised.stage, Stage::new());
        supervised.stage = stage.env("BOOTSTRAP_SELECT", value);
        says(&supervised, "stop", &["BOOTSTRAP_SELECT is; no name at all"], 1);
        says(&supervised, "logs", &["BOOTSTRAP_SELECT is; without both"], 1);
    }
    let (value, code) = json(&supervised, "stop web, ");
    is_valid(&value);
    assert_eq!((&value["code"], code), (&"bad-request".into(), 1), "{value}");
}

/// Each is told what became of what it asked for; ten are no more restarts than are needed.
#[test]
fn orders_at_the_same_time_are_all_answered() {
    let (supervised, ports) = two();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| says(&supervised, "restart web", &["web: up: generation"], 0));
            scope.spawn(|| says(&supervised, "reload", &["config applied"], 0));
        }
    });
    let generation = supervised.get(ports[0]).generation();
    assert!((2..=6).contains(&generation), "generation {generation}");
    assert_eq!(supervised.get(ports[1]).generation(), 1);
    says(&supervised, "wait --timeout 30s", &["web: up", "api: up"], 0);
    supervised.stop();
}

/// The time that a command allows is for the answer; what was ordered goes on.
#[test]
fn a_wait_that_is_too_long_ends_with_six() {
    let slow = http("slow", free_port(), "ready = \"delay\"\nready_delay = \"5s\"");
    let supervised = Supervised::start(&(WAITS.to_owned() + &slow), &["slow"]);
    says(&supervised, "wait --timeout 100ms", &["not up after 100ms; `status` shows how they are"], 6);
    says(&supervised, "restart --timeout 100ms", &["not known after 100ms what came of it; it goes on"], 6);
}
