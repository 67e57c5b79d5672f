//! Keys, tables, names, and what holds between them.

use super::{assert_refused, in_service, lines, plan, service};
use bootstrap::limits::SERVICES;
use bootstrap::plan::{Handshake, Ready, Restart};
use std::time::Duration;

#[test]
fn a_file_has_at_most_its_services() {
    let services = |count: usize| -> String {
        let one = |number| format!("[[service]]\nname = 's{number}'\ncommand = 'a'\n");
        (0..count).map(one).collect::<Vec<_>>().concat()
    };
    assert_eq!(plan(&services(SERVICES)).services.len(), SERVICES);
    assert_eq!(
        lines(&services(SERVICES + 1)),
        ["f: line 49153: there are 16385 services; one file has at most 16384"]
    );
}

#[test]
fn keys_are_told_from_those_that_do_not_exist() {
    assert_refused(&[
        ("prot = 1", "unknown key `prot`; did you mean `port`?"),
        ("stop-timeout = '1s'", "unknown key `stop-timeout`; did you mean `stop_timeout`?"),
        ("Restart = 'no'", "unknown key `Restart`; did you mean `restart`?"),
        ("cwd = '/'", "unknown key `cwd`; did you mean `directory`?"),
        ("environment = {}", "unknown key `environment`; did you mean `env`?"),
        ("bind = 'a'", "unknown key `bind`; did you mean `listen`?"),
        ("replicas = 3", "unknown key `replicas`; did you mean `workers`?"),
        ("depends_on = 'db'", "unknown key `depends_on`; did you mean `requires`?"),
        ("TimeoutStopSec = 3", "unknown key `TimeoutStopSec`; did you mean `drain_timeout`?"),
        (
            "zzz = 1",
            "unknown key `zzz`; there are `name`, `port`, `listen`, `command`, `restart`, `restart_order`, \
             `bake_time`, `rollback`, `workers`, `max_surge`, `max_unavailable`, `canary`, `handshake`, `ready`, \
             `ready_delay`, `check`, `watchdog`, `watch`, `after`, `requires`, `directory`, `env`, `env_file`, `stdout`, `stderr`, \
             `log_max_bytes`, `log_backups`, `log_compress`, `log_timestamps`, `user`, `group`, \
             `supplementary_groups`, `umask`, `nice`, `oom_score_adjust`, `rlimits`, `no_new_privs`, `capabilities`, \
             `ambient_capabilities`, `cgroup`, `stop_signal`, `handover_timeout`, `drain_timeout`, `stop_timeout`, \
             `ready_timeout`, `restart_delay`, `restart_delay_max` and `healthy_after`",
        ),
    ]);
    assert_eq!(
        lines("[[service]]\nname = 'a'"),
        ["f: line 1: service \"a\": `command` is missing; it has no default"]
    );
    assert_eq!(
        lines("[[service]]\ncommand = 'a'"),
        ["f: line 1: service 1: `name` is missing; it has no default"]
    );
}

#[test]
fn tables_have_their_form() {
    let good = in_service("");
    for (text, expected) in [
        ("", "f: line 1: there is no service; write at least one [[service]] with a `name` and a `command`"),
        (
            "service = []",
            "f: line 1: there is no service; write at least one [[service]] with a `name` and a `command`",
        ),
        (
            "service = 3",
            "f: line 1: `service` is 3; begin each service with [[service]] and give it a `name`",
        ),
        (
            "[service.web]\nport = 80",
            "f: line 1: `service` is a table; begin each service with [[service]] and give it a `name`",
        ),
        (
            "service = [3]",
            "f: line 1: service 1: `service` is 3; begin each service with [[service]] and give it a `name`",
        ),
        (&format!("{good}[[services]]"), "f: line 5: unknown key `services`; did you mean `service`?"),
        (
            &format!("prot = 1\n{good}"),
            "f: line 1: unknown key `prot`; there are `bootstrap`, `defaults` and `service`",
        ),
        (
            &format!("{good}[[bootstrap]]"),
            "f: line 5: [bootstrap]: `bootstrap` is an array; write one table, [bootstrap]",
        ),
        (
            &format!("{good}[bootstrap]\nwhen_idle = 'stay'"),
            "f: line 6: [bootstrap]: `when_idle` is \"stay\"; write \"exit\" or \"wait\"",
        ),
        (
            &format!("{good}[bootstrap]\nruntime_dir = '/{}'", "d".repeat(99)),
            &format!(
                "f: line 6: [bootstrap]: `runtime_dir` is \"/{}\"...; the control socket is made in it: its path has at most \
                 99 bytes, this one has 100",
                "d".repeat(79)
            ),
        ),
        (
            &format!("{good}[bootstrap]\nenv_file = 3"),
            "f: line 6: [bootstrap]: `env_file` is 3; write a path in quotes",
        ),
        (
            &format!("{good}[bootstrap]\nwhen-idle = 'exit'"),
            "f: line 6: [bootstrap]: unknown key `when-idle`; did you mean `when_idle`?",
        ),
        (
            &format!("{good}[defaults]\nport = 80"),
            "f: line 6: [defaults]: `port` is given for all services; each has its own, below its [[service]]",
        ),
    ] {
        assert_eq!(lines(text), [expected], "for this text:\n{text}");
    }
}

#[test]
fn names_follow_their_rule() {
    for (name, rule) in [
        ("", "a name has at least one character"),
        ("Web", "a name is made of a-z, 0-9, `-` and `_`; 'W' is none of them"),
        ("bootstrap", "the supervisor's own log lines carry this name"),
        (&"a".repeat(65), "a name has at most 64 bytes, this one has 65"),
    ] {
        let expected = format!("f: line 2: service {name:?}: `name` is {name:?}; {rule}");
        assert_eq!(lines(&format!("[[service]]\nname = {name:?}\ncommand = 'a'")), [expected]);
    }
    let number = "f: line 2: service 1: `name` is 3; write text in quotes";
    assert_eq!(lines("[[service]]\nname = 3\ncommand = 'a'"), [number]);
}

#[test]
fn handshake_and_signal_depend_on_each_other() {
    let with = service("port = 80");
    assert_eq!((with.program.handshake, with.policy.stop_signal), (Handshake::Pipe, libc::SIGUSR1));
    let without = service("");
    assert_eq!((without.program.handshake, without.policy.stop_signal), (Handshake::None, libc::SIGTERM));
    assert_eq!((&with.policy.ready, &without.policy.ready), (&Ready::Assumed, &Ready::Assumed));
    let plain = service("port = 80\nhandshake = 'none'");
    assert_eq!((plain.program.handshake, plain.policy.stop_signal), (Handshake::None, libc::SIGTERM));
    for (word, handshake, signal) in [
        ("systemd", Handshake::Systemd, libc::SIGTERM),
        ("server-starter", Handshake::ServerStarter, libc::SIGTERM),
        ("einhorn", Handshake::Einhorn, libc::SIGUSR2),
        ("inetd", Handshake::Inetd, libc::SIGTERM),
    ] {
        let found = service(&format!("port = 80\nhandshake = '{word}'"));
        assert_eq!((found.program.handshake, found.policy.stop_signal), (handshake, signal), "{word}");
    }
}

#[test]
fn inetd_takes_one_socket_and_no_pipe() {
    let one = "give it one, which becomes its stdin";
    assert_refused(&[(
        "handshake = 'inetd'",
        &format!("`handshake` is \"inetd\" and the service has no socket; {one}"),
    )]);
    assert_eq!(
        lines(&in_service("handshake = 'inetd'\nport = 80\nlisten = 'unix:/run/s'")),
        [format!(
            "f: line 3: service \"web\": `handshake` is \"inetd\" and the service has 2 sockets; {one}"
        )]
    );
    for handshake in ["systemd", "server-starter", "einhorn", "inetd", "none"] {
        assert_eq!(
            lines(&in_service(&format!("port = 80\nhandshake = '{handshake}'\nenv = {{ A = '{{pipe}}' }}"))),
            ["f: line 5: service \"web\": `env.A` has a placeholder that nothing replaces; `{pipe}` needs \
              `handshake = \"pipe\"`"]
        );
    }
}

#[test]
fn ready_needs_what_it_waits_for() {
    let ready = |body: &str| service(body).policy.ready.clone();
    assert_eq!(ready("port = 80\nready = 'pipe'"), Ready::Word);
    assert_eq!(ready("port = 80\nready = 'accepting'"), Ready::Accepting);
    assert_eq!(ready("port = 80\nhandshake = 'none'\nready = 'accepting'"), Ready::Accepting);
    assert_eq!(ready("ready = 'started'"), Ready::Started);
    assert_eq!(ready("ready = 'delay'\nready_delay = '1ms'"), Ready::Delay(Duration::from_millis(1)));
    let no_pipe =
        "`ready` is \"pipe\" and the service has no pipe; write `handshake = \"pipe\"`, or leave `ready` out";
    assert_refused(&[
        ("ready = 'pipe'", no_pipe),
        ("ready = 'pipe'\nport = 80\nhandshake = 'none'", no_pipe),
        (
            "ready = 'accepting'",
            "`ready` is \"accepting\" and the service has no socket; give it a `port` or `listen`, or write \
             `ready = \"started\"` or \"delay\"",
        ),
        (
            "ready = 'delay'",
            "`ready` is \"delay\" and `ready_delay` is missing; write how long it has to live, such as \
             `ready_delay = \"2s\"`",
        ),
        (
            "ready_delay = '2s'",
            "`ready_delay` is given and `ready` is not \"delay\"; write `ready = \"delay\"`, or leave \
             `ready_delay` out",
        ),
        (
            "ready_delay = '2s'\nready = 'started'",
            "`ready_delay` is given and `ready` is not \"delay\"; write `ready = \"delay\"`, or leave \
             `ready_delay` out",
        ),
    ]);
}

#[test]
fn a_delay_is_over_before_its_timeout() {
    let late = "`ready_delay` is \"30s\" and `ready_timeout` is \"30s\"; the first has to be shorter, or it is \
                never ready in time";
    let last = service("ready = 'delay'\nready_delay = '29s 999ms'").policy.ready.clone();
    assert_eq!(last, Ready::Delay(Duration::from_millis(29_999)));
    assert_refused(&[
        ("ready_delay = '30s'\nready = 'delay'", late),
        ("ready_delay = '30s'\nready = 'delay'\nready_timeout = '30s'", late),
        (
            "ready_timeout = 5\nready = 'delay'\nready_delay = '9s'",
            "`ready_timeout` is 5; add the unit: \"5s\" or \"5ms\"",
        ),
    ]);
}

#[test]
fn a_delay_in_defaults_is_for_those_that_use_it() {
    let text = |defaults: &str, a: &str| {
        format!("[defaults]\n{defaults}\n[[service]]\nname = 'a'\ncommand = 'x'\n{a}\n")
    };
    let ready = |defaults: &str, a: &str| plan(&text(defaults, a)).services[0].policy.ready.clone();
    let two = Ready::Delay(Duration::from_secs(2));
    assert_eq!(ready("ready_delay = '2s'", ""), Ready::Assumed);
    assert_eq!(ready("ready_delay = '2s'", "ready = 'started'\nready_timeout = '1s'"), Ready::Started);
    assert_eq!(ready("ready_delay = '2s'", "ready = 'delay'"), two);
    assert_eq!(ready("ready = 'delay'", "ready_delay = '2s'"), two);
    let late = "`ready_delay` is \"2s\" and `ready_timeout` is \"1s\"; the first has to be shorter, or it is \
                never ready in time";
    assert_eq!(
        lines(&text("ready_delay = '2s'\nready = 'delay'", "ready_timeout = '1s'")),
        [format!("f: line 7: service \"a\": {late}")]
    );
    assert_eq!(
        lines(&text("ready_delay = '2s'\nready_timeout = '1s'\nready = 'delay'", "")),
        [format!("f: line 2: [defaults]: {late}")]
    );
}

#[test]
fn defaults_hold_for_all_services_and_give_way_to_their_own_keys() {
    let text = "[defaults]\nrestart = 'always'\nstop_timeout = '1s'\nenv = { A = '1', B = '1' }\n\
                [[service]]\nname = 'a'\ncommand = 'x'\nenv = { B = '2' }\nstop_timeout = '2s'\n\
                [[service]]\nname = 'b'\ncommand = 'x'\n";
    let services = plan(text).services;
    let [a, b] = [&services[0], &services[1]];
    assert_eq!((a.policy.restart, b.policy.restart), (Restart::Always, Restart::Always));
    assert_eq!((a.policy.stop_timeout.as_secs(), b.policy.stop_timeout.as_secs()), (2, 1));
    assert_eq!((a.program.env["A"].as_str(), a.program.env["B"].as_str()), ("1", "2"));
    assert_eq!(b.program.env["B"], "1");
}

#[test]
fn a_mistake_in_defaults_is_told_once() {
    let services = "[[service]]\nname = 'a'\ncommand = 'x'\n[[service]]\nname = 'b'\ncommand = 'x'\n";
    for (line, expected) in [
        ("restart_delay = 3", "`restart_delay` is 3; add the unit: \"3s\" or \"3ms\""),
        ("ready_delay = 3", "`ready_delay` is 3; add the unit: \"3s\" or \"3ms\""),
        ("workers = 257", "`workers` is 257; write a number from 1 to 256"),
        ("stop_timeout = 3", "`stop_timeout` is 3; add the unit: \"3s\" or \"3ms\""),
        ("env = { A = 3 }", "`env.A` is a number; the value of a variable is text in quotes"),
        (
            "restart_delay = '31s'",
            "`restart_delay` is \"31s\" and `restart_delay_max` is \"30s\"; the pause grows from the first to the second",
        ),
    ] {
        let said = lines(&format!("[defaults]\n{line}\n{services}"));
        assert_eq!(said, [format!("f: line 2: [defaults]: {expected}")]);
    }
}

#[test]
fn services_wait_for_services_that_are_there_and_not_in_a_circle() {
    let three = |a: &str, b: &str, c: &str| {
        [("a", a), ("b", b), ("c", c)]
            .map(|(name, keys)| format!("[[service]]\nname = '{name}'\ncommand = 'x'\n{keys}\n"))
            .concat()
    };
    assert_eq!(lines(&three("", "after = 'a'", "after = ['a', 'b']\nrequires = ['a']")), [""; 0]);
    assert_eq!(
        lines(&three("requires = 'c'", "requires = 'a'", "after = 'b'")),
        [
            "f: line 8: service \"a\": services wait for each other: a -> c -> b -> a; none of them could start; \
          break it at one place"
        ]
    );
    assert_eq!(
        lines(&three("after = 'a'", "after = 'bb'", "requires = ['database', 7]")),
        [
            "f: line 4: service \"a\": services wait for each other: a -> a; none of them could start; break it \
             at one place",
            "f: line 8: service \"b\": no service is called \"bb\"; did you mean \"b\"?",
            "f: line 12: service \"c\": `requires` is 7; write the name of a service in quotes, or an array of names",
        ]
    );
}
