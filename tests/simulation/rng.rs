//! Our own generator, so that a seed means the same story after any update of a dependency.

use std::ops::Range;
use std::time::Duration;

/// `SplitMix64` (Steele, Lea, Flood 2014), and before it what a fuzzer has chosen.
pub(crate) struct Rng {
    /// Choices of somebody else, until there are no more. The next one is the last.
    chosen: Vec<u8>,
    state: u64,
}

impl Rng {
    #[allow(dead_code, reason = "a fuzzer seeds nothing")]
    pub(crate) fn new(seed: u64) -> Self {
        Self { chosen: Vec::new(), state: seed }
    }

    /// Takes its first choices from these bytes: one byte for each, or as many as it needs, so that another byte is
    /// another choice and nothing else.
    #[allow(dead_code, reason = "only a fuzzer has bytes")]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { chosen: bytes.iter().rev().copied().collect(), state: 0 }
    }

    /// Has the fuzzer more choices?
    #[allow(dead_code, reason = "only a fuzzer has bytes")]
    pub(crate) fn is_told(&self) -> bool {
        !self.chosen.is_empty()
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if self.chosen.is_empty() {
            return self.next() % limit;
        }
        let (mut choice, mut range) = (0, 1_u64);
        while range < limit {
            choice = choice << 8 | u64::from(self.chosen.pop().unwrap_or(0));
            range = range.saturating_mul(256);
        }
        choice % limit
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("an index")]
    }

    pub(crate) fn ms(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }

    /// A duration out of one of these ranges, in milliseconds.
    pub(crate) fn ms_of(&mut self, ranges: &[(u64, u64)]) -> Duration {
        let (start, end) = self.pick(ranges);
        self.ms(start..end)
    }
}
