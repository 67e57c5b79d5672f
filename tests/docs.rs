//! README and docs, carried out: commands are run and their output compared, tables are held against the code.
//!
//! A block marked `console` is a session of a shell. It runs in a directory that looks like a checkout, with
//! three things put in place of others: `target/release` is what cargo has built for the tests, ports 8080 and
//! 8081 are two free ones, and curl shows no progress meter, as on a terminal. In its output times, pids and
//! durations may differ, and lines that come from different services may change places.
//! A block marked `toml` must be a config file without a mistake, unless its first line names a file for a
//! session: such a block (`# name`) is written to the directory first.

#![expect(clippy::disallowed_methods, reason = "sessions need a shell")]

mod support;

use bootstrap::cli::Invocation;
use bootstrap::config::{self, Problem};
use bootstrap::core::state::State;
use bootstrap::exit::ExitCode;
use bootstrap::limits::{CONTROL_ANSWER_BYTES, CONTROL_CLIENTS, CONTROL_EVENT_BYTES, CONTROL_LINE_BYTES};
use bootstrap::plan::Plan;
use bootstrap::protocol::control::ErrorCode;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Client, Log, Process, Stage, eventually, free_port, get};
use tempfile::TempDir;

const DOCUMENTS: [&str; 7] = [
    "README.md",
    "docs/architecture.md",
    "docs/comparison.md",
    "docs/control.md",
    "docs/metrics.md",
    "docs/protocols.md",
    "docs/security.md",
];

/// What stands in the documents where the test has its own ports.
const PORTS: [&str; 2] = ["8080", "8081"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A fenced block.
struct Block {
    language: String,
    text: String,
}

impl Block {
    /// The file that its first line names.
    fn file(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        (is_name && name.contains('.')).then_some(name)
    }
}

fn blocks(name: &str) -> Vec<Block> {
    let text = document(name);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Block { language: language.into(), text: text.join("\n") + "\n" });
        }
    }
    found
}

/// The rows of the table with this first heading, each as its cells.
fn table(name: &str, heading: &str) -> Vec<Vec<String>> {
    let text = document(name);
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    assert!(lines.next().is_some(), "{name} has no table {heading:?}");
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|');
        inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// The pieces of a text that stand in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

// ---- sessions ----

/// A directory that looks like a checkout in which everything was built, and a shell in it.
struct Session {
    dir: TempDir,
    ports: [String; 2],
    marker: String,
}

impl Session {
    fn new(document: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let session = Self {
            dir: TempDir::with_prefix("bootstrap-docs-").unwrap(),
            ports: [free_port().to_string(), free_port().to_string()],
            marker: format!("docs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
        };
        for directory in ["target", "config"] {
            fs::create_dir(session.path(directory)).unwrap();
        }
        let built = Path::new(env!("CARGO_BIN_EXE_bootstrap")).parent().unwrap();
        std::os::unix::fs::symlink(built, session.path("target/release")).unwrap();
        let services = session.with_our_ports(&document_of_config());
        fs::write(session.path("config/services.toml"), services).unwrap();
        for block in blocks(document) {
            if let Some(name) = block.file() {
                fs::write(session.path(name), session.with_our_ports(&block.text)).unwrap();
            }
        }
        session
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn with_our_ports(&self, text: &str) -> String {
        text.replace(PORTS[0], &self.ports[0]).replace(PORTS[1], &self.ports[1])
    }

    fn with_their_ports(&self, text: &str) -> String {
        text.replace(&self.ports[0], PORTS[0]).replace(&self.ports[1], PORTS[1])
    }

    /// A shell that reads commands; what it and they say.
    fn shell(&self) -> (Child, Log) {
        let (reader, writer) = std::io::pipe().unwrap();
        let path = format!("{}/target/release:{}", self.dir.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile"]).current_dir(self.dir.path());
        command.env("PATH", path).env("BOOTSTRAP_TEST", &self.marker);
        // Supervisors of other sessions have files of the same name.
        command.env("RUNTIME_DIRECTORY", self.path("run"));
        command.env_remove("BOOTSTRAP_SELECT").env_remove("COLUMNS");
        command.stdin(Stdio::piped()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().expect("bash");
        self.type_in(
            &mut child,
            "set -m; curl() { command curl --silent --show-error \"$@\"; }\n\
             cargo() { [ \"$*\" = 'build --release --bins --examples' ]; }",
        );
        (child, Log::of(reader))
    }

    fn type_in(&self, shell: &mut Child, line: &str) {
        let line = self.with_our_ports(line);
        writeln!(shell.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Carries out a session and compares what is said with what is written.
    fn carry_out(&self, text: &str) {
        let (mut shell, log) = self.shell();
        let mut seen = 0;
        for (command, expected) in commands(text) {
            self.type_in(&mut shell, &format!("{command}\necho 'end of command'"));
            let wanted = sorted(expected.iter().map(|line| normal(line)));
            let heard = || -> Vec<String> {
                let lines = log.lines();
                let new = lines[seen..].iter().filter(|line| *line != "end of command");
                sorted(new.map(|line| normal(&self.with_their_ports(line))))
            };
            let ended = || log.lines()[seen..].iter().any(|line| line == "end of command");
            eventually(&format!("{command:?} says\n{expected:#?}\nit said\n{:#?}", log.lines()), || {
                ended() && heard().len() >= wanted.len()
            });
            assert_eq!(heard(), wanted, "`{command}` said\n{}", log.lines()[seen..].join("\n"));
            seen = log.lines().len();
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(log.lines()[seen..], [""; 0], "said after the last command");
    }

    fn offspring(&self) -> Vec<Process> {
        let mut found = Process::marked(&format!("BOOTSTRAP_TEST={}", self.marker));
        found.retain(|process| process.is_alive());
        found
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        loop {
            let left = self.offspring();
            if left.is_empty() {
                return;
            }
            for process in left {
                process.signal(Signal::SIGKILL);
            }
        }
    }
}

fn document_of_config() -> String {
    document("config/services.toml")
}

/// The commands of a session, each with the lines that follow it.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.into(), Vec::new())),
            (None, Some((_, said))) => said.push(line.into()),
            (None, None) => panic!("a session begins with a command, not with {line:?}"),
        }
    }
    found
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// A line with what varies replaced: the time of day, pids, and how long something took.
fn normal(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let bare = |word: &str| word.trim_end_matches([':', ';', ',']).to_owned();
    let is_duration = |word: &str| {
        let unit = bare(word).trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        word.starts_with(|c: char| c.is_ascii_digit()) && ["ms", "s", "m"].contains(&&*unit)
    };
    let mut out: Vec<String> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let len = words[at..].iter().take_while(|word| is_duration(word)).count();
        let measured = at.checked_sub(1).is_some_and(|before| words[before] == "after")
            || words.get(at + len) == Some(&"after");
        if len > 0 && measured {
            let last = words[at + len - 1];
            out.push(format!("TIME{}", &last[bare(last).len()..]));
            at += len;
            continue;
        }
        let word = words[at];
        out.push(if word.len() == 24 && word.ends_with('Z') && word.as_bytes()[10] == b'T' {
            "DATE".into()
        } else if let Some(number) = word.strip_prefix("pid=") {
            format!("pid={}", number.trim_matches(|c: char| c.is_ascii_digit()))
        } else {
            word.to_owned()
        });
        at += 1;
    }
    out.join(" ")
}

#[test]
fn what_varies_is_told_from_what_does_not() {
    assert_eq!(
        normal("2026-01-02T03:04:05.678Z INFO a pid=12 answered after 1s 20ms: it has 1m to finish"),
        "DATE INFO a pid= answered after TIME: it has 1m to finish"
    );
    assert_eq!(
        normal("ended with exit code 0 5ms after it was asked"),
        "ended with exit code 0 TIME after it was asked"
    );
    assert_eq!(normal("its answer is awaited for 10s"), "its answer is awaited for 10s");
}

#[test]
fn every_session_says_what_is_written() {
    let mut sessions = 0;
    for name in DOCUMENTS {
        for block in blocks(name).iter().filter(|block| block.language == "console") {
            Session::new(name).carry_out(&block.text);
            sessions += 1;
        }
    }
    assert!(sessions >= 3, "only {sessions} sessions were found");
}

#[test]
fn the_quick_start_serves_two_services() {
    let commands: Vec<String> = blocks("README.md")
        .into_iter()
        .filter(|block| block.language == "sh")
        .map(|block| block.text)
        .collect();
    let [run, test] = &commands[..] else { panic!("README has two commands, not {commands:?}") };
    assert_eq!((run.lines().count(), test.lines().count()), (1, 1), "each is one line");

    let session = Session::new("README.md");
    let (mut shell, log) = session.shell();
    // In the background, so that the shell can be asked to end it.
    session.type_in(&mut shell, &format!("{{ {}; }} &", run.trim()));
    for (port, service) in session.ports.iter().zip(["web", "api"]) {
        assert!(log.wait(0, &format!(" {service} …ready")).is_some(), "{:#?}", log.lines());
        let answer = get(port.parse().unwrap(), "/").unwrap();
        assert!(answer.body.starts_with(&format!("{service} generation=1 ")), "{}", answer.body);
    }
    let supervisor = session.offspring().into_iter().find(|process| is_supervisor(*process)).unwrap();
    supervisor.signal(Signal::SIGTERM);
    assert!(log.wait(0, "have stopped").is_some(), "{:#?}", log.lines());
    drop(shell.stdin.take());
    shell.wait().unwrap();

    // The second one is what runs this very test, in CI as well.
    let tests = test.trim();
    assert!(document(".ci/run").contains(tests), "CI runs {tests}");
    let mode = fs::metadata(root().join(tests)).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{tests} can be executed");
}

fn is_supervisor(process: Process) -> bool {
    let command = fs::read(format!("/proc/{}/cmdline", process.0)).unwrap_or_default();
    command.starts_with(b"target/release/bootstrap\0")
}

#[test]
fn the_server_in_python_restarts_without_a_failure() {
    let all = blocks("README.md");
    let text = |name: &str| all.iter().find(|block| block.file() == Some(name)).unwrap().text.clone();
    let stage = Stage::new();
    stage.write("server.py", &text("server.py"));
    let port = free_port();
    let supervised = stage.start(&text("services.toml").replace(PORTS[0], &port.to_string()), &["hello"]);
    supervised.wait_for("hello generation=1 …ready after");
    // One client that goes with a reset, and one that says nothing: the next is answered all the same.
    let rude = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    rude.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    rude.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(rude);
    let _silent = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(get(port, "/").unwrap().body, "hello\n");
    assert_eq!(supervised.last_generation("hello"), 1, "{supervised}");
    for generation in 2..6 {
        supervised.signal(Signal::SIGUSR1);
        // Connected while one leaves and the other starts: whoever takes it answers.
        while !supervised.said(&format!("hello generation={generation} …ready after")) {
            let answer = Client::connect(port).and_then(|mut client| client.get("/"));
            assert_eq!(answer.expect("an answer").body, "hello\n", "{supervised}");
        }
        let old = generation - 1;
        supervised.wait_for(&format!("hello generation={old} …answered \"success\""));
        supervised.wait_for(&format!("hello generation={old} …ended with exit code 0"));
    }
    supervised.stop();
}

#[test]
fn servers_outlive_a_supervisor_that_was_killed_and_are_taken_over() {
    let port = free_port();
    let stage = Stage::new();
    stage.write(
        "server.py",
        &blocks("README.md").iter().find(|b| b.file() == Some("server.py")).unwrap().text,
    );
    let config = format!(
        "[[service]]\nname = \"hello\"\nport = {port}\ncommand = \"python3 server.py\"\nready = \"pipe\""
    );
    let mut supervised = stage.start(&config, &["hello"]);
    supervised.wait_for("ready after");
    supervised.signal(Signal::SIGKILL);
    assert_eq!(supervised.wait_exit(), -9);
    assert_eq!(get(port, "/").unwrap().body, "hello\n");
    supervised.start_again();
    supervised.wait_for(" hello generation=1 … adopted");
    assert_eq!(get(port, "/").unwrap().body, "hello\n");
    supervised.stop();
}

#[test]
fn a_log_line_in_json_has_the_fields_that_are_listed() {
    let stage = Stage::new();
    stage.write("a.toml", "[[service]]\nname = 'a'\ncommand = 'true'");
    let output = stage.run(&["-c", "a.toml", "--log-format", "json"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let mut fields = BTreeSet::new();
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        fields.extend(line.as_object().unwrap().keys().cloned());
    }
    let text = document("README.md");
    let (_, list) = text.split_once("a log line is an object with ").expect("the list");
    let (list, _) = list.split_once(';').unwrap();
    assert_eq!(fields, quoted(list).into_iter().map(str::to_owned).collect());
}

// ---- files ----

#[test]
fn every_config_in_the_documents_is_one() {
    let mut refused = Vec::new();
    for name in DOCUMENTS {
        for block in blocks(name).iter().filter(|block| block.language == "toml") {
            if let Err(mistakes) = config::parse(block.file().unwrap_or(name), &block.text) {
                refused.push((block.file().map(str::to_owned), mistakes));
            }
        }
    }
    let names: Vec<_> = refused.iter().map(|(name, _)| name.as_deref()).collect();
    assert_eq!(names, [Some("mistaken.toml")], "{refused:?}");
}

#[test]
fn every_path_in_the_documents_leads_somewhere() {
    for name in DOCUMENTS.into_iter().chain(["CHANGELOG.md"]) {
        let text = document(name);
        let directory = root().join(name).parent().unwrap().to_path_buf();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.starts_with("http") && !target.starts_with('#') {
                assert!(directory.join(target).exists(), "{name} links to {target}");
            }
        }
        for path in quoted(&text).into_iter().filter(|path| {
            ["src/", "tests/", "examples/", "config/", "docs/"].iter().any(|place| path.starts_with(place))
        }) {
            let (source, function) = path.split_once("::").unwrap_or((path, ""));
            assert!(root().join(source).exists(), "{name} speaks of {source}");
            let known = function.is_empty() || document(source).contains(&format!("fn {function}("));
            assert!(known, "{name} speaks of {function}, which is not in {source}");
        }
    }
}

// ---- tables ----

/// The keys that the code knows, where `text` has an unknown one.
fn known(text: &str) -> BTreeSet<&'static str> {
    let refused = config::parse("a.toml", text).expect_err("an unknown key");
    let keys = refused.mistakes().iter().find_map(|mistake| {
        if let Problem::UnknownKey { known, .. } = mistake.problem { Some(known) } else { None }
    });
    keys.expect("a mistake that lists the keys").iter().copied().collect()
}

const MINIMAL: &str = "[[service]]\nname = 'a'\ncommand = 'a'\n";

#[test]
fn the_tables_of_keys_have_every_key_and_no_other() {
    for (heading, text) in [
        ("key of `[bootstrap]`", format!("{MINIMAL}[bootstrap]\nxyzzy = 1")),
        ("key of `[[service]]`", format!("{MINIMAL}xyzzy = 1")),
        ("key of `cgroup`", format!("{MINIMAL}cgroup = {{ path = '/a', xyzzy = 1 }}")),
        ("key of `[service.check]`", format!("{MINIMAL}check = {{ tcp = 'unix:a', xyzzy = 1 }}")),
        ("key of a table in `listen`", format!("{MINIMAL}listen = {{ address = 'unix:a', xyzzy = 1 }}")),
    ] {
        let rows = table("README.md", heading);
        let keys: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
        assert_eq!(keys, known(&text), "{heading}");
        assert_eq!(keys.len(), rows.len(), "{heading}: a row for each key");
    }
}

fn plan(text: &str) -> Plan {
    config::parse("a.toml", text).unwrap_or_else(|refused| panic!("{refused}\n{text}"))
}

#[test]
fn a_default_of_the_table_changes_nothing_where_it_is_written_down() {
    let (with_socket, without) = (format!("{MINIMAL}port = 80\n"), MINIMAL.to_owned());
    let mut checked = 0;
    for row in table("README.md", "key of `[[service]]`") {
        // The first is the one with a socket; a second one the one without.
        for (value, base) in quoted(&row[1]).into_iter().zip([&with_socket, &without]) {
            let key = quoted(&row[0])[0];
            // Keys about log files need one.
            let file = if key.starts_with("log_") { "stdout = 'file:/tmp/a.log'\n" } else { "" };
            let base = &format!("{base}{file}");
            assert_eq!(plan(&format!("{base}{key} = {value}")), plan(base), "{key} = {value}");
            checked += 1;
        }
    }
    assert!(checked >= 12, "{checked} defaults");
    let bootstrap = table("README.md", "key of `[bootstrap]`");
    for (key, value) in
        bootstrap.iter().flat_map(|row| quoted(&row[1]).into_iter().map(|v| (quoted(&row[0])[0], v)))
    {
        assert_eq!(plan(&format!("[bootstrap]\n{key} = {value}\n{MINIMAL}")), plan(MINIMAL), "{key}");
    }
    let checked = |more: &str| plan(&format!("{MINIMAL}check = {{ tcp = 'unix:a'{more} }}"));
    let mut defaults = 0;
    for row in table("README.md", "key of `[service.check]`") {
        for value in quoted(&row[1]) {
            assert_eq!(checked(&format!(", {} = {value}", quoted(&row[0])[0])), checked(""));
            defaults += 1;
        }
    }
    assert_eq!(defaults, 3);
    let listener = |more: &str| plan(&format!("{MINIMAL}listen = {{ address = 'tcp://0.0.0.0:1'{more} }}"));
    for row in table("README.md", "key of a table in `listen`") {
        for value in quoted(&row[1]) {
            assert_eq!(listener(&format!(", {} = {value}", quoted(&row[0])[0])), listener(""));
        }
    }
}

/// Rows of a list in `--help`: what stands in the first column, and the text.
fn in_help(title: &str) -> Vec<Vec<String>> {
    let help = Invocation::parse(["bootstrap".into(), "--help".into()]).expect_err("help").to_string();
    let (_, after) =
        help.split_once(&format!("{title}:\n")).unwrap_or_else(|| panic!("no {title} in\n{help}"));
    let row = |line: &str| {
        let (first, text) = line.trim().split_once("  ").unwrap();
        vec![first.trim().to_owned(), text.trim().to_owned()]
    };
    after.lines().take_while(|line| line.starts_with("  ")).map(row).collect()
}

#[test]
fn help_and_readme_say_the_same_of_signals_and_exit_codes() {
    assert_eq!(in_help("Signals to the supervisor"), table("README.md", "signal"));
    assert_eq!(in_help("Exit codes"), table("README.md", "code"));
}

#[test]
fn every_exit_code_is_in_the_table_and_happens() {
    // A new one does not compile until it stands here.
    let number = |code: ExitCode| match code {
        ExitCode::Ok
        | ExitCode::Failed
        | ExitCode::Usage
        | ExitCode::NotRunning
        | ExitCode::NoSuchService
        | ExitCode::RestartFailed
        | ExitCode::TimedOut
        | ExitCode::NotReachable
        | ExitCode::Config => (code as u8).to_string(),
    };
    let codes = [
        ExitCode::Ok,
        ExitCode::Failed,
        ExitCode::Usage,
        ExitCode::NotRunning,
        ExitCode::NoSuchService,
        ExitCode::RestartFailed,
        ExitCode::TimedOut,
        ExitCode::NotReachable,
        ExitCode::Config,
    ]
    .map(number);
    let listed: Vec<String> = table("README.md", "code").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(listed, codes);

    let stage = Stage::new();
    stage.write("well.toml", "[[service]]\nname = 'a'\ncommand = 'true'");
    stage.write("crash.toml", "[[service]]\nname = 'a'\ncommand = 'false'");
    stage.write("wrong.toml", "[[service]]\nname = 'a'");
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
    stage.write("taken.toml", &format!("[[service]]\nname = 'a'\nport = {port}\ncommand = 'true'"));
    for (arguments, code) in [
        (&["-c", "well.toml"][..], 0),
        (&["-c", "crash.toml"], 1),
        (&["-c", "taken.toml"], 1),
        (&[], 2),
        (&["-c", "wrong.toml"], 78),
        (&["-c", "absent.toml"], 78),
    ] {
        let output = stage.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} said\n{said}");
    }
}

/// Those of commands that speak to a supervisor are in `tests/clients.rs`.
#[test]
fn the_tables_of_the_control_socket_say_what_its_schema_says() {
    let schema: serde_json::Value = serde_json::from_str(&document("docs/control.schema.json")).unwrap();
    let first = |heading: &str| -> Vec<String> {
        let rows = table("docs/control.md", heading);
        rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect()
    };
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    // Every word that may stand for a field, wherever the schema lists some.
    let words = |place: &str, field: &str| -> Vec<String> {
        let mut found = Vec::new();
        let mut ahead = vec![&schema["$defs"][place]];
        while let Some(value) = ahead.pop() {
            if let Some(allowed) = value.get(field) {
                found.extend(allowed.get("const").and_then(|word| word.as_str()).map(str::to_owned));
                let list = allowed.get("enum").and_then(|list| list.as_array()).into_iter().flatten();
                found.extend(list.filter_map(|word| word.as_str()).map(str::to_owned));
            }
            ahead.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            ahead.extend(value.as_array().into_iter().flatten());
        }
        found
    };
    let requests = [words("request", "request"), words("order", "request")].concat();
    assert_eq!(sorted(first("request")), sorted(requests));
    assert_eq!(sorted(first("reply")), sorted(words("reply", "reply")));
    assert_eq!(sorted(first("outcome")), sorted(words("outcome", "outcome")));
    let codes = ErrorCode::ALL.map(|code| serde_json::to_value(code).unwrap().as_str().unwrap().to_owned());
    assert_eq!(first("code"), codes);
    assert_eq!(words("reply", "code"), codes);
    let states = BTreeSet::from_iter(words("service", "state"));
    assert!(State::WORDS.iter().all(|word| states.contains(*word)), "{states:?}");
    for (what, limit) in [
        ("connections", CONTROL_CLIENTS),
        ("bytes of a request", CONTROL_LINE_BYTES),
        ("bytes of events that wait for a client", CONTROL_EVENT_BYTES),
        ("bytes of answers that wait for all clients", CONTROL_ANSWER_BYTES),
    ] {
        let rows = table("docs/control.md", "what");
        let row = rows.iter().find(|row| row[0] == what).unwrap();
        assert_eq!(row[1].split(';').next(), Some(&*limit.to_string()), "{what}");
    }
}

#[test]
fn the_tables_of_states_have_every_state() {
    let words = BTreeSet::from(State::WORDS);
    for name in ["README.md", "docs/architecture.md"] {
        let rows = table(name, "state");
        let listed: BTreeSet<&str> = rows.iter().flat_map(|row| quoted(&row[0])).collect();
        assert_eq!(listed, words, "{name}");
    }
}

#[test]
fn every_line_about_security_names_its_test() {
    let rows = table("docs/security.md", "who");
    assert!(rows.len() > 10, "{} rows", rows.len());
    for row in rows {
        let tests = quoted(&row[3]);
        assert!(!tests.is_empty() && tests.iter().all(|test| test.contains(".rs::")), "{row:?}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = document("Cargo.toml").parse().unwrap();
    let of = |section: &str| manifest[section].as_table().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let used = &of("dependencies") | &of("dev-dependencies");
    let rows = table("docs/architecture.md", "dependency");
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    assert_eq!(listed, used);
    assert!(rows.iter().all(|row| row[1].len() > 20), "a reason for each");
}

#[test]
fn every_placeholder_and_word_is_in_the_specification() {
    let text = document("docs/protocols.md");
    for placeholder in ["{fd}", "{fd:NAME}", "{pipe}", "{port}", "{worker}", "{generation}"] {
        assert!(text.contains(&format!("`{placeholder}`")), "{placeholder}");
    }
    for word in [
        bootstrap::protocol::Word::Ready,
        bootstrap::protocol::Word::Success,
        bootstrap::protocol::Word::Failed,
    ] {
        let bytes = std::str::from_utf8(word.bytes()).unwrap();
        assert!(text.contains(&format!("`{bytes}`")), "{bytes:?}");
    }
}

/// What cargo packs is what the documents and the licence need.
#[test]
fn the_package_is_complete() {
    let package: toml::Table = document("Cargo.toml").parse().unwrap();
    assert_eq!(package["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    for file in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "README.md"] {
        assert!(!document(file).is_empty());
    }
    let version = package["package"]["version"].as_str().unwrap();
    assert!(document("CHANGELOG.md").contains(&format!("## [{version}]")), "a section for {version}");
}
