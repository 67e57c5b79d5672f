//! `bootstrap -c FILE`.

use super::{Color, Invocation, LogFormat};
use crate::config::Refused;
use crate::core::{Fact, Report};
use crate::exit::ExitCode;
use crate::report::Format;
use crate::{config, os, run};
use std::io::Write as _;

/// Runs the services of the file until all have ended.
pub fn run(invocation: &Invocation) -> ExitCode {
    let format = shape(invocation.log_format);
    if let Some(state) = invocation.state {
        return run::go_on(&invocation.config, state, format).unwrap_or_else(|error| {
            // The program before has made sure that this does not happen; if it does, nothing is lost but what only
            // the state knew.
            let what = "cannot go on from the state that was left to it";
            not_started(format!("{what}: {error}; begins anew, and takes over who runs"), format);
            let errno = os::begin_anew();
            not_started(format!("cannot begin anew: {errno}; the servers go on"), format)
        });
    }
    let loaded = match config::load_to_run(&invocation.config) {
        Ok(loaded) => loaded,
        Err(refused) => return fail(&told(&refused, format, invocation.color), ExitCode::Config),
    };
    run::run(&invocation.config, loaded, format)
        .unwrap_or_else(|error| not_started(error.to_string(), format))
}

/// How log lines look on stderr.
pub(super) fn shape(format: LogFormat) -> Format {
    match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text if os::stderr_is_journal() => Format::Journal,
        LogFormat::Text => Format::Text,
    }
}

/// The mistakes as whoever reads stderr wants them: a picture for people, lines for a log.
fn told(refused: &Refused, format: Format, color: Color) -> String {
    match format {
        Format::Text => refused.render(color.on_stderr()),
        Format::Json | Format::Journal => {
            let fact = |text| Report::of_supervisor(Fact::Mistake { text });
            refused.lines().into_iter().map(|text| run::line(&fact(text), format) + "\n").collect()
        }
    }
}

/// Says why it does not start, in the same way as the mistakes.
fn not_started(reason: String, format: Format) -> ExitCode {
    let why = match format {
        Format::Text => format!("bootstrap: {reason}\n"),
        Format::Json | Format::Journal => {
            run::line(&Report::of_supervisor(Fact::NotStarted { reason }), format) + "\n"
        }
    };
    fail(&why, ExitCode::Failed)
}

/// Says why, as far as somebody listens, and gives the exit code.
fn fail(why: &str, code: ExitCode) -> ExitCode {
    // Whoever closed stderr has the exit code.
    let _ = std::io::stderr().write_all(why.as_bytes());
    code
}
