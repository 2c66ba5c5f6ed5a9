//! When a day is complete and when a billing period is final.

use jiff::{SignedDuration, Timestamp};

use crate::domain::identity::Provider;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::report::{Completeness, DayReading, EmptyDay, is_settled};

/// How far apart two equal readings must be before a day counts as complete.
pub const STEADY_FOR: SignedDuration = SignedDuration::from_hours(6);

/// The day of the following month from which Azure no longer changes a period's charges
/// (Cost Management documentation: charges may change until the fifth).
const AZURE_SETTLES_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Tells how sure a day's figures are.
pub fn completeness(
    reading: &DayReading,
    zone: BillingZone,
    lag: SignedDuration,
    period_is_final: bool,
    now: Timestamp,
) -> Completeness {
    if period_is_final {
        return Completeness::Final;
    }
    let old_enough = now.duration_since(zone.end_of(reading.day)) >= lag;
    let steady = reading.observed_at.duration_since(reading.steady_since) >= STEADY_FOR
        || is_settled(reading.day, reading.observed_at, zone);
    if old_enough && steady { Completeness::Complete } else { Completeness::Provisional }
}

/// Tells whether a day without any cost will hardly get one: two readings of its whole at least six
/// hours apart found none, the newest of them older than the lag after its end, or one that is settled
/// did. Nothing is what every day costs at first, so, unlike an amount, it counts only where it was read so late.
pub fn stays_empty(
    empty: &EmptyDay,
    zone: BillingZone,
    lag: SignedDuration,
    period_is_final: bool,
) -> bool {
    let old_enough = empty.observed_at.duration_since(zone.end_of(empty.day)) >= lag;
    let steady = empty.observed_at.duration_since(empty.since) >= STEADY_FOR
        || is_settled(empty.day, empty.observed_at, zone);
    period_is_final || old_enough && steady
}

/// What all readings of a period say together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeriodReadings {
    /// Whether any day is an estimate in the provider's words.
    pub estimated: bool,
    /// The newest change of any day.
    pub changed_at: Option<Timestamp>,
    /// The newest reading of every day: the least of the days' newest.
    pub observed_at: Option<Timestamp>,
}

impl PeriodReadings {
    /// Adds a day of the period.
    pub fn add(&mut self, reading: &DayReading) {
        self.estimated |= reading.estimated;
        self.changed_at = self.changed_at.max(Some(reading.changed_at));
        self.observed_at = match self.observed_at {
            Some(at) => Some(at.min(reading.observed_at)),
            None => Some(reading.observed_at),
        };
    }
}

/// Tells whether a provider will not change a period any more.
///
/// - AWS: the period is over and no day is `Estimated` in a reading made after its end.
/// - GCP: nothing new for `quiet` after the period's end.
/// - Azure: five days past the end, and a reading since then that found nothing changed.
pub fn is_final(
    provider: Provider,
    period: BillingPeriod,
    readings: &PeriodReadings,
    quiet: SignedDuration,
) -> bool {
    let end = period.end(provider.billing_zone());
    let (Some(changed_at), Some(observed_at)) = (readings.changed_at, readings.observed_at) else {
        return false;
    };
    match provider {
        Provider::Aws => observed_at >= end && !readings.estimated,
        Provider::Gcp => observed_at.duration_since(changed_at.max(end)) >= quiet,
        Provider::Azure => {
            observed_at.duration_since(end) >= AZURE_SETTLES_AFTER && observed_at > changed_at
        }
    }
}
