//! The config file: what each mistake reads like, and what a file without one means.

mod examples;
mod health;
mod listeners;
mod output;
mod report;
mod rights;
mod schema;
mod tables;
mod values;

use bootstrap::config::parse;
use bootstrap::plan::{Definition, Plan};
use examples::uncommented;

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
