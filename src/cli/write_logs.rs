//! `--write-logs=FD`: what a supervisor starts to have the logs of its services written.

use super::answer::complain;
use crate::exit::ExitCode;
use crate::os::claim_granted;
use crate::writer;
use std::os::fd::RawFd;

/// Writes logs until nobody writes to its pipes any more.
pub fn write_logs(socket: RawFd) -> ExitCode {
    let written = claim_granted(&[socket]).and_then(|mut granted| granted.pop().map_or(Ok(()), writer::run));
    match written {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            complain(&format!("cannot write logs: {error}"));
            ExitCode::Failed
        }
    }
}
