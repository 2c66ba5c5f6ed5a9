//! One poll into the ledger: the whole window in one transaction, or nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::breakdown::{Breakdown, BreakdownRole, CostRow};
use crate::domain::identity::SourceId;
use crate::domain::period::BillingPeriod;
use crate::domain::price::PriceReading;
use crate::domain::report::{BreakdownReading, Restatement, SourceReport};
use crate::store::dictionary::{SeriesNumbers, UnitNumbers};
use crate::store::empty::observe_empty;
use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::readings::{observe_unchanged, read_days};
use crate::store::rows::{Cell, Packer};
use crate::store::sql::{
    all, json, noted_source, numbered, one, parsed_option, provider, run, stamp,
};

/// What a commit kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows of all breakdowns together.
    pub rows: usize,
    /// Days that moved after they had been complete or their period over.
    pub restatements: Vec<Restatement>,
}

/// The rows of one day and invoice, each with the number of its series.
type Chunks<'a> = BTreeMap<(Date, Option<BillingPeriod>), Vec<(u32, &'a CostRow)>>;

impl Ledger {
    /// Keeps a report.
    ///
    /// For every breakdown of the report its rows replace the ledger's rows of `report.days`. A
    /// breakdown of the source that the report does not hold (another filter under the same name,
    /// or gone from the configuration) is retired: it is not served any more, and loses its rows
    /// of these days. Readings of days, restatements, names, budgets and the schedule follow.
    ///
    /// `next_poll` is none for a reading outside the schedule, such as a backfill: next poll,
    /// cursor, last success, failures, budgets and data-through stay as they are then.
    ///
    /// The cursor is dropped, so that the next poll reads its whole window, where a breakdown is
    /// new to the ledger and the report holds only some days of its window.
    ///
    /// # Errors
    /// [`LedgerError::DuplicateRow`], [`LedgerError::MalformedReport`] and
    /// [`LedgerError::ProviderChanged`] for a report that cannot be kept, [`LedgerError::Database`]
    /// for what the disk refuses. Nothing was kept then.
    pub fn commit(
        &mut self,
        report: &SourceReport,
        next_poll: Option<Timestamp>,
    ) -> Result<Committed, LedgerError> {
        let days = check(report)?;
        let committed = self.write(Operation::Commit, |connection| {
            let source = noted_provider(connection, report)?;
            let mut numbers = Vec::new();
            let mut new = false;
            for reading in &report.breakdowns {
                let (number, was_live) = noted_breakdown(connection, source, &reading.breakdown)?;
                new |= !was_live;
                numbers.push((number, reading));
            }
            retire_others(connection, source, &numbers, report.observed_at)?;
            clear(connection, source, &days)?;
            let mut units = UnitNumbers::load(connection)?;
            for &(number, reading) in &numbers {
                insert(connection, number, reading, &mut units)?;
            }
            let primary = numbers
                .iter()
                .find(|(_, reading)| reading.breakdown.role == BreakdownRole::Primary);
            let restatements = match primary {
                Some(&(number, reading)) => {
                    read_days(connection, source, report, &days, number, reading)?
                }
                None => Vec::new(),
            };
            observe_unchanged(connection, source, report, &days)?;
            observe_empty(connection, source, report, &days, new)?;
            keep_names(connection, source, report)?;
            if let Some(next_poll) = next_poll {
                keep_budgets(connection, source, report)?;
                let whole = report.window.days().all(|day| days.contains(&day));
                let cursor = report.cursor.as_deref().filter(|_| whole || !new);
                keep_schedule(connection, source, report, cursor, next_poll)?;
            }
            let rows = report.breakdowns.iter().map(|reading| reading.rows.len()).sum();
            Ok(Committed { rows, restatements })
        });
        match &committed {
            Ok(_) => drop(self.in_doubt.remove(&report.source)),
            Err(LedgerError::InDoubt { revision, .. }) if next_poll.is_some() => {
                self.in_doubt.insert(report.source.clone(), *revision);
            }
            Err(_) => {}
        }
        committed
    }
}

impl Ledger {
    /// Keeps the list prices of a source in place of those that it was told before, but for
    /// machines that were not read; and when they were read, where that was to the end, also
    /// where there are none.
    ///
    /// # Errors
    /// [`LedgerError`] for what the disk refuses; those of before stand then.
    pub fn keep_list_prices(
        &mut self,
        source: &SourceId,
        reading: &PriceReading,
        read_at: Timestamp,
    ) -> Result<(), LedgerError> {
        let mut prices = self.list_prices(source)?;
        prices.retain(|price| {
            let machine = price.instance_type.clone().unwrap_or_default();
            reading.unread.contains(&(machine, price.region_id.clone()))
        });
        prices.extend_from_slice(&reading.prices);
        self.write(Operation::Commit, |connection| {
            let source = noted_source(connection, source)?;
            if reading.error.is_none() {
                run(
                    connection,
                    "UPDATE source SET prices_read_at = ?2 WHERE id = ?1",
                    params![source, stamp(read_at)],
                )?;
            }
            run(connection, "DELETE FROM list_price WHERE source = ?1", params![source])?;
            connection.run_all(
                "INSERT INTO list_price (source, place, price) VALUES (?1, ?2, ?3)",
                (0_i64..)
                    .zip(&prices)
                    .map(|(place, price)| Ok(params![source, place, json(price)?])),
            )
        })
    }

    /// Forgets the list prices of a source that reads none any more, and tells whether there were
    /// any.
    ///
    /// # Errors
    /// [`LedgerError`] for what the disk refuses.
    pub fn forget_list_prices(&mut self, source: &SourceId) -> Result<bool, LedgerError> {
        if self.list_prices(source)?.is_empty() && self.prices_read_at(source)?.is_none() {
            return Ok(false);
        }
        self.write(Operation::Commit, |connection| {
            let source = noted_source(connection, source)?;
            let forget = "UPDATE source SET prices_read_at = NULL WHERE id = ?1";
            run(connection, forget, params![source])?;
            run(connection, "DELETE FROM list_price WHERE source = ?1", params![source])?;
            Ok(true)
        })
    }
}

/// Holds a report against its own words.
fn check(report: &SourceReport) -> Result<BTreeSet<Date>, LedgerError> {
    let wrong = |reason: String| {
        Err(LedgerError::MalformedReport { origin: report.source.to_string(), reason })
    };
    let days: BTreeSet<Date> = report.days.iter().copied().collect();
    if let Some(day) = days.iter().find(|day| !report.window.contains(**day)) {
        return wrong(format!("day {day} is not in its window {}", report.window));
    }
    let primaries =
        report.breakdowns.iter().filter(|r| r.breakdown.role == BreakdownRole::Primary).count();
    if primaries > 1 || (primaries == 0 && !(days.is_empty() && report.breakdowns.is_empty())) {
        return wrong(format!("it holds {primaries} primary breakdowns where one is wanted"));
    }
    let mut queries = BTreeSet::new();
    for BreakdownReading { breakdown, rows } in &report.breakdowns {
        let query = &breakdown.query;
        if breakdown.source != report.source {
            return wrong(format!("`{query}` is a breakdown of source `{}`", breakdown.source));
        }
        if !queries.insert(query) {
            return wrong(format!("it holds `{query}` twice"));
        }
        for row in rows {
            if !days.contains(&row.day) {
                return wrong(format!("`{query}` has a row of {}, a day it did not read", row.day));
            }
            if row.keys.len() != breakdown.dimensions.len() {
                return wrong(format!(
                    "`{query}` has a row with {} keys for {} dimensions",
                    row.keys.len(),
                    breakdown.dimensions.len()
                ));
            }
        }
    }
    Ok(days)
}

fn describe(row: &CostRow) -> String {
    let invoice =
        row.invoice_period.map_or_else(String::new, |period| format!(" invoice {period}"));
    let CostRow { day, keys, category, currency, .. } = row;
    format!("{day} {keys:?} {} {currency}{invoice}", category.as_str())
}

fn noted_provider(connection: &Connection, report: &SourceReport) -> Result<i64, Fault> {
    let number = noted_source(connection, &report.source)?;
    let held: Option<Option<String>> =
        one(connection, "SELECT provider FROM source WHERE id = ?1", params![number])?;
    match held.flatten() {
        Some(word) => {
            let was = provider(&word)?;
            if was != report.provider {
                let origin = report.source.to_string();
                return Err(
                    LedgerError::ProviderChanged { origin, was, is: report.provider }.into()
                );
            }
        }
        None => {
            run(
                connection,
                "UPDATE source SET provider = ?2 WHERE id = ?1",
                params![number, report.provider.as_str()],
            )?;
        }
    }
    Ok(number)
}

/// The dimensions of a breakdown as they stand in the ledger.
pub(super) fn dimension_words(breakdown: &Breakdown) -> String {
    let words: Vec<&str> = breakdown.dimensions.iter().map(|d| d.as_str()).collect();
    words.join(",")
}

/// The breakdown's number, and whether it was served until now.
fn noted_breakdown(
    connection: &Connection,
    source: i64,
    breakdown: &Breakdown,
) -> Result<(i64, bool), Fault> {
    let Breakdown { query, filter, role, .. } = breakdown;
    let dimensions = dimension_words(breakdown);
    let held = all(
        connection,
        "SELECT id, retired_at IS NULL FROM breakdown
         WHERE source = ?1 AND query = ?2 AND filter = ?3 AND dimensions = ?4 AND role = ?5",
        params![source, query, filter, &dimensions, role.as_str()],
        |row| Ok((row.get::<i64>(0)?, row.get::<bool>(1)?)),
    )?;
    if let Some(&(number, live)) = held.first() {
        run(connection, "UPDATE breakdown SET retired_at = NULL WHERE id = ?1", params![number])?;
        return Ok((number, live));
    }
    let number = numbered(
        connection,
        "INSERT INTO breakdown (source, query, filter, dimensions, role)
         VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
        params![source, query, filter, dimensions, role.as_str()],
    )?;
    Ok((number, false))
}

fn retire_others(
    connection: &Connection,
    source: i64,
    kept: &[(i64, &BreakdownReading)],
    at: Timestamp,
) -> Result<(), Fault> {
    if kept.is_empty() {
        return Ok(());
    }
    let live = all(
        connection,
        "SELECT id FROM breakdown WHERE source = ?1 AND retired_at IS NULL",
        params![source],
        |row| row.get::<i64>(0),
    )?;
    for number in live {
        if !kept.iter().any(|&(kept, _)| kept == number) {
            run(
                connection,
                "UPDATE breakdown SET retired_at = ?2 WHERE id = ?1",
                params![number, stamp(at)],
            )?;
        }
    }
    Ok(())
}

/// Removes the rows of the days that were read: of the breakdowns that the report holds, since its
/// rows follow, and of retired ones, since their money is told anew elsewhere.
fn clear(connection: &Connection, source: i64, days: &BTreeSet<Date>) -> Result<(), Fault> {
    connection.run_all(
        "DELETE FROM chunk
         WHERE day = ?2 AND breakdown IN (SELECT id FROM breakdown WHERE source = ?1)",
        days.iter().map(|day| Ok(params![source, day.to_string()])),
    )
}

fn insert(
    connection: &Connection,
    breakdown: i64,
    reading: &BreakdownReading,
    units: &mut UnitNumbers<'_>,
) -> Result<(), Fault> {
    let mut series = SeriesNumbers::load(connection, breakdown)?;
    let mut chunks = Chunks::new();
    for row in &reading.rows {
        let place = (row.day, row.invoice_period);
        chunks.entry(place).or_default().push((series.of(row)?, row));
    }
    series.keep()?;
    let packed = chunks.into_iter().map(|((day, invoice), mut rows)| {
        rows.sort_unstable_by_key(|&(ordinal, _)| ordinal);
        let twins = rows.windows(2).find_map(|pair| match pair {
            [(first, row), (second, _)] if first == second => Some(row),
            _ => None,
        });
        if let Some(row) = twins {
            let Breakdown { source, query, .. } = &reading.breakdown;
            return Err(Fault::Refused(LedgerError::DuplicateRow {
                origin: source.to_string(),
                query: query.clone(),
                row: describe(row),
            }));
        }
        let mut packer = Packer::new(rows.len());
        for (ordinal, row) in rows {
            let quantity = match &row.quantity {
                Some(quantity) => Some((units.of(&quantity.unit)?, quantity.amount)),
                None => None,
            };
            packer.push(&Cell {
                series: ordinal,
                estimated: row.estimated,
                amounts: row.amounts,
                usd: row.usd,
                quantity,
            });
        }
        let period = invoice.unwrap_or_else(|| BillingPeriod::containing(day));
        Ok(params![
            breakdown,
            day.to_string(),
            invoice.map_or_else(String::new, |invoice| invoice.to_string()),
            period.to_string(),
            packer.finish()
        ])
    });
    connection.run_all(
        "INSERT INTO chunk (breakdown, day, invoice, period, packed) VALUES (?1, ?2, ?3, ?4, ?5)",
        packed,
    )
}

fn keep_names(connection: &Connection, source: i64, report: &SourceReport) -> Result<(), Fault> {
    connection.run_all(
        "INSERT INTO entity_name (source, dimension, key, name) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (source, dimension, key) DO UPDATE SET name = excluded.name",
        report.names.iter().map(|entity| {
            Ok(params![source, entity.dimension.as_str(), &entity.key, &entity.name])
        }),
    )
}

fn keep_budgets(connection: &Connection, source: i64, report: &SourceReport) -> Result<(), Fault> {
    run(connection, "DELETE FROM native_budget WHERE source = ?1", params![source])?;
    for (place, budget) in (0_i64..).zip(&report.budgets) {
        run(
            connection,
            "INSERT INTO native_budget (source, place, budget) VALUES (?1, ?2, ?3)",
            params![source, place, json(budget)?],
        )?;
    }
    Ok(())
}

fn keep_schedule(
    connection: &Connection,
    source: i64,
    report: &SourceReport,
    cursor: Option<&str>,
    next_poll: Timestamp,
) -> Result<(), Fault> {
    let data_through = match report.data_through {
        Some(told) => Some(told),
        None => newest_day(connection, source)?
            .map(|day| report.provider.billing_zone().end_of(day).min(report.observed_at)),
    };
    run(
        connection,
        "UPDATE source SET next_poll = ?2, failures = 0, last_success = ?3, failed_at = NULL,
                error_kind = NULL, error_message = NULL, cursor = ?4, data_through = ?5
         WHERE id = ?1",
        params![
            source,
            stamp(next_poll),
            stamp(report.observed_at),
            cursor,
            data_through.map(stamp)
        ],
    )?;
    Ok(())
}

fn newest_day(connection: &Connection, source: i64) -> Result<Option<Date>, Fault> {
    let newest = all(
        connection,
        "SELECT max(day) FROM day_reading WHERE source = ?1",
        params![source],
        |row| parsed_option(row, 0),
    )?;
    Ok(newest.into_iter().next().flatten())
}
