//! The one module that owns calendars: billing zones, billing periods and windows of days.
//!
//! A provider's day begins at its own midnight (AWS and Azure UTC, GCP America/Los_Angeles), so a
//! day may have 23 or 25 hours. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The zone of a provider's billing days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BillingZone {
    /// AWS and Azure.
    Utc,
    /// Google Cloud: "US and Canadian Pacific Time" (Cloud Billing export documentation).
    Pacific,
}

static PACIFIC: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::get("America/Los_Angeles").expect("the zone is compiled in"));

impl BillingZone {
    /// The IANA zone.
    pub fn time_zone(self) -> TimeZone {
        match self {
            Self::Utc => TimeZone::UTC,
            Self::Pacific => PACIFIC.clone(),
        }
    }

    /// The billing day that holds an instant.
    pub fn day_of(self, at: Timestamp) -> Date {
        self.time_zone().to_datetime(at).date()
    }

    /// The instant at which a billing day begins.
    pub fn start_of(self, day: Date) -> Timestamp {
        let midnight = day.at(0, 0, 0, 0);
        self.time_zone()
            .to_ambiguous_zoned_datetime(midnight)
            .compatible()
            .expect("a billing day lies within the years that a timestamp can hold")
            .timestamp()
    }

    /// The instant at which a billing day ends: the start of the next one.
    pub fn end_of(self, day: Date) -> Timestamp {
        self.start_of(next_day(day))
    }
}

/// The day after. A provider's calendar ends long before the type's (year 9999).
pub fn next_day(day: Date) -> Date {
    day.saturating_add(1.day())
}

/// A month of a provider's bill, `2026-11`. Its days are billing days of the provider's zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BillingPeriod {
    year: i16,
    month: i8,
}

impl BillingPeriod {
    /// A month of a year.
    ///
    /// # Errors
    /// [`PeriodError`] for a month outside 1 to 12 or a year outside 1 to 9998.
    pub fn new(year: i16, month: i8) -> Result<Self, PeriodError> {
        if (1..=9998).contains(&year) && (1..=12).contains(&month) {
            Ok(Self { year, month })
        } else {
            Err(PeriodError(format!("{year}-{month}")))
        }
    }

    /// The period of a billing day.
    pub fn containing(day: Date) -> Self {
        Self { year: day.year(), month: day.month() }
    }

    /// The period that is open at an instant.
    pub fn at(now: Timestamp, zone: BillingZone) -> Self {
        Self::containing(zone.day_of(now))
    }

    /// The first day.
    pub fn first_day(self) -> Date {
        Date::new(self.year, self.month, 1).expect("the constructor checked year and month")
    }

    /// The first day of the next period: the end, exclusive.
    pub fn end_day(self) -> Date {
        self.first_day().saturating_add(1.month())
    }

    /// How many days the period has: 28 to 31.
    pub fn days(self) -> i8 {
        self.first_day().days_in_month()
    }

    /// The period before.
    pub fn previous(self) -> Self {
        Self::containing(self.first_day().saturating_sub(1.month()))
    }

    /// The period after.
    pub fn next(self) -> Self {
        Self::containing(self.end_day())
    }

    /// Whether a billing day belongs to the period.
    pub fn contains(self, day: Date) -> bool {
        Self::containing(day) == self
    }

    /// The instant at which the period begins.
    pub fn start(self, zone: BillingZone) -> Timestamp {
        zone.start_of(self.first_day())
    }

    /// The instant at which the period ends, exclusive.
    pub fn end(self, zone: BillingZone) -> Timestamp {
        zone.start_of(self.end_day())
    }

    /// The period's length in seconds: a Pacific March is an hour short, a November an hour long.
    pub fn seconds(self, zone: BillingZone) -> i64 {
        self.end(zone).as_second() - self.start(zone).as_second()
    }

    /// The days of the period, as a window.
    pub fn window(self) -> Window {
        Window { start: self.first_day(), end: self.end_day() }
    }
}

impl FromStr for BillingPeriod {
    type Err = PeriodError;

    /// Reads `2026-11` and GCP's `202611`.
    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let wrong = || PeriodError(text.to_owned());
        let digits = text.replacen('-', "", 1);
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(wrong());
        }
        let (year, month) = digits.split_at(4);
        Self::new(year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?)
    }
}

impl TryFrom<String> for BillingPeriod {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<BillingPeriod> for String {
    fn from(period: BillingPeriod) -> Self {
        period.to_string()
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl fmt::Debug for BillingPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to read billing period `{0}`: want a year and a month such as `2026-11`")]
pub struct PeriodError(String);

/// A run of billing days: start inclusive, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// The first day.
    pub start: Date,
    /// The day after the last one.
    pub end: Date,
}

impl Window {
    /// The days from `start` up to, and without, `end`.
    pub fn new(start: Date, end: Date) -> Self {
        Self { start, end }
    }

    /// Whether a day lies in the window.
    pub fn contains(&self, day: Date) -> bool {
        self.start <= day && day < self.end
    }

    /// Whether the window holds no day.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Every day, in order.
    pub fn days(&self) -> impl Iterator<Item = Date> + use<> {
        let end = self.end;
        self.start.series(1.day()).take_while(move |day| *day < end)
    }

    /// The window cut at month ends, so that no part has more than 31 days.
    pub fn months(&self) -> Vec<Window> {
        let mut parts = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let end = BillingPeriod::containing(start).end_day().min(self.end);
            parts.push(Window { start, end });
            start = end;
        }
        parts
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests;
