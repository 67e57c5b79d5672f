//! What a child becomes before it is the program, and how it is told when it cannot.

use crate::failures::fails;
use crate::world::{World, code, service};
use bootstrap::core::{Action, Event, RunEvent, SpawnStage};
use bootstrap::plan::{
    Account, Address, Capabilities, Group, Handshake, Identity, ListenerId, ListenerSpec, Rlimit, UNLIMITED,
    User,
};
use caps::{CapSet, Capability};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Nobody's number, and two groups that need no name.
const UID: u32 = 65_534;
const GID: u32 = 54_321;
const OTHER_GID: u32 = 54_322;

const NET_BIND_SERVICE: Capabilities = Capabilities(1 << 10);
const CHOWN: Capabilities = Capabilities(1);

fn group(gid: u32) -> Group {
    Group { name: format!("g{gid}").into(), gid }
}

fn nobody() -> User {
    User { name: "nobody".into(), uid: UID, account: None }
}

fn nofile(soft: u64, hard: u64) -> Rlimit {
    Rlimit { name: "nofile".into(), resource: libc::RLIMIT_NOFILE, soft, hard }
}

/// Can this test become somebody else? Says so where it cannot.
fn may_become_another() -> bool {
    let may = [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_SETPCAP]
        .into_iter()
        .all(|right| caps::has_cap(None, CapSet::Effective, right).unwrap());
    if !may {
        eprintln!("skipped: only root becomes another user");
    }
    may
}

/// Starts it to its end; what its program says of itself.
fn looked_at(identity: Identity) -> BTreeMap<String, String> {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    // Whoever it becomes can write there.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let out = dir.path().join("out");
    let text = r#"exec > "$0"
while read -r line; do echo "$line"; done < /proc/$$/status
read -r score < /proc/$$/oom_score_adj; echo "Oom: $score"
read -r stat < /proc/$$/stat; set -- $stat; echo "Nice: ${19}"
echo "Nofile: $(ulimit -Sn) $(ulimit -Hn)"; echo "Core: $(ulimit -Sc) $(ulimit -Hc)""#;
    let mut definition = service(&["/bin/sh", "-c", text, out.to_str().unwrap()], Handshake::None);
    definition.program.identity = identity.into();
    let (run, _) = world.start(&definition);
    assert_eq!(world.next(), Event::Run(run, RunEvent::Exited { status: code(0), group_left: false }));
    let said = fs::read_to_string(&out).unwrap();
    let pairs = said.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.into(), value.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

fn own(file: &str) -> String {
    fs::read_to_string(format!("/proc/self/{file}")).unwrap()
}

#[test]
fn limits_and_priorities_are_the_childs_and_not_ours() {
    let before = own("oom_score_adj");
    let score = before.trim().parse::<i32>().unwrap().max(0) + 7;
    let found = looked_at(Identity {
        umask: Some(0o027),
        nice: Some(7),
        oom_score_adjust: Some(score),
        rlimits: vec![
            Rlimit { name: "core".into(), resource: libc::RLIMIT_CORE, soft: 0, hard: 4096 },
            nofile(64, 100),
        ],
        no_new_privs: true,
        ..Identity::default()
    });
    assert_eq!((&*found["Umask"], &*found["Nice"], &*found["Oom"]), ("0027", "7", &*score.to_string()));
    assert_eq!((&*found["Nofile"], &*found["Core"], &*found["NoNewPrivs"]), ("64 100", "0 8", "1"));
    assert_eq!(own("oom_score_adj"), before, "the child borrowed our memory, and shares nothing else");
    assert!(own("status").contains("NoNewPrivs:\t0"));
}

#[test]
fn a_user_comes_with_its_groups_and_without_rights() {
    if !may_become_another() {
        return;
    }
    let found = looked_at(Identity {
        user: Some(nobody()),
        group: Some(group(GID)),
        supplementary_groups: Some(vec![group(GID), group(OTHER_GID)]),
        ..Identity::default()
    });
    assert_eq!(found["Uid"], format!("{UID} {UID} {UID} {UID}"));
    assert_eq!(found["Gid"], format!("{GID} {GID} {GID} {GID}"));
    assert_eq!(found["Groups"], format!("{GID} {OTHER_GID}"));
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(found[set], "0000000000000000", "{set}");
    }
    assert!(
        nix::sys::prctl::get_dumpable().unwrap(),
        "the kernel does not take us for one that changed its user"
    );
}

#[test]
fn root_has_what_is_kept_and_a_user_what_it_is_given() {
    if !may_become_another() {
        return;
    }
    let kept = Capabilities(NET_BIND_SERVICE.0 | CHOWN.0);
    let root = looked_at(Identity { capabilities: Some(kept), ..Identity::default() });
    let hex = |set: Capabilities| format!("{:016x}", set.0);
    let of = |found: &BTreeMap<String, String>| {
        ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"].map(|set| found[set].clone())
    };
    let none = Capabilities::default();
    assert_eq!(of(&root), [kept, kept, kept, none, none].map(hex));
    let user = looked_at(Identity {
        user: Some(nobody()),
        group: Some(group(GID)),
        supplementary_groups: Some(Vec::new()),
        capabilities: Some(kept),
        ambient_capabilities: Some(NET_BIND_SERVICE),
        ..Identity::default()
    });
    let given = NET_BIND_SERVICE;
    assert_eq!(of(&user), [kept, given, given, given, given].map(hex));
    assert_eq!(user["Groups"], "");
}

/// Without this right, which comes back afterwards.
fn without(right: Capability, act: impl FnOnce()) {
    let had = caps::has_cap(None, CapSet::Effective, right).unwrap();
    if had {
        caps::drop(None, CapSet::Effective, right).unwrap();
    }
    act();
    if had {
        caps::raise(None, CapSet::Effective, right).unwrap();
    }
}

#[test]
fn each_step_that_is_refused_is_told_with_what_it_was_about() {
    let mut world = World::new();
    let refused = |world: &mut World, identity: Identity, right, stage, errno, subject: &str| {
        without(right, || {
            let mut definition = service(&["true"], Handshake::None);
            definition.program.identity = identity.into();
            fails(world, &definition, stage, errno, subject);
        });
    };
    let none = Identity::default;
    let ours = Capability::CAP_SYS_RESOURCE;
    refused(
        &mut world,
        Identity { oom_score_adjust: Some(-1000), ..none() },
        ours,
        SpawnStage::OomScore,
        libc::EACCES,
        "-1000",
    );
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let limits = vec![nofile(7, hard + 1)];
    let subject = format!("nofile 7:{}", hard + 1);
    refused(
        &mut world,
        Identity { rlimits: limits, ..none() },
        ours,
        SpawnStage::Limits,
        libc::EPERM,
        &subject,
    );
    let beyond = vec![nofile(UNLIMITED, UNLIMITED)];
    let subject = "nofile unlimited:unlimited";
    refused(
        &mut world,
        Identity { rlimits: beyond, ..none() },
        ours,
        SpawnStage::Limits,
        libc::EPERM,
        subject,
    );
    refused(
        &mut world,
        Identity { nice: Some(-20), ..none() },
        Capability::CAP_SYS_NICE,
        SpawnStage::Nice,
        libc::EACCES,
        "-20",
    );
    let groups = Identity { supplementary_groups: Some(vec![group(GID), group(OTHER_GID)]), ..none() };
    let (stage, subject) = (SpawnStage::SupplementaryGroups, "\"g54321\", \"g54322\"");
    refused(&mut world, groups, Capability::CAP_SETGID, stage, libc::EPERM, subject);
    let identity = Identity { group: Some(group(GID)), ..none() };
    refused(
        &mut world,
        identity,
        Capability::CAP_SETGID,
        SpawnStage::PrimaryGroup,
        libc::EPERM,
        "\"g54321\"",
    );
    let identity = Identity { capabilities: Some(NET_BIND_SERVICE), ..none() };
    refused(&mut world, identity, Capability::CAP_SETPCAP, SpawnStage::BoundingSet, libc::EPERM, "CAP_CHOWN");
    let identity = Identity { user: Some(nobody()), ..none() };
    refused(&mut world, identity, Capability::CAP_SETUID, SpawnStage::User, libc::EPERM, "\"nobody\"");
    // A capability that no kernel has.
    let identity = Identity { ambient_capabilities: Some(Capabilities(1 << 63)), ..none() };
    let mut definition = service(&["true"], Handshake::None);
    definition.program.identity = identity.into();
    fails(&mut world, &definition, SpawnStage::Capabilities, libc::EINVAL, "");
}

#[test]
fn a_limit_that_leaves_no_room_for_its_stdin_is_a_failure_of_its_own() {
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    let spec = ListenerSpec::new(Address::Unix(dir.path().join("s")));
    world.os.perform(Action::Bind { sockets: vec![(ListenerId(1), spec.clone())] });
    assert_eq!(world.next(), Event::Bound);
    let mut definition = service(&["true"], Handshake::Systemd);
    definition.listeners.push(spec);
    definition.program.identity.rlimits = vec![nofile(0, 0)];
    let run = world.spawn(&definition, &[ListenerId(1)]);
    match world.next() {
        Event::Run(failed, RunEvent::SpawnFailed(failure)) => {
            assert_eq!((failed, failure.stage, failure.errno), (run, SpawnStage::Descriptors, libc::EBADF));
        }
        other => panic!("{other:?}"),
    }
}

/// What root may enter and execute is not what its user may.
#[test]
fn directory_and_program_are_tried_as_the_user() {
    if !may_become_another() {
        return;
    }
    let mut world = World::new();
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let of_root = dir.path().join("of-root");
    fs::create_dir(&of_root).unwrap();
    fs::set_permissions(&of_root, fs::Permissions::from_mode(0o700)).unwrap();
    let mut definition = service(&["true"], Handshake::None);
    definition.program.identity = Identity {
        user: Some(User {
            account: Some(Account { name: "nobody".into(), home: "/".into(), shell: None }),
            ..nobody()
        }),
        group: Some(group(GID)),
        supplementary_groups: Some(Vec::new()),
        ..Identity::default()
    }
    .into();
    definition.program.directory = Some(of_root.clone());
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    fails(&mut world, &definition, SpawnStage::Directory, libc::EACCES, &path(&of_root));
    let program = dir.path().join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    definition.program.directory = None;
    definition.program.command = vec![path(&program)];
    fails(&mut world, &definition, SpawnStage::Exec, libc::EACCES, &path(&program));
}
