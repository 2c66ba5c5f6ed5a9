//! Scores forecasts on months that are over: each is made again from the days that were complete
//! then, and held against what the month came to.

mod simple;

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use self::simple::{Said, around_seasonal_naive, run_rate, seasonal_naive};
use crate::analyse::forecast::{Aid, month_end};
use crate::domain::backtest::{Backtest, DayScore, SCORED_DAYS, ScoredMethod, Scores};
use crate::domain::forecast::{CostSeries, Forecast, days_between};
use crate::domain::period::BillingPeriod;

/// Days of history before a month that is scored.
const WARM: usize = 28;

/// What one method's forecasts on one day of the month came to.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    forecasts: usize,
    actual: f64,
    error: f64,
    /// The sum of pinball losses, and the actuals and months that they belong to.
    pinball: f64,
    banded: f64,
    intervals: usize,
    inside_80: usize,
    inside_95: usize,
}

type Tallies = BTreeMap<(ScoredMethod, u8), Tally>;

/// A series to be scored.
#[derive(Debug, Clone)]
pub struct Scored {
    /// What it is called.
    pub name: String,
    /// Its days.
    pub series: CostSeries,
    /// How many days before the day of a forecast the newest complete one lies.
    pub lag_days: usize,
}

/// Scores series on every month of theirs that is complete, from four weeks after their first day:
/// on days 3, 7, 15 and 22, with the days up to its lag before. Series without such a month have
/// no scores.
///
/// WAPE is `sum |forecast - actual| / sum |actual|` of month totals. Pinball loss at probability
/// `p` is `max(p e, (p - 1) e)` for `e = actual - quantile` (Koenker and Bassett 1978), in the mean
/// over the seven quantiles. The run-rate is the month so far over its days times its length and has
/// none; the last week again has an interval where the history holds eight sums of so many days.
pub fn backtest(series: &[Scored]) -> Backtest {
    let mut overall = Tallies::new();
    let mut months = 0;
    let scores = series
        .iter()
        .map(|Scored { name, series, lag_days }| {
            let mut tallies = Tallies::new();
            let mut scored = 0;
            for period in whole_months(series) {
                scored += usize::from(score_month(series, period, *lag_days, &mut tallies));
            }
            months += scored;
            for (key, tally) in &tallies {
                overall.entry(*key).or_default().add(tally);
            }
            Scores {
                series: Some(name.clone()),
                lag_days: Some(*lag_days),
                months: scored,
                scores: told(&tallies),
            }
        })
        .collect();
    let overall = Scores { series: None, lag_days: None, months, scores: told(&overall) };
    Backtest { series: scores, overall }
}

/// The months of which every day is complete, four weeks or more after the first day.
fn whole_months(series: &CostSeries) -> Vec<BillingPeriod> {
    let mut found = Vec::new();
    let Some(newest) = series.newest_complete() else { return found };
    let last = BillingPeriod::containing(series.date(newest));
    let mut period = BillingPeriod::containing(series.date(WARM));
    while period <= last {
        let start = days_between(series.first, period.first_day()).filter(|at| *at >= WARM);
        let end = days_between(series.first, period.end_day());
        let days = start.zip(end).and_then(|(start, end)| series.days.get(start..end));
        if days.is_some_and(|days| days.iter().all(|day| day.complete && day.amount.is_some())) {
            found.push(period);
        }
        period = period.next();
    }
    found
}

fn score_month(
    series: &CostSeries,
    period: BillingPeriod,
    lag_days: usize,
    tallies: &mut Tallies,
) -> bool {
    let Ok(whole) = month_end(series, period, &Aid::default()).and_then(|end| end.forecast())
    else {
        return false;
    };
    let (Some(actual), Some(start)) =
        (whole.booked.to_f64(), days_between(series.first, period.first_day()))
    else {
        return false;
    };
    let mut any = false;
    for day in SCORED_DAYS {
        let Some(end) = (start + usize::from(day)).checked_sub(lag_days) else { continue };
        let known = known_on(series, end);
        let Ok(said) = month_end(&known, period, &Aid::default()).and_then(|end| end.forecast())
        else {
            continue;
        };
        any = true;
        let Some(total) = said.at(0.5).and_then(|median| median.to_f64()) else { continue };
        let tally = tallies.entry((ScoredMethod::Costband, day)).or_default();
        tally.point(total, actual);
        if let Some(said) = said_by(&said) {
            tally.interval(&said, actual);
        }
        let length = f64::from(period.days());
        for (method, total) in [
            (ScoredMethod::RunRate, run_rate(&known, start, end, length)),
            (ScoredMethod::SeasonalNaive, seasonal_naive(&known, start, end, length)),
        ] {
            if let Some(total) = total {
                tallies.entry((method, day)).or_default().point(total, actual);
            }
        }
        if let Some(said) = around_seasonal_naive(&known, start, end, length) {
            tallies.entry((ScoredMethod::SeasonalNaive, day)).or_default().interval(&said, actual);
        }
    }
    any
}

/// The series as it was known when the days before an index were complete: later days and charges
/// are gone.
pub(super) fn known_on(series: &CostSeries, end: usize) -> CostSeries {
    let last = series.date(end);
    CostSeries {
        currency: series.currency,
        first: series.first,
        days: series.days.iter().take(end).copied().collect(),
        charges: series.charges.iter().filter(|held| held.day < last).copied().collect(),
    }
}

/// A forecast as it is scored.
fn said_by(forecast: &Forecast) -> Option<Said> {
    let bounds = |[low, high]: [Decimal; 2]| Some([low.to_f64()?, high.to_f64()?]);
    let held = forecast.quantiles.iter();
    let quantiles = held.filter_map(|held| Some((held.probability, held.amount.to_f64()?)));
    Some(Said {
        quantiles: quantiles.collect(),
        interval_80: bounds(forecast.interval_80)?,
        interval_95: bounds(forecast.interval_95)?,
    })
}

impl Tally {
    fn point(&mut self, total: f64, actual: f64) {
        self.forecasts += 1;
        self.actual += actual.abs();
        self.error += (total - actual).abs();
    }

    fn interval(&mut self, said: &Said, actual: f64) {
        let losses = said.quantiles.iter().map(|(probability, amount)| {
            let miss = actual - amount;
            (probability * miss).max((probability - 1.0) * miss)
        });
        self.pinball += losses.sum::<f64>() / said.quantiles.len().max(1) as f64;
        self.banded += actual.abs();
        self.intervals += 1;
        let inside = |[low, high]: [f64; 2]| (low..=high).contains(&actual);
        self.inside_80 += usize::from(inside(said.interval_80));
        self.inside_95 += usize::from(inside(said.interval_95));
    }

    fn add(&mut self, other: &Self) {
        self.forecasts += other.forecasts;
        self.actual += other.actual;
        self.error += other.error;
        self.pinball += other.pinball;
        self.banded += other.banded;
        self.intervals += other.intervals;
        self.inside_80 += other.inside_80;
        self.inside_95 += other.inside_95;
    }
}

fn told(tallies: &Tallies) -> Vec<DayScore> {
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    tallies
        .iter()
        .map(|((method, day), tally)| DayScore {
            method: *method,
            day: *day,
            forecasts: tally.forecasts,
            wape: share(tally.error, tally.actual),
            pinball: share(tally.pinball, tally.banded),
            coverage_80: share(tally.inside_80 as f64, tally.intervals as f64),
            coverage_95: share(tally.inside_95 as f64, tally.intervals as f64),
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::forecast::CostDay;
    use crate::domain::money::Currency;
    use jiff::civil::date;

    /// 100 a day from the first of January, 1,000 more on the first of each month.
    fn with_fee(days: usize) -> CostSeries {
        let first = date(2026, 1, 1);
        let mut series =
            CostSeries { currency: Currency::USD, first, days: Vec::new(), charges: Vec::new() };
        for at in 0..days {
            let fee = if series.date(at).day() == 1 { 1000 } else { 0 };
            let noise = Decimal::new((at * 7 % 13) as i64, 1);
            let amount = Some(Decimal::from(100 + fee) + noise);
            series.days.push(CostDay { amount, quantity: None, complete: true });
        }
        series
    }

    fn scored(series: &CostSeries) -> Scored {
        Scored { name: "fleet".to_owned(), series: series.clone(), lag_days: 2 }
    }

    fn of(scores: &Scores, method: ScoredMethod, day: u8) -> DayScore {
        let found = scores.scores.iter().find(|held| held.method == method && held.day == day);
        *found.unwrap()
    }

    #[test]
    fn a_forecast_of_the_third_sees_the_first_and_nothing_later() {
        let mut series = with_fee(90);
        for day in series.days.iter_mut().skip(60) {
            day.amount = day.amount.map(|amount| amount * Decimal::from(4));
        }
        // March is four times dearer from its second day on: day 3 cannot know, day 15 does.
        let told = backtest(&[scored(&series)]).overall;
        let early = of(&told, ScoredMethod::Costband, 3).wape.unwrap();
        let late = of(&told, ScoredMethod::Costband, 15).wape.unwrap();
        assert!(early > 0.3 && late < 0.1, "{early} {late}");
    }

    #[test]
    fn only_whole_months_with_history_are_scored() {
        let series = with_fee(212);
        let told = backtest(&[scored(&series)]);
        assert_eq!(told.overall.months, 6, "February to July; January has no history");
        let mut gap = series.clone();
        gap.days[100].complete = false;
        assert_eq!(backtest(&[scored(&gap)]).overall.months, 5, "not April");
        let mut other = with_fee(200);
        let base = backtest(&[scored(&other)]);
        for day in other.days.iter_mut().skip(181) {
            day.amount = Some(Decimal::from(7_000));
        }
        let moved = backtest(&[scored(&other)]);
        assert_eq!(base.overall, moved.overall, "July is not whole and tells nothing of June");
    }

    #[test]
    fn the_fee_of_the_first_ruins_the_run_rate_and_not_the_forecast() {
        let series = with_fee(365);
        let told = backtest(&[scored(&series)]).overall;
        let ours = of(&told, ScoredMethod::Costband, 3);
        let run_rate = of(&told, ScoredMethod::RunRate, 3);
        assert!(ours.wape.unwrap() < 0.1 * run_rate.wape.unwrap(), "{ours:?} {run_rate:?}");
        assert!(run_rate.wape.unwrap() > 3.0, "{run_rate:?}");
        assert_eq!(run_rate.pinball, None);
        let naive = of(&told, ScoredMethod::SeasonalNaive, 3);
        assert!(ours.pinball.unwrap() < naive.pinball.unwrap(), "{ours:?} {naive:?}");
        assert!(naive.coverage_95.unwrap() >= naive.coverage_80.unwrap(), "{naive:?}");
        assert!(ours.coverage_95.unwrap() >= ours.coverage_80.unwrap());
    }

    #[test]
    fn a_series_without_a_whole_month_has_no_score() {
        let series = with_fee(40);
        let told = backtest(&[scored(&series)]);
        assert_eq!((told.overall.months, told.series[0].scores.len()), (0, 0));
        assert_eq!(backtest(&[]).overall.months, 0);
    }
}
