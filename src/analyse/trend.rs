//! Reads every series of a source: its month's end, what stood out in it and why, and what moved
//! the source's cost since last week.

use jiff::ToSpan;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::anomaly::{Part, find, likely_cause};
use crate::analyse::change::{self, Value};
use crate::analyse::forecast::{Aid, month_end};
use crate::domain::anomaly::{Anomaly, AnomalyFloors};
use crate::domain::breakdown::Dimension;
use crate::domain::change::Change;
use crate::domain::forecast::CostSeries;
use crate::domain::identity::SourceId;
use crate::domain::money::{CostBasis, Money};
use crate::domain::period::BillingPeriod;
use crate::domain::trend::{Seen, SourceTrends, Trend};

/// An anomaly that ended so many days before the newest complete day is told no more.
const TOLD_DAYS: i32 = 35;

/// A series with what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedSeries {
    /// The dimension and the value; none for the whole source.
    pub of: Option<(Dimension, String)>,
    /// The basis of its amounts.
    pub basis: CostBasis,
    /// The unit of its quantities, as the provider writes it; none where there are several.
    pub unit: Option<String>,
    /// The days.
    pub series: CostSeries,
}

/// The trends of a source's series in its open period.
pub fn trends(source: SourceId, series: &[NamedSeries], period: BillingPeriod) -> SourceTrends {
    let parts: Vec<Part<'_>> = series
        .iter()
        .filter_map(|named| {
            let (dimension, key) = named.of.as_ref()?;
            Some(Part { dimension: *dimension, key, series: &named.series })
        })
        .collect();
    SourceTrends {
        source,
        period,
        trends: series.iter().map(|named| trend(named, &parts, period)).collect(),
        change: since_last_week(series),
        bands: Vec::new(),
    }
}

/// What moved the whole of some series since last week, along the dimensions of the others.
pub fn since_last_week(series: &[NamedSeries]) -> Option<Change> {
    let whole = series.iter().find(|named| named.of.is_none())?;
    let values: Vec<Value<'_>> = series
        .iter()
        .filter_map(|named| {
            let ((dimension, key), series) = (named.of.as_ref()?, &named.series);
            Some(Value { dimension: *dimension, key, unit: named.unit.as_deref(), series })
        })
        .collect();
    change::since_last_week(&whole.series, &values)
}

fn trend(named: &NamedSeries, parts: &[Part<'_>], period: BillingPeriod) -> Trend {
    let forecast = month_end(&named.series, period, &Aid::default()).and_then(|end| end.forecast());
    let mut anomalies = find(&named.series, &AnomalyFloors::default());
    if let Some(newest) = named.series.newest_complete() {
        let oldest = named.series.date(newest).saturating_sub(TOLD_DAYS.days());
        anomalies.retain(|anomaly| is_told(anomaly, oldest));
    }
    for anomaly in &mut anomalies {
        // Values are parts of the whole, not of one another.
        if named.of.is_none() {
            anomaly.cause = likely_cause(anomaly, parts);
        }
    }
    Trend {
        of: named.of.clone(),
        basis: named.basis,
        forecast,
        anomalies,
        seen: seen(&named.series),
    }
}

fn seen(series: &CostSeries) -> Option<Seen> {
    let costs = |amount: Option<Decimal>| amount.is_some_and(|amount| !amount.is_zero());
    let day = series.days.iter().position(|day| costs(day.amount)).map(|at| series.date(at));
    let charge = series.charges.iter().filter(|charge| costs(Some(charge.amount)));
    let first = day.into_iter().chain(charge.map(|charge| charge.day)).min()?;
    let newest_complete = series.newest_complete().map(|at| series.date(at));
    let days = series.days.iter().filter(|day| day.complete).filter_map(|day| day.amount);
    let known = |day: Date| newest_complete.is_some_and(|newest| day <= newest);
    let charges = series.charges.iter().filter(|charge| known(charge.day));
    let cost = days
        .chain(charges.map(|charge| charge.amount))
        .try_fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount))?;
    Some(Seen { first, newest_complete, cost: Money::new(cost, series.currency) })
}

fn is_told(anomaly: &Anomaly, oldest: Date) -> bool {
    anomaly.ended.is_none_or(|ended| ended >= oldest)
}
