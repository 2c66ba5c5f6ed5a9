//! Evaluates an expression over a row.

use std::cmp::Ordering;

use super::{Executor, Frame};
use crate::simulate::gcp::sql::plan::{Arithmetic, Comparison, Node, QueryPlan};
use crate::simulate::gcp::sql::value::{Float, Value, to_numeric_scale};
use crate::simulate::gcp::sql::{SqlError, cast};

impl Executor<'_> {
    /// The value of an expression.
    ///
    /// # Errors
    /// Data errors, in BigQuery's words.
    pub fn eval(&self, node: &Node, frame: &Frame<'_>) -> Result<Value, SqlError> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Column { depth, index } => Ok(column(frame, *depth, *index)),
            Node::Field(inner, index) => Ok(match self.eval(inner, frame)? {
                Value::Struct(values) => values.get(*index).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            }),
            Node::Call(function, arguments) => {
                let values = self.values(arguments, frame)?;
                if function.strict && values.iter().any(Value::is_null) {
                    return Ok(Value::Null);
                }
                (function.apply)(&values)
            }
            Node::Coalesce(nodes) => {
                for node in nodes {
                    let value = self.eval(node, frame)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Node::Case(branches, otherwise) => {
                for (condition, result) in branches {
                    if self.eval(condition, frame)?.is_true() {
                        return self.eval(result, frame);
                    }
                }
                self.eval(otherwise, frame)
            }
            Node::And(left, right) => match self.eval(left, frame)? {
                Value::Bool(false) => Ok(Value::Bool(false)),
                left => match self.eval(right, frame)? {
                    Value::Bool(false) => Ok(Value::Bool(false)),
                    right if left.is_null() || right.is_null() => Ok(Value::Null),
                    _ => Ok(Value::Bool(true)),
                },
            },
            Node::Or(left, right) => match self.eval(left, frame)? {
                Value::Bool(true) => Ok(Value::Bool(true)),
                left => match self.eval(right, frame)? {
                    Value::Bool(true) => Ok(Value::Bool(true)),
                    right if left.is_null() || right.is_null() => Ok(Value::Null),
                    _ => Ok(Value::Bool(false)),
                },
            },
            Node::Not(inner) => Ok(match self.eval(inner, frame)? {
                Value::Bool(value) => Value::Bool(!value),
                _ => Value::Null,
            }),
            Node::Compare(how, left, right) => {
                let (left, right) = (self.eval(left, frame)?, self.eval(right, frame)?);
                Ok(compare(*how, &left, &right))
            }
            Node::Arithmetic(how, left, right) => {
                compute(*how, &self.eval(left, frame)?, &self.eval(right, frame)?)
            }
            Node::IsNull(inner) => Ok(Value::Bool(self.eval(inner, frame)?.is_null())),
            Node::In(left, list) => {
                let left = self.eval(left, frame)?;
                let values = self.values(list, frame)?;
                Ok(is_in(&left, values.iter()))
            }
            Node::InArray(left, array) => {
                let left = self.eval(left, frame)?;
                match self.eval(array, frame)? {
                    Value::Array(values) => Ok(is_in(&left, values.iter())),
                    _ => Ok(Value::Bool(false)),
                }
            }
            Node::InQuery(left, plan) => {
                let left = self.eval(left, frame)?;
                let rows = self.query(plan, Some(frame))?;
                Ok(is_in(&left, rows.iter().filter_map(|row| row.first())))
            }
            Node::Cast { input, to, safe } => {
                let value = self.eval(input, frame)?;
                match cast::cast(&value, to) {
                    Err(_) if *safe => Ok(Value::Null),
                    other => other,
                }
            }
            Node::Scalar(plan) => self.scalar(plan, frame),
            Node::Exists(plan) => Ok(Value::Bool(!self.query(plan, Some(frame))?.is_empty())),
            Node::ArrayOf(plan) => {
                let rows = self.query(plan, Some(frame))?;
                Ok(Value::Array(rows.iter().filter_map(|row| row.first().cloned()).collect()))
            }
            Node::Array(nodes) => Ok(Value::Array(self.values(nodes, frame)?.into())),
            Node::Struct(nodes) => Ok(Value::Struct(self.values(nodes, frame)?.into())),
        }
    }

    fn values(&self, nodes: &[Node], frame: &Frame<'_>) -> Result<Vec<Value>, SqlError> {
        nodes.iter().map(|node| self.eval(node, frame)).collect()
    }

    fn scalar(&self, plan: &QueryPlan, frame: &Frame<'_>) -> Result<Value, SqlError> {
        let rows = self.query(plan, Some(frame))?;
        match rows.as_slice() {
            [] => Ok(Value::Null),
            [row] => Ok(row.first().cloned().unwrap_or(Value::Null)),
            _ => Err(SqlError::invalid("Scalar subquery produced more than one element")),
        }
    }
}

fn column(frame: &Frame<'_>, depth: usize, index: usize) -> Value {
    let frame = std::iter::successors(Some(frame), |frame| frame.parent).nth(depth);
    frame.and_then(|frame| frame.row.get(index)).cloned().unwrap_or(Value::Null)
}

fn compare(how: Comparison, left: &Value, right: &Value) -> Value {
    if left.is_null() || right.is_null() {
        return Value::Null;
    }
    let is_nan = |value: &Value| matches!(value, Value::Float(value) if value.approximate.is_nan());
    if is_nan(left) || is_nan(right) {
        return Value::Bool(how == Comparison::NotEqual);
    }
    let order = left.order(right);
    Value::Bool(match how {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}

fn is_in<'v>(left: &Value, values: impl Iterator<Item = &'v Value>) -> Value {
    let (mut any, mut unknown) = (false, false);
    for value in values {
        any = true;
        match compare(Comparison::Equal, left, value) {
            Value::Bool(true) => return Value::Bool(true),
            Value::Null => unknown = true,
            _ => {}
        }
    }
    if any && unknown { Value::Null } else { Value::Bool(false) }
}

fn compute(how: Arithmetic, left: &Value, right: &Value) -> Result<Value, SqlError> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Ok(Value::Null),
        (Value::Int(a), Value::Int(b)) => {
            let (a, b) = (*a, *b);
            let (result, sign) = match how {
                Arithmetic::Add => (a.checked_add(b), '+'),
                Arithmetic::Subtract => (a.checked_sub(b), '-'),
                Arithmetic::Multiply => (a.checked_mul(b), '*'),
                Arithmetic::Divide => (a.checked_div(b), '/'),
            };
            result
                .map(Value::Int)
                .ok_or_else(|| SqlError::invalid(format!("int64 overflow: {a} {sign} {b}")))
        }
        (Value::Numeric(a), Value::Numeric(b)) => {
            if how == Arithmetic::Divide && b.is_zero() {
                return Err(SqlError::invalid(format!("division by zero: {a} / {b}")));
            }
            let result = match how {
                Arithmetic::Add => a.checked_add(*b),
                Arithmetic::Subtract => a.checked_sub(*b),
                Arithmetic::Multiply => a.checked_mul(*b),
                Arithmetic::Divide => a.checked_div(*b),
            };
            result
                .map(|amount| Value::Numeric(to_numeric_scale(amount)))
                .ok_or_else(|| SqlError::invalid("numeric overflow"))
        }
        (Value::Float(a), Value::Float(b)) => {
            let (a, b) = (a.approximate, b.approximate);
            if how == Arithmetic::Divide && b == 0.0 {
                return Err(SqlError::invalid(format!("division by zero: {a} / {b}")));
            }
            Ok(Value::Float(Float::computed(match how {
                Arithmetic::Add => a + b,
                Arithmetic::Subtract => a - b,
                Arithmetic::Multiply => a * b,
                Arithmetic::Divide => a / b,
            })))
        }
        _ => Err(SqlError::invalid("an operator wants numbers of one type")),
    }
}
