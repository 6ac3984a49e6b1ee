//! How often something may be tried, for each of a bounded number of keys. Fed with the time.

use std::{
    collections::HashMap,
    hash::Hash,
    mem,
    time::{Duration, Instant},
};

/// A token bucket a key, kept as the one time at which it will be full again (the generic cell rate
/// algorithm).
///
/// It never holds more than `keys_max` of them: when half of that were seen, those that were not
/// seen since the last such moment are forgotten. Whoever wants to be forgotten has to come from
/// that many other keys first.
pub(super) struct Throttle<K> {
    /// Between two tries in the long run.
    interval: Duration,
    /// Tries at once after a pause.
    burst: u32,
    keys_max: usize,
    recent: HashMap<K, Instant>,
    older: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Throttle<K> {
    pub(super) fn new(interval: Duration, burst: u32, keys_max: usize) -> Self {
        Self { interval, burst, keys_max, recent: HashMap::new(), older: HashMap::new() }
    }

    /// Counts a try, or says after how long there may be one.
    pub(super) fn admit(&mut self, now: Instant, key: K) -> Result<(), Duration> {
        let full_at = self.full_at(now, &key);
        let next = full_at + self.interval;
        let wait = next.saturating_duration_since(now + self.interval * self.burst);
        if wait.is_zero() {
            self.remember(key, next);
            Ok(())
        } else {
            self.remember(key, full_at);
            Err(wait)
        }
    }

    /// Takes a counted try back.
    pub(super) fn refund(&mut self, key: &K) {
        if let Some(full_at) = self.recent.get_mut(key).or_else(|| self.older.get_mut(key)) {
            *full_at = full_at.checked_sub(self.interval).unwrap_or(*full_at);
        }
    }

    fn full_at(&mut self, now: Instant, key: &K) -> Instant {
        let known = self.recent.remove(key).or_else(|| self.older.remove(key));
        known.map_or(now, |full_at| full_at.max(now))
    }

    fn remember(&mut self, key: K, full_at: Instant) {
        if self.recent.len() >= self.keys_max / 2 {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(key, full_at);
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        self.recent.len() + self.older.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_let_through_and_then_one_an_interval() {
        let start = Instant::now();
        let mut throttle = Throttle::new(SECOND, 3, 100);
        for _ in 0..3 {
            assert_eq!(throttle.admit(start, "a"), Ok(()));
        }
        assert_eq!(throttle.admit(start, "a"), Err(SECOND));
        // Being refused costs nothing.
        assert_eq!(throttle.admit(start + SECOND / 2, "a"), Err(SECOND / 2));
        assert_eq!(throttle.admit(start, "b"), Ok(()), "keys do not share");
        assert_eq!(throttle.admit(start + SECOND, "a"), Ok(()));
        assert_eq!(throttle.admit(start + SECOND, "a"), Err(SECOND));
        // After a long pause a burst again, and not more.
        let later = start + 1000 * SECOND;
        for _ in 0..3 {
            assert_eq!(throttle.admit(later, "a"), Ok(()));
        }
        assert_eq!(throttle.admit(later, "a"), Err(SECOND));
    }

    #[test]
    fn a_refund_allows_one_more() {
        let now = Instant::now();
        let mut throttle = Throttle::new(SECOND, 1, 100);
        assert_eq!(throttle.admit(now, "a"), Ok(()));
        throttle.refund(&"a");
        throttle.refund(&"nobody");
        assert_eq!(throttle.admit(now, "a"), Ok(()));
        assert_eq!(throttle.admit(now, "a"), Err(SECOND));
    }

    #[test]
    fn a_million_keys_take_a_bounded_room_and_the_recent_ones_stay() {
        let now = Instant::now();
        let mut throttle = Throttle::new(SECOND, 1, 1000);
        for key in 0..1_000_000_u32 {
            assert_eq!(throttle.admit(now, key), Ok(()));
            assert!(throttle.keys() <= 1000);
        }
        for key in 999_700..1_000_000 {
            assert_eq!(throttle.admit(now, key), Err(SECOND));
        }
    }
}
