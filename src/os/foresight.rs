//! What would keep a program from being started here, as far as that is seen without starting it.

use super::environment::refused;
use super::guise::Guise;
use super::interpreter::{HEAD_BYTES, looked_for_by_env};
use super::{env_file, lookup};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::Program;
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// What a start would fail with by what is on this machine now; nothing where it may succeed. Each is about something
/// else.
pub fn obstacles(program: &Program) -> Vec<SpawnFailure> {
    obstacles_but(program, || false)
}

/// The same, where `is_there` may know better that the program, and what it is interpreted by, is as it was when it was
/// started before.
pub(super) fn obstacles_but(program: &Program, is_there: impl FnOnce() -> bool) -> Vec<SpawnFailure> {
    let mut found = Vec::new();
    let mut search = std::env::var_os("PATH");
    if let Some(path) = &program.env_file {
        match env_file::read(path) {
            Ok(variables) => {
                let named = variables.into_iter().rev().find(|(name, _)| name == "PATH");
                search = named.map(|(_, value)| value).or(search);
            }
            Err(error) => found.push(refused(path, &error)),
        }
    }
    search = program.env.get("PATH").map(OsString::from).or(search);
    // The rest is open, or closed, to whoever the process will be.
    let guise = Guise::of(&program.identity);
    let directory = program.directory.as_deref();
    let failure = match see_directory(directory).and_then(|()| enter(directory)) {
        Ok(()) if guise.is_none() && is_there() => None,
        Ok(()) => missing(program, search.as_deref()),
        // Where it is missing nobody knows what is in it.
        Err(failure) => Some(failure),
    };
    let whose = program.identity.user.as_ref().filter(|_| guise.is_some());
    found.extend(failure.map(|failure| match whose {
        Some(user) if failure.errno == libc::EACCES => {
            SpawnFailure { subject: format!("{} (as user {user})", failure.subject), ..failure }
        }
        Some(_) | None => failure,
    }));
    found
}

/// Without this a missing directory would be told as a missing program.
pub(super) fn see_directory(directory: Option<&Path>) -> Result<(), SpawnFailure> {
    let Some(path) = directory else { return Ok(()) };
    let errno = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => Errno::ENOTDIR,
        Err(error) => error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    };
    Err(closed(path, errno))
}

/// May it be entered?
fn enter(directory: Option<&Path>) -> Result<(), SpawnFailure> {
    let Some(path) = directory else { return Ok(()) };
    lookup::may_execute(path).map_err(|errno| closed(path, errno))
}

fn closed(directory: &Path, errno: Errno) -> SpawnFailure {
    let subject = directory.display().to_string();
    SpawnFailure { stage: SpawnStage::Directory, errno: errno as i32, subject }
}

/// The program itself, or what it is interpreted by.
fn missing(program: &Program, search: Option<&OsStr>) -> Option<SpawnFailure> {
    let name = program.command.first()?;
    // With a placeholder it is another one for each process.
    let varies = |text: &str| text.contains('{');
    if varies(name) || search.and_then(OsStr::to_str).is_some_and(varies) {
        return None;
    }
    let directory = program.directory.as_deref();
    let failure = |stage, errno, subject| Some(SpawnFailure { stage, errno: errno as i32, subject });
    let path = match lookup::find(name, search, directory) {
        Ok(path) => path,
        Err(errno) => return failure(SpawnStage::Lookup, errno, lookup::named(name, directory)),
    };
    let interpreter = lookup::interpreter(&path, directory)?;
    if let Err(errno) = lookup::check(&lookup::seen_from(directory, Path::new(&interpreter))) {
        let may_run = has_formats(Path::new(FORMATS));
        return if may_run { None } else { failure(SpawnStage::Interpreter, errno, interpreter) };
    }
    let head = head(&lookup::seen_from(directory, &path));
    let name = looked_for_by_env(&head)?;
    let errno = lookup::find(name, search, directory).err()?;
    failure(SpawnStage::Interpreter, errno, name.into())
}

/// How a file begins.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    let _ = lookup::open(path).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    head
}

/// Where the kernel shows the formats of programs that it was told of, such as those of other machines: `binfmt_misc`.
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";

/// Are there such? They come first, and may run what has no interpreter here.
fn has_formats(place: &Path) -> bool {
    let names = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name != "register" && name != "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_of_another_machine_is_seen_among_what_is_always_there() {
        let place = tempfile::tempdir().unwrap();
        assert!(!has_formats(&place.path().join("not mounted")));
        for name in ["register", "status"] {
            fs::write(place.path().join(name), "").unwrap();
            assert!(!has_formats(place.path()));
        }
        fs::write(place.path().join("qemu-aarch64"), "").unwrap();
        assert!(has_formats(place.path()));
    }
}
