//! The simple methods that forecasts are held against.

use rust_decimal::prelude::ToPrimitive;

use crate::domain::forecast::{CostSeries, PROBABILITIES};

/// Past sums without which the last week again has no interval.
const FEWEST: usize = 8;
/// Every so many days one of them begins,
const STRIDE: usize = 3;
/// over so many days back.
const REACH: usize = 250;

/// A month's end with its distribution, as it is scored.
pub(super) struct Said {
    /// Probabilities with amounts.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) interval_80: [f64; 2],
    pub(super) interval_95: [f64; 2],
}

/// What the days from one index to another and the charges on them cost.
fn cost(series: &CostSeries, from: usize, to: usize) -> f64 {
    let days = series.days.get(from..to).unwrap_or_default();
    let days: f64 = days.iter().filter_map(|day| day.amount?.to_f64()).sum();
    let (first, last) = (series.date(from), series.date(to));
    let charges = series.charges.iter().filter(|held| first <= held.day && held.day < last);
    days + charges.filter_map(|charge| charge.amount.to_f64()).sum::<f64>()
}

/// The month so far over its days times its length.
pub(super) fn run_rate(series: &CostSeries, start: usize, end: usize, length: f64) -> Option<f64> {
    (end > start).then(|| cost(series, start, end) / (end - start) as f64 * length)
}

/// The week before an index again, for so many days.
fn again(series: &CostSeries, end: usize, days: usize) -> Option<f64> {
    let week = end.checked_sub(7)?;
    Some(cost(series, week, end) * (days / 7) as f64 + cost(series, week, week + days % 7))
}

fn days_left(start: usize, end: usize, length: f64) -> usize {
    (start as f64 + length - end as f64).max(0.0) as usize
}

/// The month so far and the last week again for the days that are left.
pub(super) fn seasonal_naive(
    series: &CostSeries,
    start: usize,
    end: usize,
    length: f64,
) -> Option<f64> {
    let rest = again(series, end, days_left(start, end, length))?;
    Some(cost(series, start, end.max(start)) + rest)
}

/// The same with an interval: split conformal (Vovk, Gammerman and Shafer 2005) on the absolute
/// errors of past sums over as many days, the `ceil((n + 1) c)`-th of `n` for a central level `c`.
pub(super) fn around_seasonal_naive(
    series: &CostSeries,
    start: usize,
    end: usize,
    length: f64,
) -> Option<Said> {
    let middle = seasonal_naive(series, start, end, length)?;
    let left = days_left(start, end, length);
    let newest = end.checked_sub(left)?;
    let origins = (newest.saturating_sub(REACH).max(7)..=newest).rev().step_by(STRIDE);
    let error = |at: usize| Some((cost(series, at, at + left) - again(series, at, left)?).abs());
    let mut errors: Vec<f64> = origins.filter_map(error).collect();
    if errors.len() < FEWEST {
        return None;
    }
    errors.sort_unstable_by(f64::total_cmp);
    let half = |central: f64| {
        let rank = ((errors.len() + 1) as f64 * central).ceil() as usize;
        let held = rank.clamp(1, errors.len()) - 1;
        errors.get(held).copied().filter(|_| rank > 0).unwrap_or(0.0)
    };
    let at = |probability: f64| {
        let half = half((2.0 * probability - 1.0).abs());
        if probability < 0.5 { middle - half } else { middle + half }
    };
    Some(Said {
        quantiles: PROBABILITIES.map(|probability| (probability, at(probability))).to_vec(),
        interval_80: [at(0.1), at(0.9)],
        interval_95: [at(0.025), at(0.975)],
    })
}
