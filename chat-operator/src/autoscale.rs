//! Scaling by connections, for Kubernetes clusters without a metrics adapter. Pure: fed with times
//! and counts.

use std::{collections::VecDeque, time::Duration};

/// Up only above so much of the target, so that a handful of clients does not start a server.
const TOLERANCE: f64 = 1.1;

/// What is known of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Connections of the servers that answered.
    pub connections: u64,
    /// How many did.
    pub answered: i32,
    /// How many there are that should have.
    pub servers: i32,
}

/// The bounds, and what a server should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least so many servers.
    pub min: i32,
    /// At most so many.
    pub max: i32,
    /// Connections of a server.
    pub per_server: u32,
}

/// What one cluster's autoscaler remembers: what was wanted lately, because it goes down only when
/// fewer would have done for a while.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// When, and how many. Bounded by the window and one entry a second.
    wanted: VecDeque<(Duration, i32)>,
    since: Option<Duration>,
}

impl Memory {
    /// How many servers there should be. `window`: how long fewer must have been enough.
    pub fn recommend(
        &mut self,
        now: Duration,
        window: Duration,
        current: i32,
        load: Load,
        bounds: Bounds,
    ) -> i32 {
        let within = current.clamp(bounds.min, bounds.max);
        if load.answered < load.servers || load.servers == 0 {
            // Whoever does not answer may be full: nothing is known that would allow fewer.
            self.wanted.clear();
            self.since = None;
            return within;
        }
        let target = u64::from(bounds.per_server.max(1));
        let mut wanted = i32::try_from(load.connections.div_ceil(target)).unwrap_or(i32::MAX);
        let ratio = load.connections as f64 / (target as f64 * f64::from(within.max(1)));
        if wanted > within && ratio <= TOLERANCE {
            wanted = within;
        }
        let wanted = wanted.clamp(bounds.min, bounds.max);
        let since = *self.since.get_or_insert(now);
        while self.wanted.front().is_some_and(|(at, _)| now.saturating_sub(*at) > window) {
            self.wanted.pop_front();
        }
        match self.wanted.back_mut() {
            Some((at, last)) if now.saturating_sub(*at) < Duration::from_secs(1) => {
                *last = wanted.max(*last);
            }
            Some(_) | None => self.wanted.push_back((now, wanted)),
        }
        if wanted >= within {
            return wanted;
        }
        if now.saturating_sub(since) < window {
            return within;
        }
        let most = self.wanted.iter().map(|(_, wanted)| *wanted).max().unwrap_or(within);
        most.clamp(wanted, within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);
    const BOUNDS: Bounds = Bounds { min: 2, max: 10, per_server: 100 };

    fn load(connections: u64, servers: i32) -> Load {
        Load { connections, answered: servers, servers }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn up_at_once_and_down_after_a_while_to_the_most_that_was_wanted() {
        let mut memory = Memory::default();
        let mut ask = |seconds, current, connections| {
            memory.recommend(at(seconds), WINDOW, current, load(connections, current), BOUNDS)
        };
        assert_eq!(ask(0, 2, 600), 6);
        assert_eq!(ask(15, 6, 600), 6);
        assert_eq!(ask(30, 6, 350), 6, "fewer would do, but only since a moment");
        assert_eq!(ask(200, 6, 450), 6);
        assert_eq!(ask(320, 6, 350), 5, "the most of the last five minutes, not the last");
        assert_eq!(ask(510, 5, 100), 4);
        assert_eq!(ask(600, 4, 100), 4, "4 were wanted 280 s ago");
        assert_eq!(ask(630, 4, 100), 2);
    }

    #[test]
    fn a_handful_more_starts_no_server() {
        let mut memory = Memory::default();
        assert_eq!(memory.recommend(at(0), WINDOW, 5, load(505, 5), BOUNDS), 5);
        assert_eq!(memory.recommend(at(15), WINDOW, 5, load(560, 5), BOUNDS), 6);
    }

    #[test]
    fn what_is_not_known_takes_nothing_away_but_bounds_hold() {
        let mut memory = Memory::default();
        let deaf = Load { connections: 0, answered: 4, servers: 5 };
        for seconds in [0, 200, 400, 600] {
            assert_eq!(memory.recommend(at(seconds), WINDOW, 5, deaf, BOUNDS), 5);
        }
        assert_eq!(memory.recommend(at(601), WINDOW, 1, deaf, BOUNDS), 2);
        assert_eq!(memory.recommend(at(602), WINDOW, 20, deaf, BOUNDS), 10);
        // What was seen before the silence counts no more: it takes a whole window again.
        assert_eq!(memory.recommend(at(610), WINDOW, 5, load(0, 5), BOUNDS), 5);
        assert_eq!(memory.recommend(at(909), WINDOW, 5, load(0, 5), BOUNDS), 5);
        assert_eq!(memory.recommend(at(911), WINDOW, 5, load(0, 5), BOUNDS), 2);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut memory = Memory::default();
        for tenth in 0..100_000_u64 {
            let now = Duration::from_millis(tenth * 100);
            memory.recommend(now, WINDOW, 5, load(500, 5), BOUNDS);
        }
        assert!(memory.wanted.len() <= 302, "{}", memory.wanted.len());
    }
}
