//! Time as a value.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on `CLOCK_MONOTONIC`, in whole milliseconds.
///
/// Not `std::time::Instant`: this one can be written in a test, printed, and carried across the
/// supervisor's own `exec`, since the kernel clock behind it does not start over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Milliseconds since the machine started.
    pub ms: u64,
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates: a deadline past the end of time never comes.
    fn add(self, rhs: Duration) -> Self {
        let ms = u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX);
        Self { ms: self.ms.saturating_add(ms) }
    }
}

impl Sub for Time {
    type Output = Duration;

    /// Time from `rhs` to `self`; zero where `rhs` is the later one.
    fn sub(self, rhs: Self) -> Duration {
        Duration::from_millis(self.ms.saturating_sub(rhs.ms))
    }
}
