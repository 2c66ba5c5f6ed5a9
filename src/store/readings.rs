//! The days of a report: summed from the primary's rows, joined with what was known, and kept.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::Amounts;
use crate::domain::identity::SourceId;
use crate::domain::money::Currency;
use crate::domain::report::{BreakdownReading, Restatement, SourceReport};
use crate::store::days::{KnownDay, ReadDay, join};
use crate::store::empty::EmptyDays;
use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError};
use crate::store::read::known_days;
use crate::store::sql::{amount_texts, run, stamp};

/// The days of a report, by day and currency.
type ReadDays = BTreeMap<(Date, Currency), ReadDay>;

/// Sums the primary by day and currency. A sum with an unknown part is unknown.
fn sums(
    source: &SourceId,
    breakdown: i64,
    primary: &BreakdownReading,
) -> Result<ReadDays, LedgerError> {
    let too_large = || LedgerError::MalformedReport {
        origin: source.to_string(),
        reason: "the sum of a day has more than 28 digits".to_owned(),
    };
    let add = |sum: Option<Decimal>, part: Option<Decimal>| match (sum, part) {
        (Some(sum), Some(part)) => sum.checked_add(part).map(Some).ok_or_else(too_large),
        _ => Ok(None),
    };
    let zero = Some(Decimal::ZERO);
    let mut days = ReadDays::new();
    for row in &primary.rows {
        let day = days.entry((row.day, row.currency)).or_insert(ReadDay {
            breakdown,
            primary: Some(Amounts { billed: zero, effective: zero, list: zero }),
            control: None,
            estimated: false,
        });
        if let Some(sum) = &mut day.primary {
            sum.billed = add(sum.billed, row.amounts.billed)?;
            sum.effective = add(sum.effective, row.amounts.effective)?;
            sum.list = add(sum.list, row.amounts.list)?;
        }
        day.estimated |= row.estimated;
    }
    Ok(days)
}

/// Joins the days that were read with what was known of them.
pub(super) fn read_days(
    connection: &Connection,
    source: i64,
    report: &SourceReport,
    days: &BTreeSet<Date>,
    breakdown: i64,
    primary: &BreakdownReading,
) -> Result<Vec<Restatement>, Fault> {
    let known = known_days(connection, source, &report.window)?;
    let empty = EmptyDays::load(connection, source, &report.window)?;
    let mut read = sums(&report.source, breakdown, primary)?;
    let nothing = ReadDay { breakdown, primary: None, control: None, estimated: false };
    for place in known.keys().filter(|(day, _)| days.contains(day)) {
        read.entry(*place).or_insert_with(|| nothing.clone());
    }
    for total in report.control_totals.iter().filter(|total| days.contains(&total.day)) {
        let place = (total.day, total.currency);
        read.entry(place).or_insert_with(|| nothing.clone()).control = Some(total.amounts);
    }
    let zone = report.provider.billing_zone();
    let mut restatements = Vec::new();
    for ((day, currency), read) in read {
        let was_empty = empty.known(day, zone, &read);
        let before = known.get(&(day, currency)).or(was_empty.as_ref());
        let (after, restated) = join(before, read, day, zone, report.observed_at);
        keep_day(connection, source, day, currency, &after)?;
        if let (true, Some(before)) = (restated, before) {
            let restatement = Restatement {
                source: report.source.clone(),
                day,
                currency,
                before: before.primary,
                after: after.primary,
                observed_at: report.observed_at,
            };
            keep_restatement(connection, source, &restatement)?;
            restatements.push(restatement);
        }
    }
    Ok(restatements)
}

fn keep_day(
    connection: &Connection,
    source: i64,
    day: Date,
    currency: Currency,
    known: &KnownDay,
) -> Result<(), Fault> {
    let [billed, effective, list] = amount_texts(&known.primary);
    let [control_billed, control_effective, control_list] =
        amount_texts(&known.control.unwrap_or_default());
    let [reference_billed, reference_effective, reference_list] = amount_texts(&known.reference);
    run(
        connection,
        "INSERT INTO day_reading
            (source, day, currency, breakdown, billed, effective, list, has_control,
             control_billed, control_effective, control_list, reference_billed,
             reference_effective, reference_list, steady_since, observed_at, changed_at, estimated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
         ON CONFLICT (source, day, currency) DO UPDATE SET
            breakdown = excluded.breakdown, billed = excluded.billed,
            effective = excluded.effective, list = excluded.list,
            has_control = excluded.has_control, control_billed = excluded.control_billed,
            control_effective = excluded.control_effective, control_list = excluded.control_list,
            reference_billed = excluded.reference_billed,
            reference_effective = excluded.reference_effective,
            reference_list = excluded.reference_list, steady_since = excluded.steady_since,
            observed_at = excluded.observed_at, changed_at = excluded.changed_at,
            estimated = excluded.estimated",
        params![
            source,
            day.to_string(),
            currency.as_str(),
            known.breakdown,
            billed,
            effective,
            list,
            known.control.is_some(),
            control_billed,
            control_effective,
            control_list,
            reference_billed,
            reference_effective,
            reference_list,
            stamp(known.steady_since),
            stamp(known.observed_at),
            stamp(known.changed_at),
            known.estimated
        ],
    )?;
    Ok(())
}

fn keep_restatement(
    connection: &Connection,
    source: i64,
    restatement: &Restatement,
) -> Result<(), Fault> {
    let [before_billed, before_effective, before_list] = amount_texts(&restatement.before);
    let [after_billed, after_effective, after_list] = amount_texts(&restatement.after);
    run(
        connection,
        "INSERT INTO restatement
            (source, day, currency, before_billed, before_effective, before_list, after_billed,
             after_effective, after_list, observed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            source,
            restatement.day.to_string(),
            restatement.currency.as_str(),
            before_billed,
            before_effective,
            before_list,
            after_billed,
            after_effective,
            after_list,
            stamp(restatement.observed_at)
        ],
    )?;
    run(
        connection,
        "UPDATE source SET restatements = restatements + 1 WHERE id = ?1",
        params![source],
    )?;
    Ok(())
}

/// Notes that the days of the window that were not read again were found unchanged.
pub(super) fn observe_unchanged(
    connection: &Connection,
    source: i64,
    report: &SourceReport,
    days: &BTreeSet<Date>,
) -> Result<(), Fault> {
    let unchanged = report.window.days().filter(|day| !days.contains(day));
    connection.run_all(
        "UPDATE day_reading SET observed_at = ?3 WHERE source = ?1 AND day = ?2",
        unchanged.map(|day| Ok(params![source, day.to_string(), stamp(report.observed_at)])),
    )
}
