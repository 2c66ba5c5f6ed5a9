//! What is the same in a breakdown's rows from day to day, kept once: keys, category, currency,
//! and the units of quantities.

use std::collections::HashMap;

use crate::domain::breakdown::{Amounts, ChargeCategory, CostRow};
use crate::domain::money::Currency;
use crate::store::engine::{Connection, params};
use crate::store::error::Fault;
use crate::store::sql::{all, count, numbered, parsed};

/// Finds the number of a row's series while rows are written, and notes new ones.
pub(super) struct SeriesNumbers<'a> {
    connection: &'a Connection,
    breakdown: i64,
    numbers: HashMap<Vec<u8>, u32>,
    next: u32,
    identity: Vec<u8>,
    new: Vec<(u32, String, ChargeCategory, Currency)>,
}

impl<'a> SeriesNumbers<'a> {
    pub(super) fn load(connection: &'a Connection, breakdown: i64) -> Result<Self, Fault> {
        let mut numbers = HashMap::new();
        let mut next = 0;
        for (ordinal, row) in load(connection, breakdown)? {
            let mut identity = Vec::new();
            identify(&mut identity, &row);
            numbers.insert(identity, ordinal);
            next = next.max(after(ordinal)?);
        }
        let (identity, new) = (Vec::new(), Vec::new());
        Ok(Self { connection, breakdown, numbers, next, identity, new })
    }

    pub(super) fn of(&mut self, row: &CostRow) -> Result<u32, Fault> {
        identify(&mut self.identity, row);
        if let Some(&ordinal) = self.numbers.get(&self.identity) {
            return Ok(ordinal);
        }
        let ordinal = self.next;
        self.next = after(ordinal)?;
        let keys = serde_json::to_string(&row.keys)
            .map_err(|error| Fault::Damaged(format!("keys {:?}: {error}", row.keys)))?;
        self.new.push((ordinal, keys, row.category, row.currency));
        self.numbers.insert(self.identity.clone(), ordinal);
        Ok(ordinal)
    }

    /// Writes the new ones.
    pub(super) fn keep(&mut self) -> Result<(), Fault> {
        let breakdown = self.breakdown;
        self.connection.run_all(
            "INSERT INTO series (breakdown, ordinal, keys, category, currency)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            self.new.drain(..).map(|(ordinal, keys, category, currency)| {
                Ok(params![breakdown, ordinal, keys, category.as_str(), currency.to_string()])
            }),
        )
    }
}

fn after(ordinal: u32) -> Result<u32, Fault> {
    ordinal
        .checked_add(1)
        .ok_or_else(|| Fault::Damaged("a breakdown has too many series".to_owned()))
}

/// Bytes that differ whenever category, currency or any key does: each key with its length.
fn identify(identity: &mut Vec<u8>, row: &CostRow) {
    identity.clear();
    identity.extend_from_slice(row.currency.as_str().as_bytes());
    identity.extend_from_slice(row.category.as_str().as_bytes());
    for key in &row.keys {
        identity.extend_from_slice(&key.len().to_le_bytes());
        identity.extend_from_slice(key.as_bytes());
    }
}

/// Every series of a breakdown as a row whose day and amounts are still to be filled in.
pub(super) fn load(
    connection: &Connection,
    breakdown: i64,
) -> Result<HashMap<u32, CostRow>, Fault> {
    let series = all(
        connection,
        "SELECT ordinal, keys, category, currency FROM series WHERE breakdown = ?1",
        params![breakdown],
        |row| {
            let keys: String = row.get(1)?;
            let keys: Vec<String> = serde_json::from_str(&keys)
                .map_err(|error| Fault::Damaged(format!("keys `{keys}`: {error}")))?;
            let category: ChargeCategory = parsed(row, 2)?;
            let template = CostRow {
                day: jiff::civil::Date::ZERO,
                keys,
                category,
                currency: parsed(row, 3)?,
                amounts: Amounts::default(),
                usd: None,
                quantity: None,
                invoice_period: None,
                estimated: false,
            };
            Ok((count(row, 0)?, template))
        },
    )?;
    Ok(series.into_iter().collect())
}

/// Finds the number of a unit while rows are written, and notes new ones.
pub(super) struct UnitNumbers<'a> {
    connection: &'a Connection,
    numbers: HashMap<String, u32>,
}

impl<'a> UnitNumbers<'a> {
    pub(super) fn load(connection: &'a Connection) -> Result<Self, Fault> {
        let numbers = units(connection)?.into_iter().map(|(number, text)| (text, number)).collect();
        Ok(Self { connection, numbers })
    }

    pub(super) fn of(&mut self, unit: &str) -> Result<u32, Fault> {
        if let Some(&number) = self.numbers.get(unit) {
            return Ok(number);
        }
        let insert = "INSERT INTO unit (text) VALUES (?1) RETURNING id";
        let number = numbered(self.connection, insert, params![unit])?;
        let number = u32::try_from(number)
            .map_err(|_| Fault::Damaged("the ledger has too many units".to_owned()))?;
        self.numbers.insert(unit.to_owned(), number);
        Ok(number)
    }
}

/// Every unit with its number.
pub(super) fn units(connection: &Connection) -> Result<HashMap<u32, String>, Fault> {
    let units = all(connection, "SELECT id, text FROM unit", params![], |row| {
        Ok((count(row, 0)?, row.get::<String>(1)?))
    })?;
    Ok(units.into_iter().collect())
}
