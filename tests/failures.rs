//! Every failure has a message that says what happened and what happens next.

mod support;

use bootstrap::limits::{CONTROL_CLIENTS, OWN_DESCRIPTORS};
use nix::sys::signal::Signal::{SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGUSR1};
use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use support::{
    Client, Failure, Process, Stage, Supervised, Wire, eventually, example, free_port, get, get_unix, http,
    rude, service,
};

/// A service whose program cannot be started: it is said why, it counts as a crash, and nothing else runs.
#[track_caller]
fn cannot_start(stage: Stage, command: &[&str], more: &str, said: &str) {
    let mut supervised = stage.launch(&service("bad", free_port(), command, more));
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    supervised.wait_for(&format!(" bad generation=1 could not be started: {said}"));
    supervised.wait_for(" bad generation=1 … stays down");
    assert_eq!(supervised.offspring(), [], "{supervised}");
}

fn script(stage: &Stage, text: &str, mode: u32) -> String {
    let path = stage.write("server", text);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn a_program_that_is_missing() {
    cannot_start(Stage::new(), &["no-such-program-anywhere"], "", "… \"no-such-program-anywhere\" … PATH");
    cannot_start(Stage::new(), &["./nowhere/server"], "", "… ./nowhere/server … No such file");
}

#[test]
fn a_program_that_is_not_executable() {
    let stage = Stage::new();
    let program = script(&stage, "#!/bin/sh\n", 0o644);
    cannot_start(stage, &[&program], "", &format!("… {program} … Permission denied"));
}

/// "Permission denied" alone once left open of which file.
#[test]
fn a_program_in_path_that_is_not_executable() {
    let stage = Stage::new();
    script(&stage, "#!/bin/sh\n", 0o644);
    let path = format!("env = {{ PATH = {:?} }}", stage.dir());
    cannot_start(
        stage,
        &["server"],
        &path,
        "server: found in PATH, and may not be executed: Permission denied",
    );
}

/// A damaged program was once taken for a script without a first line, and for nothing else.
#[test]
fn a_program_that_is_damaged() {
    let stage = Stage::new();
    let program = script(&stage, "\u{7f}ELF\u{2}\u{1}", 0o755);
    cannot_start(stage, &[&program], "", "… not a program that this machine can run");
}

#[test]
fn a_program_that_is_a_directory() {
    let stage = Stage::new();
    let directory = stage.dir().to_str().unwrap().to_owned();
    cannot_start(stage, &[&directory], "", &format!("… {directory}"));
}

#[test]
fn a_script_whose_interpreter_is_missing() {
    let stage = Stage::new();
    let program = script(&stage, "#!/no/such/interpreter\n", 0o755);
    cannot_start(stage, &[&program], "", "… interpreter … /no/such/interpreter");
}

#[test]
fn a_script_that_names_no_interpreter() {
    let stage = Stage::new();
    let program = script(&stage, "echo hello\n", 0o755);
    cannot_start(stage, &[&program], "", "… not a program");
}

#[test]
fn a_directory_that_is_missing() {
    cannot_start(
        Stage::new(),
        &["true"],
        "directory = \"/no/such/place\"",
        "… /no/such/place … No such file",
    );
}

#[test]
fn an_env_file_that_is_missing() {
    cannot_start(Stage::new(), &["true"], "env_file = \"/no/such.env\"", "… /no/such.env … No such file");
}

/// A bad line of an `env_file` was once told as "Invalid argument".
#[test]
fn an_env_file_with_a_bad_line() {
    let stage = Stage::new();
    stage.write("a.env", "# secrets\n\nA=b\nsesame\n");
    cannot_start(stage, &["true"], "env_file = \"a.env\"", "env_file a.env: line 4 is not NAME=value;");
}

/// A named pipe as `env_file` was once told as "Invalid argument", too.
#[test]
fn an_env_file_that_is_no_file() {
    let stage = Stage::new();
    nix::unistd::mkfifo(&stage.dir().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    cannot_start(stage, &["true"], "env_file = \"pipe\"", "env_file pipe: not a regular file;");
}

/// An `env_file` that an editor had begun with a byte order mark was once refused, for a name that looks right.
#[test]
fn an_env_file_with_a_byte_order_mark_is_read() {
    let stage = Stage::new();
    stage.write("a.env", "\u{feff}FIRST=1\nSECOND=2\n");
    let supervised = stage.start(&http("web", free_port(), "env_file = \"a.env\""), &["web"]);
    let environment = supervised.pid_of("web", 1).environment();
    for variable in ["FIRST=1", "SECOND=2"] {
        assert!(environment.iter().any(|found| found == variable), "{environment:?}");
    }
    supervised.stop();
}

/// Where a directory or a file was at the path of a socket the message once was "File exists", and named no way out.
#[test]
fn a_path_at_which_something_is_that_is_no_socket() {
    let stage = Stage::new();
    let (file, directory) = (stage.write("file", "precious"), stage.dir().join("directory"));
    fs::create_dir(&directory).unwrap();
    let addresses = [&file, &directory].map(|path| format!("unix:{}", path.display()));
    let config = format!("[[service]]\nname = \"web\"\nlisten = {addresses:?}\ncommand = \"true\"\n");
    let mut supervised = stage.launch(&config);
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    for address in addresses {
        supervised.wait_for(&format!("cannot bind {address}: something that is no socket is there"));
    }
    assert!(!supervised.said("started:"), "{supervised}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(directory.is_dir());
}

/// A second supervisor once took the path of a service that had crashed, since nobody listened there: the first
/// still held it, and started the service again where no client could come.
#[test]
fn a_parked_unix_path_is_not_taken_by_a_second_supervisor() {
    let stage = Stage::new();
    let socket = stage.path("web.sock");
    let table = |command: &str| {
        format!("[[service]]\nname = \"web\"\nlisten = \"unix:{socket}\"\ncommand = [{command:?}]\n")
    };
    let own = format!("[bootstrap]\nruntime_dir = {:?}\n", stage.path("second"));
    stage.write("second.toml", &(own + &table("true")));
    let config = format!("[bootstrap]\nwhen_idle = \"wait\"\n{}", table(&example("http")));
    let supervised = stage.start(&config, &["web"]);
    let answered_by = |generation: u32| {
        get_unix(socket.as_ref(), "/").is_ok_and(|answer| answer.generation() == generation)
    };
    eventually("it serves", || answered_by(1));
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_for(" web generation=1 … stays down");
    eventually("it refuses", || get_unix(socket.as_ref(), "/") == Err(Failure::Refused));

    // With a runtime directory of its own: without, it would not come as far as that.
    let second = supervised.stage.run(&["-c", "second.toml"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let holder = format!("already in use by bootstrap, pid {}", supervised.process().0);
    assert!(said.contains(&format!("cannot bind unix:{socket}: ")) && said.contains(&holder), "{said}");
    assert!(!said.contains("WARN"), "it has begun with nothing that could have changed\n{said}");

    supervised.signal(SIGUSR1);
    supervised.pid_of("web", 2);
    eventually("it serves again", || answered_by(2));
    supervised.stop();
}

#[test]
fn a_start_that_fails_touches_no_other_service_and_is_tried_again_by_policy() {
    let port = free_port();
    let stage = Stage::new();
    let program = stage.path("server");
    let config = http("good", port, "")
        + &service("bad", free_port(), &[&program], "restart = \"always\"\nrestart_delay = \"20ms\"");
    let supervised = stage.start(&config, &["good"]);
    supervised.wait_for(" bad generation=2 … could not be started … starting generation 3 in 20ms");
    assert_eq!(supervised.get(port).generation(), 1);
    script(&supervised.stage, "#!/bin/sh\nexec sleep 1000\n", 0o755);
    supervised.wait_for(" bad generation= … started");
    supervised.stop();
}

#[test]
fn ports_in_use_are_all_named_with_their_owner_and_nothing_is_started() {
    let (first, second, free) = (free_port(), free_port(), free_port());
    let _taken = [first, second].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let config = http("a", first, "") + &http("b", free, "") + &http("c", second, "");
    let mut supervised = Stage::new().launch(&config);
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    for port in [first, second] {
        let owner = format!("by failures … pid {}", std::process::id());
        supervised.wait_for(&format!("127.0.0.1:{port} … already in use … {owner}"));
    }
    assert!(!supervised.said("started:"), "{supervised}");
    assert_eq!(get(free, "/"), Err(Failure::Refused));
}

#[test]
fn an_address_that_is_not_ours_or_not_permitted() {
    let stage = Stage::new().through(&["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
    let closed = stage.dir().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
    let config = format!(
        "[[service]]\nname = \"web\"\nlisten = [\"tcp://192.0.2.1:80\", \"unix:{}/s\", \"unix:/no/such/place/s\"]\n\
         command = [\"true\"]\n",
        closed.display()
    );
    let mut supervised = stage.launch(&config);
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    supervised.wait_for("192.0.2.1:80 … assign requested address");
    supervised.wait_for("closed/s … Permission denied");
    supervised.wait_for("/no/such/place/s … No such file");
    assert!(!supervised.said("started:"), "{supervised}");
}

#[test]
fn a_refused_fork() {
    // Root is exempt from the limit of processes, so this runs as somebody who is not. Nobody else may have
    // access to where the binary was built: a copy does.
    let stage = Stage::public();
    let copy = stage.install(env!("CARGO_BIN_EXE_bootstrap"), "bootstrap");
    let nobody: &[&str] = if nix::unistd::geteuid().is_root() {
        &["setpriv", "--reuid=65534", "--clear-groups", "prlimit", "--nproc=1"]
    } else {
        &["prlimit", "--nproc=1"]
    };
    // It cannot make a directory in that of the stage: without a name for one it goes where it can.
    let stage = stage.through(nobody).program(&copy).env("RUNTIME_DIRECTORY", "");
    cannot_start(stage, &["true"], "", "no process: ");
}

#[test]
fn too_few_descriptors() {
    let ports: Vec<u16> = (0..8).map(|_| free_port()).collect();
    let config: String = ports.iter().map(|port| http(&format!("web-{port}"), *port, "")).collect();
    // Root could raise it: who it is may not.
    let limited = |limit: usize| {
        let limit = format!("--nofile={limit}");
        let root = ["setpriv", "--bounding-set=-sys_resource", "prlimit", &limit];
        let words = if nix::unistd::geteuid().is_root() { &root[..] } else { &root[2..] };
        Stage::new().through(words)
    };
    // A socket and a pipe for each, and a pipe for who starts in its place.
    let needed = OWN_DESCRIPTORS + 24;
    let mut refused = limited(needed - 1).launch(&config);
    assert_eq!(refused.wait_exit(), 1, "{refused}");
    assert!(
        refused.said(&format!("need {needed} descriptors, and the hard limit is {}", needed - 1)),
        "{refused}"
    );
    assert!(refused.said("or list fewer services") && !refused.said("started"), "{refused}");
    // Not even one fits: fewer would not help.
    let mut refused = limited(OWN_DESCRIPTORS).launch(&http("web", ports[0], ""));
    assert_eq!(refused.wait_exit(), 1, "{refused}");
    assert!(refused.said("LimitNOFILE= of systemd)") && !refused.said("fewer"), "{refused}");

    let mut enough = limited(needed).launch(&config);
    for port in &ports {
        enough.wait_answer(*port, 1);
    }
    let more: String =
        (0..2).map(|_| free_port()).map(|port| http(&format!("web-{port}"), port, "")).collect();
    enough.stage.write("services.toml", &(config + &more));
    let plan = enough.stage.run(&["-c", "services.toml", "plan"]);
    let said = format!("a reload would be refused: the services need {} descriptors", needed + 6);
    assert!(String::from_utf8_lossy(&plan.stderr).contains(&said), "{plan:?}");
    assert_eq!(plan.status.code(), Some(78));
    enough.signal(SIGHUP);
    enough.wait_for(&format!("need {} descriptors", needed + 6));
    for port in &ports {
        enough.wait_answer(*port, 1);
    }
    // Whoever connects gets none that a start needs.
    let clients: Vec<UnixStream> =
        (0..CONTROL_CLIENTS).map(|_| UnixStream::connect(Wire::path(&enough)).unwrap()).collect();
    enough.forget();
    enough.signal(SIGUSR1);
    for port in &ports {
        enough.wait_answer(*port, 2);
    }
    assert!(!enough.said("os error 24") && !enough.said("Too many open files"), "{enough}");
    drop(clients);
    enough.stop();
}

/// Each generation that drains has a pipe still. The next could not be started, and the last had been asked to leave by then.
#[test]
fn who_could_have_no_successor_for_want_of_descriptors_is_not_asked_to_leave() {
    let (port, limit) = (free_port(), format!("--nofile={}", OWN_DESCRIPTORS + 3));
    let supervised = Stage::new().through(&["prlimit", &limit]).start(&http("web", port, ""), &["web"]);
    let mut kept = Vec::new();
    let refused = " web not restarted: cannot hand over its descriptors: Too many open files";
    for generation in 1.. {
        supervised.wait_answer(port, generation);
        let mut client = Client::connect(port).unwrap();
        client.get("/").unwrap();
        client.send("/sleep?ms=600000").unwrap();
        kept.push(client);
        supervised.signal(SIGUSR1);
        eventually("it is restarted, or not", || {
            supervised.said(refused) || supervised.said(&format!(" generation={} ", generation + 1))
        });
        if supervised.said(refused) {
            break;
        }
    }
    assert!(kept.len() > 8, "there was room for some\n{supervised}");
    let last = u32::try_from(kept.len()).unwrap();
    supervised.wait_for(&format!("generation {last} serves on"));
    supervised.wait_answer(port, last);
    assert!(!supervised.said("could not be started"), "{supervised}");
    // Once others have ended, there is room again.
    for generation in 1..last {
        supervised.pid_of("web", generation).signal(SIGKILL);
    }
    eventually("they have ended", || supervised.count("was ended by SIGKILL") == kept.len() - 1);
    supervised.signal(SIGUSR1);
    supervised.wait_answer(port, last + 1);
    supervised.pid_of("web", last).signal(SIGKILL);
    supervised.stop();
}

/// A server with these sins is restarted: `said` is told of it, and its successor serves at last.
#[track_caller]
fn is_replaced(sins: &[&str], more: &str, said: &[&str]) {
    let port = free_port();
    let supervised = Supervised::start(&rude("web", port, sins, more), &["web"]);
    supervised.wait_answer(port, 1);
    let old = supervised.pid_of("web", 1);
    supervised.signal(SIGUSR1);
    for said in said {
        supervised.wait_for(&format!(" web generation=1 … {said}"));
    }
    let new = supervised.pid_of("web", 2);
    supervised.wait_answer(port, 2);
    eventually(&format!("the old one is gone\n{supervised}"), || !old.is_alive());
    eventually(&format!("nothing of it is left\n{supervised}"), || supervised.offspring() == [new]);
    assert!(!supervised.said("generation=3"), "{supervised}");
}

const SHORT: &str = "handover_timeout = \"300ms\"\ndrain_timeout = \"300ms\"\nstop_timeout = \"300ms\"";

#[test]
fn a_verdict_that_is_neither_word() {
    is_replaced(&["--answer", "garbage"], "", &["\"garbage\" … no word of the handshake"]);
}

#[test]
fn a_verdict_of_failure() {
    is_replaced(&["--answer", "failed "], "", &["\"failed \""]);
}

#[test]
fn a_pipe_closed_without_an_answer() {
    // Its exit and the end of its pipe come together; whichever is seen first decides.
    is_replaced(&["--hang-up"], "", &["exit code 0"]);
}

#[test]
fn a_pipe_closed_early_in_its_life() {
    is_replaced(&["--close-pipe"], "", &["exit code 0"]);
}

#[test]
fn a_pipe_closed_by_a_server_that_then_stays() {
    is_replaced(&["--hang-up", "--stay"], SHORT, &["closed its pipe without an answer", "SIGTERM"]);
}

#[test]
fn half_an_answer() {
    is_replaced(&["--answer", "succ"], "", &["exit code 0"]);
}

#[test]
fn who_outlives_a_server_is_named() {
    let command = ["sh", "-c", "sleep 59 & exec sleep 60"];
    let more = format!("ready = \"started\"\nhandshake = \"none\"\nrestart = \"always\"\n{SHORT}");
    let config = service("web", free_port(), &command, &more);
    let supervised = Supervised::start(&config, &["web"]);
    let server = supervised.pid_of("web", 1);
    let sleeps =
        |child: &Process| fs::read(format!("/proc/{}/comm", child.0)).is_ok_and(|name| name == b"sleep\n");
    eventually("both are what they will be", || sleeps(&server) && server.children().iter().any(sleeps));
    let child = server.children()[0];
    server.signal(SIGKILL);
    supervised.wait_for(&format!(" web generation=1 … left behind: {} (sleep 59)", child.0));
    supervised.stop();
}

#[test]
fn a_grandchild_that_keeps_the_pipe_open() {
    is_replaced(&["--answer", "", "--grandchild", "60s"], SHORT, &["exit code 0 … group", "SIGTERM"]);
}

#[test]
fn a_server_that_never_answers() {
    is_replaced(&["--mute"], SHORT, &["no answer after … SIGTERM", "was ended by SIGTERM"]);
}

#[test]
fn a_server_that_never_answers_and_ignores_term() {
    is_replaced(
        &["--mute", "--deaf"],
        SHORT,
        &["no answer", "SIGKILL to its process group", "was ended by SIGKILL"],
    );
}

#[test]
fn a_server_that_answers_and_never_ends() {
    is_replaced(&["--stay"], SHORT, &["\"success\"", "sent SIGTERM", "was ended by SIGTERM"]);
}

#[test]
fn a_server_that_answers_and_never_ends_and_ignores_term() {
    is_replaced(&["--stay", "--deaf"], SHORT, &["\"success\"", "sent SIGKILL", "was ended by SIGKILL"]);
}

#[test]
fn a_server_that_is_not_ready_in_time() {
    let more = format!("ready = \"pipe\"\nready_timeout = \"300ms\"\n{SHORT}");
    let mut supervised = Supervised::start(&rude("web", free_port(), &[], &more), &["web"]);
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    supervised.wait_for(" web generation=1 … not ready after 300ms … stays down");
    assert_eq!(supervised.offspring(), [], "{supervised}");
}

#[test]
fn a_stop_ends_even_the_worst_server() {
    let more = SHORT;
    let supervised = Supervised::start(&rude("web", free_port(), &["--mute", "--deaf"], more), &["web"]);
    supervised.stop();
}

#[test]
fn a_config_with_mistakes_is_refused_with_78_and_a_missing_one_too() {
    let stage = Stage::new();
    stage.write("services.toml", "[[service]]\nname = \"web\"\nprot = 80\n");
    for arguments in [&["-c", "services.toml"][..], &["-c", "services.toml", "check"]] {
        let output = stage.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("prot") && said.contains("command"), "{said}");
    }
    assert_eq!(stage.run(&["-c", "missing.toml"]).status.code(), Some(78));
    assert_eq!(stage.run(&["--no-such-option"]).status.code(), Some(2));
    stage.write("services.toml", &http("web", free_port(), ""));
    assert_eq!(stage.run(&["-c", "services.toml", "check"]).status.code(), Some(0));
}

/// It would hear nothing else before SIGKILL.
#[test]
fn a_server_that_is_stopped_is_let_go_on_to_hear_sigterm() {
    let patient = "stop_timeout = \"10m\"\n";
    let web = http("web", free_port(), &format!("handover_timeout = \"500ms\"\n{patient}"));
    let job = format!("[[service]]\nname = \"job\"\ncommand = [\"sleep\", \"600\"]\n{patient}");
    let supervised = Supervised::start(&(web + &job), &["web", "job"]);
    supervised.wait_for(" web generation=1 … ready");
    for name in ["web", "job"] {
        supervised.pid_of(name, 1).signal(SIGSTOP);
    }
    // Without SIGKILL, which comes too late for this test.
    supervised.stop();
}

/// The first signal that it heard was SIGKILL.
/// A shell that ends by the signal, and one that has a trap for it, which it heeds when the server has ended.
#[test]
fn a_server_behind_a_wrapper_hears_sigterm_before_it_is_killed() {
    for (trap, told) in [
        ("", "left processes of its group behind; sent them SIGTERM"),
        (
            "trap 'echo bye' TERM; ",
            "still there; sent SIGTERM to all of its process group; SIGKILL follows in 1s 500ms",
        ),
    ] {
        let stage = Stage::new();
        let server = "trap 'echo heard >heard; exit 0' TERM; echo on >on; while :; do sleep 0.05; done";
        let wrapper = format!("{trap}sh -c {server:?}; true");
        let more = "ready = \"started\"\nhandover_timeout = \"200ms\"\nstop_timeout = \"3s\"";
        let command = ["sh", "-c", &wrapper, "sh"];
        let supervised = stage.start(&service("web", free_port(), &command, more), &["web"]);
        let there = |name: &str| fs::exists(supervised.stage.path(name)).unwrap();
        eventually("it has its handler", || there("on"));
        supervised.signal(SIGUSR1);
        supervised.wait_for(" web generation=1 … no answer after … sent SIGTERM");
        supervised.wait_for(&format!(" web generation=1 … {told}"));
        eventually("the server has heard it", || there("heard"));
        supervised.wait_for(" web generation=2 pid= … started");
        assert_eq!(supervised.count("sent SIGKILL"), 0, "{supervised}");
        supervised.stop();
    }
}

/// A worker that serves a client while its main process is killed: SIGTERM is the end of it, its own signal lets it finish.
#[test]
fn the_workers_of_a_main_process_that_crashed_finish_what_they_serve() {
    let (stage, port) = (Stage::new(), free_port());
    let text = "#!/usr/bin/env python3
import os, signal, socket, sys, time
s = socket.socket(fileno=int(sys.argv[1]))
if os.fork():
    while True: signal.pause()
signal.signal(signal.SIGQUIT, lambda *_: s.close())
c = s.accept()[0]
open('busy', 'w').close()
end = time.monotonic() + 1.5
while time.monotonic() < end: time.sleep(0.05)
c.send(b'done')
";
    let program = script(&stage, text, 0o755);
    let more = "handshake = \"none\"\nready = \"started\"\nstop_signal = \"SIGQUIT\"\ndrain_timeout = \"30s\"\n\
                stop_timeout = \"300ms\"";
    let supervised = stage.start(&service("web", port, &[&program, "{fd}"], more), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    eventually("it is served", || supervised.stage.dir().join("busy").exists());
    supervised.pid_of("web", 1).signal(SIGKILL);
    supervised.wait_for(" web generation=1 … asked them to finish (SIGQUIT); SIGTERM follows in 30s");
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    assert_eq!(said, "done", "{supervised}");
    supervised.wait_for(" web generation=1 … the last process of its group has ended");
    assert!(!supervised.said("SIGTERM did not"), "{supervised}");
}

/// Binds its port itself, and takes a while to leave.
const OWN_PORT: &str = "import signal, socket, sys, time
def leave(*_):
    time.sleep(0.3)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
s = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True: s.accept()[0].close()
";

/// A service of that server, which a shell stays in front of or not.
fn own_port(port: u16, has_shell: bool, more: &str) -> String {
    let server = format!("python3 server.py {port}; true");
    let command = if has_shell {
        format!("[\"sh\", \"-c\", {server:?}]")
    } else {
        format!("\"python3 server.py {port}\"")
    };
    format!("[[service]]\nname = \"own\"\ncommand = {command}\n{more}\n")
}

/// Waits until this generation has the port, which nobody else had when it came.
fn has_its_port(supervised: &Supervised, port: u16, generation: u32) {
    supervised.wait_for(&format!(" own generation={generation} pid= … started"));
    eventually("it serves", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert_eq!(supervised.count("Address already in use"), 0, "{supervised}");
}

/// Whoever came before the last process of its predecessor had ended did not get its port. And that heard nothing before
/// `drain_timeout` was over.
#[test]
fn the_successor_of_what_has_no_socket_starts_when_the_last_of_its_group_has_ended() {
    let (stage, port) = (Stage::new(), free_port());
    stage.write("server.py", OWN_PORT);
    let supervised = stage.start(&own_port(port, true, "restart = \"always\""), &["own"]);
    for generation in 1..=3 {
        has_its_port(&supervised, port, generation);
        if generation == 3 {
            supervised.pid_of("own", generation).signal(SIGKILL);
        } else {
            supervised.signal(SIGUSR1);
        }
        let old = format!(" own generation={generation} …");
        supervised.wait_for(&format!("{old} left processes of its group behind; sent them SIGTERM"));
        supervised.wait_for(&format!("{old} the last process of its group has ended"));
    }
    has_its_port(&supervised, port, 4);
    supervised.stop();
}

/// A rollback, and what was removed and is in the file again.
#[test]
fn what_comes_back_without_a_socket_waits_for_whoever_was_there() {
    let (stage, port) = (Stage::new(), free_port());
    stage.write("server.py", OWN_PORT);
    stage.write("good", "");
    let more = "ready = \"exec\"\ncheck = { exec = [\"test\", \"-e\", \"good\"], period = \"50ms\" }\n\
                ready_timeout = \"500ms\"";
    let config = |has_own: bool| {
        let own = own_port(port, false, more);
        let other = "[[service]]\nname = \"other\"\ncommand = \"sleep 1000\"\n";
        if has_own { format!("{other}{own}") } else { other.to_owned() }
    };
    let supervised = stage.start(&config(true), &["own"]);
    supervised.wait_for(" own generation=1 … ready after");
    fs::remove_file(supervised.stage.path("good")).unwrap();
    supervised.signal(SIGUSR1);
    supervised
        .wait_for(" own generation=2 … not ready after … going back to what ran before, as generation 3");
    supervised.wait_for(" own starts when its last process has ended");
    supervised.stage.write("good", "");
    has_its_port(&supervised, port, 3);
    supervised.wait_for(" own generation=3 … ready after");
    for has_own in [false, true] {
        supervised.stage.write("services.toml", &config(has_own));
        supervised.signal(SIGHUP);
        supervised
            .wait_for(&format!(" bootstrap reload: … {}", if has_own { "1 added" } else { "1 removed" }));
    }
    has_its_port(&supervised, port, 4);
    supervised.stop();
}

#[test]
fn a_hold_speaks_of_clients_only_where_there_are_any() {
    let config =
        http("web", free_port(), "") + "[[service]]\nname = \"job\"\ncommand = [\"sleep\", \"1000\"]\n";
    let supervised = Supervised::start(&config, &["web", "job"]);
    let output = supervised.stage.run(&["-c", "services.toml", "hold", "web", "job"]);
    assert!(output.status.success(), "{output:?}");
    let held =
        |name: &str| supervised.wait_for(&format!(" {name} held: nothing is started until it is released"));
    assert!(held("web").ends_with("; clients wait") && held("job").ends_with("released"), "{supervised}");
    supervised.stop();
}

/// A supervisor may stand still for longer than a deadline: a machine that was paused, a file system that hangs. What came in
/// time is heard before the time is over.
#[test]
fn an_answer_that_came_in_time_counts_even_if_nobody_could_hear_it_then() {
    let stage = Stage::new();
    // It answers once the supervisor stands still, and tells when its deadline is over.
    let text = "#!/usr/bin/env python3
import os, signal, sys, time
def there(name):
    while not os.path.exists(name):
        time.sleep(0.02)
def leave(*_):
    there('stands')
    os.write(int(sys.argv[2]), b'success')
    time.sleep(1.5)
    open('over', 'w').close()
    there('end')
    os._exit(0)
signal.signal(signal.SIGUSR1, leave)
while True:
    signal.pause()
";
    let program = script(&stage, text, 0o755);
    let more = "ready = \"started\"\nhandover_timeout = \"1s\"\ndrain_timeout = \"30s\"\n";
    let mut supervised = stage.start(&service("web", free_port(), &[&program], more), &["web"]);
    let old = supervised.pid_of("web", 1);
    eventually("its handler is installed", || old.signals("SigCgt") & 1 << 9 != 0);
    supervised.forget();
    supervised.signal(SIGUSR1);
    supervised.wait_for(" web generation=1 … asked to stop accepting");
    supervised.signal(SIGSTOP);
    let there = |name: &str| supervised.stage.dir().join(name).exists();
    supervised.stage.write("stands", "");
    eventually("the deadline is over", || there("over"));
    supervised.signal(SIGCONT);
    supervised.wait_for(" web generation=1 … answered \"success\"");
    supervised.stage.write("end", "");
    supervised.wait_for(" web generation=2 … started");
    assert!(!supervised.said("no answer after"), "{supervised}");
    supervised.stop();
}
