//! Group commit: how many writes share a transaction.
//!
//! Whatever waits when a transaction ends is the next one. How much that is depends on how long it
//! takes, which depends on how much it is: so it is played, not calculated.

use super::{costs, dice::Dice, machines::COMMIT_WRITES_MAX};

const TRANSACTIONS: usize = 20_000;

/// The mean writes of a transaction of one lane, to which writes come at this rate.
pub(crate) fn writes_of_a_transaction(rate: f64, dice: &mut Dice) -> f64 {
    played(rate, costs::FLUSH_S, costs::PG_WRITE_US / 1e6, dice)
}

fn played(rate: f64, flush: f64, each: f64, dice: &mut Dice) -> f64 {
    if rate <= 0.0 {
        return 1.0;
    }
    let (mut free_at, mut next, mut writes) = (0.0_f64, 0.0_f64, 0_usize);
    for _ in 0..TRANSACTIONS {
        let begins = free_at.max(next);
        let mut batch = 0;
        while next <= begins && batch < COMMIT_WRITES_MAX {
            batch += 1;
            next += dice.exponential(rate);
        }
        writes += batch;
        free_at = begins + flush + each * batch as f64;
    }
    writes as f64 / TRANSACTIONS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_came_during_the_last() {
        // Hardly ever two at once: 1 a second, 1 ms each.
        let lonely = played(1.0, 0.001, 0.0, &mut Dice(1));
        assert!((lonely - 1.0).abs() < 0.01, "{lonely}");
        // Busy all the time: 10,000 a second during 10 ms are 100.
        let busy = played(10_000.0, 0.01, 0.0, &mut Dice(1));
        assert!((busy - 100.0).abs() < 2.0, "{busy}");
        // With b = rate · (flush + each · b): 1,000 · 0.01 / (1 − 1,000 · 0.0005) = 20.
        let longer = played(1_000.0, 0.01, 0.0005, &mut Dice(1));
        assert!((longer - 20.0).abs() < 1.0, "{longer}");
        // More than can be: full ones.
        assert_eq!(played(1e6, 0.01, 0.0, &mut Dice(1)).round(), 256.0);
    }
}
