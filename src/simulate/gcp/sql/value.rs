//! The types and values of the SQL that the simulated BigQuery runs.
//!
//! Source: GoogleSQL data types, <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types>.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rust_decimal::{Decimal, RoundingStrategy};

/// A GoogleSQL type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// BOOL.
    Bool,
    /// INT64.
    Int64,
    /// FLOAT64.
    Float64,
    /// NUMERIC: 9 digits after the point.
    Numeric,
    /// STRING.
    String,
    /// DATE.
    Date,
    /// DATETIME: civil, without a zone.
    Datetime,
    /// TIMESTAMP: an instant.
    Timestamp,
    /// ARRAY of one type.
    Array(Arc<Type>),
    /// STRUCT of named fields.
    Struct(Arc<[Field]>),
}

/// A named column or struct field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// Its name, as written.
    pub name: Arc<str>,
    /// Its type.
    pub ty: Type,
}

impl Field {
    /// A field.
    pub fn new(name: &str, ty: Type) -> Self {
        Self { name: name.into(), ty }
    }
}

impl Type {
    /// A STRUCT type of fields.
    pub fn record(fields: Vec<Field>) -> Self {
        Self::Struct(fields.into())
    }

    /// An ARRAY of records.
    pub fn records(fields: Vec<Field>) -> Self {
        Self::Array(Arc::new(Self::record(fields)))
    }

    /// Whether the type can be added up.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int64 | Self::Float64 | Self::Numeric)
    }

    /// Whether values can be compared, ordered and grouped.
    pub fn is_orderable(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Struct(_))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("BOOL"),
            Self::Int64 => f.write_str("INT64"),
            Self::Float64 => f.write_str("FLOAT64"),
            Self::Numeric => f.write_str("NUMERIC"),
            Self::String => f.write_str("STRING"),
            Self::Date => f.write_str("DATE"),
            Self::Datetime => f.write_str("DATETIME"),
            Self::Timestamp => f.write_str("TIMESTAMP"),
            Self::Array(element) => write!(f, "ARRAY<{element}>"),
            Self::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{} {}", field.name, field.ty)?;
                }
                f.write_str(">")
            }
        }
    }
}

/// A FLOAT64. A value that comes straight from a table keeps the decimal that it was made of, so
/// that `CAST(cost AS NUMERIC)` is exact; arithmetic in FLOAT64 drops it.
#[derive(Debug, Clone, Copy)]
pub struct Float {
    /// The binary number.
    pub approximate: f64,
    /// The decimal behind it.
    pub exact: Option<Decimal>,
}

impl Float {
    /// A computed number.
    pub fn computed(approximate: f64) -> Self {
        Self { approximate, exact: None }
    }

    fn bits(self) -> u64 {
        if self.approximate == 0.0 { 0 } else { self.approximate.to_bits() }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Float {}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// A GoogleSQL value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// BOOL.
    Bool(bool),
    /// INT64.
    Int(i64),
    /// FLOAT64.
    Float(Float),
    /// NUMERIC.
    Numeric(Decimal),
    /// STRING.
    String(Arc<str>),
    /// DATE.
    Date(Date),
    /// DATETIME.
    Datetime(DateTime),
    /// TIMESTAMP.
    Timestamp(Timestamp),
    /// ARRAY.
    Array(Arc<[Value]>),
    /// STRUCT, fields in the order of its type.
    Struct(Arc<[Value]>),
}

impl Value {
    /// A STRING.
    pub fn text(text: &str) -> Self {
        Self::String(text.into())
    }

    /// A STRING, or NULL for the empty text.
    pub fn text_or_null(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { Self::text(text) }
    }

    /// A FLOAT64 that remembers its decimal.
    pub fn exact_float(amount: Decimal) -> Self {
        let approximate = amount.to_string().parse().unwrap_or(f64::NAN);
        Self::Float(Float { approximate, exact: Some(amount) })
    }

    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is TRUE: what WHERE, HAVING, IF and CASE ask.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    /// The order of two values of one type, NULL before everything, NaN before other numbers.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => {
                let (a, b) = (a.approximate, b.approximate);
                a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
            }
            (Self::Numeric(a), Self::Numeric(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Datetime(a), Self::Datetime(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            // The binder lets no other pair through.
            _ => Ordering::Equal,
        }
    }
}

/// Rounds to the 9 places of a NUMERIC, half away from zero, as BigQuery does.
pub fn to_numeric_scale(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(9, RoundingStrategy::MidpointAwayFromZero)
}
