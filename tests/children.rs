//! What a server is born with, and what not.

mod support;

use bootstrap::limits::OWN_DESCRIPTORS;
use caps::{CapSet, Capability, has_cap};
use nix::sys::signal::Signal::{SIGHUP, SIGUSR1};
use std::fs;
use support::{Process, Stage, Supervised, free_port, service};

const USR1: u64 = 1 << (libc::SIGUSR1 - 1);

/// A service without a socket, whose process does nothing at all.
const IDLE: &str = "[[service]]\nname = \"idle\"\ncommand = [\"sleep\", \"1000\"]\n";

/// The only process of a service `web` that has a socket and a pipe; the shell drops both numbers.
fn with_socket(stage: Stage) -> (Supervised, Process) {
    let config =
        service("web", free_port(), &["sh", "-c", "exec sleep 1000"], "handover_timeout = \"100ms\"");
    let supervised = stage.start(&config, &["web"]);
    let process = supervised.pid_of("web", 1);
    support::eventually("the shell has become sleep", || {
        process.arguments().first().is_some_and(|name| name == "sleep")
    });
    (supervised, process)
}

/// Started by somebody who left signals ignored and blocked.
fn spoilt() -> Stage {
    Stage::new().through(&[
        "env",
        "--ignore-signal=PIPE,HUP,INT,USR2,CHLD",
        "--block-signal=USR1,USR2,TERM,CHLD",
    ])
}

#[test]
fn every_signal_has_its_default_and_none_is_blocked() {
    for stage in [Stage::new(), spoilt()] {
        let supervised = stage.start(IDLE, &["idle"]);
        let process = supervised.pid_of("idle", 1);
        for field in ["SigBlk", "SigIgn", "SigCgt"] {
            assert_eq!(process.signals(field), 0, "{field} in hex: {:x}", process.signals(field));
        }
        supervised.stop();
    }
}

#[test]
fn a_handshake_server_is_born_with_usr1_ignored_and_nothing_else() {
    for stage in [Stage::new(), spoilt()] {
        let (supervised, process) = with_socket(stage);
        assert_eq!([process.signals("SigBlk"), process.signals("SigIgn")], [0, USR1]);
        supervised.stop();
    }
}

#[test]
fn it_has_the_standard_descriptors_and_what_it_was_granted() {
    // Two descriptors that somebody left open for us.
    let stage = Stage::new().through(&["bash", "-c", "exec 7</dev/null 9>/dev/null; exec \"$@\"", "sh"]);
    let (supervised, process) = with_socket(stage);
    // It may read a file of its own while it starts.
    let mut descriptors = process.descriptors();
    support::eventually("it has six", || {
        descriptors = process.descriptors();
        descriptors.len() == 6
    });
    let numbers: Vec<i32> = descriptors.iter().map(|(fd, _)| *fd).collect();
    assert_eq!(numbers.len(), 6, "{descriptors:?}");
    assert_eq!(numbers[..3], [0, 1, 2], "{descriptors:?}");
    let given = &descriptors[3..];
    assert!(given.iter().any(|(_, what)| what.starts_with("socket:")), "{descriptors:?}");
    // The pipe, and its other end: whatever is said on it, somebody could read it.
    let ends: Vec<&String> =
        given.iter().map(|(_, what)| what).filter(|what| what.starts_with("pipe:")).collect();
    assert!(ends.len() == 2 && ends[0] == ends[1], "{descriptors:?}");
    supervised.stop();
}

#[test]
fn the_hundredth_generation_of_a_neighbour_has_no_descriptor_more_than_the_first() {
    let config = IDLE.to_owned() + &support::http("web", free_port(), "");
    let supervised = Supervised::start(&config, &["idle", "web"]);
    for generation in 2..=100 {
        supervised.wait_for(&format!(" web generation={} … ready after", generation - 1));
        supervised.signal(SIGUSR1);
        supervised.pid_of("idle", generation);
    }
    let process = supervised.pid_of("idle", 100);
    // As above: what it opens itself it closes again.
    let mut descriptors = process.descriptors();
    support::comes_true(|| {
        descriptors = process.descriptors();
        descriptors.len() == 3
    });
    assert_eq!(descriptors.len(), 3, "{descriptors:?}");
    supervised.stop();
}

#[test]
fn it_leads_a_session_and_a_process_group_of_its_own() {
    let supervised = Supervised::start(IDLE, &["idle"]);
    let process = supervised.pid_of("idle", 1);
    assert_eq!(process.group(), Some(process.0));
    // Whoever leads one has a terminal only where it has opened one.
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(process.0))).unwrap();
    assert_eq!(session.as_raw(), process.0);
    assert_eq!(process.parent(), Some(supervised.process().0));
    supervised.stop();
}

#[test]
fn it_has_the_limit_of_descriptors_that_bootstrap_was_started_with() {
    let supervised = Stage::new().through(&["prlimit", "--nofile=300:4000"]).start(IDLE, &["idle"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", supervised.pid_of("idle", 1).0)).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[3..5], ["300", "4000"]);
    supervised.stop();
}

/// The soft and the hard limit of descriptors of a process.
fn limit(process: Process) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.0)).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    (words[3].into(), words[4].into())
}

/// What many services take was once made the hard limit of everybody, where that had been higher.
#[test]
fn it_has_that_limit_whatever_bootstrap_needs_for_itself() {
    let idle = |count: usize| -> String {
        let service = |n: usize| {
            IDLE.replace("\"idle\"", &format!("\"idle-{n}\""))
                + "stdout = \"journal\"\nstderr = \"journal\"\n"
        };
        (0..count).map(service).collect()
    };
    let both = |soft: usize, hard: usize| (soft.to_string(), hard.to_string());
    // Two pipes for each, and as many for those who start in their places.
    let needed = |count: usize| OWN_DESCRIPTORS + 4 * count;
    let limits = format!("--nofile={}:4000", needed(5));
    let supervised = Stage::new().through(&["prlimit", &limits]).start(&idle(10), &["idle-9"]);
    assert_eq!(limit(supervised.process()), both(4000, 4000));
    assert_eq!(limit(supervised.pid_of("idle-9", 1)), both(needed(5), 4000));
    supervised.stop();

    if !has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap() {
        eprintln!("skipped: only who has CAP_SYS_RESOURCE raises a hard limit");
        return;
    }
    let limits = format!("--nofile={}:{}", needed(5), needed(6));
    let supervised = Stage::new().through(&["prlimit", &limits]).start(&idle(10), &["idle-9"]);
    assert_eq!(limit(supervised.process()), both(needed(10), needed(10)));
    assert_eq!(limit(supervised.pid_of("idle-9", 1)), both(needed(5), needed(10)));
    supervised.stage.write("services.toml", &idle(20));
    supervised.signal(SIGHUP);
    // Children were promised what bootstrap was started with, and not what it has by now.
    assert_eq!(limit(supervised.pid_of("idle-19", 1)), both(needed(5), needed(10)));
    assert_eq!(limit(supervised.process()), both(needed(20), needed(20)));
    supervised.stop();
}

#[test]
fn it_sees_who_it_is_and_never_the_selector() {
    let stage = Stage::new().env("BOOTSTRAP_SELECT", "*").env("INHERITED", "yes").env("COLOUR", "grey");
    stage.write("idle.env", "FROM_FILE=yes\nCOLOUR=blue\nSIZE=small\n");
    let config = IDLE.to_owned()
        + "env_file = \"idle.env\"\nenv = { SIZE = \"big\", WHO = \"{worker}/{generation}\" }\n";
    let supervised = stage.start(&config, &["idle"]);
    supervised.signal(SIGUSR1);
    let environment = supervised.pid_of("idle", 2).environment();
    for wanted in [
        "BOOTSTRAP_SERVICE=idle",
        "BOOTSTRAP_GENERATION=2",
        "BOOTSTRAP_WORKER=0",
        "INHERITED=yes",
        "FROM_FILE=yes",
        "COLOUR=blue",
        "SIZE=big",
        "WHO=0/2",
    ] {
        assert!(environment.iter().any(|variable| variable == wanted), "no {wanted} in {environment:?}");
    }
    assert!(!environment.iter().any(|variable| variable.starts_with("BOOTSTRAP_SELECT=")), "{environment:?}");
    supervised.stop();
}

#[test]
fn it_starts_in_its_directory() {
    let stage = Stage::new();
    let place = stage.dir().join("place");
    fs::create_dir(&place).unwrap();
    let config = format!("{IDLE}directory = {:?}\n", place.to_str().unwrap());
    let supervised = stage.start(&config, &["idle"]);
    assert_eq!(supervised.pid_of("idle", 1).directory(), place.canonicalize().unwrap());
    supervised.stop();
}

#[test]
fn its_arguments_end_with_listener_and_pipe_unless_it_places_them_itself() {
    let (a, b) = (free_port(), free_port());
    let config =
        service("appended", a, &["sh", "-c", "sleep 1000; :", "own"], "handover_timeout = \"100ms\"")
            + &service(
                "placed",
                b,
                &["sh", "-c", "sleep 1000; :", "{port}:{fd}:{{fd}}"],
                "handshake = \"none\"",
            );
    let supervised = Supervised::start(&config, &["appended", "placed"]);
    let appended = supervised.pid_of("appended", 1);
    let numbers: Vec<i32> = appended.arguments()[4..].iter().map(|text| text.parse().unwrap()).collect();
    let what = |fd| appended.descriptors().into_iter().find(|(number, _)| *number == fd).unwrap().1;
    assert_eq!(numbers.len(), 2);
    assert!(what(numbers[0]).starts_with("socket:") && what(numbers[1]).starts_with("pipe:"));

    let placed = supervised.pid_of("placed", 1).arguments();
    assert_eq!(placed.len(), 4, "{placed:?}");
    let fd = placed[3].split(':').nth(1).unwrap();
    assert!(fd.parse::<i32>().is_ok(), "{placed:?}");
    assert_eq!(placed[3], format!("{b}:{fd}:{{fd}}"));
}
