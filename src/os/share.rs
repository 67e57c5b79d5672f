//! The share of the time that clients of the control socket have while other things are to be done.

use crate::core::Time;
use crate::limits::{CONTROL_CREDIT, CONTROL_PAUSE, CONTROL_SHARE};

/// When a client is listened to although other things are to be done.
pub(super) struct Share {
    /// Not before this.
    from: Time,
    /// When all else will have had its part for the answers that were given.
    even: Time,
    /// Since when a client is being answered.
    answering: Option<Time>,
}

impl Share {
    pub(super) fn new(now: Time) -> Self {
        Self { from: now, even: now, answering: None }
    }

    /// Is it their turn? Then it is not again for a while.
    pub(super) fn comes(&mut self, now: Time) -> bool {
        let comes = self.from <= now;
        if comes {
            self.from = now + CONTROL_PAUSE;
        }
        comes
    }

    /// Other things have just come, and go first.
    pub(super) fn waits(&mut self, now: Time) {
        self.from = self.from.max(now + CONTROL_PAUSE);
    }

    /// One of them is being answered, while other things wait for that. Where none do it costs nobody anything.
    pub(super) fn begins(&mut self, now: Time) {
        self.answering = Some(now);
    }

    /// The answer was given, if one was: how long the next has to wait.
    pub(super) fn ends(&mut self, now: impl FnOnce() -> Time) {
        if let Some(since) = self.answering.take() {
            let now = now();
            self.even = self.even.max(since) + (now - since) * (1 + CONTROL_SHARE);
            self.from = now + (self.even - now).saturating_sub(CONTROL_CREDIT).max(CONTROL_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// When the answers to clients begin that ask without end, each of which takes so long, while all else has no end either.
    fn begun(count: usize, took: Duration) -> Vec<u64> {
        let mut now = Time { ms: 1_000_000 };
        let first = now;
        let mut share = Share::new(now);
        let mut begun = Vec::new();
        while begun.len() < count {
            if share.comes(now) {
                begun.push((now - first).as_millis().try_into().unwrap());
                share.begins(now);
                now = now + took;
                share.ends(|| now);
            }
            now = now + Duration::from_millis(1);
        }
        begun
    }

    #[test]
    fn a_few_are_answered_soon_and_one_who_asks_without_end_has_a_fifth_of_the_time() {
        let begun = begun(200, Duration::from_millis(20));
        let pause = u64::try_from(CONTROL_PAUSE.as_millis()).unwrap();
        assert!(begun[..10].windows(2).all(|two| two[1] - two[0] == 20 + pause), "{begun:?}");
        assert!(begun[100..].windows(2).all(|two| (100..=101).contains(&(two[1] - two[0]))), "{begun:?}");
    }

    #[test]
    fn an_answer_that_takes_longer_than_the_credit_is_made_up_for() {
        let begun = begun(3, Duration::from_secs(1));
        assert!(begun[1] >= 4000 && begun[2] - begun[1] >= 5000, "{begun:?}");
    }

    #[test]
    fn what_has_just_come_goes_first_and_no_answer_no_pause() {
        let now = Time { ms: 7000 };
        let mut share = Share::new(now);
        share.waits(now);
        assert!(!share.comes(now) && share.comes(now + CONTROL_PAUSE));
        share.ends(|| panic!("nobody was answered"));
        assert!(!share.comes(now + CONTROL_PAUSE), "not twice in a pause");
    }
}
