//! Reads what a source billed for GPUs, and what the rest of its bill was for.

use std::collections::BTreeSet;

use jiff::civil::Date;

use crate::analyse::gpu_bill::{Bill, query_of};
use crate::analyse::gpu_picture::GpuBill;
use crate::domain::breakdown::{BreakdownRole, Dimension};
use crate::domain::gpu_money::NotGpu;
use crate::domain::money::Currency;
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::report::Completeness;
use crate::domain::spend::SourceSpend;
use crate::store::{Ledger, LedgerError};

/// The GPU bill of a source over the periods of its spend.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(ledger: &Ledger, spend: &SourceSpend) -> Result<GpuBill, LedgerError> {
    let days = spend.periods.iter().flat_map(|period| &period.days);
    let complete: BTreeSet<(Date, Currency)> = days
        .clone()
        .filter(|day| day.completeness >= Completeness::Complete)
        .map(|day| (day.day, day.currency))
        .collect();
    let (Some(first), Some(last)) =
        (days.clone().map(|day| day.day).min(), days.map(|day| day.day).max())
    else {
        return Ok(GpuBill::default());
    };
    let window = Window::new(first, crate::domain::period::next_day(last));
    let mut told = GpuBill::default();
    for breakdown in ledger.breakdowns(&spend.source)? {
        if breakdown.query == query_of(spend.provider) {
            let mut bill = Bill::new(spend.provider);
            ledger.for_each_row_in_days(&breakdown, &window, |row| {
                bill.add(&breakdown.dimensions, row);
            })?;
            told.days = bill.finish(|day, currency| complete.contains(&(day, currency)));
        }
        let service = breakdown.dimensions.iter().position(|key| *key == Dimension::ServiceName);
        if let (BreakdownRole::Primary, Some(place)) = (breakdown.role, service) {
            ledger.for_each_row_in_days(&breakdown, &window, |row| {
                let amount = row.amounts.effective.or(row.amounts.billed);
                let (Some(name), Some(amount)) = (row.keys.get(place), amount) else { return };
                if !complete.contains(&(row.day, row.currency)) {
                    return;
                }
                let period = BillingPeriod::containing(row.day);
                let key = (period, spend.provider, row.currency, NotGpu::of_service(name));
                *told.services.entry(key).or_default() += amount;
            })?;
        }
    }
    Ok(told)
}
