//! What moved after it had been complete, told for each billing period.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::domain::breakdown::Amounts;
use crate::domain::money::Currency;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::report::{DayReading, Restatement};
use crate::domain::spend::{FallenDay, RestatedPeriod};

/// So long after its end a month is closed: by then Azure has settled it, and what Google Cloud and
/// AWS still bring is told as a restatement of it.
const CLOSED_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);

/// Sums restatements up by billing period and currency; `readings` are the days of those periods as
/// they are now.
pub fn restated_periods(
    moved: &[Restatement],
    readings: &[DayReading],
    zone: BillingZone,
) -> Vec<RestatedPeriod> {
    let mut by: BTreeMap<(BillingPeriod, Currency), Vec<&Restatement>> = BTreeMap::new();
    for moved in moved {
        let period = BillingPeriod::containing(moved.day);
        by.entry((period, moved.currency)).or_default().push(moved);
    }
    by.into_iter().filter_map(|(of, moved)| told(of, &moved, readings, zone)).collect()
}

fn told(
    (period, currency): (BillingPeriod, Currency),
    moved: &[&Restatement],
    readings: &[DayReading],
    zone: BillingZone,
) -> Option<RestatedPeriod> {
    let mut now = Decimal::ZERO;
    let of_period =
        |reading: &&DayReading| reading.currency == currency && period.contains(reading.day);
    for reading in readings.iter().filter(of_period) {
        now = now.checked_add(total(&reading.primary)?)?;
    }
    let closed = period.end(zone).checked_add(CLOSED_AFTER).ok()?;
    let (mut change, mut falls) = (Decimal::ZERO, Vec::new());
    let mut steps: BTreeMap<Timestamp, Decimal> = BTreeMap::new();
    for moved in moved {
        let (Some(before), Some(after)) = (total(&moved.before), total(&moved.after)) else {
            continue;
        };
        if moved.observed_at >= closed {
            let by = after.checked_sub(before)?;
            change = change.checked_add(by)?;
            let step = steps.entry(moved.observed_at).or_default();
            *step = step.checked_add(by)?;
        }
        if before > Decimal::ZERO && after < before {
            let (day, observed_at) = (moved.day, moved.observed_at);
            falls.push(FallenDay { day, before, after, observed_at });
        }
    }
    Some(RestatedPeriod {
        period,
        currency,
        before: now.checked_sub(change)?,
        after: now,
        steps: steps.into_iter().collect(),
        falls,
    })
}

fn total(amounts: &Amounts) -> Option<Decimal> {
    amounts.effective.or(amounts.billed)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::identity::SourceId;

    fn amounts(amount: i64) -> Amounts {
        let amount = Some(Decimal::from(amount));
        Amounts { billed: amount, effective: amount, list: None }
    }

    fn moved(before: i64, after: i64, observed: &str) -> Restatement {
        Restatement {
            source: SourceId::new("aws"),
            day: date(2026, 9, 20),
            currency: Currency::USD,
            before: amounts(before),
            after: amounts(after),
            observed_at: observed.parse().unwrap(),
        }
    }

    fn reading(day: i8, amount: i64) -> DayReading {
        let at = "2026-10-06T00:00:00Z".parse().unwrap();
        DayReading {
            day: date(2026, 9, day),
            currency: Currency::USD,
            primary: amounts(amount),
            control: None,
            steady_since: at,
            observed_at: at,
            changed_at: at,
            estimated: false,
        }
    }

    #[test]
    fn what_moved_before_a_month_was_closed_moves_no_closed_month() {
        for (observed, before) in [("2026-10-05T23:59:59Z", 150), ("2026-10-06T00:00:00Z", 190)] {
            let all = restated_periods(
                &[moved(90, 50, observed)],
                &[reading(19, 100), reading(20, 50)],
                BillingZone::Utc,
            );
            let [told] = all.as_slice() else { panic!("{all:?}") };
            assert_eq!((told.before, told.after), (before.into(), 150.into()), "{observed}");
            let [fall] = told.falls.as_slice() else { panic!("{told:?}") };
            assert_eq!(
                (fall.day, fall.before, fall.after),
                (date(2026, 9, 20), 90.into(), 50.into())
            );
        }
    }

    #[test]
    fn what_one_reading_moved_is_one_step() {
        let (early, late) = ("2026-10-07T00:00:00Z", "2026-10-08T00:00:00Z");
        let moved = [moved(50, 51, late), moved(90, 40, early), moved(40, 50, early)];
        let all = restated_periods(&moved, &[reading(20, 51)], BillingZone::Utc);
        let steps = [(early, -40), (late, 1)];
        let steps = steps.map(|(at, by)| (at.parse().unwrap(), Decimal::from(by)));
        assert_eq!(all[0].steps, steps);
    }

    #[test]
    fn a_day_that_rose_did_not_fall() {
        let all = restated_periods(&[moved(50, 90, "2026-10-07T00:00:00Z")], &[], BillingZone::Utc);
        assert!(all.iter().all(|told| told.falls.is_empty()), "{all:?}");
    }
}
