//! What a node takes from the machine besides sockets: the time of day and randomness.
//!
//! Both can be replaced, so that a whole node runs in a simulation from a seed. Elapsed time is
//! tokio's, which a simulation controls already.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SecureRandom;

use crate::model::Timestamp;

/// The time of day.
pub trait Clock: Send + Sync + 'static {
    /// Now. May jump: order and time-outs never depend on it.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Unpredictable bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's randomness.
#[derive(Debug, Clone)]
pub struct SystemRandom(ring::rand::SystemRandom);

impl Default for SystemRandom {
    fn default() -> Self {
        Self(ring::rand::SystemRandom::new())
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the operating system gives randomness");
    }
}
