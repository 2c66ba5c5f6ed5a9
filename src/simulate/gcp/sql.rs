//! The SELECT subset of GoogleSQL that the simulated BigQuery runs over the billing export.
//!
//! [`bind`] settles names and types against the tables, [`run`](mod@run) executes. What is not served is an
//! error that names it, never another answer than BigQuery's.

pub mod aggregate;
pub mod bind;
pub mod cast;
pub mod functions;
pub mod plan;
pub mod run;
pub mod time;
pub mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use sqlparser::ast::{Query, Statement};
use sqlparser::dialect::BigQueryDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use self::bind::Binder;
use self::plan::QueryPlan;
use self::value::{Field, Type, Value};

/// Why a query was refused, with BigQuery's reason for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// `invalidQuery`, `notFound`, ... (BigQuery's error table).
    pub reason: &'static str,
    /// The message, with its place in the text at the end: `at [1:8]`.
    pub message: String,
    /// Whether an aggregate function stood where rows are not grouped.
    pub(super) aggregate: bool,
}

impl SqlError {
    /// An `invalidQuery` error.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { reason: "invalidQuery", message: message.into(), aggregate: false }
    }

    /// An `invalidQuery` error with a place.
    pub fn at(message: impl AsRef<str>, place: Location) -> Self {
        Self::invalid(format!("{} at [{}:{}]", message.as_ref(), place.line, place.column))
    }

    /// A `notFound` error.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { reason: "notFound", message: message.into(), aggregate: false }
    }

    /// Something that BigQuery may run and this server does not.
    pub fn unsupported(what: impl AsRef<str>, place: Location) -> Self {
        Self::at(format!("{} is not served by the simulated BigQuery", what.as_ref()), place)
    }
}

/// A table: typed columns, and a way to read one value.
pub struct Table {
    /// `project.dataset.table`.
    pub name: String,
    /// Its columns, the pseudo columns last.
    pub columns: Arc<[Field]>,
    /// How many of the columns, at the end, are pseudo columns: outside `SELECT *`, free to read,
    /// and conditions on them alone prune partitions.
    pub pseudo_columns: usize,
    /// How many rows it has.
    pub rows: usize,
    /// The value of a row (first) and a column (second).
    #[allow(clippy::type_complexity)]
    pub read: Box<dyn Fn(usize, usize) -> Value>,
}

/// Where table names lead.
pub trait Tables {
    /// The table of a path as it is written: one to three parts.
    ///
    /// # Errors
    /// `notFound` with BigQuery's words for a missing table or dataset.
    fn table(&self, path: &[&str]) -> Result<Table, SqlError>;
}

/// A query parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its type.
    pub ty: Type,
    /// Its value.
    pub value: Value,
}

/// The parameters of a query.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    /// By lower-case name, without the `@`.
    pub named: BTreeMap<String, Parameter>,
    /// By place, for `?`.
    pub positional: Vec<Parameter>,
}

/// What a query gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its columns.
    pub columns: Vec<Field>,
    /// Its rows.
    pub rows: Vec<Vec<Value>>,
    /// The bytes that BigQuery would read, one entry for each table scanned.
    pub scanned: Vec<u64>,
}

/// Bytes that one column of one row counts: a round figure in place of real storage sizes.
const BYTES_PER_VALUE: u64 = 100;

/// Runs a query.
///
/// `now` is what CURRENT_TIMESTAMP tells.
///
/// # Errors
/// [`SqlError`] in BigQuery's words: syntax, names, types, data, and what is not served.
pub fn run(
    text: &str,
    parameters: &Parameters,
    tables: &dyn Tables,
    now: Timestamp,
) -> Result<Output, SqlError> {
    let (query, placeholders) = parse(text)?;
    let binder = Binder::new(tables, parameters, placeholders, now);
    let plan: Rc<QueryPlan> = binder.whole(&query)?;
    let uses = binder.into_uses();
    let executor = run::Executor::new(&uses);
    let rows = executor.query(&plan, None)?;
    let scanned = executor
        .scanned()
        .map(|(rows, columns)| rows as u64 * columns as u64 * BYTES_PER_VALUE)
        .collect();
    Ok(Output { columns: plan.columns.clone(), rows: rows.iter().cloned().collect(), scanned })
}

/// The one query of a text, and where its `?` stand.
fn parse(text: &str) -> Result<(Query, Vec<Location>), SqlError> {
    let dialect = BigQueryDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| {
        SqlError::at(format!("Syntax error: {}", error.message), error.location)
    })?;
    let placeholders = tokens
        .iter()
        .filter(|token| matches!(token.token, Token::Placeholder(_)))
        .map(|token| token.span.start)
        .collect();
    let mut statements = Parser::new(&dialect)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| syntax_error(&error))?;
    match (statements.pop(), statements.is_empty()) {
        (Some(Statement::Query(query)), true) => Ok((*query, placeholders)),
        (Some(_), true) => {
            Err(SqlError::invalid("only a SELECT statement is served by the simulated BigQuery"))
        }
        (Some(_), false) => Err(SqlError::invalid(
            "a script of several statements is not served by the simulated BigQuery",
        )),
        (None, _) => Err(SqlError::invalid("Syntax error: Unexpected end of script")),
    }
}

/// Turns `Expected: x, found: y at Line: 1, Column: 8` into `Syntax error: ... at [1:8]`.
fn syntax_error(error: &ParserError) -> SqlError {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply",
    };
    let place = text.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((message, Location::new(line.parse().ok()?, column.trim().parse().ok()?)))
    });
    match place {
        Some((message, place)) => SqlError::at(format!("Syntax error: {message}"), place),
        None => SqlError::invalid(format!("Syntax error: {text}")),
    }
}
