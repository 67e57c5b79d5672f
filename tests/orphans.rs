//! The supervisor is killed, and nobody else notices: the next one finds the servers and takes their sockets back.

mod support;

use nix::sys::signal::Signal::{SIGABRT, SIGHUP, SIGKILL, SIGTERM, SIGUSR1, SIGUSR2};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{
    Client, Load, Process, Stage, Supervised, einhorn, eventually, example, free_port, get, get_unix, http,
    in_flight, service,
};

/// A service whose server says when it serves, and its generation 1.
fn started(more: &str) -> (Supervised, u16, Process) {
    let port = free_port();
    let supervised = Supervised::start(&http("web", port, more), &["web"]);
    supervised.wait_answer(port, 1);
    let server = supervised.pid_of("web", 1);
    (supervised, port, server)
}

/// The supervisor is killed, and the next one takes its server over.
#[track_caller]
fn take_over(supervised: &mut Supervised) {
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=1 … adopted");
}

/// The file in which it is written down who runs.
fn records(supervised: &Supervised) -> PathBuf {
    supervised.stage.dir().join("run/records")
}

/// The runs in it that have not ended: how far each has come, and its generation.
fn written(supervised: &Supervised) -> Vec<(char, u64)> {
    let text = fs::read_to_string(records(supervised)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    // One that is just being written is seen at the next look.
    let of_two = |two: &[&str]| {
        let [head, record] = two else { return None };
        let record: serde_json::Value = serde_json::from_str(record).ok()?;
        Some((head.chars().next()?, record["generation"].as_u64()?))
    };
    lines.chunks(2).filter_map(of_two).filter(|(mark, _)| *mark != 'e').collect()
}

/// The handshake works as if nothing had been: the pipe is heard again.
#[track_caller]
fn hand_over(supervised: &mut Supervised, port: u16) {
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … answered \"success\"");
    supervised.wait_for(" web generation=1 … ended with exit code 0");
    supervised.wait_answer(port, 2);
}

#[test]
fn fifty_kills_under_load_fail_no_request_and_restart_nobody() {
    let (mut supervised, port, server) = started("");
    let sockets = |process: Process| {
        process.descriptors().iter().filter(|(_, what)| what.starts_with("socket:")).count()
    };
    let before = sockets(supervised.process());
    let mut descriptors = None;
    let load = Load::start("web", port, 2);
    for _ in 0..50 {
        take_over(&mut supervised);
        load.wait_requests(4);
        let now = supervised.process().descriptors().len();
        assert_eq!(*descriptors.get_or_insert(now), now, "{:?}", supervised.process().descriptors());
        // The server is nobody's child of ours, and there is none else.
        assert_eq!(supervised.offspring(), [server], "{supervised}");
        assert_eq!(supervised.process().children(), []);
    }
    let outcome = load.finish();
    outcome.must_be_perfect();
    assert_eq!(outcome.pids.iter().collect::<Vec<_>>(), [&server.0], "{outcome}");
    assert_eq!(sockets(supervised.process()), before, "{:?}", supervised.process().descriptors());
    hand_over(&mut supervised, port);
    supervised.stop();
}

/// As a panic does where nothing catches it.
#[test]
fn an_abort_is_no_worse_than_a_kill() {
    let (mut supervised, port, server) = started("");
    let load = Load::start("web", port, 1);
    supervised.signal(SIGABRT);
    supervised.wait_exit();
    assert!(server.is_alive());
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
    load.wait_requests(240);
    load.finish().must_be_perfect();
    assert_eq!(supervised.get(port).pid(), server.0);
    hand_over(&mut supervised, port);
    supervised.stop();
}

#[test]
fn clients_that_wait_are_taken_over_with_the_socket() {
    let port = free_port();
    let nobody = "ready = \"started\"\nhandshake = \"none\"";
    let config = service("web", port, &["sleep", "60"], nobody);
    let mut supervised = Supervised::start(&config, &["web"]);
    let mut waiting = Client::connect(port).unwrap();
    waiting.send("/").unwrap();
    take_over(&mut supervised);
    let config = http("web", port, "");
    supervised.stage.write("services.toml", &config);
    supervised.signal(SIGHUP);
    supervised.wait_answer(port, 2);
    assert_eq!(waiting.receive().unwrap().generation(), 2);
    supervised.stop();
}

/// The exit of a process that is not our child is known all the same, and the crash rule holds for it.
#[test]
fn an_adopted_server_that_dies_is_noticed_at_once_and_started_again() {
    let (mut supervised, port, server) = started("restart = \"always\"");
    take_over(&mut supervised);
    server.signal(SIGKILL);
    supervised.wait_for(" web generation=1 … was ended by SIGKILL … starting generation 2");
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn a_server_that_ended_in_between_is_told_and_replaced() {
    let (mut supervised, port, server) = started("");
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    server.signal(SIGKILL);
    eventually("it is gone", || !server.is_alive());
    supervised.start_again();
    supervised.wait_for(" web generation=1 … it has ended since");
    supervised.wait_answer(port, 1);
    assert_ne!(supervised.get(port).pid(), server.0);
    supervised.stop();
}

/// A number that came to mean another process is nobody of ours, and nothing happens to it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a process that is nobody's")]
fn another_process_under_the_same_number_is_left_alone() {
    let (mut supervised, port, server) = started("");
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    let records = records(&supervised);
    // Of another time than the server: what the kernel tells of it is as coarse as ten milliseconds.
    let tick = |pid: i64| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned()
    };
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    while tick(stranger.id().into()) == tick(server.0.into()) {
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    }
    let text = fs::read_to_string(&records).unwrap();
    let forged = text.replace(&format!(" {} ", server.0), &format!(" {} ", stranger.id()));
    assert_ne!(text, forged);
    fs::write(&records, forged).unwrap();
    server.signal(SIGKILL);
    eventually("it is gone", || !server.is_alive());
    supervised.start_again();
    supervised.wait_for(&format!(" web generation=1 pid={} … it has ended since", stranger.id()));
    supervised.wait_answer(port, 1);
    supervised.stop();
    assert_eq!(stranger.try_wait().unwrap(), None, "a stranger was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_drain_goes_on_under_the_next_supervisor_and_ends() {
    let (mut supervised, port, server) = started("");
    let (pid, answer) = in_flight(port, Duration::from_millis(1500));
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    let second = supervised.pid_of("web", 2);
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=1 … it was asked to leave, and finishes");
    supervised.wait_for(" web generation=2 … adopted");
    let answer = answer.join().unwrap().unwrap();
    assert_eq!((answer.pid(), pid), (server.0, server.0));
    supervised.wait_for(" web generation=1 … ended with exit code 0");
    assert_eq!(supervised.get(port).pid(), second.0);
    supervised.stop();
}

/// It was taken for one that accepts no more, and two accepted side by side.
#[test]
fn one_that_has_not_answered_yet_is_waited_for_by_the_next_supervisor() {
    let port = free_port();
    let rude = [&*example("rude"), "--answer", "success", "--pieces", "300ms"];
    let mut supervised = Supervised::start(&service("web", port, &rude, ""), &["web"]);
    supervised.wait_for(" web generation=1 … ready");
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … asked to stop accepting");
    supervised.kill_and_start_again();
    supervised
        .wait_for(" web generation=1 … it was asked to leave; its answer, or its end, is awaited for 10s");
    supervised.wait_for(" web generation=2 … started");
    // The supervisor before may have read a part of its answer.
    let is_quiet = ["answered \"success\"", "ended with exit code 0"]
        .iter()
        .any(|what| supervised.said(&format!(" web generation=1 … {what}")));
    assert!(is_quiet, "{supervised}");
    supervised.wait_for(" web generation=2 … ready");
    supervised.stop();
}

/// As one that serves and is asked by the next supervisor is: `orphans = "stop"` started the others beside it.
#[test]
fn one_that_is_asked_by_the_next_supervisor_is_waited_for_as_well() {
    let port = free_port();
    let rude = [&*example("rude"), "--answer", "success", "--pieces", "300ms"];
    let config = format!("[bootstrap]\norphans = \"stop\"\n{}", service("web", port, &rude, ""));
    let mut supervised = Supervised::start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready");
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=2 … started");
    assert!(supervised.said(" web generation=1 … answered \"success\""), "{supervised}");
    supervised.wait_for(" web generation=2 … ready");
    supervised.stop();
}

/// The config may have changed meanwhile: then it is a reload.
#[test]
fn what_has_changed_meanwhile_is_restarted_and_what_is_gone_is_stopped() {
    let (one, two) = (free_port(), free_port());
    let mut supervised =
        Supervised::start(&format!("{}{}", http("one", one, ""), http("two", two, "")), &["one", "two"]);
    supervised.wait_answer(one, 1);
    supervised.wait_answer(two, 1);
    let old = supervised.pid_of("two", 1);
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    supervised.stage.write("services.toml", &http("one", one, "env = { A = \"b\" }"));
    supervised.start_again();
    supervised.wait_answer(one, 2);
    supervised.wait_for(" two generation=1 … exit code 0");
    assert!(!old.is_alive());
    assert!(get(two, "/").is_err(), "its port is given up");
    supervised.stop();
}

/// It died of its own word: there was nobody who could have read it. Nobody was told that it was ready, or cut those whom it
/// still served.
#[test]
fn what_a_server_says_while_there_is_no_supervisor_is_heard_by_the_next() {
    let (stage, port) = (Stage::new(), free_port());
    let gate = stage.dir().join("gate");
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Open for both, so that nobody waits for a reader.
    let mut gate = fs::File::options().read(true).write(true).open(gate).unwrap();
    let script = format!("read line <gate; exec {} \"$@\"", example("http"));
    let config = service("web", port, &["sh", "-c", &script, "sh"], "ready = \"pipe\"");
    let mut supervised = stage.launch(&config);
    let server = supervised.pid_of("web", 1);
    let end = |supervised: &mut Supervised| {
        supervised.signal(SIGKILL);
        assert_eq!(supervised.wait_exit(), -9);
    };
    end(&mut supervised);
    gate.write_all(b"on\n").unwrap();
    supervised.wait_answer(port, 1);
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
    supervised.wait_for(" web generation=1 … ready");
    end(&mut supervised);
    let (_, answer) = in_flight(port, Duration::from_millis(500));
    server.signal(SIGUSR1);
    assert!(answer.join().unwrap().is_ok(), "it served to the end");
    eventually("it has ended", || !server.is_alive());
    gate.write_all(b"on\n").unwrap();
    supervised.start_again();
    supervised.wait_for(" web generation=1 … it has ended since");
    supervised.wait_answer(port, 1);
    supervised.stop();
}

/// It had said so to a socket that nobody had the other end of, and was ended at its `ready_timeout`, while it served.
#[test]
fn a_server_that_became_ready_while_there_was_no_supervisor_is_left_alone_however_it_says_so() {
    let (stage, port) = (Stage::new(), free_port());
    let server = format!(
        "while ! [ -e gate ]; do sleep 0.01; done; LISTEN_PID=$$; export LISTEN_PID; exec {} \"$@\"",
        example("systemd")
    );
    let more = "handshake = \"systemd\"\nready = \"notify\"\nready_timeout = \"3s\"";
    let mut supervised = stage.launch(&service("web", port, &["sh", "-c", &server, "sh"], more));
    let server = supervised.pid_of("web", 1);
    supervised.signal(SIGKILL);
    assert_eq!(supervised.wait_exit(), -9);
    supervised.stage.write("gate", "");
    eventually("it serves", || get(port, "/").is_ok());
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
    supervised.wait_for(" web generation=1 … ready after");
    assert!(server.is_alive(), "{supervised}");
    supervised.stop();
}

/// Both were generation 1: the next supervisor knew one of them, and the other was nobody's.
#[test]
fn one_that_was_removed_and_comes_back_while_it_drains_has_other_generations() {
    let (other, port) = (http("other", free_port(), ""), free_port());
    let with = other.clone() + &http("web", port, "");
    let mut supervised = Supervised::start(&with, &["other", "web"]);
    supervised.wait_answer(port, 1);
    let (_, answer) = in_flight(port, Duration::from_millis(2500));
    let old = supervised.pid_of("web", 1);
    for (config, said) in [(&other, " web generation=1 … answered"), (&with, " web generation=2 … started")]
    {
        supervised.stage.write("services.toml", config);
        supervised.signal(SIGHUP);
        supervised.wait_for(said);
    }
    supervised.wait_answer(port, 2);
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=1 … adopted: it was asked to leave");
    supervised.wait_for(" web generation=2 … adopted");
    assert!(answer.join().unwrap().is_ok());
    eventually("it has ended", || !old.is_alive());
    supervised.stop();
}

#[test]
fn orphans_may_be_stopped_or_left_alone() {
    let (mut supervised, port, server) = started("");
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    let load = Load::start("web", port, 1);
    let config = |orphans: &str| format!("[bootstrap]\norphans = \"{orphans}\"\n{}", http("web", port, ""));
    supervised.stage.write("services.toml", &config("stop"));
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted, and asked to leave");
    supervised.wait_answer(port, 2);
    supervised.wait_for(" web generation=1 … ended with exit code 0");
    load.wait_requests(240);
    load.finish().must_be_perfect();
    assert!(!server.is_alive());

    let second = supervised.pid_of("web", 2);
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    supervised.stage.write("services.toml", &config("ignore"));
    supervised.start_again();
    supervised.wait_for(&format!(" web generation=2 pid={} … left alone", second.0));
    // Its address is not ours to take.
    assert_eq!(supervised.wait_exit(), 1);
    assert_eq!(get(port, "/").unwrap().pid(), second.0);

    // A start that was refused has forgotten nobody.
    supervised.stage.write("services.toml", &config("adopt"));
    supervised.start_again();
    supervised.wait_for(&format!(" web generation=2 pid={} … adopted", second.0));
    assert_eq!(supervised.get(port).pid(), second.0);
    supervised.stop();
}

/// An adopted server is one like any other: it can be left to the next program, and to the next supervisor after that.
#[test]
fn an_upgrade_and_a_kill_follow_each_other() {
    let (mut supervised, port, server) = started("");
    for _ in 0..3 {
        supervised.kill_and_start_again();
        supervised.wait_for(" web generation=1 … adopted");
        supervised.signal(SIGUSR2);
        supervised.wait_for(" bootstrap pid= … is now");
        assert_eq!(supervised.get(port).pid(), server.0);
    }
    hand_over(&mut supervised, port);
    supervised.stop();
}

#[test]
fn a_unix_socket_keeps_its_path_and_its_clients() {
    let stage = support::Stage::new();
    let path = stage.path("web.sock");
    let command = support::example("http");
    let config =
        format!("[[service]]\nname = \"web\"\nlisten = [\"unix:{path}\"]\ncommand = [{command:?}]\n");
    let mut supervised = stage.start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready");
    take_over(&mut supervised);
    // Somebody cleans up while there is no supervisor.
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    fs::remove_file(&path).unwrap();
    supervised.start_again();
    supervised.wait_for(" web generation=1 … adopted");
    supervised.wait_for(" web somebody had removed the path of … it is there again");
    assert_eq!(get_unix(Path::new(&path), "/").unwrap().generation(), 1);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … ready");
    assert_eq!(get_unix(Path::new(&path), "/").unwrap().generation(), 2);
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0);
    assert!(!Path::new(&path).exists());
}

/// A mistake in an address once made the next supervisor forget whom the last one had left: they held the addresses against
/// all who came later, and those without a socket were started a second time.
#[test]
fn a_start_that_cannot_bind_leaves_everybody_to_the_next_one() {
    let stage = support::Stage::new();
    let (path, log) = (stage.path("front.sock"), stage.path("job.log"));
    let front = service("front", 0, &[&support::example("http")], "ready = \"pipe\"");
    let front = front.replacen("tcp://127.0.0.1:0", &format!("unix:{path}"), 1);
    let job = format!(
        "[[service]]\nname = \"job\"\ncommand = [\"sh\", \"-c\", \"while :; do date; sleep 0.1; done\"]\n\
         ready = \"started\"\nstdout = \"file:{log}\"\n"
    );
    let port = free_port();
    let good = format!("{front}{job}{}", http("web", port, ""));
    let mut supervised = stage.start(&good, &["front", "web", "job"]);
    supervised.wait_answer(port, 1);
    let served: Vec<Process> =
        ["front", "web", "job"].map(|name| supervised.pid_of(name, 1)).into_iter().collect();
    let typo = http("typo", 80, "").replacen("127.0.0.1", "192.0.2.7", 1);
    supervised.stage.write("services.toml", &format!("{good}{typo}"));
    supervised.kill_and_start_again();
    assert_eq!(supervised.wait_exit(), 1);
    supervised.wait_for(
        "1 address cannot be bound; nothing was started; the next start finds what a killed supervisor left: 3 processes",
    );
    assert_eq!(get_unix(Path::new(&path), "/").unwrap().generation(), 1);
    supervised.stage.write("services.toml", &good);
    supervised.start_again();
    for (name, process) in ["front", "web", "job"].into_iter().zip(&served) {
        supervised.wait_for(&format!(" {name} generation=1 … adopted"));
        assert!(process.is_alive(), "{supervised}");
    }
    assert_eq!(get(port, "/").unwrap().generation(), 1);
    assert_eq!(get_unix(Path::new(&path), "/").unwrap().generation(), 1);
    let size = || fs::metadata(&log).unwrap().len();
    let before = size();
    eventually("its lines are written", || size() > before);
    supervised.stop();
    assert!(!Path::new(&path).exists());
}

/// As in many containers: root is not allowed to look into a process of another user, and so cannot have its sockets back.
#[test]
fn whose_sockets_are_out_of_reach_is_named_with_the_right_that_is_lacking() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run: only root starts servers as others");
        return;
    }
    let stage = support::Stage::new().through(&[
        "setpriv",
        "--bounding-set=-sys_ptrace",
        "--inh-caps=-sys_ptrace",
        "--",
    ]);
    let port = free_port();
    let mut supervised = stage.start(&http("web", port, "user = \"nobody\""), &["web"]);
    supervised.wait_answer(port, 1);
    let server = supervised.pid_of("web", 1);
    supervised.kill_and_start_again();
    assert_eq!(supervised.wait_exit(), 1);
    supervised.wait_for(&format!(
        " web generation=1 pid={} left behind by a supervisor that was killed; its sockets cannot be taken back: \
         Operation not permitted; that takes CAP_SYS_PTRACE",
        server.0
    ));
    assert!(server.is_alive(), "{supervised}");
    server.signal(SIGKILL);
    supervised.start_again();
    supervised.wait_answer(port, 1);
    supervised.stop();
}

/// What is left of the group after the main process has ended is waited for, though none of it is our child.
#[test]
fn the_rest_of_a_group_is_waited_for() {
    let port = free_port();
    let command = ["sh", "-c", "sleep 5 & exec sleep 60"];
    let config = service("web", port, &command, "ready = \"started\"\nhandshake = \"none\"");
    let mut supervised = Supervised::start(&config, &["web"]);
    let server = supervised.pid_of("web", 1);
    eventually("it has forked", || server.children().len() == 1);
    let child = server.children()[0];
    take_over(&mut supervised);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … other processes of its group still finish");
    assert!(child.is_alive());
    supervised.wait_for(" web generation=1 … the last process of its group has ended");
    assert!(!child.is_alive());
    supervised.stop();
}

/// The socket for `sd_notify` has a name that the server knows, and is made again under it.
#[test]
fn a_server_of_each_handshake_is_restarted_by_it_after_an_adoption() {
    let (notify, ack, starter) = (free_port(), free_port(), free_port());
    let config = [
        service(
            "notify",
            notify,
            &[&support::example("systemd")],
            "handshake = \"systemd\"\nready = \"notify\"",
        ),
        einhorn("ack", ack, "."),
        service(
            "starter",
            starter,
            &[&support::example("starter")],
            "handshake = \"server-starter\"\nready = \"accepting\"",
        ),
    ]
    .concat();
    let names = ["notify", "ack", "starter"];
    let mut supervised = Supervised::start(&config, &names);
    for name in names {
        supervised.wait_for(&format!("INFO {name} generation=1 … ready after"));
    }
    supervised.kill_and_start_again();
    for name in names {
        supervised.wait_for(&format!(" {name} generation=1 … adopted"));
    }
    supervised.signal(SIGUSR1);
    for name in names {
        supervised.wait_for(&format!(" {name} generation=1 … ended with exit code 0"));
        supervised.wait_for(&format!("INFO {name} generation=2 … ready after"));
    }
    // What it said on the socket that was made again was heard.
    supervised.stop();
}

/// It is the process that was started, but not the server any more: another one is, and it is asked to leave.
#[test]
fn a_process_that_has_become_another_program_is_not_taken_for_the_server() {
    let port = free_port();
    let becomes = ["sh", "-c", "trap 'exec sleep 1000' HUP; while :; do sleep 0.05; done"];
    let more = "ready = \"delay\"\nready_delay = \"100ms\"\nhandshake = \"none\"";
    let mut supervised = Supervised::start(&service("web", port, &becomes, more), &["web"]);
    let server = supervised.pid_of("web", 1);
    supervised.wait_for(" web generation=1 … ready after");
    take_over(&mut supervised);
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    server.signal(SIGHUP);
    eventually("it is another program", || server.arguments().first().is_some_and(|name| name == "sleep"));
    supervised.start_again();
    supervised.wait_for(" web generation=1 … runs another program now than when it served");
    supervised.wait_for(" web generation=1 … adopted, and asked to leave");
    supervised.wait_for(" web generation=2 pid= … started");
    eventually("it is gone", || !server.is_alive());
    supervised.stop();
}

/// A service that is up once its program was started may be a wrapper then, which becomes the server later: that is no other
/// program than the one that served.
#[test]
fn a_wrapper_that_becomes_the_server_after_it_was_ready_is_adopted() {
    let port = free_port();
    let wrapper = ["sh", "-c", "while test ! -e go; do sleep 0.05; done; exec sleep 1000"];
    let more = "ready = \"started\"\nhandshake = \"none\"";
    let stage = support::Stage::new();
    let mut supervised = stage.start(&service("web", port, &wrapper, more), &["web"]);
    let server = supervised.pid_of("web", 1);
    supervised.wait_for(" web generation=1 … ready after");
    supervised.stage.write("go", "");
    eventually("it is the server", || server.arguments().first().is_some_and(|name| name == "sleep"));
    take_over(&mut supervised);
    assert!(server.is_alive());
    supervised.stop();
}

/// Whoever cleans up `/run` takes the files away by which servers are found; they are written again.
#[test]
fn a_runtime_directory_that_was_removed_is_made_again_with_all_who_run() {
    let (mut supervised, port, server) = started("");
    let (pid, answer) = in_flight(port, Duration::from_millis(1500));
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    // It is watched, and something may come back at once.
    let directory = supervised.stage.dir().join("run");
    eventually("it is removed", || fs::remove_dir_all(&directory).is_ok());
    eventually("both are written down", || {
        written(&supervised) == [('q', 1), ('i', 2)] || written(&supervised) == [('i', 2), ('q', 1)]
    });
    let second = supervised.pid_of("web", 2);
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=1 … it was asked to leave, and finishes");
    supervised.wait_for(" web generation=2 … adopted: it was started");
    assert_eq!((answer.join().unwrap().unwrap().pid(), pid), (server.0, server.0));
    assert_eq!(supervised.get(port).pid(), second.0);
    supervised.stop();
}

/// The file alone may be taken away as well; what is written next is to be found, too.
#[test]
fn a_file_of_who_runs_that_was_removed_is_made_again_at_once() {
    let (mut supervised, port, _) = started("");
    fs::remove_file(records(&supervised)).unwrap();
    eventually("it is there again", || written(&supervised) == [('i', 1)]);
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, 2);
    let second = supervised.pid_of("web", 2);
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=2 … adopted");
    assert_eq!(supervised.get(port).pid(), second.0);
    supervised.stop();
}

/// What could not be written down when it started is so by the next reload, and found after a kill.
#[test]
fn a_run_that_could_not_be_written_down_is_written_down_by_the_next_sighup() {
    let (mut supervised, port, _) = started("restart_order = \"start-first\"");
    // No file may become larger than it is: a full disk is hard to come by.
    let limit = |bytes: u64| {
        let size = format!("--fsize={bytes}:");
        let pid = format!("--pid={}", supervised.process().0);
        assert!(std::process::Command::new("prlimit").args([pid, size]).status().unwrap().success());
    };
    limit(fs::metadata(records(&supervised)).unwrap().len());
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 … not written down: … SIGHUP tries again");
    supervised.wait_for(" web generation=1 … ended with exit code 0");
    eventually("nobody is written down", || written(&supervised).is_empty());
    limit(1 << 30);
    supervised.signal(SIGHUP);
    eventually("it is written down as one that serves", || written(&supervised) == [('i', 2)]);
    let second = supervised.pid_of("web", 2);
    supervised.kill_and_start_again();
    supervised.wait_for(" web generation=2 … adopted");
    assert_eq!(supervised.get(port).pid(), second.0);
    supervised.stop();
}

/// Whoever left the process group is of the run all the same, also under the next supervisor.
#[test]
fn the_cgroup_of_a_run_is_taken_over_and_emptied_with_it() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let mut made = places.filter_map(|line| {
        let tree =
            Path::new(line.split(' ').nth(4)?).join(format!("bootstrap-orphans-{}", std::process::id()));
        fs::create_dir(&tree).is_ok().then_some(tree)
    });
    let Some(tree) = made.next() else {
        eprintln!("skipped: no cgroup tree of version 2 that may be written to");
        return;
    };
    let command = ["sh", "-c", "setsid sleep 1000 & exec sleep 1000"];
    let more = format!(
        "cgroup = {{ path = '{}' }}\ndrain_timeout = \"300ms\"\nready = \"started\"\nhandshake = \"none\"",
        tree.display()
    );
    let mut supervised = Supervised::start(&service("web", free_port(), &command, &more), &["web"]);
    let server = supervised.pid_of("web", 1);
    eventually("it has forked", || server.children().len() == 1);
    let escaped = server.children()[0];
    eventually("it has a group of its own", || escaped.group() == Some(escaped.0));
    take_over(&mut supervised);
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=2 pid= … started");
    supervised.wait_for(&format!(" web generation=1 … left behind: {} (sleep", escaped.0));
    supervised.wait_for(" web generation=1 … the last process of its group has ended");
    assert!(!escaped.is_alive() && !server.is_alive());
    assert!(!tree.join("web/1").exists(), "its cgroup is left");
    supervised.stop();
    fs::remove_dir(&tree).unwrap();
}

/// Two workers that serve, and a main process that only waits, as many servers are made.
const PREFORK: &str = "import os, socket, sys, time\n\
                       listener = socket.socket(fileno=int(sys.argv[1]))\n\
                       for _ in range(2):\n    \
                           if os.fork() == 0:\n        \
                               while True:\n            \
                                   client = listener.accept()[0]\n            \
                                   client.recv(4096)\n            \
                                   head = b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 4\\r\\n\\r\\n'\n            \
                                   client.sendall(head + b'old\\n')\n            \
                                   client.close()\n\
                       time.sleep(1000)\n";

/// A prefork server whose main process ends before the next supervisor comes; its port, its main process, its workers.
fn bereft(more: &str) -> (Supervised, u16, Process, Vec<Process>) {
    let port = free_port();
    let supervised = Supervised::start(&prefork(port, more), &["web"]);
    let main = supervised.pid_of("web", 1);
    eventually("it has forked", || main.children().len() == 2);
    let workers = main.children();
    supervised.signal(SIGKILL);
    eventually("the supervisor is gone", || !supervised.process().is_alive());
    main.signal(SIGKILL);
    eventually("its main process is gone", || main.state().is_none());
    (supervised, port, main, workers)
}

fn prefork(port: u16, more: &str) -> String {
    let unspoken = "ready = \"started\"\nhandshake = \"none\"\ndrain_timeout = \"300ms\"";
    format!(
        "[[service]]\nname = \"web\"\nlisten = [{{ address = \"tcp://127.0.0.1:{port}\", name = \"it\" }}]\n\
         command = [\"python3\", \"-c\", {PREFORK:?}, \"{{fd:it}}\"]\n{unspoken}\n{more}\n"
    )
}

/// They hold the socket: who cannot take it from them could not start.
#[test]
fn workers_that_outlive_their_main_process_give_the_socket_back_and_are_named_and_ended() {
    let (mut supervised, port, main, workers) = bereft("");
    assert!(workers.iter().all(|worker| worker.is_alive()));
    supervised.wait_exit();
    supervised.start_again();
    // Nobody had asked it to leave: what is left is treated as after any other crash.
    let told = "… its main process has ended since; adopted: other processes of it are told to end (SIGTERM)";
    supervised.wait_for(&format!(" web generation=1 pid={} {told}", main.0));
    let [first, second] = workers[..] else { panic!("{workers:?}") };
    supervised.wait_for(&format!(" web generation=1 … left behind: {} (", first.0.min(second.0)));
    supervised.pid_of("web", 2);
    supervised.wait_for(" web generation=1 … the last process of its group has ended");
    assert!(workers.iter().all(|worker| !worker.is_alive()));
    assert!(!supervised.said("Address already in use"), "{supervised}");
    eventually("the new ones serve", || supervised.process().children()[0].children().len() == 2);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    supervised.stop();
}

/// The same, where it was asked to leave before, and after a second kill, and a third that comes with an upgrade.
#[test]
fn what_is_left_of_a_run_is_found_again_after_each_kill() {
    let (mut supervised, _, main, workers) = bereft("");
    supervised.stage.write("services.toml", &prefork(free_port(), "").replace("300ms", "1m"));
    supervised.wait_exit();
    // Its patience is that of the definition that it was started with.
    let path = records(&supervised);
    let text = fs::read_to_string(&path).unwrap();
    let patient = text.replace(
        "\"drain_timeout\":{\"secs\":0,\"nanos\":300000000}",
        "\"drain_timeout\":{\"secs\":60,\"nanos\":0}",
    );
    assert_ne!(text, patient);
    let patient = format!("l{}", &patient[1..]);
    fs::write(&path, patient).unwrap();
    for _ in 0..2 {
        supervised.start_again();
        supervised.wait_for(&format!(" web generation=1 pid={} … its main process has ended since", main.0));
        supervised.signal(SIGUSR2);
        supervised.wait_for(" bootstrap pid= … is now");
        assert!(workers.iter().all(|worker| worker.is_alive()), "{supervised}");
        supervised.signal(SIGKILL);
        supervised.wait_exit();
    }
    supervised.start_again();
    supervised.wait_for(" web generation=1 … its main process has ended since");
    for worker in &workers {
        worker.signal(SIGKILL);
    }
    supervised.wait_for(" web generation=1 … the last process of its group has ended");
    eventually("its record is gone", || written(&supervised).iter().all(|(_, generation)| *generation > 1));
    supervised.stop();
}

/// A group of the same number that was given nothing of the run is nobody of ours.
#[test]
fn a_group_that_shows_nothing_of_the_run_is_left_alone() {
    let (mut supervised, _, main, workers) = bereft("");
    supervised.wait_exit();
    let path = records(&supervised);
    let text = fs::read_to_string(&path).unwrap();
    let mut other = text.replace("\"generation\":1", "\"generation\":7");
    for digit in 1..=9 {
        other = other.replace(&format!("\"inode\":{digit}"), &format!("\"inode\":7{digit}"));
    }
    fs::write(&path, other).unwrap();
    supervised.start_again();
    supervised.wait_for(&format!(" web generation=7 pid={} … it has ended since", main.0));
    // Their address is not ours to take.
    assert_eq!(supervised.wait_exit(), 1);
    assert!(workers.iter().all(|worker| worker.is_alive()));
}

/// Nobody waits for the answer of a check that its supervisor does not hear any more.
#[test]
fn a_check_that_hangs_when_its_supervisor_is_killed_is_ended_by_the_next_with_all_its_processes() {
    let port = free_port();
    let check = "check = { exec = [\"sh\", \"-c\", \"test ! -e hang && exit; sleep 611 & exec sleep 611\"], \
                 period = \"30ms\", timeout = \"1m\" }";
    let stage = support::Stage::new();
    stage.write("hang", "");
    let mut supervised = stage.start(&http("web", port, check), &["web"]);
    let hanging = |supervised: &Supervised| {
        let all = supervised.offspring().into_iter();
        all.filter(|process| process.arguments() == ["sleep", "611"]).collect::<Vec<_>>()
    };
    eventually("both hang", || hanging(&supervised).len() == 2);
    supervised.signal(SIGKILL);
    supervised.wait_exit();
    assert_eq!(hanging(&supervised).len(), 2, "they outlive it");
    fs::remove_file(supervised.stage.dir().join("hang")).unwrap();
    supervised.start_again();
    supervised.wait_for(" bootstrap 1 command of checks left behind … SIGKILL");
    eventually("both are gone", || hanging(&supervised).is_empty());
    supervised.wait_for(" web generation=1 … adopted");
    supervised.stop();
}

/// `kill -9 PID; bootstrap -c ...`: the first may not have ended yet when the next one looks.
#[test]
fn the_next_one_waits_for_one_that_is_being_killed() {
    let (mut supervised, port, server) = started("");
    for _ in 0..5 {
        supervised.signal(SIGKILL);
        supervised.start_again();
        supervised.wait_for(" web generation=1 … adopted");
    }
    assert_eq!(supervised.get(port).pid(), server.0);
    supervised.stop();
}
