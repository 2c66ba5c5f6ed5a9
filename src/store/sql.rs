//! How the words of the domain stand in the ledger's columns, and back.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::breakdown::Amounts;
use crate::domain::identity::{Provider, SourceId};
use crate::domain::report::SourceErrorKind;
use crate::store::engine::{Connection, FromValue, Parameter, Row, params};
use crate::store::error::Fault;

/// An instant as text of a fixed width: exact to the nanosecond, and ordered as instants are.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Reads a text column into a type that prints itself so.
pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, Fault>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| Fault::Damaged(format!("`{text}`: {error}")))
}

/// A parsed text column.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: usize) -> Result<T, Fault>
where
    T::Err: Display,
{
    parse(row.text(column)?)
}

/// A parsed text column that may be null.
pub(super) fn parsed_option<T: FromStr>(row: &Row<'_>, column: usize) -> Result<Option<T>, Fault>
where
    T::Err: Display,
{
    row.text_option(column)?.map(parse).transpose()
}

/// A value as JSON text.
pub(super) fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Damaged(error.to_string()))
}

/// A column of JSON text.
pub(super) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    let text = row.text(column)?;
    serde_json::from_str(text).map_err(|error| Fault::Damaged(format!("`{text}`: {error}")))
}

/// A count that is never negative.
pub(super) fn count<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> Result<T, Fault> {
    let value: i64 = row.get(column)?;
    T::try_from(value).map_err(|_| Fault::Damaged(format!("{value} is not a count")))
}

/// Three text columns, beginning at `column`: billed, effective, list. Null is unknown.
pub(super) fn amounts(row: &Row<'_>, column: usize) -> Result<Amounts, Fault> {
    Ok(Amounts {
        billed: parsed_option(row, column)?,
        effective: parsed_option(row, column + 1)?,
        list: parsed_option(row, column + 2)?,
    })
}

/// The texts of the three columns that [`amounts`] reads.
pub(super) fn amount_texts(amounts: &Amounts) -> [Option<String>; 3] {
    [amounts.billed, amounts.effective, amounts.list].map(|amount| amount.as_ref().map(text))
}

/// A decimal with every digit that it was written with.
pub(super) fn text(amount: &Decimal) -> String {
    amount.to_string()
}

/// One value of the first row of a query, none without a row.
pub(super) fn one<'a, T: FromValue>(
    connection: &Connection,
    query: &str,
    parameters: impl AsRef<[Parameter<'a>]>,
) -> Result<Option<T>, Fault> {
    let values = all(connection, query, parameters, |row| row.get(0))?;
    Ok(values.into_iter().next())
}

/// Runs a query and turns each row into something.
pub(super) fn all<'a, T>(
    connection: &Connection,
    query: &str,
    parameters: impl AsRef<[Parameter<'a>]>,
    mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut values = Vec::new();
    connection.each(query, parameters.as_ref(), |row| {
        values.push(read(row)?);
        Ok(())
    })?;
    Ok(values)
}

/// Runs a statement that changes something.
pub(super) fn run<'a>(
    connection: &Connection,
    statement: &str,
    parameters: impl AsRef<[Parameter<'a>]>,
) -> Result<usize, Fault> {
    connection.run(statement, parameters.as_ref())
}

/// Inserts a row and gives the number that the ledger gave it. The statement returns `id`.
pub(super) fn numbered<'a>(
    connection: &Connection,
    statement: &str,
    parameters: impl AsRef<[Parameter<'a>]>,
) -> Result<i64, Fault> {
    one(connection, statement, parameters)?
        .ok_or_else(|| Fault::Damaged("a new row has no number".to_owned()))
}

/// The number of a source that the ledger knows.
pub(super) fn source_number(
    connection: &Connection,
    source: &SourceId,
) -> Result<Option<i64>, Fault> {
    one(connection, "SELECT id FROM source WHERE name = ?1", params![source.as_str()])
}

/// The number of a source, which is noted if it was not known.
pub(super) fn noted_source(connection: &Connection, source: &SourceId) -> Result<i64, Fault> {
    match source_number(connection, source)? {
        Some(number) => Ok(number),
        None => {
            let insert = "INSERT INTO source (name) VALUES (?1) RETURNING id";
            numbered(connection, insert, params![source.as_str()])
        }
    }
}

/// Finds a word in a closed list.
fn word<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, Fault> {
    all.iter()
        .copied()
        .find(|&value| name(value) == text)
        .ok_or_else(|| Fault::Damaged(format!("`{text}` is not a known word")))
}

/// Reads a provider's word.
pub(super) fn provider(text: &str) -> Result<Provider, Fault> {
    word(&Provider::ALL, Provider::as_str, text)
}

/// Reads an error kind's label.
pub(super) fn error_kind(text: &str) -> Result<SourceErrorKind, Fault> {
    const ALL: [SourceErrorKind; 8] = [
        SourceErrorKind::Auth,
        SourceErrorKind::Forbidden,
        SourceErrorKind::RateLimited,
        SourceErrorKind::Timeout,
        SourceErrorKind::Unavailable,
        SourceErrorKind::Malformed,
        SourceErrorKind::NotReady,
        SourceErrorKind::Config,
    ];
    word(&ALL, SourceErrorKind::as_str, text)
}
