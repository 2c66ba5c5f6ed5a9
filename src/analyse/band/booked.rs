//! The money of a band that is booked, in the band's currency.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::BandSource;
use crate::analyse::spend::DayMoney;
use crate::domain::band::{Band, BandDay};
use crate::domain::exchange::{ExchangeRates, UsedRate};
use crate::domain::money::{CostBasis, Currency};
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::reason::BandReason;
use crate::domain::report::Completeness;

/// The band's money of one period in the band's currency.
#[derive(Default)]
pub(super) struct Booked {
    /// What days of the period cost.
    pub(super) by_day: BTreeMap<Date, Decimal>,
    /// What the period's invoice carries of other days; none where it carries nothing.
    pub(super) carried: Option<Decimal>,
    pub(super) problem: Option<BandReason>,
    pub(super) used_rates: BTreeSet<UsedRate>,
}

impl Booked {
    pub(super) fn read(
        band: &Band,
        sources: &[BandSource<'_>],
        rates: &ExchangeRates,
        period: BillingPeriod,
    ) -> Self {
        let mut booked = Self::default();
        for source in sources {
            if source.last_success.is_none() {
                booked.problem = Some(BandReason::NotReadYet(source.rules.id.clone()));
            }
            for (key, money) in source.series.period(period) {
                match booked.convert(band, source, rates, (key.day, key.currency, money)) {
                    Ok(amount) if period.contains(key.day) => booked.add(key.day, amount),
                    Ok(amount) => booked.carry(amount),
                    Err(problem) => booked.problem = Some(problem),
                }
            }
        }
        let nothing = booked.by_day.is_empty() && booked.carried.is_none();
        if nothing && booked.problem.is_none() {
            // A day that is complete in every source and has no row of the band cost nothing.
            let is_known = |day: &Date| sources.iter().all(|source| source.is_complete(*day));
            match period.window().days().find(is_known) {
                Some(day) => booked.add(day, Decimal::ZERO),
                None => booked.problem = Some(BandReason::NothingKnown(period)),
            }
        }
        booked
    }

    fn add(&mut self, day: Date, amount: Decimal) {
        let sum = self.by_day.entry(day).or_insert(Decimal::ZERO);
        match sum.checked_add(amount) {
            Some(total) => *sum = total,
            None => self.problem = Some(BandReason::TooLarge),
        }
    }

    fn carry(&mut self, amount: Decimal) {
        match self.carried.unwrap_or_default().checked_add(amount) {
            Some(total) => self.carried = Some(total),
            None => self.problem = Some(BandReason::TooLarge),
        }
    }

    /// The provider's own figure in the band's currency first, then the configured dated table.
    pub(super) fn convert(
        &mut self,
        band: &Band,
        source: &BandSource<'_>,
        rates: &ExchangeRates,
        (day, currency, money): (Date, Currency, &DayMoney),
    ) -> Result<Decimal, BandReason> {
        let id = &source.rules.id;
        let own = money.own.amounts().on(band.basis).ok_or_else(|| {
            let other = match band.basis {
                CostBasis::Billed => CostBasis::Effective,
                CostBasis::Effective | CostBasis::List => CostBasis::Billed,
            };
            BandReason::NoBasis { source: id.clone(), basis: band.basis, other }
        })?;
        if currency == band.currency {
            return Ok(own);
        }
        let told = money.usd.and_then(|usd| usd.amounts().on(band.basis));
        if let (Currency::USD, Some(usd)) = (band.currency, told) {
            self.used_rates.insert(UsedRate::Told { from: currency, source: id.clone() });
            return Ok(usd);
        }
        let (rate, date) = rates.rate(currency, band.currency, day).ok_or(BandReason::NoRate {
            from: currency,
            to: band.currency,
            day,
        })?;
        let used = UsedRate::Configured { from: currency, to: band.currency, rate, date };
        self.used_rates.insert(used);
        own.checked_mul(rate).ok_or(BandReason::TooLarge)
    }

    /// The whole sum, or why it is not known.
    pub(super) fn spend(&self) -> Result<Decimal, BandReason> {
        match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => self.sum().ok_or(BandReason::TooLarge),
        }
    }

    /// What is known of the sum: money that is booked whatever is not known besides.
    pub(super) fn sum(&self) -> Option<Decimal> {
        let carried = self.carried.unwrap_or_default();
        self.by_day.values().try_fold(carried, |sum, amount| sum.checked_add(*amount))
    }

    /// The days of the period that are booked, or complete and cost nothing. Empty where the whole
    /// sum is not known.
    pub(super) fn days(&self, sources: &[BandSource<'_>], period: BillingPeriod) -> Vec<BandDay> {
        let mut days = Vec::new();
        if self.problem.is_some() {
            return days;
        }
        let mut total = self.carried.unwrap_or_default();
        for day in period.window().days() {
            let is_complete = sources.iter().all(|source| source.is_complete(day));
            let booked = self.by_day.get(&day).copied();
            let Some(spend) = booked.or(is_complete.then_some(Decimal::ZERO)) else { continue };
            let Some(more) = total.checked_add(spend) else { return Vec::new() };
            total = more;
            let completeness =
                if is_complete { Completeness::Complete } else { Completeness::Provisional };
            days.push(BandDay { day, spend, total, completeness });
        }
        days
    }

    /// The sum over the days that are complete in every source.
    pub(super) fn complete(
        &self,
        sources: &[BandSource<'_>],
        period: BillingPeriod,
        zone: BillingZone,
    ) -> Option<Complete> {
        let window = period.window();
        // What an invoice carries of earlier days came once and says nothing of the pace.
        let carried = self.carried.unwrap_or_default();
        let mut complete =
            Complete { sum: Decimal::ZERO, carried, days: 0, newest: window.start, seconds: 0 };
        for day in window.days() {
            let is_complete = sources.iter().all(|source| source.is_complete(day));
            if is_complete {
                let amount = self.by_day.get(&day).copied().unwrap_or_default();
                complete.sum = complete.sum.checked_add(amount)?;
                complete.days += 1;
                complete.newest = day;
                complete.seconds += zone.end_of(day).as_second() - zone.start_of(day).as_second();
            }
        }
        (complete.days > 0).then_some(complete)
    }
}

/// The part of it on complete days, and what came of earlier days.
#[derive(Clone, Copy)]
pub(super) struct Complete {
    pub(super) sum: Decimal,
    pub(super) carried: Decimal,
    pub(super) days: i64,
    pub(super) newest: Date,
    pub(super) seconds: i64,
}
