//! Copies a whole ledger into an empty one, whatever the engines are, and looks whether every byte
//! arrived.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crc32fast::Hasher;

use crate::domain::identity::SourceId;
use crate::domain::money::{Currency, Money};
use crate::store::engine::{Connection, Parameter, Row, Value, params};
use crate::store::error::{Fault, LedgerError, Operation};
use crate::store::ledger::Ledger;
use crate::store::sql::{all, count, parsed, parsed_option, run};

/// So many rows,
const ROWS_AT_ONCE: usize = 256;
/// or bytes, are on their way at once.
const BYTES_AT_ONCE: usize = 4 << 20;

/// A table: its name, its columns, and how many of the first ones make a row's key.
type Table = (&'static str, &'static [&'static str], usize);

/// Every table but `ledger_state`, each after those that it refers to.
const TABLES: &[Table] = &[
    (
        "source",
        &[
            "id",
            "name",
            "provider",
            "next_poll",
            "failures",
            "last_success",
            "failed_at",
            "error_kind",
            "error_message",
            "cursor",
            "data_through",
            "restatements",
            "prices_read_at",
        ],
        1,
    ),
    ("breakdown", &["id", "source", "query", "filter", "dimensions", "role", "retired_at"], 1),
    ("series", &["breakdown", "ordinal", "keys", "category", "currency"], 2),
    ("unit", &["id", "text"], 1),
    ("chunk", &["id", "breakdown", "day", "invoice", "period", "packed"], 1),
    (
        "day_reading",
        &[
            "source",
            "day",
            "currency",
            "breakdown",
            "billed",
            "effective",
            "list",
            "has_control",
            "control_billed",
            "control_effective",
            "control_list",
            "reference_billed",
            "reference_effective",
            "reference_list",
            "steady_since",
            "observed_at",
            "changed_at",
            "estimated",
        ],
        3,
    ),
    (
        "restatement",
        &[
            "id",
            "source",
            "day",
            "currency",
            "before_billed",
            "before_effective",
            "before_list",
            "after_billed",
            "after_effective",
            "after_list",
            "observed_at",
        ],
        1,
    ),
    ("entity_name", &["source", "dimension", "key", "name"], 3),
    ("native_budget", &["source", "place", "budget"], 2),
    ("reserved", &["source", "month", "operation", "currency", "requests", "amount"], 4),
    ("alert", &["identity", "phase", "state", "changed_at", "is_final"], 1),
    ("alert_event", &["id", "alert", "at", "kind", "state"], 1),
    ("silence", &["name", "ends_at", "silence"], 1),
    ("band_forecast", &["band", "period", "made_from", "forecast"], 3),
    (
        "outbox",
        &[
            "id",
            "dedupe_key",
            "receiver",
            "payload",
            "queued_at",
            "attempts",
            "next_attempt",
            "last_error",
            "sent_at",
            "dropped_at",
            "handed_at",
        ],
        1,
    ),
    ("list_price", &["source", "place", "price"], 2),
    ("empty_day", &["source", "day", "breakdown", "empty_since", "observed_at"], 2),
    ("gpu_fleet", &["id", "fleet"], 1),
    (
        "gpu_fleet_day",
        &[
            "day",
            "fleet",
            "busy",
            "low",
            "held_idle",
            "empty",
            "unallocated",
            "unhealthy",
            "unknown",
        ],
        2,
    ),
    (
        "gpu_node_day",
        &[
            "day",
            "fleet",
            "node",
            "busy",
            "low",
            "held_idle",
            "empty",
            "unallocated",
            "unhealthy",
            "unknown",
        ],
        3,
    ),
    (
        "gpu_pod_day",
        &[
            "day",
            "fleet",
            "namespace",
            "name",
            "pod",
            "busy",
            "low",
            "held_idle",
            "empty",
            "unallocated",
            "unhealthy",
            "unknown",
        ],
        5,
    ),
    (
        "gpu_fleet_total",
        &["fleet", "busy", "low", "held_idle", "empty", "unallocated", "unhealthy", "unknown"],
        1,
    ),
    ("gpu_mark", &["uuid", "mark"], 1),
];

/// What was copied, counted and added up in the new ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// The rows of each table.
    pub rows: Vec<(&'static str, u64)>,
    /// What each source's days cost as billed, by currency, with the number of days; a day whose
    /// amount is not known adds nothing.
    pub billed: BTreeMap<(SourceId, Currency), (Money, u64)>,
    /// What each source has reserved for requests, by currency.
    pub reserved: BTreeMap<(SourceId, Currency), Money>,
}

impl Ledger {
    /// Copies everything of another ledger into this one, which must be empty, in one transaction.
    /// Every row is read again and held against the other's before it is kept. `progress` is told
    /// a table and how many of its rows have arrived.
    ///
    /// # Errors
    /// [`LedgerError::NotEmpty`] for a ledger that holds something, [`LedgerError::CopyDiffers`]
    /// where something else arrived than was sent, and what either ledger refuses. Nothing was
    /// kept then.
    pub fn copy_from(
        &mut self,
        other: &Self,
        mut progress: impl FnMut(&'static str, u64),
    ) -> Result<Copied, LedgerError> {
        let ledger = self.location.to_string();
        let from = &other.connection;
        self.write(Operation::Copy, |to| {
            // A large table over a slow link takes its time, and each side waits for the other.
            to.unhurried()?;
            from.unhurried()?;
            for &(table, ..) in TABLES {
                let held = rows(to, table)?;
                if held > 0 {
                    return Err(LedgerError::NotEmpty { ledger: ledger.clone(), table }.into());
                }
            }
            let mut copied = Copied::default();
            for table in TABLES {
                let sent = copy(from, to, table, &mut progress)
                    .map_err(|fault| of_the_other(fault, other))?;
                let arrived = digest(to, table)?;
                if arrived != sent {
                    let ledger = ledger.clone();
                    return Err(LedgerError::CopyDiffers { ledger, table: table.0 }.into());
                }
                copied.rows.push((table.0, arrived.0));
            }
            let states = "SELECT term, holder, led_at FROM ledger_state";
            let terms = all(from, states, params![], |row| {
                Ok(params![
                    row.get::<i64>(0)?,
                    row.get::<String>(1)?,
                    row.get::<Option<String>>(2)?
                ])
            })?;
            for term in terms {
                run(to, "UPDATE ledger_state SET term = ?1, holder = ?2, led_at = ?3", term)?;
            }
            (copied.billed, copied.reserved) = sums(to)?;
            let sent = sums(from).map_err(|fault| of_the_other(fault, other))?;
            if (&copied.billed, &copied.reserved) != (&sent.0, &sent.1) {
                let ledger = ledger.clone();
                return Err(LedgerError::CopyDiffers { ledger, table: "day_reading" }.into());
            }
            Ok(copied)
        })
    }
}

/// What stands in the other ledger is not this one's fault.
fn of_the_other(fault: Fault, other: &Ledger) -> Fault {
    match fault {
        Fault::Damaged(_) => Fault::Refused(fault.during(Operation::Read, &other.location)),
        fault => fault,
    }
}

fn rows(connection: &Connection, table: &str) -> Result<u64, Fault> {
    let counts =
        all(connection, &format!("SELECT count(*) FROM {table}"), params![], |row| count(row, 0))?;
    Ok(counts.into_iter().next().unwrap_or(0))
}

fn select((table, columns, keys): &Table) -> String {
    let key: Vec<&str> = columns.iter().take(*keys).copied().collect();
    format!("SELECT {} FROM {table} ORDER BY {}", columns.join(", "), key.join(", "))
}

fn copy(
    from: &Connection,
    to: &Connection,
    table: &Table,
    progress: &mut impl FnMut(&'static str, u64),
) -> Result<(u64, u32), Fault> {
    let (name, columns, _) = table;
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let insert =
        format!("INSERT INTO {name} ({}) VALUES ({})", columns.join(", "), places.join(", "));
    let mut sent = (0, Hasher::new());
    let mut waiting: Vec<Vec<Parameter<'static>>> = Vec::new();
    let mut bytes = 0;
    from.each(&select(table), &[], |row| {
        sent.0 += 1;
        let mut values = Vec::with_capacity(columns.len());
        for column in 0..columns.len() {
            let value = row.value(column)?;
            hash(&mut sent.1, value);
            bytes += size(value);
            values.push(owned(value));
        }
        waiting.push(values);
        if waiting.len() >= ROWS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            to.run_all(&insert, waiting.drain(..).map(Ok))?;
            bytes = 0;
            progress(name, sent.0);
        }
        Ok(())
    })?;
    to.run_all(&insert, waiting.drain(..).map(Ok))?;
    if columns.first() == Some(&"id") {
        to.number_on(name)?;
    }
    progress(name, sent.0);
    Ok((sent.0, sent.1.finalize()))
}

/// How many rows a table has, and a sum over every byte of them.
fn digest(connection: &Connection, table: &Table) -> Result<(u64, u32), Fault> {
    let (mut rows, mut sum) = (0, Hasher::new());
    connection.each(&select(table), &[], |row: &Row<'_>| {
        rows += 1;
        for column in 0..table.1.len() {
            hash(&mut sum, row.value(column)?);
        }
        Ok(())
    })?;
    Ok((rows, sum.finalize()))
}

fn hash(sum: &mut Hasher, value: Value<'_>) {
    match value {
        Value::Null => sum.update(b"0"),
        Value::Integer(value) => {
            sum.update(b"1");
            sum.update(&value.to_le_bytes());
        }
        Value::Text(text) => {
            let text = writable(text);
            sum.update(b"2");
            sum.update(text.len().to_string().as_bytes());
            sum.update(text.as_bytes());
        }
        Value::Blob(bytes) => {
            sum.update(b"3");
            sum.update(bytes.len().to_string().as_bytes());
            sum.update(bytes);
        }
    }
}

fn size(value: Value<'_>) -> usize {
    match value {
        Value::Null | Value::Integer(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

/// A text as both engines can hold it: PostgreSQL's has no NUL.
fn writable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text.into() }
}

fn owned(value: Value<'_>) -> Parameter<'static> {
    match value {
        Value::Null => Parameter::Null,
        Value::Integer(value) => Parameter::Integer(value),
        Value::Text(text) => Parameter::Text(Cow::Owned(writable(text).into_owned())),
        Value::Blob(bytes) => Parameter::Blob(Cow::Owned(bytes.to_vec())),
    }
}

type Sums = (BTreeMap<(SourceId, Currency), (Money, u64)>, BTreeMap<(SourceId, Currency), Money>);

/// The money of a ledger: what its days were billed, and what was reserved.
fn sums(connection: &Connection) -> Result<Sums, Fault> {
    let too_large = |error| Fault::Damaged(format!("the sum of a source: {error}"));
    let (mut billed, mut reserved) = Sums::default();
    let days = "SELECT s.name, r.currency, r.billed
                FROM day_reading r JOIN source s ON s.id = r.source";
    connection.each(days, &[], |row| {
        let currency = parsed(row, 1)?;
        let key = (SourceId::new(row.get::<String>(0)?), currency);
        let (sum, days) = billed.entry(key).or_insert((Money::zero(currency), 0));
        if let Some(amount) = parsed_option(row, 2)? {
            *sum = sum.checked_add(Money::new(amount, currency)).map_err(too_large)?;
        }
        *days += 1;
        Ok(())
    })?;
    let paid = "SELECT s.name, r.currency, r.amount
                FROM reserved r JOIN source s ON s.id = r.source";
    connection.each(paid, &[], |row| {
        let currency = parsed(row, 1)?;
        let key = (SourceId::new(row.get::<String>(0)?), currency);
        let sum = reserved.entry(key).or_insert(Money::zero(currency));
        *sum = sum.checked_add(Money::new(parsed(row, 2)?, currency)).map_err(too_large)?;
        Ok(())
    })?;
    Ok((billed, reserved))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_column_of_every_table_is_copied() {
        let ledger = Ledger::open(":memory:").unwrap();
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table'
                      AND name NOT LIKE 'sqlite_%' AND name <> 'ledger_state' ORDER BY name";
        let tables: Vec<String> =
            all(&ledger.connection, tables, params![], |row| row.get(0)).unwrap();
        let mut known: Vec<&Table> = TABLES.iter().collect();
        known.sort_unstable();
        assert_eq!(tables, known.iter().map(|(table, ..)| *table).collect::<Vec<_>>());
        for (table, columns, keys) in known {
            let held: Vec<(String, bool)> = all(
                &ledger.connection,
                "SELECT name, pk > 0 FROM pragma_table_info(?1) ORDER BY cid",
                params![*table],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
            let mut names: Vec<&str> = held.iter().map(|(name, _)| name.as_str()).collect();
            let mut known = columns.to_vec();
            names.sort_unstable();
            known.sort_unstable();
            assert_eq!(names, known, "{table}");
            let mut key: Vec<&str> =
                held.iter().filter(|(_, is_key)| *is_key).map(|(name, _)| name.as_str()).collect();
            let mut told: Vec<&str> = columns.iter().take(*keys).copied().collect();
            key.sort_unstable();
            told.sort_unstable();
            assert_eq!(key, told, "{table}");
        }
    }
}
