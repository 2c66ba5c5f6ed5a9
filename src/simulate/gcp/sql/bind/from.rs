//! FROM: tables, queries, arrays and how they are joined.

use std::rc::Rc;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Spanned, TableAlias, TableFactor,
    TableWithJoins,
};
use sqlparser::tokenizer::Location;

use super::names::{Range, Scope};
use super::{Binder, TableUse, not_an_array};
use crate::simulate::gcp::sql::SqlError;
use crate::simulate::gcp::sql::plan::{FromItem, Join, Node, QueryPlan, Source, Typed};
use crate::simulate::gcp::sql::value::{Field, Type};

impl Binder<'_> {
    /// Settles FROM: fills the scope's ranges and gives the items.
    pub(super) fn from<'s>(
        &self,
        from: &[TableWithJoins],
        scope: &mut Scope<'s>,
    ) -> Result<Vec<FromItem>, SqlError> {
        let mut items = Vec::new();
        for joined in from {
            self.item(&joined.relation, None, scope, &mut items)?;
            for join in &joined.joins {
                if join.global {
                    return Err(SqlError::unsupported("GLOBAL JOIN", join.relation.span().start));
                }
                self.item(&join.relation, Some(&join.join_operator), scope, &mut items)?;
            }
        }
        Ok(items)
    }

    fn item<'s>(
        &self,
        factor: &TableFactor,
        operator: Option<&JoinOperator>,
        scope: &mut Scope<'s>,
        items: &mut Vec<FromItem>,
    ) -> Result<(), SqlError> {
        let place = factor.span().start;
        let offset = scope.width();
        let (source, mut range) = self.source(factor, scope, place)?;
        range.offset = offset;
        let width = range.columns.len();
        scope.ranges.push(range);
        let join = self.join(operator, scope, place)?;
        items.push(FromItem { source, offset, width, join });
        Ok(())
    }

    fn join(
        &self,
        operator: Option<&JoinOperator>,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<Join, SqlError> {
        let (left, constraint) = match operator {
            None => return Ok(Join::Inner(None)),
            Some(JoinOperator::CrossJoin(constraint)) => (false, constraint),
            Some(JoinOperator::Join(constraint) | JoinOperator::Inner(constraint)) => {
                (false, constraint)
            }
            Some(JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint)) => {
                (true, constraint)
            }
            Some(_) => return Err(SqlError::unsupported("this kind of JOIN", place)),
        };
        let condition = match constraint {
            JoinConstraint::None => None,
            JoinConstraint::On(expr) => Some(self.condition(expr, "JOIN ON clause", scope)?),
            _ => return Err(SqlError::unsupported("JOIN with USING", place)),
        };
        Ok(if left { Join::Left(condition) } else { Join::Inner(condition) })
    }

    fn source(
        &self,
        factor: &TableFactor,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<(Source, Range), SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                ..
            } if with_hints.is_empty() && partitions.is_empty() => {
                self.table(name, alias.as_ref(), scope, place)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let plan = self.query(subquery, scope.parent)?;
                let name = alias_name(alias.as_ref(), place)?;
                Ok(query_source(plan, name))
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality: false,
            } => {
                let [array] = array_exprs.as_slice() else {
                    return Err(SqlError::unsupported("UNNEST of several arrays", place));
                };
                let array = self.expression(array, scope)?;
                let name = alias_name(alias.as_ref(), place)?;
                let offset = with_offset.then(|| {
                    with_offset_alias.as_ref().map_or("offset", |alias| alias.value.as_str())
                });
                unnest(array, name, offset, place)
            }
            other => Err(SqlError::unsupported(format!("`{other}` in FROM"), place)),
        }
    }

    fn table(
        &self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        scope: &Scope<'_>,
        place: Location,
    ) -> Result<(Source, Range), SqlError> {
        let mut parts: Vec<&Ident> = Vec::new();
        for part in &name.0 {
            match part.as_ident() {
                Some(ident) => parts.push(ident),
                None => return Err(SqlError::unsupported(format!("the table `{name}`"), place)),
            }
        }
        let alias = alias_name(alias, place)?;
        let first = parts.first().map_or("", |part| part.value.as_str());
        let named = self.named.borrow();
        if let [_] = parts.as_slice()
            && let Some((name, plan)) =
                named.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(first))
        {
            return Ok(query_source(Rc::clone(plan), alias.or_else(|| Some(name.clone()))));
        }
        drop(named);
        let is_range = scope.ranges.iter().any(|range| {
            range.alias.as_deref().is_some_and(|alias| alias.eq_ignore_ascii_case(first))
        });
        if parts.len() > 1 && is_range {
            let path = parts.iter().map(|part| (*part).clone()).collect();
            let array = self.expression(&Expr::CompoundIdentifier(path), scope)?;
            return unnest(array, alias, None, place);
        }
        // Backticks may hold the whole path or parts of it.
        let path: Vec<&str> = parts.iter().flat_map(|part| part.value.split('.')).collect();
        let table = self.tables.table(&path)?;
        let own_name = path.last().map(|name| (*name).to_owned());
        let mut uses = self.uses.borrow_mut();
        let range = Range {
            alias: alias.or(own_name),
            columns: table.columns.to_vec(),
            hidden: table.pseudo_columns,
            offset: 0,
            table: Some(uses.len()),
            element: false,
        };
        let source = Source::Table { table: uses.len(), prune: Vec::new() };
        uses.push(Rc::new(TableUse { table, columns: Default::default() }));
        Ok((source, range))
    }
}

fn query_source(plan: Rc<QueryPlan>, alias: Option<String>) -> (Source, Range) {
    let range = Range {
        alias,
        columns: plan.columns.clone(),
        hidden: 0,
        offset: 0,
        table: None,
        element: false,
    };
    (Source::Query(plan), range)
}

fn unnest(
    array: Typed,
    alias: Option<String>,
    offset: Option<&str>,
    place: Location,
) -> Result<(Source, Range), SqlError> {
    let Type::Array(element) = &array.ty else {
        return Err(not_an_array(&array.ty, place));
    };
    let name = alias.clone().unwrap_or_default();
    let mut columns = vec![Field::new(&name, element.as_ref().clone())];
    columns.extend(offset.map(|name| Field::new(name, Type::Int64)));
    let range = Range { alias: None, columns, hidden: 0, offset: 0, table: None, element: true };
    Ok((Source::Unnest { array: array.node, offset: offset.is_some() }, range))
}

fn alias_name(alias: Option<&TableAlias>, place: Location) -> Result<Option<String>, SqlError> {
    match alias {
        Some(alias) if !alias.columns.is_empty() || alias.at.is_some() => {
            Err(SqlError::unsupported(format!("the alias `{alias}`"), place))
        }
        alias => Ok(alias.map(|alias| alias.name.value.clone())),
    }
}

/// The conditions of a filter that read pseudo columns of one table only, and nothing else.
pub(super) fn prune(filter: &Node, pseudo: std::ops::Range<usize>, found: &mut Vec<Node>) {
    if let Node::And(left, right) = filter {
        prune(left, pseudo.clone(), found);
        prune(right, pseudo, found);
    } else {
        let mut reads = false;
        if only_reads(filter, &pseudo, &mut reads) && reads {
            found.push(filter.clone());
        }
    }
}

fn only_reads(node: &Node, allowed: &std::ops::Range<usize>, reads: &mut bool) -> bool {
    let mut all = |nodes: &[&Node]| nodes.iter().all(|node| only_reads(node, allowed, reads));
    match node {
        Node::Constant(_) => true,
        Node::Column { depth, index } => {
            *reads = true;
            *depth == 0 && allowed.contains(index)
        }
        Node::Field(inner, _) | Node::Not(inner) | Node::IsNull(inner) => all(&[inner]),
        Node::Cast { input, .. } => all(&[input]),
        Node::Call(_, arguments) | Node::Coalesce(arguments) => {
            all(&arguments.iter().collect::<Vec<_>>())
        }
        Node::And(left, right)
        | Node::Or(left, right)
        | Node::Compare(_, left, right)
        | Node::Arithmetic(_, left, right)
        | Node::InArray(left, right) => all(&[left, right]),
        Node::In(left, list) => {
            all(&std::iter::once(left.as_ref()).chain(list).collect::<Vec<_>>())
        }
        _ => false,
    }
}
