//! The end as PID 1: the kernel kills whoever is left, without a word to him. He is asked before, as an init does it.

use super::processes::command;
use super::scribe::wait_readable;
use super::signals::Letter;
use super::{Os, children, clock, sight};
use crate::core::{Fact, Leftover, Request};
use crate::limits::{LAST_PATIENCE, LEFTOVERS_NAMED, LOG_WRITER_LAST_WAIT};
use crate::plan::Pid;
use nix::sys::signal::{Signal, kill};

impl Os {
    /// Who is left now that all services have stopped, such as a daemon that has left the group of its service. Nothing where
    /// nobody is, or where we are not PID 1: then they live on. The log writer is nobody's.
    pub fn left_to_pid_1(&self) -> Option<Fact> {
        if std::process::id() != 1 || !children::are_there() {
            return None;
        }
        let mut pids = sight::children(1).unwrap_or_default();
        let is_writer = |pid| self.logs.writer.as_ref().is_some_and(|writer| writer.is(pid));
        pids.retain(|pid| !is_writer(*pid) && !children::is_ending(*pid));
        let named = pids.iter().take(LEFTOVERS_NAMED);
        let first = named.map(|&pid| Leftover { pid: Pid(pid), command: command(pid) }).collect();
        (!pids.is_empty()).then_some(Fact::LeftToPid1 { first, all: pids.len(), patience: LAST_PATIENCE })
    }

    /// Asks them to end, if there are any, and waits until they have; no longer than [`LAST_PATIENCE`], or than somebody wants
    /// to wait. A log writer that has more to write is waited for longer, and was told that it is not meant.
    pub fn end_the_rest(&mut self) {
        if std::process::id() != 1 || !children::are_there() {
            return;
        }
        // Where it fails nobody is left.
        let _ = kill(nix::unistd::Pid::from_raw(-1), Signal::SIGTERM);
        let begin = clock::now();
        let mut writer = self.logs.writer.as_ref().filter(|writer| writer.is_unfinished());
        loop {
            // Before the look at who has ended: one that ends after it is told by a letter that nobody has taken.
            while let Some(letter) = self.signals.take_waiting() {
                if matches!(letter, Letter::Request(Request::Stop | Request::StopNow)) {
                    return;
                }
            }
            while let Some(pid) = children::ended() {
                children::reap(pid);
                writer = writer.filter(|writer| !writer.is(pid));
            }
            let patience = if writer.is_some() { LOG_WRITER_LAST_WAIT } else { LAST_PATIENCE };
            let left = begin + patience - clock::now();
            if !children::are_there() || left.is_zero() {
                return;
            }
            wait_readable(self.signals.waiting(), left);
        }
    }
}
