//! What a month's end says of a band.

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::analyse::forecast::outlook::Outlook;
use crate::analyse::forecast::{MonthEnd, estimated};
use crate::domain::band::BandStatus;
use crate::domain::forecast::BandForecast;

/// What is not certain is never told as less or more sure than this.
const SUREST: f64 = 0.001;

impl MonthEnd<'_> {
    /// Holds the month's end against a floor and a ceiling.
    ///
    /// A probability is the one at which the quantile function reaches the limit, by bisection.
    /// A crossing date is the first day at whose end the quantile of the month's sum up to then is
    /// at or over the ceiling, each day with an interval from past sums of so many days, or by which
    /// so much is booked.
    pub fn against(&self, floor: Decimal, ceiling: Decimal) -> BandForecast {
        BandForecast {
            above_ceiling: self.probability_above(ceiling),
            below_floor: self.probability_below(floor),
            crossing_p50: self.crossing(ceiling, 0.5),
            crossing_p80: self.crossing(ceiling, 0.8),
            allowed_per_day: self.allowed_per_day(ceiling),
        }
    }

    /// Where the median of the month's end stands: `band_status{view="forecast"}`.
    pub fn status(&self, floor: Decimal, ceiling: Decimal) -> BandStatus {
        match self.quantile(0.5) {
            None => BandStatus::Unknown,
            Some(median) if median > ceiling => BandStatus::Above,
            Some(median) if median < floor => BandStatus::Below,
            Some(_) => BandStatus::Within,
        }
    }

    /// The probability of ending above a limit.
    pub fn probability_above(&self, limit: Decimal) -> f64 {
        let certain = self.is_actual() || (!self.may_fall && self.booked > limit);
        if certain {
            return if self.booked > limit { 1.0 } else { 0.0 };
        }
        1.0 - self.share_up_to(limit)
    }

    /// The probability of ending below a limit.
    pub fn probability_below(&self, limit: Decimal) -> f64 {
        let certain = self.is_actual() || (!self.may_fall && self.booked >= limit);
        if certain {
            return if self.booked < limit { 1.0 } else { 0.0 };
        }
        self.share_up_to(limit)
    }

    fn share_up_to(&self, limit: Decimal) -> f64 {
        let Some(rest) = limit.checked_sub(self.exact).and_then(|rest| rest.to_f64()) else {
            return 0.5;
        };
        let (mut low, mut high) = (SUREST, 1.0 - SUREST);
        if self.rest(low) > rest {
            return low;
        }
        if self.rest(high) <= rest {
            return high;
        }
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if self.rest(middle) <= rest {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    fn crossing(&self, ceiling: Decimal, probability: f64) -> Option<Date> {
        let mut sum = Decimal::ZERO;
        for at in self.start..=self.newest {
            let day = self.series.days.get(at).filter(|day| day.complete);
            sum = sum.checked_add(day.and_then(|day| day.amount).unwrap_or_default())?;
            let known = sum.checked_add(self.charges_until(self.series.date(at)))?;
            if known >= ceiling {
                return Some(self.series.date(at));
            }
        }
        let before = self.before();
        (self.between + 1..=self.ahead).find_map(|steps| {
            let day = self.series.date(self.newest + steps);
            let mut outlook = Outlook::ahead(&self.learned, &self.choice, steps);
            if self.prior {
                let share = steps as f64 / self.ahead as f64;
                outlook.recentre(self.outlook.middle * share);
            }
            let due = self.expected_sum(day) + self.gaps + self.moved_by_nowcast(steps);
            let rest = estimated(outlook.quantile(probability) - before + due)?;
            let until = sum.checked_add(self.charges_until(day))?.checked_add(rest)?;
            let booked = if self.may_fall { None } else { self.booked_until(day) };
            (until >= ceiling || booked >= Some(ceiling)).then_some(day)
        })
    }

    /// What is booked up to a day, provisional days among it.
    fn booked_until(&self, day: Date) -> Option<Decimal> {
        let end = self.series.index(day).map_or(self.series.days.len(), |at| at + 1);
        let days = self.series.days.get(self.start..end).unwrap_or_default();
        let mut amounts = days.iter().filter_map(|day| day.amount);
        amounts.try_fold(self.charges_until(day), Decimal::checked_add)
    }

    fn charges_until(&self, day: Date) -> Decimal {
        let charges = self.series.charges.iter();
        let until = charges.filter(|held| self.period.contains(held.day) && held.day <= day);
        until.map(|charge| charge.amount).fold(Decimal::ZERO, Decimal::saturating_add)
    }

    fn allowed_per_day(&self, ceiling: Decimal) -> Option<Decimal> {
        let days = self.ahead - self.between;
        let due = self.expected_sum(self.period.end_day()) + self.gaps;
        let left = ceiling.checked_sub(self.exact)?.checked_sub(estimated(due)?)?;
        left.checked_div(Decimal::from(days)).filter(|_| days > 0)?.round_sf(super::DIGITS)
    }
}
