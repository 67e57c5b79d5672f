//! `bootstrap -c FILE check`.

use super::{Color, said};
use crate::config;
use crate::exit::ExitCode;
use std::io::{self, Write as _};
use std::path::Path;

/// Checks the file and says what is wrong with it on stderr, or that all is well on stdout. Starts nothing.
pub fn check(path: &Path, color: Color) -> ExitCode {
    match config::load(path) {
        Ok(plan) => {
            let sockets = plan.services.iter().map(|service| service.listeners.len()).sum();
            let services = count(plan.services.len(), "service");
            let sockets = count(sockets, "socket");
            said(writeln!(io::stdout(), "{}: ok: {services}, {sockets}", path.display()), ExitCode::Ok)
        }
        Err(refused) => {
            // Whoever closed stderr has the exit code.
            let _ = io::stderr().write_all(refused.render(color.on_stderr()).as_bytes());
            ExitCode::Config
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
