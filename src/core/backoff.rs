//! How long a crashed service waits before it comes back.

use crate::plan::Policy;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Counts crashes in a row.
///
/// Only a life of `healthy_after` wipes them out, never readiness: a server that dies right after it said
/// `ready` would else restart at full speed for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Records the end of a run that lived for `lived` and gives the pause before the next: none at first,
    /// then `restart_delay`, doubling up to `restart_delay_max`.
    pub(super) fn fail(&mut self, lived: Duration, policy: &Policy) -> Duration {
        if lived >= policy.healthy_after {
            self.failures = 0;
        }
        let doublings = self.failures.checked_sub(1);
        self.failures = self.failures.saturating_add(1);
        doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            policy.restart_delay.saturating_mul(factor).min(policy.restart_delay_max)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy {
            restart_delay: Duration::from_millis(200),
            restart_delay_max: Duration::from_secs(1),
            healthy_after: Duration::from_secs(10),
            ..Policy::default()
        }
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_pauses_then_double_until_the_limit() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(9);
        let pauses: Vec<u128> = (0..6).map(|_| backoff.fail(short, &policy()).as_millis()).collect();
        assert_eq!(pauses, [0, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn a_healthy_life_wipes_the_crashes_out() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.fail(Duration::ZERO, &policy());
        }
        assert_eq!(backoff.fail(Duration::from_secs(10), &policy()), Duration::ZERO);
        assert_eq!(backoff.fail(Duration::ZERO, &policy()), Duration::from_millis(200));
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut backoff = Backoff::default();
        let last = (0..1_000).map(|_| backoff.fail(Duration::ZERO, &policy())).last();
        assert_eq!(last, Some(Duration::from_secs(1)));
    }
}
