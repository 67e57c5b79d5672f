//! The sentences about what services write.

use super::level::Level;
use super::words::{count, ended, spawn_failure, time};
use crate::core::LogFact;
use crate::limits::LOG_LAST_PATIENCE;
use std::time::Duration;

/// How much it matters.
pub(super) fn level(fact: &LogFact) -> Level {
    match fact {
        LogFact::Writing { .. } | LogFact::Recovered { .. } => Level::Info,
        LogFact::WriterEnded { .. }
        | LogFact::Silent { .. }
        | LogFact::Unfinished { .. }
        | LogFact::NotFound
        | LogFact::NoThread { .. }
        | LogFact::LastWords { .. } => Level::Warn,
        LogFact::NotStarted { .. }
        | LogFact::GivenUp { .. }
        | LogFact::Failing { .. }
        | LogFact::Losing { .. }
        | LogFact::Lost { .. } => Level::Error,
    }
}

/// A word for programs, which does not change when the sentence does.
pub(super) fn key(fact: &LogFact) -> &'static str {
    match fact {
        LogFact::Writing { .. } => "log-writer",
        LogFact::NotStarted { .. } => "log-writer-not-started",
        LogFact::WriterEnded { .. } => "log-writer-ended",
        LogFact::Silent { .. } => "log-writer-silent",
        LogFact::Unfinished { .. } => "log-writer-unfinished",
        LogFact::GivenUp { .. } => "log-writer-gave-up",
        LogFact::Failing { .. } => "logs-wait",
        LogFact::NoThread { .. } => "log-writer-no-thread",
        LogFact::Recovered { .. } => "logs-written-again",
        LogFact::Losing { .. } => "logs-dropped",
        LogFact::Lost { .. } => "logs-lost",
        LogFact::NotFound => "output-not-found",
        LogFact::LastWords { .. } => "last-words",
    }
}

/// What happened, and what happens next.
pub(super) fn sentence(fact: &LogFact) -> String {
    match fact {
        LogFact::Writing { pid } => format!("the log writer is pid={pid}"),
        LogFact::NotStarted { failure, pause } => {
            format!("the log writer could not be started: {}; {}", spawn_failure(failure), next(*pause))
        }
        LogFact::WriterEnded { status, pause } => {
            format!(
                "the log writer {}; what it had in memory is lost, what had not reached it is still in the pipes; {}",
                ended(*status),
                next(*pause)
            )
        }
        LogFact::Silent { after } => {
            format!("the log writer has not answered for {}; sent it SIGKILL", time(*after))
        }
        LogFact::Unfinished { pid, waits } => {
            let gives_up = time(LOG_LAST_PATIENCE);
            let end = waits.map_or(String::new(), |most| {
                format!(
                    "; it would die with this PID 1, which waits for it {} at most: SIGTERM ends that",
                    time(most)
                )
            });
            format!(
                "not all that services wrote is written; the log writer pid={pid} goes on, and gives up what fails in {gives_up}{end}"
            )
        }
        LogFact::GivenUp { bytes } => format!(
            "the log writer ends; {bytes} bytes of lines or more are lost, for they could not be written"
        ),
        LogFact::Failing { outlet, why } => {
            format!("{outlet}: {why}; lines wait, and services go on; it is tried again each second")
        }
        LogFact::NoThread { outlet, why } => format!(
            "{outlet}: the log writer gets no thread for it: {why}; its lines are written beside others, and wait where those do"
        ),
        LogFact::Recovered { outlet } => format!("{outlet}: takes lines again"),
        LogFact::Losing { outlet } => {
            format!(
                "{outlet}: there is no more room for lines that wait; those that come now are dropped and counted"
            )
        }
        LogFact::Lost { outlet, lines } => {
            let lines = count(usize::try_from(*lines).unwrap_or(usize::MAX), "line");
            format!("{outlet}: {lines} of services lost: they were not taken in time")
        }
        LogFact::NotFound => "the pipe that it writes to was not found: what it writes is not read".into(),
        LogFact::LastWords { lines } => {
            let quoted: Vec<String> = lines.iter().map(|line| format!("{line:?}")).collect();
            format!("said on stderr: {}", quoted.join(", "))
        }
    }
}

fn next(pause: Duration) -> String {
    if pause.is_zero() { "starting another".into() } else { format!("starting another in {}", time(pause)) }
}
