//! The config file: what each mistake reads like, and what a file without one means.

use bootstrap::config::{Problem, load, parse};
use bootstrap::limits::{CONFIG_BYTES, LISTENERS_PER_SERVICE, MISTAKES_SHOWN, SERVICES};
use bootstrap::plan::{Address, Definition, Handshake, Plan, Policy, Ready, Restart, WhenIdle};
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

/// The report of a text, one line for each mistake.
#[track_caller]
fn lines(text: &str) -> Vec<String> {
    match parse("f", text) {
        Ok(_) => Vec::new(),
        Err(refused) => refused.lines(),
    }
}

#[track_caller]
fn plan(text: &str) -> Plan {
    parse("f", text).unwrap_or_else(|refused| panic!("{}\nin:\n{text}", refused.render(false)))
}

/// The only service of a file that gives it a name, a command unless `body` does, and `body` from line 3 on.
#[track_caller]
fn service(body: &str) -> Definition {
    (*plan(&in_service(body)).services[0]).clone()
}

fn in_service(body: &str) -> String {
    let command = if body.contains("command") { "" } else { "command = ['a']" };
    format!("[[service]]\nname = 'web'\n{body}\n{command}\n")
}

/// Rows of a body, and what is said of its line 3 behind `f: line 3: service "web": `.
#[track_caller]
fn assert_refused(rows: &[(&str, &str)]) {
    for (body, expected) in rows {
        let expected = format!("f: line 3: service \"web\": {expected}");
        assert_eq!(lines(&in_service(body)), [expected], "for this body:\n{body}");
    }
}

#[test]
fn values_are_refused_with_what_is_allowed() {
    assert_refused(&[
        ("port = 70000", "`port` is 70000; a port is a number from 1 to 65535"),
        ("port = 65536", "`port` is 65536; a port is a number from 1 to 65535"),
        ("port = 0", "`port` is 0; a port is a number from 1 to 65535"),
        ("port = -1", "`port` is -1; a port is a number from 1 to 65535"),
        ("port = 80.5", "`port` is 80.5; a port is a number from 1 to 65535"),
        ("port = '80'", "`port` is \"80\"; a port is a number from 1 to 65535, without quotes"),
        (
            "port = 99999999999999999999999999999999999999999999",
            "`port` is 99999999999999999999999999999999999999999999; a port is a number from 1 to 65535",
        ),
        ("directory = ''", "`directory` is \"\"; write a path in quotes"),
        ("directory = 3", "`directory` is 3; write a path in quotes"),
        ("directory = \"a\\u0000\"", "`directory` is \"a\\0\"; no program can be given a NUL"),
        ("env_file = []", "`env_file` is an empty array; write a path in quotes"),
        (
            "stop_signal = 'SIGFOO'",
            "`stop_signal` is \"SIGFOO\"; write a signal such as \"SIGTERM\", or its number from 1 to 64",
        ),
        (
            "stop_signal = 65",
            "`stop_signal` is 65; write a signal such as \"SIGTERM\", or its number from 1 to 64",
        ),
        (
            "stop_signal = 0",
            "`stop_signal` is 0; write a signal such as \"SIGTERM\", or its number from 1 to 64",
        ),
        (
            "stop_signal = 'kill'",
            "`stop_signal` is \"kill\"; no process can react to it; it is sent when `stop_timeout` is over",
        ),
        (
            "stop_signal = 19",
            "`stop_signal` is 19; no process can react to it; it is sent when `stop_timeout` is over",
        ),
    ]);
}

#[test]
fn words_are_refused_with_the_words_there_are() {
    assert_refused(
        &[
            (
                "restart = true",
                "`restart` is true; write \"no\", \"on-failure\" or \"always\"; did you mean \"always\"?",
            ),
            (
                "restart = false",
                "`restart` is false; write \"no\", \"on-failure\" or \"always\"; did you mean \"no\"?",
            ),
            (
                "restart = 'on_failure'",
                "`restart` is \"on_failure\"; write \"no\", \"on-failure\" or \"always\"; did you mean \"on-failure\"?",
            ),
            (
                "restart = 'sometimes'",
                "`restart` is \"sometimes\"; write \"no\", \"on-failure\" or \"always\"",
            ),
            ("restart = 3", "`restart` is 3; write \"no\", \"on-failure\" or \"always\""),
            ("handshake = 'systemd'", "`handshake` is \"systemd\"; write \"pipe\" or \"none\""),
            ("handshake = false", "`handshake` is false; write \"pipe\" or \"none\"; did you mean \"none\"?"),
            ("port = 80\nready = 'notify'", ""),
        ][..7],
    );
    assert_eq!(
        lines(&in_service("port = 80\nready = 'notify'")),
        ["f: line 4: service \"web\": `ready` is \"notify\"; write \"pipe\""]
    );
}

#[test]
fn durations_are_refused_with_the_remedy() {
    let zero = "is \"0s\"; the shortest is \"1ms\"";
    assert_refused(&[
        ("stop_timeout = 30", "`stop_timeout` is 30; add the unit: \"30s\" or \"30ms\""),
        ("stop_timeout = '30'", "`stop_timeout` is \"30\"; add the unit: \"30s\" or \"30ms\""),
        ("stop_timeout = 1.5", "`stop_timeout` is 1.5; write a duration such as \"30s\" or \"1m 30s\""),
        ("stop_timeout = -5", "`stop_timeout` is -5; write a duration such as \"30s\" or \"1m 30s\""),
        (
            "stop_timeout = 'soon'",
            "`stop_timeout` is \"soon\"; write a duration such as \"30s\" or \"1m 30s\"",
        ),
        ("stop_timeout = ''", "`stop_timeout` is \"\"; write a duration such as \"30s\" or \"1m 30s\""),
        ("stop_timeout = '0s'", &format!("`stop_timeout` {zero}")),
        ("drain_timeout = '0s'", &format!("`drain_timeout` {zero}")),
        ("handover_timeout = '0s'", &format!("`handover_timeout` {zero}")),
        ("ready_timeout = '0s'", &format!("`ready_timeout` {zero}")),
        ("stop_timeout = '999us'", "`stop_timeout` is \"999us\"; durations are whole milliseconds"),
        ("healthy_after = '1500us'", "`healthy_after` is \"1500us\"; durations are whole milliseconds"),
        ("stop_timeout = '100days 1ms'", "`stop_timeout` is \"100days 1ms\"; the longest is \"100days\""),
        (
            "stop_timeout = '99999999999999999999y'",
            "`stop_timeout` is \"99999999999999999999y\"; the longest is \"100days\"",
        ),
        (
            "restart_delay = '31s'",
            "`restart_delay` is \"31s\" and `restart_delay_max` is \"30s\"; the pause grows from the first to the second",
        ),
        (
            "restart_delay_max = '199ms'",
            "`restart_delay` is \"200ms\" and `restart_delay_max` is \"199ms\"; the pause grows from the first to the second",
        ),
    ]);
}

#[test]
fn values_at_their_limit_are_taken() {
    let policy = service(
        "port = 65535\nstop_timeout = '1ms'\ndrain_timeout = '100days'\nrestart_delay = '0s'\n\
         healthy_after = '0'\nrestart_delay_max = '0s'\nstop_signal = 64",
    )
    .policy;
    assert_eq!(policy.stop_timeout, Duration::from_millis(1));
    assert_eq!(policy.drain_timeout, Duration::from_secs(8_640_000));
    assert_eq!((policy.restart_delay, policy.healthy_after), (Duration::ZERO, Duration::ZERO));
    assert_eq!(policy.stop_signal, 64);
    assert_eq!(service("port = 1").listeners[0].address.port(), Some(1));
}

#[test]
fn signals_have_many_spellings() {
    for (written, number) in [("'SIGQUIT'", 3), ("'quit'", 3), ("'Term'", 15), ("'sigusr2'", 12), ("1", 1)] {
        assert_eq!(service(&format!("stop_signal = {written}")).policy.stop_signal, number, "{written}");
    }
}

#[test]
fn commands_and_environments_are_text() {
    assert_refused(&[
        (
            "command = 3",
            "`command` is 3; write an array such as [\"./server\", \"-v\"], or text such as \"./server -v\"",
        ),
        ("command = []", "`command` is an empty array; a command begins with the program to run"),
        ("command = ' '", "`command` is \" \"; a command begins with the program to run"),
        ("command = ['', 'a']", "`command` is an array; a command begins with the program to run"),
        ("command = ['a', 3]", "`command` is 3; quote it: \"3\""),
        ("command = ['a', ['b']]", "`command` is an array; an argument is text in quotes"),
        (
            "command = \"a 'b\"",
            "`command` is \"a 'b\"; a quote in it is never closed; write an array to need no quoting",
        ),
        ("command = [\"a\", \"\\u0000\"]", "`command` is an array; no program can be given a NUL"),
        (
            "command = ['a', '{fd}']",
            "`command` has a placeholder that nothing replaces; `{fd}` needs a socket; give the service a `port` or `listen`",
        ),
        ("env = 3", "`env` is 3; write a table such as { NAME = \"value\" }"),
        ("env = { A = 80 }", "`env.A` is 80; quote it: \"80\""),
        ("env = { A = true }", "`env.A` is true; quote it: \"true\""),
        ("env = { A = ['b'] }", "`env.A` is an array; the value of a variable is text in quotes"),
        ("env = { A = \"\\u0000\" }", "`env.A` is \"\\0\"; no program can be given a NUL"),
        (
            "env = { '' = 'b' }",
            "`env` has a variable \"\"; the name of a variable is not empty and holds no `=` and no NUL",
        ),
        (
            "env = { 'A=' = 'b' }",
            "`env` has a variable \"A=\"; the name of a variable is not empty and holds no `=` and no NUL",
        ),
        (
            "env = { A = '{pipe}' }",
            "`env.A` has a placeholder that nothing replaces; `{pipe}` needs `handshake = \"pipe\"`",
        ),
    ]);
    assert_eq!(service("command = \"a 'b c' d\"").program.command, ["a", "b c", "d"]);
    assert_eq!(service("command = ['a b', '']").program.command, ["a b", ""]);
}

#[test]
fn addresses_are_refused_with_the_one_that_is_meant() {
    let scheme = "an address begins with \"tcp://\", \"udp://\" or \"unix:\"";
    let long = format!("unix:/{}", "a".repeat(107));
    let rows = [
        ("80", format!("{scheme}: write \"tcp://0.0.0.0:80\"")),
        (":80", format!("{scheme}: write \"tcp://0.0.0.0:80\"")),
        ("127.0.0.1:80", format!("{scheme}: write \"tcp://127.0.0.1:80\"")),
        ("localhost:80", format!("{scheme}: write \"tcp://127.0.0.1:80\"")),
        ("tcp:127.0.0.1:80", format!("{scheme}: write \"tcp://127.0.0.1:80\"")),
        ("/run/a.sock", format!("{scheme}: write \"unix:/run/a.sock\"")),
        ("", scheme.into()),
        (
            "http://[::1]:80/",
            "\"http://\" is none of \"tcp://\", \"udp://\" and \"unix:\": write \"tcp://[::1]:80\"".into(),
        ),
        (
            "tcp://localhost:80",
            "a socket is bound to an IP address, not to a host name: write \"tcp://127.0.0.1:80\"".into(),
        ),
        ("tcp://example.org:80", "a socket is bound to an IP address, not to a host name".into()),
        (
            "tcp://*:80",
            "the IP address is missing; 0.0.0.0 stands for all: write \"tcp://0.0.0.0:80\"".into(),
        ),
        ("udp://:53", "the IP address is missing; 0.0.0.0 stands for all: write \"udp://0.0.0.0:53\"".into()),
        (
            "tcp://::1:80",
            "an IPv6 address stands in brackets, as in \"tcp://[::1]:80\": write \"tcp://[::1]:80\"".into(),
        ),
        ("tcp://80", "the port is missing, as in \"tcp://127.0.0.1:80\": write \"tcp://0.0.0.0:80\"".into()),
        ("tcp://[::1]", "the port is missing, as in \"tcp://127.0.0.1:80\"".into()),
        ("tcp://1.2.3.4:0", "a port is a number from 1 to 65535".into()),
        ("tcp://1.2.3.4:65536", "a port is a number from 1 to 65535".into()),
        ("tcp://1.2.3.4:80/", "nothing follows the port: write \"tcp://1.2.3.4:80\"".into()),
        ("tcp://1.2.3.400:80", "that is no IP address; write one as in \"tcp://127.0.0.1:80\"".into()),
        (
            "tcp://[::ffff:1.2.3.4]:80",
            "an IPv6 socket takes IPv6 clients only: write \"tcp://1.2.3.4:80\"".into(),
        ),
        ("unix:", "the path is missing, as in \"unix:/run/web.sock\"".into()),
        ("unix://run/a", "a path follows \"unix:\" at once: write \"unix:/run/a\"".into()),
        ("unix:@a", "a socket without a path can be reached by every user; write the path of a file".into()),
    ];
    for (written, remedy) in &rows {
        assert_refused(&[(&format!("listen = '{written}'"), &format!("`listen` is {written:?}; {remedy}"))]);
        let field = format!("listen = [{{ address = '{written}' }}]");
        assert_refused(&[(&field, &format!("`address` is {written:?}; {remedy}"))]);
    }
    assert_refused(&[
        (
            &format!("listen = '{long}'"),
            &format!(
                "`listen` is {:?}...; the path of a socket has at most 107 bytes, this one has 108",
                &long[..80]
            ),
        ),
        ("listen = 80", &format!("`listen` is 80; {scheme}: write \"tcp://0.0.0.0:80\"")),
        (
            "listen = true",
            "`listen` is true; write an address such as \"tcp://127.0.0.1:80\", or an array of them and of tables \
             with an `address`",
        ),
        ("listen = \"unix:a\\u0000\"", "`listen` is \"unix:a\\0\"; a path holds no NUL"),
    ]);
}

#[test]
fn addresses_are_read_as_written() {
    let tcp = |text: &str| Address::Tcp(text.parse().unwrap());
    let path = format!("/{}", "a".repeat(106));
    for (written, expected) in [
        ("tcp://127.0.0.1:80", tcp("127.0.0.1:80")),
        ("tcp://[::]:8443", tcp("[::]:8443")),
        ("tcp://[fe80::1%2]:80", tcp("[fe80::1%2]:80")),
        ("udp://0.0.0.0:53", Address::Udp("0.0.0.0:53".parse().unwrap())),
        ("unix:web.sock", Address::Unix("web.sock".into())),
        ("unix:///run/web.sock", Address::Unix("/run/web.sock".into())),
        (&format!("unix:{path}"), Address::Unix(path.clone().into())),
    ] {
        assert_eq!(service(&format!("listen = '{written}'")).listeners[0].address, expected, "{written}");
    }
}

#[test]
fn port_comes_first_and_listeners_keep_their_order_and_settings() {
    let listeners = service(
        "port = 80\nlisten = ['unix:a', { name = 'b', address = 'tcp://[::]:80', backlog = 65535, \
         nonblocking = true, defer_accept = '1s' }]",
    )
    .listeners;
    let shown: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(shown, ["tcp://0.0.0.0:80", "unix:a", "tcp://[::]:80"]);
    let last = &listeners[2];
    assert_eq!((last.name.as_deref(), last.backlog, last.nonblocking), (Some("b"), Some(65535), true));
    assert_eq!(last.defer_accept, Some(Duration::from_secs(1)));
}

#[test]
fn settings_of_a_listener_are_checked() {
    let at = |settings: &str| format!("listen = {{ address = 'tcp://[::]:80', {settings} }}");
    assert_refused(&[
        (&at("backlog = 0"), "`backlog` is 0; a backlog is a number from 1 to 65535"),
        (&at("backlog = 65536"), "`backlog` is 65536; a backlog is a number from 1 to 65535"),
        (&at("nonblocking = 'yes'"), "`nonblocking` is \"yes\"; write true or false, without quotes"),
        (
            &at("defer_accept = '1500ms'"),
            "`defer_accept` is \"1500ms\"; write whole seconds, at least \"1s\"",
        ),
        (&at("defer_accept = '0s'"), "`defer_accept` is \"0s\"; write whole seconds, at least \"1s\""),
        (
            &at("name = 'a:b'"),
            "`name` is \"a:b\"; a name is made of a-z, 0-9, `-` and `_`; ':' is none of them",
        ),
        (&at("backlg = 3"), "unknown key `backlg`; did you mean `backlog`?"),
        ("listen = {}", "`address` is missing; it has no default"),
        (
            "listen = { address = 'udp://[::]:80', backlog = 3 }",
            "`backlog` is given for udp://[::]:80; only TCP and unix sockets have clients that wait",
        ),
        (
            "listen = { address = 'unix:a', defer_accept = '1s' }",
            "`defer_accept` is given for unix:a; only TCP has it",
        ),
        (
            "listen = [{ name = 'a', address = 'unix:a' }, { name = 'a', address = 'unix:b' }]",
            "the listener in line 3 is named \"a\" as well; `{fd:NAME}` needs a name for each",
        ),
    ]);
}

#[test]
fn a_service_has_at_most_its_listeners() {
    let listen = |count: usize| {
        let addresses: Vec<String> = (0..count).map(|number| format!("'unix:{number}'")).collect();
        format!("port = 80\nlisten = [{}]", addresses.join(", "))
    };
    assert_eq!(service(&listen(LISTENERS_PER_SERVICE - 1)).listeners.len(), LISTENERS_PER_SERVICE);
    assert_eq!(
        lines(&in_service(&listen(LISTENERS_PER_SERVICE))),
        ["f: line 4: service \"web\": it has 65 listeners; a service has at most 64"]
    );
}

#[test]
fn a_file_has_at_most_its_services() {
    let services = |count: usize| -> String {
        (0..count).map(|number| format!("[[service]]\nname = 's{number}'\ncommand = 'a'\n")).collect()
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
        (
            "zzz = 1",
            "unknown key `zzz`; there are `name`, `port`, `listen`, `command`, `restart`, `handshake`, `ready`, \
             `directory`, `env`, `env_file`, `stop_signal`, `handover_timeout`, `drain_timeout`, `stop_timeout`, \
             `ready_timeout`, `restart_delay`, `restart_delay_max` and `healthy_after`",
        ),
    ]);
    let rows = [
        ("name = 'a'", vec!["f: line 1: service 1: `command` is missing; it has no default"]),
        ("command = 'a'", vec!["f: line 1: service 1: `name` is missing; it has no default"]),
    ];
    for (body, _) in &rows {
        assert_eq!(lines(&format!("[[service]]\n{body}")).len(), 1, "{body}");
    }
    assert_eq!(
        lines("[[service]]\nname = 'a'"),
        ["f: line 1: service \"a\": `command` is missing; it has no default"]
    );
    assert_eq!(lines("[[service]]\ncommand = 'a'"), rows[1].1);
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

/// Two services, `a` and `b`, with these addresses.
fn two(first: &str, second: &str) -> String {
    format!(
        "[[service]]\nname = 'a'\ncommand = 'x'\nlisten = '{first}'\n\
         [[service]]\nname = 'b'\ncommand = 'x'\nlisten = '{second}'\n"
    )
}

#[test]
fn an_address_belongs_to_one_listener() {
    for (first, second) in [
        ("tcp://127.0.0.1:80", "tcp://127.0.0.1:80"),
        ("udp://[::1]:53", "udp://[::1]:53"),
        ("unix:/run/a", "unix:/run//a"),
        ("unix:a", "unix:./a"),
        ("tcp://0.0.0.0:80", "tcp://127.0.0.1:80"),
        ("tcp://127.0.0.1:80", "tcp://0.0.0.0:80"),
        ("tcp://[::1]:80", "tcp://[::]:80"),
    ] {
        let said = lines(&two(first, second));
        assert_eq!(said.len(), 1, "{first} and {second}: {said:?}");
        assert!(said[0].starts_with("f: line 8: service \"b\": "), "{said:?}");
    }
    for (first, second) in [
        ("tcp://0.0.0.0:80", "tcp://[::]:80"),
        ("tcp://0.0.0.0:80", "udp://0.0.0.0:80"),
        ("tcp://0.0.0.0:80", "tcp://0.0.0.0:81"),
        ("tcp://127.0.0.1:80", "tcp://127.0.0.2:80"),
        ("tcp://[fe80::1%1]:80", "tcp://[fe80::1%2]:80"),
        ("unix:a", "unix:b"),
    ] {
        assert_eq!(lines(&two(first, second)), [""; 0], "{first} and {second}");
    }
    assert_eq!(
        lines(&two("tcp://0.0.0.0:80", "tcp://1.2.3.4:80")),
        [
            "f: line 8: service \"b\": tcp://1.2.3.4:80 overlaps with tcp://0.0.0.0:80 in line 4; 0.0.0.0 and [::] take \
          their port on every address"
        ]
    );
    assert_eq!(
        lines(&in_service("port = 80\nlisten = 'tcp://0.0.0.0:80'")),
        [
            "f: line 4: service \"web\": tcp://0.0.0.0:80 is taken in line 3 already; an address can be bound once"
        ]
    );
    assert_eq!(
        lines("[[service]]\nname = 'a'\ncommand = 'x'\n[[service]]\nname = 'a'\ncommand = 'x'"),
        [
            "f: line 5: service \"a\": the service in line 2 is named \"a\" as well; each service has a name of its own"
        ]
    );
}

#[test]
fn handshake_ready_and_signal_depend_on_each_other() {
    let with = service("port = 80");
    assert_eq!((with.program.handshake, with.policy.stop_signal), (Handshake::Pipe, libc::SIGUSR1));
    let without = service("");
    assert_eq!((without.program.handshake, without.policy.stop_signal), (Handshake::None, libc::SIGTERM));
    assert_eq!(without.policy.ready, Ready::Started);
    let plain = service("port = 80\nhandshake = 'none'");
    assert_eq!((plain.program.handshake, plain.policy.stop_signal), (Handshake::None, libc::SIGTERM));
    assert_eq!(service("port = 80\nready = 'pipe'").policy.ready, Ready::Pipe);
    assert_refused(&[(
        "ready = 'pipe'",
        "`ready` is \"pipe\" and the service has no pipe; write `handshake = \"pipe\"`, or leave `ready` out",
    )]);
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
        ("stop_timeout = 3", "`stop_timeout` is 3; add the unit: \"3s\" or \"3ms\""),
        ("env = { A = 3 }", "`env.A` is 3; quote it: \"3\""),
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
fn syntax_and_all_else_are_told_together() {
    let text = include_str!("config/syntax.toml");
    let expected = include_str!("config/syntax.lines");
    assert_eq!(lines(text).join("\n") + "\n", expected);
}

#[test]
fn the_picture_shows_place_line_and_remedy() {
    let text = include_str!("config/mistakes.toml");
    let picture = parse("services.toml", text).unwrap_err().render(false);
    assert_eq!(picture, include_str!("config/mistakes.txt"));
}

#[test]
fn colour_comes_only_when_asked_for() {
    let refused = parse("f", "x = 1").unwrap_err();
    assert!(refused.render(true).contains("\u{1b}["));
    assert!(!refused.render(false).contains('\u{1b}'));
}

#[test]
fn what_a_report_leaves_out_is_counted() {
    let text = |count: usize| {
        let keys: String = (0..count).map(|number| format!("zzzzz{number} = 1\n")).collect();
        format!("[bootstrap]\n{keys}{}", in_service(""))
    };
    assert_eq!(lines(&text(MISTAKES_SHOWN)).len(), MISTAKES_SHOWN);
    let refused = parse("f", &text(MISTAKES_SHOWN + 12)).unwrap_err();
    assert_eq!(refused.mistakes().len(), MISTAKES_SHOWN + 12);
    assert_eq!(refused.lines().len(), MISTAKES_SHOWN + 1);
    assert_eq!(refused.lines().last().unwrap(), "f: ... and 12 more mistakes");
    assert!(refused.render(false).ends_with("... and 12 more mistakes\nf: refused: 62 mistakes\n"));
}

#[test]
fn byte_order_mark_and_carriage_returns_are_no_mistakes() {
    let text = format!("\u{feff}{}", in_service("port = 80").replace('\n', "\r\n"));
    assert_eq!(plan(&text), plan(&in_service("port = 80")));
    let refused = parse("f", "\u{feff}prot = 1").unwrap_err();
    let at = refused.mistakes()[0].position.clone().unwrap();
    assert_eq!((at.line, at.column), (1, 1));
}

/// The lines of the report on a file that holds these bytes, without the name of its directory.
fn lines_of_file(bytes: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, bytes).unwrap();
    let prefix = format!("{}/", directory.path().display());
    load(&path).unwrap_err().lines().iter().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn what_is_no_config_file_is_refused_in_a_sentence() {
    assert_eq!(
        lines_of_file(b"a = 1\nb\xff = 2"),
        ["f: line 2: the byte 0xff is no UTF-8 text; save the file as UTF-8"]
    );
    let large = vec![b'\n'; usize::try_from(CONFIG_BYTES).unwrap() + 1];
    assert_eq!(lines_of_file(&large), ["f: has more than 8388608 bytes; a config file never needs as many"]);
    assert_eq!(lines_of_file(&large[1..]), lines_of_file(b"\n"), "at the limit it is read");
    assert_eq!(lines_of_file(&[b'a'; 10_000_000]).len(), 1);

    let directory = tempfile::tempdir().unwrap();
    let said = load(directory.path()).unwrap_err();
    assert_eq!(said.mistakes()[0].problem, Problem::Directory);
    let missing = load(&directory.path().join("none")).unwrap_err();
    assert!(missing.lines()[0].ends_with("/none: cannot be read: No such file or directory (os error 2)"));
    assert!(missing.render(false).contains("cannot be read"));
}

#[test]
fn every_example_file_is_good() {
    let mut files = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/config")).unwrap() {
        let path = entry.unwrap().path();
        load(&path).unwrap_or_else(|refused| panic!("{}", refused.render(false)));
        files += 1;
    }
    assert!(files >= 4, "{files} files");
}

fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/services.toml")).unwrap()
}

/// The lines of the example that are commented out, as TOML.
fn uncommented() -> String {
    let bare = |line: &str| match line.strip_prefix('#') {
        Some(code)
            if !code.starts_with(' ')
                || code.starts_with("    ") && !code.contains("bootstrap -c") && !code.contains("curl") =>
        {
            code.to_string()
        }
        Some(_) => String::new(),
        None => line.to_string(),
    };
    example().lines().map(|line| bare(line) + "\n").collect()
}

#[test]
fn the_example_shows_every_key_and_the_defaults_that_are_true() {
    let all = plan(&uncommented());
    let (web, defaults) = (&all.services[0], Policy::default());
    assert_eq!(web.policy, Policy { ready: Ready::Pipe, ..defaults });
    assert_eq!(all.settings.when_idle, WhenIdle::Exit);
    let plain = plan(&example());
    assert_eq!(plain.services[0].policy, Policy::default());
    assert_eq!(plain.services[0].program.handshake, web.program.handshake);

    let report = lines("[bootstrap]\nzzz = 1\n[[service]]\nzzz = 1\nlisten = { zzz = 1 }").join("\n");
    let keys = report.split('`').skip(1).step_by(2).filter(|key| *key != "zzz");
    for key in keys {
        let used = uncommented().lines().any(|line| {
            line.starts_with(&format!("{key} ="))
                || line.starts_with(&format!("[service.{key}]"))
                || line.contains(&format!(" {key} ="))
        });
        assert!(used, "config/services.toml does not show `{key}`");
    }
}

/// Mistakes that have nothing to do with each other, one line each.
const INDEPENDENT: &[&str] = &[
    "port = 0",
    "restart = 3",
    "handshake = 'x'",
    "ready = 'x'",
    "directory = 3",
    "env = 3",
    "env_file = 3",
    "stop_signal = 0",
    "handover_timeout = 3",
    "drain_timeout = 3",
    "stop_timeout = 3",
    "ready_timeout = 3",
    "restart_delay = 3",
    "restart_delay_max = 3",
    "healthy_after = 3",
    "zzz = 3",
    "listen = 'x'",
    "yyy = = 3",
    "command = 'a",
];

proptest! {
    #[test]
    fn any_independent_mistakes_are_all_reported(
        chosen in proptest::sample::subsequence(INDEPENDENT, 1..=INDEPENDENT.len()),
        services in 1_usize..4,
    ) {
        let text: String = (0..services)
            .map(|number| {
                let command = if chosen.contains(&"command = 'a") { "" } else { "command = 'a'\n" };
                format!("[[service]]\nname = 's{number}'\n{}\n{command}", chosen.join("\n"))
            })
            .collect();
        let refused = parse("f", &text).unwrap_err();
        prop_assert_eq!(refused.mistakes().len(), chosen.len() * services, "{:#?}\n{}", refused, text);
    }

    #[test]
    fn no_text_makes_it_panic_and_every_mistake_lies_within_the_text(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(INDEPENDENT).prop_map(String::from),
                proptest::sample::select(&[
                    "[[service]]", "[service]", "[service.env]", "[defaults]", "[bootstrap]", "name = 'a'", "\u{feff}",
                    "command = ['a', '{fd}'", "]", "\"\"\"", "'''", "listen = [{", "}", "\r", "\"\\u0000\"", "é = 'ü", "#",
                    "service", "= 1", "x.y.z = 1", "[[", ",",
                ][..]).prop_map(String::from),
                any::<String>(),
            ],
            0..24,
        ),
        separator in prop_oneof![Just("\n"), Just("\r\n"), Just(""), Just(" ")],
    ) {
        let text = pieces.join(separator);
        if let Err(refused) = parse("f", &text) {
            prop_assert!(!refused.mistakes().is_empty());
            for mistake in refused.mistakes() {
                let at = mistake.position.as_ref().unwrap();
                prop_assert!(text.get(at.span.clone()).is_some(), "{:?}", mistake);
                prop_assert!(at.line >= 1 && at.line <= text.matches('\n').count() + 1);
            }
            refused.render(true);
            prop_assert!(refused.lines().iter().all(|line| !line.contains('\n')), "{:?}", refused.lines());
        }
    }
}
