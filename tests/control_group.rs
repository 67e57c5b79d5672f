//! Who may speak to the control socket: the owner, root, and whom the config grants it.

#![expect(clippy::disallowed_methods, reason = "a member is a process of its own")]

mod support;

use nix::sys::signal::Signal::SIGHUP;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use support::{Stage, Supervised, Wire, free_port, http};

/// Numbers that no user and no group of the machine has.
const USER: u32 = 54_321;
const GROUP: u32 = 54_322;

fn config(port: u16, more: &str) -> String {
    format!("[bootstrap]\n{more}\n") + &http("web", port, "ready = \"pipe\"")
}

/// A supervisor whose stage everybody may enter, with a copy of the program, since the checkout may be closed to others.
/// None where nobody else can be tried, which is said.
fn public(more: &str) -> Option<Supervised> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return None;
    }
    let stage = Stage::public();
    stage.install(env!("CARGO_BIN_EXE_bootstrap"), "bootstrap");
    let supervised = stage.start(&config(free_port(), more), &["web"]);
    supervised.wait_for(" web generation=1 … ready after");
    Some(supervised)
}

/// Runs a command as another user, in these groups besides its own; what it says, and how it ends.
fn run_as(supervised: &Supervised, groups: &str, words: &str) -> (String, Option<i32>) {
    let stage = supervised.stage.dir();
    let output = Command::new("setpriv")
        .arg(format!("--reuid={USER}"))
        .arg(format!("--regid={USER}"))
        .arg(groups)
        .arg(stage.join("bootstrap"))
        .args(["-c", "services.toml"])
        .args(words.split(' '))
        .arg("--runtime-dir")
        .arg(stage.join("run"))
        .current_dir(stage)
        .env_remove("BOOTSTRAP_SELECT")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), output.status.code())
}

#[test]
fn another_user_is_refused_whatever_the_modes_are() {
    let Some(supervised) = public("") else { return };
    let (said, code) = run_as(&supervised, "--clear-groups", "status");
    assert!(code == Some(7) && said.contains("Permission denied"), "{said}");
    // Somebody opens it for all, and still it is not for all.
    let run = supervised.stage.dir().join("run");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(run.join("control"), fs::Permissions::from_mode(0o666)).unwrap();
    for words in ["status", "restart", "events"] {
        let (said, code) = run_as(&supervised, "--clear-groups", words);
        let expected = format!("the user {USER} may not speak to this supervisor; see `control_group`");
        assert!(code == Some(1) && said.contains(&expected), "{words}: {said}");
    }
    supervised.stop();
}

#[test]
fn a_member_of_the_group_may_do_what_the_config_grants() {
    let Some(mut supervised) = public(&format!("control_group = {GROUP}")) else { return };
    let member = format!("--groups={GROUP}");
    let (said, code) = run_as(&supervised, &member, "status");
    assert!(code == Some(0) && said.contains("web"), "{said}");
    assert_eq!(run_as(&supervised, &member, "plan").1, Some(0));
    for words in ["restart web", "stop", "hold", "release", "start", "reload", "signal HUP"] {
        let (said, code) = run_as(&supervised, &member, words);
        assert!(code == Some(1) && said.contains("may look, not act"), "{words}: {said}");
    }
    assert!(!supervised.said("asked for by"), "{supervised}");
    let (said, code) = run_as(&supervised, "--clear-groups", "status");
    assert!(code == Some(7) && said.contains("Permission denied"), "who is not in it: {said}");

    let file = fs::read_to_string(supervised.stage.dir().join("services.toml")).unwrap();
    let grant = |supervised: &mut Supervised, lines: &str| {
        let (_, services) = file.split_once("[[service]]").unwrap();
        supervised.stage.write("services.toml", &format!("[bootstrap]\n{lines}\n[[service]]{services}"));
        supervised.forget();
        supervised.signal(SIGHUP);
        supervised.wait_for("config applied");
    };
    grant(&mut supervised, &format!("control_group = {GROUP}\ncontrol_rights = \"full\""));
    let (said, code) = run_as(&supervised, &member, "restart web");
    assert!(code == Some(0) && said.contains("web: up: generation 2"), "{said}");
    supervised.wait_for(&format!("restart web: asked for by user {USER}, pid "));
    grant(&mut supervised, "");
    let (said, code) = run_as(&supervised, &member, "status");
    assert!(code == Some(7) && said.contains("Permission denied"), "{said}");
    supervised.stop();
}

/// A member that stays connected: each line that it is given is a request, and what comes back is told.
fn connected(supervised: &Supervised) -> (Child, impl FnMut(&str) -> String + use<>) {
    // It was started by root: others may not be let near the interpreter.
    const TALK: &str = "import os, socket, sys
path, user, group = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.setgroups([group]), os.setgid(user), os.setuid(user)
s = socket.socket(socket.AF_UNIX)
s.connect(path)
said = s.makefile('r')
for line in sys.stdin:
    try:
        s.send(line.encode())
    except OSError:
        pass
    print(said.readline().strip(), flush=True)";
    let stage = supervised.stage.dir();
    let mut child = Command::new("python3")
        .args(["-c", TALK])
        .arg(stage.join("run/control"))
        .args([USER, GROUP].map(|number| number.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut asks, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = BufReader::new(answers).lines();
    let ask = move |request: &str| {
        writeln!(asks, "{{\"version\":1,{request}}}").unwrap();
        answers.next().unwrap().unwrap()
    };
    (child, ask)
}

/// They are looked at for each request, and not when somebody connects.
#[test]
fn rights_that_a_reload_takes_away_are_gone_for_those_who_are_connected_too() {
    let full = format!("control_group = {GROUP}\ncontrol_rights = \"full\"");
    let Some(mut supervised) = public(&full) else { return };
    let (mut member, mut ask) = connected(&supervised);
    let (mut follower, mut follow) = connected(&supervised);
    assert!(ask("\"request\":\"version\"").contains("\"rights\":\"full\""));
    assert!(follow("\"request\":\"events\"").contains("following"));

    let file = fs::read_to_string(supervised.stage.dir().join("services.toml")).unwrap();
    let mut becomes = |from: &str, to: &str| {
        supervised.stage.write("services.toml", &file.replace(&full, from).replace(from, to));
        supervised.forget();
        supervised.signal(SIGHUP);
        supervised.wait_for("config applied");
    };
    let read = format!("control_group = {GROUP}");
    becomes(&full, &read);
    assert!(ask("\"request\":\"version\"").contains("\"rights\":\"read\""));
    let said = ask("\"request\":\"restart\",\"services\":[\"web\"]");
    assert!(said.contains("\"forbidden\""), "{said}");

    becomes(&read, "");
    let said = ask("\"request\":\"version\"");
    assert!(said.contains("\"forbidden\"") && said.contains("may not speak to this supervisor"), "{said}");
    assert_eq!(ask("\"request\":\"version\""), "", "it is closed");
    // What came before is told, and then it is over.
    let told = std::iter::repeat_with(|| follow("")).take(9).collect::<Vec<_>>();
    assert!(told.iter().any(|line| line.contains("\"forbidden\"")), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some(""));
    drop((ask, follow));
    member.wait().unwrap();
    follower.wait().unwrap();
    supervised.stop();
}

/// Whoever owns the directory could put a socket of his own into it.
#[test]
fn a_runtime_directory_of_another_user_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give a directory away");
        return;
    }
    let stage = Stage::new();
    let theirs = stage.dir().join("theirs");
    fs::create_dir(&theirs).unwrap();
    std::os::unix::fs::chown(&theirs, Some(USER), Some(USER)).unwrap();
    stage.write("a.toml", &config(free_port(), &format!("runtime_dir = {theirs:?}")));
    let output = stage.run(&["-c", "a.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("it belongs to the user {USER}, and bootstrap runs as 0");
    assert!(output.status.code() == Some(1) && said.contains(&expected), "{said}");
}

#[test]
fn a_group_that_does_not_exist_is_a_mistake() {
    let stage = Stage::new();
    stage.write("a.toml", &config(free_port(), "control_group = \"no-such-group\""));
    let output = stage.run(&["-c", "a.toml", "check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(78) && said.contains("this machine has no such group"), "{said}");
}

/// Other programs of the user have taken all that tells of changes in a directory.
#[test]
fn without_inotify_there_are_commands_all_the_same() {
    const USER: [&str; 3] = ["setpriv", "--reuid=54322", "--clear-groups"];

    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root becomes a user who has taken it all");
    }
    let hog = format!("1 while syscall({}, 0) >= 0; $| = 1; print 1; <STDIN>", libc::SYS_inotify_init1);
    let mut hog = Command::new(USER[0])
        .args(&USER[1..])
        .args(["perl", "-e", &hog])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hog.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let stage = Stage::public();
    let copy = stage.install(env!("CARGO_BIN_EXE_bootstrap"), "bootstrap");
    let stage = stage.through(&USER).program(&copy).env("RUNTIME_DIRECTORY", "");
    let config = "[[service]]\nname = 'a'\ncommand = ['sleep', '60']\nready = 'started'\n";
    let supervised = stage.start(config, &["a"]);
    supervised.wait_for(" a generation=1 … ready after");
    let socket = std::path::Path::new("/tmp/bootstrap-54322/services/control");
    let status = Wire::connect(socket).unwrap().ask("\"status\"");
    assert_eq!(status["services"][0]["state"], "up", "{supervised}");
    // Once there is room again the next reload sees to it that a removal is noticed.
    hog.kill().unwrap();
    hog.wait().unwrap();
    supervised.signal(SIGHUP);
    supervised.wait_for("config applied");
    std::fs::remove_file(socket).unwrap();
    supervised.wait_for("control socket … again");
    supervised.stop();
}
