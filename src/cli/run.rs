//! `bootstrap -c FILE`.

use super::{Invocation, LogFormat};
use crate::exit::ExitCode;
use crate::report::Format;
use crate::{config, os, run};
use std::io::Write as _;

/// Runs the services of the file until all have ended.
pub fn run(invocation: &Invocation) -> ExitCode {
    let plan = match config::load(&invocation.config) {
        Ok(plan) => plan,
        Err(refused) => {
            let picture = refused.render(invocation.color.on_stderr());
            return fail(&picture, ExitCode::Config);
        }
    };
    let format = match invocation.log_format {
        LogFormat::Json => Format::Json,
        LogFormat::Text if os::stderr_is_journal() => Format::Journal,
        LogFormat::Text => Format::Text,
    };
    run::run(&invocation.config, plan, format).unwrap_or_else(|error| {
        fail(&format!("bootstrap: the system refuses to start it: {error}\n"), ExitCode::Failed)
    })
}

/// Says why, as far as somebody listens, and gives the exit code.
fn fail(why: &str, code: ExitCode) -> ExitCode {
    // Whoever closed stderr has the exit code.
    let _ = std::io::stderr().write_all(why.as_bytes());
    code
}
