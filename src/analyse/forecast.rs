//! Where a month will end: what is booked, plus the days that are left as a distribution, plus the
//! charges that come on their day. Statistics run in f64; what is booked stays exact.

pub mod learned;
pub mod level;
pub mod line;
pub mod lumps;
pub mod outlook;
pub mod statistics;

mod band;
mod nowcast;
mod path;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use crate::analyse::forecast::learned::Learned;
use crate::analyse::forecast::lumps::Mark;
use crate::analyse::forecast::nowcast::Nowcast;
use crate::analyse::forecast::outlook::{Choice, Outlook};
use crate::domain::breakdown::ChargeCategory;
use crate::domain::forecast::{
    CostDay, CostSeries, ExpectedCharge, Forecast, ForecastError, ForecastInputs, ForecastMethod,
    KnownCharge, PROBABILITIES, Quantile, days_between,
};
use crate::domain::period::BillingPeriod;

/// Complete days without which a level is a guess.
const FEWEST_DAYS: usize = 3;
/// Below so many days the cost of the known fleet counts beside them.
const PRIOR_UNTIL: usize = 7;
/// How many days that cost counts for.
const PRIOR_WEIGHT: f64 = 3.0;
/// How many days before a month the newest complete day may lie: fewer than any month has, since over a
/// month of which nothing is known a level tells little.
const OLDEST: usize = 27;
/// Significant digits of an estimated amount.
const DIGITS: u32 = 9;

/// What is known besides the series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aid {
    /// What a day of the known fleet costs: its GPUs.
    pub fleet_per_day: Option<Decimal>,
    /// What the GPUs of the series cost on each day by telemetry, billed or not.
    pub gpu_days: BTreeMap<Date, Decimal>,
}

/// A month's end, to be asked.
#[derive(Debug, Clone)]
pub struct MonthEnd<'a> {
    period: BillingPeriod,
    series: &'a CostSeries,
    /// Where the month's first day lies among the series' days; may be past their end.
    start: usize,
    /// The index of the newest complete day.
    newest: usize,
    /// Days after the newest complete one, up to the month's end.
    ahead: usize,
    /// Days between the newest complete one and the month.
    between: usize,
    learned: Cow<'a, Learned>,
    choice: Choice,
    outlook: Outlook,
    /// The complete days and the known charges of the month, exact.
    exact: Decimal,
    /// The same and the provisional days.
    booked: Decimal,
    /// What is expected of the month's days before the newest complete one that have no figure.
    gaps: f64,
    /// How far that may be off.
    gap_sigma: f64,
    nowcast: Option<Nowcast>,
    expected: Vec<Due>,
    prior: bool,
    /// Whether the sum may fall: money was given before, or is known to come.
    may_fall: bool,
}

/// A charge that is expected.
#[derive(Debug, Clone, Copy)]
struct Due {
    day: Date,
    amount: f64,
    sigma: f64,
    category: Option<ChargeCategory>,
}

/// Looks at where a month will end, from the complete days of a series in and before it.
///
/// The end is `B + G + C + S(h)`: the complete days and known charges `B`, what is expected of days
/// that are missing among them `G`, charges due on their day of the month `C`, and the sum of the
/// `h` days that are left `S(h)`, a distribution ([`Outlook`]).
///
/// # Errors
/// [`ForecastError`] without enough complete days, or with none near the month.
pub fn month_end<'a>(
    series: &'a CostSeries,
    period: BillingPeriod,
    aid: &Aid,
) -> Result<MonthEnd<'a>, ForecastError> {
    let newest = newest_in(series, period)?;
    let learned = Learned::read(series.first, &figures(series, newest));
    build(series, Cow::Owned(learned), newest, period, aid)
}

/// The same with what was learned before: for callers that keep it and push one day at a time. It
/// must hold the series' days up to the newest complete one in or before the month.
///
/// # Errors
/// As [`month_end`].
pub fn month_end_of<'a>(
    series: &'a CostSeries,
    learned: &'a Learned,
    period: BillingPeriod,
    aid: &Aid,
) -> Result<MonthEnd<'a>, ForecastError> {
    let newest = newest_in(series, period)?;
    build(series, Cow::Borrowed(learned), newest, period, aid)
}

/// The figures of a series' complete days up to an index; not a number for every other day.
pub fn figures(series: &CostSeries, newest: usize) -> Vec<f64> {
    let figure = |day: &CostDay| match day.amount {
        Some(amount) if day.complete => amount.to_f64().unwrap_or(f64::NAN),
        _ => f64::NAN,
    };
    series.days.iter().take(newest + 1).map(figure).collect()
}

/// The index of the newest complete day in or before a month.
fn newest_in(series: &CostSeries, period: BillingPeriod) -> Result<usize, ForecastError> {
    let nothing = ForecastError::NothingBefore(period);
    let end = days_between(series.first, period.end_day()).filter(|end| *end > 0).ok_or(nothing)?;
    let read = series.days.get(..end).unwrap_or(&series.days);
    let newest =
        read.iter().rposition(|day| day.complete && day.amount.is_some()).ok_or(nothing)?;
    let start = days_between(series.first, period.first_day()).unwrap_or(0);
    if start > newest + 1 + OLDEST {
        return Err(ForecastError::TooOld { period, newest: series.date(newest) });
    }
    Ok(newest)
}

fn build<'a>(
    series: &'a CostSeries,
    learned: Cow<'a, Learned>,
    newest: usize,
    period: BillingPeriod,
    aid: &Aid,
) -> Result<MonthEnd<'a>, ForecastError> {
    if learned.days() < FEWEST_DAYS && aid.fleet_per_day.is_none() {
        return Err(ForecastError::TooShort(learned.days()));
    }
    let end = days_between(series.first, period.end_day()).unwrap_or(0);
    let ahead = end.saturating_sub(newest + 1);
    // A series that begins in mid-month has its first day as the month's start.
    let start = days_between(series.first, period.first_day()).unwrap_or(0);
    let choice = Choice::of(&learned, ahead.max(1));
    let overflow = ForecastError::Overflow(period);
    let last = period.end_day();
    let mut found = MonthEnd {
        period,
        series,
        start,
        newest,
        ahead,
        between: start.saturating_sub(newest + 1),
        outlook: Outlook::ahead(&learned, &choice, ahead),
        learned,
        choice,
        exact: exact_sum(series, period, last, |complete| complete).ok_or(overflow)?,
        booked: exact_sum(series, period, last, |_| true).ok_or(overflow)?,
        gaps: 0.0,
        gap_sigma: 0.0,
        nowcast: None,
        expected: Vec::new(),
        prior: false,
        may_fall: false,
    };
    found.fill_gaps();
    found.take_fleet(aid);
    if !found.prior && found.ahead > 0 {
        found.nowcast = Nowcast::of(&found.learned, &found.choice, &aid.gpu_days);
    }
    found.expected = found.due_charges();
    found.outlook.further_sigma = found.further_sigma(last);
    found.may_fall = found.may_fall();
    Ok(found)
}

/// The exact sum of a month's days that count, and of its known charges, before a day.
fn exact_sum(
    series: &CostSeries,
    period: BillingPeriod,
    before: Date,
    counts: impl Fn(bool) -> bool,
) -> Option<Decimal> {
    let start = days_between(series.first, period.first_day()).unwrap_or(0);
    let end = days_between(series.first, before).unwrap_or(0).min(series.days.len());
    let days = series.days.get(start..end).unwrap_or_default().iter();
    let amounts = days.filter(|day| counts(day.complete)).filter_map(|day| day.amount);
    let is_in = |charge: &&KnownCharge| period.contains(charge.day) && charge.day < before;
    let charges = series.charges.iter().filter(is_in).map(|charge| charge.amount);
    amounts.chain(charges).try_fold(Decimal::ZERO, Decimal::checked_add)
}

impl MonthEnd<'_> {
    /// The index in [`Learned`] of an index of the series: it lets days go that are too old.
    fn learned_at(&self, at: usize) -> Option<usize> {
        (at + self.learned.len()).checked_sub(self.newest + 1)
    }

    fn fill_gaps(&mut self) {
        if self.learned.gaps == 0 {
            return;
        }
        let days = (self.start..=self.newest).filter_map(|at| self.learned_at(at));
        let missing = days.filter(|at| self.learned.is_gap(*at));
        let filled: Vec<f64> = missing.map(|at| self.learned.value(at)).collect();
        self.gaps = filled.iter().sum();
        let sigma = self.learned.level().relative_sigma().max(0.05);
        self.gap_sigma = sigma * filled.iter().map(|gap| gap.abs()).sum::<f64>();
    }

    /// The sigma, besides that of the days, of what is expected before a day.
    fn further_sigma(&self, before: Date) -> f64 {
        let due = self.expected.iter().filter(|due| due.day < before);
        let variance: f64 = due.map(|due| due.sigma * due.sigma).sum();
        self.gap_sigma.hypot(variance.sqrt())
    }

    /// Fewer days than a week: their level and what the fleet costs a day, weighed by days. The
    /// fleet is GPUs; what days cost besides is the median of what they did.
    fn take_fleet(&mut self, aid: &Aid) {
        let days = self.learned.days();
        let Some(per_day) = aid.fleet_per_day.and_then(|amount| amount.to_f64()) else { return };
        if days >= PRIOR_UNTIL || self.ahead == 0 {
            return;
        }
        let besides = |at: usize| {
            let gpus = aid.gpu_days.get(&self.learned.date(at))?.to_f64()?;
            Some((self.learned.value(at) - gpus).max(0.0))
        };
        let known = (0..self.learned.len()).filter(|at| !self.learned.is_gap(*at));
        let besides: Vec<f64> = known.clone().filter_map(besides).collect();
        let besides = if besides.is_empty() {
            // The GPUs of those days are not known: a day costs no less than it did.
            let own = statistics::median::<PRIOR_UNTIL>(known.map(|at| self.learned.value(at)));
            (own - per_day).max(0.0)
        } else {
            statistics::median::<PRIOR_UNTIL>(besides.into_iter())
        };
        let own = days as f64 / (days as f64 + PRIOR_WEIGHT);
        let fleet = (per_day + besides) * self.ahead as f64;
        self.outlook.recentre(own * self.outlook.middle + (1.0 - own) * fleet);
        self.prior = true;
    }

    /// What is expected of the days between the newest complete one and the month.
    fn before(&self) -> f64 {
        if self.prior {
            return self.outlook.middle * self.between as f64 / self.ahead as f64;
        }
        self.choice.combine(&self.learned.ahead(self.between))
    }

    /// By how much the days that a nowcast tells move what is expected of so many days.
    fn moved_by_nowcast(&self, steps: usize) -> f64 {
        let Some(nowcast) = &self.nowcast else { return 0.0 };
        let moved =
            |days| nowcast.sum(&self.choice, days) - self.choice.combine(&self.learned.ahead(days));
        moved(steps) - moved(self.between)
    }

    /// Charges due on the days that are left: those that days of the month gave away, on gaps too,
    /// and known ones that came in the months before and are not booked yet.
    fn due_charges(&self) -> Vec<Due> {
        let left = self.newest + 1 + self.between..self.newest + 1 + self.ahead;
        let left: Vec<Date> = left.map(|at| self.series.date(at)).collect();
        let gaps = (self.start..=self.newest)
            .filter(|at| self.learned_at(*at).is_some_and(|at| self.learned.is_gap(at)));
        let open: Vec<Date> =
            gaps.map(|at| self.series.date(at)).chain(left.iter().copied()).collect();
        let mut due = Vec::new();
        let mut add = |lump: &lumps::Lump, days: &[Date], category| {
            let on = days.iter().filter(|day| lump.is_due(**day));
            due.extend(on.map(|day| Due {
                day: *day,
                amount: lump.amount,
                sigma: lump.sigma,
                category,
            }));
        };
        for lump in self.learned.lumps() {
            add(lump, &open, None);
        }
        for category in ChargeCategory::ALL {
            let of = || self.series.charges.iter().filter(|held| held.category == category);
            let marks: Vec<Mark> = of().filter_map(|charge| self.mark(charge)).collect();
            let lumps = lumps::find(&marks, self.series.first, self.newest + 1);
            let booked = || of().filter(|charge| self.period.contains(charge.day));
            let of_its_day = |day: Date| lumps.iter().any(|lump| lump.is_due(day));
            for lump in &lumps {
                // A charge on another one's day is that one, however alike.
                let is_booked = booked().any(|charge| match of_its_day(charge.day) {
                    true => lump.is_due(charge.day),
                    false => charge.amount.to_f64().is_some_and(|amount| lump.is_alike(amount)),
                });
                if !is_booked {
                    add(lump, &left, Some(category));
                }
            }
        }
        due
    }

    fn mark(&self, charge: &KnownCharge) -> Option<Mark> {
        let at = days_between(self.series.first, charge.day)?;
        Some(Mark { at, excess: charge.amount.to_f64()? })
    }

    fn may_fall(&self) -> bool {
        self.learned.any_negative
            || self.expected.iter().any(|due| due.amount < 0.0)
            || self.series.charges.iter().any(|charge| charge.amount.is_sign_negative())
    }

    /// Whether the period is over and every day of it is complete.
    fn is_actual(&self) -> bool {
        let first = self.learned_at(self.start);
        let whole = self.series.first <= self.period.first_day();
        self.ahead == 0 && self.gaps == 0.0 && whole && first.is_some() && self.exact == self.booked
    }

    fn expected_sum(&self, before: Date) -> f64 {
        self.expected.iter().filter(|due| due.day < before).map(|due| due.amount).sum()
    }

    /// The month's end at a probability; never below what is booked, unless the sum may fall.
    fn quantile(&self, probability: f64) -> Option<Decimal> {
        self.end().quantile(probability)
    }

    /// The month's end as a document.
    ///
    /// # Errors
    /// [`ForecastError::Overflow`] where an amount has more than 28 digits.
    pub fn forecast(&self) -> Result<Forecast, ForecastError> {
        let end = self.end();
        let overflow = ForecastError::Overflow(self.period);
        let at = |probability| end.quantile(probability).ok_or(overflow);
        let quantiles = PROBABILITIES
            .into_iter()
            .map(|probability| Ok(Quantile { probability, amount: at(probability)? }))
            .collect::<Result<_, _>>()?;
        Ok(Forecast {
            period: self.period,
            currency: self.series.currency,
            method: self.method(),
            booked: self.booked,
            made_from: self.series.date(self.newest),
            days_left: self.ahead - self.between,
            quantiles,
            interval_80: [at(0.1)?, at(0.9)?],
            interval_95: [at(0.025)?, at(0.975)?],
            used: self.inputs(),
        })
    }

    fn method(&self) -> ForecastMethod {
        match (self.is_actual(), self.prior) {
            (true, _) => ForecastMethod::Actual,
            (false, true) => ForecastMethod::Prior,
            (false, false) => self.choice.method,
        }
    }

    fn inputs(&self) -> ForecastInputs {
        let expected = |due: &Due| {
            let amount = estimated(due.amount)?;
            Some(ExpectedCharge { day: due.day, amount, category: due.category })
        };
        ForecastInputs {
            days: self.learned.days(),
            gaps: self.learned.gaps,
            past_forecasts: self.outlook.past_forecasts(),
            past_error: self.outlook.past_error(),
            shifted_on: self.learned.newest_shift().map(|at| self.learned.date(at)),
            expected_charges: self.expected.iter().filter_map(expected).collect(),
            nowcast_days: self.nowcast.as_ref().map_or(0, Nowcast::days).min(self.ahead),
            prior: self.prior,
        }
    }
}

/// An estimate as an amount of nine significant digits. None past 28 digits.
pub fn estimated(amount: f64) -> Option<Decimal> {
    let magnitude = amount.abs().log10().floor();
    let decimals = f64::from(DIGITS) - 1.0 - magnitude;
    if (0.0..=18.0).contains(&decimals) {
        let digits = (amount * 10_f64.powi(decimals as i32)).round();
        return Some(Decimal::new(digits as i64, decimals as u32).normalize());
    }
    Decimal::from_f64(amount)?.round_sf(DIGITS)
}

#[cfg(test)]
mod tests;
