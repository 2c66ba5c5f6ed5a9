//! Days that cost more or less than they should have. Only complete days are judged; charges of
//! their day of the month and charges known by category are expected and never told.

pub mod watch;

use rust_decimal::prelude::ToPrimitive;

use crate::analyse::anomaly::watch::{Event, Least, Watch};
use crate::analyse::forecast::learned::Learned;
use crate::analyse::forecast::statistics::median;
use crate::analyse::forecast::{estimated, figures};
use crate::domain::anomaly::{Anomaly, AnomalyFloors, AnomalyKind, Cause};
use crate::domain::breakdown::Dimension;
use crate::domain::forecast::{CostSeries, days_between};
use crate::domain::money::Currency;

/// Finds what stood out in a series, oldest first, what is over among it.
pub fn find(series: &CostSeries, floors: &AnomalyFloors) -> Vec<Anomaly> {
    let Some(newest) = series.newest_complete() else { return Vec::new() };
    let learned = Learned::read(series.first, &figures(series, newest));
    find_in(&learned, series.currency, floors)
}

/// Finds what stood out in a series that was read already.
pub fn find_in(learned: &Learned, currency: Currency, floors: &AnomalyFloors) -> Vec<Anomaly> {
    let least = Least { amount: floors.amount.to_f64().unwrap_or(0.0), share: floors.share };
    let mut watch = Watch::new(least);
    for day in learned.judged() {
        watch.read(&day);
    }
    watch.events.iter().filter_map(|event| told(event, learned, currency)).collect()
}

fn told(event: &Event, learned: &Learned, currency: Currency) -> Option<Anomaly> {
    let days = event.days.max(1) as f64;
    let difference = event.actual - event.expected;
    let excess = match event.kind {
        AnomalyKind::Spike => difference,
        AnomalyKind::LevelShift => difference / days,
    };
    Some(Anomaly {
        kind: event.kind,
        first: learned.date(event.first),
        last: learned.date(event.last),
        found: learned.date(event.found),
        ended: event.ended.map(|at| learned.date(at)),
        currency,
        actual_per_day: estimated(event.actual / days)?,
        expected_per_day: estimated(event.expected / days)?,
        excess: estimated(excess)?,
        sigmas: event.sigmas,
        cause: None,
    })
}

/// One value of a dimension that the series with an anomaly is made of.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The dimension.
    pub dimension: Dimension,
    /// The value.
    pub key: &'a str,
    /// Its own series.
    pub series: &'a CostSeries,
}

/// The value that explains most of an anomaly: of all values of all dimensions, the one with the
/// largest difference in the anomaly's direction, from `first` to `last`, between what it cost and
/// the median of the same weekdays in the eight weeks before, told as the anomaly's own is. Its share is that of all differences
/// in that direction along its dimension.
pub fn likely_cause(anomaly: &Anomaly, parts: &[Part<'_>]) -> Option<Cause> {
    let up = anomaly.excess.is_sign_positive();
    let found: Vec<(&Part<'_>, f64)> = parts
        .iter()
        .filter(|part| part.series.currency == anomaly.currency)
        .map(|part| (part, difference(part.series, anomaly)))
        .filter(|(_, moved)| *moved != 0.0 && (*moved > 0.0) == up)
        .collect();
    let (part, moved) = found.iter().max_by(|(one, a), (other, b)| {
        let size = a.abs().total_cmp(&b.abs());
        size.then_with(|| (other.dimension, other.key).cmp(&(one.dimension, one.key)))
    })?;
    let along = found.iter().filter(|(other, _)| other.dimension == part.dimension);
    let whole: f64 = along.map(|(_, moved)| moved).sum();
    Some(Cause {
        dimension: part.dimension,
        key: part.key.to_owned(),
        excess: estimated(*moved)?,
        share: (moved / whole).clamp(0.0, 1.0),
    })
}

/// What the days of an anomaly cost beyond the median of their weekday before the first: together,
/// or a day where a shift is told by the day.
fn difference(series: &CostSeries, anomaly: &Anomaly) -> f64 {
    let amount = |at: usize| {
        let day = series.days.get(at)?;
        day.amount.filter(|_| day.complete)?.to_f64()
    };
    // A value may have come after the first day; all of it is new.
    let begin = days_between(series.first, anomaly.first).unwrap_or(0);
    let end = series.index(anomaly.last).unwrap_or(series.days.len().saturating_sub(1));
    let (mut moved, mut days) = (0.0, 0.0_f64);
    for at in begin..=end {
        let weeks = (at - begin) / 7 + 1;
        let before = (weeks..weeks + 8).filter_map(|back| amount(at.checked_sub(back * 7)?));
        if let Some(amount) = amount(at) {
            moved += amount - median::<8>(before);
            days += 1.0;
        }
    }
    match anomaly.kind {
        AnomalyKind::Spike => moved,
        AnomalyKind::LevelShift => moved / days.max(1.0),
    }
}

#[cfg(test)]
mod tests;
