//! Services that are somebody else than bootstrap: low ports, notices, unix sockets, and starts that fail on the way.

mod support;

use caps::{CapSet, Capability, has_cap};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Process, Stage, example, free_port};

/// Nobody's number.
const UID: u32 = 65_534;

/// Is the test root, with all that root is for? Says so where it is not.
fn is_root() -> bool {
    let rights = [
        Capability::CAP_SETUID,
        Capability::CAP_SETGID,
        Capability::CAP_SETPCAP,
        Capability::CAP_CHOWN,
        Capability::CAP_NET_BIND_SERVICE,
    ];
    let is = rights.into_iter().all(|right| has_cap(None, CapSet::Effective, right).unwrap());
    if !is {
        eprintln!("skipped: only root starts services of other users");
    }
    is
}

/// A stage that everybody may enter, with a copy of a program, since the checkout may be closed to others.
fn public(program: &Path) -> (Stage, String) {
    let stage = Stage::public();
    let copy = stage.install(program, program.file_name().unwrap().to_str().unwrap());
    (stage, copy)
}

/// A port that only root may bind and that nobody has.
fn low_port() -> u16 {
    let found = (600..1000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    found.expect("a free port below 1024")
}

fn is_nobody(process: Process) {
    let same = |number: u32| format!("{number}\t{number}\t{number}\t{number}");
    assert_eq!(process.status("Uid"), Some(same(UID)));
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(process.status(set).as_deref(), Some("0000000000000000"), "{set}");
    }
    assert_eq!(process.status("NoNewPrivs").as_deref(), Some("1"));
}

/// Root sees what is closed to others: the old process was asked to leave, and nothing could take its place.
#[test]
fn what_is_closed_to_its_user_is_seen_before_anybody_is_asked_to_leave() {
    if !is_root() {
        return;
    }
    let (stage, port) = (Stage::public(), free_port());
    let place = stage.dir().join("place");
    fs::create_dir(&place).unwrap();
    stage.install(example("http"), "place/server");
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let server = place.join("server");
    allow(&place, 0o755);
    allow(&server, 0o755);
    let more = format!("user = \"{UID}\"\nrollback = false\ndirectory = {place:?}");
    let supervised = stage.start(&support::service("web", port, &["./server"], &more), &["web"]);
    supervised.wait_answer(port, 1);
    for (path, closed, said) in [
        (&place, 0o700, format!("directory {} (as user \"{UID}\"): Permission denied", place.display())),
        (&server, 0o700, format!("./server (in {}) (as user \"{UID}\"): Permission denied", place.display())),
    ] {
        allow(path, closed);
        supervised.signal(Signal::SIGUSR1);
        supervised.wait_for(&format!(" web not restarted: {said}; generation 1 serves on"));
        allow(path, 0o755);
    }
    supervised.signal(Signal::SIGUSR1);
    supervised.wait_answer(port, 2);
    supervised.stop();
}

#[test]
fn a_port_of_root_is_served_by_nobody_over_restarts() {
    if !is_root() {
        return;
    }
    let (stage, program) = public(Path::new(&example("http")));
    let port = low_port();
    let config = format!(
        "[[service]]\nname = 'web'\nlisten = 'tcp://127.0.0.1:{port}'\ncommand = ['{program}']\nuser = 'nobody'\n\
         no_new_privs = true\ncapabilities = []\numask = '0077'\nrlimits = {{ nofile = 64 }}\n"
    );
    let supervised = stage.start(&config, &["web"]);
    for generation in 1..4 {
        // Nothing says so: root sees it wait for clients.
        supervised.wait_for(&format!("web generation={generation} …ready after"));
        let process = supervised.pid_of("web", generation);
        is_nobody(process);
        supervised.wait_answer(port, generation);
        supervised.signal(Signal::SIGUSR1);
        supervised.wait_for(&format!("web generation={generation} …answered \"success\""));
        supervised.wait_for(&format!("web generation={generation} …ended with exit code 0"));
    }
    let environment = supervised.pid_of("web", 4).environment();
    for line in ["USER=nobody", "LOGNAME=nobody"] {
        assert!(environment.iter().any(|found| found == line), "{environment:?}");
    }
    assert!(environment.iter().any(|found| found.starts_with("HOME=/") && found != "HOME=/root"));
    supervised.stop();
}

#[test]
fn a_user_is_heard_on_its_notify_socket() {
    if !is_root() {
        return;
    }
    let (stage, program) = public(Path::new(&example("systemd")));
    let port = free_port();
    let config = format!(
        "[[service]]\nname = 'web'\nlisten = 'tcp://127.0.0.1:{port}'\ncommand = ['{program}']\nuser = 'nobody'\n\
         no_new_privs = true\ncapabilities = []\nhandshake = 'systemd'\nready = 'notify'\nrestart_order = 'start-first'\n"
    );
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_for("web generation=1 …ready after");
    is_nobody(supervised.pid_of("web", 1));
    supervised.signal(Signal::SIGUSR1);
    supervised.wait_for("web generation=2 …ready after");
    supervised.wait_for("web generation=1 …ended with exit code 0");
    supervised.stop();
}

/// The command socket of an einhorn worker is one file for it, whoever it is. The system's own Python is anybody's.
#[test]
fn a_user_is_heard_on_the_command_socket_of_einhorn() {
    if !is_root() {
        return;
    }
    let port = support::free_port();
    let (stage, _) = public(Path::new(&example("systemd")));
    let ack = "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['EINHORN_SOCK_PATH'])\n\
               s.sendall(b'---%0Acommand: worker:ack%0Apid: ' + str(os.getpid()).encode() + b'%0A' + bytes([10]))\n\
               s.close()\nsocket.socket(fileno=int(os.environ['EINHORN_FD_0'])).accept()";
    let more =
        "handshake = 'einhorn'\nready = 'ack'\nuser = 'nobody'\nno_new_privs = true\ncapabilities = []";
    let config = support::service("web", port, &["/usr/bin/python3", "-c", ack], more);
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_for("web generation=1 …ready after");
    is_nobody(supervised.pid_of("web", 1));
    supervised.stop();
}

/// What a client that is this user gets from a unix socket.
fn curl_as(uid: u32, socket: &str) -> Option<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "20", "--unix-socket", socket, "http://x/"]);
    let output = command.uid(uid).gid(uid).stderr(Stdio::null()).output().expect("curl");
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_unix_socket_lets_in_whom_its_mode_and_owner_say() {
    if !is_root() {
        return;
    }
    let (stage, program) = public(Path::new(&example("http")));
    let path = stage.path("s");
    let stranger = 54_321;
    let config = |mode: &str| {
        format!(
            "[[service]]\nname = 'web'\nlisten = {{ address = 'unix:{path}', mode = '{mode}', user = 'nobody', \
             group = 7 }}\ncommand = ['{program}', '--name', 'web']\n"
        )
    };
    let mut supervised = stage.start(&config("0600"), &["web"]);
    supervised.wait_for("web generation=1 …ready after");
    let access = || {
        let found = fs::metadata(&path).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    assert_eq!(access(), (0o600, UID, 7));
    assert!(curl_as(UID, &path).is_some_and(|said| said.starts_with("web generation=1")), "{supervised}");
    assert_eq!(curl_as(stranger, &path), None);
    // Settings of a socket apply in place.
    supervised.forget();
    supervised.stage.write("services.toml", &config("0666"));
    supervised.signal(Signal::SIGHUP);
    supervised.wait_for("config applied");
    support::eventually("it has its new mode", || access() == (0o666, UID, 7));
    assert!(
        curl_as(stranger, &path).is_some_and(|said| said.starts_with("web generation=1")),
        "{supervised}"
    );
    supervised.stop();
}

#[test]
fn another_identity_is_another_generation() {
    let port = free_port();
    let config = |more: &str| support::http("web", port, more);
    let mut supervised = Stage::new().start(&config("umask = '0077'"), &["web"]);
    supervised.wait_for("ready after");
    let umask = |process: Process| process.status("Umask").unwrap();
    assert_eq!(umask(supervised.pid_of("web", 1)), "0077");
    supervised.forget();
    supervised.stage.write("services.toml", &config("umask = '0027'\nnice = 3\nno_new_privs = true"));
    supervised.signal(Signal::SIGHUP);
    supervised.wait_for("web generation=2 …ready after");
    assert_eq!(umask(supervised.pid_of("web", 2)), "0027");
    supervised.stop();
}

#[test]
fn a_limit_that_leaves_no_room_for_its_descriptors() {
    let port = free_port();
    let config = support::http("web", port, "handshake = 'systemd'\nrlimits = { nofile = 0 }");
    let mut supervised = Stage::new().launch(&config);
    supervised.wait_for(
        "web generation=1 could not be started: cannot hand over its descriptors: Bad file descriptor",
    );
    assert_eq!(supervised.wait_exit(), 1);
    assert_eq!(supervised.offspring(), []);
}

/// In a user namespace of its own root has every right, and may use none of them on groups.
#[test]
fn a_step_that_the_kernel_refuses_is_told_by_its_name() {
    let namespace = ["unshare", "--user", "--map-root-user"];
    let possible =
        Command::new(namespace[0]).args(&namespace[1..]).arg("true").stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no user namespace can be had");
        return;
    }
    for (more, said) in [
        ("user = 'nobody'", "set supplementary groups \"…\": Operation not permitted"),
        ("supplementary_groups = []", "give up supplementary groups: Operation not permitted"),
    ] {
        let config = support::service("web", free_port(), &["true"], more);
        let mut supervised = Stage::new().through(&namespace).launch(&config);
        supervised
            .wait_for(&format!("web generation=1 could not be started: {said}; the service stays down"));
        assert_eq!(supervised.wait_exit(), 1);
        assert_eq!(supervised.offspring(), []);
    }
}

#[test]
fn whoever_is_not_root_is_told_so_before_anything_is_started() {
    let (stage, program) = public(Path::new(env!("CARGO_BIN_EXE_bootstrap")));
    let config = "[[service]]\nname = 'a'\nuser = 'root'\ncommand = 'true'\n\
                  [[service]]\nname = 'b'\nuser = 'no-such-user'\ncommand = 'true'\n\
                  [[service]]\nname = 'c'\ncapabilities = ['chwon']\ncommand = 'true'\n";
    fs::set_permissions(stage.write("a.toml", config), fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(program);
    command.args(["-c", "a.toml"]).current_dir(stage.dir()).stdin(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        command.uid(UID).gid(UID);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for wanted in [
        "service \"a\": `user` is \"root\"\n --> a.toml:3:8",
        "it needs root, or CAP_SETUID: run bootstrap as root, or leave the key out",
        "service \"b\": `user` is \"no-such-user\"\n --> a.toml:7:8",
        "this machine has no such user; create it, or name another",
        "service \"c\": `capabilities` is \"chwon\"\n  --> a.toml:11:17",
        "did you mean \"chown\"?",
    ] {
        assert!(said.contains(wanted), "{wanted}\nin\n{said}");
    }
}

/// To look needs no right but to read: `logs` once refused the whole file, and `check` did not say what was missing.
#[test]
fn whoever_is_not_root_checks_a_file_of_root_and_reads_its_logs() {
    if !is_root() {
        return;
    }
    let (stage, program) = public(Path::new(env!("CARGO_BIN_EXE_bootstrap")));
    let log = stage.path("a.log");
    let write = |name: &str, text: &str, mode: u32| {
        fs::set_permissions(stage.write(name, text), fs::Permissions::from_mode(mode)).unwrap();
    };
    let service = |more: &str| {
        format!(
            "[[service]]\nname = 'a'\ncommand = 'true'\nuser = 'root'\nnice = -5\nstdout = 'file:{log}'\nstderr = 'file:{log}'\n{more}"
        )
    };
    write("a.toml", &service(""), 0o644);
    write("worse.toml", &service("umask = 1\n"), 0o644);
    write("closed.toml", "", 0o600);
    write("a.log", "a line\n", 0o644);
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).current_dir(stage.dir()).stdin(Stdio::null()).uid(UID).gid(UID);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let note = "note: all that is wrong is that this user lacks rights; check it as the one who runs it";
    let (code, _, said) = nobody(&["-c", "a.toml", "check"]);
    assert!(code == Some(78) && said.contains("it needs root, or CAP_SETUID"), "{said}");
    assert!(said.ends_with(&format!("bootstrap: a.toml: {note}\n")), "{said}");
    let (_, said, _) = nobody(&["-c", "a.toml", "check", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(format!("note: {}", told["notes"][0].as_str().unwrap()), note, "{said}");
    let (_, _, said) = nobody(&["-c", "worse.toml", "check"]);
    assert!(said.contains("`umask` is 1") && !said.contains("note:"), "{said}");
    for command in ["check", "logs"] {
        let (code, _, said) = nobody(&["-c", "closed.toml", command]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("cannot be read: Permission denied"), "{said}");
        assert!(said.contains("help: run this as root, or as a user that may read it"), "{said}");
    }
    assert_eq!(nobody(&["-c", "a.toml", "logs"]), (Some(0), "a line\n".into(), String::new()));
    fs::set_permissions(&log, fs::Permissions::from_mode(0o640)).unwrap();
    let (code, printed, said) = nobody(&["-c", "a.toml", "logs"]);
    let denied = "Permission denied (os error 13); read it as root, or as one of the group of the file";
    assert_eq!(said, format!("bootstrap: {log}: {denied}\n"));
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    fs::create_dir(stage.path("closed")).unwrap();
    fs::set_permissions(stage.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let (code, _, said) = nobody(&["-c", "a.toml", "status", "--runtime-dir", "closed"]);
    assert!(code == Some(7) && said.contains("/closed/control: Permission denied"), "{said}");
    assert!(
        said.contains("; only root, the user that it runs as, and members of `control_group` may"),
        "{said}"
    );
}

#[test]
fn a_service_with_a_cgroup_is_in_it_and_leaves_none_behind() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = mounts.lines().filter(|line| line.contains(" - cgroup2 "));
    let mut made = places.filter_map(|line| {
        let tree = Path::new(line.split(' ').nth(4)?).join(format!("bootstrap-e2e-{}", std::process::id()));
        fs::create_dir(&tree).is_ok().then_some(tree)
    });
    let Some(tree) = made.next() else {
        eprintln!("skipped: no cgroup tree of version 2 that may be written to");
        return;
    };
    let path = tree.display();
    let config = support::http("web", free_port(), &format!("cgroup = {{ path = '{path}' }}\nworkers = 2"));
    let supervised = Stage::new().start(&config, &["web"]);
    let is_in = |generation: u32| {
        let process = supervised.pid_of("web", generation);
        let text = fs::read_to_string(format!("/proc/{}/cgroup", process.0)).unwrap();
        assert!(text.lines().any(|line| line.ends_with(&format!("/web/{generation}"))), "{text}");
    };
    is_in(1);
    is_in(2);
    supervised.wait_for("web generation=2 …ready after");
    supervised.signal(Signal::SIGUSR1);
    supervised.wait_for("web generation=4 …ready after");
    is_in(4);
    supervised.stop();
    assert!(!tree.join("web").exists());
    fs::remove_dir(&tree).unwrap();
}

/// Whoever ends makes room: that comes later than the start that needs it.
#[test]
fn a_start_for_which_there_is_no_process_waits_for_one() {
    if !is_root() {
        return;
    }
    let of_somebody = "ready = 'started'\nuser = '54321'\ngroup = '54321'\n";
    let config = format!(
        "[[service]]\nname = 'first'\ncommand = ['sleep', '1']\n{of_somebody}\
         [[service]]\nname = 'next'\ncommand = ['sleep', '60']\nafter = 'first'\nrlimits = {{ nproc = 0 }}\n{of_somebody}"
    );
    let supervised = Stage::new().start(&config, &["first", "next"]);
    supervised.wait_for(" first generation=1 … ended with exit code 0");
    let lines = supervised.lines();
    let at = |wanted: &str| lines.iter().position(|line| line.contains(wanted));
    assert!(at("ended with exit code 0") < at(" next generation=1"), "{supervised}");
    assert!(at(" next generation=1").is_some(), "{supervised}");
    supervised.stop();
}
