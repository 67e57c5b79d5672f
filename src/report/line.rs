//! The shape of a log line: text, JSON, or text for the journal.

use super::level::Level;
use super::sentence::{key, sentence};
use super::weight::level;
use crate::core::{Fact, Report};
use crate::plan::ServiceName;
use serde::Serialize;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

/// Of most lines.
const USUAL_BYTES: usize = 160;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-01-02T03:04:05.678Z INFO web generation=4 pid=123 ready after 412ms`
    Text,
    /// One JSON object a line.
    Json,
    /// `<6>web generation=4 pid=123 ready after 412ms`: the journal adds the time and reads the level.
    Journal,
}

/// A line of the JSON format. Fields without a value are left out.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    event: &'a str,
    message: String,
}

/// The line for a report, without the newline at its end.
pub fn format(report: &Report, at: SystemTime, shape: Format) -> String {
    let level = level(&report.fact);
    let mut line = String::with_capacity(USUAL_BYTES);
    let head = match shape {
        Format::Text => write!(line, "{} {} ", humantime::format_rfc3339_millis(at), name(level)),
        Format::Journal => write!(line, "<{}>", priority(level)),
        Format::Json => return json(report, at, level),
    };
    // A string takes all that is written to it.
    let _ = head.and_then(|()| subject(&mut line, report));
    push_printable(&mut line, &sentence(&report.fact));
    line
}

fn json(report: &Report, at: SystemTime, level: Level) -> String {
    let line = Line {
        time: humantime::format_rfc3339_millis(at).to_string(),
        level: name(level),
        service: report.service.as_ref().map(ServiceName::as_str),
        generation: report.generation.map(|generation| generation.0),
        pid: report.pid.map(|pid| pid.0),
        event: key(&report.fact),
        message: sentence(&report.fact),
    };
    serde_json::to_string(&line).expect("strings and numbers can be written as JSON")
}

/// What a report says, without its subject.
pub fn message(fact: &Fact) -> String {
    printable(&sentence(fact))
}

/// Whom the report is about.
fn subject(line: &mut String, report: &Report) -> fmt::Result {
    line.push_str(report.service.as_ref().map_or("bootstrap", ServiceName::as_str));
    if let Some(generation) = report.generation {
        write!(line, " generation={generation}")?;
    }
    if let Some(pid) = report.pid {
        write!(line, " pid={pid}")?;
    }
    line.write_char(' ')
}

/// One line stays one line, and no terminal takes an order from a command or a file name.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_printable(&mut line, text);
    line
}

fn push_printable(line: &mut String, text: &str) {
    for piece in text.split_inclusive(char::is_control) {
        let plain = piece.strip_suffix(char::is_control).unwrap_or(piece);
        line.push_str(plain);
        line.extend(piece[plain.len()..].escape_debug());
    }
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

/// The priorities of syslog.
fn priority(level: Level) -> u8 {
    match level {
        Level::Info => 6,
        Level::Warn => 4,
        Level::Error => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Generation, Pid};
    use std::time::Duration;

    fn ready() -> Report {
        Report {
            service: Some(ServiceName::parse("web").unwrap()),
            generation: Some(Generation(4)),
            pid: Some(Pid(123)),
            fact: Fact::Ready { after: Duration::from_millis(412) },
        }
    }

    fn new_year() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_678)
    }

    #[test]
    fn the_three_shapes_of_a_line() {
        assert_eq!(
            format(&ready(), new_year(), Format::Text),
            "2026-01-02T03:04:05.678Z INFO web generation=4 pid=123 ready after 412ms"
        );
        assert_eq!(
            format(&ready(), new_year(), Format::Journal),
            "<6>web generation=4 pid=123 ready after 412ms"
        );
        assert_eq!(
            format(&ready(), new_year(), Format::Json),
            r#"{"time":"2026-01-02T03:04:05.678Z","level":"INFO","service":"web","generation":4,"pid":123,"event":"ready","message":"ready after 412ms"}"#
        );
    }

    #[test]
    fn a_text_from_elsewhere_is_one_line_and_no_order_to_a_terminal() {
        let fact = Fact::Mistake { text: "a\nb\u{1b}[31m ü".into() };
        let line = format(&Report::of_supervisor(fact), new_year(), Format::Journal);
        assert_eq!(line, "<3>bootstrap a\\nb\\u{1b}[31m ü");
    }

    #[test]
    fn a_report_about_the_supervisor_carries_its_name() {
        let report = Report { service: None, generation: None, pid: None, fact: Fact::NothingSelected };
        assert!(format(&report, new_year(), Format::Text).contains("Z WARN bootstrap SIGUSR1: "));
    }
}
