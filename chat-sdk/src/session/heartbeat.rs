//! When a connection was last heard of.

use std::time::Duration;

/// The server's side of the heartbeat.
#[derive(Debug)]
pub(super) struct Heartbeat {
    heard: Duration,
    pinged: Duration,
    interval: Duration,
    silence_max: Duration,
}

impl Heartbeat {
    pub(super) const fn new(now: Duration, interval: Duration, silence_max: Duration) -> Self {
        Self { heard: now, pinged: now, interval, silence_max }
    }

    pub(super) const fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    /// When to look again; earlier if it is us who ping.
    pub(super) fn deadline(&self, pings: bool) -> Duration {
        let silent = self.heard + self.silence_max;
        if pings { silent.min(self.heard.max(self.pinged) + self.interval) } else { silent }
    }

    pub(super) fn is_silent(&self, now: Duration) -> bool {
        now >= self.heard + self.silence_max
    }

    /// Whether it is time for a ping of ours; counts it as sent.
    pub(super) fn wants_ping(&mut self, now: Duration) -> bool {
        let due = now >= self.heard.max(self.pinged) + self.interval;
        if due {
            self.pinged = now;
        }
        due
    }
}
