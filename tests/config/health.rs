//! `check`, the gates that ask, and `watchdog`.

use super::{assert_refused, plan, service};
use bootstrap::plan::{Check, Place, Probe, Ready, Scope, Target};
use std::time::Duration;

fn check(body: &str) -> Check {
    *service(body).policy.check.clone().expect("a check")
}

#[test]
fn a_check_has_a_target_and_defaults() {
    let found = check("check = { tcp = '127.0.0.1:9000' }");
    assert_eq!(found.probe.target, Target::Tcp(Place::Ip("127.0.0.1:9000".into())));
    assert_eq!(
        (found.period, found.probe.timeout, found.failures),
        (Duration::from_secs(10), Duration::from_secs(2), 3)
    );
    let found = check("check = { http = 'http://[::1]/x?y=1', status = 204, failures = 1 }");
    let place = Place::Ip("[::1]:80".into());
    let target = Target::Http { place, host: "[::1]".into(), path: "/x?y=1".into(), status: Some(204) };
    assert_eq!((found.probe.target, found.failures), (target, 1));
    let found = check("check = { http = 'http://unix:/run/{generation}.sock:/ok' }");
    let place = Place::Unix("/run/{generation}.sock".into());
    let target = Target::Http { place, host: "localhost".into(), path: "/ok".into(), status: None };
    assert_eq!((found.probe.target, found.probe.scope), (target, Scope::Run));
    let found = plan("[[service]]\nname = 'a'\ncommand = 'a'\n[service.check]\nexec = './ok -v'");
    let exec = Target::Exec(vec!["./ok".into(), "-v".into()]);
    assert_eq!(found.services[0].policy.check.as_ref().map(|check| &check.probe.target), Some(&exec));
}

#[test]
fn mistakes_in_a_check_have_a_place_and_a_remedy() {
    assert_refused(&[
        ("check = 3", "`check` is 3; write a table such as { http = \"http://127.0.0.1:9000/healthz\" }"),
        ("check = {}", "`check` asks nothing; give it one of `tcp`, `http` and `exec`"),
        (
            "check = { tcp = '127.0.0.1:1', exec = 'a' }",
            "`check` asks in two ways; leave one of `tcp`, `http` and `exec`",
        ),
        (
            "check = { tcp = '127.0.0.1:1', status = 200 }",
            "`status` is given and `http` is not; it is the status of an answer to `http`",
        ),
        (
            "check = { tcp = '127.0.0.1:1', interval = '1s' }",
            "unknown key `interval`; did you mean `period`?",
        ),
        ("check = { url = 'x', tcp = '127.0.0.1:1' }", "unknown key `url`; did you mean `http`?"),
        ("healthcheck = {}", "unknown key `healthcheck`; did you mean `check`?"),
        ("check = { tcp = '9000' }", "`tcp` is \"9000\"; the port is missing, as in \"127.0.0.1:80\""),
        ("check = { tcp = '1.2.3.4' }", "`tcp` is \"1.2.3.4\"; the port is missing, as in \"127.0.0.1:80\""),
        (
            "check = { tcp = '1.2.3.400:80' }",
            "`tcp` is \"1.2.3.400:80\"; that is no IP address; write one as in \"127.0.0.1:80\"",
        ),
        (
            "check = { tcp = '::1:80' }",
            "`tcp` is \"::1:80\"; an IPv6 address stands in brackets, as in \"[::1]:80\"",
        ),
        (
            "check = { tcp = 'localhost:9000' }",
            "`tcp` is \"localhost:9000\"; no name is looked up; write an IP address such as 127.0.0.1",
        ),
        (
            "check = { tcp = 9000 }",
            "`tcp` is 9000; write an address such as \"127.0.0.1:9000\" or \"unix:/run/web.sock\"",
        ),
        (
            "check = { http = '127.0.0.1:9000' }",
            "`http` is \"127.0.0.1:9000\"; write an address such as \"http://127.0.0.1:9000/healthz\" or \"http://unix:/run/web.sock:/healthz\"",
        ),
        (
            "check = { http = 'https://127.0.0.1/' }",
            "`http` is \"https://127.0.0.1/\"; a check speaks no TLS; write \"http://...\", or a command in `exec`",
        ),
        (
            "check = { http = 'http://127.0.0.1/a b' }",
            "`http` is \"http://127.0.0.1/a b\"; a path has no blanks and only ASCII; write %20 for a blank",
        ),
        (
            "check = { http = 'http://127.0.0.1/', status = 99 }",
            "`status` is 99; write a number from 100 to 599",
        ),
        ("check = { exec = 'a', failures = 0 }", "`failures` is 0; write a number from 1 to 100"),
        ("check = { exec = 'a', failures = 101 }", "`failures` is 101; write a number from 1 to 100"),
        (
            "check = { exec = 'a', failures = '3' }",
            "`failures` is \"3\"; write a number from 1 to 100, without quotes",
        ),
        ("check = { exec = 'a', period = 10 }", "`period` is 10; add the unit: \"10s\" or \"10ms\""),
        (
            "check = { exec = ['a', '{fd}'] }",
            "`check.exec` has a placeholder that nothing replaces; a check gets no descriptor; `{port}`, `{worker}` and `{generation}` are replaced",
        ),
        (
            "check = { tcp = '127.0.0.1:{port}' }\nlisten = 'unix:a'",
            "`check.tcp` has a placeholder that nothing replaces; `{port}` needs a TCP or UDP listener",
        ),
        ("watchdog = '1s'", "`watchdog` is given and nothing could feed it; write `handshake = \"systemd\"`"),
        ("watchdog = '99ms'\nhandshake = 'systemd'", "`watchdog` is \"99ms\"; the shortest is \"100ms\""),
        ("watch = 'yes'", "`watch` is \"yes\"; write true or false, without quotes"),
    ]);
    assert_eq!(check("check = { exec = 'a', failures = 100 }").failures, 100);
    let fed = service("watchdog = '100ms'\nhandshake = 'systemd'");
    assert_eq!(fed.program.watchdog, Some(Duration::from_millis(100)));
}

/// A gate is opened by the process that it is for, and by no other.
#[test]
fn who_may_answer_for_whom() {
    const OTHER: &str = "and another process may answer for the new one; give each process an address of its own \
                         with `{generation}` in it, in `check`; or write `ready = \"accepting\"`";
    let shared = |ready: &str| format!("`ready` is {ready:?}, {OTHER}");
    let any = "any of its workers may answer `tcp`; give each an address of its own with `{worker}` or `{generation}` in it";
    assert_refused(&[
        ("ready = 'http'\nport = 80\nrestart_order = 'start-first'", &shared("http")),
        ("ready = 'tcp'\nport = 80\nworkers = 2", &shared("tcp")),
        (
            "ready = 'tcp'\nport = 80\ncheck = { tcp = 'unix:a-{worker}' }\nrestart_order = 'start-first'",
            &shared("tcp"),
        ),
        // Where there is no socket nobody can be seen to accept.
        (
            "ready = 'tcp'\ncheck = { tcp = 'unix:a-{worker}' }\nrestart_order = 'start-first'",
            &shared("tcp").replace("accepting", "delay"),
        ),
        ("check = { tcp = '127.0.0.1:9000' }\nworkers = 2", any),
        (
            "ready = 'exec'",
            "`ready` is \"exec\" and nothing says what to ask; write `check = { exec = ... }`",
        ),
        (
            "ready = 'tcp'\nlisten = 'udp://0.0.0.0:53'",
            "`ready` is \"tcp\" and nothing says what to ask; write `check = { tcp = ... }`",
        ),
        (
            "ready = 'tcp'\ncheck = { exec = 'a' }",
            "`ready` is \"tcp\" and `check` asks by `exec`; write `ready = \"exec\"`",
        ),
    ]);
    for body in [
        "ready = 'tcp'\ncheck = { tcp = 'unix:a-{generation}' }\nrestart_order = 'start-first'\nworkers = 2",
        "ready = 'exec'\ncheck = { exec = 'a' }\nrestart_order = 'start-first'\nworkers = 2",
        "ready = 'tcp'\ncheck = { tcp = 'unix:a-{worker}' }\nworkers = 2",
        "ready = 'tcp'\ncheck = { tcp = '127.0.0.1:9000' }",
        "check = { tcp = '127.0.0.1:9000' }\nrestart_order = 'start-first'",
    ] {
        assert!(service(body).policy.check.is_some(), "{body}");
    }
}

#[test]
fn the_first_socket_is_asked_as_a_client_of_this_machine_reaches_it() {
    for (listen, place) in [
        ("port = 8080", "127.0.0.1:8080"),
        ("listen = ['udp://0.0.0.0:53', 'tcp://[::]:81']", "[::1]:81"),
        ("listen = 'unix:/run/a'", "/run/a"),
    ] {
        let found = service(&format!("ready = 'tcp'\n{listen}")).policy.ready.clone();
        let Ready::Probe(probe) = found else { panic!("{found:?}") };
        let Probe { target: Target::Tcp(asked), .. } = *probe else { panic!("{probe:?}") };
        assert_eq!(asked.text(), place);
    }
}
