//! Who a service is and what it may do: the keys that ask the machine.
//!
//! What bootstrap may do there depends on who runs the test, so the right in question is given up first.

use super::{assert_refused, in_service, lines, plan, service};
use bootstrap::plan::{Capabilities, Rlimit, UNLIMITED, User};
use caps::{CapSet, Capability};
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{self, Uid};

/// Acts with these rights at most. The thread is the test's own.
fn with_rights(rights: &[Capability], act: impl FnOnce()) {
    let before = caps::read(None, CapSet::Effective).unwrap();
    let left = before.iter().filter(|held| rights.contains(held)).copied().collect();
    caps::set(None, CapSet::Effective, &left).unwrap();
    act();
    caps::set(None, CapSet::Effective, &before).unwrap();
}

/// What is said where bootstrap lacks a right.
fn needs(right: &str) -> String {
    if Uid::effective().is_root() {
        format!("it needs {right}, which was taken from root here: give it back, or leave the key out")
    } else {
        format!("it needs root, or {right}: run bootstrap as root, or leave the key out")
    }
}

/// Does the test hold the rights that change users?
fn is_root() -> bool {
    let may = [Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_CHOWN]
        .into_iter()
        .all(|right| caps::has_cap(None, CapSet::Effective, right).unwrap());
    if !may {
        eprintln!("skipped: only root gives users to services");
    }
    may
}

#[test]
fn what_nobody_may_have_is_refused_whoever_asks() {
    let mode = "write permissions as octal text, such as \"0660\", at most \"0777\"";
    let nice = "write a number from -20 to 19, without quotes";
    let score = "write a number from -1000 to 1000, without quotes";
    let limit = "write \"SOFT:HARD\" or one for both: a number, one with K, M, G or T, or \"unlimited\"";
    let names = "write an array of names, such as [\"net_bind_service\"]";
    let user = "write the name of a user in quotes, or a number";
    let group = "write the name of a group in quotes, or a number";
    let large = "that is too large: the largest number is 4294967294";
    let most: u64 = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().parse().unwrap();
    assert_refused(&[
        ("umask = 27", &format!("`umask` is 27; {mode}")),
        ("umask = '028'", &format!("`umask` is \"028\"; {mode}")),
        ("umask = '01000'", &format!("`umask` is \"01000\"; {mode}")),
        ("umask = '-1'", &format!("`umask` is \"-1\"; {mode}")),
        ("nice = 20", &format!("`nice` is 20; {nice}")),
        ("nice = '5'", &format!("`nice` is \"5\"; {nice}")),
        ("oom_score_adjust = 1001", &format!("`oom_score_adjust` is 1001; {score}")),
        ("no_new_privs = 'yes'", "`no_new_privs` is \"yes\"; write true or false, without quotes"),
        ("user = ''", &format!("`user` is \"\"; {user}")),
        ("user = -1", &format!("`user` is -1; {user}")),
        ("user = 4294967295", &format!("`user` is 4294967295; {large}")),
        ("user = '4294967295'", &format!("`user` is \"4294967295\"; {large}")),
        ("group = 99999999999", &format!("`group` is 99999999999; {large}")),
        ("group = '99999999999999999999999'", &format!("`group` is \"99999999999999999999999\"; {large}")),
        ("group = true", &format!("`group` is true; {group}")),
        (
            "user = 'nobody-at-all'",
            "`user` is \"nobody-at-all\"; this machine has no such user; create it, or name another",
        ),
        (
            "group = 'none-at-all'",
            "`group` is \"none-at-all\"; this machine has no such group; create it, or name another",
        ),
        (
            "supplementary_groups = ['none-at-all']",
            "`supplementary_groups` is \"none-at-all\"; this machine has no such group; create it, or name another",
        ),
        (
            "supplementary_groups = 'video'",
            "`supplementary_groups` is \"video\"; write an array of names of groups, such as [\"ssl-cert\"]",
        ),
        (
            "rlimits = 5",
            "`rlimits` is 5; write a table such as { nofile = \"1024:4096\", core = \"unlimited\" }",
        ),
        ("rlimits = { core = 'much' }", &format!("`rlimits.core` is \"much\"; {limit}")),
        ("rlimits = { core = '1:2:3' }", &format!("`rlimits.core` is \"1:2:3\"; {limit}")),
        ("rlimits = { core = -1 }", &format!("`rlimits.core` is -1; {limit}")),
        (
            "rlimits = { core = '18014398509481984K' }",
            &format!("`rlimits.core` is \"18014398509481984K\"; {limit}"),
        ),
        (
            "rlimits = { core = '2:1' }",
            "`rlimits.core` is \"2:1\"; the first is what holds, and cannot be more than the second",
        ),
        (
            "rlimits = { nofile = 'unlimited' }",
            &format!(
                "`rlimits.nofile` is \"unlimited\"; the kernel gives a process at most {most} descriptors (sysctl fs.nr_open)"
            ),
        ),
        ("rlimits = { nofiles = 5 }", "unknown key `nofiles`; did you mean `nofile`?"),
        ("rlimits = { RLIMIT_CORE = 5 }", "unknown key `RLIMIT_CORE`; did you mean `core`?"),
        ("capabilities = 'all'", &format!("`capabilities` is \"all\"; {names}")),
        ("capabilities = [7]", &format!("`capabilities` is 7; {names}")),
        (
            "capabilities = ['net_bind_services']",
            "`capabilities` is \"net_bind_services\"; did you mean \"net_bind_service\"?",
        ),
        (
            "ambient_capabilities = ['CAP_NET_ADMINS']",
            "`ambient_capabilities` is \"CAP_NET_ADMINS\"; did you mean \"net_admin\"?",
        ),
        (
            "capabilities = ['everything']",
            "`capabilities` is \"everything\"; capabilities(7) lists those that there are",
        ),
    ]);
}

#[test]
fn what_only_root_may_is_refused_to_others_with_the_right_that_is_lacking() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let stranger = 54_321;
    with_rights(&[], || {
        for (body, key, found, right) in [
            ("user = 'nobody'", "user", "\"nobody\"", "CAP_SETUID"),
            ("user = 54321\ngroup = 54321", "user", "54321", "CAP_SETUID"),
            ("supplementary_groups = [1]", "supplementary_groups", "an array", "CAP_SETGID"),
            ("nice = -20", "nice", "-20", "CAP_SYS_NICE"),
            ("oom_score_adjust = -1000", "oom_score_adjust", "-1000", "CAP_SYS_RESOURCE"),
            ("capabilities = []", "capabilities", "an empty array", "CAP_SETPCAP"),
        ] {
            let said = lines(&in_service(body));
            let expected = format!("f: line 3: service \"web\": `{key}` is {found}; {}", needs(right));
            assert_eq!(said.first(), Some(&expected), "{body}");
        }
        assert_refused(&[
            (&format!("group = {stranger}"), &format!("`group` is {stranger}; {}", needs("CAP_SETGID"))),
            (
                &format!("rlimits = {{ nofile = '1:{}' }}", hard + 1),
                &format!(
                    "`rlimits.nofile` is \"1:{}\"; bootstrap has a hard limit of {hard} itself, which only root, or \
                     CAP_SYS_RESOURCE, exceeds",
                    hard + 1
                ),
            ),
            (
                "listen = { address = 'unix:a', user = 54321 }",
                &format!("`user` is 54321; {}", needs("CAP_CHOWN")),
            ),
            (
                "listen = { address = 'unix:a', group = 54321 }",
                &format!("`group` is 54321; {}", needs("CAP_CHOWN")),
            ),
        ]);
        // What everybody may.
        let own = unistd::geteuid();
        let mine = service(&format!(
            "user = {own}\nnice = 19\noom_score_adjust = 1000\nno_new_privs = true\numask = '0077'\n\
             rlimits = {{ nofile = '1:{hard}' }}"
        ));
        assert_eq!(mine.program.identity.user.as_ref().unwrap().uid, own.as_raw());
    });
}

#[test]
fn a_user_brings_its_group_and_its_groups_along() {
    if !is_root() {
        return;
    }
    let found = unistd::User::from_name("nobody").unwrap().expect("every machine has one");
    let own = |identity: &bootstrap::plan::Identity| {
        let groups = identity.supplementary_groups.as_ref();
        let gids = groups.map(|all| all.iter().map(|group| group.gid).collect::<Vec<_>>());
        (identity.user.as_ref().map(|user| user.uid), identity.group.as_ref().map(|group| group.gid), gids)
    };
    let (uid, gid) = (found.uid.as_raw(), found.gid.as_raw());
    let of = |body: &str| own(&service(body).program.identity);
    assert_eq!(of(""), (None, None, None));
    assert_eq!(of("user = 'nobody'"), (Some(uid), Some(gid), Some(vec![gid])));
    assert_eq!(of(&format!("user = '{uid}'")), (Some(uid), Some(gid), Some(vec![gid])));
    assert_eq!(
        of("user = 'nobody'\ngroup = 7\nsupplementary_groups = [9, 8, '9']"),
        (Some(uid), Some(7), Some(vec![7, 8, 9])),
        "another group takes the place of its own, as with initgroups(3)"
    );
    assert_eq!(of("group = 7"), (None, Some(7), Some(vec![])), "root's groups do not come along");
    assert_eq!(of("supplementary_groups = []"), (None, None, Some(vec![])));
    assert_eq!(of("user = 54321\ngroup = 7"), (Some(54_321), Some(7), Some(vec![])));
    let user: User = service("user = 'nobody'").program.identity.user.clone().unwrap();
    let account = user.account.unwrap();
    assert_eq!((&*account.name, &*account.home), ("nobody", &*found.dir));
    assert_eq!(account.shell, None, "nologin is no shell for a server");
    assert_refused(&[(
        "user = 54321",
        "`user` is 54321, which is no account of this machine and has no group; write its `group`, too",
    )]);
}

#[test]
fn limits_are_read_as_written() {
    let limits = service("rlimits = { nofile = '16:32', core = '1K', cpu = 60, stack = '1M:unlimited' }");
    let limit = |name: &str, resource, soft, hard| Rlimit { name: name.into(), resource, soft, hard };
    assert_eq!(
        limits.program.identity.rlimits,
        [
            limit("core", libc::RLIMIT_CORE, 1024, 1024),
            limit("cpu", libc::RLIMIT_CPU, 60, 60),
            limit("nofile", libc::RLIMIT_NOFILE, 16, 32),
            limit("stack", libc::RLIMIT_STACK, 1 << 20, UNLIMITED),
        ]
    );
    assert_eq!(service("umask = 0o027").program.identity.umask, Some(0o027));
    assert_eq!(service("umask = '27'").program.identity.umask, Some(0o027));
}

#[test]
fn what_is_given_is_kept_and_is_not_for_root() {
    if !is_root() {
        return;
    }
    let identity = service(
        "user = 'nobody'\ncapabilities = ['CAP_NET_BIND_SERVICE', 'chown']\nambient_capabilities = ['net_bind_service']",
    )
    .program
    .identity
    .clone();
    assert_eq!(identity.capabilities, Some(Capabilities(1 << 10 | 1)));
    assert_eq!(identity.ambient_capabilities, Some(Capabilities(1 << 10)));
    let given =
        "`ambient_capabilities` has \"chown\", which `capabilities` has not; what it is given has to be kept";
    assert_refused(&[
        ("ambient_capabilities = ['chown']\ncapabilities = []\nuser = 'nobody'", given),
        (
            "ambient_capabilities = ['chown']",
            "`ambient_capabilities` is given and the process is root; name a `user`, or leave it out: root has all \
             that is in `capabilities`",
        ),
    ]);
    let text = "[defaults]\nambient_capabilities = ['chown']\ncapabilities = []\nuser = 'nobody'\n\
                [[service]]\nname = 'a'\ncommand = 'x'\n[[service]]\nname = 'b'\ncommand = 'x'\n";
    assert_eq!(lines(text), [format!("f: line 2: [defaults]: {given}")]);
}

#[test]
fn a_mistake_about_a_user_in_defaults_is_told_once() {
    let text = "[defaults]\nuser = 'nobody-at-all'\n\
                [[service]]\nname = 'a'\ncommand = 'x'\n[[service]]\nname = 'b'\ncommand = 'x'\n";
    let remedy = "this machine has no such user; create it, or name another";
    assert_eq!(lines(text), [format!("f: line 2: [defaults]: `user` is \"nobody-at-all\"; {remedy}")]);
}

#[test]
fn only_a_path_has_a_mode_and_an_owner() {
    let own = unistd::getegid();
    let text = format!("listen = {{ address = 'unix:a', mode = '0660', group = {own} }}");
    let access = service(&text).listeners[0].settings.access.clone();
    assert_eq!((access.mode, access.uid, access.gid), (Some(0o660), None, Some(own.as_raw())));
    let remedy = "only the path of a unix socket has it";
    assert_refused(&[
        (
            "listen = { address = 'tcp://127.0.0.1:80', mode = '0660' }",
            &format!("`mode` is given for tcp://127.0.0.1:80; {remedy}"),
        ),
        (
            &format!("listen = {{ address = 'udp://127.0.0.1:80', group = {own} }}"),
            &format!("`group` is given for udp://127.0.0.1:80; {remedy}"),
        ),
    ]);
}

#[test]
fn a_cgroup_is_refused_with_what_the_machine_lacks() {
    let bytes = "write bytes, such as \"512M\", at least 4096";
    let percent = "write a share of one processor, such as \"50%\", or of several: \"150%\"";
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().to_str().unwrap();
    assert_refused(&[
        (
            "cgroup = '/sys/fs/cgroup/a'",
            "`cgroup` is \"/sys/fs/cgroup/a\"; write a table such as { path = \"/sys/fs/cgroup/bootstrap\", memory_max \
             = \"512M\" }",
        ),
        ("cgroup = {}", "`path` is missing; it has no default"),
        (
            &format!("cgroup = {{ path = '{plain}/a' }}"),
            &format!(
                "`cgroup.path` is \"{plain}/a\"; that is in no cgroup tree of version 2, which is often at /sys/fs/cgroup"
            ),
        ),
        (
            "cgroup = { path = '/no/such/place' }",
            "`cgroup.path` is \"/no/such/place\"; there is no such cgroup, and none above it to make it in",
        ),
    ]);
    for (key, value, rule) in [
        ("memory_max", "'4095'", bytes),
        ("memory_max", "'much'", bytes),
        ("memory_max", "'unlimited'", bytes),
        ("cpu_max", "'0%'", percent),
        ("cpu_max", "50", percent),
        ("cpu_max", "'1.5'", percent),
        ("pids_max", "0", "write a number from 1 to 4294967295, without quotes"),
    ] {
        let shown = value.replace('\'', "\"");
        let said = lines(&in_service(&format!("cgroup = {{ path = '{plain}', {key} = {value} }}")));
        assert!(
            said.contains(&format!("f: line 3: service \"web\": `{key}` is {shown}; {rule}")),
            "{said:?}"
        );
    }
}

#[test]
fn a_cgroup_needs_a_tree_that_is_writable_and_has_the_controllers() {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let Some(tree) = mounts.lines().find(|line| line.contains(" - cgroup2 ")) else {
        eprintln!("skipped: no cgroup tree of version 2");
        return;
    };
    let tree = tree.split(' ').nth(4).unwrap();
    let offered = std::fs::read_to_string(format!("{tree}/cgroup.controllers")).unwrap();
    let path = format!("{tree}/bootstrap-of-a-test");
    if nix::unistd::eaccess(tree, nix::unistd::AccessFlags::W_OK).is_err() {
        let closed = "bootstrap may not write there: run it as root, or have the cgroup delegated to it";
        assert_refused(&[(
            &format!("cgroup = {{ path = '{path}' }}"),
            &format!("`cgroup.path` is {path:?}; {closed}"),
        )]);
        return;
    }
    let found = service(&format!("cgroup = {{ path = '{path}' }}")).program.identity.cgroup.clone().unwrap();
    assert_eq!(
        (found.path, found.memory_max, found.cpu_percent, found.pids_max),
        (path.clone().into(), None, None, None)
    );
    let body = format!("cgroup = {{ path = '{path}', memory_max = '1G', cpu_max = '150%', pids_max = 7 }}");
    let missing = ["memory", "cpu", "pids"]
        .into_iter()
        .find(|name| !offered.split_whitespace().any(|word| word == *name));
    match missing {
        None => {
            let found = service(&body).program.identity.cgroup.clone().unwrap();
            assert_eq!(
                (found.memory_max, found.cpu_percent, found.pids_max),
                (Some(1 << 30), Some(150), Some(7))
            );
        }
        Some(name) => assert_refused(&[(
            &body,
            &format!(
                "`cgroup.path` is {path:?}; the tree has no controller {name:?}: it is switched off, in a tree of version \
                 1, or not delegated"
            ),
        )]),
    }
    assert!(!std::path::Path::new(&path).exists(), "it is made at the first start");
}

#[test]
fn a_file_is_the_same_however_often_it_is_read() {
    let text = in_service("rlimits = { nofile = 16 }\numask = '27'");
    assert_eq!(plan(&text), plan(&text));
}
