//! A client command, carried out to its end: what it says, as text and as JSON, and its exit code.

use crate::support::Supervised;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command to its end; what it prints, and its exit code.
pub(crate) fn command(supervised: &Supervised, words: &str) -> (String, Option<i32>) {
    let words: Vec<&str> = words.split(' ').collect();
    let output = supervised.stage.run(&[&["-c", "services.toml"], &words[..]].concat());
    (stdout(&output) + &stderr(&output), output.status.code())
}

/// Asserts what a command says and how it ends. Pieces are separated by `…`.
#[track_caller]
pub(crate) fn says(supervised: &Supervised, words: &str, wanted: &[&str], code: i32) {
    let (said, ended) = command(supervised, words);
    assert_eq!(ended, Some(code), "`{words}` said\n{said}\n{supervised}");
    for wanted in wanted {
        let found = said.lines().any(|line| {
            let mut rest = line;
            wanted.split('…').all(|piece| {
                rest.split_once(piece.trim()).is_some_and(|(_, after)| {
                    rest = after;
                    true
                })
            })
        });
        assert!(found, "`{words}`: no {wanted:?} in\n{said}\n{supervised}");
    }
}

/// What a command says in JSON, which is as its schema says, and how it ends.
#[track_caller]
pub(crate) fn json(supervised: &Supervised, words: &str) -> (Value, i32) {
    let (said, code) = command(supervised, &format!("{words} --json"));
    let value: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    is_valid(&value);
    (value, code.unwrap())
}

#[track_caller]
pub(crate) fn is_valid(value: &Value) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/control.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mistakes: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(mistakes.is_empty(), "{mistakes:#?} in {value:#}");
}
