//! The shortest server of the pipe handshake: it says when its `main` begins, and does nothing else.
//!
//! Its pid and the time go to a file, whose name comes first, then the descriptors of listener and pipe. Asked by
//! SIGUSR1, it says `success` and ends.

#![expect(unsafe_code, reason = "the pipe arrives as a number")]

use nix::time::{ClockId, clock_gettime};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _, pipe};
use std::os::fd::FromRawFd as _;
use std::time::Duration;

/// What it says of itself.
pub(crate) struct Mark {
    pub(crate) pid: i32,
    /// When its `main` began, by [`now`]: whoever reads this may be late.
    pub(crate) begun: Duration,
}

impl Mark {
    fn own() -> io::Result<Self> {
        Ok(Self { begun: now()?, pid: i32::try_from(std::process::id()).map_err(io::Error::other)? })
    }

    fn put(&self, file: &mut impl io::Write) -> io::Result<()> {
        let nanos = u64::try_from(self.begun.as_nanos()).map_err(io::Error::other)?;
        // One write: it comes as a whole.
        file.write_all(&[&self.pid.to_ne_bytes()[..], &nanos.to_ne_bytes()].concat())
    }

    /// The next one.
    pub(crate) fn read(file: &mut impl io::Read) -> io::Result<Self> {
        let (mut pid, mut nanos) = ([0; 4], [0; 8]);
        file.read_exact(&mut pid)?;
        file.read_exact(&mut nanos)?;
        Ok(Self { pid: i32::from_ne_bytes(pid), begun: Duration::from_nanos(u64::from_ne_bytes(nanos)) })
    }
}

/// The time, by a clock that all processes share.
pub(crate) fn now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// Is that server, with these arguments.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let mark = Mark::own()?;
    // Who starts it may wait for its signals by blocking them.
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    let (mut asked, ask) = pipe()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGUSR1, ask)?;
    let file = arguments.next().ok_or_else(|| io::Error::other("FILE is missing"))?;
    mark.put(&mut OpenOptions::new().write(true).open(file)?)?;
    asked.read_exact(&mut [0])?;
    if let Some(Ok(fd)) = arguments.nth(1).map(|number| number.parse()) {
        // SAFETY: it was opened for us, and nothing else in here knows the number.
        unsafe { File::from_raw_fd(fd) }.write_all(b"success")?;
    }
    Ok(())
}
