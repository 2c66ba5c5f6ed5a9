//! What a month's end says of a band.

use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::analyse::forecast::path::Stage;
use crate::analyse::forecast::{MonthEnd, estimated, exact_sum};
use crate::domain::band::BandStatus;
use crate::domain::forecast::{BandForecast, BandOutlook, ForecastError};
use crate::domain::period::next_day;

/// What is not certain is never told as less or more sure than this.
const SUREST: f64 = 0.001;

impl MonthEnd<'_> {
    /// The month's end and the way there, held against a floor and a ceiling.
    ///
    /// A probability is the one at which the quantile function reaches the limit, by bisection.
    /// A crossing date is the first day at whose end the quantile of the month's sum up to then is
    /// at or over the ceiling, each day with an interval from past sums of so many days, or by which
    /// so much is booked.
    ///
    /// # Errors
    /// [`ForecastError::Overflow`] where an amount has more than 28 digits.
    pub fn outlook(&self, floor: Decimal, ceiling: Decimal) -> Result<BandOutlook, ForecastError> {
        let overflow = ForecastError::Overflow(self.period);
        let stages = self.stages().ok_or(overflow)?;
        let against = BandForecast {
            above_ceiling: self.probability_above(ceiling),
            below_floor: self.probability_below(floor),
            crossing_p50: self.crossing(&stages, ceiling, 0.5),
            crossing_p80: self.crossing(&stages, ceiling, 0.8),
            allowed_per_day: self.allowed_per_day(ceiling),
        };
        let path = self.path(&stages).ok_or(overflow)?;
        Ok(BandOutlook { forecast: self.forecast()?, against, path })
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
        let (end, mut low, mut high) = (self.end(), SUREST, 1.0 - SUREST);
        if end.rest(low) > rest {
            return low;
        }
        if end.rest(high) <= rest {
            return high;
        }
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if end.rest(middle) <= rest {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    fn crossing(&self, stages: &[Stage<'_>], ceiling: Decimal, probability: f64) -> Option<Date> {
        for at in self.start..=self.newest {
            let day = self.series.date(at);
            let known = exact_sum(self.series, self.period, next_day(day), |complete| complete)?;
            if known >= ceiling {
                return Some(day);
            }
        }
        let sums = self.sums(stages, probability)?;
        let crossed = stages.iter().zip(sums).find(|(_, sum)| *sum >= ceiling);
        crossed.map(|(stage, _)| stage.day)
    }

    fn allowed_per_day(&self, ceiling: Decimal) -> Option<Decimal> {
        let days = self.ahead - self.between;
        let due = self.expected_sum(self.period.end_day()) + self.gaps;
        let left = ceiling.checked_sub(self.exact)?.checked_sub(estimated(due)?)?;
        left.checked_div(Decimal::from(days)).filter(|_| days > 0)?.round_sf(super::DIGITS)
    }
}
