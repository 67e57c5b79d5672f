//! Signals to the supervisor: letters in a queue, translated once.
//!
//! The kernel merges equal signals that are not taken yet, so ten quick SIGUSR1 may be one restart; two
//! different ones are never merged. One that arrives while others are taken makes the pipe readable again.

use crate::core::Request;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

/// What a signal means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// Somebody wants something.
    Request(Request),
    /// Some children ended; a hint, not a count: 200 exits may be one.
    ChildEnded,
    /// A signal that means nothing here, and that would have ended us.
    Stray(i32),
}

/// The installed handlers and their queue.
pub(super) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    waiting: SignalFd,
}

impl Signals {
    /// SIGXFSZ is taken, and means nothing: a log file that reached its limit is then a write that fails.
    const TAKEN: [i32; 8] = [SIGUSR1, SIGUSR2, SIGXFSZ, SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGCHLD];

    /// Has signals wait in a descriptor: SIGCHLD would interrupt nearly each system call in a stop of everything, and a handler,
    /// its pipe and one more turn of the loop would be on the way of each restart. What is taken has a handler all the same, for processes with
    /// another thread that does not block it: without one SIGCHLD would be dropped there, and the others would end us. Those
    /// that mean nothing have none: that needs no step in a child. What the parent may have blocked beside them is let in.
    pub(super) fn install() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(reader, writer, SignalOnly, Self::TAKEN)?;
        blocked().thread_set_mask()?;
        let waiting = SignalFd::with_flags(&blocked(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { delivery, waiting })
    }

    /// Readable while a signal waits, for [`take_waiting`](Self::take_waiting).
    pub(super) fn waiting(&self) -> &SignalFd {
        &self.waiting
    }

    /// The next of those. Nothing is there where a handler took it.
    pub(super) fn take_waiting(&self) -> Option<Letter> {
        let signal = self.waiting.read_signal().ok()??.ssi_signo.cast_signed();
        Some(letter(signal).unwrap_or(Letter::Stray(signal)))
    }

    /// What arrived since the last call, without blocking.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Letter> + use<> {
        self.delivery.pending().filter_map(letter)
    }
}

/// What one of those that are [taken](Signals::TAKEN) means, if anything.
fn letter(signal: i32) -> Option<Letter> {
    match signal {
        SIGUSR1 => Some(Letter::Request(Request::Restart)),
        SIGUSR2 => Some(Letter::Request(Request::Upgrade)),
        SIGHUP => Some(Letter::Request(Request::Reload)),
        SIGTERM | SIGINT => Some(Letter::Request(Request::Stop)),
        SIGQUIT => Some(Letter::Request(Request::StopNow)),
        SIGCHLD => Some(Letter::ChildEnded),
        _ => None,
    }
}

impl AsFd for Signals {
    /// Readable while something waits to be taken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.delivery.get_read().as_fd()
    }
}

/// The signals that wait in the descriptor: all that mean something here, and those that would end us and have another sense
/// elsewhere, and real-time signals, which have what others make of them. Here these are a mistake, or a timer or a limit
/// that was inherited, and no reason to end. What tells of a fault of ours is not among them: then the servers serve on,
/// and the next supervisor takes them over. SIGXFSZ is left to its handler: it comes of a write of ours, and means nothing.
fn blocked() -> SigSet {
    use Signal::{
        SIGABRT, SIGBUS, SIGCONT, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGTSTP, SIGTTIN,
        SIGTTOU, SIGURG, SIGWINCH, SIGXFSZ,
    };
    let faults = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP];
    let harmless = [SIGCONT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH];
    let mut blocked = SigSet::all();
    for signal in faults.into_iter().chain(harmless).chain([SIGXFSZ]) {
        blocked.remove(signal);
    }
    blocked
}

/// Keeps all signals waiting in the kernel; gives what was kept so far.
pub(super) fn hold() -> Option<SigSet> {
    SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK).ok()
}

/// Lets them in again.
pub(super) fn let_in(before: Option<SigSet>) {
    // Fails for no mask that the kernel gave itself.
    let _ = before.unwrap_or_else(blocked).thread_set_mask();
}
