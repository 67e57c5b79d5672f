//! Commands that print and need no config file: its schema, completions, manual pages, files of others as ours.

use super::import::{self, Kind};
use super::manual::Page;
use super::{completions, definition, manual, said};
use crate::config;
use crate::exit::ExitCode;
use clap::Subcommand;
use clap_complete::aot::Shell;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What to print.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Printing {
    /// Print the JSON Schema of the config file, for editors and validators
    Schema,
    /// Print the completions of the command line for a shell
    Completions {
        /// bash, zsh or fish; others as far as clap knows them
        shell: Shell,
    },
    /// Print a manual page, or write all of them into a directory
    Man {
        /// The page to print, as roff: `bootstrap man bootstrap.toml | man -l -`
        #[arg(default_value = "bootstrap")]
        page: Page,
        /// Write all pages below this directory instead, in man5, man7 and man8
        #[arg(long, value_name = "DIR", conflicts_with = "page")]
        output: Option<PathBuf>,
    },
    /// Print the files of another supervisor as a config file of ours; what has no counterpart becomes a comment
    Import {
        /// Whose files they are
        kind: Kind,
        /// The files; several units of systemd that belong together are given together
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Prints it on stdout.
pub fn print(printing: &Printing) -> ExitCode {
    let text = match printing {
        Printing::Schema => format!("{:#}\n", config::json_schema()).into_bytes(),
        Printing::Completions { shell } => completions::script(*shell),
        Printing::Man { page, output: None } => manual::page(*page, &definition()).into_bytes(),
        Printing::Man { output: Some(directory), .. } => return write_manual(directory),
        Printing::Import { kind, files } => return import::print(*kind, files),
    };
    said(io::stdout().write_all(&text), ExitCode::Ok)
}

fn write_manual(directory: &Path) -> ExitCode {
    for page in Page::ALL {
        let path = directory.join(page.path());
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        if let Err(error) = made.and_then(|()| fs::write(&path, manual::page(page, &definition()))) {
            // Where that cannot be said, the exit code tells.
            let _ = writeln!(io::stderr(), "bootstrap: cannot write {}: {error}", path.display());
            return ExitCode::Failed;
        }
    }
    ExitCode::Ok
}
