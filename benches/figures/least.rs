//! The least that can restart a [`mark`](crate::mark): it asks, waits for the seven bytes, and starts the next. It watches
//! nothing, holds no socket, writes nothing down, says nothing, and trusts the server: what it takes is the kernel's and
//! the server's, and no supervisor can be quicker.

use crate::MARK;
use nix::sys::signal::{SigSet, Signal};
use std::io::{self, PipeReader, Read as _, pipe};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Child, Command};

/// Restarts at SIGUSR1, and starts anew what has died.
pub(crate) fn supervise(program: &str, mut arguments: impl Iterator<Item = String>) -> io::Result<()> {
    let fifo = arguments.next().ok_or_else(|| io::Error::other("FILE is missing"))?;
    let signals: SigSet = [Signal::SIGUSR1, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block()?;
    let (mut child, mut said) = start(program, &fifo)?;
    // Processes that were asked to leave, and may not have done so yet.
    let mut leaving: Vec<Child> = Vec::new();
    loop {
        if signals.wait()? == Signal::SIGUSR1 {
            crate::process(&child).signal(Signal::SIGUSR1);
            said.read_exact(&mut [0; 7])?;
            let next = start(program, &fifo)?;
            leaving.push(std::mem::replace(&mut child, next.0));
            said = next.1;
        } else if child.try_wait()?.is_some() {
            (child, said) = start(program, &fifo)?;
        } else {
            leaving.retain_mut(|old| !matches!(old.try_wait(), Ok(Some(_))));
        }
    }
}

/// A `mark` and what it says.
fn start(program: &str, fifo: &str) -> io::Result<(Child, PipeReader)> {
    let (reader, writer) = pipe()?;
    let writer = OwnedFd::from(writer);
    // The `mark` has no socket, whose number comes before that of the pipe.
    let number = writer.as_raw_fd();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
    let child = Command::new(program).args([MARK, fifo, "-1", &number.to_string()]).spawn()?;
    Ok((child, reader))
}
