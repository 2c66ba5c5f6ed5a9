//! Scores forecasts on what the ledger holds: each source, its services, its accounts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::analyse::backtest::{Scored, backtest};
use crate::analyse::spend::{AmountSum, SourceRules, complete_days};
use crate::app::spend::{SpendReader, known_days};
use crate::domain::backtest::Backtest;
use crate::domain::breakdown::{BreakdownRole, ChargeCategory, Dimension};
use crate::domain::forecast::{CostSeries, SeriesRow};
use crate::domain::money::{Currency, Money};
use crate::domain::period::{BillingZone, Window, next_day};
use crate::store::{Ledger, LedgerError};

/// How many days are looked at.
const DAYS: i32 = 800;

type Rows = BTreeMap<(Date, ChargeCategory), AmountSum>;

/// Scores every series of the sources that `wanted` names, or of all of them.
///
/// # Errors
/// When the ledger cannot be read.
pub fn score(
    reader: &SpendReader,
    ledger: &Ledger,
    wanted: Option<&str>,
    now: Timestamp,
) -> Result<Backtest, LedgerError> {
    let mut all = Vec::new();
    for rules in reader.rules() {
        if wanted.is_none_or(|wanted| wanted == rules.id.as_str()) {
            let lag_days = usize::try_from((rules.lag.as_hours() + 23) / 24).unwrap_or(0);
            let found = series(rules, ledger, now)?.into_iter();
            all.extend(found.map(|(name, series)| Scored { name, series, lag_days }));
        }
    }
    Ok(backtest(&all))
}

/// The effective cost of a source, of its services and of its accounts; the billed one where no
/// effective cost is told. The currency is that of the most rows.
fn series(
    rules: &SourceRules,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<Vec<(String, CostSeries)>, LedgerError> {
    let today = BillingZone::Utc.day_of(now);
    let window = Window::new(today.saturating_sub(DAYS.days()), next_day(today));
    let mut found: BTreeMap<(String, Currency), Rows> = BTreeMap::new();
    for breakdown in ledger.breakdowns(&rules.id)? {
        if breakdown.role != BreakdownRole::Primary {
            continue;
        }
        let places: Vec<(Dimension, usize)> = [Dimension::ServiceName, Dimension::SubAccountId]
            .into_iter()
            .filter_map(|of| Some((of, breakdown.dimensions.iter().position(|held| *held == of)?)))
            .collect();
        ledger.for_each_row_in_days(&breakdown, &window, |row| {
            let names = places.iter().filter_map(|(of, place)| {
                Some(format!("{} {} {}", rules.id, of.as_str(), row.keys.get(*place)?))
            });
            for name in std::iter::once(rules.id.to_string()).chain(names) {
                let days = found.entry((name, row.currency)).or_default();
                days.entry((row.day, row.category)).or_default().add(&row.amounts);
            }
        })?;
    }
    let complete = complete_days(rules, &known_days(ledger, rules, &window)?, now);
    let mut counts: BTreeMap<Currency, usize> = BTreeMap::new();
    for ((_, currency), rows) in &found {
        *counts.entry(*currency).or_default() += rows.len();
    }
    let Some((currency, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
        return Ok(Vec::new());
    };
    let of_currency = found.into_iter().filter(|((_, of), _)| *of == currency);
    let series = of_currency
        .filter_map(|((name, _), rows)| Some((name, gathered(currency, &rows, &complete)?)));
    Ok(series.collect())
}

fn gathered(currency: Currency, rows: &Rows, complete: &BTreeSet<Date>) -> Option<CostSeries> {
    let basis_is_effective = rows.values().all(|sum| sum.amounts().effective.is_some());
    let rows: Vec<SeriesRow> = rows
        .iter()
        .map(|((day, category), sum)| {
            let amounts = sum.amounts();
            let amount = if basis_is_effective { amounts.effective } else { amounts.billed };
            let cost = Money::new(amount?, currency);
            Some(SeriesRow { day: *day, cost, category: *category, quantity: None })
        })
        .collect::<Option<_>>()?;
    CostSeries::of(currency, &rows, complete).ok()
}
