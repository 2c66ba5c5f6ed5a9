//! Paid requests: counted, and their money reserved under a monthly cap before they leave.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::ports::MeterError;
use crate::store::engine::{Connection, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, count, noted_source, parsed, run, text};

/// The month that a cap holds for: the calendar month in UTC.
fn month(now: Timestamp) -> BillingPeriod {
    BillingPeriod::at(now, BillingZone::Utc)
}

impl Ledger {
    /// Reserves the price of one request in the calendar month (UTC) of `now`, and counts it. On
    /// disk when this returns. A cap may be used up to the last cent; a free request always passes.
    ///
    /// # Errors
    /// [`MeterError::CapReached`]; nothing is counted then. [`MeterError::Ledger`] for a price that
    /// is negative or in another currency than its cap, and when the disk refuses.
    pub fn reserve(
        &mut self,
        source: &SourceId,
        operation: &str,
        price: Money,
        cap: Option<Money>,
        now: Timestamp,
    ) -> Result<(), MeterError> {
        if price.amount < Decimal::ZERO {
            return Err(MeterError::Ledger(format!("the price {price} is negative")));
        }
        let month = month(now);
        let written = self.write(Operation::Reserve, |connection| {
            let number = noted_source(connection, source)?;
            if let Some(cap) = cap.filter(|_| !price.amount.is_zero()) {
                let spent = spent_in(connection, number, month, cap.currency)?;
                if let Err(refusal) = hold(spent, price, cap, month) {
                    return Ok(Err(refusal));
                }
            }
            add(connection, number, month, operation, price)?;
            Ok(Ok(()))
        });
        written.map_err(|error| MeterError::Ledger(error.to_string()))?
    }

    /// What a source has reserved in the calendar month (UTC) of `now`, by currency.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn spent(&self, source: &SourceId, now: Timestamp) -> Result<Vec<Money>, LedgerError> {
        self.sums("month = ?2", source, &month(now).to_string())
    }

    /// What a source has reserved since the ledger began, by currency. Never falls.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn spent_total(&self, source: &SourceId) -> Result<Vec<Money>, LedgerError> {
        self.sums("month > ?2", source, "")
    }

    /// How many requests a source has made since the ledger began, by operation. Never falls.
    ///
    /// # Errors
    /// [`LedgerError`] when the ledger cannot be read.
    pub fn requests_total(&self, source: &SourceId) -> Result<BTreeMap<String, u64>, LedgerError> {
        self.read(|connection| {
            let counts = all(
                connection,
                "SELECT operation, CAST(sum(requests) AS BIGINT) FROM reserved
                 WHERE source = (SELECT id FROM source WHERE name = ?1) GROUP BY operation",
                params![source.as_str()],
                |row| Ok((row.get(0)?, count(row, 1)?)),
            )?;
            Ok(counts.into_iter().collect())
        })
    }

    fn sums(
        &self,
        months: &str,
        source: &SourceId,
        month: &str,
    ) -> Result<Vec<Money>, LedgerError> {
        self.read(|connection| {
            let parts = all(
                connection,
                &format!(
                    "SELECT currency, amount FROM reserved
                     WHERE source = (SELECT id FROM source WHERE name = ?1) AND {months}"
                ),
                params![source.as_str(), month],
                |row| Ok(Money::new(parsed(row, 1)?, parsed(row, 0)?)),
            )?;
            let mut sums: BTreeMap<Currency, Money> = BTreeMap::new();
            for part in parts {
                let sum = sums.entry(part.currency).or_insert(Money::zero(part.currency));
                *sum = plus(*sum, part)?;
            }
            // A currency in which only free requests were made is no spending.
            Ok(sums.into_values().filter(|sum| !sum.amount.is_zero()).collect())
        })
    }
}

fn plus(sum: Money, part: Money) -> Result<Money, Fault> {
    sum.checked_add(part).map_err(|error| Fault::Damaged(format!("reserved money: {error}")))
}

fn spent_in(
    connection: &Connection,
    source: i64,
    month: BillingPeriod,
    currency: Currency,
) -> Result<Money, Fault> {
    let parts = all(
        connection,
        "SELECT amount FROM reserved WHERE source = ?1 AND month = ?2 AND currency = ?3",
        params![source, month.to_string(), currency.as_str()],
        |row| Ok(Money::new(parsed(row, 0)?, currency)),
    )?;
    parts.into_iter().try_fold(Money::zero(currency), plus)
}

/// Holds what is spent and a price against a cap.
fn hold(spent: Money, price: Money, cap: Money, month: BillingPeriod) -> Result<(), MeterError> {
    let after = spent.checked_add(price).map_err(|error| {
        MeterError::Ledger(format!("the price {price} is held against the cap {cap}: {error}"))
    })?;
    if after.amount <= cap.amount {
        return Ok(());
    }
    let resets_at = month.end(BillingZone::Utc);
    Err(MeterError::CapReached { spent, cap, price, resets_at })
}

fn add(
    connection: &Connection,
    source: i64,
    month: BillingPeriod,
    operation: &str,
    price: Money,
) -> Result<(), Fault> {
    let month = month.to_string();
    let currency = price.currency.as_str();
    let held = all(
        connection,
        "SELECT amount FROM reserved
         WHERE source = ?1 AND month = ?2 AND operation = ?3 AND currency = ?4",
        params![source, &month, operation, currency],
        |row| Ok(Money::new(parsed(row, 0)?, price.currency)),
    )?;
    let sum = held.into_iter().try_fold(price, plus)?;
    run(
        connection,
        "INSERT INTO reserved (source, month, operation, currency, requests, amount)
         VALUES (?1, ?2, ?3, ?4, 1, ?5)
         ON CONFLICT (source, month, operation, currency)
         DO UPDATE SET requests = reserved.requests + 1, amount = excluded.amount",
        params![source, month, operation, currency, text(&sum.amount)],
    )?;
    Ok(())
}
