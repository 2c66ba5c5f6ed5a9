//! CAST, and the coercions that GoogleSQL makes by itself.
//!
//! Source: <https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules>.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::SqlError;
use super::plan::{Node, Typed};
use super::time;
use super::value::{Float, Type, Value, to_numeric_scale};

/// How far an expression is from a type: 0 for the type itself, none where it does not coerce.
pub fn distance(from: &Typed, to: &Type) -> Option<u8> {
    if from.ty == *to {
        return Some(0);
    }
    if from.is_null_literal() {
        return Some(1);
    }
    match (&from.ty, to) {
        (Type::Int64, Type::Numeric)
        | (Type::Numeric, Type::Float64)
        | (Type::Date, Type::Datetime) => Some(1),
        (Type::Int64, Type::Float64) => Some(2),
        (Type::Float64, Type::Numeric) if from.literal => Some(2),
        (Type::String, Type::Date) if from.literal => Some(3),
        (Type::String, Type::Datetime | Type::Timestamp) if from.literal => Some(4),
        _ => None,
    }
}

/// The expression as a type to which [`distance`] says that it coerces.
///
/// # Errors
/// A literal that is not a value of the type.
pub fn coerce(from: Typed, to: &Type) -> Result<Typed, SqlError> {
    if from.ty == *to {
        return Ok(from);
    }
    if let Node::Constant(value) = &from.node {
        let value = cast(value, to).map_err(|_| {
            SqlError::invalid(format!("Could not cast literal {} to type {to}", shown(value)))
        })?;
        return Ok(Typed { node: Node::Constant(value), ty: to.clone(), literal: from.literal });
    }
    let node = Node::Cast { input: Box::new(from.node), to: to.clone(), safe: false };
    Ok(Typed::new(node, to.clone()))
}

/// The one type to which all expressions coerce.
pub fn common_type(all: &[&Typed]) -> Option<Type> {
    let solid = all.iter().filter(|typed| !typed.is_null_literal());
    let mut candidates: Vec<&Type> = solid.map(|typed| &typed.ty).collect();
    if candidates.is_empty() {
        return all.first().map(|typed| typed.ty.clone());
    }
    candidates.push(&Type::Numeric);
    candidates.push(&Type::Float64);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let far = all.iter().map(|typed| distance(typed, candidate));
            let far = far.sum::<Option<u8>>()?;
            Some((far, candidate))
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, ty)| ty.clone())
}

/// Whether CAST goes from a type to another at all.
pub fn is_castable(from: &Type, to: &Type) -> bool {
    use Type::{Bool, Date, Datetime, Float64, Int64, Numeric, String, Timestamp};
    from == to
        || matches!(
            (from, to),
            (Int64, Bool | Float64 | Numeric | String)
                | (Float64 | Numeric, Int64 | Float64 | Numeric | String)
                | (Bool, Int64 | String)
                | (String, Int64 | Float64 | Numeric | Bool | Date | Datetime | Timestamp)
                | (Date | Datetime | Timestamp, Date | Datetime | Timestamp | String)
        )
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{text}\""),
        other => text(other),
    }
}

/// A value as CAST AS STRING writes it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null | Value::Array(_) | Value::Struct(_) => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{}", value.approximate),
        Value::Numeric(value) => value.normalize().to_string(),
        Value::String(value) => value.to_string(),
        Value::Date(value) => value.to_string(),
        Value::Datetime(value) => time::datetime_text(*value, ' '),
        Value::Timestamp(value) => time::timestamp_text(*value, &TimeZone::UTC),
    }
}

/// Casts a value to a type.
///
/// # Errors
/// Data that is not a value of the type, in BigQuery's words.
pub fn cast(value: &Value, to: &Type) -> Result<Value, SqlError> {
    let bad = |what: &str| SqlError::invalid(format!("Bad {what} value: {}", text(value)));
    let utc = TimeZone::UTC;
    Ok(match (value, to) {
        (Value::Null, _) => Value::Null,
        (_, Type::String) => Value::text(&text(value)),
        (Value::Bool(value), Type::Int64) => Value::Int(i64::from(*value)),
        (Value::Int(value), Type::Bool) => Value::Bool(*value != 0),
        (Value::Int(value), Type::Float64) => Value::exact_float(Decimal::from(*value)),
        (Value::Int(value), Type::Numeric) => Value::Numeric(Decimal::from(*value)),
        (Value::Float(value), Type::Int64) => whole(to_decimal(*value)?)?,
        (Value::Float(value), Type::Numeric) => Value::Numeric(to_decimal(*value)?),
        (Value::Numeric(value), Type::Int64) => whole(*value)?,
        (Value::Numeric(value), Type::Float64) => Value::exact_float(*value),
        (Value::String(text), Type::Int64) => {
            Value::Int(text.trim().parse().map_err(|_| bad("int64"))?)
        }
        (Value::String(text), Type::Float64) => {
            Value::Float(Float::computed(text.trim().parse().map_err(|_| bad("double"))?))
        }
        (Value::String(text), Type::Numeric) => {
            let text = text.trim();
            let amount = text.parse().or_else(|_| Decimal::from_scientific(text));
            Value::Numeric(to_numeric_scale(
                amount.map_err(|_| SqlError::invalid(format!("Invalid NUMERIC value: {text}")))?,
            ))
        }
        (Value::String(text), Type::Bool) => match text.to_ascii_lowercase().as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return Err(bad("bool")),
        },
        (Value::String(text), Type::Date) => Value::Date(time::parse_date(text)?),
        (Value::String(text), Type::Datetime) => Value::Datetime(time::parse_datetime(text)?),
        (Value::String(text), Type::Timestamp) => {
            Value::Timestamp(time::parse_timestamp(text, &utc)?)
        }
        (Value::Date(date), Type::Datetime) => Value::Datetime(date.to_datetime(Time::midnight())),
        (Value::Date(date), Type::Timestamp) => {
            Value::Timestamp(time::instant(date.to_datetime(Time::midnight()), &utc)?)
        }
        (Value::Datetime(civil), Type::Date) => Value::Date(civil.date()),
        (Value::Datetime(civil), Type::Timestamp) => Value::Timestamp(time::instant(*civil, &utc)?),
        (Value::Timestamp(at), Type::Date) => Value::Date(time::civil(*at, &utc).date()),
        (Value::Timestamp(at), Type::Datetime) => Value::Datetime(time::civil(*at, &utc)),
        _ => value.clone(),
    })
}

/// A FLOAT64 as a NUMERIC: from the decimal behind it where there is one.
fn to_decimal(value: Float) -> Result<Decimal, SqlError> {
    let amount = value.exact.or_else(|| Decimal::from_f64_retain(value.approximate));
    amount
        .map(to_numeric_scale)
        .ok_or_else(|| SqlError::invalid(format!("Invalid NUMERIC value: {}", value.approximate)))
}

fn whole(amount: Decimal) -> Result<Value, SqlError> {
    let rounded = amount.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    let whole = rounded.to_i64();
    whole.map(Value::Int).ok_or_else(|| SqlError::invalid(format!("int64 out of range: {amount}")))
}
