//! Settles what the names and operators of a query mean: from the parsed text to a typed plan.

mod calls;
mod from;
mod group;
mod names;
mod operators;
mod select;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use jiff::Timestamp;
use sqlparser::ast::{
    BinaryOperator, CastKind, Expr, InTarget, Spanned, UnaryOperator, Value as Literal,
    ValueWithSpan,
};
use sqlparser::tokenizer::Location;

use self::names::Scope;
use self::operators::{LIKE, cast_to, compare, compute, number, string_of, typed_string};
use super::plan::{Arithmetic, Comparison, Node, QueryPlan, Typed};
use super::value::{Float, Type, Value};
use super::{Parameters, SqlError, Table, Tables, cast, functions};

/// A table that a query reads, with the columns that it needs.
pub struct TableUse {
    /// The table.
    pub table: Table,
    /// The columns that are read.
    pub columns: RefCell<BTreeSet<usize>>,
}

/// What a query's names lead to.
pub struct Binder<'a> {
    tables: &'a dyn Tables,
    parameters: &'a Parameters,
    placeholders: Vec<Location>,
    now: Timestamp,
    uses: RefCell<Vec<Rc<TableUse>>>,
    named: RefCell<Vec<(String, Rc<QueryPlan>)>>,
    depth: Cell<usize>,
}

/// How deep queries and expressions may nest before they are refused.
const DEEPEST: usize = 200;

impl<'a> Binder<'a> {
    /// A binder for one query text. `placeholders` are the places of its `?`.
    pub fn new(
        tables: &'a dyn Tables,
        parameters: &'a Parameters,
        placeholders: Vec<Location>,
        now: Timestamp,
    ) -> Self {
        Self {
            tables,
            parameters,
            placeholders,
            now,
            uses: RefCell::default(),
            named: RefCell::default(),
            depth: Cell::new(0),
        }
    }

    /// The tables that the bound queries read, by the numbers in the plan.
    pub fn into_uses(self) -> Vec<Rc<TableUse>> {
        self.uses.into_inner()
    }

    /// Settles an expression in a scope.
    fn expression(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Typed, SqlError> {
        if self.depth.get() > DEEPEST {
            return Err(SqlError::at("the expression is nested too deeply", start(expr)));
        }
        self.depth.set(self.depth.get() + 1);
        let typed = self.group_key(expr, scope).map_or_else(|| self.inner(expr, scope), Ok);
        self.depth.set(self.depth.get() - 1);
        typed
    }

    fn inner(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Typed, SqlError> {
        let place = start(expr);
        match expr {
            Expr::Identifier(name) => {
                if let Some(parameter) = name.value.strip_prefix('@') {
                    return self.parameter(parameter, place);
                }
                self.name(std::slice::from_ref(name), scope)
            }
            Expr::CompoundIdentifier(names) => self.name(names, scope),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let root = self.expression(root, scope)?;
                self.access(root, access_chain, scope, place)
            }
            Expr::Nested(inner) => self.expression(inner, scope),
            Expr::Value(literal) => self.literal(literal),
            Expr::TypedString(literal) => typed_string(literal, place),
            Expr::IsNull(inner) => Ok(is_null(self.expression(inner, scope)?)),
            Expr::IsNotNull(inner) => Ok(not(is_null(self.expression(inner, scope)?))),
            Expr::IsTrue(inner) => self.is_bool(inner, true, scope),
            Expr::IsFalse(inner) => self.is_bool(inner, false, scope),
            Expr::IsNotTrue(inner) => Ok(not(self.is_bool(inner, true, scope)?)),
            Expr::IsNotFalse(inner) => Ok(not(self.is_bool(inner, false, scope)?)),
            Expr::In { expr: left, target, negated, .. } => {
                let found = self.is_in(left, target, scope, place)?;
                Ok(if *negated { not(found) } else { found })
            }
            Expr::Between { expr: middle, negated, low, high } => {
                let middle = self.expression(middle, scope)?;
                let low = self.expression(low, scope)?;
                let high = self.expression(high, scope)?;
                let from = compare(Comparison::GreaterOrEqual, middle.clone(), low, place)?;
                let to = compare(Comparison::LessOrEqual, middle, high, place)?;
                let both = boolean(Node::And(Box::new(from.node), Box::new(to.node)));
                Ok(if *negated { not(both) } else { both })
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, scope, place),
            Expr::UnaryOp { op, expr: inner } => self.unary(op, inner, scope, place),
            Expr::Like { negated, any: false, expr: text, pattern, escape_char: None } => {
                let arguments =
                    vec![self.expression(text, scope)?, self.expression(pattern, scope)?];
                if arguments.iter().any(|typed| cast::distance(typed, &Type::String).is_none()) {
                    return Err(functions::no_signature("operator", "LIKE", &arguments, place));
                }
                let nodes = arguments.into_iter().map(|typed| typed.node).collect();
                let like = boolean(Node::Call(LIKE, nodes));
                Ok(if *negated { not(like) } else { like })
            }
            Expr::Cast { kind, expr: inner, data_type, format: None } => {
                let input = self.expression(inner, scope)?;
                cast_to(input, data_type, matches!(kind, CastKind::SafeCast), place)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), scope, place)
            }
            Expr::Exists { subquery, negated } => {
                let exists = boolean(Node::Exists(self.query(subquery, Some(scope))?));
                Ok(if *negated { not(exists) } else { exists })
            }
            Expr::Subquery(query) => {
                let plan = self.query(query, Some(scope))?;
                let ty = single_column(&plan, "Scalar subquery", place)?;
                Ok(Typed::new(Node::Scalar(plan), ty))
            }
            Expr::Array(array) => {
                let elements = self.expressions(&array.elem, scope)?;
                let (nodes, ty) = same_type(elements, "array literal", place)?;
                Ok(Typed::new(Node::Array(nodes), Type::Array(ty.into())))
            }
            Expr::Struct { values, fields } if fields.is_empty() => self.structure(values, scope),
            Expr::Function(function) => self.function(function, scope, place),
            Expr::Extract { field, expr: inner, .. } => self.extract(field, inner, scope, place),
            Expr::Floor { expr: inner, field } => self.rounded("FLOOR", inner, field, scope, place),
            Expr::Ceil { expr: inner, field } => self.rounded("CEIL", inner, field, scope, place),
            Expr::Trim {
                trim_where: None,
                trim_what: None,
                expr: inner,
                trim_characters: None,
            } => functions::call("TRIM", vec![self.expression(inner, scope)?], place),
            Expr::Substring { expr: inner, substring_from: Some(from), substring_for, .. } => {
                let mut arguments =
                    vec![self.expression(inner, scope)?, self.expression(from, scope)?];
                if let Some(length) = substring_for {
                    arguments.push(self.expression(length, scope)?);
                }
                functions::call("SUBSTR", arguments, place)
            }
            other => Err(SqlError::unsupported(format!("the expression `{other}`"), place)),
        }
    }

    fn expressions(&self, all: &[Expr], scope: &Scope<'_>) -> Result<Vec<Typed>, SqlError> {
        all.iter().map(|expr| self.expression(expr, scope)).collect()
    }

    /// An expression that must be a BOOL.
    fn condition(&self, expr: &Expr, what: &str, scope: &Scope<'_>) -> Result<Node, SqlError> {
        let typed = self.expression(expr, scope)?;
        if cast::distance(&typed, &Type::Bool).is_none() {
            return Err(SqlError::at(
                format!("{what} should return type BOOL, but returns {}", typed.ty),
                start(expr),
            ));
        }
        Ok(typed.node)
    }

    fn parameter(&self, name: &str, place: Location) -> Result<Typed, SqlError> {
        match self.parameters.named.get(&name.to_ascii_lowercase()) {
            Some(found) => Ok(Typed::literal(found.value.clone(), found.ty.clone())),
            None => Err(SqlError::at(format!("Query parameter '{name}' not found"), place)),
        }
    }

    fn literal(&self, literal: &ValueWithSpan) -> Result<Typed, SqlError> {
        let place = literal.span.start;
        if let Some(text) = string_of(&literal.value) {
            return Ok(Typed::literal(Value::text(text), Type::String));
        }
        match &literal.value {
            Literal::Number(text, _) => number(text, place),
            Literal::Boolean(value) => Ok(Typed::literal(Value::Bool(*value), Type::Bool)),
            Literal::Null => Ok(Typed::literal(Value::Null, Type::Int64)),
            Literal::Placeholder(_) => {
                let index = self.placeholders.iter().position(|other| *other == place);
                let found = index.and_then(|index| self.parameters.positional.get(index));
                found.map(|found| Typed::literal(found.value.clone(), found.ty.clone())).ok_or_else(
                    || {
                        let number = index.map_or(0, |index| index + 1);
                        SqlError::at(
                            format!("Query parameter number {number} is not defined"),
                            place,
                        )
                    },
                )
            }
            other => Err(SqlError::unsupported(format!("the literal {other}"), place)),
        }
    }

    fn is_bool(&self, inner: &Expr, wanted: bool, scope: &Scope<'_>) -> Result<Typed, SqlError> {
        let node = self.condition(inner, "IS TRUE and IS FALSE", scope)?;
        let node = if wanted { node } else { Node::Not(Box::new(node)) };
        Ok(boolean(Node::Coalesce(vec![node, Node::Constant(Value::Bool(false))])))
    }

    fn is_in(
        &self,
        left: &Expr,
        target: &InTarget,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let left = self.expression(left, scope)?;
        match target {
            InTarget::List(list) => {
                let mut all = vec![left];
                all.extend(self.expressions(list, scope)?);
                let (mut nodes, _) = comparable(all, "IN", place)?;
                let left = nodes.remove(0);
                Ok(boolean(Node::In(Box::new(left), nodes)))
            }
            InTarget::Unnest(array) => {
                let array = self.expression(array, scope)?;
                let Type::Array(element) = &array.ty else {
                    return Err(not_an_array(&array.ty, place));
                };
                let left = as_type(left, element, "IN UNNEST", place)?;
                Ok(boolean(Node::InArray(Box::new(left), Box::new(array.node))))
            }
            InTarget::Subquery(query) => {
                let plan = self.query(query, Some(scope))?;
                let ty = single_column(&plan, "Subquery of type IN", place)?;
                let left = as_type(left, &ty, "IN", place)?;
                Ok(boolean(Node::InQuery(Box::new(left), plan)))
            }
            InTarget::Table { .. } => Err(SqlError::unsupported("IN with a table name", place)),
        }
    }

    fn binary(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            let left = Box::new(self.condition(left, &format!("{op}"), scope)?);
            let right = Box::new(self.condition(right, &format!("{op}"), scope)?);
            let and = matches!(op, BinaryOperator::And);
            return Ok(boolean(if and { Node::And(left, right) } else { Node::Or(left, right) }));
        }
        let left = self.expression(left, scope)?;
        let right = self.expression(right, scope)?;
        match op {
            BinaryOperator::Eq => compare(Comparison::Equal, left, right, place),
            BinaryOperator::NotEq => compare(Comparison::NotEqual, left, right, place),
            BinaryOperator::Lt => compare(Comparison::Less, left, right, place),
            BinaryOperator::LtEq => compare(Comparison::LessOrEqual, left, right, place),
            BinaryOperator::Gt => compare(Comparison::Greater, left, right, place),
            BinaryOperator::GtEq => compare(Comparison::GreaterOrEqual, left, right, place),
            BinaryOperator::Plus => compute(Arithmetic::Add, left, right, place),
            BinaryOperator::Minus => compute(Arithmetic::Subtract, left, right, place),
            BinaryOperator::Multiply => compute(Arithmetic::Multiply, left, right, place),
            BinaryOperator::Divide => compute(Arithmetic::Divide, left, right, place),
            BinaryOperator::StringConcat => functions::call("CONCAT_2", vec![left, right], place),
            other => Err(SqlError::unsupported(format!("the operator {other}"), place)),
        }
    }

    fn unary(
        &self,
        op: &UnaryOperator,
        inner: &Expr,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        match op {
            UnaryOperator::Not => Ok(not(boolean(self.condition(inner, "operator NOT", scope)?))),
            UnaryOperator::Plus => self.expression(inner, scope),
            UnaryOperator::Minus => {
                let inner = self.expression(inner, scope)?;
                let negative = |value: &Value| match value {
                    Value::Int(value) => value.checked_neg().map(Value::Int),
                    Value::Numeric(value) => Some(Value::Numeric(-*value)),
                    Value::Float(value) => Some(Value::Float(Float {
                        approximate: -value.approximate,
                        exact: value.exact.map(|exact| -exact),
                    })),
                    _ => None,
                };
                if let Typed { node: Node::Constant(value), ty, literal: true } = &inner
                    && let Some(value) = negative(value)
                {
                    return Ok(Typed::literal(value, ty.clone()));
                }
                let zero = Typed::literal(Value::Int(0), Type::Int64);
                compute(Arithmetic::Subtract, zero, inner, place)
            }
            other => Err(SqlError::unsupported(format!("the operator {other}"), place)),
        }
    }
}

/// Where an expression begins.
fn start(expr: &Expr) -> Location {
    expr.span().start
}

fn boolean(node: Node) -> Typed {
    Typed::new(node, Type::Bool)
}

fn not(typed: Typed) -> Typed {
    boolean(Node::Not(Box::new(typed.node)))
}

fn is_null(typed: Typed) -> Typed {
    boolean(Node::IsNull(Box::new(typed.node)))
}

fn not_an_array(ty: &Type, place: Location) -> SqlError {
    SqlError::at(
        format!(
            "Values referenced in UNNEST must be arrays. UNNEST contains expression of type {ty}"
        ),
        place,
    )
}

fn single_column(plan: &QueryPlan, what: &str, place: Location) -> Result<Type, SqlError> {
    match plan.columns.as_slice() {
        [column] => Ok(column.ty.clone()),
        _ => Err(SqlError::at(
            format!(
                "{what} cannot have more than one column unless using SELECT AS STRUCT to build STRUCT values"
            ),
            place,
        )),
    }
}

fn as_type(typed: Typed, ty: &Type, operator: &str, place: Location) -> Result<Node, SqlError> {
    if cast::distance(&typed, ty).is_none() {
        let other = Typed::new(Node::Constant(Value::Null), ty.clone());
        return Err(functions::no_signature("operator", operator, &[typed, other], place));
    }
    cast::coerce(typed, ty)
        .map(|typed| typed.node)
        .map_err(|error| SqlError::at(error.message, place))
}

/// Brings expressions to their common type.
fn same_type(all: Vec<Typed>, what: &str, place: Location) -> Result<(Vec<Node>, Type), SqlError> {
    let Some(ty) = cast::common_type(&all.iter().collect::<Vec<_>>()) else {
        return Err(functions::no_signature("function", what, &all, place));
    };
    let nodes = all
        .into_iter()
        .map(|typed| cast::coerce(typed, &ty).map(|typed| typed.node))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| SqlError::at(error.message, place))?;
    Ok((nodes, ty))
}

fn comparable(
    all: Vec<Typed>,
    operator: &str,
    place: Location,
) -> Result<(Vec<Node>, Type), SqlError> {
    let common = cast::common_type(&all.iter().collect::<Vec<_>>());
    if common.is_none_or(|ty| !ty.is_orderable()) {
        return Err(functions::no_signature("operator", operator, &all, place));
    }
    same_type(all, operator, place)
}
