//! How long to wait before trying again.

use std::time::Duration;

use crate::env::{Random, SystemRandom};

const SHORTEST: Duration = Duration::from_millis(100);
/// A Redis that is back is used again after so long at the latest.
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles with every failure. Half of each wait is random, so that nodes that failed together do
/// not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure.
    pub(super) fn next(&mut self) -> Duration {
        let whole = SHORTEST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0; 4];
        SystemRandom::default().fill(&mut random);
        let share = f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX);
        whole / 2 + (whole / 2).mul_f64(share)
    }

    /// It works again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_differ() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.next()).collect();
        assert!((SHORTEST / 2..=SHORTEST).contains(&waits[0]));
        assert!(waits[20..].iter().all(|wait| (LONGEST / 2..=LONGEST).contains(wait)));
        assert_ne!(waits[30..35], waits[35..]);
        backoff.reset();
        assert!(backoff.next() <= SHORTEST);
    }
}
