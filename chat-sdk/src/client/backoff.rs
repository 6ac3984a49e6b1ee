//! How long to wait before coming back (PROTOCOL.md, section 5). Full jitter: clients that lost the
//! same server do not come back in step.

use std::time::Duration;

use super::ClientLimits;
use crate::protocol::Remedy;

/// Below this many doublings (16 s) a server that asked for room would not get it.
const SLOWLY_FROM: u32 = 5;

/// Random numbers from a seed (SplitMix64): enough to spread clients, and nothing that must be
/// unpredictable.
#[derive(Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero to below this.
    pub(super) fn below(&mut self, ceiling: Duration) -> Duration {
        let fraction = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ceiling.mul_f64(fraction)
    }
}

/// The wait after so many failures.
pub(super) fn wait(
    dice: &mut Dice,
    limits: &ClientLimits,
    failures: u32,
    remedy: Remedy,
) -> Duration {
    let doublings = match remedy {
        Remedy::Slowly => failures.max(SLOWLY_FROM),
        Remedy::AtOnce => failures.saturating_sub(1),
        Remedy::Resume | Remedy::Renew | Remedy::SignIn | Remedy::Update | Remedy::Stop => failures,
    };
    let ceiling = limits.backoff_base.saturating_mul(1 << doublings.min(16));
    dice.below(ceiling.min(limits.backoff_max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_spread_from_nothing_to_the_ceiling_of_the_attempt() {
        let (mut dice, limits) = (Dice(7), ClientLimits::default());
        for (failures, remedy, ceiling_ms) in [
            (1, Remedy::Resume, 1_000),
            (1, Remedy::AtOnce, 500),
            (3, Remedy::Resume, 4_000),
            (1, Remedy::Slowly, 16_000),
            (40, Remedy::Resume, 20_000),
        ] {
            let ceiling = Duration::from_millis(ceiling_ms);
            let waits: Vec<_> =
                (0..200).map(|_| wait(&mut dice, &limits, failures, remedy)).collect();
            assert!(waits.iter().all(|wait| *wait < ceiling), "{failures} {remedy:?}");
            assert!(waits.iter().any(|wait| *wait > ceiling / 2), "{failures} {remedy:?}");
            assert!(waits.iter().any(|wait| *wait < ceiling / 2), "{failures} {remedy:?}");
        }
    }
}
