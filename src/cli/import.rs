//! `bootstrap import`.

use super::answer::complain;
use super::said;
use crate::config;
use crate::exit::ExitCode;
use crate::import::{Input, Origin, import};
use crate::limits::CONFIG_BYTES;
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Whose files they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// supervisord.conf
    Supervisord,
    /// A Procfile, as foreman and its kind read it
    Procfile,
    /// .service and .socket units
    Systemd,
    /// Command lines of `start_server`, as in a script
    #[value(name = "start_server")]
    StartServer,
}

/// Prints the files as one of ours on stdout, and says on stderr what is still wrong with it.
pub(super) fn print(kind: Kind, files: &[PathBuf]) -> ExitCode {
    let mut inputs = Vec::with_capacity(files.len());
    for path in files {
        match read(path) {
            Ok(input) => inputs.push(input),
            Err(error) => return fail(&format!("{}: {error}", path.display())),
        }
    }
    if kind == Kind::Systemd {
        for directory in forgotten(files) {
            complain(&format!("{}: is not read: give the files in it as well", directory.display()));
        }
    }
    let from = match kind {
        Kind::Supervisord => Origin::Supervisord,
        Kind::Procfile => Origin::Procfile,
        Kind::Systemd => Origin::Systemd,
        Kind::StartServer => Origin::StartServer,
    };
    let tables = config::tables();
    let keys: Vec<&str> = tables.iter().flat_map(|table| &table.keys).map(|key| key.name).collect();
    let text = match import(from, &inputs, &keys) {
        Ok(text) => text,
        Err(none) => return fail(&none.to_string()),
    };
    let code = said(io::stdout().write_all(text.as_bytes()), ExitCode::Ok);
    match config::parse("the result", &text) {
        Err(refused) => {
            // Such as an address that two of them have: that is for people to decide.
            let _ = io::stderr().write_all(refused.render(false).as_bytes());
            ExitCode::Config
        }
        Ok(_) => code,
    }
}

/// The directories with drop-ins of some units, of which none was given.
fn forgotten(units: &[PathBuf]) -> Vec<PathBuf> {
    let drop_ins = |unit: &PathBuf| {
        let mut directory = unit.clone().into_os_string();
        directory.push(".d");
        PathBuf::from(directory)
    };
    let is_forgotten = |directory: &PathBuf| {
        directory.is_dir() && !units.iter().any(|unit| unit.parent() == Some(directory))
    };
    units.iter().map(drop_ins).filter(is_forgotten).collect()
}

fn read(path: &Path) -> io::Result<Input> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CONFIG_BYTES {
        return Err(io::Error::other(format!("it has more than {CONFIG_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let absolute = std::path::absolute(path)?;
    // Where its name is no text, nothing can be made of it.
    let directory = absolute.parent().and_then(Path::to_str).unwrap_or_default().to_owned();
    Ok(Input { name, directory, text })
}

fn fail(why: &str) -> ExitCode {
    // Where that cannot be said, the exit code tells.
    let _ = writeln!(io::stderr(), "bootstrap: {why}");
    ExitCode::Failed
}
