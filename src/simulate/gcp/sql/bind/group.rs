//! GROUP BY and ORDER BY: keys, sets, ordinals.

use sqlparser::ast::{
    Expr, GroupByExpr, OrderBy, OrderByExpr, OrderByKind, OrderBySort, Value as Literal,
};
use sqlparser::tokenizer::Location;

use super::names::Scope;
use super::select::Item;
use super::{Binder, start};
use crate::simulate::gcp::sql::SqlError;
use crate::simulate::gcp::sql::plan::{OrderKey, Typed};

impl Binder<'_> {
    /// The grouping keys and sets; no set without GROUP BY.
    #[allow(clippy::type_complexity)]
    pub(super) fn group_by(
        &self,
        group_by: &GroupByExpr,
        items: &[Item<'_>],
        rows: &Scope<'_>,
    ) -> Result<(Vec<Typed>, Vec<Vec<usize>>), SqlError> {
        let exprs = match group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => exprs,
            other => return Err(SqlError::unsupported(format!("`{other}`"), Location::empty())),
        };
        let mut keys: Vec<Typed> = Vec::new();
        let mut key = |expr: &Expr| -> Result<usize, SqlError> {
            let typed = self.key(expr, items, rows)?;
            Ok(keys.iter().position(|key| key.node == typed.node).unwrap_or_else(|| {
                keys.push(typed);
                keys.len() - 1
            }))
        };
        let mut set_of = |exprs: &[Expr]| exprs.iter().map(&mut key).collect::<Result<Vec<_>, _>>();
        let sets = match exprs.as_slice() {
            [] => Vec::new(),
            [Expr::GroupingSets(sets)] => {
                sets.iter().map(|set| set_of(set)).collect::<Result<_, _>>()?
            }
            [Expr::Rollup(steps)] => {
                let steps = steps.iter().map(|step| set_of(step)).collect::<Result<Vec<_>, _>>()?;
                (0..=steps.len())
                    .rev()
                    .map(|count| steps.iter().take(count).flatten().copied().collect())
                    .collect()
            }
            exprs => vec![set_of(exprs)?],
        };
        Ok((keys, sets))
    }

    fn key(&self, expr: &Expr, items: &[Item<'_>], rows: &Scope<'_>) -> Result<Typed, SqlError> {
        let place = start(expr);
        let item = match ordinal(expr, items.len())? {
            Some(index) => items.get(index),
            None => match expr {
                Expr::Identifier(name) => items.iter().find(|item| {
                    matches!(item, Item::Expr(_, Some(alias)) if alias.eq_ignore_ascii_case(&name.value))
                }),
                _ => None,
            },
        };
        let typed = match item {
            Some(Item::Expr(expr, _)) => self.expression(expr, rows).map_err(|error| {
                if error.aggregate {
                    let message = "GROUP BY clause expression references an aggregate function";
                    SqlError::at(message, place)
                } else {
                    error
                }
            })?,
            Some(Item::Column(typed, _)) => typed.clone(),
            None => self.expression(expr, rows)?,
        };
        if !typed.ty.is_orderable() {
            return Err(SqlError::at(
                format!(
                    "Grouping by expressions of type {} is not served by the simulated BigQuery",
                    typed.ty
                ),
                place,
            ));
        }
        Ok(typed)
    }
}

/// The output that an integer in GROUP BY or ORDER BY means.
pub(super) fn ordinal(expr: &Expr, outputs: usize) -> Result<Option<usize>, SqlError> {
    let Expr::Value(value) = expr else { return Ok(None) };
    let Literal::Number(text, _) = &value.value else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(number) if (1..=outputs).contains(&number) => Ok(Some(number - 1)),
        _ => Err(SqlError::at(
            format!("GROUP BY and ORDER BY ordinals must be in [1, {outputs}], got {text}"),
            value.span.start,
        )),
    }
}

pub(super) fn order_exprs(
    order_by: Option<&OrderBy>,
    place: Location,
) -> Result<&[OrderByExpr], SqlError> {
    match order_by {
        None => Ok(&[]),
        Some(OrderBy { kind: OrderByKind::Expressions(exprs), interpolate: None }) => Ok(exprs),
        Some(_) => Err(SqlError::unsupported("this form of ORDER BY", place)),
    }
}

pub(super) fn order_key(by: &OrderByExpr, index: usize) -> Result<OrderKey, SqlError> {
    let descending = match &by.options.sort {
        None | Some(OrderBySort::Asc) => false,
        Some(OrderBySort::Desc) => true,
        Some(_) => return Err(SqlError::unsupported(format!("ORDER BY `{by}`"), start(&by.expr))),
    };
    if by.with_fill.is_some() {
        return Err(SqlError::unsupported(format!("ORDER BY `{by}`"), start(&by.expr)));
    }
    let nulls_first = by.options.nulls_first.unwrap_or(!descending);
    Ok(OrderKey { index, descending, nulls_first })
}
