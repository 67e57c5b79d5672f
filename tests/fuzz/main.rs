//! A few thousand inputs for each entry of the fuzzer, made to look like what is read; `fuzz` goes on from there.

mod core;
mod entries;
#[path = "../simulation/plans.rs"]
#[allow(dead_code, reason = "some are for other stories")]
mod plans;
#[path = "../simulation/rng.rs"]
mod rng;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// What the fuzzer has found once in a target.
fn found(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    std::fs::read_dir(seeds).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap())
}

#[test]
fn what_was_found_is_not_found_again() {
    found("core_events").for_each(|bytes| core::core_events(&bytes));
    found("import_text").for_each(|bytes| entries::import_text(&bytes));
    found("snapshot").for_each(|bytes| core::snapshot_text(&bytes));
}

/// One that is refused shows nothing any more: then it is to be written as snapshots are now.
#[test]
fn the_snapshots_that_were_found_are_still_read() {
    for bytes in found("snapshot") {
        let read = bootstrap::core::snapshot::read::<serde_json::Value>(str::from_utf8(&bytes).unwrap());
        assert!(read.is_ok(), "{read:?}");
    }
}

/// Pieces of what is read and any bytes, in any order.
fn mixture(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

const CONFIG: &[&str] = &[
    "[[service]]\n",
    "[bootstrap]\n",
    "[defaults]\n",
    "name = \"a\"\n",
    "name = 'b'\n",
    "port = 80\n",
    "port = 70000\n",
    "command = \"./server {fd}\"\n",
    "command = ['a', '{pipe}', \"{\"]\n",
    "listen = [\"tcp://[::1]:80\", 'unix:a', \"udp://:53\"]\n",
    "listen = { name = \"x\", address = \"tcp://0.0.0.0:1\", backlog = 0 }\n",
    "env = { A = \"{worker}\", B = 1 }\n",
    "env.A = 'x'\n",
    "handshake = \"systemd\"\n",
    "handshake = \"inetd\"\n",
    "ready = \"pipe\"\n",
    "drain_timeout = \"1m 3s\"\n",
    "drain_timeout = 30\n",
    "stop_signal = 'SIGKILL'\n",
    "restart = \"always\"\n",
    "prot = 1\n",
    "# \u{1b}[31m ü\n",
    "\"\"\"",
    "'",
    "\r\n",
    "\u{feff}",
    "= ",
    "[",
    "}",
    "\\u0000",
    "\n",
];

const FOREIGN: &[&str] = &[
    "[program:a b]\n",
    "[fcgi-program:c]\n",
    "command=./a --b %(process_num)02d {port}\n",
    "command=",
    "numprocs=4\n",
    "numprocs_start=7\n",
    "directory=%(here)s/%(ENV_A)s\n",
    "%(process_num)s",
    "%(process_num)3d",
    "socket_mode=0660\n",
    "socket_owner=root:root\n",
    "environment=A=\"1, 2\",B='x',C=\n",
    "startsecs=99999999999999\n",
    "stopwaitsecs=0\n",
    "autorestart=maybe\n",
    "socket=unix:///run/a.sock\n",
    " ; no\n",
    "web: bundle exec puma -p $PORT\n",
    "worker: rake jobs:work\n",
    "bootstrap: true\n",
    "[Service]\n",
    "[Unit]\n",
    "[Socket]\n",
    "ExecStart=@-/usr/bin/a 'b c' {fd:x} \\\n",
    "ExecStart=/bin/sh -c \"$X\"\n",
    "Type=notify\n",
    "Restart=always\n",
    "RestartSec=2min\n",
    "TimeoutStopSec=infinity\n",
    "TimeoutSec=1e300\n",
    "KillSignal=SIGKILL\n",
    "Environment=\"A=b c\" D= =x\n",
    "ListenStream=80\n",
    "ListenStream=[::1]:0\n",
    "ListenStream=/run/a\n",
    "ListenDatagram=127.0.0.1:53\n",
    "Backlog=70000\n",
    "Backlog=5\n",
    "FileDescriptorName=web\n",
    "SocketMode=0660\n",
    "SocketUser=root\n",
    "After=a.service b.service\n",
    "Requires=a.service\n",
    "exec start_server --port=80 --port 127.0.0.1:8080 --path=/run/a -- ./a {worker}\n",
    "FOO=1 start_server --interval=-1 --interval 1e400 --signal-on-term=QUIT --backlog=7 --port=u53 -- a\n",
    "start_server --",
    "User=x\n",
    "\u{0}",
    "\u{7f}",
    "\\\n",
    "\n",
    "=",
    "'",
    "\"",
    "{",
    "}}",
    "%",
];

const NOTICES: &[&str] = &[
    "READY=1",
    "STOPPING=1",
    "RELOADING=1",
    "MONOTONIC_USEC=5",
    "STATUS=",
    "MAINPID=",
    "EXTEND_TIMEOUT_USEC=",
    "WATCHDOG_USEC=18446744073709551615",
    "ERRNO=-",
    "99999999999999999999",
    "1",
    "=",
    "\n",
    "\n",
    "\n",
];

const WORDS: &[&str] = &[
    "ready  ",
    "ready  ",
    "success",
    "failed ",
    "suc",
    "cess",
    " ",
    "\n",
    "{\"command\":\"worker:ack\",\"pid\":7}\n",
    "{\"command\":\"worker:ack\",",
    "---%0Acommand: worker:ack%0Apid: 7%0A\n",
    "%0A",
];

const CONTROL: &[&str] = &[
    "{\"version\":1,",
    "{\"version\":1,",
    "\"id\":7,",
    "\"request\":\"restart\"",
    "\"request\":\"status\"",
    "\"request\":\"signal\",\"signal\":1",
    "\"request\":\"reload\"",
    ",\"services\":[\"web*\"]",
    ",\"services\":[]",
    ",\"wait\":true",
    "\"reply\":\"error\",\"code\":\"busy\",\"message\":\"a\"",
    "\"reply\":\"lost\",\"events\":3",
    "\"reply\":\"event\",\"event\":{\"a\":[1.5e300]}",
    "\"reply\":\"done\",\"ok\":true,\"services\":[]",
    "}",
    "}",
    "\\u0000",
    "[[[[",
    "18446744073709551616",
    "-1",
    "null",
    " ",
];

const LINES: &[&str] = &[
    "A=b\n",
    "A=b\n",
    "\n",
    "export ",
    "BOOTSTRAP_SELECT=",
    "'a b'\n",
    "\"a\\\"b\"\n",
    "# \n",
    "\u{feff}",
    "\r\n",
    "=",
    "\"",
    "\\",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_a_plan_or_a_list_of_mistakes(bytes in mixture(CONFIG)) {
        entries::config_text(&bytes);
    }

    #[test]
    fn any_file_of_others_is_one_of_ours_or_none(bytes in mixture(FOREIGN)) {
        entries::import_text(&bytes);
    }

    #[test]
    fn any_datagram_is_a_list_of_notices(bytes in mixture(NOTICES)) {
        entries::notify_datagram(&bytes);
    }

    #[test]
    fn words_are_the_same_in_any_pieces(bytes in mixture(WORDS), len in 1..20_u8) {
        entries::words(&[&[len], &*bytes].concat());
    }

    #[test]
    fn any_line_is_a_request_or_told_why(bytes in mixture(CONTROL)) {
        entries::control_line(&bytes);
    }

    #[test]
    fn any_file_is_a_list_of_variables_or_refused(bytes in mixture(LINES)) {
        entries::env_file(&bytes);
    }

    #[test]
    fn any_event_in_any_state_leaves_the_core_in_step(bytes in vec(any::<u8>(), 0..400)) {
        core::core_events(&bytes);
    }

    #[test]
    fn any_snapshot_reads_back_or_is_refused(bytes in vec(any::<u8>(), 0..60), cut in any::<proptest::sample::Index>(), to in any::<u8>()) {
        let mut text = core::a_snapshot(&bytes).into_bytes();
        core::snapshot_text(&text);
        let at = cut.index(text.len());
        text[at] = to;
        core::snapshot_text(&text);
    }
}
