//! `port` and `listen`.

use super::{assert_refused, in_service, lines, service};
use bootstrap::limits::LISTENERS_PER_SERVICE;
use bootstrap::plan::Address;
use std::time::Duration;

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
        ("unix:./web.sock", Address::Unix("web.sock".into())),
        ("unix:././run//web.sock", Address::Unix("run/web.sock".into())),
        ("unix:../web.sock", Address::Unix("../web.sock".into())),
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
    assert_eq!(
        (last.name.as_deref(), last.settings.backlog, last.settings.nonblocking),
        (Some("b"), Some(65535), true)
    );
    assert_eq!(last.settings.defer_accept, Some(Duration::from_secs(1)));
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
            "handshake = 'server-starter'\nlisten = 'unix:/run/a;b'",
            "`handshake` is given for unix:/run/a;b; its servers take `=` and `;` for the end of a path: give it one \
             without",
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
        ("unix:a", "unix:../a"),
        ("unix:../a", "unix:../../a"),
        ("unix:/a", "unix:a"),
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
        lines(&two("unix:x.sock", "unix:y/../x.sock")),
        [
            "f: line 8: service \"b\": unix:y/../x.sock overlaps with unix:x.sock in line 4; both are the same path"
        ]
    );
    for (first, second) in [
        ("unix:/run/a.sock", "unix:/run/../run/a.sock"),
        ("unix:/run/a.sock", "unix:/run//./a.sock"),
        ("unix:/run/a.sock", "unix:/../run/a.sock"),
        ("unix:a.sock", "unix:x/../a.sock"),
        ("unix:../a.sock", "unix:x/../../a.sock"),
    ] {
        let said = lines(&two(first, second));
        assert!(said.len() == 1 && said[0].contains(" in line 4"), "{first} and {second}: {said:?}");
    }
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
