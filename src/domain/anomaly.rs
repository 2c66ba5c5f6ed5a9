//! Days that cost more or less than they should have: what it was, how much, and what moved.

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::breakdown::Dimension;
use crate::domain::money::Currency;

/// What an anomaly is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// One or two days that stand out; the level before them comes back.
    Spike,
    /// The level moved and stays.
    LevelShift,
}

impl AnomalyKind {
    /// The word in JSON and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::LevelShift => "level_shift",
        }
    }
}

/// Something that was not expected. Said once: while it lasts it keeps its first day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anomaly {
    /// What it is.
    pub kind: AnomalyKind,
    /// The day on which it began: with kind and series, what identifies it.
    pub first: Date,
    /// The newest day that belongs to it.
    pub last: Date,
    /// The complete day on which it was found.
    pub found: Date,
    /// The complete day on which it ended: the level came back, or the new one has held for a week.
    pub ended: Option<Date>,
    /// The currency.
    pub currency: Currency,
    /// What a day cost in the mean, from `first` to `last`.
    pub actual_per_day: Decimal,
    /// What a day should have cost in the mean.
    pub expected_per_day: Decimal,
    /// The difference, negative for a drop: over all its days for a spike, a day for a shift.
    pub excess: Decimal,
    /// The difference in robust sigmas of the series.
    pub sigmas: f64,
    /// The dimension value that explains most of it.
    pub cause: Option<Cause>,
}

impl Anomaly {
    /// Whether it is a shift whose level has held so long that it is what is expected now.
    pub fn is_settled(&self) -> bool {
        let is_over = |ended: Date| self.last.tomorrow().is_ok_and(|next| ended > next);
        self.kind == AnomalyKind::LevelShift && self.ended.is_some_and(is_over)
    }
}

/// What explains an anomaly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// Along which dimension.
    pub dimension: Dimension,
    /// The value.
    pub key: String,
    /// Its own difference over the same days, as the anomaly's is told.
    pub excess: Decimal,
    /// Its part of what moved in that direction, 0 to 1.
    pub share: f64,
}

/// What is too small to be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnomalyFloors {
    /// The least difference of a day in money.
    pub amount: Decimal,
    /// The least difference relative to what was expected.
    pub share: f64,
}

impl Default for AnomalyFloors {
    /// 10 of the currency and 5 %.
    fn default() -> Self {
        Self { amount: Decimal::TEN, share: 0.05 }
    }
}
