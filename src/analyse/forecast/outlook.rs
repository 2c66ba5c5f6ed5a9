//! The sum of the next days as a distribution: candidates weighted by their past errors, and an
//! interval from the errors of that same combination over as many days.

use crate::analyse::forecast::learned::{CANDIDATES, Learned, STRIDE};
use crate::analyse::forecast::statistics::{normal_quantile, student_over_normal};
use crate::domain::forecast::ForecastMethod;

/// Past forecasts without which nothing is chosen and no interval is read off.
const FEWEST: usize = 8;
/// The power of a candidate's past error in its weight: twice the error, 1/65536 of the weight.
const POWER: i32 = 16;
/// The share of the weight from which one candidate gives its name.
const NAMES_IT: f64 = 0.6;
/// Errors are told relative to a forecast, and one near zero relative to this share of a usual sum.
const SMALL: f64 = 0.05;

/// How much each candidate counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The weights; they sum to 1.
    pub weights: [f64; CANDIDATES],
    /// The name of the outcome.
    pub method: ForecastMethod,
}

impl Choice {
    /// The rule where nothing can be scored: the median weekday level and slow smoothing.
    pub fn by_rule() -> Self {
        let mut weights = [0.0; CANDIDATES];
        weights[0] = 0.5;
        weights[2] = 0.5;
        Self { weights, method: ForecastMethod::ShortHistory }
    }

    /// Weighs the candidates by a rolling-origin backtest on the series' own past.
    ///
    /// The score of a candidate is the sum over 1, 7 and `horizon` days of its mean absolute error
    /// on sums of so many days, over the mean of all candidates'. Its weight is the score to the
    /// power -16: nearly a choice, and no jump where two are as good (after Bates and Granger 1969,
    /// weights by inverse error).
    pub fn of(learned: &Learned, horizon: usize) -> Self {
        if learned.past(horizon).take(FEWEST).count() < FEWEST {
            return Self::by_rule();
        }
        let mut scores = [0.0; CANDIDATES];
        for steps in [1, 7, horizon] {
            let mut errors = [0.0; CANDIDATES];
            for (at, origin) in learned.past(steps) {
                let actual = learned.sum(at + 1, steps);
                let said = learned.candidates(at, origin, steps);
                for (error, said) in errors.iter_mut().zip(said) {
                    *error += (actual - said).abs();
                }
            }
            let mean = errors.iter().sum::<f64>() / CANDIDATES as f64;
            for (score, error) in scores.iter_mut().zip(errors) {
                *score += if mean > 0.0 { error / mean } else { 1.0 };
            }
        }
        let least = scores.iter().copied().fold(f64::INFINITY, f64::min).max(1e-9);
        let mut weights = scores.map(|score| (least / score.max(least)).powi(POWER));
        let sum: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        let heaviest = weights.iter().zip(ForecastMethod::CANDIDATES);
        let named = heaviest.max_by(|(one, _), (other, _)| one.total_cmp(other));
        let method = match named {
            Some((weight, method)) if *weight > NAMES_IT => method,
            _ => ForecastMethod::Combination,
        };
        Self { weights, method }
    }

    /// The weighted sum of what the candidates say.
    pub fn combine(&self, said: &[f64; CANDIDATES]) -> f64 {
        self.weights.iter().zip(said).map(|(weight, said)| weight * said).sum()
    }
}

/// The sum of the next days.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// The median.
    pub middle: f64,
    /// How many days it sums.
    pub horizon: usize,
    /// Absolute errors of past forecasts over as many days relative to what they said, ascending.
    errors: Vec<f64>,
    /// What an error of 1 is in money.
    unit: f64,
    /// The relative error to assume where there are too few past ones.
    assumed: f64,
    /// A further sigma in money: of charges whose amount is not sure.
    pub further_sigma: f64,
}

impl Outlook {
    /// Looks so many days ahead with a choice that was made for the whole horizon.
    pub fn ahead(learned: &Learned, choice: &Choice, horizon: usize) -> Self {
        let small = SMALL * learned.size() * horizon as f64;
        let unit_of = |said: f64| said.abs().max(small);
        let middle = choice.combine(&learned.ahead(horizon));
        let mut errors: Vec<f64> = learned
            .past(horizon)
            .map(|(at, origin)| {
                let said = choice.combine(&learned.candidates(at, origin, horizon));
                let unit = unit_of(said);
                if unit > 0.0 { (learned.sum(at + 1, horizon) - said).abs() / unit } else { 0.0 }
            })
            .collect();
        errors.sort_unstable_by(f64::total_cmp);
        if errors.len() < FEWEST {
            errors.clear();
        }
        // Without a record the errors of days are taken as wholly alike: their sum is as wrong, in
        // relation, as one day.
        let least = if learned.days() < 14 { 0.15 } else { 0.05 };
        let assumed = learned.level().relative_sigma().clamp(least, 1.0);
        Self { middle, horizon, errors, unit: unit_of(middle), assumed, further_sigma: 0.0 }
    }

    /// Moves the median to an amount that another measure gives; the interval widens with it.
    pub fn recentre(&mut self, middle: f64) {
        self.unit = self.unit.max(middle.abs());
        self.middle = middle;
    }

    /// How many past forecasts the interval comes from.
    pub fn past_forecasts(&self) -> usize {
        self.errors.len()
    }

    /// The mean absolute relative error of those.
    pub fn past_error(&self) -> Option<f64> {
        let count = self.errors.len();
        (count > 0).then(|| self.errors.iter().sum::<f64>() / count as f64)
    }

    /// The amount that the sum stays under with a probability.
    ///
    /// Split conformal (Vovk, Gammerman and Shafer 2005; Lei et al. 2018): half of the central
    /// interval of level `c` is the `ceil((n + 1) c)`-th of the `n` absolute relative errors of
    /// sums over as many days. Sums that overlap are not independent, so the half width is
    /// multiplied by Student's t over the normal quantile for as many degrees of freedom as the
    /// scored days hold separate sums. Never falls as the probability grows.
    pub fn quantile(&self, probability: f64) -> f64 {
        if self.horizon == 0 {
            return self.middle;
        }
        let central = (2.0 * probability - 1.0).abs().min(1.0);
        let normal = normal_quantile(0.5 + central / 2.0);
        let count = self.errors.len();
        let half = if count == 0 {
            normal * self.assumed * student_over_normal(normal, 4.0)
        } else {
            let rank = ((count + 1) as f64 * central).ceil() as usize;
            let separate = (count * STRIDE) as f64 / self.horizon as f64;
            let error = self.errors.get(rank.clamp(1, count) - 1).copied().unwrap_or(0.0);
            let error = if rank == 0 { 0.0 } else { error };
            error * student_over_normal(normal, separate.max(2.0))
        };
        let half = (half * self.unit).hypot(normal * self.further_sigma);
        if probability < 0.5 { self.middle - half } else { self.middle + half }
    }
}
