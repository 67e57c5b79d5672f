//! Time in which this process did not run, and its servers most likely neither: all of it was stopped, frozen or starved.
//!
//! A server that had no time to answer is not late: what was to come by now is waited for a little longer.

use crate::core::Time;
use crate::limits::{STANDSTILL, STANDSTILL_GRACE};
use std::time::Duration;

/// Whether we stood still a moment ago.
#[derive(Default)]
pub(super) struct Standstill {
    /// Until then no deadline has passed.
    until: Option<Time>,
}

impl Standstill {
    /// A wait that `began` and was to end at `by` at the latest has ended `now`. Tells for how long we stood still, if we did. Not
    /// twice before a deadline has passed: where the machine has no time at all they pass late, but they pass.
    pub(super) fn woke(&mut self, began: Time, by: Option<Time>, now: Time) -> Option<Duration> {
        // Who had much to do begins to wait late.
        let late = now - by?.max(began);
        if late < STANDSTILL || self.until.is_some() {
            return None;
        }
        self.until = Some(now + STANDSTILL_GRACE);
        Some(late)
    }

    /// When this deadline passes.
    pub(super) fn put_off(&self, deadline: Time) -> Time {
        self.until.map_or(deadline, |until| deadline.max(until))
    }

    /// A deadline has passed.
    pub(super) fn ends(&mut self) {
        self.until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_put_off_once_after_a_standstill() {
        let at = |ms| Time { ms };
        let mut standstill = Standstill::default();
        assert_eq!(standstill.woke(at(0), None, at(5_000)), None);
        assert_eq!(standstill.woke(at(0), Some(at(1_000)), at(1_999)), None);
        assert_eq!(standstill.put_off(at(1_000)), at(1_000));
        assert_eq!(standstill.woke(at(6_500), Some(at(1_000)), at(7_000)), None, "it had much to do");
        assert_eq!(standstill.woke(at(0), Some(at(1_000)), at(7_000)), Some(Duration::from_secs(6)));
        assert_eq!(standstill.put_off(at(1_000)), at(7_000) + STANDSTILL_GRACE);
        assert_eq!(standstill.put_off(at(70_000)), at(70_000));
        assert_eq!(standstill.woke(at(0), Some(at(8_000)), at(60_000)), None, "it ends");
        standstill.ends();
        assert_eq!(standstill.put_off(at(9_000)), at(9_000));
    }
}
