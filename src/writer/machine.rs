//! The logs of the machine: the journal of systemd, and syslog.

use super::label::Label;
use crate::plan::Stream;
use libsystemd::logging::{Priority, journal_send};
use std::io;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// The journal, in its native protocol.
pub(super) struct Journal;

impl Journal {
    /// Sends one line; the service is its identifier.
    #[expect(clippy::unused_self, reason = "the crate keeps the socket")]
    pub(super) fn send(&self, label: &Label, line: &str) -> io::Result<()> {
        let priority = match label.stream {
            Stream::Stdout => Priority::Info,
            Stream::Stderr => Priority::Warning,
        };
        let pid = label.pid.to_string();
        let fields = [
            ("SYSLOG_IDENTIFIER", label.service.as_str()),
            ("SYSLOG_PID", &pid),
            (
                "BOOTSTRAP_STREAM",
                match label.stream {
                    Stream::Stdout => "stdout",
                    Stream::Stderr => "stderr",
                },
            ),
        ];
        // The crate begins each of its reasons, and the reasons of those, with its own name.
        let unsent = |error: libsystemd::errors::SdError| error.to_string().replace("libsystemd error: ", "");
        journal_send(priority, line, fields.into_iter()).map_err(|error| io::Error::other(unsent(error)))
    }
}

/// Syslog, over the socket of the machine. It is connected to anew where it was restarted.
#[derive(Default)]
pub(super) struct Syslog(Option<Logger<LoggerBackend, Formatter3164>>);

impl Syslog {
    /// Sends one line; the service is its tag.
    pub(super) fn send(&mut self, label: &Label, line: &str) -> io::Result<()> {
        let unsent = |error: syslog::Error| io::Error::other(format!("syslog: {error}"));
        let mut logger = match self.0.take() {
            Some(logger) => logger,
            None => syslog::unix(Formatter3164::default()).map_err(unsent)?,
        };
        logger.formatter = Formatter3164 {
            facility: Facility::LOG_DAEMON,
            hostname: None,
            process: label.service.as_str().into(),
            pid: label.pid.0.unsigned_abs(),
        };
        match label.stream {
            Stream::Stdout => logger.info(line),
            Stream::Stderr => logger.warning(line),
        }
        .map_err(unsent)?;
        self.0 = Some(logger);
        Ok(())
    }
}
