//! What one more reading of a day makes of what was known of it: steady, moved or restated. Pure.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::domain::breakdown::Amounts;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::report::{EmptyDay, is_settled};

/// How long after its end a day that was steady counts as complete, for restatements.
const LAG: SignedDuration = SignedDuration::from_hours(48);

/// How far apart two readings must be for a day to be steady.
const STEADY: SignedDuration = SignedDuration::from_hours(6);

/// A move of more than this share, 0.5 %, ends a steady run.
const TOLERANCE: Decimal = Decimal::from_parts(5, 0, 0, false, 3);

/// What the ledger keeps of a day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownDay {
    /// The number of the primary breakdown that made the amounts.
    pub(super) breakdown: i64,
    pub(super) primary: Amounts,
    pub(super) control: Option<Amounts>,
    /// The amounts at `steady_since`. The newest ones are held against these and not against the
    /// reading before, so that a slow creep is not called steady.
    pub(super) reference: Amounts,
    pub(super) steady_since: Timestamp,
    pub(super) observed_at: Timestamp,
    pub(super) changed_at: Timestamp,
    pub(super) estimated: bool,
}

/// What one report says of a day in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadDay {
    pub(super) breakdown: i64,
    /// None without any row.
    pub(super) primary: Option<Amounts>,
    pub(super) control: Option<Amounts>,
    pub(super) estimated: bool,
}

/// Joins a reading with what was known. The second value is whether the day was restated: it moved
/// after it had been complete (steady for 6 hours, 48 hours past its end), or moved in a period
/// that was over after it had been read as a whole day.
///
/// A day without a row costs zero on every basis that was known before or that the provider's own
/// total knows. Amounts of another primary breakdown, such as one with a changed filter, begin anew.
pub(super) fn join(
    before: Option<&KnownDay>,
    read: ReadDay,
    day: Date,
    zone: BillingZone,
    observed_at: Timestamp,
) -> (KnownDay, bool) {
    let before = before.filter(|before| before.breakdown == read.breakdown);
    let primary = read.primary.unwrap_or_else(|| {
        let known = before.map(|before| before.primary);
        zeros(known.or(read.control).unwrap_or_default())
    });
    let mut known = KnownDay {
        breakdown: read.breakdown,
        primary,
        control: read.control,
        reference: primary,
        steady_since: observed_at,
        observed_at,
        changed_at: observed_at,
        estimated: read.estimated,
    };
    let Some(before) = before else { return (known, false) };
    if before.primary == primary {
        known.changed_at = before.changed_at;
    }
    if !bases(before.reference, primary).iter().any(|&(from, to)| moved(from, to)) {
        known.reference = before.reference;
        known.steady_since = before.steady_since;
    }

    let day_end = zone.end_of(day);
    let was_complete = before.observed_at.duration_since(before.steady_since) >= STEADY
        && observed_at.duration_since(day_end) >= LAG;
    let was_over =
        BillingPeriod::containing(day).end(zone) <= observed_at && before.observed_at >= day_end;
    // A basis that was not known before is learned, not restated.
    let changed =
        bases(before.primary, primary).iter().any(|&(from, to)| from.is_some() && from != to);
    (known, changed && (was_complete || was_over))
}

/// A complete day without a cost as what was known of it: zero on the bases that it is now read on.
/// None before it is complete: the first cost of a day is no restatement.
pub(super) fn known_empty(
    breakdown: i64,
    empty: &EmptyDay,
    read: &ReadDay,
    zone: BillingZone,
) -> Option<KnownDay> {
    let steady = empty.observed_at.duration_since(empty.since) >= STEADY
        || is_settled(empty.day, empty.observed_at, zone);
    let was_complete = steady && empty.observed_at.duration_since(zone.end_of(empty.day)) >= LAG;
    let primary = zeros(read.primary.or(read.control).unwrap_or_default());
    was_complete.then_some(KnownDay {
        breakdown,
        primary,
        control: None,
        reference: primary,
        steady_since: empty.since,
        observed_at: empty.observed_at,
        changed_at: empty.since,
        estimated: false,
    })
}

fn zeros(amounts: Amounts) -> Amounts {
    let zero = |amount: Option<Decimal>| amount.map(|_| Decimal::ZERO);
    Amounts {
        billed: zero(amounts.billed),
        effective: zero(amounts.effective),
        list: zero(amounts.list),
    }
}

fn bases(from: Amounts, to: Amounts) -> [(Option<Decimal>, Option<Decimal>); 3] {
    [(from.billed, to.billed), (from.effective, to.effective), (from.list, to.list)]
}

/// Whether an amount is more than 0.5 % away from where it was.
fn moved(from: Option<Decimal>, to: Option<Decimal>) -> bool {
    match (from, to) {
        (None, None) => false,
        (Some(from), Some(to)) => {
            let distance = to.checked_sub(from).map(|distance| distance.abs());
            let allowed = from.abs().checked_mul(TOLERANCE);
            match (distance, allowed) {
                (Some(distance), Some(allowed)) => distance > allowed,
                _ => true,
            }
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
