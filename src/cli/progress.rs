//! What happens while a command waits: a line for each event, and on a terminal how long it has taken so far.

use super::Color;
use super::table::Paint;
use crate::core::Time;
use crate::os::Os;
use crate::report::printable;
use serde_json::Value;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;
use terminal_size::{Width, terminal_size_of};

/// How often the time on a terminal is written anew.
const TICK: Duration = Duration::from_millis(100);

/// What is shown while a command waits.
pub(super) struct Progress {
    began: Time,
    how: How,
    color: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Nothing: a program reads only the answer.
    Silent,
    /// Lines.
    Plain,
    /// Lines with their time, and below them how long it has taken.
    Live,
}

impl Progress {
    pub(super) fn new(began: Time, silent: bool, color: Color) -> Self {
        let live = io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let how = match (silent, live) {
            (true, _) => How::Silent,
            (false, true) => How::Live,
            (false, false) => How::Plain,
        };
        Self { began, how, color: color.on_stdout() }
    }

    /// When something is to be written although nothing has happened, if ever.
    pub(super) fn tick(&self) -> Option<Duration> {
        (self.how == How::Live).then_some(TICK)
    }

    /// Shows a log line.
    pub(super) fn event(&self, event: &Value) {
        let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let generation = event.get("generation").and_then(Value::as_u64);
        let generation =
            generation.map_or_else(String::new, |generation| format!(" generation={generation}"));
        let service = event.get("service").and_then(Value::as_str).unwrap_or("bootstrap");
        let paint = match &*text("level") {
            "WARN" => Paint::Odd,
            "ERROR" => Paint::Bad,
            _ => Paint::Plain,
        };
        let subject = paint.on(&format!("{service}{generation}"), self.color).into_owned();
        // What stands in it may come from a command line.
        self.line(&format!("{subject} {}", printable(&text("message"))));
    }

    /// Says that some are missing.
    pub(super) fn lost(&self, events: u64) {
        self.line(&format!("{events} events were not told: this terminal is too slow"));
    }

    fn line(&self, text: &str) {
        match self.how {
            How::Silent => {}
            How::Plain => print(text),
            How::Live => {
                self.end();
                print(&format!("{} {text}", self.elapsed()));
                self.wait();
            }
        }
    }

    /// Writes how long it has taken so far.
    pub(super) fn wait(&self) {
        if self.how == How::Live {
            // A line that is longer than the terminal is wide could not be taken back. It may have another width
            // by now.
            let width = terminal_size_of(io::stdout()).map_or(80, |(Width(columns), _)| columns.into());
            Self::rewrite(&fit(&format!("{} waiting; ^C leaves it alone", self.elapsed()), width));
        }
    }

    /// Takes that line back.
    pub(super) fn end(&self) {
        if self.how == How::Live {
            Self::rewrite("");
        }
    }

    fn rewrite(text: &str) {
        let mut out = io::stdout();
        // Back to the start of the line, and what stood there is erased. Who does not read it misses nothing.
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
    }

    fn elapsed(&self) -> String {
        let elapsed = Os::clock() - self.began;
        format!("{:>4}.{}s", elapsed.as_secs(), elapsed.subsec_millis() / 100)
    }
}

/// As much of a text as fits into a line, with the place for the cursor behind it.
fn fit(text: &str, columns: usize) -> String {
    text.chars().take(columns.saturating_sub(1)).collect()
}

/// Prints a line. Whoever does not read it has the answer.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leaves_room_for_the_cursor() {
        for (columns, text) in [(0, ""), (1, ""), (4, "wai"), (7, "waitin"), (8, "waiting"), (80, "waiting")]
        {
            assert_eq!(fit("waiting", columns), text, "{columns}");
        }
    }
}
