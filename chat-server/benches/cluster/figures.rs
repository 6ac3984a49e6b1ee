//! Samples and what is said of them.

use std::time::Duration;

/// Delays.
#[derive(Debug, Default, Clone)]
pub(crate) struct Delays(Vec<u64>);

impl Delays {
    pub(crate) fn add(&mut self, delay: Duration) {
        self.0.push(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    pub(crate) fn at(&mut self, part: f64) -> f64 {
        self.0.sort_unstable();
        let place = (self.0.len() as f64 * part) as usize;
        self.0
            .get(place.min(self.0.len().saturating_sub(1)))
            .map_or(f64::NAN, |us| *us as f64 / 1e3)
    }

    pub(crate) fn say(&mut self) -> String {
        format!(
            "{:.1} ms median, {:.1} ms p99, {:.1} ms worst",
            self.at(0.5),
            self.at(0.99),
            self.at(1.0)
        )
    }
}
