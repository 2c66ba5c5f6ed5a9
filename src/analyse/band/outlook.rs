//! Where a band's month will end: its money of every day that is known, forecast.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::BandSource;
use super::booked::Booked;
use crate::analyse::forecast::month_end;
use crate::analyse::nowcast::aid;
use crate::domain::band::{Band, BandLimits, BandStatus};
use crate::domain::breakdown::ChargeCategory;
use crate::domain::exchange::ExchangeRates;
use crate::domain::forecast::{BandOutlook, CostSeries, KnownCharge, SeriesRow};
use crate::domain::gpu_money::GpuPicture;
use crate::domain::money::Money;
use crate::domain::period::BillingPeriod;

/// What is known of a band.
pub(super) struct Known<'a> {
    pub(super) band: &'a Band,
    pub(super) sources: &'a [BandSource<'a>],
    pub(super) rates: &'a ExchangeRates,
    /// The first period that was read now; those before are history.
    pub(super) fresh: BillingPeriod,
}

impl Known<'_> {
    /// What a forecast says of a month, and where its median stands. None where nothing can be
    /// forecast from so little.
    pub(super) fn outlook(
        &self,
        series: &CostSeries,
        limits: &BandLimits,
        period: BillingPeriod,
        gpu: &GpuPicture,
    ) -> Option<(BandOutlook, BandStatus)> {
        let end = month_end(series, period, &aid(self.band, gpu, period)).ok()?;
        let outlook = end.outlook(limits.floor, limits.ceiling).ok()?;
        Some((outlook, end.status(limits.floor, limits.ceiling)))
    }

    /// The band's money by usage day. What the period's invoice carries of other days is a charge
    /// of its own; what an invoice carries into other months says nothing of a day's level. Earlier
    /// days that cannot be told in the band's currency are gaps; none where one of the month is so.
    pub(super) fn series(&self, period: BillingPeriod) -> Option<CostSeries> {
        let mut booked = Booked::default();
        let (mut rows, mut gaps) = (Vec::new(), BTreeSet::new());
        let mut carried: BTreeMap<Date, Decimal> = BTreeMap::new();
        for source in self.sources {
            for (key, money) in source.all_days(self.fresh) {
                let of = (key.day, key.currency, money);
                let amount = match booked.convert(self.band, source, self.rates, of) {
                    Ok(amount) => amount,
                    Err(_) if key.period == period => return None,
                    Err(_) => {
                        gaps.insert(key.day);
                        continue;
                    }
                };
                if key.period.contains(key.day) {
                    let cost = Money::new(amount, self.band.currency);
                    let (day, category) = (key.day, key.category);
                    rows.push(SeriesRow { day, cost, category, quantity: None });
                } else if key.period == period {
                    let sum = carried.entry(key.day).or_default();
                    *sum = sum.checked_add(amount)?;
                }
            }
        }
        rows.retain(|row| !gaps.contains(&row.day));
        let complete = self.complete_days().filter(|day| !gaps.contains(day)).collect();
        let mut series = CostSeries::of(self.band.currency, &rows, &complete).ok()?;
        series.charges.extend(carried.into_values().map(|amount| KnownCharge {
            day: period.first_day(),
            amount,
            category: ChargeCategory::Adjustment,
        }));
        Some(series)
    }

    /// The days that are complete in every source.
    fn complete_days(&self) -> impl Iterator<Item = Date> {
        let (first, others) = match self.sources.split_first() {
            Some((first, others)) => (Some(first), others),
            None => (None, self.sources),
        };
        let days = first.into_iter().flat_map(|source| source.known_complete(self.fresh));
        days.filter(|day| others.iter().all(|other| other.is_known_complete(*day, self.fresh)))
    }
}
