//! The program that the supervisor is to become: where it is, and whether it can go on from here.
//!
//! It is asked in a process of its own, with the very snapshot, and must say the word: any other program could end
//! with 0.

use super::arguments::{GO_ON, arguments};
use super::child::Tie;
use super::children;
use super::kept::seal;
use super::lookup::{self, Identity};
use super::pidfd::Pidfd;
use super::spawn::Spawner;
use crate::core::{Time, UpgradeRefusal};
use crate::limits::UPGRADE_ANSWER_BYTES;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// What a program says that can go on from a snapshot.
const FIT: &str = "bootstrap can go on from here\n";

/// What it says, and then why, when it cannot.
const UNFIT: &str = "bootstrap cannot go on from here: ";

/// The hidden option by which a program is asked: the number of the snapshot, and of the pipe for the answer.
const ASK: &str = "--check-state=";

/// A program that was asked.
pub(super) struct Check {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// What it was shown.
    pub(super) shown: String,
    /// When the upgrade was asked for.
    pub(super) since: Time,
    /// When it is given up.
    pub(super) by: Time,
    answer: OwnedFd,
    said: Vec<u8>,
    pid: i32,
    process: Pidfd,
}

impl Check {
    /// Asks the program at `path`.
    pub(super) fn start(
        spawner: &mut Spawner,
        path: &Path,
        shown: String,
        since: Time,
        by: Time,
    ) -> Result<Self, UpgradeRefusal> {
        let unable = |error: io::Error| UpgradeRefusal::System(error.raw_os_error().unwrap_or(libc::EIO));
        let identity = Identity::of(path)
            .map_err(|errno| UpgradeRefusal::Missing { path: path.into(), errno: errno as i32 })?;
        let state = seal(&shown).map_err(unable)?;
        let (answer, theirs) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from).map_err(unable)?;
        fcntl(&answer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from).map_err(unable)?;
        let given = [state.as_raw_fd(), theirs.as_raw_fd()];
        let ask = |numbers: &[RawFd]| {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            arguments(&format!("{ASK}{}", numbers.join(",")))
        };
        let started = spawner.start_plain(path, &given, Tie::EndsWithUs, ask);
        let pid = started.map_err(UpgradeRefusal::NotStarted)?;
        // It is our child and was not reaped yet, so the number is its own.
        let process = Pidfd::open(pid).map_err(io::Error::from).map_err(unable)?;
        Ok(Self { path: path.into(), identity, shown, since, by, answer, said: Vec::new(), pid, process })
    }

    /// Reads what it says. Gives its answer once that is complete.
    pub(super) fn hear(&mut self) -> Option<Result<(), UpgradeRefusal>> {
        let mut buffer = [0; 1024];
        loop {
            match nix::unistd::read(&self.answer, &mut buffer) {
                Ok(0) => return Some(self.verdict()),
                Ok(count) if self.said.len() < UPGRADE_ANSWER_BYTES => {
                    self.said.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                Ok(_) => return Some(Err(UpgradeRefusal::NoProof)),
                Err(Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// The same, but waits until `by`.
    pub(super) fn wait(&mut self, now: impl Fn() -> Time) -> Result<(), UpgradeRefusal> {
        loop {
            if let Some(answer) = self.hear() {
                return answer;
            }
            let left = self.by - now();
            if left.is_zero() {
                return Err(self.too_late());
            }
            // Whether it was interrupted, or why else it came back, the next turn finds out.
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut [PollFd::new(self.answer.as_fd(), PollFlags::POLLIN)], timeout);
        }
    }

    /// It has not answered in time.
    pub(super) fn too_late(&self) -> UpgradeRefusal {
        UpgradeRefusal::Silent { after: self.by - self.since }
    }

    /// Is the file another one by now?
    pub(super) fn was_replaced(&self) -> bool {
        Identity::of(&self.path).ok().as_ref() != Some(&self.identity)
    }

    fn verdict(&self) -> Result<(), UpgradeRefusal> {
        let said = String::from_utf8_lossy(&self.said);
        if said == FIT {
            return Ok(());
        }
        Err(said
            .strip_prefix(UNFIT)
            .map_or(UpgradeRefusal::NoProof, |why| UpgradeRefusal::Rejected(why.trim_end().into())))
    }
}

impl AsFd for Check {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.answer.as_fd()
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        // It has ended, as a rule. Else it leads its group, whatever it has started: we have not reaped it.
        if !self.process.has_ended() {
            let _ = children::send_to_group(self.pid, libc::SIGKILL);
        }
    }
}

/// Answers the question whether this program can go on from a snapshot.
///
/// # Errors
///
/// Nobody listens.
pub fn answer_check(to: OwnedFd, answer: Result<(), String>) -> io::Result<()> {
    let text = answer.map_or_else(|why| format!("{UNFIT}{why}\n"), |()| FIT.into());
    fs::File::from(to).write_all(text.as_bytes())
}

/// The arguments with which the next program goes on from the snapshot that has this number.
pub(super) fn arguments_to_go_on(number: i32) -> Vec<Vec<u8>> {
    arguments(&format!("{GO_ON}{number}"))
}

/// The path that this program was started by, which is where the next one will be: the one that was typed, if it
/// leads to what runs, since it may be a link that is moved; else the one that the kernel knows.
pub(super) fn own_path() -> PathBuf {
    const RUNNING: &str = "/proc/self/exe";
    let typed = std::env::args_os().next().and_then(|name| name.into_string().ok()).unwrap_or_default();
    let search = std::env::var_os("PATH");
    if let (Ok(path), Ok(running)) =
        (lookup::find(&typed, search.as_deref(), None), Identity::of(Path::new(RUNNING)))
        && Identity::of(&path).is_ok_and(|found| found == running)
    {
        return path;
    }
    let known = fs::read_link(RUNNING).unwrap_or_else(|_| typed.into());
    match known.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => known,
    }
}
