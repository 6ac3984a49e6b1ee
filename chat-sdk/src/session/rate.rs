//! A token bucket: so many at once, so many a second over time.

use std::time::Duration;

/// Millionths of a token: fine enough that no rate rounds to nothing, coarse enough for years.
const TOKEN: u64 = 1_000_000;

/// A bucket of tokens that fills by the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    tokens: u64,
    filled: Duration,
    per_second: u32,
    burst: u32,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(now: Duration, per_second: u32, burst: u32) -> Self {
        Self { tokens: burst as u64 * TOKEN, filled: now, per_second, burst }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.filled).as_micros() as u64;
        // One token a second is one millionth a microsecond.
        let earned = passed.saturating_mul(u64::from(self.per_second));
        self.tokens = self.tokens.saturating_add(earned).min(u64::from(self.burst) * TOKEN);
        self.filled = self.filled.max(now);
    }

    /// Takes one token.
    ///
    /// # Errors
    /// When there is none: the time until there is.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        if self.tokens >= TOKEN {
            self.tokens -= TOKEN;
            return Ok(());
        }
        let missing = TOKEN - self.tokens;
        Err(Duration::from_micros(missing.div_ceil(u64::from(self.per_second.max(1)))))
    }

    /// Puts back one that was taken for nothing.
    pub fn put_back(&mut self) {
        self.tokens = (self.tokens + TOKEN).min(u64::from(self.burst) * TOKEN);
    }

    /// Whether nothing has been taken lately: a bucket like this need not be kept.
    #[must_use]
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens == u64::from(self.burst) * TOKEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::new(Duration::ZERO, 2, 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(Duration::ZERO), Ok(()));
        }
        let wait = bucket.take(Duration::ZERO).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        assert_eq!(bucket.take(wait), Ok(()));
        assert!(bucket.take(wait).is_err());
        assert!(bucket.is_full(Duration::from_secs(10)));
    }

    #[test]
    fn what_is_put_back_is_there_again_and_no_more_than_there_was() {
        let mut bucket = Bucket::new(Duration::ZERO, 1, 1);
        bucket.put_back();
        assert_eq!(bucket.take(Duration::ZERO), Ok(()));
        assert!(bucket.take(Duration::ZERO).is_err());
        bucket.put_back();
        assert_eq!(bucket.take(Duration::ZERO), Ok(()));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(Duration::from_secs(9), 1, 1);
        assert_eq!(bucket.take(Duration::from_secs(9)), Ok(()));
        assert!(bucket.take(Duration::from_secs(3)).is_err());
    }
}
