//! Holds a report against itself before it is kept: the primary against the provider's ungrouped
//! total, every other telling of the whole money against the primary.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::domain::breakdown::{Amounts, BreakdownRole, CostRow};
use crate::domain::money::{CostBasis, Currency};
use crate::domain::report::{BreakdownReading, SourceError, SourceErrorKind, SourceReport};

/// The part of a total by which two tellings of it may differ: a provider may refresh its figures
/// between two requests of a poll. What is smaller is kept and shown as a difference.
const TOLERATED_SHARE: Decimal = Decimal::from_parts(1, 0, 0, false, 3);
/// The amount by which two tellings may always differ, in units of the currency.
const TOLERATED_AMOUNT: Decimal = Decimal::ONE;

/// Checks that a report is whole and adds up.
///
/// # Errors
/// [`SourceErrorKind::Malformed`] that names the breakdown, the currency and both sums.
pub fn reconcile(report: &SourceReport) -> Result<(), SourceError> {
    let days: BTreeSet<Date> = report.days.iter().copied().collect();
    for reading in &report.breakdowns {
        check_shape(reading, &days)?;
    }
    let primary = report
        .breakdowns
        .iter()
        .find(|reading| reading.breakdown.role == BreakdownRole::Primary)
        .ok_or_else(|| malformed("the report has no primary breakdown".to_owned()))?;
    let primary_sums = sums(primary.rows.iter().map(|row| (row.currency, &row.amounts)));
    let control = sums(report.control_totals.iter().map(|total| (total.currency, &total.amounts)));
    if !report.days.is_empty() {
        compare(&primary_sums, &control, "the provider's ungrouped total")?;
    }
    for reading in &report.breakdowns {
        let rows: Box<dyn Iterator<Item = &CostRow>> = match reading.breakdown.role {
            BreakdownRole::Primary | BreakdownRole::Filtered => continue,
            BreakdownRole::Secondary => Box::new(reading.rows.iter()),
            BreakdownRole::Categories => {
                Box::new(reading.rows.iter().filter(|row| row.category.in_spend()))
            }
        };
        let other = sums(rows.map(|row| (row.currency, &row.amounts)));
        compare(&primary_sums, &other, &format!("the breakdown `{}`", reading.breakdown.query))?;
    }
    Ok(())
}

fn check_shape(reading: &BreakdownReading, days: &BTreeSet<Date>) -> Result<(), SourceError> {
    let query = &reading.breakdown.query;
    for row in &reading.rows {
        if !days.contains(&row.day) {
            return Err(malformed(format!(
                "the breakdown `{query}` has a row of {}, a day that was not asked for",
                row.day
            )));
        }
        if row.keys.len() != reading.breakdown.dimensions.len() {
            return Err(malformed(format!(
                "a row of the breakdown `{query}` has {} keys for {} dimensions",
                row.keys.len(),
                reading.breakdown.dimensions.len()
            )));
        }
    }
    Ok(())
}

type Sums = BTreeMap<(Currency, CostBasis), Option<Decimal>>;

/// Sums by currency and basis; unknown where one amount is.
fn sums<'a>(amounts: impl Iterator<Item = (Currency, &'a Amounts)>) -> Sums {
    let mut sums = Sums::new();
    for (currency, amounts) in amounts {
        for basis in [CostBasis::Billed, CostBasis::Effective] {
            let sum = sums.entry((currency, basis)).or_insert(Some(Decimal::ZERO));
            *sum = sum.and_then(|sum| sum.checked_add(amounts.on(basis)?));
        }
    }
    sums
}

fn compare(primary: &Sums, other: &Sums, name: &str) -> Result<(), SourceError> {
    let keys: BTreeSet<_> = primary.keys().chain(other.keys()).collect();
    for key in keys {
        let side = |sums: &Sums| sums.get(key).copied().unwrap_or(Some(Decimal::ZERO));
        let (Some(ours), Some(theirs)) = (side(primary), side(other)) else { continue };
        let larger = theirs.abs().max(ours.abs());
        let share = larger.checked_mul(TOLERATED_SHARE).unwrap_or_default();
        let tolerated = TOLERATED_AMOUNT.max(share);
        let difference = ours.checked_sub(theirs).unwrap_or(Decimal::MAX);
        if difference.abs() > tolerated {
            let (currency, basis) = key;
            return Err(malformed(format!(
                "the rows do not add up: {} cost by group is {ours} {currency}, {name} is \
                 {theirs} {currency}",
                basis.as_str()
            )));
        }
    }
    Ok(())
}

fn malformed(message: String) -> SourceError {
    SourceError::new(SourceErrorKind::Malformed, message)
        .hint("the last good figures stay; the next poll asks for everything again")
}
