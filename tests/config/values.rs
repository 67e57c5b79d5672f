//! What a key may hold.

use super::{assert_refused, service};
use std::time::Duration;

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
            "`stop_signal` is \"kill\"; no process can react to it; SIGKILL is sent when `stop_timeout` is over",
        ),
        (
            "stop_signal = 19",
            "`stop_signal` is 19; no process can react to it; SIGKILL is sent when `stop_timeout` is over",
        ),
    ]);
}

#[test]
fn words_are_refused_with_the_words_there_are() {
    assert_refused(&[
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
        ("restart = 'sometimes'", "`restart` is \"sometimes\"; write \"no\", \"on-failure\" or \"always\""),
        ("restart = 3", "`restart` is 3; write \"no\", \"on-failure\" or \"always\""),
        (
            "handshake = 'server_starter'",
            "`handshake` is \"server_starter\"; write \"pipe\", \"systemd\", \"server-starter\", \"einhorn\", \"inetd\" or \"none\"; did you mean \"server-starter\"?",
        ),
        (
            "handshake = 'upstart'",
            "`handshake` is \"upstart\"; write \"pipe\", \"systemd\", \"server-starter\", \"einhorn\", \"inetd\" or \"none\"",
        ),
        (
            "handshake = false",
            "`handshake` is false; write \"pipe\", \"systemd\", \"server-starter\", \"einhorn\", \"inetd\" or \"none\"; did you mean \"none\"?",
        ),
    ]);
    let gates = "write \"pipe\", \"notify\", \"ack\", \"accepting\", \"tcp\", \"http\", \"exec\", \"started\" or \"delay\"";
    let orders = "write \"stop-first\" or \"start-first\"";
    assert_refused(&[
        ("ready = 'whenever'", &format!("`ready` is \"whenever\"; {gates}")),
        ("ready = true", &format!("`ready` is true; {gates}")),
        ("ready = 'acepting'", &format!("`ready` is \"acepting\"; {gates}; did you mean \"accepting\"?")),
        (
            "restart_order = 'start_first'",
            &format!("`restart_order` is \"start_first\"; {orders}; did you mean \"start-first\"?"),
        ),
        ("restart_order = 1", &format!("`restart_order` is 1; {orders}")),
        ("rollback = 'no'", "`rollback` is \"no\"; write true or false, without quotes"),
        ("canary = 1", "`canary` is 1; write true or false, without quotes"),
    ]);
}

#[test]
fn numbers_of_workers_have_a_limit() {
    let policy = service("workers = 256\nmax_surge = 256\nmax_unavailable = 256").policy;
    assert_eq!((policy.workers, policy.max_surge, policy.max_unavailable), (256, 256, 256));
    let policy = service("workers = 1\nmax_surge = 1\nmax_unavailable = 1").policy;
    assert_eq!((policy.workers, policy.max_surge, policy.max_unavailable), (1, 1, 1));
    assert_refused(&[
        ("workers = 0", "`workers` is 0; write a number from 1 to 256"),
        ("workers = 257", "`workers` is 257; write a number from 1 to 256"),
        ("workers = -1", "`workers` is -1; write a number from 1 to 256"),
        ("workers = 1.5", "`workers` is 1.5; write a number from 1 to 256"),
        ("workers = '3'", "`workers` is \"3\"; write a number from 1 to 256, without quotes"),
        ("workers = '257'", "`workers` is \"257\"; write a number from 1 to 256"),
        ("workers = 'auto'", "`workers` is \"auto\"; write a number from 1 to 256"),
        ("workers = 99999999999999999999", "`workers` is 99999999999999999999; write a number from 1 to 256"),
        ("max_surge = 257", "`max_surge` is 257; write a number from 1 to 256"),
        ("max_unavailable = 257", "`max_unavailable` is 257; write a number from 1 to 256"),
        ("max_surge = '25%'", "`max_surge` is \"25%\"; write a number from 1 to 256"),
        (
            "max_surge = 0",
            "`max_surge` is 0; to start no worker beside the others, write `restart_order = \"stop-first\"`; this is \
             a number from 1 to 256",
        ),
        (
            "max_unavailable = 0",
            "`max_unavailable` is 0; to miss no worker, write `restart_order = \"start-first\"`; this is a number \
             from 1 to 256",
        ),
    ]);
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
        ("ready_delay = '0s'\nready = 'delay'", &format!("`ready_delay` {zero}")),
        ("bake_time = 5", "`bake_time` is 5; add the unit: \"5s\" or \"5ms\""),
        ("bake_time = '100days 1ms'", "`bake_time` is \"100days 1ms\"; the longest is \"100days\""),
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
         healthy_after = '0'\nrestart_delay_max = '0s'\nstop_signal = 64\nbake_time = '0s'",
    )
    .policy;
    assert_eq!(policy.stop_timeout, Duration::from_millis(1));
    assert_eq!(policy.drain_timeout, Duration::from_secs(8_640_000));
    assert_eq!((policy.restart_delay, policy.healthy_after), (Duration::ZERO, Duration::ZERO));
    assert_eq!((policy.stop_signal, policy.bake_time), (64, Duration::ZERO));
    assert_eq!(service("bake_time = '100days'").policy.bake_time, Duration::from_secs(8_640_000));
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
        ("env = 3", "`env` is a number; write a table such as { NAME = \"value\" }"),
        ("env = { A = 80 }", "`env.A` is a number; the value of a variable is text in quotes"),
        ("env = { A = true }", "`env.A` is `true` or `false`; the value of a variable is text in quotes"),
        ("env = { A = ['b'] }", "`env.A` is an array; the value of a variable is text in quotes"),
        ("env = { A = \"\\u0000\" }", "`env.A` is a text; no program can be given a NUL"),
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
