//! What the ledger tells: breakdowns and their rows, days, restatements, names, budgets
//! and list prices.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::breakdown::{Breakdown, CostRow, Dimension, Quantity};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Currency;
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::price::SkuPrice;
use crate::domain::report::{DayReading, EntityName, NativeBudget, Restatement};
use crate::store::commit::dimension_words;
use crate::store::days::KnownDay;
use crate::store::dictionary;
use crate::store::engine::{Connection, Row, params};
use crate::store::error::{Fault, LedgerError};
use crate::store::ledger::Ledger;
use crate::store::rows::unpack;
use crate::store::sql::{
    all, amounts, count, from_json, one, parse, parsed, parsed_option, provider, source_number,
    stamp,
};

impl Ledger {
    /// Every source that was ever read, by name, with its provider.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read; so do all methods here.
    pub fn sources(&self) -> Result<Vec<(SourceId, Provider)>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT name, provider FROM source WHERE provider IS NOT NULL ORDER BY name",
                params![],
                |row| {
                    let word: String = row.get(1)?;
                    Ok((SourceId::new(row.get::<String>(0)?), provider(&word)?))
                },
            )
        })
    }

    /// The breakdowns of a source that are served, in the order in which they were first read.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn breakdowns(&self, source: &SourceId) -> Result<Vec<Breakdown>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT query, filter, dimensions, role FROM breakdown
                 WHERE source = (SELECT id FROM source WHERE name = ?1) AND retired_at IS NULL
                 ORDER BY id",
                params![source.as_str()],
                |row| {
                    let words: String = row.get(2)?;
                    let dimensions = words
                        .split(',')
                        .filter(|word| !word.is_empty())
                        .map(parse::<Dimension>)
                        .collect::<Result<_, _>>()?;
                    Ok(Breakdown {
                        source: source.clone(),
                        query: row.get(0)?,
                        filter: row.get(1)?,
                        dimensions,
                        role: parsed(row, 3)?,
                    })
                },
            )
        })
    }

    /// Hands over every row of a breakdown on the bills of the given periods ([`CostRow::period`]),
    /// one at a time, by period and day. A breakdown that is retired or not known has no row.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn for_each_row(
        &self,
        breakdown: &Breakdown,
        periods: &[BillingPeriod],
        mut visit: impl FnMut(&CostRow),
    ) -> Result<(), LedgerError> {
        self.read(|connection| {
            let Some(mut reader) = RowReader::of(connection, breakdown)? else { return Ok(()) };
            for period in periods {
                connection.each(
                    "SELECT day, invoice, packed FROM chunk WHERE breakdown = ?1 AND period = ?2
                     ORDER BY day, invoice",
                    &params![reader.number, period.to_string()],
                    |chunk| reader.rows(chunk, &mut visit),
                )?;
            }
            Ok(())
        })
    }

    /// Hands over every row of a breakdown on the usage days of a window, one at a time, by day.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn for_each_row_in_days(
        &self,
        breakdown: &Breakdown,
        window: &Window,
        mut visit: impl FnMut(&CostRow),
    ) -> Result<(), LedgerError> {
        self.read(|connection| {
            let Some(mut reader) = RowReader::of(connection, breakdown)? else { return Ok(()) };
            let (from, until) = (window.start.to_string(), window.end.to_string());
            connection.each(
                "SELECT day, invoice, packed FROM chunk
                 WHERE breakdown = ?1 AND day >= ?2 AND day < ?3 ORDER BY day, invoice",
                &params![reader.number, from, until],
                |chunk| reader.rows(chunk, &mut visit),
            )
        })
    }

    /// What is known of a source's days in a window, by day and currency.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn day_readings(
        &self,
        source: &SourceId,
        window: &Window,
    ) -> Result<Vec<DayReading>, LedgerError> {
        self.read(|connection| {
            let Some(number) = source_number(connection, source)? else { return Ok(Vec::new()) };
            let days = known_days(connection, number, window)?;
            let reading = |((day, currency), known): ((Date, Currency), KnownDay)| DayReading {
                day,
                currency,
                primary: known.primary,
                control: known.control,
                steady_since: known.steady_since,
                observed_at: known.observed_at,
                changed_at: known.changed_at,
                estimated: known.estimated,
            };
            Ok(days.into_iter().map(reading).collect())
        })
    }

    /// The oldest day of a source that the ledger still holds a reading of.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn first_day(&self, source: &SourceId) -> Result<Option<Date>, LedgerError> {
        self.read(|connection| {
            let first = all(
                connection,
                "SELECT min(day) FROM day_reading
                 WHERE source = (SELECT id FROM source WHERE name = ?1)",
                params![source.as_str()],
                |row| parsed_option(row, 0),
            )?;
            Ok(first.into_iter().next().flatten())
        })
    }

    /// The restatements of a source that were read at an instant or later, in that order.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn restatements(
        &self,
        source: &SourceId,
        since: Timestamp,
    ) -> Result<Vec<Restatement>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT day, currency, before_billed, before_effective, before_list, after_billed,
                        after_effective, after_list, observed_at
                 FROM restatement
                 WHERE source = (SELECT id FROM source WHERE name = ?1) AND observed_at >= ?2
                 ORDER BY observed_at, day, currency",
                params![source.as_str(), stamp(since)],
                |row| {
                    Ok(Restatement {
                        source: source.clone(),
                        day: parsed(row, 0)?,
                        currency: parsed(row, 1)?,
                        before: amounts(row, 2)?,
                        after: amounts(row, 5)?,
                        observed_at: parsed(row, 8)?,
                    })
                },
            )
        })
    }

    /// How often a day of a source moved after it had been complete or its period over, since the
    /// ledger began. Never falls.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn restatements_total(&self, source: &SourceId) -> Result<u64, LedgerError> {
        self.read(|connection| {
            let totals = all(
                connection,
                "SELECT restatements FROM source WHERE name = ?1",
                params![source.as_str()],
                |row| count(row, 0),
            )?;
            Ok(totals.into_iter().next().unwrap_or(0))
        })
    }

    /// What people call the keys of a source.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn names(&self, source: &SourceId) -> Result<Vec<EntityName>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT dimension, key, name FROM entity_name
                 WHERE source = (SELECT id FROM source WHERE name = ?1) ORDER BY dimension, key",
                params![source.as_str()],
                |row| {
                    Ok(EntityName {
                        dimension: parsed(row, 0)?,
                        key: row.get(1)?,
                        name: row.get(2)?,
                    })
                },
            )
        })
    }

    /// The budgets that the newest scheduled poll of a source found at the provider.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn budgets(&self, source: &SourceId) -> Result<Vec<NativeBudget>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT budget FROM native_budget
                 WHERE source = (SELECT id FROM source WHERE name = ?1) ORDER BY place",
                params![source.as_str()],
                |row| from_json(row, 0),
            )
        })
    }

    /// When the list prices of a source were read last; none before the first time.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn prices_read_at(&self, source: &SourceId) -> Result<Option<Timestamp>, LedgerError> {
        self.read(|connection| {
            let read_at = all(
                connection,
                "SELECT prices_read_at FROM source WHERE name = ?1",
                params![source.as_str()],
                |row| parsed_option(row, 0),
            )?;
            Ok(read_at.into_iter().next().flatten())
        })
    }

    /// The list prices that a source was told last.
    ///
    /// # Errors
    /// As [`Ledger::sources`].
    pub fn list_prices(&self, source: &SourceId) -> Result<Vec<SkuPrice>, LedgerError> {
        self.read(|connection| {
            all(
                connection,
                "SELECT price FROM list_price
                 WHERE source = (SELECT id FROM source WHERE name = ?1) ORDER BY place",
                params![source.as_str()],
                |row| from_json(row, 0),
            )
        })
    }
}

/// Unpacks the rows of one breakdown into rows that are used again and again: reading a row
/// allocates nothing.
struct RowReader {
    number: i64,
    series: HashMap<u32, CostRow>,
    units: HashMap<u32, String>,
}

impl RowReader {
    fn of(connection: &Connection, breakdown: &Breakdown) -> Result<Option<Self>, Fault> {
        let number = one(
            connection,
            "SELECT id FROM breakdown
             WHERE source = (SELECT id FROM source WHERE name = ?1) AND query = ?2
               AND filter = ?3 AND dimensions = ?4 AND role = ?5 AND retired_at IS NULL",
            params![
                breakdown.source.as_str(),
                &breakdown.query,
                &breakdown.filter,
                dimension_words(breakdown),
                breakdown.role.as_str()
            ],
        )?;
        let Some(number) = number else { return Ok(None) };
        let series = dictionary::load(connection, number)?;
        Ok(Some(Self { number, series, units: dictionary::units(connection)? }))
    }

    /// The rows of one record of day, invoice and packed rows.
    fn rows(&mut self, chunk: &Row<'_>, visit: &mut impl FnMut(&CostRow)) -> Result<(), Fault> {
        let day: Date = parsed(chunk, 0)?;
        let invoice = match chunk.text(1)? {
            "" => None,
            text => Some(parse::<BillingPeriod>(text)?),
        };
        let packed = chunk.blob(2)?;
        let Self { series, units, .. } = self;
        unpack(packed, |cell| {
            let row = series
                .get_mut(&cell.series)
                .ok_or_else(|| Fault::Damaged(format!("a row has no series {}", cell.series)))?;
            row.day = day;
            row.invoice_period = invoice;
            row.estimated = cell.estimated;
            row.amounts = cell.amounts;
            row.usd = cell.usd;
            match cell.quantity {
                None => row.quantity = None,
                Some((unit, amount)) => {
                    let unit = units
                        .get(&unit)
                        .ok_or_else(|| Fault::Damaged(format!("a row has no unit {unit}")))?;
                    let quantity = row
                        .quantity
                        .get_or_insert_with(|| Quantity { amount, unit: String::new() });
                    quantity.amount = amount;
                    quantity.unit.clone_from(unit);
                }
            }
            visit(row);
            Ok(())
        })
    }
}

/// What is known of the days of a window.
pub(super) fn known_days(
    connection: &Connection,
    source: i64,
    window: &Window,
) -> Result<BTreeMap<(Date, Currency), KnownDay>, Fault> {
    let days = all(
        connection,
        "SELECT day, currency, breakdown, billed, effective, list, has_control, control_billed,
                control_effective, control_list, reference_billed, reference_effective,
                reference_list, steady_since, observed_at, changed_at, estimated
         FROM day_reading WHERE source = ?1 AND day >= ?2 AND day < ?3",
        params![source, window.start.to_string(), window.end.to_string()],
        |row| {
            let has_control: bool = row.get(6)?;
            let control = if has_control { Some(amounts(row, 7)?) } else { None };
            let known = KnownDay {
                breakdown: row.get(2)?,
                primary: amounts(row, 3)?,
                control,
                reference: amounts(row, 10)?,
                steady_since: parsed(row, 13)?,
                observed_at: parsed(row, 14)?,
                changed_at: parsed(row, 15)?,
                estimated: row.get(16)?,
            };
            Ok(((parsed(row, 0)?, parsed(row, 1)?), known))
        },
    )?;
    Ok(days.into_iter().collect())
}
