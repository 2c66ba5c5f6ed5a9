//! The ledger's schema in PostgreSQL: numbered, brought forward under a lock, never downwards.

use tokio_postgres::Client;

use crate::store::engine::postgres::Session;
use crate::store::engine::postgres::connect::answer;
use crate::store::error::{Fault, LedgerError, PostgresError};

/// Each brings the schema from its index to the next number.
const MIGRATIONS: &[&str] =
    &[include_str!("schema/v1.sql"), include_str!("schema/v2.sql"), include_str!("schema/v3.sql")];

/// The two numbers of the advisory lock: `cbnd` in ASCII, and the schema that the ledger is in.
pub(super) const LOCK: &str = "1667395172, hashtext(current_schema())";
/// The lock under which the schema is brought forward: `cbnm` in ASCII.
const MIGRATION_LOCK: &str = "1667395181, hashtext(current_schema())";

/// The newest schema that this build knows.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// The schema of a database: 0 for an empty one.
///
/// # Errors
/// A database of something else, or one of a newer costband.
pub(super) fn found(session: &Session) -> Result<i64, Fault> {
    let ledger = || session.to_string();
    let mut is_ledger = false;
    let mut tables = 0_i64;
    session.each(
        "SELECT to_regclass('ledger_schema') IS NOT NULL,
                (SELECT count(*) FROM pg_tables WHERE schemaname = current_schema())",
        &[],
        |row| {
            is_ledger = row.get(0)?;
            tables = row.get(1)?;
            Ok(())
        },
    )?;
    if !is_ledger {
        return if tables == 0 {
            Ok(0)
        } else {
            Err(LedgerError::NotALedger { ledger: ledger() }.into())
        };
    }
    let mut version = 0;
    session.each("SELECT max(version) FROM ledger_schema", &[], |row| {
        version = row.get(0)?;
        Ok(())
    })?;
    if version > known() {
        let (found, known) = (version, known());
        return Err(LedgerError::NewerSchema { ledger: ledger(), found, known }.into());
    }
    Ok(version)
}

/// Brings a database to the newest schema. Whoever else does so meanwhile is waited for.
pub(super) fn migrate(session: &Session) -> Result<(), Fault> {
    session.each("SHOW server_encoding", &[], |row| match row.text(0)? {
        "UTF8" => Ok(()),
        other => {
            Err(LedgerError::Encoding { ledger: session.to_string(), encoding: other.to_owned() }
                .into())
        }
    })?;
    if found(session)? == known() {
        return Ok(());
    }
    session.begin()?;
    let migrated = (|| {
        session.batch(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
        let from = found(session)?;
        for (version, migration) in (1..=known()).zip(MIGRATIONS) {
            if version > from {
                session.batch(migration)?;
                session
                    .batch(&format!("INSERT INTO ledger_schema (version) VALUES ({version})"))?;
            }
        }
        Ok(())
    })();
    match migrated {
        Ok(()) => session.end("COMMIT"),
        Err(fault) => {
            let _ = session.end("ROLLBACK");
            Err(fault)
        }
    }
}

/// Who holds the ledger's lock, as far as the server tells.
pub(super) fn holder(client: &Client) -> Result<Option<String>, Fault> {
    let query = "SELECT a.application_name, coalesce(host(a.client_addr), 'the server'), a.pid
         FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.database = a.datid
           AND (l.classid::bigint, l.objid::bigint) =
               (1667395172, hashtext(current_schema())::bigint & 4294967295)
           AND l.pid <> pg_backend_pid()
         LIMIT 1";
    let row = answer(client.query_opt(query, &[]))??;
    let Some(row) = row else { return Ok(None) };
    let told = (|| {
        let (name, from, pid): (String, String, i32) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        Ok(format!("`{name}` (from {from}, process {pid} of the server)"))
    })();
    Ok(Some(told.map_err(|error: tokio_postgres::Error| PostgresError::from(error))?))
}
