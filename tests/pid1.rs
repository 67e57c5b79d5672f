//! As PID 1 of a container: whoever loses his parent becomes its child.

mod support;

use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use support::{Process, Stage, eventually, free_port, get, http, service};

/// What makes a process PID 1 of a namespace of its own.
const CONTAINER: [&str; 4] = ["unshare", "--pid", "--fork", "--mount-proc"];

/// Why there are no namespaces here, if there are none.
fn no_container() -> Option<String> {
    let made = std::process::Command::new(CONTAINER[0]).args(&CONTAINER[1..]).arg("true").output();
    match made {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn as_pid_1_it_reaps_what_others_leave_behind_and_stops_gracefully() {
    if let Some(why) = no_container() {
        println!("skipped: no namespace of processes can be made here: {why}");
        return;
    }
    let (web, forks) = (free_port(), free_port());
    let stage = Stage::new();
    let done = stage.path("done");
    // Each of them loses its parent at once, and ends when it has written its line.
    let script = format!(
        "for i in 1 2 3 4 5; do (sh -c 'until [ -e {done}.go ]; do sleep 0.05; done; echo $PPID >>{done}' &); done; exec sleep 600"
    );
    let unspoken = "ready = \"started\"\nhandshake = \"none\"";
    let config = http("web", web, "") + &service("forks", forks, &["sh", "-c", &script], unspoken);
    // Pids in its log are those of the namespace.
    let mut supervised = stage.through(&CONTAINER).launch(&config);
    supervised.wait_for(" web generation=1 … ready");
    let outer = supervised.process();
    eventually("it was forked", || outer.children().len() == 1);
    let first = outer.children()[0];
    assert_eq!(first.status("NSpid").unwrap().split_whitespace().last(), Some("1"), "it is no PID 1");
    eventually("the orphans are its children", || first.children().len() == 2 + 5);
    supervised.stage.write("done.go", "");
    eventually("they are reaped", || first.children().len() == 2);
    let written = std::fs::read_to_string(&done).unwrap();
    assert_eq!(written.lines().count(), 5, "{written}");
    assert!(!supervised.said("nobody had asked it to"), "an orphan is nobody's exit\n{supervised}");
    assert_eq!(get(web, "/").unwrap().generation(), 1);

    let children: Vec<Process> = first.children();
    first.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    supervised.wait_for(" web generation=1 … exit code 0");
    assert!(children.iter().all(|child| !child.is_alive()));
}

/// Whom a stopped service leaves behind is told by number and command, ended and reaped, although it is nobody's child.
#[test]
fn as_pid_1_it_names_and_ends_what_a_service_leaves_behind() {
    if let Some(why) = no_container() {
        println!("skipped: no namespace of processes can be made here: {why}");
        return;
    }
    let port = free_port();
    let script = "trap 'exit 0' TERM; sh -c 'trap \"\" TERM; exec sleep 601' & while :; do sleep 0.05; done";
    let unspoken =
        "ready = \"started\"\nhandshake = \"none\"\ndrain_timeout = \"100ms\"\nstop_timeout = \"100ms\"";
    let config = service("leaves", port, &["sh", "-c", script], unspoken);
    let mut supervised = Stage::new().through(&CONTAINER).launch(&config);
    supervised.wait_for(" leaves generation=1 … ready");
    let outer = supervised.process();
    eventually("it was forked", || outer.children().len() == 1);
    let first = outer.children()[0];
    let main = || first.children().into_iter().find(|child| child.arguments().contains(&script.to_owned()));
    eventually("it has started", || main().is_some());
    let sleeps = |child: &Process| child.arguments() == ["sleep", "601"];
    eventually("its child sleeps", || main().is_some_and(|main| main.children().iter().any(sleeps)));
    let main = main().unwrap();
    let left = main.children().into_iter().find(sleeps).unwrap();
    let number = left.status("NSpid").unwrap().split_whitespace().last().unwrap().to_owned();
    first.signal(SIGUSR1);
    supervised.wait_for(&format!(" leaves generation=1 … left behind: {number} (sleep 601)"));
    supervised.wait_for(" leaves generation=1 … the last process of its group has ended");
    assert_eq!(left.state(), None, "it is a zombie still\n{supervised}");
    supervised.wait_for(" leaves generation=2 … ready");
    first.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
}

/// A service in a container whose log file is on a disk that is too small for what it said.
fn with_a_full_disk() -> Option<support::Supervised> {
    if let Some(why) = no_container() {
        println!("skipped: no namespace of processes can be made here: {why}");
        return None;
    }
    let stage = Stage::new();
    let (small, done) = (stage.path("small"), stage.path("done"));
    std::fs::create_dir(&small).unwrap();
    let mount = format!("mount -t tmpfs -o size=64k tmpfs {small} && exec \"$@\"");
    let script =
        format!("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done; touch {done}; exec sleep 600");
    let config = format!(
        "[[service]]\nname = \"a\"\ncommand = [\"sh\", \"-c\", {script:?}]\nstdout = \"file:{small}/a.log\"\n"
    );
    let supervised = stage.through(&[&CONTAINER[..], &["sh", "-c", &mount, "sh"]].concat()).launch(&config);
    eventually("it has said all", || std::path::Path::new(&done).exists());
    supervised.wait_for("No space left on device; lines wait, and services go on");
    Some(supervised)
}

/// It was taken for one that a service had left behind, and died with its lines, without a word of them.
#[test]
fn as_pid_1_it_waits_for_the_log_writer_which_tells_what_is_lost() {
    let Some(mut supervised) = with_a_full_disk() else { return };
    supervised.process().children()[0].signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    supervised.wait_for("it would die with this PID 1, which waits for it 11s at most: SIGTERM ends that");
    supervised.wait_for("the log writer ends; … are lost");
    assert!(!supervised.said("left without a service"), "{supervised}");
}

#[test]
fn as_pid_1_it_waits_for_the_log_writer_no_longer_than_somebody_wants() {
    let Some(mut supervised) = with_a_full_disk() else { return };
    let first = supervised.process().children()[0];
    first.signal(SIGTERM);
    supervised.wait_for("it would die with this PID 1");
    first.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
    assert!(!supervised.said("the log writer ends"), "{supervised}");
}

/// A daemon has left its service, and would die with PID 1 without a word.
#[test]
fn as_pid_1_it_asks_those_to_end_who_are_left_without_a_service() {
    if let Some(why) = no_container() {
        println!("skipped: no namespace of processes can be made here: {why}");
        return;
    }
    let stage = Stage::new();
    let (up, saved) = (stage.path("up"), stage.path("saved"));
    // It takes a while to save what it has.
    let daemon =
        format!("trap 'sleep 0.3; touch {saved}; exit 0' TERM; touch {up}; while :; do sleep 0.05; done");
    let stubborn = "trap '' TERM; exec sleep 602";
    let script = "setsid sh -c \"$0\" & setsid sh -c \"$1\" & exec sleep 600";
    let config = service("forks", 0, &["sh", "-c", script, &daemon, stubborn], "ready = \"started\"")
        .replace("listen = [\"tcp://127.0.0.1:0\"]\n", "");
    let mut supervised = stage.through(&CONTAINER).launch(&config);
    eventually("the daemon is there", || std::path::Path::new(&up).exists());
    let outer = supervised.process();
    let first = outer.children()[0];
    eventually("the other one is there", || {
        supervised.offspring().iter().any(|child| child.arguments() == ["sleep", "602"])
    });
    first.signal(SIGTERM);
    supervised.wait_for(" bootstrap left without a service: … (sleep 602)");
    eventually("it has saved what it had", || std::path::Path::new(&saved).exists());
    // Who does not want to wait for the other one asks again.
    first.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0, "{supervised}");
}
