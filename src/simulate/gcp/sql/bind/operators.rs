//! Operators and literals: comparisons, arithmetic, casts, LIKE.

use rust_decimal::Decimal;
use sqlparser::ast::{DataType, ExactNumberInfo, TimezoneInfo, TypedString, Value as Literal};
use sqlparser::tokenizer::Location;

use super::{boolean, comparable};
use crate::simulate::gcp::sql::plan::{Arithmetic, Comparison, Function, Node, Typed};
use crate::simulate::gcp::sql::value::{Float, Type, Value};
use crate::simulate::gcp::sql::{SqlError, cast, functions};

pub(super) fn compare(
    how: Comparison,
    left: Typed,
    right: Typed,
    place: Location,
) -> Result<Typed, SqlError> {
    let sign = match how {
        Comparison::Equal => "=",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    };
    let (nodes, _) = comparable(vec![left, right], sign, place)?;
    let mut nodes = nodes.into_iter().map(Box::new);
    match (nodes.next(), nodes.next()) {
        (Some(left), Some(right)) => Ok(boolean(Node::Compare(how, left, right))),
        _ => Err(SqlError::at("a comparison wants two sides", place)),
    }
}

pub(super) fn compute(
    how: Arithmetic,
    left: Typed,
    right: Typed,
    place: Location,
) -> Result<Typed, SqlError> {
    let sign = match how {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
    };
    let both = vec![left, right];
    let common = cast::common_type(&both.iter().collect::<Vec<_>>()).filter(Type::is_number);
    let Some(mut ty) = common else {
        return Err(functions::no_signature("operator", sign, &both, place));
    };
    if how == Arithmetic::Divide && ty == Type::Int64 {
        ty = Type::Float64;
    }
    let mut nodes = Vec::new();
    for side in both {
        nodes.push(cast::coerce(side, &ty)?.node);
    }
    let (right, left) = (nodes.pop(), nodes.pop());
    match (left, right) {
        (Some(left), Some(right)) => {
            Ok(Typed::new(Node::Arithmetic(how, Box::new(left), Box::new(right)), ty))
        }
        _ => Err(SqlError::at("an operator wants two sides", place)),
    }
}

pub(super) fn cast_to(
    input: Typed,
    to: &DataType,
    safe: bool,
    place: Location,
) -> Result<Typed, SqlError> {
    let ty = type_of(to, place)?;
    if input.is_null_literal() {
        return Ok(Typed::new(Node::Constant(Value::Null), ty));
    }
    if !cast::is_castable(&input.ty, &ty) {
        return Err(SqlError::at(format!("Invalid cast from {} to {ty}", input.ty), place));
    }
    let node = Node::Cast { input: Box::new(input.node), to: ty.clone(), safe };
    Ok(Typed::new(node, ty))
}

/// The type that a name in CAST means.
pub(super) fn type_of(data_type: &DataType, place: Location) -> Result<Type, SqlError> {
    Ok(match data_type {
        DataType::Bool | DataType::Boolean => Type::Bool,
        DataType::Int64
        | DataType::Int(None)
        | DataType::Integer(None)
        | DataType::BigInt(None) => Type::Int64,
        DataType::Float64 => Type::Float64,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) => {
            Type::Numeric
        }
        DataType::String(None) => Type::String,
        DataType::Date => Type::Date,
        DataType::Datetime(None) => Type::Datetime,
        DataType::Timestamp(None, TimezoneInfo::None) => Type::Timestamp,
        other => return Err(SqlError::unsupported(format!("the type {other}"), place)),
    })
}

pub(super) fn typed_string(literal: &TypedString, place: Location) -> Result<Typed, SqlError> {
    let ty = type_of(&literal.data_type, place)?;
    let Some(text) = string_of(&literal.value.value) else {
        return Err(SqlError::unsupported(format!("the literal {literal}"), place));
    };
    let value = cast::cast(&Value::text(text), &ty)
        .map_err(|_| SqlError::at(format!("Invalid {ty} literal"), place))?;
    Ok(Typed::new(Node::Constant(value), ty))
}

pub(super) fn string_of(literal: &Literal) -> Option<&str> {
    match literal {
        Literal::SingleQuotedString(text)
        | Literal::DoubleQuotedString(text)
        | Literal::TripleSingleQuotedString(text)
        | Literal::TripleDoubleQuotedString(text)
        | Literal::SingleQuotedRawStringLiteral(text)
        | Literal::DoubleQuotedRawStringLiteral(text) => Some(text),
        _ => None,
    }
}

pub(super) fn number(text: &str, place: Location) -> Result<Typed, SqlError> {
    if let Ok(value) = text.parse() {
        return Ok(Typed::literal(Value::Int(value), Type::Int64));
    }
    let decimal = text.parse().or_else(|_| Decimal::from_scientific(text)).ok();
    match (text.parse(), decimal) {
        (Ok(approximate), exact) => {
            Ok(Typed::literal(Value::Float(Float { approximate, exact }), Type::Float64))
        }
        _ => Err(SqlError::at(format!("Invalid floating point literal: {text}"), place)),
    }
}

pub(super) const LIKE: Function = Function {
    name: "LIKE",
    strict: true,
    apply: |values| match values {
        [Value::String(text), Value::String(pattern)] => {
            let text: Vec<char> = text.chars().collect();
            let pattern: Vec<char> = pattern.chars().collect();
            Ok(Value::Bool(is_like(&text, &pattern)))
        }
        _ => Ok(Value::Null),
    },
};

pub(super) fn is_like(text: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len())
            .any(|skipped| text.get(skipped..).is_some_and(|text| is_like(text, rest))),
        Some(('\\', [letter, rest @ ..])) => {
            text.split_first().is_some_and(|(first, text)| first == letter && is_like(text, rest))
        }
        Some((letter, rest)) => text.split_first().is_some_and(|(first, text)| {
            (*letter == '_' || first == letter) && is_like(text, rest)
        }),
    }
}
