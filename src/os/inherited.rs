//! What a program inherits without having asked: descriptors, limits, who adopts orphans.
#![expect(unsafe_code, reason = "close_range(2) and fcntl(2) on descriptors that nobody here owns")]

use crate::limits::OWN_DESCRIPTORS;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// Soft and hard limit of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DescriptorLimit {
    pub(super) soft: rlim_t,
    pub(super) hard: rlim_t,
}

/// Descriptors that were handed to this program by their numbers, in the same order. To be called before it opens any
/// of its own.
///
/// # Errors
///
/// One of them is not open, or stands twice.
pub fn claim_granted(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    let mut legacy = Legacy::find()?;
    numbers.iter().map(|number| Ok(legacy.claim(*number)?)).collect()
}

/// Makes 0, 1 and 2 something, so that no socket of ours ever gets one of these numbers: in a child they
/// would be taken for its stdin, stdout or stderr.
pub(super) fn fill_standard_descriptors() -> io::Result<()> {
    loop {
        let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        // Left open for good: it stands in for a standard stream from now on.
        let number = null.into_raw_fd();
        // SAFETY: plain integers; clears close-on-exec of a descriptor that was just opened.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    }
}

/// Marks every descriptor from 3 on close-on-exec: what the supervisor's parent leaked to it is not leaked
/// on to its children.
pub(super) fn keep_from_children() -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
    // SAFETY: three integers, as the system call takes them; no memory is involved, nothing is closed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    // Linux 5.10 knows the call but not the flag.
    for number in open_descriptors()? {
        if number > 2 {
            // SAFETY: plain integers; a number that is not open any more gives EBADF, which is fine.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Descriptors that were left to this program by the one that it was before.
pub(super) struct Legacy(BTreeSet<RawFd>);

impl Legacy {
    /// Those that are open now. To be called before this program opens any of its own.
    pub(super) fn find() -> io::Result<Self> {
        Ok(Self(open_descriptors()?.into_iter().filter(|number| *number > 2).collect()))
    }

    /// Takes one, close-on-exec from now on.
    ///
    /// # Errors
    ///
    /// `EBADF`: it was not left to us, or was claimed already.
    pub(super) fn claim(&mut self, number: RawFd) -> nix::Result<OwnedFd> {
        if !self.0.remove(&number) {
            return Err(Errno::EBADF);
        }
        set_kept(number, false)?;
        // SAFETY: it was open before this program opened anything, no library of ours opens one behind our back,
        // and each is claimed once: nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }
}

/// The descriptors that are to be left to the next program.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<RawFd>);

impl Numbers {
    /// Notes one; gives its number.
    pub(super) fn keep(&mut self, fd: impl AsFd) -> RawFd {
        let number = fd.as_fd().as_raw_fd();
        self.0.push(number);
        number
    }

    /// Has them outlive an exec, or not.
    pub(super) fn set_kept(&self, kept: bool) -> nix::Result<()> {
        self.0.iter().try_for_each(|number| set_kept(*number, kept))
    }
}

/// Decides whether a descriptor outlives an exec.
fn set_kept(number: RawFd, kept: bool) -> nix::Result<()> {
    let flags = if kept { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: plain integers; a number that is not open gives EBADF.
    Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, flags) }).map(drop)
}

/// The numbers of the descriptors that are open.
fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let entries = std::fs::read_dir("/proc/self/fd")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// The limit of descriptors is too low for what is to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFewDescriptors {
    /// How many are needed.
    pub needed: u64,
    /// How many there may be.
    pub limit: u64,
}

impl fmt::Display for TooFewDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, limit } = self;
        write!(
            f,
            "the services need {needed} descriptors, and the hard limit is {limit}; raise it (`ulimit -Hn`, \
             LimitNOFILE= of systemd)"
        )?;
        // With less there is no room for a single one.
        if *limit > OWN_DESCRIPTORS as u64 {
            write!(f, ", or list fewer services or workers")
        } else {
            Ok(())
        }
    }
}

/// Makes sure that so many descriptors may be open beside those that the supervisor needs itself. Whoever has the right to
/// raises the hard limit; the soft one is the children's, until it was noted for them.
///
/// # Errors
///
/// The hard limit is lower, and cannot be raised.
pub fn make_room(descriptors: usize) -> Result<(), TooFewDescriptors> {
    let needed = (descriptors + OWN_DESCRIPTORS) as rlim_t;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
    if needed <= hard || setrlimit(Resource::RLIMIT_NOFILE, soft, needed).is_ok() {
        return Ok(());
    }
    Err(TooFewDescriptors { needed, limit: hard })
}

/// The same while it supervises.
///
/// # Errors
///
/// As [`make_room`].
pub fn make_more_room(descriptors: usize) -> Result<(), TooFewDescriptors> {
    make_room(descriptors)?;
    // Up to the hard limit everybody may.
    let _ = take_all_descriptors();
    Ok(())
}

/// Raises the soft limit of descriptors to the hard one; gives what it was, for the children.
pub(super) fn raise_descriptor_limit() -> io::Result<DescriptorLimit> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(DescriptorLimit { soft, hard })
}

/// The same, for those who know already what their children get.
///
/// # Errors
///
/// The system's.
pub fn take_all_descriptors() -> io::Result<()> {
    raise_descriptor_limit().map(drop)
}

/// Daemonised grandchildren become our children, instead of those of pid 1, when their parent ends.
pub(super) fn adopt_orphans() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}
