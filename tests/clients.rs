//! The client commands, each against the real supervisor: what they print, as text and as JSON, and how they end.

#![expect(
    clippy::disallowed_methods,
    reason = "a client of a service, and one that reads what a command prints"
)]

mod support;

#[path = "support/command.rs"]
mod command;

use command::{command, is_valid, json, says};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM, SIGUSR2};
use serde_json::Value;
use support::{Log, Stage, Supervised, Wire, eventually, free_port, get, http, rude, service};

const WAITS: &str = "[bootstrap]\nwhen_idle = \"wait\"\n";

/// `web` and `api`, which say that they are ready.
fn two(more: &str) -> (Supervised, [u16; 2]) {
    let ports = [free_port(), free_port()];
    let ready = "ready = \"pipe\"\n";
    let config =
        WAITS.to_owned() + &http("web", ports[0], &format!("{ready}{more}")) + &http("api", ports[1], ready);
    let supervised = Supervised::start(&config, &["web", "api"]);
    for service in ["web", "api"] {
        supervised.wait_for(&format!(" {service} generation=1 … ready after"));
    }
    (supervised, ports)
}

#[test]
fn status_is_a_table_and_one_service_in_depth() {
    let (supervised, ports) = two("");
    let pid = supervised.pid_of("web", 1).0;
    says(&supervised, "status", &["SERVICE…STATE…PID", &format!("web…up…1…{pid}")], 0);
    let socket = format!("socket … tcp://127.0.0.1:{}: 0 of …clients wait", ports[0]);
    says(&supervised, "status web", &["web: up for ", &format!("generation 1, pid {pid}"), &socket], 0);
    says(&supervised, "status web wbe xyz*", &["no service matches \"wbe\", \"xyz*\""], 4);
    let (status, code) = json(&supervised, "status");
    assert_eq!((&status["supervisor"]["up"], code), (&2.into(), 0));
    assert_eq!(status["services"][1]["runs"][0]["pid"], pid);
    let (error, code) = json(&supervised, "status wbe");
    assert_eq!((&error["code"], code), (&"no-such-service".into(), 4));
    supervised.stop();
}

/// The kernel tells it in three ways: of TCP and UDP the socket itself, of unix sockets `sock_diag(7)`.
#[test]
fn status_tells_who_waits_at_a_socket_of_each_kind() {
    // It never accepts, nor reads: who comes waits.
    let (port, stage) = (free_port(), Stage::new());
    let path = stage.path("s");
    let config = format!(
        "{WAITS}[[service]]\nname = \"deaf\"\ncommand = \"sleep 600\"\nhandshake = \"none\"\nready = \"started\"\n\
         listen = [\"tcp://127.0.0.1:{port}\", \"unix:{path}\", \"udp://127.0.0.1:{port}\"]\n"
    );
    let supervised = stage.start(&config, &["deaf"]);
    let descriptors = supervised.process().descriptors().len();
    let sockets = || json(&supervised, "status deaf").0["services"][0]["sockets"].clone();
    for (socket, waiting) in sockets().as_array().unwrap().iter().zip(["waiting", "waiting", "waiting_bytes"])
    {
        assert_eq!(socket[waiting], 0, "{socket}");
    }
    let tcp: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let unix: Vec<_> = (0..2).map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap()).collect();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(&[0; 1000], ("127.0.0.1", port)).unwrap();
    eventually("all of them wait", || {
        let sockets = sockets();
        sockets[0]["waiting"] == 3
            && sockets[1]["waiting"] == 2
            && sockets[2]["waiting_bytes"].as_u64().unwrap() >= 1000
    });
    // The command has ended a moment before its connection is closed.
    eventually("none is kept for it", || supervised.process().descriptors().len() == descriptors);
    let told = sockets();
    assert!(
        told[1]["limit"].as_u64().unwrap() > 1 && told[2]["limit_bytes"].as_u64().unwrap() > 1000,
        "{told}"
    );
    assert_eq!(told[2]["dropped"], 0);
    let wanted = [
        format!("tcp://127.0.0.1:{port}: 3 of …clients wait"),
        format!("unix:{path}: 2 of …clients wait"),
        format!("udp://127.0.0.1:{port}: …KiB of …KiB wait"),
    ];
    says(&supervised, "status deaf", &wanted.each_ref().map(|line| &**line), 0);
    says(&supervised, "status", &["deaf…up…5+…KiB"], 0);
    // More than there is room for.
    for _ in 0..10_000 {
        let _ = udp.send_to(&[0; 1000], ("127.0.0.1", port));
    }
    assert!(sockets()[2]["dropped"].as_u64().unwrap() > 0, "{}", sockets());
    says(&supervised, "status deaf", &["datagrams were dropped"], 0);
    drop((tcp, unix));
    // A parked socket has no queue.
    says(&supervised, "stop deaf", &["deaf: stopped"], 0);
    let told = sockets();
    assert!(told[0].get("waiting").is_none() && told[1].get("waiting").is_none(), "{told}");
}

#[test]
fn status_and_plan_tell_what_the_file_would_change() {
    let (supervised, ports) = two("env = { SECRET = \"xyzzy\" }");
    says(&supervised, "plan", &["a reload would change nothing"], 0);
    let changed =
        http("web", ports[0], "ready = \"pipe\"\ndrain_timeout = \"3s\"\nenv = { SECRET = \"plugh\" }")
            + &http("new", free_port(), "");
    supervised.stage.write("services.toml", &changed);
    let wanted = [
        "[bootstrap] changes in place",
        "  when_idle: \"wait\" -> \"exit\"",
        "web is restarted",
        "  drain_timeout: \"1m\" -> \"3s\"",
        "  env.SECRET: set -> another value",
        "new is new and is started",
        "api is gone and is stopped",
    ];
    says(&supervised, "plan", &wanted, 2);
    let (said, _) = command(&supervised, "plan");
    assert!(!said.contains("xyzzy") && !said.contains("plugh"), "values of variables are nobody's:\n{said}");
    let (plan, code) = json(&supervised, "plan");
    assert_eq!((plan["changes"].as_array().unwrap().len(), code), (4, 2));
    let wanted = ["web…differs from the file", "api…not in the file", "services.toml is not what runs"];
    says(&supervised, "status", &wanted, 0);
    let (status, _) = json(&supervised, "status");
    assert_eq!(status["supervisor"]["config_state"], "changed");
    assert_eq!(status["supervisor"]["not_loaded"], serde_json::json!(["new"]));
    says(&supervised, "status", &["not loaded yet: new"], 0);
    says(
        &supervised,
        "status new",
        &["no service matches \"new\"; the file has new, which `reload` would start"],
        4,
    );
    says(&supervised, "status web", &["services.toml says something else than runs; see `plan`"], 0);
    says(&supervised, "status api", &["services.toml does not have it any more; see `plan`"], 0);
    assert_eq!(
        (&status["services"][0]["stale"], &status["services"][1]["stale"]),
        (&"removed".into(), &"changed".into())
    );

    supervised.stage.write("services.toml", "[[service]]\nname = 'web'\nprot = 1");
    says(&supervised, "plan", &["the file has 2 mistakes", "unknown key `prot`"], 78);
    says(&supervised, "status", &["services.toml has mistakes, or cannot be read; `check` shows them"], 0);
    says(&supervised, "status web", &["services.toml has mistakes, or cannot be read; see `check`"], 0);
    assert_eq!(json(&supervised, "status").0["supervisor"]["config_state"], "broken");
    says(&supervised, "reload", &["the config is refused; nothing was changed", "unknown key `prot`"], 78);
    let (said, _) = command(&supervised, "reload");
    assert_eq!(said.matches("unknown key `prot`").count(), 1, "each mistake is told once:\n{said}");
    // A file with mistakes does not hide the supervisor.
    says(&supervised, "restart web", &["web: up: generation 2 serves"], 0);
    supervised.stop();
}

#[test]
fn reload_tells_what_it_changed_and_what_came_of_it() {
    let (supervised, ports) = two("");
    let config = |more: &str| WAITS.to_owned() + &http("web", ports[0], &format!("ready = \"pipe\"\n{more}"));
    supervised.stage.write("services.toml", &config("env = { A = \"1\" }"));
    let wanted = [
        "config applied: 0 added, 1 removed, 1 restarted, 0 changed in place, 0 untouched",
        "web: up: generation 2",
    ];
    let (said, code) = command(&supervised, "reload");
    assert!(code == Some(0) && wanted.iter().all(|wanted| said.matches(wanted).count() == 1), "{said}");
    supervised.stage.write("services.toml", &config("env = { A = \"2\" }"));
    let (reply, code) = json(&supervised, "reload");
    assert_eq!((&reply["ok"], &reply["applied"]["restarted"], code), (&true.into(), &1.into(), 0));
    let with_program =
        |program: &str| config("").replace("command = [", &format!("command = [\"{program}\", "));
    supervised.stage.write("services.toml", &with_program("/nonexistent"));
    let told = "web: the restart failed; generation 3 serves on: /nonexistent: No such file or directory";
    says(&supervised, "reload", &[told], 5);
    supervised.stage.write("services.toml", &with_program("false"));
    says(&supervised, "reload", &["web: the restart failed; what ran before serves, as generation "], 5);
    let wanted =
        ["a reload would change nothing", "web runs what the file said before, until it is restarted"];
    says(&supervised, "plan", &wanted, 0);
    assert_eq!(json(&supervised, "plan").0["behind"], serde_json::json!(["web"]));
    says(&supervised, "status", &["web…runs what the file said before"], 0);
    says(
        &supervised,
        "status web",
        &["services.toml is loaded; what it said before runs until a restart"],
        0,
    );
    supervised.stop();
}

#[test]
fn what_an_operator_has_put_down_takes_a_change_when_it_starts() {
    let (supervised, ports) = two("");
    says(&supervised, "stop api", &["api: stopped"], 0);
    says(&supervised, "hold web", &["web: held"], 0);
    let changed = |name: &str, port: u16| http(name, port, "env = { A = \"1\" }");
    let all = WAITS.to_owned() + &changed("web", ports[0]) + &changed("api", ports[1]);
    supervised.stage.write("services.toml", &all);
    says(&supervised, "plan", &["web changes when it is started", "api changes when it is started"], 2);
    let wanted = [
        "the definition of api has changed; it applies at its next start",
        "0 restarted, 2 changed in place",
    ];
    says(&supervised, "reload", &wanted, 0);
    says(&supervised, "restart a*", &["api: stopped by an operator, and left so; name it, or `start` it"], 0);
    says(&supervised, "start api", &["api: up: generation 2 serves"], 0);
    supervised.stop();
}

#[test]
fn a_service_that_was_removed_and_drains_is_shown_and_not_counted_and_is_one_with_what_comes_back() {
    let (supervised, ports) = two("");
    let (_, answer) = support::in_flight(ports[0], std::time::Duration::from_secs(2));
    let api = http("api", ports[1], "");
    supervised.stage.write("services.toml", &(WAITS.to_owned() + &api));
    says(&supervised, "reload --no-wait", &["0 added, 1 removed"], 0);
    says(&supervised, "status", &["web…stopping…not in the file", "1/1 up"], 0);
    says(&supervised, "status web", &["draining"], 0);
    let (status, _) = json(&supervised, "status");
    assert_eq!((&status["services"][1]["removed"], &status["supervisor"]["up"]), (&true.into(), &1.into()));
    supervised.stage.write("services.toml", &(WAITS.to_owned() + &api + &http("web", ports[0], "")));
    says(&supervised, "reload", &["1 added, 0 removed", "web: up: generation 2 serves"], 0);
    let (status, _) = json(&supervised, "status");
    let services = status["services"].as_array().unwrap();
    assert_eq!(services.len(), 2, "{status:#}");
    assert_eq!((&services[1]["name"], services[1].get("removed")), (&"web".into(), None));
    assert_eq!(services[1]["draining"].as_array().unwrap().len(), 1, "{status:#}");
    assert!(answer.join().unwrap().is_ok());
    supervised.stop();
}

#[test]
fn restart_waits_for_the_outcome_and_shows_the_way() {
    let (supervised, ports) = two("");
    let wanted =
        ["web generation=1 asked to stop", "web generation=2 ready after", "web: up: generation 2 serves"];
    says(&supervised, "restart web", &wanted, 0);
    assert_eq!((supervised.get(ports[0]).generation(), supervised.get(ports[1]).generation()), (2, 1));
    supervised.wait_for("restart web: asked for by user …, pid ");
    says(&supervised, "restart a* w?b", &["api: up: generation 2", "web: up: generation 3"], 0);
    let (reply, code) = json(&supervised, "restart");
    assert_eq!((&reply["ok"], reply["services"].as_array().unwrap().len(), code), (&true.into(), 2, 0));
    says(&supervised, "restart --no-wait web", &["web: ordered"], 0);
    supervised.wait_answer(ports[0], 5);
    says(&supervised, "restart wbe", &["no service matches \"wbe\""], 4);
    supervised.stop();
}

/// `BOOTSTRAP_SELECT=web bootstrap -c services.toml restart`.
#[test]
fn the_selector_of_the_clients_environment_is_heard() {
    let (mut supervised, ports) = two("");
    let select = |supervised: &mut Supervised, value: &str| {
        let stage = std::mem::replace(&mut supervised.stage, Stage::new());
        supervised.stage = stage.env("BOOTSTRAP_SELECT", value);
    };
    select(&mut supervised, "web");
    says(&supervised, "restart", &["web: up: generation 2"], 0);
    assert_eq!(supervised.get(ports[1]).generation(), 1);
    says(&supervised, "restart api", &["api: up: generation 2"], 0);
    select(&mut supervised, "w*, wbe");
    says(&supervised, "restart", &["no service matches \"wbe\""], 4);
    assert_eq!(supervised.get(ports[0]).generation(), 2);
    supervised.stop();
}

#[test]
fn a_restart_that_fails_is_told_and_the_old_program_serves() {
    for (order, wanted, code) in [
        ("start-first", "web: the restart failed; generation 1 serves on: generation 2 …exit code 1", 5),
        (
            "stop-first",
            "web: the restart failed; what ran before serves, as generation 3: generation 2 …exit code 1",
            5,
        ),
    ] {
        let port = free_port();
        let stage = Stage::new();
        let good = format!("#!/bin/sh\nexec {} \"$@\"\n", support::example("http"));
        let program = stage.write("server", &good);
        let executable = || {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        executable();
        let more = format!("ready = \"pipe\"\nrestart_order = \"{order}\"");
        let config =
            WAITS.to_owned() + &service("web", port, &[program.to_str().unwrap(), "--name", "web"], &more);
        let supervised = stage.start(&config, &["web"]);
        supervised.wait_for(" web generation=1 … ready after");
        supervised.stage.write("server", "#!/bin/sh\nexit 1\n");
        executable();
        says(&supervised, "restart web", &[wanted], code);
        assert!(get(port, "/").is_ok());
        let (status, _) = json(&supervised, "status web");
        assert_eq!(status["services"][0]["restarts"]["failed"], 1);
        assert!(
            status["services"][0]["last_failure"].as_str().unwrap().contains("exit code 1"),
            "{status:#}"
        );
        says(&supervised, "status web", &["  last failure …ms ago: generation 2 … exit code 1 …"], 0);
        // In the table as well, until one succeeds.
        let note = "the last restart failed: see `status web`";
        assert_eq!(status["services"][0]["restart_failed"], true, "{status:#}");
        says(&supervised, "status", &[&format!("web …up …{note}")], 0);
        supervised.stage.write("server", &good);
        executable();
        if order == "start-first" {
            says(&supervised, "restart web", &["web: up"], 0);
        } else {
            says(&supervised, "stop web", &["web: stopped"], 0);
            says(&supervised, "start web", &["web: up"], 0);
        }
        let (status, _) = json(&supervised, "status web");
        assert_eq!(status["services"][0].get("restart_failed"), None, "{status:#}");
        assert!(!command(&supervised, "status").0.contains(note));
        supervised.stop();
    }
}

#[test]
fn what_does_not_come_in_time_ends_with_six_and_goes_on() {
    let port = free_port();
    let slow = rude("slow", port, &["--mute"], "handover_timeout = \"20s\"");
    let supervised = Supervised::start(&(WAITS.to_owned() + &slow), &["slow"]);
    supervised.wait_for(" slow generation=1 … ready after");
    says(
        &supervised,
        "restart --timeout 50ms slow",
        &["not known after 50ms what came of it; it goes on"],
        6,
    );
}

/// Whoever may write a config is not to write to the terminal of whoever looks.
#[test]
fn no_terminal_takes_an_order_from_the_path_of_a_socket() {
    let stage = Stage::new();
    let path = format!("{}/\\u001B[31m.sock", stage.dir().display());
    let listen = format!("listen = \"unix:{path}\"");
    let config = http("web", free_port(), "");
    let line = config.lines().find(|line| line.starts_with("listen")).unwrap().to_owned();
    let supervised = stage.start(&config.replace(&line, &listen), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    for words in [&["status"][..], &["status", "web"]] {
        let output = supervised.stage.run(&[&["-c", "services.toml"], words].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(words.len() == 1 || text.contains("/\\u{1b}[31m.sock"), "{text}");
    }
    supervised.stop();
}

#[test]
fn stop_start_hold_and_release() {
    let (supervised, ports) = two("");
    says(&supervised, "stop web", &["web: stopped"], 0);
    assert!(get(ports[0], "/").is_err(), "clients are refused");
    says(&supervised, "status web", &["web: stopped"], 3);
    says(&supervised, "status", &["web…stopped", "api…up"], 3);
    says(&supervised, "wait --timeout 10s web", &["web: stopped"], 3);
    says(&supervised, "start web", &["web: up: generation 2 serves"], 0);
    says(&supervised, "hold web", &["web: held"], 0);
    says(&supervised, "status web", &["web: held"], 3);
    let left = "web: held by an operator, and left so; `release` starts it";
    says(&supervised, "restart web", &["web: held"], 5);
    says(&supervised, "restart", &[left, "api: up: generation 2 serves"], 0);
    let client = std::thread::spawn(move || get(ports[0], "/"));
    says(&supervised, "release web", &["web: up: generation 3 serves"], 0);
    assert_eq!(client.join().unwrap().unwrap().generation(), 3, "who came meanwhile has waited");
    says(&supervised, "wait", &["web: up", "api: up"], 0);
    says(&supervised, "stop", &["web: stopped", "api: stopped"], 0);
    let (reply, code) = json(&supervised, "start");
    assert_eq!((&reply["ok"], code), (&true.into(), 0));
    supervised.stop();
}

#[test]
fn a_signal_reaches_the_main_process() {
    let (supervised, _) = two("restart = \"always\"");
    let pid = supervised.pid_of("web", 1);
    says(&supervised, "signal KILL web", &["web: sent to 1 process"], 0);
    eventually("it has ended", || !pid.is_alive());
    supervised.wait_for(" web generation=2 … ready after");
    let (status, _) = json(&supervised, "status web");
    assert_eq!(status["services"][0]["restarts"]["crash"], 1);
    assert!(
        status["services"][0]["last_exit"]["message"].as_str().unwrap().contains("SIGKILL"),
        "{status:#}"
    );
    says(&supervised, "signal NOSUCH web", &["no such signal"], 2);
    supervised.stop();
}

/// A line of its own in an argument looked like what came of the order, and more than that reached the terminal.
#[test]
fn no_control_character_of_a_command_line_is_printed_by_a_command_that_waits() {
    let config = "[[service]]\nname = 'a'\ncommand = ['sh', '-c', 'sleep 60', \"\\na: up\\u001b[31m\"]\n";
    let supervised = Supervised::start(config, &["a"]);
    supervised.wait_for(" a generation=1 … ready");
    let (said, _) = command(&supervised, "restart a");
    assert!(said.contains("\\na: up\\u{1b}[31m"), "{said:?}");
    assert!(!said.contains('\u{1b}') && !said.lines().any(|line| line == "a: up"), "{said:?}");
    supervised.stop();
}

#[test]
fn events_are_followed_as_json_lines() {
    use std::process::{Command, Stdio};
    let (supervised, _) = two("");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .args(["-c", "services.toml", "events", "web", "--runtime-dir"])
        .arg(supervised.stage.dir().join("run"))
        .current_dir(supervised.stage.dir())
        .env_remove("BOOTSTRAP_SELECT")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let log = Log::of(child.stdout.take().unwrap());
    // Until it follows, nothing is told.
    eventually("it follows", || {
        let _ = command(&supervised, "restart web");
        !log.lines().is_empty()
    });
    says(&supervised, "restart", &["api: up"], 0);
    let ready = log.wait(0, "\"event\":\"ready\"").expect("it is told");
    let event: Value = serde_json::from_str(&ready).unwrap();
    let (at, generation) = (event["time"].as_str().unwrap(), &event["generation"]);
    // Whoever looks for it in the log finds it there.
    supervised.wait_for(&format!("{at} INFO web generation={generation} … ready after"));
    supervised.signal(SIGUSR2);
    supervised.wait_for(" bootstrap pid= … is now");
    let before = log.lines().len();
    eventually("it follows the next program", || {
        let _ = command(&supervised, "restart web");
        log.lines().len() > before
    });
    supervised.signal(SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(0), "the end of the supervisor is the end of the events");
    log.wait_end();
    let last = log.lines().pop().unwrap_or_default();
    assert!(last.contains("\"event\":\"stopped\""), "it is told up to the end: {last}");
    for line in log.lines() {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["service"], "web", "{line}");
        is_valid(&event);
        is_valid(&serde_json::json!({ "reply": "event", "event": event }));
    }
}

#[test]
fn a_supervisor_that_is_not_there_is_not_reachable() {
    let (mut supervised, _) = two("");
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    for words in ["status", "restart web", "plan", "events", "wait", "signal HUP", "reload"] {
        says(&supervised, words, &["the supervisor is not reachable: …/run/control: Connection refused"], 7);
    }
}

#[test]
fn an_answer_that_nobody_can_read_is_a_failure() {
    let (mut supervised, _) = two("");
    let stage = std::mem::replace(&mut supervised.stage, Stage::new());
    supervised.stage = stage.through(&["sh", "-c", "exec \"$0\" \"$@\" >/dev/full"]);
    for words in ["status", "status --json", "plan", "restart web"] {
        says(&supervised, words, &["cannot write to stdout: No space left"], 1);
    }
}

#[test]
fn colour_is_for_terminals() {
    let (supervised, _) = two("");
    let (said, _) = command(&supervised, "status");
    assert!(!said.contains('\u{1b}'), "{said}");
    let (said, _) = command(&supervised, "status --color always");
    assert!(said.contains("\u{1b}[32mup\u{1b}[0m"), "{said}");
    supervised.stop();
}

/// Every line that is told over a whole story is as the schema says.
#[test]
fn replies_are_as_their_schema_says() {
    let (supervised, _) = two("");
    let mut wire = Wire::to(&supervised);
    for request in [
        "\"version\"",
        "\"status\"",
        "\"plan\"",
        "\"explode\"",
        "\"stop\",\"services\":[\"nobody\"]",
        "\"signal\",\"signal\":18",
        "\"restart\"",
    ] {
        let line = format!("{{\"version\":1,\"request\":{request}}}");
        let reply = wire.ask(request);
        is_valid(&reply);
        assert_eq!(reply["version"], 1, "{line}");
    }
    wire.send("{\"version\":1,\"id\":3,\"request\":\"restart\",\"wait\":true}");
    loop {
        let reply = wire.reply();
        is_valid(&reply);
        assert_eq!(reply["id"], 3);
        if reply["reply"] == "done" {
            break;
        }
    }
    supervised.stop();
}

/// Nobody serves, and the table says why.
#[test]
fn status_tells_why_a_service_is_down() {
    let down = |name: &str, more: &str| {
        format!("[[service]]\nname = \"{name}\"\nhandshake = \"none\"\nready = \"started\"\n{more}\n")
    };
    let sleeps = "command = \"sleep 600\"";
    let config = [
        WAITS.to_owned(),
        down("lost", "command = \"no-such-program\""),
        down("nowhere", &format!("{sleeps}\ndirectory = \"missing\"")),
        down("bare", &format!("{sleeps}\nenv_file = \"missing.env\"")),
        down("exits", "command = [\"sh\", \"-c\", \"exit 3\"]"),
        "[[service]]\nname = \"late\"\ncommand = \"sleep 600\"\nhandshake = \"systemd\"\nready = \"notify\"\n\
         ready_timeout = \"200ms\"\n"
            .into(),
    ];
    let supervised = Stage::new().launch(&config.concat());
    for name in ["lost", "nowhere", "bare", "exits", "late"] {
        supervised.wait_for(&format!(" {name} generation=1 … stays down"));
    }
    supervised.wait_for(" late generation=1 … was ended by SIGTERM …");
    let wanted = [
        "lost…crashed…could not be started: no program \"no-such-program\" in PATH",
        "nowhere…crashed…could not be started: directory missing: No such file or directory",
        "bare…crashed…could not be started: env_file missing.env: No such file or directory",
        "exits…crashed…ended with exit code 3 …ago",
        "late…crashed…not ready after 200ms",
    ];
    says(&supervised, "status", &wanted, 3);
    assert!(!command(&supervised, "status").0.contains("SIGTERM …ago"), "{supervised}");
    supervised.stop();
}

/// What an operator had sent is no mystery, and who said that it leaves was not asked.
#[test]
fn an_end_is_told_with_who_wanted_it() {
    let config = WAITS.to_owned()
        + &http("web", free_port(), "ready = \"pipe\"\n")
        + &rude("quits", free_port(), &["--say", "failed ", "--exit", "1"], "");
    let supervised = Supervised::start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.wait_for(" quits generation=1 … wrote \"failed \"");
    supervised.wait_for(" quits generation=1 … ended with exit code 1 … after it said so");
    says(&supervised, "signal KILL web", &["web: sent to 1 process"], 0);
    supervised
        .wait_for(" web generation=1 … was ended by SIGKILL … after its start, which an operator had sent");
    assert!(!supervised.said("nobody had asked"), "{supervised}");
    supervised.stop();
}

/// It told the addresses of the file alone, at which nobody answered.
#[test]
fn status_tells_where_clients_are_served_after_a_move_that_has_failed() {
    let (old, new) = (free_port(), free_port());
    let keys = "restart_order = \"start-first\"\nready = \"pipe\"";
    let supervised = Supervised::start(&http("web", old, keys), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.stage.write("services.toml", &service("web", new, &["false"], keys));
    says(&supervised, "reload", &["web: the restart failed; generation 1 serves on …"], 5);
    let address = format!("tcp://127.0.0.1:{old}");
    says(&supervised, "status web", &[&format!("  accepts at   {address}, until it is restarted")], 0);
    says(&supervised, "status", &[&format!("web …up … accepts at {address}")], 0);
    let (status, _) = json(&supervised, "status web");
    assert_eq!(status["services"][0]["runs"][0]["accepts_at"][0], *address, "{status:#}");
    assert!(get(old, "/").is_ok());
    supervised.stop();
}
