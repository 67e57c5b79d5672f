//! `bootstrap -c FILE check`.

use super::Color;
use crate::config;
use crate::exit::ExitCode;
use std::io::Write as _;
use std::path::Path;

/// Checks the file and says what is wrong with it on stderr, or that all is well on stdout. Starts nothing.
pub fn check(path: &Path, color: Color) -> ExitCode {
    let (said, code) = match config::load(path) {
        Ok(plan) => {
            let sockets = plan.services.iter().map(|service| service.listeners.len()).sum();
            let services = count(plan.services.len(), "service");
            let sockets = count(sockets, "socket");
            (writeln!(std::io::stdout(), "{}: ok: {services}, {sockets}", path.display()), ExitCode::Ok)
        }
        Err(refused) => {
            let picture = refused.render(color.on_stderr());
            (std::io::stderr().write_all(picture.as_bytes()), ExitCode::Config)
        }
    };
    // Whoever closed the other end has the exit code.
    drop(said);
    code
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
