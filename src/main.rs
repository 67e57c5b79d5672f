//! Entry: the command line decides what runs.

use bootstrap::cli::{self, Asked, Invocation};
use bootstrap::exit::ExitCode;
use bootstrap::os;

fn main() -> std::process::ExitCode {
    os::look_up_names_in_files_where_static();
    match Invocation::parse(std::env::args_os()) {
        Ok(Asked::Print(printing)) => cli::print(&printing).into(),
        Ok(Asked::OfFile(invocation)) => invocation.perform().into(),
        Err(question_or_mistake) => {
            let printed = question_or_mistake.print();
            if question_or_mistake.use_stderr() {
                // Where it could not be printed, the exit code still tells.
                ExitCode::Usage
            } else {
                cli::said(printed, ExitCode::Ok)
            }
            .into()
        }
    }
}
