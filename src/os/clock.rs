//! The one place that reads a clock.

use crate::core::Time;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The time now, on `CLOCK_MONOTONIC`.
pub(super) fn now() -> Time {
    let spec = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has CLOCK_MONOTONIC");
    let seconds = u64::try_from(spec.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(spec.tv_nsec()).unwrap_or(0);
    Time { ms: seconds * 1000 + nanos / 1_000_000 }
}

/// The same clock in microseconds, as `RELOADING=1` needs it: rounded down to milliseconds, it would seem to be from
/// before the request.
pub(super) fn microseconds() -> Duration {
    clock_gettime(ClockId::CLOCK_MONOTONIC).expect("every Linux has CLOCK_MONOTONIC").into()
}

/// Since the machine was started, as the kernel counts for the starts of processes.
pub(super) fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has CLOCK_BOOTTIME").into()
}

/// The time of day, for people.
#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(super) fn wall() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
