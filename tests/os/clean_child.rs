//! What a child inherits: what it was given, and nothing else.

use crate::slice::slice;
use crate::world::{World, alone, code, descriptors, has_children, script, service};
use bootstrap::core::{Action, Event, RunEvent};
use bootstrap::limits::SLICE_OF_TIME;
use bootstrap::plan::{Address, Handshake, ListenerId, ListenerSpec};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal::{self, *};
use std::collections::{BTreeMap, BTreeSet};

/// Writes what it finds in itself to `$0`, a line for each thing.
const LOOK_AT_YOURSELF: &str = r#"exec > "$0"
while read -r line; do case $line in Sig[IB]*) echo "$line";; esac; done < /proc/$$/status
read -r stat < /proc/$$/stat; set -- $stat; echo "pid $1 group $5 policy ${41}"
echo "limit $(ulimit -Sn) $(ulimit -Hn)"
echo "directory $(pwd)"
ls -l /proc/$$/fd
env"#;

#[test]
fn a_child_has_what_it_was_given_and_nothing_else() {
    let alone = alone();
    // A supervisor with a bad upbringing: a leaked descriptor, blocked signals, a low soft limit.
    let (leaked, other_end) = std::io::pipe().unwrap();
    fcntl(&leaked, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(hard > 100, "room for this test");
    setrlimit(Resource::RLIMIT_NOFILE, hard - 1, hard).unwrap();
    let mut world = World::after(alone);
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    let own = SigSet::thread_get_mask().unwrap();
    // What it takes from a descriptor, and nothing else.
    let requests = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
    let strays = [SIGALRM, SIGCHLD, SIGIO, SIGPROF, SIGPWR, SIGSTKFLT, SIGVTALRM, SIGXCPU];
    assert_eq!(
        Signal::iterator().filter(|signal| own.contains(*signal)).collect::<BTreeSet<_>>(),
        requests.into_iter().chain(strays).collect()
    );
    let mut blocked = own;
    blocked.add(SIGPIPE);
    blocked.add(SIGURG);
    blocked.thread_block().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut definition =
        service(&["/bin/sh", "-c", LOOK_AT_YOURSELF, out.to_str().unwrap()], Handshake::Pipe);
    definition.program.directory = Some(dir.path().into());
    definition.program.env.insert("PORTS".into(), "{fd} {pipe} {generation}".into());
    let spec = ListenerSpec::new(Address::Unix(dir.path().join("s")));
    definition.listeners.push(spec.clone());
    world.os.perform(Action::Bind { sockets: vec![(ListenerId(3), spec)] });
    assert_eq!(world.next(), Event::Bound);
    let run = world.spawn(&definition, &[ListenerId(3)]);
    let Event::Run(_, RunEvent::Spawned { pid, .. }) = world.next() else { panic!("not started") };
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: false }));
    assert_eq!(SigSet::thread_get_mask().unwrap(), blocked, "the parent's own mask is put back");
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let policy = fields.split_whitespace().nth(38).unwrap();
    assert_eq!(policy.parse(), Ok(libc::SCHED_OTHER), "and its own policy");
    SigSet::empty().thread_set_mask().unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();

    let text = std::fs::read_to_string(&out).unwrap();
    let has = |line: &str| assert!(text.lines().any(|found| found == line), "no {line:?} in:\n{text}");
    has("SigBlk:\t0000000000000000");
    // Nothing but SIGUSR1, which asks it to leave before it can have a handler.
    has("SigIgn:\t0000000000000200");
    has(&format!("pid {pid} group {pid} policy {}", libc::SCHED_OTHER));
    has(&format!("limit {} {hard}", hard - 1));
    has(&format!("directory {}", dir.path().display()));
    has("BOOTSTRAP_SERVICE=web");
    has("BOOTSTRAP_GENERATION=1");
    has("BOOTSTRAP_WORKER=0");

    // ... Nov 22 19:31 9 -> socket:[131996]
    let fds: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .filter_map(|(before, target)| Some((before.rsplit(' ').next()?, target)))
        .collect();
    assert_eq!(fds["0"], "/dev/null");
    let given: Vec<&str> = fds.keys().copied().filter(|fd| !["0", "1", "2"].contains(fd)).collect();
    let ports = text.lines().find_map(|line| line.strip_prefix("PORTS=")).unwrap();
    let [listener, pipe, generation] = ports.split(' ').collect::<Vec<_>>()[..] else { panic!("{ports}") };
    assert!(fds[listener].starts_with("socket:"), "{text}");
    assert!(fds[pipe].starts_with("pipe:"), "{text}");
    let besides: Vec<&str> = given.into_iter().filter(|fd| ![listener, pipe].contains(fd)).collect();
    assert_eq!(besides.iter().map(|fd| fds[fd]).collect::<Vec<_>>(), [fds[pipe]], "{text}");
    assert_eq!(generation, "1", "{text}");
    // While this test is alone: the next one counts descriptors.
    drop((leaked, other_end));
}

#[test]
fn short_slices_of_time_are_ours_alone() {
    let alone = alone();
    let before = slice(0);
    let mut world = World::after(alone);
    let ours = slice(0);
    let short = u64::try_from(SLICE_OF_TIME.as_nanos()).unwrap();
    assert_eq!(ours, if before == 0 { 0 } else { short }, "where the kernel has them");
    let (run, pid) = world.start(&script("exec sleep 60"));
    // Where the tests have one thread, `before` may be short already.
    let expected = if before == short { slice(1) } else { before };
    assert_eq!(slice(pid.0), expected);
    world.end(run);
}

#[test]
fn without_the_pipe_handshake_no_signal_is_ignored() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let definition = service(&["/bin/sh", "-c", LOOK_AT_YOURSELF, out.to_str().unwrap()], Handshake::None);
    let (run, _) = world.start(&definition);
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: false }));
    let text = std::fs::read_to_string(&out).unwrap();
    assert!(text.contains("SigIgn:\t0000000000000000"), "{text}");
}

#[test]
fn a_thousand_starts_leave_no_descriptor_and_no_zombie() {
    let mut world = World::new();
    let definition = script("printf success > /proc/self/fd/$1");
    let truth = service(&["true"], Handshake::Pipe);
    let before = descriptors();
    for turn in 0..1000 {
        let definition = if turn % 50 == 0 { &definition } else { &truth };
        let (run, _) = world.start(definition);
        loop {
            match world.next() {
                Event::Run(ended, RunEvent::Exited { status, group_left }) => {
                    assert_eq!((ended, status, group_left), (run, code(0), false));
                    break;
                }
                Event::Run(_, RunEvent::Said(_) | RunEvent::PipeEnded(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    // The pipe of the last is closed when there is nothing else to do.
    world.quiet();
    assert_eq!(descriptors(), before);
    assert!(!has_children());
}
