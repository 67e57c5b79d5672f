//! The control socket: who may speak, what is answered, and that nobody who speaks can do harm.

mod support;

use bootstrap::limits::{CONTROL_ANSWER_BYTES, CONTROL_EVENT_BYTES};
use nix::sys::signal::Signal::{SIGHUP, SIGKILL, SIGUSR1};
use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;
use support::{Stage, Supervised, Wire, eventually, free_port, http};

/// Two services that are up.
fn two() -> (Supervised, u16) {
    let port = free_port();
    let config = http("web", port, "ready = \"pipe\"") + &http("api", free_port(), "ready = \"pipe\"");
    let supervised = Supervised::start(&config, &["web", "api"]);
    for service in ["web", "api"] {
        supervised.wait_for(&format!(" {service} generation=1 … ready after"));
    }
    (supervised, port)
}

#[test]
fn requests_are_answered_one_after_the_other() {
    let (supervised, _) = two();
    let mut wire = Wire::to(&supervised);
    wire.send(
        "{\"version\":1,\"id\":5,\"request\":\"version\"}\n{\"version\":1,\"id\":6,\"request\":\"plan\"}",
    );
    let version = wire.reply();
    assert_eq!((&version["reply"], &version["id"]), (&"version".into(), &5.into()));
    assert_eq!(version["pid"], supervised.process().0);
    assert_eq!(version["rights"], "full");
    let plan = wire.reply();
    assert_eq!((&plan["id"], &plan["changes"]), (&6.into(), &serde_json::json!([])));
    let status = wire.ask("\"status\",\"services\":[\"w*\"]");
    assert_eq!(status["services"][0]["name"], "web");
    assert_eq!(status["services"][0]["runs"][0]["pid"], supervised.pid_of("web", 1).0);
    assert_eq!(status["services"].as_array().unwrap().len(), 1);
    supervised.stop();
}

#[test]
fn what_is_no_request_is_told_why_and_the_next_one_is_heard() {
    let (supervised, _) = two();
    let mut wire = Wire::to(&supervised);
    for (line, code) in [
        ("status", "bad-request"),
        ("{\"version\":1,\"request\":\"explode\"}", "bad-request"),
        ("{\"version\":2,\"request\":\"status\"}", "version"),
        ("{\"version\":1,\"request\":\"stop\",\"services\":[\"\"]}", "bad-request"),
        ("{\"version\":1,\"request\":\"signal\",\"signal\":99}", "bad-request"),
        ("{\"version\":1,\"request\":\"status\",\"services\":[\"wbe\"]}", "no-such-service"),
    ] {
        wire.send(line);
        assert_eq!(wire.reply()["code"], code, "{line}");
    }
    wire.stream().write_all(b"\xff\xfe\n").unwrap();
    assert_eq!(wire.reply()["code"], "bad-request");
    assert_eq!(wire.ask("\"plan\"")["reply"], "plan");
    supervised.stop();
}

/// `echo '{...}' | socat - UNIX:...` closes its side before it reads.
#[test]
fn a_client_that_has_said_all_is_answered() {
    let (supervised, _) = two();
    let mut wire = Wire::to(&supervised);
    wire.send("{\"version\":1,\"request\":\"version\"}");
    wire.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(wire.reply()["reply"], "version");
    assert_eq!(wire.line(), None);
    supervised.stop();
}

/// It was told of no services, and that the file had others.
#[test]
fn who_asks_before_the_sockets_are_bound_is_answered_when_they_are() {
    const SERVICES: usize = 300;
    for _ in 0..5 {
        let stage = Stage::new();
        let service = |number: usize| {
            let path = stage.path(&format!("{number}.sock"));
            format!(
                "[[service]]\nname = \"s-{number}\"\ncommand = [\"sleep\", \"60\"]\nlisten = \"unix:{path}\"\n"
            )
        };
        let config: String = (0..SERVICES).map(service).collect();
        let supervised = stage.launch(&config);
        let path = Wire::path(&supervised);
        let mut wire = None;
        eventually("it listens", || {
            wire = Wire::connect(&path).ok();
            wire.is_some()
        });
        let status = wire.unwrap().ask("\"status\"");
        assert_eq!(status["services"].as_array().map(Vec::len), Some(SERVICES), "{supervised}");
        assert_eq!(status["supervisor"]["config_state"], "applied", "{supervised}");
    }
}

#[test]
fn a_second_supervisor_is_refused_by_name_and_pid_before_it_binds_anything() {
    let (supervised, port) = two();
    let other = free_port();
    supervised.stage.write("other.toml", &http("other", other, ""));
    let second = supervised.stage.run(&["-c", "other.toml"]);
    let said = String::from_utf8_lossy(&second.stderr);
    let expected = format!("held by another bootstrap, pid {}, with ", supervised.process().0);
    assert!(second.status.code() == Some(1) && said.contains(&expected), "{said}");
    assert!(said.contains("services.toml; give one of them another `runtime_dir`"), "{said}");
    assert!(!said.contains("holds"), "{said}");
    let second = supervised.stage.run(&["-c", "other.toml", "--log-format", "json"]);
    let said = String::from_utf8_lossy(&second.stderr);
    let line: serde_json::Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((&line["event"], &line["level"]), (&"not-started".into(), &"ERROR".into()), "{said}");
    assert!(line["message"].as_str().unwrap().contains(&expected), "{said}");
    assert_eq!(supervised.get(port).generation(), 1);
    supervised.stop();
}

#[test]
fn what_a_killed_supervisor_left_is_no_obstacle() {
    let (mut supervised, _) = two();
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    assert!(Wire::path(&supervised).exists() && supervised.stage.dir().join("run/lock").exists());
    supervised.stage.write("other.toml", "[[service]]\nname = 'a'\ncommand = 'true'");
    let second = supervised.stage.run(&["-c", "other.toml"]);
    assert_eq!(second.status.code(), Some(0), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(!Wire::path(&supervised).exists(), "removed at the end");
}

#[test]
fn a_socket_that_was_removed_is_made_anew_and_the_directory_too() {
    let (supervised, _) = two();
    let before = Wire::to(&supervised);
    fs::remove_file(Wire::path(&supervised)).unwrap();
    supervised.wait_for("removed the control socket …it is there again");
    assert_eq!(Wire::to(&supervised).ask("\"version\"")["reply"], "version");
    let run = supervised.stage.dir().join("run");
    // By whoever removes what is old; another supervisor would take our servers for those of one that was killed.
    fs::remove_file(run.join("lock")).unwrap();
    eventually("it is locked again", || run.join("lock").exists());
    let second = supervised.stage.run(&["-c", "services.toml"]);
    assert_eq!(second.status.code(), Some(1), "{}", String::from_utf8_lossy(&second.stderr));
    fs::rename(&run, supervised.stage.dir().join("gone")).unwrap();
    eventually("it is there again", || Wire::connect(&Wire::path(&supervised)).is_ok());
    assert_eq!(Wire::to(&supervised).ask("\"version\"")["reply"], "version");
    let mode = |path: &str| fs::metadata(supervised.stage.dir().join(path)).unwrap().mode() & 0o777;
    assert_eq!((mode("run"), mode("run/control")), (0o700, 0o600));
    let second = supervised.stage.run(&["-c", "services.toml"]);
    assert_eq!(second.status.code(), Some(1), "the lock is held again");
    let mut before = before;
    assert_eq!(before.ask("\"version\"")["reply"], "version", "who is connected stays so");
    supervised.stop();
}

#[test]
fn another_runtime_directory_is_for_the_next_start_and_one_that_is_put_back_is_no_news() {
    let port = free_port();
    let config = http("web", port, "");
    let supervised = Supervised::start(&config, &["web"]);
    let moved =
        format!("[bootstrap]\nruntime_dir = {:?}\n{config}", supervised.stage.dir().join("elsewhere"));
    for (times, text) in [(1, &moved), (2, &config)] {
        supervised.stage.write("services.toml", text);
        supervised.signal(SIGHUP);
        eventually("it is applied", || supervised.count("reload: config applied") == times);
        supervised.wait_for("`runtime_dir` has changed; the control socket stays where it is");
    }
    assert_eq!(supervised.count("the control socket stays where it is"), 1, "{supervised}");
    supervised.stop();
}

#[test]
fn a_runtime_directory_that_others_can_write_to_is_refused() {
    let stage = Stage::new();
    let open = stage.dir().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    stage.write("a.toml", &format!("[bootstrap]\nruntime_dir = {open:?}\n{}", http("web", free_port(), "")));
    let output = stage.run(&["-c", "a.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("others may write to it (mode 0777); chmod go-w"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_line_at_the_limit_is_read_and_one_past_it_is_not() {
    let (supervised, _) = two();
    let limit = bootstrap::limits::CONTROL_LINE_BYTES;
    let padded = |len: usize| {
        let (start, end) = ("{\"version\":1,\"request\":", "\"plan\"}");
        format!("{start}{}{end}", " ".repeat(len - start.len() - end.len()))
    };
    let mut wire = Wire::to(&supervised);
    wire.send(&padded(limit));
    assert_eq!(wire.reply()["reply"], "plan");
    wire.send(&padded(limit + 1));
    assert_eq!(wire.reply()["code"], "too-long");
    assert_eq!(wire.line(), None, "it is closed");
    supervised.stop();
}

#[test]
fn a_client_that_sends_a_byte_a_second_is_cut_and_one_that_waits_is_not() {
    let (supervised, _) = two();
    let mut follower = Wire::to(&supervised);
    assert_eq!(follower.ask("\"events\"")["reply"], "following");
    let silent = Wire::to(&supervised);
    let mut slow = Wire::to(&supervised);
    let request = b"{\"version\":1,\"request\":\"version\"}\n";
    // The pause between two bytes is a wait for an answer.
    let reply = request.iter().find_map(|byte| {
        slow.stream().write_all(&[*byte]).unwrap();
        slow.line_within(Duration::from_secs(1))
    });
    assert!(reply.is_some_and(|line| line.contains("\"too-slow\"")), "it is cut before all was said");
    assert_eq!(slow.line(), None);
    assert_eq!(silent.rest(), "", "a silent client is closed without a word");
    supervised.signal(SIGHUP);
    assert_eq!(follower.reply()["event"]["event"], "reloaded");
    supervised.stop();
}

#[test]
fn a_follower_that_does_not_read_loses_events_and_is_told_how_many() {
    let (mut supervised, _) = two();
    let mut follower = Wire::to(&supervised);
    assert_eq!(follower.ask("\"events\"")["reply"], "following");
    let memory = supervised.process().heap_kib();
    // Each is a few hundred bytes: more than the socket and the queue take.
    let mut reloads = 0;
    for round in 0..2000 {
        supervised.forget();
        supervised.signal(SIGHUP);
        supervised.wait_for("config applied");
        reloads = round + 1;
    }
    assert!(supervised.process().heap_kib() < memory + 4096, "what waits is bounded");
    let (mut told, mut lost) = (0, 0);
    while told + lost < reloads {
        let reply = follower.reply();
        match reply["reply"].as_str() {
            Some("event") => told += 1,
            Some("lost") => lost += reply["events"].as_u64().unwrap(),
            other => panic!("{other:?}: {reply}"),
        }
    }
    assert!(lost > 0 && told > 100, "{told} told, {lost} lost");
    assert_eq!(told + lost, reloads, "none is missing from the count");
    supervised.stop();
}

/// What waits for so many was as much as may wait of answers: nobody got a status any more, and the metrics failed.
#[test]
fn followers_that_do_not_read_take_nobody_the_room_for_an_answer() {
    let (mut supervised, _) = two();
    let followers: Vec<Wire> = (0..CONTROL_ANSWER_BYTES / CONTROL_EVENT_BYTES + 8)
        .map(|_| {
            let mut follower = Wire::to(&supervised);
            assert_eq!(follower.ask("\"events\"")["reply"], "following");
            follower
        })
        .collect();
    // Each is a few hundred bytes: more than the sockets and the queues take.
    for _ in 0..2000 {
        supervised.forget();
        supervised.signal(SIGHUP);
        supervised.wait_for("config applied");
    }
    assert_eq!(Wire::to(&supervised).ask("\"status\"")["reply"], "status");
    drop(followers);
    supervised.stop();
}

/// The answer is sent in pieces: what is not taken is kept, and the rest of it comes behind.
#[test]
fn a_large_answer_comes_whole_to_whoever_takes_it_late_and_keeps_nobody_waiting() {
    const SERVICES: usize = 3000;
    let (long, first) = (
        "x".repeat(50),
        http("first", free_port(), "ready = \"delay\"\nready_delay = \"90s\"\nready_timeout = \"100s\""),
    );
    let waits =
        |index| format!("[[service]]\nname = 's-{index}-{long}'\ncommand = 'true'\nrequires = ['first']\n");
    let all: String = (0..SERVICES).map(waits).collect();
    let supervised = Supervised::start(&(first + &all), &[]);
    // Three thousand lines come at once after this one: some are lost where they are not read in time.
    supervised.wait_for(" bootstrap pid= … holds 1 socket for 3001 services");
    let mut late = Wire::to(&supervised);
    let request = "{\"version\":1,\"id\":9,\"request\":\"status\"}";
    late.send(request);
    for _ in 0..2 {
        // It goes in the midst of its answer.
        let mut goes = Wire::to(&supervised);
        goes.send(request);
        assert_eq!(Wire::to(&supervised).ask("\"version\"")["reply"], "version", "nobody takes it yet");
    }
    let line = late.line().expect("an answer");
    assert!(line.len() > 600_000, "{} bytes are more than the kernel keeps", line.len());
    let status: serde_json::Value = serde_json::from_str(&line).unwrap();
    let services = status["services"].as_array().unwrap();
    let waits = |service: &&serde_json::Value| service["waits_for"][0] == "first";
    assert_eq!(services.iter().filter(waits).count(), SERVICES);
    assert!(services.windows(2).all(|two| two[0]["name"].as_str() < two[1]["name"].as_str()));
    assert_eq!((&status["id"], late.ask("\"version\"")["reply"].as_str()), (&9.into(), Some("version")));
    supervised.stop();
}

/// The ends of all old processes were dealt with one after the other, each with the start of its successor, before any
/// client was heard: with a thousand services that took a second.
#[test]
fn a_client_is_answered_in_the_midst_of_a_restart_of_everything() {
    const SERVICES: usize = 300;
    let service =
        |index| format!("[[service]]\nname = 's-{index}'\ncommand = ['sleep', '1000']\nready = 'started'\n");
    let all: String = (0..SERVICES).map(service).collect();
    let supervised = Supervised::start(&format!("[bootstrap]\nstart_concurrency = 1000\n{all}"), &["s-0"]);
    let mut wire = Wire::to(&supervised);
    // How many services have come to this generation, and how many of them are up.
    let mut of_generation = |generation: u64| {
        let status = wire.ask("\"status\"");
        let services = status["services"].as_array().unwrap_or_else(|| panic!("{status}")).iter();
        let come: Vec<_> = services.filter(|service| service["generation"] == generation).collect();
        (come.len(), come.iter().filter(|service| service["state"] == "up").count())
    };
    eventually("all are up", || of_generation(1).1 == SERVICES);
    supervised.signal(SIGUSR1);
    let mut in_the_midst = 0;
    eventually("all are up again", || {
        let (come, up) = of_generation(2);
        in_the_midst += usize::from(0 < come && come < SERVICES);
        up == SERVICES
    });
    assert!(in_the_midst > 0, "not before the last was started");
    supervised.stop();
}
