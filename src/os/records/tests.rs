//! A supervisor that is killed at any moment, and the one that reads what it has written down.

use super::super::birth::{Signature, ticks_now};
use super::*;
use crate::limits::TEXTS_KEPT;
use crate::plan::{Address, Generation, ListenerSpec, Ready, ServiceId, ServiceName};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

fn definition() -> Arc<Definition> {
    let mut definition = Definition::least("web");
    definition.policy.ready = Ready::Word;
    definition.into()
}

fn run(generation: u32) -> RunId {
    RunId { service: ServiceId(3), generation: Generation(generation) }
}

/// This process is the one that is always there.
fn start(generation: u32, pid: i32) -> Start<'static> {
    let program = Path::new("/bin/true");
    let known = Known { pid, group: None, listeners: &[], voice: None, program, inode: None, cgroup: None };
    let (run, started) = (run(generation), Time { ms: 7 });
    Start { run, worker: 0, started, sockets: vec![], known, output: vec![] }
}

fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

/// What a later supervisor would find: each generation, and how far it has come.
fn found(dir: &Path) -> Vec<(u32, RunMark)> {
    let (found, unreadable) = Records::open(dir).unwrap().found();
    assert_eq!(unreadable, Vec::<String>::new());
    found.iter().map(|one| (one.record.generation.0, one.mark)).collect()
}

#[test]
fn nobody_else_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    Records::open(dir.path()).unwrap();
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_run_that_nobody_has_signed_is_about_nobody_and_one_that_is_signed_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Records::open(dir.path()).unwrap();
    while ticks_now() == start_ticks(own()) {
        std::thread::yield_now();
    }
    let paper = records.expect(start(1, 0), &definition()).unwrap();
    assert_eq!(found(dir.path()), []);
    records.expect_no_more();
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), b"");

    let again = records.expect(start(1, 0), &definition()).unwrap();
    assert_eq!(again.at, paper.at);
    // This process was there before it was expected, so it is not the one: but it has the pid.
    let signature = Signature { pid: own(), ticks: ticks_now().unwrap() };
    again.file.write_all_at(&signature.text(), again.at).unwrap();
    let (one, _) = Records::open(dir.path()).unwrap().found();
    assert_eq!((one.len(), one[0].record.pid, one[0].record.lives()), (1, own(), false));
    assert!(!records.born(run(1), own(), true), "its clock is another");
    assert_eq!(found(dir.path()), []);
    records.started(start(1, own()), &definition()).unwrap();
    let (one, _) = Records::open(dir.path()).unwrap().found();
    assert_eq!((one.len(), one[0].record.lives()), (1, true));
}

#[test]
fn what_was_written_in_another_boot_or_by_another_version_or_is_torn_is_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let mut records = Records::open(dir.path()).unwrap();
    records.started(start(1, own()), &definition()).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let lines = |number: usize| format!("line {number} of records");
    let boot = boot().unwrap();
    for (text, readable, unreadable) in [
        (good.clone(), 1, vec![]),
        (good.replace(&boot, "another"), 0, vec![]),
        (good.replace("\"version\":1", "\"version\":2"), 0, vec![]),
        (good.replace("\"version\":1", "\"version\":1,\"more\":1"), 0, vec![lines(2)]),
        (format!("{good}{}", &good[..good.len() - 1]), 1, vec![]),
        (format!("{good}{}", &good[..20]), 1, vec![]),
        (format!("n 7\n{{}}\n{good}"), 1, vec![lines(2)]),
        (format!("{{}}\n{good}"), 1, vec![lines(1)]),
        (format!("{good}{}", good.replacen('n', "l", 1)), 1, vec![]),
        ("what is this".into(), 0, vec![]),
    ] {
        fs::write(&path, &text).unwrap();
        let mut records = Records::open(dir.path()).unwrap();
        let (found, told) = records.found();
        assert_eq!((found.len(), told), (readable, unreadable), "{text}");
        assert!(fs::read_to_string(&path).unwrap().len() <= text.len());
        // What comes next stands where it is found.
        records.started(start(9, own()), &definition()).unwrap();
        let (found, _) = Records::open(dir.path()).unwrap().found();
        assert!(found.iter().any(|one| one.record.generation == Generation(9)), "{text}");
    }
}

/// The text that is kept is that of a record which differs in nothing that lasts.
#[test]
fn what_was_written_before_is_used_again_only_where_it_is_still_so() {
    let socket = |inode| {
        let spec = ListenerSpec::new(Address::Unix("/run/web".into()));
        HeldSocket { spec, inode, path: None }
    };
    let named = |name: &str| {
        Arc::new(Definition { name: ServiceName::parse(name).unwrap(), ..(*definition()).clone() })
    };
    let (one, other) = (named("one"), named("other"));
    let many: Vec<_> = (0..=TEXTS_KEPT).map(|number| named(&format!("many-{number}"))).collect();
    let mut starts = vec![(&one, 1, "/bin/true", "/bin/true"); 3];
    starts.extend([(&other, 1, "/bin/true", "/bin/true"), (&one, 2, "/bin/true", "/bin/true")]);
    starts.extend([(&one, 2, "/bin/false", "/bin/true"), (&one, 2, "/bin/false", "/bin/false")]);
    starts.extend(many.iter().map(|definition| (definition, 1, "/bin/true", "/bin/true")));
    starts.push((&one, 1, "/bin/true", "/bin/true"));
    let start = |generation, socket, program, file| {
        let (program, inode) = (Path::new(program), Some(Inode::of(&nix::sys::stat::stat(file).unwrap())));
        let mut start = start(generation, own());
        start.sockets = vec![socket];
        start.known = Known { program, inode, ..start.known };
        start
    };
    let dir = tempfile::tempdir().unwrap();
    let mut records = Records::open(dir.path()).unwrap();
    let (mut before, mut written) = (0, Vec::new());
    for (generation, (definition, inode, program, file)) in (1..).zip(&starts) {
        records.started(start(generation, socket(*inode), program, *file), definition).unwrap();
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        written.push(text[before..].to_owned());
        before = text.len();
        // What a supervisor writes that has written nothing yet.
        let anew = tempfile::tempdir().unwrap();
        let mut first = Records::open(anew.path()).unwrap();
        first.started(start(generation, socket(*inode), program, *file), definition).unwrap();
        assert_eq!(written.last(), fs::read_to_string(anew.path().join(NAME)).ok().as_ref());
    }
    assert_eq!(found(dir.path()).len(), starts.len());
}

/// A supervisor that is killed in the middle leaves both.
#[test]
fn of_two_about_one_run_the_later_counts_also_once_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    Records::open(dir.path()).unwrap().started(start(1, own()), &definition()).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}{}", good.replacen('n', "l", 1))).unwrap();
    assert_eq!(found(dir.path()), [(1, RunMark::Leaving)]);
    let mut records = Records::open(dir.path()).unwrap();
    let later = records.found().0[0].place;
    records.know(run(1), later);
    records.ended(&BTreeSet::from([run(1)]));
    assert_eq!(found(dir.path()), []);
}

/// As programs before this one wrote it.
#[test]
fn what_stands_in_files_of_their_own_is_taken_over_by_an_upgrade_and_after_a_kill() {
    for by_upgrade in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut before = Records::open(dir.path()).unwrap();
        before.started(start(1, own()), &definition()).unwrap();
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        fs::remove_file(dir.path().join(NAME)).unwrap();
        let runs = dir.path().join("runs");
        fs::create_dir(&runs).unwrap();
        let text = text
            .lines()
            .nth(1)
            .unwrap()
            .replace("\"worker\":0,", &format!("\"worker\":0,\"pid\":{},", own()));
        for name in ["web.1.7.serving-itself", "web.2.7.leaving", "web.3.7.serving", "web.4.7"] {
            let generation = format!("\"generation\":{}", &name[4..5]);
            fs::write(runs.join(name), text.replace("\"generation\":1", &generation)).unwrap();
        }
        fs::write(runs.join("web.5.7"), "{\"vers").unwrap();
        let mut records = if by_upgrade {
            let names = [(run(1), "web.1.7.serving-itself"), (run(3), "web.3.7.serving")];
            let names = serde_json::json!({ "directory": runs, "boot": "", "names": names });
            Records::of_former(&serde_json::from_value(names).unwrap()).unwrap()
        } else {
            let mut records = Records::open(dir.path()).unwrap();
            records.take_former(dir.path());
            records
        };
        let marks =
            [RunMark::ServingItself, RunMark::Leaving, RunMark::Serving, RunMark::Started].into_iter();
        assert_eq!(found(dir.path()), (1..).zip(marks).collect::<Vec<_>>());
        assert!(records.found().0.iter().all(|one| one.record.lives() && one.record.pid == own()));
        assert_eq!([1, 2, 3].map(|number| records.has(run(number))), [by_upgrade, false, by_upgrade]);
        assert!(!runs.exists());
    }
}

/// There is no room for it: it is there for the next one.
#[test]
fn a_file_of_its_own_that_cannot_be_copied_stays() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    fs::create_dir(&runs).unwrap();
    fs::write(runs.join("web.1.7"), format!("{{\"pid\":{},\"ticks\":1}}", own())).unwrap();
    let mut records = Records::open(dir.path()).unwrap();
    records.file = File::open(dir.path().join(NAME)).unwrap().into();
    assert_eq!(records.take_former(dir.path()), []);
    assert!(runs.join("web.1.7").exists());
}

/// It may be readable the next time; what is read and is no record goes.
#[test]
fn a_file_of_its_own_that_cannot_be_read_stays() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    fs::create_dir(&runs).unwrap();
    std::os::unix::fs::symlink("web.1.7", runs.join("web.1.7")).unwrap();
    fs::write(runs.join("web.2.7"), "torn").unwrap();
    assert_eq!(Records::open(dir.path()).unwrap().take_former(dir.path()), []);
    assert!(runs.join("web.1.7").is_symlink());
    assert!(!runs.join("web.2.7").exists());
}

/// One thing that becomes of a run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Starts,
    IsNotBorn,
    Serves(u32),
    Leaves(u32),
    Turns(u32),
    Ends(u32),
    IsTidied,
    IsMoved,
    IsRemoved,
    IsRead,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = 0..12_u32;
    let step = prop_oneof![
        4 => Just(Step::Starts),
        1 => Just(Step::IsNotBorn),
        2 => one.clone().prop_map(Step::Serves),
        2 => one.clone().prop_map(Step::Leaves),
        1 => one.clone().prop_map(Step::Turns),
        3 => one.prop_map(Step::Ends),
        1 => Just(Step::IsTidied),
        1 => Just(Step::IsMoved),
        1 => Just(Step::IsRemoved),
        1 => Just(Step::IsRead),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whenever the supervisor is killed, the next one finds those that run, as far as they have come, and nobody else.
    #[test]
    fn whoever_runs_is_found_after_every_step(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut records = Records::open(dir.path()).unwrap();
        let mut expected: BTreeMap<u32, RunMark> = BTreeMap::new();
        let mut last = 0;
        for step in steps {
            match step {
                Step::Starts => {
                    last += 1;
                    records.started(start(last, own()), &definition()).unwrap();
                    expected.insert(last, RunMark::Started);
                }
                Step::IsNotBorn => {
                    records.expect(start(last + 1, 0), &definition()).unwrap();
                    records.expect_no_more();
                }
                Step::Serves(number) => {
                    records.serves(run(number), || number % 2 == 0);
                    let mark = if number % 2 == 0 { RunMark::ServingItself } else { RunMark::Serving };
                    expected.entry(number).and_modify(|found| {
                        if *found == RunMark::Started {
                            *found = mark;
                        }
                    });
                }
                Step::Leaves(number) => {
                    records.asked(run(number));
                    expected.entry(number).and_modify(|mark| *mark = RunMark::Leaving);
                }
                Step::Turns(number) => records.turned_to(run(number), own()),
                Step::Ends(number) => {
                    records.ended(&BTreeSet::from([run(number)]));
                    expected.remove(&number);
                }
                Step::IsTidied => records.tidy(),
                Step::IsMoved => records.move_to_new_file().unwrap(),
                Step::IsRemoved => {
                    fs::remove_file(dir.path().join(NAME)).unwrap();
                    records.renew().unwrap();
                }
                Step::IsRead => {
                    // As the next supervisor goes on with it.
                    records = Records::open(dir.path()).unwrap();
                    for one in records.found().0 {
                        records.know(run(one.record.generation.0), one.place);
                    }
                }
            }
            prop_assert_eq!(found(dir.path()), expected.clone().into_iter().collect::<Vec<_>>());
            prop_assert!(expected.keys().all(|number| records.has(run(*number))));
            let live: u64 = records.places.values().map(|place| place.len()).sum();
            prop_assert_eq!(live, records.live);
            prop_assert!(records.end <= fs::metadata(dir.path().join(NAME)).unwrap().len());
        }
    }
}

#[test]
fn a_service_that_is_restarted_for_ever_takes_no_more_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Records::open(dir.path()).unwrap();
    records.started(start(0, own()), &definition()).unwrap();
    let one = fs::metadata(dir.path().join(NAME)).unwrap().len();
    let mut most = 0;
    for generation in 1..2000 {
        records.started(start(generation, own()), &definition()).unwrap();
        records.ended(&BTreeSet::from([run(generation - 1)]));
        most = most.max(fs::metadata(dir.path().join(NAME)).unwrap().len());
    }
    assert!(most <= crate::limits::RECORDS_SLACK_BYTES + 5 * one, "{most} bytes");
    assert_eq!(found(dir.path()), [(1999, RunMark::Started)]);
    records.ended(&BTreeSet::from([run(1999)]));
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().len(), 0);
    records.release();
    assert!(!dir.path().join(NAME).exists());
}

/// Where it cannot move, it stays as it is, and tries again when it is twice as long.
#[test]
fn a_file_that_cannot_move_goes_on_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Records::open(dir.path()).unwrap();
    fs::create_dir(dir.path().join("records.new")).unwrap();
    records.started(start(0, own()), &definition()).unwrap();
    for generation in 1..1000 {
        records.started(start(generation, own()), &definition()).unwrap();
        records.ended(&BTreeSet::from([run(generation - 1)]));
    }
    assert!(records.stuck_at > 0 && records.end > records.stuck_at);
    assert_eq!(found(dir.path()), [(999, RunMark::Started)]);
    fs::remove_dir(dir.path().join("records.new")).unwrap();
    let long = records.end;
    let mut generation = 999;
    while records.end >= long {
        generation += 1;
        records.started(start(generation, own()), &definition()).unwrap();
        records.ended(&BTreeSet::from([run(generation - 1)]));
        assert!(records.end < 3 * long, "it does not try again");
    }
    assert_eq!(found(dir.path()), [(generation, RunMark::Started)]);
}
