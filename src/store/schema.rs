//! The schema of a SQLite ledger and its migrations: numbered, each in one transaction, never downwards.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::store::error::{Fault, LedgerError};

/// Marks a SQLite file as a ledger (`PRAGMA application_id`): `cbnd` in ASCII.
const APPLICATION_ID: i64 = 0x6362_6e64;

/// Each brings the schema from its index to the next number.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/v1.sql"),
    include_str!("schema/v2.sql"),
    include_str!("schema/v3.sql"),
    include_str!("schema/v4.sql"),
    include_str!("schema/v5.sql"),
    include_str!("schema/v6.sql"),
    include_str!("schema/v7.sql"),
    include_str!("schema/v8.sql"),
];

/// The newest schema that this build knows.
pub(super) fn known() -> i64 {
    number(MIGRATIONS)
}

fn number(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).expect("there are few migrations")
}

/// The schema of a file: 0 for an empty one.
///
/// # Errors
/// A file of something else, or one of a newer costband.
pub(super) fn found(connection: &Connection, path: &Path) -> Result<i64, Fault> {
    let not_a_ledger = || LedgerError::NotALedger { ledger: path.display().to_string() };
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = match pragma("application_id") {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(not_a_ledger().into());
        }
        other => other?,
    };
    let version = pragma("user_version")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match application {
        APPLICATION_ID if version > known() => Err(LedgerError::NewerSchema {
            ledger: path.display().to_string(),
            found: version,
            known: known(),
        }
        .into()),
        APPLICATION_ID => Ok(version),
        0 if tables == 0 && version == 0 => Ok(0),
        _ => Err(not_a_ledger().into()),
    }
}

/// Brings a file to the newest schema.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Fault> {
    let from = found(connection, path)?;
    apply(connection, MIGRATIONS, from)
}

fn apply(connection: &mut Connection, migrations: &[&str], from: i64) -> Result<(), Fault> {
    for (version, migration) in (1..=number(migrations)).zip(migrations) {
        if version <= from {
            continue;
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_that_fails_half_way_leaves_the_schema_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let steps = [
            "CREATE TABLE first (a INTEGER)",
            "CREATE TABLE second (b INTEGER); CREATE TABLE first (a INTEGER)",
        ];
        apply(&mut connection, &steps, 0).unwrap_err();

        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!((version, tables), (1, vec!["first".to_owned()]));

        let mended = [steps[0], "CREATE TABLE second (b INTEGER)"];
        apply(&mut connection, &mended, version).unwrap();
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 2);
    }

    #[test]
    fn a_ledger_of_the_first_schema_keeps_what_it_holds_and_learns_empty_days() {
        let mut connection = Connection::open_in_memory().unwrap();
        apply(&mut connection, MIGRATIONS.get(..1).unwrap(), 0).unwrap();
        connection.execute("INSERT INTO source (id, name) VALUES (7, 'payer')", []).unwrap();
        migrate(&mut connection, Path::new("ledger")).unwrap();
        let held: (String, i64) = connection
            .query_row("SELECT name, (SELECT count(*) FROM empty_day) FROM source", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(held, ("payer".to_owned(), 0));
        assert_eq!(found(&connection, Path::new("ledger")).unwrap(), known());
    }
}
