//! Finding the program, and finding out why it could not be executed.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, stat};
use nix::unistd::AccessFlags;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Device and inode: which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inode(u64, u64);

impl Inode {
    pub(super) fn of(found: &FileStat) -> Self {
        Self(found.st_dev, found.st_ino)
    }
}

/// Which file it is, and which state of it: what changes its bytes, or who may execute it, changes the time of its last
/// change, which nobody can set. Two changes within one tick of the kernel's clock have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) inode: Inode,
    changed: (i64, i64),
}

impl Identity {
    /// Of what this path leads to.
    pub(super) fn of(path: &Path) -> nix::Result<Self> {
        let found = stat(path)?;
        Ok(Self { inode: Inode::of(&found), changed: (found.st_ctime, found.st_ctime_nsec) })
    }
}

/// Where a program without a slash is looked for when there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The path to execute. Without a slash `program` is searched in `search` (the child's `PATH`); a relative
/// path is one from `directory`, where the child will be when it executes it.
///
/// # Errors
///
/// `ENOENT`: there is none; `EISDIR`: it is a directory; `EACCES`: it is not executable, or the way to it
/// is closed.
pub(super) fn find(
    program: &str,
    search: Option<&OsStr>,
    directory: Option<&Path>,
) -> Result<PathBuf, Errno> {
    if program.is_empty() {
        return Err(Errno::ENOENT);
    }
    if program.contains('/') {
        return check(&seen_from(directory, Path::new(program))).map(|()| program.into());
    }
    let mut reason = Errno::ENOENT;
    for path in places(program, search) {
        match check(&seen_from(directory, &path)) {
            Ok(()) => return Ok(path),
            // Something of the name is there: say so, unless a later entry has the program.
            Err(found @ (Errno::EACCES | Errno::EISDIR)) => reason = found,
            Err(_) => {}
        }
    }
    Err(reason)
}

/// Where a program without a slash may be.
fn places<'a>(program: &'a str, search: Option<&'a OsStr>) -> impl Iterator<Item = PathBuf> + 'a {
    let search = search.unwrap_or(OsStr::new(DEFAULT_PATH));
    search.as_bytes().split(|&byte| byte == b':').map(move |entry| {
        // An empty entry is the working directory, as in a shell.
        let place = if entry.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(entry)) };
        place.join(program)
    })
}

/// Where the program is looked at, whether it can be executed or not: where [`find`] finds it, else what is first of its name.
pub(super) fn place(program: &str, search: Option<&OsStr>, directory: Option<&Path>) -> PathBuf {
    if program.contains('/') {
        return program.into();
    }
    find(program, search, directory).unwrap_or_else(|_| {
        let is_there = |path: &PathBuf| seen_from(directory, path).symlink_metadata().is_ok();
        places(program, search).find(is_there).unwrap_or_else(|| program.into())
    })
}

/// A path as we must write it for what the child will see from `directory`.
pub(super) fn seen_from(directory: Option<&Path>, path: &Path) -> PathBuf {
    directory.map_or_else(|| path.to_path_buf(), |directory| directory.join(path))
}

/// A program as a failure names it: with the directory that its path begins in, where that is not ours.
pub(super) fn named(program: &str, directory: Option<&Path>) -> String {
    match directory {
        Some(directory) if program.contains('/') && !program.starts_with('/') => {
            format!("{program} (in {})", directory.display())
        }
        _ => program.into(),
    }
}

/// Is there a program that we may execute at this path, as we see it?
pub(super) fn check(path: &Path) -> Result<(), Errno> {
    let metadata =
        path.metadata().map_err(|error| error.raw_os_error().map_or(Errno::ENOENT, Errno::from_raw))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    // What the kernel says of a pipe or a device.
    if !metadata.is_file() {
        return Err(Errno::EACCES);
    }
    may_execute(path)
}

/// May we execute this file, or enter this directory?
pub(super) fn may_execute(path: &Path) -> Result<(), Errno> {
    nix::unistd::faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS)
}

/// The program that the kernel needs to run this one: the `#!` line's, or the loader of an ELF file. Asked
/// when `execve` says `ENOENT` although the file exists: then it is this one that is missing.
pub(super) fn interpreter(path: &Path, directory: Option<&Path>) -> Option<String> {
    let mut file = open(&seen_from(directory, path)).ok()?;
    let mut head = [0; 256];
    let len = file.read(&mut head).ok()?;
    let head = head.get(..len)?;
    let name = match head.strip_prefix(b"#!") {
        Some(rest) => {
            let line = rest.split(|&byte| byte == b'\n').next()?;
            let line = line.trim_ascii_start();
            line.split(|&byte| byte == b' ' || byte == b'\t').next()?.to_vec()
        }
        None => elf_loader(&mut file, head)?,
    };
    // A carriage return at the end of a `#!` line is the classic mistake, and invisible.
    Some(String::from_utf8_lossy(&name).escape_debug().to_string())
}

/// Opens what may be anything. Non-blocking, because to open a pipe that nobody writes to would block for ever.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The `PT_INTERP` of an ELF file of this machine's byte order.
fn elf_loader(file: &mut File, head: &[u8]) -> Option<Vec<u8>> {
    const PT_INTERP: u64 = 3;
    let wide = match head.strip_prefix(b"\x7fELF")?.first()? {
        1 => false,
        2 => true,
        _ => return None,
    };
    let at = |offsets: (usize, usize)| if wide { offsets.1 } else { offsets.0 };
    let word = if wide { 8 } else { 4 };
    let table = number(head, at((28, 32)), word)?;
    let entry_len = usize::try_from(number(head, at((42, 54)), 2)?).ok()?;
    let entries = usize::try_from(number(head, at((44, 56)), 2)?).ok()?;
    file.seek(SeekFrom::Start(table)).ok()?;
    // Both counts are 16 bits wide, so this is bounded.
    for _ in 0..entries {
        let mut entry = vec![0; entry_len];
        file.read_exact(&mut entry).ok()?;
        if number(&entry, 0, 4)? == PT_INTERP {
            file.seek(SeekFrom::Start(number(&entry, at((4, 8)), word)?)).ok()?;
            let mut name = Vec::new();
            let len = number(&entry, at((16, 32)), word)?.min(4096);
            file.take(len).read_to_end(&mut name).ok()?;
            return Some(name.split(|&byte| byte == 0).next()?.to_vec());
        }
    }
    None
}

/// The unsigned number of `len` bytes at `at`.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    let mut wide = [0; 8];
    if cfg!(target_endian = "little") {
        wide.get_mut(..len)?.copy_from_slice(bytes);
    } else {
        wide.get_mut(8 - len..)?.copy_from_slice(bytes);
    }
    Some(u64::from_ne_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn program(dir: &Path, name: &str, mode: u32) {
        let path = dir.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_childs_path_is_searched_in_its_order_and_what_cannot_run_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        for place in [&a, &b, &c] {
            fs::create_dir(place).unwrap();
        }
        fs::create_dir(a.join("server")).unwrap();
        program(&b, "server", 0o644);
        program(&c, "server", 0o755);
        let path = |places: &[&Path]| {
            places.iter().map(|place| place.to_str().unwrap()).collect::<Vec<_>>().join(":")
        };
        let found = find("server", Some(OsStr::new(&path(&[&a, &b, &c]))), None);
        assert_eq!(found, Ok(c.join("server")));
        assert_eq!(find("server", Some(OsStr::new(&path(&[&a]))), None), Err(Errno::EISDIR));
        assert_eq!(find("server", Some(OsStr::new(&path(&[&a, &b]))), None), Err(Errno::EACCES));
        assert_eq!(find("absent", Some(OsStr::new(&path(&[&a, &b]))), None), Err(Errno::ENOENT));
        assert_eq!(find("sh", None, None).map(|found| found.ends_with("sh")), Ok(true));
    }

    #[test]
    fn a_relative_path_is_one_from_the_directory_of_the_child() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), "server", 0o755);
        assert_eq!(find("./server", None, Some(dir.path())), Ok("./server".into()));
        assert_eq!(find("./server", None, None), Err(Errno::ENOENT));
        assert_eq!(find("server", Some(OsStr::new("")), Some(dir.path())), Ok("./server".into()));
    }

    #[test]
    fn a_failure_names_the_directory_where_it_matters() {
        let there = Some(Path::new("/srv"));
        assert_eq!(named("./server", there), "./server (in /srv)");
        assert_eq!(named("bin/server", there), "bin/server (in /srv)");
        for (program, directory) in [("./server", None), ("server", there), ("/bin/server", there)] {
            assert_eq!(named(program, directory), program);
        }
    }

    #[test]
    fn what_cannot_be_executed_has_its_place_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        for place in [&a, &b] {
            fs::create_dir(place).unwrap();
        }
        program(&b, "server", 0o644);
        let search = format!("{}:{}", a.display(), b.display());
        let search = Some(OsStr::new(&search));
        assert_eq!(place("server", search, None), b.join("server"));
        fs::remove_file(b.join("server")).unwrap();
        assert_eq!(place("server", search, None), Path::new("server"));
        program(&a, "server", 0o755);
        program(&b, "server", 0o755);
        assert_eq!(place("server", search, None), a.join("server"));
        assert_eq!(place("./server", search, Some(&b)), Path::new("./server"));
    }

    #[test]
    fn with_a_slash_each_reason_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        program(dir.path(), "plain", 0o644);
        for (name, errno) in [("plain", Errno::EACCES), ("absent", Errno::ENOENT), ("", Errno::EISDIR)] {
            let path = format!("{}/{name}", dir.path().display());
            assert_eq!(find(&path, None, None), Err(errno), "{path}");
        }
        assert_eq!(find("", None, None), Err(Errno::ENOENT));
    }

    #[test]
    fn a_pipe_is_no_program_and_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(find(path.to_str().unwrap(), None, None), Err(Errno::EACCES));
        assert_eq!(interpreter(&path, None), None);
    }

    #[test]
    fn the_interpreter_is_named_even_where_its_mistake_is_invisible() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            ("#!/opt/python9 -u\nx", Some("/opt/python9")),
            ("#! /bin/sh\r\nx", Some("/bin/sh\\r")),
            ("plain text", None),
            ("", None),
        ] {
            let path = dir.path().join("script");
            fs::write(&path, text).unwrap();
            assert_eq!(interpreter(&path, None).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn the_loader_of_a_real_program_is_found() {
        let loader = interpreter(&std::env::current_exe().unwrap(), None).unwrap();
        assert!(Path::new(&loader).exists(), "{loader:?} is what loads this very test");
    }
}
