//! A file with its lock (`flock(2)`), which is waited for no longer than a bound: whoever may read a file may lock it.

use crate::limits::LOG_LOCK_PATIENCE;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::thread;

/// A file, and how far its lock is. The lock belongs to what is open, whichever thread asked for it.
pub(super) enum Lock {
    /// Nobody here wants it.
    Free(File),
    /// It is ours.
    Ours(Flock<File>),
    /// Somebody else has had it for long; a thread waits for it.
    Refused(File, Receiver<Result<Flock<File>, Errno>>),
}

impl Lock {
    pub(super) fn file(&self) -> &File {
        match self {
            Self::Free(file) | Self::Refused(file, _) => file,
            Self::Ours(locked) => locked,
        }
    }

    /// Takes the lock. The first time that somebody else has it this waits a while, the next times not.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn take(self) -> io::Result<Self> {
        match self {
            Self::Free(file) => match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => Ok(Self::Ours(locked)),
                Err((file, Errno::EWOULDBLOCK)) => Self::wait(file),
                Err((_, errno)) => Err(errno.into()),
            },
            Self::Ours(locked) => Ok(Self::Ours(locked)),
            Self::Refused(file, awaited) => match awaited.try_recv() {
                Ok(answer) => Ok(Self::Ours(answer?)),
                Err(TryRecvError::Empty) => Ok(Self::Refused(file, awaited)),
                Err(TryRecvError::Disconnected) => Err(Errno::EIO.into()),
            },
        }
    }

    /// Waits beside everything else, since the system knows no bound for this; here for a while.
    fn wait(file: File) -> io::Result<Self> {
        let same = file.try_clone()?;
        let (tell, told) = channel();
        let work = move || {
            let answer = Flock::lock(same, FlockArg::LockExclusive).map_err(|(_, errno)| errno);
            // Where nobody is told any more the lock ends here.
            drop(tell.send(answer));
        };
        thread::Builder::new().name("log-lock".into()).spawn(work)?;
        match told.recv_timeout(LOG_LOCK_PATIENCE) {
            Ok(answer) => Ok(Self::Ours(answer?)),
            Err(RecvTimeoutError::Timeout) => Ok(Self::Refused(file, told)),
            Err(RecvTimeoutError::Disconnected) => Err(Errno::EIO.into()),
        }
    }

    /// Lets it go, where it is ours.
    ///
    /// # Errors
    ///
    /// The system's.
    pub(super) fn release(self) -> io::Result<Self> {
        match self {
            Self::Ours(locked) => Ok(Self::Free(locked.unlock().map_err(|(_, errno)| errno)?)),
            Self::Free(_) | Self::Refused(..) => Ok(self),
        }
    }
}
