//! Function calls: conditional forms, dates with parts, aggregates, and keys of a grouping.

use jiff::tz::TimeZone;
use sqlparser::ast::{
    CaseWhen, CeilFloorKind, DateTimeField, DuplicateTreatment, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    NullTreatment,
};
use sqlparser::tokenizer::Location;

use super::names::{Grouped, Scope};
use super::operators::compare;
use super::{Binder, same_type, single_column, start};
use crate::simulate::gcp::sql::plan::{Aggregate, AggregateKind, Comparison, Node, Typed};
use crate::simulate::gcp::sql::value::{Field, Type, Value};
use crate::simulate::gcp::sql::{SqlError, cast, functions, time};

/// The aggregate functions. Others of BigQuery are `Function not found` here.
const AGGREGATES: [&str; 13] = [
    "COUNT",
    "COUNTIF",
    "SUM",
    "AVG",
    "MIN",
    "MAX",
    "ANY_VALUE",
    "LOGICAL_AND",
    "LOGICAL_OR",
    "STRING_AGG",
    "ARRAY_AGG",
    "APPROX_COUNT_DISTINCT",
    "GROUPING",
];

impl Binder<'_> {
    /// The key that an expression is, where rows are grouped.
    pub(super) fn group_key(&self, expr: &Expr, scope: &Scope<'_>) -> Option<Typed> {
        let grouped = scope.grouped?;
        if matches!(expr, Expr::Value(_)) {
            return None;
        }
        let typed = self.expression(expr, grouped.rows).ok()?;
        let index = grouped.keys.iter().position(|key| key.node == typed.node)?;
        Some(Typed::new(Node::Column { depth: 0, index }, typed.ty))
    }

    pub(super) fn function(
        &self,
        function: &Function,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let name = function.name.to_string().to_ascii_uppercase();
        let plain = !function.uses_odbc_syntax
            && function.parameters == FunctionArguments::None
            && function.within_group.is_empty()
            && function.filter.is_none()
            && function.null_treatment.is_none();
        if function.over.is_some() || !plain {
            return Err(SqlError::unsupported(format!("the call `{function}`"), place));
        }
        let empty = FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        };
        let list = match &function.args {
            FunctionArguments::None => &empty,
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(query) if name == "ARRAY" => {
                let plan = self.query(query, Some(scope))?;
                let ty = single_column(&plan, "ARRAY subquery", place)?;
                return Ok(Typed::new(Node::ArrayOf(plan), Type::Array(ty.into())));
            }
            FunctionArguments::Subquery(_) => {
                return Err(SqlError::unsupported(format!("the call `{function}`"), place));
            }
        };
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(&name, list, scope, place);
        }
        if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(SqlError::unsupported(format!("the call `{function}`"), place));
        }
        let exprs = list
            .args
            .iter()
            .map(|arg| plain_argument(arg, place))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(now) = self.current(&name, &exprs, scope, place) {
            return now;
        }
        let arguments = self.arguments(&name, &exprs, scope)?;
        self.scalar(&name, arguments, place)
    }

    fn scalar(
        &self,
        name: &str,
        arguments: Vec<Typed>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        match (name, arguments.len()) {
            ("IF", 3) => {
                let mut arguments = arguments.into_iter();
                let condition = arguments.next().map(|typed| (typed.ty.clone(), typed));
                let (nodes, ty) = same_type(arguments.collect(), "IF", place)?;
                let mut nodes = nodes.into_iter();
                match (condition, nodes.next(), nodes.next()) {
                    (Some((Type::Bool, condition)), Some(yes), Some(no)) => {
                        Ok(Typed::new(Node::Case(vec![(condition.node, yes)], Box::new(no)), ty))
                    }
                    _ => Err(SqlError::at("IF wants a BOOL and two results", place)),
                }
            }
            ("IFNULL", 2) | ("COALESCE", 1..) => {
                let (nodes, ty) = same_type(arguments, name, place)?;
                Ok(Typed::new(Node::Coalesce(nodes), ty))
            }
            ("NULLIF", 2) => {
                let mut arguments = arguments.into_iter();
                match (arguments.next(), arguments.next()) {
                    (Some(value), Some(other)) => {
                        let equal = compare(Comparison::Equal, value.clone(), other, place)?;
                        let null = Node::Constant(Value::Null);
                        let node = Node::Case(vec![(equal.node, null)], Box::new(value.node));
                        Ok(Typed::new(node, value.ty))
                    }
                    _ => Err(SqlError::at("NULLIF wants two arguments", place)),
                }
            }
            ("CONCAT", 1..) => {
                let mut arguments = arguments.into_iter();
                let first = arguments.next().unwrap_or(Typed::literal(Value::Null, Type::String));
                if cast::distance(&first, &Type::String).is_none() {
                    return Err(functions::no_signature("function", "CONCAT", &[first], place));
                }
                arguments.try_fold(first, |left, right| {
                    functions::call("CONCAT_2", vec![left, right], place)
                })
            }
            ("ARRAY_LENGTH", 1) => match arguments.as_slice() {
                [Typed { node, ty: Type::Array(_), .. }] => {
                    Ok(Typed::new(Node::Call(ARRAY_LENGTH, vec![node.clone()]), Type::Int64))
                }
                other => Err(functions::no_signature("function", name, other, place)),
            },
            ("CONCAT_2", _) => Err(SqlError::at("Function not found: CONCAT_2", place)),
            _ => functions::call(name, arguments, place),
        }
    }

    /// Arguments, with an INTERVAL as its number and part, and a bare part as its name.
    fn arguments(
        &self,
        name: &str,
        exprs: &[&Expr],
        scope: &Scope<'_>,
    ) -> Result<Vec<Typed>, SqlError> {
        let part_at = match name {
            "DATE_TRUNC" | "TIMESTAMP_TRUNC" | "DATETIME_TRUNC" | "LAST_DAY" => Some(1),
            "DATE_DIFF" | "TIMESTAMP_DIFF" => Some(2),
            _ => None,
        };
        let mut arguments = Vec::new();
        for (index, expr) in exprs.iter().enumerate() {
            match expr {
                Expr::Interval(interval) => {
                    let Some(part) = &interval.leading_field else {
                        return Err(SqlError::at("an INTERVAL wants a date part", start(expr)));
                    };
                    if interval.last_field.is_some() {
                        return Err(SqlError::unsupported(format!("`{interval}`"), start(expr)));
                    }
                    arguments.push(self.expression(&interval.value, scope)?);
                    arguments.push(part_name(&part.to_string()));
                }
                expr if part_at == Some(index) => arguments.push(part_name(&expr.to_string())),
                expr => arguments.push(self.expression(expr, scope)?),
            }
        }
        Ok(arguments)
    }

    /// CURRENT_TIMESTAMP and its like, by the world's clock.
    fn current(
        &self,
        name: &str,
        exprs: &[&Expr],
        scope: &Scope<'_>,
        place: Location,
    ) -> Option<Result<Typed, SqlError>> {
        if !matches!(name, "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_DATETIME") {
            return None;
        }
        let zone = match exprs {
            [] => Ok(TimeZone::UTC),
            [zone] => self.expression(zone, scope).and_then(|typed| match typed.node {
                Node::Constant(Value::String(name)) => time::zone(&name),
                _ => Err(SqlError::unsupported("a time zone that is not a constant", place)),
            }),
            _ => Err(SqlError::at(format!("Function {name} has too many arguments"), place)),
        };
        Some(zone.map(|zone| {
            let civil = time::civil(self.now, &zone);
            let (value, ty) = match name {
                "CURRENT_DATE" => (Value::Date(civil.date()), Type::Date),
                "CURRENT_DATETIME" => (Value::Datetime(civil), Type::Datetime),
                _ => (Value::Timestamp(self.now), Type::Timestamp),
            };
            Typed::new(Node::Constant(value), ty)
        }))
    }

    fn aggregate(
        &self,
        name: &str,
        list: &FunctionArgumentList,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let Some(grouped) = scope.grouped else {
            return Err(SqlError {
                aggregate: true,
                ..SqlError::at(
                    format!("Aggregate function {name} not allowed in {}", scope.clause),
                    place,
                )
            });
        };
        let ignore_nulls = match list.clauses.as_slice() {
            [] => false,
            [FunctionArgumentClause::IgnoreOrRespectNulls(treatment)] if name == "ARRAY_AGG" => {
                *treatment == NullTreatment::IgnoreNulls
            }
            [other, ..] => {
                return Err(SqlError::unsupported(format!("`{other}` in {name}"), place));
            }
        };
        let mut distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let star =
            matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]);
        let mut arguments = Vec::new();
        if !star {
            for argument in &list.args {
                let typed = self.expression(plain_argument(argument, place)?, grouped.rows);
                arguments.push(typed.map_err(|error| {
                    if error.aggregate {
                        SqlError::at("Aggregations of aggregations are not allowed", place)
                    } else {
                        error
                    }
                })?);
            }
        }
        let (kind, ty) = match (name, arguments.as_slice()) {
            ("COUNT", []) if star && !distinct => (AggregateKind::Count, Type::Int64),
            ("COUNT", [_]) => (AggregateKind::Count, Type::Int64),
            ("APPROX_COUNT_DISTINCT", [_]) => {
                distinct = true;
                (AggregateKind::Count, Type::Int64)
            }
            ("COUNTIF", [Typed { ty: Type::Bool, .. }]) => (AggregateKind::CountIf, Type::Int64),
            ("SUM", [one]) if one.ty.is_number() => {
                (AggregateKind::Sum(one.ty.clone()), one.ty.clone())
            }
            ("AVG", [one]) if one.ty.is_number() => {
                let ty = if one.ty == Type::Numeric { Type::Numeric } else { Type::Float64 };
                (AggregateKind::Average(ty.clone()), ty)
            }
            ("MIN", [one]) if one.ty.is_orderable() => (AggregateKind::Minimum, one.ty.clone()),
            ("MAX", [one]) if one.ty.is_orderable() => (AggregateKind::Maximum, one.ty.clone()),
            ("ANY_VALUE", [one]) if !distinct => (AggregateKind::Any, one.ty.clone()),
            ("LOGICAL_AND" | "LOGICAL_OR", [Typed { ty: Type::Bool, .. }]) => {
                (AggregateKind::Logical(name == "LOGICAL_AND"), Type::Bool)
            }
            ("STRING_AGG", [Typed { ty: Type::String, .. }]) => {
                (AggregateKind::Strings(",".to_owned()), Type::String)
            }
            (
                "STRING_AGG",
                [
                    Typed { ty: Type::String, .. },
                    Typed { node: Node::Constant(Value::String(delimiter)), .. },
                ],
            ) => (AggregateKind::Strings(delimiter.to_string()), Type::String),
            ("ARRAY_AGG", [one]) if !matches!(one.ty, Type::Array(_)) => {
                (AggregateKind::Array { ignore_nulls }, Type::Array(one.ty.clone().into()))
            }
            ("GROUPING", [one]) => {
                let key = grouped.keys.iter().position(|key| key.node == one.node);
                let key = key.ok_or_else(|| {
                    SqlError::at("GROUPING wants an expression of the GROUP BY clause", place)
                })?;
                (AggregateKind::Grouping(key), Type::Int64)
            }
            _ => {
                return Err(functions::no_signature("aggregate function", name, &arguments, place));
            }
        };
        if distinct && arguments.first().is_some_and(|one| !one.ty.is_orderable()) {
            return Err(functions::no_signature("aggregate function", name, &arguments, place));
        }
        let argument = match kind {
            AggregateKind::Grouping(_) => None,
            _ => arguments.into_iter().next().map(|typed| typed.node),
        };
        let index = slot(grouped, Aggregate { kind, argument, distinct });
        Ok(Typed::new(Node::Column { depth: 0, index: grouped.keys.len() + index }, ty))
    }

    pub(super) fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let operand = operand.map(|expr| self.expression(expr, scope)).transpose()?;
        let mut tests = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            tests.push(match &operand {
                Some(operand) => {
                    let other = self.expression(&when.condition, scope)?;
                    compare(Comparison::Equal, operand.clone(), other, start(&when.condition))?.node
                }
                None => self.condition(&when.condition, "CASE WHEN", scope)?,
            });
            results.push(self.expression(&when.result, scope)?);
        }
        results.push(match otherwise {
            Some(expr) => self.expression(expr, scope)?,
            None => Typed::literal(Value::Null, Type::Int64),
        });
        let (mut nodes, ty) = same_type(results, "CASE", place)?;
        let otherwise = nodes.pop().unwrap_or(Node::Constant(Value::Null));
        Ok(Typed::new(Node::Case(tests.into_iter().zip(nodes).collect(), Box::new(otherwise)), ty))
    }

    pub(super) fn structure(&self, values: &[Expr], scope: &Scope<'_>) -> Result<Typed, SqlError> {
        let mut nodes = Vec::new();
        let mut fields = Vec::new();
        for value in values {
            let (expr, name) = match value {
                Expr::Named { expr, name } => (expr.as_ref(), name.value.clone()),
                expr => (expr, derived_name(expr).unwrap_or_default()),
            };
            let typed = self.expression(expr, scope)?;
            fields.push(Field::new(&name, typed.ty));
            nodes.push(typed.node);
        }
        Ok(Typed::new(Node::Struct(nodes), Type::record(fields)))
    }

    pub(super) fn extract(
        &self,
        field: &DateTimeField,
        inner: &Expr,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let part = field.to_string().to_ascii_uppercase();
        let mut arguments = vec![part_name(&part)];
        match inner {
            Expr::AtTimeZone { timestamp, time_zone } => {
                arguments.push(self.expression(timestamp, scope)?);
                arguments.push(self.expression(time_zone, scope)?);
            }
            inner => arguments.push(self.expression(inner, scope)?),
        }
        let mut typed = functions::call("EXTRACT", arguments, place)?;
        match part.as_str() {
            "DATE" => typed.ty = Type::Date,
            "DATETIME" => typed.ty = Type::Datetime,
            _ => {}
        }
        Ok(typed)
    }

    pub(super) fn rounded(
        &self,
        name: &str,
        inner: &Expr,
        field: &CeilFloorKind,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {
                functions::call(name, vec![self.expression(inner, scope)?], place)
            }
            _ => Err(SqlError::unsupported(format!("{name} with a second argument"), place)),
        }
    }
}

/// The column name that BigQuery gives an expression without an alias.
pub(super) fn derived_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) if !name.value.starts_with('@') => Some(name.value.clone()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
        Expr::Nested(inner) => derived_name(inner),
        _ => None,
    }
}

fn slot(grouped: &Grouped<'_>, aggregate: Aggregate) -> usize {
    let mut aggregates = grouped.aggregates.borrow_mut();
    aggregates.iter().position(|other| *other == aggregate).unwrap_or_else(|| {
        aggregates.push(aggregate);
        aggregates.len() - 1
    })
}

fn part_name(part: &str) -> Typed {
    let part = part.to_ascii_uppercase();
    let singular = match part.strip_suffix('S') {
        Some(singular) => singular,
        None => &part,
    };
    Typed::literal(Value::text(singular), Type::String)
}

fn plain_argument(argument: &FunctionArg, place: Location) -> Result<&Expr, SqlError> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        other => Err(SqlError::unsupported(format!("the argument `{other}`"), place)),
    }
}

const ARRAY_LENGTH: crate::simulate::gcp::sql::plan::Function =
    crate::simulate::gcp::sql::plan::Function {
        name: "ARRAY_LENGTH",
        strict: true,
        apply: |values| match values {
            [Value::Array(elements)] => {
                Ok(Value::Int(i64::try_from(elements.len()).unwrap_or(i64::MAX)))
            }
            _ => Ok(Value::Null),
        },
    };
