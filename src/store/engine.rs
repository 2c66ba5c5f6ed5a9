//! One way to speak SQL to either engine.
//!
//! Statements are written once, in words that both know: `?1` for a parameter, `ON CONFLICT` for a
//! replacement, `RETURNING` for a new number. What differs stands in the rooms below.

#[cfg(feature = "postgres")]
pub(super) mod postgres;
pub(super) mod sqlite;

use std::borrow::Cow;

#[cfg(feature = "postgres")]
use crate::store::error::Operation;
use crate::store::error::{Fault, LedgerError};
use crate::store::location::Location;

/// What is handed to a statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parameter<'a> {
    Null,
    Integer(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

/// The parameters of a statement, in the order of their numbers.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::engine::Parameter::from($value)),*] as [$crate::store::engine::Parameter<'_>; _]
    };
}
pub(super) use params;

impl From<i64> for Parameter<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Parameter<'_> {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<bool> for Parameter<'_> {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<String> for Parameter<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl<'a> From<&'a String> for Parameter<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<Vec<u8>> for Parameter<'_> {
    fn from(value: Vec<u8>) -> Self {
        Self::Blob(Cow::Owned(value))
    }
}

impl<'a, T: Into<Parameter<'a>>> From<Option<T>> for Parameter<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// What stands in a column of a row; borrowed, since rows are read by the thousand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl<'a> Value<'a> {
    fn unlike(self, wanted: &str) -> Fault {
        let is = match self {
            Self::Null => "null",
            Self::Integer(_) => "a number",
            Self::Text(_) => "a text",
            Self::Blob(_) => "bytes",
        };
        Fault::Damaged(format!("{is} stands where {wanted} is wanted"))
    }

    fn integer(self) -> Result<i64, Fault> {
        match self {
            Self::Integer(value) => Ok(value),
            other => Err(other.unlike("a number")),
        }
    }

    fn text(self) -> Result<&'a str, Fault> {
        match self {
            Self::Text(value) => Ok(value),
            other => Err(other.unlike("a text")),
        }
    }
}

/// What a column can be read as.
pub(super) trait FromValue: Sized {
    fn from_value(value: Value<'_>) -> Result<Self, Fault>;
}

impl FromValue for i64 {
    fn from_value(value: Value<'_>) -> Result<Self, Fault> {
        value.integer()
    }
}

impl FromValue for bool {
    fn from_value(value: Value<'_>) -> Result<Self, Fault> {
        Ok(value.integer()? != 0)
    }
}

impl FromValue for String {
    fn from_value(value: Value<'_>) -> Result<Self, Fault> {
        value.text().map(str::to_owned)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A row that a query found.
pub(super) enum Row<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    #[cfg(feature = "postgres")]
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// What stands in a column.
    pub(super) fn value(&self, column: usize) -> Result<Value<'_>, Fault> {
        match self {
            Self::Sqlite(row) => sqlite::value(row, column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => postgres::value(row, column),
        }
    }

    pub(super) fn get<T: FromValue>(&self, column: usize) -> Result<T, Fault> {
        T::from_value(self.value(column)?)
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, Fault> {
        self.value(column)?.text()
    }

    pub(super) fn text_option(&self, column: usize) -> Result<Option<&str>, Fault> {
        match self.value(column)? {
            Value::Null => Ok(None),
            value => value.text().map(Some),
        }
    }

    pub(super) fn blob(&self, column: usize) -> Result<&[u8], Fault> {
        match self.value(column)? {
            Value::Blob(bytes) => Ok(bytes),
            other => Err(other.unlike("a run of bytes")),
        }
    }
}

/// Who else may have the ledger open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Nobody who writes.
    Alone,
    /// Others that take turns by a Lease.
    Shared,
}

/// An open ledger, as statements see it.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(sqlite::Database),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Session),
}

impl Connection {
    pub(super) fn open(location: &Location, company: Company) -> Result<Self, LedgerError> {
        match location {
            Location::File(path) => sqlite::Database::open(path).map(Self::Sqlite),
            Location::Memory => sqlite::Database::in_memory().map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            Location::Postgres(server) => {
                postgres::Session::open(server, company).map(Self::Postgres)
            }
            #[cfg(not(feature = "postgres"))]
            Location::Postgres(_) => {
                let _ = company;
                Err(LedgerError::NoPostgres { ledger: location.to_string() })
            }
        }
    }

    pub(super) fn open_read_only(location: &Location) -> Result<Self, LedgerError> {
        match location {
            Location::File(path) => sqlite::Database::open_read_only(path).map(Self::Sqlite),
            Location::Memory => Err(LedgerError::Missing { ledger: location.to_string() }),
            #[cfg(feature = "postgres")]
            Location::Postgres(server) => {
                postgres::Session::open_read_only(server).map(Self::Postgres)
            }
            #[cfg(not(feature = "postgres"))]
            Location::Postgres(_) => Err(LedgerError::NoPostgres { ledger: location.to_string() }),
        }
    }

    pub(super) fn close(self, wrote: bool) -> Result<(), Fault> {
        match self {
            Self::Sqlite(database) => database.close(wrote),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => {
                drop(session);
                Ok(())
            }
        }
    }

    /// Begins a transaction that changes something. It is rolled back unless it is committed.
    pub(super) fn begin(&self) -> Result<Open<'_>, Fault> {
        match self {
            Self::Sqlite(database) => database.begin()?,
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.begin()?,
        }
        Ok(Open { connection: self, done: false })
    }

    /// Begins a transaction in which everything that is read belongs to one instant.
    pub(super) fn begin_instant(&self) -> Result<Open<'_>, Fault> {
        match self {
            Self::Sqlite(database) => database.begin_instant()?,
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.begin_instant()?,
        }
        Ok(Open { connection: self, done: false })
    }

    fn end(&self, how: &str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(database) => database.end(how),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.end(how),
        }
    }

    /// Marks the writes of this connection, so that it can tell its own from another's; none where
    /// no other can write.
    pub(super) fn mark(&self) -> Option<&str> {
        match self {
            Self::Sqlite(_) => None,
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => Some(session.mark()),
        }
    }

    /// Runs a statement that changes something, and tells how many rows it changed.
    pub(super) fn run(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<usize, Fault> {
        match self {
            Self::Sqlite(database) => database.run(sql, parameters),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.run(sql, parameters),
        }
    }

    /// Runs one statement for each set of parameters.
    pub(super) fn run_all<'a, P: AsRef<[Parameter<'a>]>>(
        &self,
        sql: &str,
        sets: impl IntoIterator<Item = Result<P, Fault>>,
    ) -> Result<(), Fault> {
        match self {
            Self::Sqlite(database) => {
                for parameters in sets {
                    database.run(sql, parameters?.as_ref())?;
                }
                Ok(())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.run_all(sql, sets),
        }
    }

    /// Runs a query and hands over each row.
    pub(super) fn each(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Sqlite(database) => database.each(sql, parameters, read),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.each(sql, parameters, read),
        }
    }

    /// Whether a write that was told as in doubt turned out to be kept since.
    pub(super) fn kept_after_all(&self, revision: i64) -> bool {
        match self {
            Self::Sqlite(_) => {
                let _ = revision;
                false
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.kept_after_all(revision),
        }
    }

    /// Looks up what became of a write that was told as in doubt.
    pub(super) fn settle_doubt(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.settle_doubt(),
        }
    }

    /// Lets the open transaction take as long as it takes.
    pub(super) fn unhurried(&self) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => Ok(()),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.unhurried(),
        }
    }

    /// Numbers new rows of a table on from those that it holds.
    pub(super) fn number_on(&self, table: &str) -> Result<(), Fault> {
        match self {
            Self::Sqlite(_) => {
                let _ = table;
                Ok(())
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => session.number_on(table),
        }
    }

    /// Copies the ledger into an empty file.
    pub(super) fn copy_into(&self, path: &std::path::Path) -> Result<(), Fault> {
        match self {
            Self::Sqlite(database) => database.copy_into(path),
            #[cfg(feature = "postgres")]
            Self::Postgres(session) => Err(Fault::Refused(LedgerError::NotAFile {
                operation: Operation::Backup,
                ledger: session.to_string(),
            })),
        }
    }
}

/// A transaction that is open.
pub(super) struct Open<'a> {
    connection: &'a Connection,
    done: bool,
}

impl Open<'_> {
    /// Keeps what was done. `revision` is what the ledger counts with it: where the answer is lost,
    /// it tells whether the write was kept.
    pub(super) fn commit(mut self, revision: i64) -> Result<(), Fault> {
        match self.connection {
            Connection::Sqlite(database) => database.end("COMMIT")?,
            #[cfg(feature = "postgres")]
            Connection::Postgres(session) => {
                self.done = true;
                session.commit(revision)?;
            }
        }
        self.done = true;
        let _ = revision;
        Ok(())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.done {
            // It fails where the connection is gone, and the transaction with it.
            let _ = self.connection.end("ROLLBACK");
        }
    }
}
