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

/// CPU that a process and its children used so far, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    own_cpu_seconds(pid) + children.map(cpu_seconds).sum::<f64>()
}

fn own_cpu_seconds(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    let Some((_, numbers)) = stat.rsplit_once(") ") else { return 0.0 };
    // User and system time of the process and of its dead children, in ticks of 10 ms.
    let ticks = numbers.split(' ').skip(11).take(4).filter_map(|it| it.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
