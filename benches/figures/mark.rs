//! The shortest server of the pipe handshake: it says when its `main` begins, and does nothing else.
//!
//! Its pid goes to a file, whose name comes first, then the descriptors of listener and pipe. Asked by
//! SIGUSR1, it says `success` and ends.

#![expect(unsafe_code, reason = "the pipe arrives as a number")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _, pipe};
use std::os::fd::FromRawFd as _;

/// Is that server, with these arguments.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    // Who starts it may wait for its signals by blocking them.
    nix::sys::signal::SigSet::empty().thread_set_mask()?;
    let (mut asked, ask) = pipe()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGUSR1, ask)?;
    let file = arguments.next().ok_or_else(|| io::Error::other("FILE is missing"))?;
    OpenOptions::new().write(true).open(file)?.write_all(&std::process::id().to_ne_bytes())?;
    asked.read_exact(&mut [0])?;
    if let Some(Ok(fd)) = arguments.nth(1).map(|number| number.parse()) {
        // SAFETY: it was opened for us, and nothing else in here knows the number.
        unsafe { File::from_raw_fd(fd) }.write_all(b"success")?;
    }
    Ok(())
}
