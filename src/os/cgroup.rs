//! A cgroup of version 2 for each run, in one for its service, which has the limits. Whoever is in it is of the run,
//! whatever process group it has made for itself, and nobody gets out.
//!
//! A run has one of its own, not the service: old and new generations live side by side, and only one is killed.

use super::pidfd::Pidfd;
use crate::plan::{Cgroup, Generation};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// What could not be done, and with which file.
pub(super) type Refusal = (Errno, String);

/// The cgroup of one run. It is removed with this, and that of the service with the last of its runs.
pub(super) struct Leaf {
    path: PathBuf,
    /// Says whether anybody is in it; the kernel tells who watches it when that changes.
    events: File,
}

/// Longest answer that is read: two lines with a number each.
const EVENTS_BYTES: usize = 256;

/// How many names are tried for the cgroup of a run: others are in use by runs that an earlier supervisor left behind.
const NAMES: u32 = 16;

impl Leaf {
    /// Makes it, below one for the service with its limits; gives also the file that lets a process in.
    ///
    /// # Errors
    ///
    /// What the system refused, and which file that was about. `ENODEV`: there is no such controller.
    pub(super) fn new(
        cgroup: &Cgroup,
        service: &str,
        generation: Generation,
    ) -> Result<(Self, File), Refusal> {
        let parent = cgroup.path.join(service);
        made(&cgroup.path)?;
        for (controller, _, _) in limits(cgroup).into_iter().filter(|(_, _, value)| value.is_some()) {
            offer(&cgroup.path, controller)?;
        }
        made(&parent)?;
        set_limits(cgroup, &parent)?;
        let path = free_name(&parent, generation)?;
        let open = |name: &str, options: &OpenOptions| {
            options.open(path.join(name)).map_err(|error| refused(&error, &path.join(name)))
        };
        let opened = open("cgroup.events", OpenOptions::new().read(true))
            .and_then(|events| Ok((events, open("cgroup.procs", OpenOptions::new().write(true))?)));
        match opened {
            Ok((events, entrance)) => Ok((Self { path, events }, entrance)),
            Err(refusal) => {
                remove(&path);
                Err(refusal)
            }
        }
    }

    /// One that there is already.
    ///
    /// # Errors
    ///
    /// The system's: it is gone.
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        let events = File::open(path.join("cgroup.events"))?;
        Ok(Self { path, events })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Is anybody in it? Asked, it tells its watcher of the next change.
    pub(super) fn is_populated(&self) -> bool {
        let mut text = [0; EVENTS_BYTES];
        let len = self.events.read_at(&mut text, 0).unwrap_or(0);
        let lines = text.get(..len).unwrap_or_default();
        lines.split(|&byte| byte == b'\n').any(|line| line == b"populated 1")
    }

    /// Who is in it.
    pub(super) fn members(&self) -> Vec<i32> {
        let members = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        members.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Sends a signal to all that are in it; SIGKILL to those, too, that are being forked just then.
    pub(super) fn signal(&self, signal: i32) {
        // There is such a file since Linux 5.14.
        if signal == libc::SIGKILL && write(&self.path.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Held, and then seen to be in it still: a number may be another's by now, a descriptor never is.
        let held = |pid| Some((pid, Pidfd::open(pid).ok()?));
        let held: Vec<(i32, Pidfd)> = self.members().into_iter().filter_map(held).collect();
        let members: BTreeSet<i32> = self.members().into_iter().collect();
        for (_, process) in held.iter().filter(|(pid, _)| members.contains(pid)) {
            // It may have ended meanwhile, as with every signal.
            let _ = process.send(signal);
        }
    }
}

impl AsFd for Leaf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the cgroup of a run, and that of the service if it was the last.
fn remove(path: &Path) {
    // The kernel removes none that is in use, and what is left is taken by the next start.
    let _ = fs::remove_dir(path);
    let _ = path.parent().map(fs::remove_dir);
}

fn refused(error: &io::Error, path: &Path) -> Refusal {
    (error.raw_os_error().map_or(Errno::EIO, Errno::from_raw), path.display().to_string())
}

/// Makes the directory, unless it is there.
fn made(path: &Path) -> Result<(), Refusal> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(refused(&error, path)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Controller, file and value of each limit.
fn limits(cgroup: &Cgroup) -> [(&'static str, &'static str, Option<String>); 3] {
    const PERIOD: u32 = 100_000;
    let cpu = cgroup
        .cpu_percent
        .map(|percent| format!("{} {PERIOD}", u64::from(percent) * u64::from(PERIOD) / 100));
    [
        ("memory", "memory.max", cgroup.memory_max.map(|bytes| bytes.to_string())),
        ("cpu", "cpu.max", cpu),
        ("pids", "pids.max", cgroup.pids_max.map(|most| most.to_string())),
    ]
}

/// Writes those that are given; the others are lifted, where there are any.
fn set_limits(cgroup: &Cgroup, directory: &Path) -> Result<(), Refusal> {
    for (_, file, value) in limits(cgroup) {
        let path = directory.join(file);
        match (write(&path, value.as_deref().unwrap_or("max")), value) {
            (Err(error), Some(_)) => return Err(refused(&error, &path)),
            (Ok(()), _) | (Err(_), None) => {}
        }
    }
    Ok(())
}

/// Has the children of this cgroup get the controller, from the top down.
fn offer(directory: &Path, controller: &str) -> Result<(), Refusal> {
    let lists = |name: &str| {
        let text = fs::read_to_string(directory.join(name)).unwrap_or_default();
        text.split_ascii_whitespace().any(|word| word == controller)
    };
    if lists("cgroup.subtree_control") {
        return Ok(());
    }
    if !lists("cgroup.controllers") {
        match directory.parent().filter(|parent| parent.join("cgroup.controllers").exists()) {
            Some(parent) => offer(parent, controller)?,
            None => return Err((Errno::ENODEV, controller.into())),
        }
    }
    let control = directory.join("cgroup.subtree_control");
    write(&control, &format!("+{controller}")).map_err(|error| refused(&error, &control))
}

/// A name that no run has: that of the generation, unless one that an earlier supervisor has left is alive.
fn free_name(parent: &Path, generation: Generation) -> Result<PathBuf, Refusal> {
    let mut last = (Errno::EEXIST, parent.display().to_string());
    for attempt in 1..=NAMES {
        let name = if attempt == 1 { generation.to_string() } else { format!("{generation}.{attempt}") };
        let path = parent.join(name);
        // Succeeds for what is left of one that has ended.
        let _ = fs::remove_dir(&path);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) => last = refused(&error, &path),
        }
        if last.0 != Errno::EEXIST {
            break;
        }
    }
    Err(last)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree that looks like one, for machines whose controllers are not to be had.
    fn tree(directories: &[(&str, &[(&str, &str)])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, files) in directories {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            for (file, text) in *files {
                fs::write(dir.path().join(name).join(file), text).unwrap();
            }
        }
        dir
    }

    fn cgroup(path: &Path) -> Cgroup {
        Cgroup { path: path.into(), memory_max: Some(1 << 20), cpu_percent: Some(150), pids_max: None }
    }

    #[test]
    fn limits_are_written_as_the_kernel_reads_them_and_lifted_where_there_are_none() {
        let files = [("memory.max", "max"), ("cpu.max", "max 100000"), ("pids.max", "7")];
        let dir = tree(&[("web", &files)]);
        let web = dir.path().join("web");
        set_limits(&cgroup(dir.path()), &web).unwrap();
        let read = |name: &str| fs::read_to_string(web.join(name)).unwrap();
        assert_eq!(
            [read("memory.max"), read("cpu.max"), read("pids.max")].map(|text| text[..3].to_owned()),
            ["104", "150", "max"]
        );
        assert!(read("memory.max").starts_with("1048576") && read("cpu.max").starts_with("150000 100000"));
        fs::remove_file(web.join("cpu.max")).unwrap();
        let (errno, subject) = set_limits(&cgroup(dir.path()), &web).unwrap_err();
        assert_eq!((errno, subject), (Errno::ENOENT, web.join("cpu.max").display().to_string()));
    }

    #[test]
    fn the_limits_are_those_of_the_service_before_anybody_is_let_in() {
        let control =
            [("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "cpu memory pids")];
        let limits = [("memory.max", "max"), ("cpu.max", "max"), ("pids.max", "max")];
        let dir = tree(&[("", &control), ("web", &limits)]);
        let all = Cgroup { pids_max: Some(12), ..cgroup(dir.path()) };
        let (errno, subject) = Leaf::new(&all, "web", Generation(3)).map(|_| ()).unwrap_err();
        // No kernel makes the files of a cgroup here.
        let entrance = dir.path().join("web/3/cgroup.events").display().to_string();
        assert_eq!((errno, subject), (Errno::ENOENT, entrance));
        let read = |name: &str| fs::read_to_string(dir.path().join("web").join(name)).unwrap();
        // Written, not made anew: of "max" the last letter is still there.
        assert_eq!(["memory.max", "cpu.max", "pids.max"].map(read), ["1048576", "150000 100000", "12x"]);
        assert!(!dir.path().join("web/3").exists());
    }

    #[test]
    fn a_controller_is_handed_down_from_where_it_is() {
        let none = [("cgroup.controllers", ""), ("cgroup.subtree_control", "")];
        let dir = tree(&[
            ("", &[("cgroup.controllers", "cpu memory"), ("cgroup.subtree_control", "cpu")]),
            ("a", &none),
            ("a/b", &none),
        ]);
        offer(&dir.path().join("a/b"), "memory").unwrap();
        let read =
            |name: &str| fs::read_to_string(dir.path().join(name).join("cgroup.subtree_control")).unwrap();
        assert_eq!([read("a"), read("a/b")], ["+memory", "+memory"]);
        assert!(read("").starts_with("+mem"), "written, not appended, as the kernel takes it");
        assert_eq!(offer(&dir.path().join("a"), "pids"), Err((Errno::ENODEV, "pids".into())));
    }
}
