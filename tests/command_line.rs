//! The command line: what it takes, and what it says where it cannot be heard.

mod support;

use std::process::Output;
use support::{Stage, free_port, http};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// `bootstrap -c bad.toml check -c ok.toml` once checked the second file alone, and a mistaken deployment passed.
#[test]
fn a_file_that_is_named_on_both_sides_of_the_command_is_a_mistake() {
    let stage = Stage::new();
    stage.write("ok.toml", &http("web", free_port(), ""));
    stage.write("bad.toml", "[[service]]\n");
    for arguments in [
        &["-c", "bad.toml", "check", "-c", "ok.toml"][..],
        &["-c", "ok.toml", "check", "--config", "ok.toml"],
        &["check", "-c", "ok.toml", "-c", "ok.toml"],
        &["--color=never", "check", "-c", "ok.toml", "--color", "always"],
    ] {
        let output = stage.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} said\n{}", stderr(&output));
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let said = stderr(&stage.run(&["-c", "bad.toml", "check", "-c", "ok.toml"]));
    assert!(said.contains("--config stands before the command and after it"), "{said}");
}

/// `check >/dev/full` once said nothing and exited with 0, as if it had told that all is well.
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let stage = Stage::new().through(&["sh", "-c", "exec \"$0\" \"$@\" >/dev/full"]);
    stage.write("ok.toml", &http("web", free_port(), ""));
    for arguments in [&["-c", "ok.toml", "check"][..], &["--help"], &["--version"], &["help", "check"]] {
        let output = stage.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?} said\n{said}");
        assert!(
            said.contains("bootstrap: cannot write to stdout: No space left"),
            "{arguments:?} said\n{said}"
        );
    }
}

/// Whoever reads only the first line of `--help` has seen enough; that is no failure.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let stage = Stage::new().through(&["bash", "-c", "exec \"$0\" \"$@\" > >(exit 0)"]);
    stage.write("ok.toml", &http("web", free_port(), ""));
    for arguments in [&["-c", "ok.toml", "check"][..], &["--help"]] {
        let output = stage.run(arguments);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()), "{arguments:?}");
    }
}
