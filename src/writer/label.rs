//! Whose a line is, and what it begins with because of that.

use crate::os::Os;
use crate::plan::{Keeping, Outlet, Pid, ServiceName, Stream};
use crate::protocol::logs::LogPipe;

/// Whose lines they are.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) service: ServiceName,
    pub(super) pid: Pid,
    pub(super) stream: Stream,
}

impl Label {
    pub(super) fn of(pipe: &LogPipe) -> Self {
        Self { service: pipe.service.clone(), pid: pipe.pid, stream: pipe.stream }
    }
}

/// What each line of a pipe begins with.
pub(super) fn stamp(pipe: &LogPipe) -> String {
    stamp_of(&pipe.outlet, pipe.keeping, &Label::of(pipe))
}

/// What each line of an outlet begins with.
pub(super) fn stamp_of(outlet: &Outlet, keeping: Keeping, label: &Label) -> String {
    if outlet.file().is_none() || !keeping.timestamps {
        return String::new();
    }
    let Label { service, pid, .. } = label;
    format!("{} {service} pid={pid} ", humantime::format_rfc3339_millis(Os::wall_clock()))
}
