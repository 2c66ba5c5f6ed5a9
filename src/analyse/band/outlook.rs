//! Where a band's month will end: its money of every day that is known, forecast.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::{BandSource, Booked};
use crate::analyse::forecast::{Aid, month_end};
use crate::domain::band::{Band, BandLimits, BandStatus};
use crate::domain::breakdown::ChargeCategory;
use crate::domain::exchange::ExchangeRates;
use crate::domain::forecast::{BandOutlook, CostDay, CostSeries, KnownCharge};
use crate::domain::period::{BillingPeriod, Window, next_day};

/// What a forecast says of a band, and where its median stands. None where the money of a day is
/// not known in the band's currency, or nothing can be forecast from so little.
pub(super) fn outlook(
    band: &Band,
    limits: &BandLimits,
    sources: &[BandSource<'_>],
    rates: &ExchangeRates,
    period: BillingPeriod,
) -> Option<(BandOutlook, BandStatus)> {
    let series = series(band, sources, rates, period)?;
    let end = month_end(&series, period, &Aid::default()).ok()?;
    let outlook = BandOutlook {
        forecast: end.forecast().ok()?,
        against: end.against(limits.floor, limits.ceiling),
    };
    Some((outlook, end.status(limits.floor, limits.ceiling)))
}

/// The band's money by usage day. What the period's invoice carries of other days is a charge of
/// its own; what an invoice carries into other months says nothing of a day's level.
fn series(
    band: &Band,
    sources: &[BandSource<'_>],
    rates: &ExchangeRates,
    period: BillingPeriod,
) -> Option<CostSeries> {
    let mut booked = Booked { by_day: BTreeMap::new(), problem: None, used_rates: BTreeSet::new() };
    let mut days: BTreeMap<Date, Decimal> = BTreeMap::new();
    let mut carried: BTreeMap<Date, Decimal> = BTreeMap::new();
    for source in sources {
        let known = source.series.0.keys().map(|(of, ..)| *of).min();
        let older = source.history.map(|history| history.series.0.iter()).into_iter().flatten();
        let older = older.filter(|((of, ..), _)| known.is_none_or(|known| *of < known));
        for ((of, day, currency), money) in older.chain(&source.series.0) {
            let amount = booked.convert(band, source, rates, (*day, *currency, money)).ok()?;
            let sum = if of.contains(*day) {
                days.entry(*day).or_default()
            } else if *of == period {
                carried.entry(*day).or_default()
            } else {
                continue;
            };
            *sum = sum.checked_add(amount)?;
        }
    }
    let (first, last) = (*days.keys().next()?, *days.keys().next_back()?);
    let complete = |day: Date| sources.iter().all(|source| source.is_known_complete(day));
    let window = Window::new(first, next_day(last));
    let days = window.days().map(|day| {
        let complete = complete(day);
        let amount = days.get(&day).copied();
        CostDay { amount: amount.or(complete.then_some(Decimal::ZERO)), quantity: None, complete }
    });
    let charges = carried.into_values().map(|amount| KnownCharge {
        day: period.first_day(),
        amount,
        category: ChargeCategory::Adjustment,
    });
    Some(CostSeries {
        currency: band.currency,
        first,
        days: days.collect(),
        charges: charges.collect(),
    })
}
