//! What was said of a month from day to day: as it was kept, and made again where nothing was.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::outlook::Known;
use super::{BandSource, common_zone};
use crate::analyse::backtest::known_on;
use crate::analyse::forecast::{Aid, month_end};
use crate::domain::band::{Band, BandJudgement, BandLimits, PeriodLabel};
use crate::domain::exchange::ExchangeRates;
use crate::domain::forecast::{BandOutlook, CostSeries};
use crate::domain::period::BillingPeriod;
use crate::domain::record::{BandRecord, KeptForecast, PastForecast};

/// What judgements say now of their months' ends, where that belongs to a record and is not in it yet.
pub fn newly_said(
    judged: &[BandJudgement],
    kept: &[KeptForecast],
    now: Timestamp,
) -> Vec<KeptForecast> {
    judged
        .iter()
        .filter_map(|band| {
            let forecast = said(band.outlook.as_ref()?, Some(now))?;
            let is_kept = kept.iter().any(|held| {
                held.forecast.made_from == forecast.made_from
                    && held.period == band.period
                    && held.band == band.band
            });
            let is_new = BandRecord::holds(band.period, forecast.made_from) && !is_kept;
            is_new.then(|| KeptForecast { band: band.band.clone(), period: band.period, forecast })
        })
        .collect()
}

/// The record of a band's open or previous month: what was kept of it, and for each complete day of
/// which nothing was, what its forecast would have been from the days up to it as they are now. None
/// where no limits are in force, or where the band has no source.
pub fn record(
    band: &Band,
    sources: &[BandSource<'_>],
    rates: &ExchangeRates,
    kept: &[KeptForecast],
    label: PeriodLabel,
    now: Timestamp,
) -> Option<BandRecord> {
    let zone = common_zone(sources)?;
    let period = label.period(now, zone);
    let limits = band.limits_in(period)?;
    let mut forecasts: BTreeMap<Date, PastForecast> = kept
        .iter()
        .filter(|held| held.band == band.name && held.period == period)
        .filter(|held| held.forecast.currency == band.currency)
        .map(|held| (held.forecast.made_from, held.forecast.clone()))
        .collect();
    let known = Known { band, sources, rates, fresh: PeriodLabel::Previous.period(now, zone) };
    if let Some(series) = known.series(period) {
        let missing = days_of(&series, period).filter(|(day, _)| !forecasts.contains_key(day));
        let again: Vec<_> = missing
            .filter_map(|(day, index)| said_again(&series, index, limits, period, day))
            .collect();
        forecasts.extend(again.into_iter().map(|forecast| (forecast.made_from, forecast)));
    }
    let forecasts = forecasts.into_values().collect();
    Some(BandRecord { band: band.name.clone(), period, label, forecasts })
}

/// The complete days that a record has forecasts from.
fn days_of(series: &CostSeries, period: BillingPeriod) -> impl Iterator<Item = (Date, usize)> {
    let complete = series.days.iter().enumerate().filter(|(_, day)| day.complete);
    let days = complete.map(|(index, _)| (series.date(index), index));
    days.filter(move |(day, _)| BandRecord::holds(period, *day))
}

fn said_again(
    series: &CostSeries,
    index: usize,
    limits: &BandLimits,
    period: BillingPeriod,
    day: Date,
) -> Option<PastForecast> {
    let known = known_on(series, index + 1);
    let aid = Aid::default();
    let end = month_end(&known, period, &aid).ok()?;
    let outlook = end.outlook(limits.floor, limits.ceiling).ok()?;
    said(&outlook, None).filter(|forecast| forecast.made_from == day)
}

fn said(outlook: &BandOutlook, told_at: Option<Timestamp>) -> Option<PastForecast> {
    let BandOutlook { forecast, against, .. } = outlook;
    Some(PastForecast {
        made_from: forecast.made_from,
        told_at,
        currency: forecast.currency,
        expected: forecast.at(0.5)?,
        interval_80: forecast.interval_80,
        above_ceiling: rounded(against.above_ceiling),
        below_floor: rounded(against.below_floor),
    })
}

/// A probability to a millionth: what is kept is read as it was written.
fn rounded(probability: f64) -> f64 {
    (probability * 1e6).round() / 1e6
}
