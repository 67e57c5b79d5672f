//! What docs/security.md says of whoever wants more than he may have: each attack here is one that was tried.

mod support;

use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Output};
use support::{Process, Stage, Supervised, eventually, example, free_port, http};

/// A number that no user and no group of the machine has.
const STRANGER: u32 = 54_321;

/// Only root can be somebody else, to try what that one can do.
fn is_root() -> bool {
    let is = nix::unistd::geteuid().is_root();
    if !is {
        eprintln!("skipped: only root can become somebody else");
    }
    is
}

/// Runs a shell as a stranger, in these groups besides its own.
fn as_stranger(stage: &Stage, groups: &str, script: &str) -> Output {
    let id = [format!("--reuid={STRANGER}"), format!("--regid={STRANGER}")];
    let mut command = Command::new("setpriv");
    command.args(id).arg(groups).args(["sh", "-c", script]).current_dir(stage.dir());
    command.output().expect("setpriv; run tests/install")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Found in a review: systemd makes `RuntimeDirectory` for everybody to enter, and the records of the runs, with the values
/// of their variables, could be read by all users of the machine.
#[test]
fn secrets_of_a_service_are_read_by_nobody_whoever_may_enter_the_runtime_directory() {
    if !is_root() {
        return;
    }
    let stage = Stage::public();
    fs::create_dir(stage.dir().join("run")).unwrap();
    fs::set_permissions(stage.dir().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let port = free_port();
    let config = format!("[bootstrap]\ncontrol_group = {STRANGER}\n\n")
        + &http("web", port, "ready = \"pipe\"\nenv = { PASSWORD = \"xyzzy\" }");
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    // Root finds it where it is, so that the search below is one.
    let run = supervised.stage.path("run");
    let search = format!("grep -r -l -a xyzzy {run} /proc/{}/environ", supervised.pid_of("web", 1).0);
    let root = Command::new("sh").args(["-c", &search]).output().unwrap();
    assert!(String::from_utf8_lossy(&root.stdout).contains("/records"), "{root:?}");
    for groups in ["--clear-groups", &format!("--groups={STRANGER}")] {
        let found = as_stranger(&supervised.stage, groups, &search);
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "{groups}");
    }
    assert_eq!(mode(Path::new(&run).join("records").as_path()), 0o600);
    supervised.stop();
}

/// Found in a review: whoever can open a file can lock it, and nobody could start a supervisor any more.
#[test]
fn a_stranger_cannot_hold_the_lock_of_a_supervisor_that_is_down() {
    if !is_root() {
        return;
    }
    let stage = Stage::public();
    fs::create_dir(stage.dir().join("run")).unwrap();
    fs::set_permissions(stage.dir().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let supervised = stage.start(&http("web", free_port(), ""), &["web"]);
    let lock = supervised.stage.path("run/lock");
    let held = as_stranger(&supervised.stage, "--clear-groups", &format!("flock --nonblock {lock} true"));
    let said = String::from_utf8_lossy(&held.stderr).into_owned();
    assert!(!held.status.success() && said.contains("Permission denied"), "{said}");
    supervised.stop();
}

/// Somebody was faster, and the directory below /tmp is his, or leads where he wants.
#[test]
fn a_runtime_directory_that_a_stranger_has_made_is_refused() {
    if !is_root() {
        return;
    }
    let stage = Stage::public();
    let theirs = stage.dir().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let ours = stage.dir().join("ours");
    fs::create_dir(&ours).unwrap();
    // His symbolic link to what is ours, in a directory where everybody may put something.
    symlink(&ours, stage.dir().join("link")).unwrap();
    std::os::unix::fs::lchown(stage.dir().join("link"), Some(STRANGER), None).unwrap();
    chown(&theirs, Some(STRANGER), None).unwrap();
    let service = http("web", free_port(), "");
    for (directory, why) in [
        ("theirs", format!("it belongs to the user {STRANGER}")),
        ("theirs/run", format!("on the way to it belongs to the user {STRANGER}")),
        ("link/run", format!("on the way to it belongs to the user {STRANGER}")),
    ] {
        let directory = stage.path(directory);
        stage.write("a.toml", &format!("[bootstrap]\nruntime_dir = \"{directory}\"\n\n{service}"));
        let output = stage.run(&["-c", "a.toml"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(&why), "{directory}: {said}");
    }
    assert_eq!(
        fs::read_dir(&ours).unwrap().filter(|entry| entry.as_ref().unwrap().file_name() != "run").count(),
        0
    );
}

/// A client goes where supervisors are by custom; below /tmp anybody could wait for it there.
#[test]
fn a_client_does_not_speak_to_a_stranger_whom_nobody_named() {
    if !is_root() {
        return;
    }
    let stage = Stage::public();
    let program = stage.install(env!("CARGO_BIN_EXE_bootstrap"), "bootstrap");
    stage.write("trap-of-a-stranger.toml", &http("web", free_port(), ""));
    // Root listens for the stranger's own clients; what counts is that the other end is neither of both.
    let other = STRANGER + 1;
    let directory = format!("/tmp/bootstrap-{STRANGER}/trap-of-a-stranger");
    fs::create_dir_all(&directory).unwrap();
    let script = format!("exec socat UNIX-LISTEN:{directory}/control,mode=666,fork SYSTEM:'echo \"{{}}\"'");
    chown(&directory, Some(other), None).unwrap();
    let mut trap = Command::new("setpriv");
    trap.args([
        &format!("--reuid={other}"),
        &format!("--regid={other}"),
        "--clear-groups",
        "sh",
        "-c",
        &script,
    ]);
    #[expect(clippy::disallowed_methods, reason = "a process of the test")]
    let mut trap = trap.spawn().expect("socat; run tests/install");
    let socket = Path::new(&directory).join("control");
    eventually("the trap is set", || socket.exists());
    let output = as_stranger(
        &stage,
        "--clear-groups",
        &format!("unset XDG_RUNTIME_DIR; exec {program} -c trap-of-a-stranger.toml status"),
    );
    trap.kill().unwrap();
    trap.wait().unwrap();
    fs::remove_dir_all(format!("/tmp/bootstrap-{STRANGER}")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(7) && said.contains("another user listens there"), "{said}");
}

/// A supervisor with a service of systemd's kind that says READY=1 only when its file is there.
fn waits_for_ready(user: &str) -> Supervised {
    let stage = Stage::public();
    let script = "until [ -e go ]; do sleep 0.05; done; systemd-notify --ready; exec sleep 600";
    let config = format!(
        "[[service]]\nname = \"web\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\nhandshake = \"systemd\"\nready = \"notify\"\n{user}\n"
    );
    stage.start(&config, &["web"])
}

/// The name of the socket can be read by everybody; who spoke is said by the kernel.
#[test]
fn a_stranger_is_not_heard_on_a_notify_socket_and_stops_nobody_who_is() {
    let supervised = waits_for_ready("");
    let web = supervised.pid_of("web", 1);
    let environment = web.environment();
    let name = environment.iter().find_map(|variable| variable.strip_prefix("NOTIFY_SOCKET=@")).unwrap();
    let address = {
        use std::os::linux::net::SocketAddrExt as _;
        std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()
    };
    let socket = UnixDatagram::unbound().unwrap();
    for _ in 0..1_000 {
        // It waits where the queue is full: what was sent before has been read.
        socket.send_to_addr(b"READY=1\nMAINPID=1\nSTOPPING=1\nSTATUS=\x1b[31m", &address).unwrap();
    }
    assert!(!supervised.said(" web generation=1 … ready after"), "{supervised}");
    assert!(!supervised.said("stopping"), "{supervised}");
    supervised.stage.write("go", "");
    supervised.wait_for(" web generation=1 … ready after");
    supervised.stop();
}

/// An `exec` check is a program of the service, not of bootstrap.
#[test]
fn a_check_runs_as_the_user_of_its_service_and_can_gain_no_more() {
    if !is_root() {
        return;
    }
    let stage = Stage::public();
    let seen = stage.dir().join("seen");
    fs::create_dir(&seen).unwrap();
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o777)).unwrap();
    let copy = stage.install(example("http"), "http");
    let config = format!(
        "[[service]]\nname = \"web\"\nlisten = [\"tcp://127.0.0.1:{}\"]\ncommand = [\"{copy}\"]\nuser = \"nobody\"\n\
         no_new_privs = true\ncapabilities = []\nready = \"exec\"\n\
         check = {{ exec = [\"sh\", \"-c\", \"cat /proc/self/status >seen/new && mv seen/new seen/status\"] }}\n",
        free_port()
    );
    let supervised = stage.start(&config, &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    let status = fs::read_to_string(supervised.stage.dir().join("seen/status")).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let uid = nobody.uid.as_raw();
    for line in [
        format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"),
        "CapEff:\t0000000000000000".into(),
        "CapBnd:\t0000000000000000".into(),
        "NoNewPrivs:\t1".into(),
    ] {
        assert!(status.contains(&line), "{line}\n{status}");
    }
    supervised.stop();
}

/// A record says whom to take over, and later whom to signal. Only what bootstrap wrote itself is read: the directory is
/// closed to others, and a process that is not the one of the record is left alone.
#[test]
fn a_forged_record_makes_no_process_of_others_ours() {
    let mut supervised =
        Supervised::start(&http("web", free_port(), "ready = \"pipe\"\nrestart = \"always\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    let file = supervised.stage.dir().join("run/records");
    let text = fs::read_to_string(&file).unwrap();
    let web = supervised.pid_of("web", 1);
    // As if the pid were another's by now: this test's own.
    let own = std::process::id();
    let forged = text.replace(&format!(" {} ", web.0), &format!(" {own} "));
    assert_ne!(forged, text);
    fs::write(&file, forged).unwrap();
    supervised.kill_and_start_again();
    supervised.wait_for(&format!(" web generation=1 pid={own} … it has ended since"));
    // The true one still has the address: that is told with its pid, and it is left alone as well.
    supervised.wait_for(&format!("Address already in use by http, pid {}", web.0));
    assert_eq!(supervised.wait_exit(), 1, "{supervised}");
    assert!(web.is_alive());
    web.signal(Signal::SIGKILL);
    assert!(Process(i32::try_from(own).unwrap()).is_alive());
}

/// No core file of the supervisor or of a server tells secrets to others: the limit is the config's to set, and no file of
/// ours is open to all.
#[test]
fn what_is_made_in_the_runtime_directory_is_for_its_owner_alone() {
    let supervised = Supervised::start(&http("web", free_port(), "ready = \"pipe\""), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    let run = supervised.stage.dir().join("run");
    assert_eq!(mode(&run), 0o700);
    for entry in fs::read_dir(&run).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    // Whoever could listen there would be taken for it.
    assert!(UnixListener::bind(run.join("control")).is_err());
    supervised.stop();
}
