//! The record of forecasts: what was said of a band's month from day to day, kept as it was said.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::band::PeriodLabel;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;

/// What was said of a month's end from the days that were complete then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastForecast {
    /// The newest complete day that it was made from.
    pub made_from: Date,
    /// When it was said first; none where nothing was said then, and it was made again later from
    /// the same days as the ledger has them now.
    pub told_at: Option<Timestamp>,
    /// The currency of every amount.
    pub currency: Currency,
    /// The median of the month's end.
    pub expected: Decimal,
    /// The bounds of the central 80 %.
    pub interval_80: [Decimal; 2],
    /// The probability of ending above the ceiling that was in force, to a millionth.
    pub above_ceiling: f64,
    /// The probability of ending below the floor that was in force, to a millionth.
    pub below_floor: f64,
}

/// A forecast that was said of a band, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptForecast {
    /// The band.
    pub band: String,
    /// The month.
    pub period: BillingPeriod,
    /// What was said.
    pub forecast: PastForecast,
}

/// What was said of one month of a band, by the day that it was made from: at most one a day, from
/// the last day before the month to its last but one.
#[derive(Debug, Clone, PartialEq)]
pub struct BandRecord {
    /// The band.
    pub band: String,
    /// The month.
    pub period: BillingPeriod,
    /// Which of the two.
    pub label: PeriodLabel,
    /// Ascending by day, all in the band's currency.
    pub forecasts: Vec<PastForecast>,
}

/// What a month's forecasts were worth, held against what it came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordScore {
    /// How many there are.
    pub forecasts: usize,
    /// Of how many the month's end lay within the central 80 %.
    pub inside_80: usize,
    /// The mean of their absolute errors.
    pub mean_error: Decimal,
}

impl BandRecord {
    /// The days whose forecasts belong to a month's record.
    pub fn holds(period: BillingPeriod, made_from: Date) -> bool {
        let window = period.window();
        let eve = window.start.yesterday().unwrap_or(window.start);
        let last = window.end.yesterday().unwrap_or(window.end);
        eve <= made_from && made_from < last
    }

    /// Holds the forecasts against what the month came to; none without a forecast.
    pub fn score(&self, actual: Decimal) -> Option<RecordScore> {
        let mut sum = Decimal::ZERO;
        let mut inside_80 = 0;
        for forecast in &self.forecasts {
            sum = sum.checked_add(forecast.miss(actual)?.abs())?;
            inside_80 += usize::from(forecast.is_inside_80(actual));
        }
        let forecasts = self.forecasts.len();
        let mean_error = sum.checked_div(Decimal::from(forecasts))?;
        Some(RecordScore { forecasts, inside_80, mean_error })
    }
}

impl PastForecast {
    /// By how much it was above what the month came to; none past 28 digits.
    pub fn miss(&self, actual: Decimal) -> Option<Decimal> {
        self.expected.checked_sub(actual)
    }

    /// Whether what the month came to lies within the central 80 %.
    pub fn is_inside_80(&self, actual: Decimal) -> bool {
        let [low, high] = self.interval_80;
        (low..=high).contains(&actual)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn said(day: Date, expected: i64, likely: [i64; 2]) -> PastForecast {
        PastForecast {
            made_from: day,
            told_at: None,
            currency: Currency::USD,
            expected: expected.into(),
            interval_80: likely.map(Decimal::from),
            above_ceiling: 0.0,
            below_floor: 0.0,
        }
    }

    #[test]
    fn a_record_holds_the_eve_of_its_month_and_no_forecast_of_nothing() {
        let november = BillingPeriod::new(2026, 11).unwrap();
        let held = |day| BandRecord::holds(november, day);
        assert!(!held(date(2026, 10, 30)));
        assert!(held(date(2026, 10, 31)) && held(date(2026, 11, 29)));
        assert!(!held(date(2026, 11, 30)), "from its last day the month is no forecast");
    }

    #[test]
    fn errors_count_whichever_way_they_are() {
        let period = BillingPeriod::new(2026, 11).unwrap();
        let mut record = BandRecord {
            band: "fleet".to_owned(),
            period,
            label: PeriodLabel::Previous,
            forecasts: vec![
                said(date(2026, 11, 3), 130, [90, 170]),
                said(date(2026, 11, 4), 90, [80, 99]),
            ],
        };
        let score = record.score(100.into()).unwrap();
        assert_eq!((score.forecasts, score.inside_80, score.mean_error), (2, 1, 20.into()));
        record.forecasts.clear();
        assert_eq!(record.score(100.into()), None);
    }
}
