//! ^C while a command waits. The command says what becomes of what was ordered, and then ends by the signal, as the
//! shell that started it expects.

use super::client::Connection;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The signals that end a command, caught while it waits.
pub(super) struct Interrupts(SignalDelivery<UnixStream, SignalOnly>);

impl Interrupts {
    /// Catches them from now on. One that is ignored stays so: a shell means it, for what runs in the background.
    pub(super) fn catch() -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        let ignored = ignored();
        let signals = [SIGINT, SIGTERM].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        Ok(Self(SignalDelivery::with_pipe(reader, writer, SignalOnly, signals)?))
    }

    /// Waits until the supervisor says something, a signal arrives, or `patience` is over. Gives the signal.
    pub(super) fn wait(&mut self, connection: &Connection, patience: Option<Duration>) -> Option<i32> {
        if !connection.has_line() {
            let mut awaited = [
                PollFd::new(connection.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.0.get_read().as_fd(), PollFlags::POLLIN),
            ];
            // Rounded up: a wait that ends early would begin anew.
            let patience = patience.map(|patience| patience + Duration::from_millis(1));
            let patience = patience.map_or(PollTimeout::NONE, |patience| {
                PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX)
            });
            // What is wrong with the connection shows when it is read; a signal, right below.
            let _ = poll(&mut awaited, patience);
        }
        self.0.pending().next()
    }

    /// Ends this process by that signal.
    pub(super) fn end_by(signal: i32) {
        // Fails for no signal that was caught.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
}

/// The signals that this process was started with ignored; bit n-1 is signal n.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
