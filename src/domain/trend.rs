//! What a source, its services, sub-accounts and regions cost from day to day: where each one's
//! month will end, what stood out, and what moved since last week.

use jiff::civil::Date;

use crate::domain::anomaly::Anomaly;
use crate::domain::breakdown::Dimension;
use crate::domain::change::Change;
use crate::domain::forecast::{Forecast, ForecastError};
use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Money};
use crate::domain::period::BillingPeriod;

/// One series: a whole source, or one value of a dimension of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// The dimension and the value; none for the whole source.
    pub of: Option<(Dimension, String)>,
    /// The basis of every amount.
    pub basis: CostBasis,
    /// Where the open month will end, or why that cannot be told.
    pub forecast: Result<Forecast, ForecastError>,
    /// What stood out, oldest first: all that lasts, and what ended in the last five weeks.
    pub anomalies: Vec<Anomaly>,
    /// Since when it costs; none where it never cost anything.
    pub seen: Option<Seen>,
}

/// Since when something costs, as far back as the ledger looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The first day with a cost.
    pub first: Date,
    /// The newest complete day.
    pub newest_complete: Option<Date>,
    /// What its complete days cost in all.
    pub cost: Money,
}

/// The series of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceTrends {
    /// The source.
    pub source: SourceId,
    /// The open billing period of its provider.
    pub period: BillingPeriod,
    /// The whole source first, then values by dimension and key.
    pub trends: Vec<Trend>,
    /// The newest seven complete days against the seven before; none where they are not all
    /// complete.
    pub change: Option<Change>,
    /// The same of what each band holds that holds a part of the source only, in configured order.
    pub bands: Vec<BandChange>,
}

/// What moved the part of a source that a band holds.
#[derive(Debug, Clone, PartialEq)]
pub struct BandChange {
    /// The band's name.
    pub band: String,
    /// The change.
    pub change: Change,
}
