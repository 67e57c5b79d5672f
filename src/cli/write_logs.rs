//! `--write-logs=FD`: what a supervisor starts to have the logs of its services written.

use super::LogFormat;
use super::answer::complain;
use super::run::shape;
use crate::core::{Fact, LogFact, Report};
use crate::exit::ExitCode;
use crate::os::claim_granted;
use crate::{run, writer};
use std::os::fd::RawFd;

/// Writes logs until nobody writes to its pipes any more.
pub fn write_logs(socket: RawFd, format: LogFormat) -> ExitCode {
    let last =
        move |bytes| run::line(&Report::of_supervisor(Fact::Logs(LogFact::GivenUp { bytes })), shape(format));
    let written = claim_granted(&[socket]);
    let written = written
        .and_then(|mut granted| granted.pop().map_or(Ok(()), |socket| writer::run(socket, Box::new(last))));
    match written {
        Ok(()) => ExitCode::Ok,
        Err(error) => {
            complain(&format!("cannot write logs: {error}"));
            ExitCode::Failed
        }
    }
}
