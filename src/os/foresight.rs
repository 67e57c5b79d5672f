//! What would keep a program from being started here, as far as that is seen without starting it.

use super::environment::refused;
use super::guise::Guise;
use super::interpreter::{HEAD_BYTES, looked_for_by_env};
use super::{env_file, lookup};
use crate::core::{SpawnFailure, SpawnStage};
use crate::plan::Program;
use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
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
    let failure = match see_directory(program.directory.as_deref(), guise.is_some()) {
        Ok(()) if guise.is_none() && is_there() => None,
        Ok(()) => missing(program, search.as_deref()),
        // Where it is missing nobody knows what is in it.
        Err(failure) => Some(failure),
    };
    let whose = program.identity.user.as_ref().filter(|_| guise.is_some());
    found.extend(failure.map(|failure| match whose {
        Some(user) if failure.errno == libc::EACCES => {
            SpawnFailure { subject: format!("{} (as user {})", failure.subject, user.name), ..failure }
        }
        Some(_) | None => failure,
    }));
    found
}

/// Without this a missing directory would be told as a missing program. Where it is to be `entered`, too, that has to be
/// allowed.
pub(super) fn see_directory(directory: Option<&Path>, entered: bool) -> Result<(), SpawnFailure> {
    let Some(path) = directory else { return Ok(()) };
    let errno = match path.metadata() {
        Ok(found) if !found.is_dir() => Errno::ENOTDIR,
        Ok(_) if !entered => return Ok(()),
        Ok(_) => match lookup::may_execute(path) {
            Ok(()) => return Ok(()),
            Err(errno) => errno,
        },
        Err(error) => error.raw_os_error().map_or(Errno::EIO, Errno::from_raw),
    };
    let subject = path.display().to_string();
    Err(SpawnFailure { stage: SpawnStage::Directory, errno: errno as i32, subject })
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
    let head = head(&lookup::seen_from(directory, &path));
    let by_env = looked_for_by_env(&head).filter(|name| !name.contains('/'));
    let errno = match (lookup::find(&interpreter, None, directory), by_env) {
        (Err(errno), _) => errno,
        (Ok(_), None) => return None,
        (Ok(_), Some(name)) => {
            let errno = lookup::find(name, search, directory).err()?;
            return failure(SpawnStage::Interpreter, errno, name.into());
        }
    };
    if has_formats(Path::new(FORMATS)) {
        return None;
    }
    failure(SpawnStage::Interpreter, errno, interpreter)
}

/// How a file begins.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    // It was opened a moment ago, so it is no pipe that would hold us up.
    let opened = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let _ = opened.and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
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
