//! Scales with few good ticks.

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

/// A linear scale from a round amount to a round amount.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::web) struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale that holds all of the amounts and nothing, with about so many steps.
    pub(in crate::web) fn over(amounts: impl IntoIterator<Item = f64>, steps: f64) -> Self {
        let amounts = amounts.into_iter().filter(|amount| amount.is_finite());
        let (low, high) = amounts
            .fold((0.0_f64, 0.0_f64), |(low, high), amount| (low.min(amount), high.max(amount)));
        let high = if high > low { high } else { low + 1.0 };
        let step = good((high - low) / steps);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// Where an amount lies, 0 to 1.
    pub(in crate::web) fn share(&self, amount: f64) -> f64 {
        ((amount - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The amounts that are marked, ascending, and each one's place.
    pub(in crate::web) fn ticks(&self) -> Vec<(Decimal, f64)> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        let tick = |index: usize| {
            let amount = self.low + self.step * index as f64;
            Some((Decimal::from_f64(amount)?.round_sf(12)?, self.share(amount)))
        };
        (0..=count).filter_map(tick).collect()
    }
}

/// The next larger of 1, 2, 2.5 and 5 times a power of ten.
fn good(step: f64) -> f64 {
    let power = 10.0_f64.powf(step.log10().floor());
    let found = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999);
    found.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(amounts: &[f64]) -> Vec<String> {
        let scale = Scale::over(amounts.iter().copied(), 4.0);
        scale.ticks().into_iter().map(|(amount, _)| amount.normalize().to_string()).collect()
    }

    #[test]
    fn ticks_are_few_and_round_and_hold_all_amounts() {
        assert_eq!(ticks(&[104_200.0]), ["0", "50000", "100000", "150000"]);
        assert_eq!(ticks(&[0.09]), ["0", "0.025", "0.05", "0.075", "0.1"]);
        assert_eq!(ticks(&[-30.0, 90.0]), ["-50", "0", "50", "100"]);
        assert_eq!(ticks(&[]), ["0", "0.25", "0.5", "0.75", "1"]);
        // The fifth would be more than a decimal holds.
        assert_eq!(ticks(&[7.9e28]).len(), 4);
    }
}
