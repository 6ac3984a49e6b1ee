//! Random numbers from a seed, and the few distributions that are drawn from.

/// SplitMix64: the same each time, and good enough to place people.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From zero to below one.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From zero to below this, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// How many of so many happen, each with this probability.
    pub(crate) fn binomial(&mut self, of: u32, probability: f64) -> u32 {
        (0..of).map(|_| u32::from(self.fraction() < probability)).sum()
    }

    /// The time until the next of events that come at this rate.
    pub(crate) fn exponential(&mut self, rate: f64) -> f64 {
        -(1.0 - self.fraction()).ln() / rate
    }
}

/// A heavy tail between two bounds, of which a part as large as this fraction lies below what is
/// returned: the chance to be above x falls as x to this power.
pub(crate) fn pareto(below: f64, from: f64, to: f64, power: f64) -> f64 {
    let tail = (from / to).powf(power);
    from * (1.0 - below * (1.0 - tail)).powf(-1.0 / power)
}

/// The mean of [`pareto`].
pub(crate) fn pareto_mean(from: f64, to: f64, power: f64) -> f64 {
    let scale = power * from.powf(power) / (1.0 - (from / to).powf(power));
    scale / (1.0 - power) * (to.powf(1.0 - power) - from.powf(1.0 - power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draws_have_the_means_that_are_calculated() {
        let mut dice = Dice(7);
        let n = 100_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / n as f64;
        let drawn = mean(&mut || pareto(dice.fraction(), 200.0, 10_000.0, 1.5));
        // By hand: 1.5 · 200^1.5 / (1 − 0.02^1.5) · (200^−0.5 − 10,000^−0.5) / 0.5.
        assert!((pareto_mean(200.0, 10_000.0, 1.5) - 516.6).abs() < 0.1);
        assert!((drawn / 516.6 - 1.0).abs() < 0.03, "{drawn}");
        let drawn = mean(&mut || dice.exponential(4.0));
        assert!((drawn * 4.0 - 1.0).abs() < 0.02, "{drawn}");
        let drawn = mean(&mut || f64::from(dice.binomial(10, 0.25)));
        assert!((drawn / 2.5 - 1.0).abs() < 0.02, "{drawn}");
        let drawn = mean(&mut || dice.below(3) as f64);
        assert!((drawn - 1.0).abs() < 0.02, "{drawn}");
    }
}
