//! How fast the last complete days of a month burn its ceiling.
//!
//! Only days of the month itself count: a new month is not judged by the days of the old one, and
//! what is charged on a first day is no pace, since the newest of three days is never the first.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::domain::band::BurnRates;
use crate::domain::forecast::CostSeries;
use crate::domain::period::BillingPeriod;

/// What the last complete days say.
#[derive(Default)]
pub(super) struct Burnt {
    pub(super) last_day: Option<Decimal>,
    pub(super) rates: BurnRates,
}

pub(super) fn read(series: &CostSeries, ceiling: Decimal, period: BillingPeriod) -> Burnt {
    let newest_first: Vec<Decimal> = period
        .window()
        .days()
        .filter_map(|day| {
            let day = series.days.get(series.index(day)?)?;
            day.amount.filter(|_| day.complete)
        })
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let allowed = ceiling.checked_div(Decimal::from(period.days()));
    let rate = |days: usize| {
        let of = newest_first.get(..days)?;
        let sum = of.iter().try_fold(Decimal::ZERO, |sum, day| sum.checked_add(*day))?;
        sum.checked_div(Decimal::from(days))?.checked_div(allowed?)?.to_f64()
    };
    Burnt {
        last_day: newest_first.first().copied(),
        rates: BurnRates { one_day: rate(1), three_days: rate(3), seven_days: rate(7) },
    }
}
