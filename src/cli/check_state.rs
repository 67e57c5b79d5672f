//! `--check-state=FD,FD`: what a supervisor asks of the program that it is to become.

use crate::exit::ExitCode;
use crate::os::{Left, answer_check};
use crate::run;
use std::os::fd::RawFd;

/// Says into the second descriptor whether this program can go on from the snapshot in the first one.
pub fn check_state((state, answer): (RawFd, RawFd)) -> ExitCode {
    let Ok(mut left) = Left::take(state) else { return ExitCode::Failed };
    let Ok(answer) = left.claim(answer) else { return ExitCode::Failed };
    let found = run::check_state(&left);
    let fit = found.is_ok();
    match answer_check(answer, found) {
        Ok(()) if fit => ExitCode::Ok,
        Ok(()) | Err(_) => ExitCode::Failed,
    }
}
