//! The log: one line for one fact, whoever reads it and whatever becomes of the reader.

mod support;

use bootstrap::limits::COMMAND_CHARS;
use nix::sys::signal::Signal::{SIGTERM, SIGUSR1};
use std::fs::{self, File};
use std::process::Stdio;
use support::{Log, Stage, Supervised, eventually, example, free_port, http};

/// A log file that reached the limit of its size (`RLIMIT_FSIZE`) once killed the supervisor by SIGXFSZ.
#[test]
fn a_log_file_at_the_limit_of_its_size_stops_nothing() {
    const LIMIT_BYTES: u64 = 2000;
    let port = free_port();
    let stage = Stage::new().through(&["prlimit", &format!("--fsize={LIMIT_BYTES}")]);
    let log = stage.dir().join("log");
    let file = File::create(&log).unwrap();
    let supervised = stage.launch_with(&http("web", port, ""), Stdio::from(file));
    let len = || fs::metadata(&log).unwrap().len();
    let mut generation = 1;
    supervised.wait_answer(port, generation);
    // Two more after the one that filled it.
    let mut after = 0;
    while after < 2 {
        after += u32::from(len() == LIMIT_BYTES);
        generation += 1;
        supervised.signal(SIGUSR1);
        supervised.wait_answer(port, generation);
    }
    assert_eq!(len(), LIMIT_BYTES);
    supervised.stop();
}

/// Asserts that a line is one JSON object; its `event`.
#[track_caller]
fn event(line: &str) -> String {
    let value: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
    value["event"].as_str().unwrap_or_else(|| panic!("no event in {line:?}")).to_owned()
}

/// With `--log-format json` the number of lost lines was once told in plain text, and whoever parsed the log
/// stumbled over it.
#[test]
fn a_log_in_json_is_json_after_lines_were_lost() {
    // Each restart that selects nothing is a line for each of these.
    let nobody: Vec<String> = (0..200).map(|number| format!("nobody-{number}")).collect();
    let stage = Stage::new().env("BOOTSTRAP_SELECT", &nobody.join(",")).through(&[
        "sh",
        "-c",
        "exec \"$0\" \"$@\" --log-format json",
    ]);
    let port = free_port();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut supervised = stage.launch_with(&http("web", port, ""), Stdio::from(writer));
    supervised.wait_answer(port, 1);
    for _ in 0..20 {
        let before = supervised.process().voluntary_switches();
        supervised.signal(SIGUSR1);
        eventually("it went back to sleep", || supervised.process().voluntary_switches() > before);
    }
    let log = Log::of(reader);
    let lost = log.wait(0, "lines lost").unwrap_or_else(|| panic!("none was lost: {:#?}", log.lines()));
    assert_eq!(event(&lost), "log-lost", "{lost}");
    supervised.signal(SIGTERM);
    assert_eq!(supervised.wait_exit(), 0);
    log.wait_end();
    let events: Vec<String> = log.lines().iter().map(|line| event(line)).collect();
    assert!(events.len() > 1000, "only {} lines", events.len());
    assert_eq!(events.last().unwrap(), "ended");
}

/// The mistakes of a config were once drawn for people whatever `--log-format` said.
#[test]
fn mistakes_at_boot_are_json_too() {
    let stage = Stage::new();
    stage.write("bad.toml", "[[service]]\nname = \"web\"\nprot = 80\ncommand = \"a\\u001bb\" 3\n");
    stage.write("worse.toml", "[[service]]\nname = \"web\"\nprot = 80\n[[service]]\nname = \"\"\n");
    for file in ["bad.toml", "worse.toml", "absent.toml"] {
        let output = stage.run(&["-c", file, "--log-format", "json"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(!said.is_empty() && said.ends_with('\n'), "{said:?}");
        assert!(said.lines().all(|line| event(line) == "mistake"), "{said}");
    }
}

/// A command with a newline once made two lines of one, and one with an escape sequence gave orders to the
/// terminal of whoever read the log.
#[test]
fn a_command_breaks_no_line_and_orders_no_terminal() {
    let port = free_port();
    let config = format!(
        "[[service]]\nname = \"web\"\nlisten = \"tcp://127.0.0.1:{port}\"\n\
         command = [{:?}, \"--name\", \"a\\nb\\u001b[31m\\u009b1m\\r\\tc\"]\n",
        example("http")
    );
    let supervised = Supervised::start(&config, &["web"]);
    supervised.wait_for(r" web generation=1 … started: … --name 'a\nb\u{1b}[31m\u{9b}1m\r\tc'");
    supervised.wait_answer(port, 1);
    let text = supervised.to_string();
    let (_, log) = text.split_once("--- log of pid").unwrap();
    let lines: Vec<&str> = log.lines().skip(1).take_while(|line| !line.starts_with("---")).collect();
    assert!(lines.len() >= 2, "{supervised}");
    for line in lines {
        assert!(line.starts_with("20") && !line.contains(char::is_control), "{line:?}");
    }
    supervised.stop();
}

/// An argument of 100 kB once stood in the log in full, at each start.
#[test]
fn a_long_command_is_a_short_line() {
    let port = free_port();
    let command = [&*example("http"), "--name", &"x".repeat(100_000)];
    let supervised = Supervised::start(&support::service("web", port, &command, ""), &["web"]);
    let line = supervised.wait_for(" web generation=1 … started: ");
    assert!(line.ends_with("xxx…"), "{line}");
    let (_, shown) = line.split_once("started: ").unwrap();
    assert_eq!(shown.chars().count(), COMMAND_CHARS + 1, "{line}");
    supervised.wait_answer(port, 1);
    supervised.stop();
}
