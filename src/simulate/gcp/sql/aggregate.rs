//! Aggregate functions at work.

use std::collections::HashSet;

use rust_decimal::Decimal;

use super::SqlError;
use super::plan::{Aggregate, AggregateKind};
use super::value::{Float, Type, Value, to_numeric_scale};

/// One aggregate's state over the rows of one group.
pub struct State {
    kind: AggregateKind,
    seen: Option<HashSet<Value>>,
    rows: i64,
    result: Value,
    elements: Vec<Value>,
}

impl State {
    /// The state before any row.
    pub fn new(aggregate: &Aggregate) -> Self {
        Self {
            kind: aggregate.kind.clone(),
            seen: aggregate.distinct.then(HashSet::new),
            rows: 0,
            result: Value::Null,
            elements: Vec::new(),
        }
    }

    /// Takes the argument of one row; nothing for COUNT(*).
    ///
    /// # Errors
    /// An overflow, in BigQuery's words.
    pub fn take(&mut self, argument: Option<Value>) -> Result<(), SqlError> {
        let Some(value) = argument else {
            self.rows += 1;
            return Ok(());
        };
        let keeps_nulls =
            matches!(self.kind, AggregateKind::Any | AggregateKind::Array { ignore_nulls: false });
        if value.is_null() && !keeps_nulls {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert(value.clone())
        {
            return Ok(());
        }
        match &self.kind {
            AggregateKind::CountIf if !value.is_true() => return Ok(()),
            AggregateKind::Sum(_) | AggregateKind::Average(_) => {
                self.result = add(&self.result, &value)?;
            }
            AggregateKind::Minimum if self.rows > 0 && self.result.order(&value).is_le() => {}
            AggregateKind::Maximum if self.rows > 0 && self.result.order(&value).is_ge() => {}
            AggregateKind::Any if self.rows > 0 => {}
            AggregateKind::Minimum | AggregateKind::Maximum | AggregateKind::Any => {
                self.result = value;
            }
            AggregateKind::Logical(all) => {
                let before = if self.rows == 0 { *all } else { self.result.is_true() };
                let now = value.is_true();
                self.result = Value::Bool(if *all { before && now } else { before || now });
            }
            AggregateKind::Strings(_) | AggregateKind::Array { .. } => self.elements.push(value),
            AggregateKind::Count | AggregateKind::CountIf | AggregateKind::Grouping(_) => {}
        }
        self.rows += 1;
        Ok(())
    }

    /// The result for a group of a grouping set that has these keys.
    ///
    /// # Errors
    /// A sum that does not fit its type.
    pub fn finish(self, set: &[usize]) -> Result<Value, SqlError> {
        Ok(match self.kind {
            AggregateKind::Count | AggregateKind::CountIf => Value::Int(self.rows),
            AggregateKind::Grouping(key) => Value::Int(i64::from(!set.contains(&key))),
            AggregateKind::Average(ty) if self.rows > 0 => average(&self.result, self.rows, &ty)?,
            AggregateKind::Strings(delimiter) if !self.elements.is_empty() => {
                let texts: Vec<&str> = self
                    .elements
                    .iter()
                    .filter_map(|value| match value {
                        Value::String(text) => Some(text.as_ref()),
                        _ => None,
                    })
                    .collect();
                Value::text(&texts.join(&delimiter))
            }
            AggregateKind::Array { .. } if !self.elements.is_empty() => {
                Value::Array(self.elements.into())
            }
            _ => self.result,
        })
    }
}

fn add(sum: &Value, value: &Value) -> Result<Value, SqlError> {
    match (sum, value) {
        (Value::Null, value) => Ok(value.clone()),
        (Value::Int(sum), Value::Int(value)) => sum
            .checked_add(*value)
            .map(Value::Int)
            .ok_or_else(|| SqlError::invalid("int64 overflow")),
        (Value::Numeric(sum), Value::Numeric(value)) => sum
            .checked_add(*value)
            .map(Value::Numeric)
            .ok_or_else(|| SqlError::invalid("numeric overflow")),
        (Value::Float(sum), Value::Float(value)) => {
            Ok(Value::Float(Float::computed(sum.approximate + value.approximate)))
        }
        _ => Err(SqlError::invalid("SUM wants values of one number type")),
    }
}

fn average(sum: &Value, rows: i64, ty: &Type) -> Result<Value, SqlError> {
    match (sum, ty) {
        (Value::Numeric(sum), Type::Numeric) => sum
            .checked_div(Decimal::from(rows))
            .map(|mean| Value::Numeric(to_numeric_scale(mean)))
            .ok_or_else(|| SqlError::invalid("numeric overflow")),
        (Value::Int(sum), _) => Ok(Value::Float(Float::computed(*sum as f64 / rows as f64))),
        (Value::Float(sum), _) => Ok(Value::Float(Float::computed(sum.approximate / rows as f64))),
        _ => Err(SqlError::invalid("AVG wants values of one number type")),
    }
}
