//! What GPUs cost on days that are not billed yet, by telemetry: for the forecasts of bands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use crate::analyse::forecast::Aid;
use crate::analyse::gpu_money::price_on;
use crate::analyse::gpu_price::PriceBook;
use crate::domain::band::Band;
use crate::domain::gpu_money::{GpuPicture, NowcastScore, TelemetryDays, hours, zone_of};
use crate::domain::gpu_time::{FleetDay, GpuState, StateTime};
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::period::{BillingPeriod, next_day};

/// Estimates are believed once so many days were held against their bill,
const FEWEST_SCORED: usize = 3;
/// and where they were no further from it than this share.
const LARGEST_ERROR: f64 = 0.15;
/// One in so many of a cluster's hours may be unknown.
const UNKNOWN_PART: u64 = 10;
/// A day's time is all counted so long after its end.
const COUNTED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What the GPUs of each cloud cost on whole days: their hours at the price of the day, over what
/// the clouds' estimates were above the bill of late. Clouds whose estimates are not believed are
/// left out; so are the first day, on which telemetry may have begun, days of which a cluster told
/// a part only, and a day with a GPU that has no price in the currency of the newest priced one.
pub fn telemetry_days(
    days: &[FleetDay],
    scores: &[NowcastScore],
    book: &PriceBook,
    now: Timestamp,
) -> Vec<TelemetryDays> {
    let believed = scores
        .iter()
        .filter(|score| score.days >= FEWEST_SCORED && score.error_ratio.abs() <= LARGEST_ERROR);
    believed.filter_map(|score| of_provider(days, score, book, now)).collect()
}

fn of_provider(
    days: &[FleetDay],
    score: &NowcastScore,
    book: &PriceBook,
    now: Timestamp,
) -> Option<TelemetryDays> {
    let provider = Some(score.provider);
    let counted = now.saturating_sub(COUNTED_AFTER).unwrap_or(now);
    let today = zone_of(provider).day_of(counted);
    let mut by_day: BTreeMap<Date, Option<(Currency, Decimal)>> = BTreeMap::new();
    let of_cloud = |day: &&FleetDay| day.fleet.provider == provider;
    for day in days.iter().filter(of_cloud).filter(|day| day.day < today) {
        let price = price_on(day, book, now).map(|price| price.price);
        let cost = price.and_then(|price| {
            let cost = hours(day.time.total()).checked_mul(price.amount)?;
            Some((price.currency, cost))
        });
        by_day
            .entry(day.day)
            .and_modify(|sum| *sum = sum.zip(cost).and_then(|(sum, cost)| add(sum, cost)))
            .or_insert(cost);
    }
    by_day.pop_first();
    let parts = part_days(days.iter().filter(of_cloud));
    by_day.retain(|day, _| !parts.contains(day));
    let (currency, _) = *by_day.values().rev().flatten().next()?;
    let over = Decimal::ONE + Decimal::from_f64(score.error_ratio)?;
    let costs = by_day.into_iter().filter_map(|(day, sum)| {
        let (_, cost) = sum.filter(|(of, _)| *of == currency)?;
        Some((day, cost.checked_div(over)?))
    });
    Some(TelemetryDays { provider: score.provider, currency, costs: costs.collect() })
}

/// Days of which a cluster's time may be a part only. A silence is counted as unknown, for a day at
/// most: there was one on a day that is unknown for a good part, and it may have begun on the day
/// before; and a cluster may have fallen silent on the last day before one that it does not tell.
fn part_days<'a>(days: impl Iterator<Item = &'a FleetDay>) -> BTreeSet<Date> {
    let mut clusters: BTreeMap<&str, BTreeMap<Date, StateTime>> = BTreeMap::new();
    for day in days {
        let of = clusters.entry(&day.fleet.cluster).or_default();
        of.entry(day.day).or_default().merge(&day.time);
    }
    let is_silent = |time: &StateTime| {
        let unknown = time.milliseconds(GpuState::Unknown);
        unknown.saturating_mul(UNKNOWN_PART) > time.total()
    };
    let mut parts = BTreeSet::new();
    for of in clusters.values() {
        for (day, time) in of {
            let next = of.get(&next_day(*day));
            if is_silent(time) || next.is_none_or(is_silent) {
                parts.insert(*day);
            }
        }
    }
    parts
}

fn add(sum: (Currency, Decimal), cost: (Currency, Decimal)) -> Option<(Currency, Decimal)> {
    let total = sum.1.checked_add(cost.1)?;
    (sum.0 == cost.0).then_some((sum.0, total))
}

/// What telemetry says beside the bill of a band that holds whole clouds, in its currency. A day
/// counts where every cloud of the band that is told has it.
pub fn aid(band: &Band, picture: &GpuPicture, period: BillingPeriod) -> Aid {
    if !band.scope.filters.is_empty() || !band.scope.sources.is_empty() {
        return Aid::default();
    }
    let holds = |provider: Provider| band.scope.provider.is_none_or(|wanted| wanted == provider);
    let told = picture.telemetry_days.iter();
    let told: Vec<&TelemetryDays> =
        told.filter(|of| holds(of.provider) && of.currency == band.currency).collect();
    let days: BTreeSet<Date> = told.iter().flat_map(|of| of.costs.keys().copied()).collect();
    let sum = |day: Date| {
        let mut costs = told.iter().map(|of| of.costs.get(&day));
        costs.try_fold(Decimal::ZERO, |sum, cost| sum.checked_add(*cost?))
    };
    let expected = picture.expected.iter().find(|expected| {
        expected.band == band.name
            && expected.period == period
            && expected.cost.currency == band.currency
    });
    Aid {
        fleet_per_day: expected
            .and_then(|expected| expected.cost.amount.checked_div(period.days().into())),
        gpu_days: days.into_iter().filter_map(|day| Some((day, sum(day)?))).collect(),
    }
}

#[cfg(test)]
mod tests;
