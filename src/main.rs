//! Entry: the command line decides what runs.

use bootstrap::cli::{self, Command, Invocation};
use std::process::ExitCode;

fn main() -> ExitCode {
    match Invocation::parse(std::env::args_os()) {
        Ok(invocation) => match invocation.command {
            None => cli::run(&invocation),
            Some(Command::Check) => cli::check(&invocation.config, invocation.color),
        }
        .into(),
        Err(question_or_mistake) => {
            // Where it cannot be printed, the exit code still tells.
            let _ = question_or_mistake.print();
            ExitCode::from(u8::try_from(question_or_mistake.exit_code()).unwrap_or(1))
        }
    }
}
