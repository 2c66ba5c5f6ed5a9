//! Queries: WITH, SELECT, grouping, order and limits.

use std::cell::RefCell;
use std::rc::Rc;

use sqlparser::ast::{
    Distinct, Expr, Ident, LimitClause, OffsetRows, OrderByExpr, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, Spanned, ValueTableMode,
    WildcardAdditionalOptions,
};
use sqlparser::tokenizer::Location;

use super::calls::derived_name;
use super::from::prune;
use super::group::{order_exprs, order_key, ordinal};
use super::names::{Grouped, Scope};
use super::{Binder, start};
use crate::simulate::gcp::sql::plan::{
    Body, Grouping, Node, OrderKey, QueryPlan, SelectPlan, Source, Typed,
};
use crate::simulate::gcp::sql::value::{Field, Type, Value};
use crate::simulate::gcp::sql::{SqlError, cast};

/// One column of a select list.
struct Output {
    name: Option<String>,
    typed: Typed,
}

/// Where a select-list column comes from, before it is settled.
pub(super) enum Item<'e> {
    Expr(&'e Expr, Option<String>),
    Column(Typed, String),
}

impl Binder<'_> {
    /// Settles a whole query.
    ///
    /// # Errors
    /// As [`run`](crate::simulate::gcp::sql::run()).
    pub fn whole(&self, query: &Query) -> Result<Rc<QueryPlan>, SqlError> {
        let plan = self.query(query, None)?;
        for (index, column) in plan.columns.iter().enumerate() {
            let again = plan.columns.iter().take(index);
            if again.into_iter().any(|other| other.name.eq_ignore_ascii_case(&column.name)) {
                return Err(SqlError::invalid(format!(
                    "Duplicate column names in the result are not supported. Found duplicate(s): {}",
                    column.name
                )));
            }
        }
        Ok(plan)
    }

    /// Settles a query inside an enclosing one or none.
    pub(super) fn query(
        &self,
        query: &Query,
        parent: Option<&Scope<'_>>,
    ) -> Result<Rc<QueryPlan>, SqlError> {
        let place = query.span().start;
        let plain = query.fetch.is_none()
            && query.locks.is_empty()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none();
        if !plain {
            return Err(SqlError::unsupported("this form of query", place));
        }
        if !query.pipe_operators.is_empty() {
            return Err(SqlError::unsupported("pipe syntax", place));
        }
        let before = self.named.borrow().len();
        if let Some(with) = &query.with {
            if with.recursive {
                return Err(SqlError::unsupported("WITH RECURSIVE", place));
            }
            for table in &with.cte_tables {
                if table.from.is_some() || !table.alias.columns.is_empty() {
                    return Err(SqlError::unsupported(format!("`{}` in WITH", table.alias), place));
                }
                let plan = self.query(&table.query, None)?;
                self.named.borrow_mut().push((table.alias.name.value.clone(), plan));
            }
        }
        let plan = self.body(query, parent, place);
        self.named.borrow_mut().truncate(before);
        plan.map(Rc::new)
    }

    fn body(
        &self,
        query: &Query,
        parent: Option<&Scope<'_>>,
        place: Location,
    ) -> Result<QueryPlan, SqlError> {
        let (limit, offset) = self.limits(query.limit_clause.as_ref(), place)?;
        let once = parent.is_none();
        let order_by = order_exprs(query.order_by.as_ref(), place)?;
        if let SetExpr::Select(select) = query.body.as_ref() {
            let (columns, select, order) = self.select(select, order_by, parent)?;
            let body = Body::Select(Box::new(select));
            return Ok(QueryPlan { columns, body, order, limit, offset, once });
        }
        let (columns, body) = self.set(&query.body, parent, place)?;
        let mut order = Vec::new();
        for by in order_by {
            let named = |name: &str| {
                columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
            };
            let index = ordinal(&by.expr, columns.len())?
                .or_else(|| derived_name(&by.expr).and_then(|name| named(&name)))
                .ok_or_else(|| {
                    SqlError::unsupported(format!("ORDER BY `{}` here", by.expr), place)
                })?;
            order.push(order_key(by, index)?);
        }
        Ok(QueryPlan { columns, body, order, limit, offset, once })
    }

    fn set(
        &self,
        body: &SetExpr,
        parent: Option<&Scope<'_>>,
        place: Location,
    ) -> Result<(Vec<Field>, Body), SqlError> {
        match body {
            SetExpr::Select(select) => {
                let (columns, select, _) = self.select(select, &[], parent)?;
                Ok((columns, Body::Select(Box::new(select))))
            }
            SetExpr::Query(query) => {
                let plan = self.query(query, parent)?;
                Ok((plan.columns.clone(), Body::Query(plan)))
            }
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } => {
                let distinct = match set_quantifier {
                    SetQuantifier::All => false,
                    SetQuantifier::Distinct => true,
                    _ => {
                        return Err(SqlError::at(
                            "Syntax error: Expected keyword ALL or keyword DISTINCT after UNION",
                            place,
                        ));
                    }
                };
                let mut parts = Vec::new();
                for side in [left, right] {
                    let (columns, body) = self.set(side, parent, place)?;
                    let once = parent.is_none();
                    parts.push(QueryPlan {
                        columns,
                        body,
                        order: Vec::new(),
                        limit: None,
                        offset: 0,
                        once,
                    });
                }
                union(parts, distinct, place)
            }
            _ => Err(SqlError::unsupported("this set operation", place)),
        }
    }

    fn limits(
        &self,
        clause: Option<&LimitClause>,
        place: Location,
    ) -> Result<(Option<usize>, usize), SqlError> {
        let number = |expr: &Expr| {
            let typed = self.expression(expr, &Scope { clause: "LIMIT", ..Scope::default() })?;
            match typed.node {
                Node::Constant(Value::Int(count)) => usize::try_from(count)
                    .map_err(|_| SqlError::at("LIMIT expects a non-negative integer", place)),
                _ => Err(SqlError::at("LIMIT expects an integer literal or parameter", place)),
            }
        };
        match clause {
            None => Ok((None, 0)),
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                if offset.as_ref().is_some_and(|offset| offset.rows != OffsetRows::None) {
                    return Err(SqlError::unsupported("OFFSET with ROWS", place));
                }
                let limit = limit.as_ref().map(number).transpose()?;
                let offset = offset.as_ref().map(|offset| number(&offset.value)).transpose()?;
                Ok((limit, offset.unwrap_or(0)))
            }
            Some(_) => Err(SqlError::unsupported("this form of LIMIT", place)),
        }
    }

    fn select(
        &self,
        select: &Select,
        order_by: &[OrderByExpr],
        parent: Option<&Scope<'_>>,
    ) -> Result<(Vec<Field>, SelectPlan, Vec<OrderKey>), SqlError> {
        let place = select.span().start;
        check_form(select, place)?;
        let mut rows = Scope { parent, clause: "FROM clause", ..Scope::default() };
        let mut from = self.from(&select.from, &mut rows)?;
        rows.clause = "WHERE clause";
        let filter = select.selection.as_ref();
        let filter = filter.map(|expr| self.condition(expr, "WHERE clause", &rows)).transpose()?;
        if let Some(filter) = &filter {
            for (item, range) in from.iter_mut().zip(&rows.ranges) {
                let end = item.offset + item.width;
                if let Source::Table { prune: found, .. } = &mut item.source {
                    prune(filter, end - range.hidden..end, found);
                }
            }
        }
        rows.clause = "GROUP BY clause";
        let items = self.items(select, &rows)?;
        let (keys, sets) = self.group_by(&select.group_by, &items, &rows)?;
        rows.clause = "SELECT list";
        let explicit = !sets.is_empty();
        let plain = if explicit { None } else { Some(self.outputs(&items, &rows)) };
        let is_aggregation = explicit
            || select.having.is_some()
            || matches!(&plain, Some(Err(error)) if error.aggregate)
            || order_by.iter().any(
                |by| matches!(self.expression(&by.expr, &rows), Err(error) if error.aggregate),
            );
        let width = rows.width();
        let grouped = Grouped { rows: &rows, keys: &keys, aggregates: RefCell::default() };
        let mut after = Scope { parent, clause: "SELECT list", ..Scope::default() };
        let outputs = match plain {
            Some(outputs) if !is_aggregation => outputs?,
            _ => {
                after.grouped = Some(&grouped);
                self.outputs(&items, &after)?
            }
        };
        let scope = if is_aggregation { &mut after } else { &mut rows_again(&rows) };
        scope.aliases = outputs
            .iter()
            .filter_map(|output| Some((output.name.clone()?, output.typed.clone())))
            .collect();
        scope.clause = "HAVING clause";
        let having = select.having.as_ref();
        let having = having.map(|expr| self.condition(expr, "HAVING clause", scope)).transpose()?;
        scope.clause = "ORDER BY clause";
        let mut nodes: Vec<Node> = outputs.iter().map(|output| output.typed.node.clone()).collect();
        let visible = nodes.len();
        let mut order = Vec::new();
        for by in order_by {
            let index = match ordinal(&by.expr, visible)? {
                Some(index) => index,
                None => {
                    let typed = self.expression(&by.expr, scope)?;
                    if !typed.ty.is_orderable() {
                        let message =
                            format!("ORDER BY does not support expressions of type {}", typed.ty);
                        return Err(SqlError::at(message, start(&by.expr)));
                    }
                    nodes.iter().position(|node| *node == typed.node).unwrap_or_else(|| {
                        nodes.push(typed.node);
                        nodes.len() - 1
                    })
                }
            };
            order.push(order_key(by, index)?);
        }
        let distinct = select.distinct.is_some();
        if distinct && nodes.len() > visible {
            return Err(SqlError::at(
                "ORDER BY clause expression references a column which is not visible after SELECT DISTINCT",
                place,
            ));
        }
        let mut columns = columns_of(&outputs);
        let mut shown = visible;
        if select.value_table_mode == Some(ValueTableMode::AsStruct) {
            let hidden = nodes.split_off(visible);
            nodes = vec![Node::Struct(nodes)];
            nodes.extend(hidden);
            columns = vec![Field::new("f0_", Type::record(columns))];
            shown = 1;
            if !order.is_empty() {
                return Err(SqlError::unsupported("ORDER BY with SELECT AS STRUCT", place));
            }
        }
        let aggregates = grouped.aggregates.into_inner();
        let grouping = is_aggregation.then(|| Grouping {
            keys: keys.iter().map(|key| key.node.clone()).collect(),
            sets: if explicit { sets } else { vec![Vec::new()] },
            aggregates,
            always: !explicit,
        });
        let plan = SelectPlan {
            from,
            width,
            filter,
            grouping,
            having,
            outputs: nodes,
            visible: shown,
            distinct,
        };
        Ok((columns, plan, order))
    }

    /// The select list with stars written out.
    fn items<'e>(&self, select: &'e Select, rows: &Scope<'_>) -> Result<Vec<Item<'e>>, SqlError> {
        let mut items = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => items.push(Item::Expr(expr, derived_name(expr))),
                SelectItem::ExprWithAlias { expr, alias } => {
                    items.push(Item::Expr(expr, Some(alias.value.clone())));
                }
                SelectItem::Wildcard(options) => self.star(None, options, rows, &mut items)?,
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => self.star(Some(&name.to_string()), options, rows, &mut items)?,
                other => {
                    return Err(SqlError::unsupported(
                        format!("`{other}` in SELECT"),
                        other.span().start,
                    ));
                }
            }
        }
        Ok(items)
    }

    fn star(
        &self,
        of: Option<&str>,
        options: &WildcardAdditionalOptions,
        rows: &Scope<'_>,
        items: &mut Vec<Item<'_>>,
    ) -> Result<(), SqlError> {
        let place = options.wildcard_token.0.span.start;
        let plain = options.opt_ilike.is_none()
            && options.opt_exclude.is_none()
            && options.opt_replace.is_none()
            && options.opt_rename.is_none()
            && options.opt_alias.is_none();
        if !plain {
            return Err(SqlError::unsupported("this form of `*`", place));
        }
        let except: Vec<&Ident> = options.opt_except.as_ref().map_or(Vec::new(), |except| {
            std::iter::once(&except.first_element).chain(&except.additional_elements).collect()
        });
        let mut found = false;
        for range in &rows.ranges {
            let named = |name: &str| {
                let alias = range.alias.as_deref().or_else(|| {
                    range.element.then(|| range.columns.first().map_or("", |column| &column.name))
                });
                alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
            };
            if of.is_some_and(|name| !named(name)) {
                continue;
            }
            found = true;
            for index in 0..range.columns.len() - range.hidden {
                let Some(typed) = self.column(range, index) else { continue };
                let name = range
                    .columns
                    .get(index)
                    .map_or(String::new(), |column| column.name.to_string());
                let mut add = |typed, name: String| {
                    if !except.iter().any(|left| left.value.eq_ignore_ascii_case(&name)) {
                        items.push(Item::Column(typed, name));
                    }
                };
                match &typed.ty {
                    Type::Struct(fields) if range.element && index == 0 => {
                        for (place, field) in fields.iter().enumerate() {
                            let node = Node::Field(Box::new(typed.node.clone()), place);
                            add(Typed::new(node, field.ty.clone()), field.name.to_string());
                        }
                    }
                    _ => add(typed, name),
                }
            }
        }
        if !found {
            let message = match of {
                Some(name) => format!("Unrecognized name: {name}"),
                None => "SELECT * must have a FROM clause".to_owned(),
            };
            return Err(SqlError::at(message, place));
        }
        Ok(())
    }

    fn outputs(&self, items: &[Item<'_>], scope: &Scope<'_>) -> Result<Vec<Output>, SqlError> {
        let mut outputs = Vec::new();
        for item in items {
            outputs.push(match item {
                Item::Expr(expr, name) => {
                    Output { name: name.clone(), typed: self.expression(expr, scope)? }
                }
                Item::Column(typed, name) => {
                    let typed = match scope.grouped {
                        None => typed.clone(),
                        Some(grouped) => {
                            let index = grouped.keys.iter().position(|key| key.node == typed.node);
                            let index = index.ok_or_else(|| SqlError::invalid(format!(
                                "SELECT list expression references column {name} which is neither grouped nor aggregated"
                            )))?;
                            Typed::new(Node::Column { depth: 0, index }, typed.ty.clone())
                        }
                    };
                    Output { name: Some(name.clone()), typed }
                }
            });
        }
        Ok(outputs)
    }
}

fn rows_again<'a>(rows: &Scope<'a>) -> Scope<'a> {
    Scope { ranges: rows.ranges.clone(), parent: rows.parent, ..Scope::default() }
}

fn check_form(select: &Select, place: Location) -> Result<(), SqlError> {
    let unsupported = [
        (!select.optimizer_hints.is_empty(), "a query hint"),
        (matches!(select.distinct, Some(Distinct::On(_))), "DISTINCT ON"),
        (select.select_modifiers.is_some(), "a SELECT modifier"),
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.into.is_some(), "SELECT INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (
            select.value_table_mode.is_some_and(|mode| mode != ValueTableMode::AsStruct),
            "SELECT AS VALUE",
        ),
        (select.projection.is_empty(), "a SELECT without a list"),
    ];
    match unsupported.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(SqlError::unsupported(what, place)),
        None => Ok(()),
    }
}

/// Columns with BigQuery's names for those without one: `f0_`, `f1_`, ...
fn columns_of(outputs: &[Output]) -> Vec<Field> {
    let mut unnamed = 0;
    outputs
        .iter()
        .map(|output| match &output.name {
            Some(name) => Field::new(name, output.typed.ty.clone()),
            None => {
                unnamed += 1;
                Field::new(&format!("f{}_", unnamed - 1), output.typed.ty.clone())
            }
        })
        .collect()
}

fn union(
    mut parts: Vec<QueryPlan>,
    distinct: bool,
    place: Location,
) -> Result<(Vec<Field>, Body), SqlError> {
    let mut columns = Vec::new();
    let widths: Vec<usize> = parts.iter().map(|part| part.columns.len()).collect();
    let (Some(first), true) =
        (parts.first(), widths.windows(2).all(|pair| pair.first() == pair.last()))
    else {
        return Err(SqlError::at(
            format!(
                "Queries in UNION have mismatched column count; query 1 has {widths:?} columns"
            ),
            place,
        ));
    };
    for (index, column) in first.columns.iter().enumerate() {
        let types: Vec<Typed> = parts
            .iter()
            .filter_map(|part| part.columns.get(index))
            .map(|column| Typed::new(Node::Constant(Value::Null), column.ty.clone()))
            .collect();
        let ty = cast::common_type(&types.iter().collect::<Vec<_>>()).ok_or_else(|| {
            SqlError::at(format!("Column {} in UNION has incompatible types", index + 1), place)
        })?;
        columns.push(Field { name: column.name.clone(), ty });
    }
    for part in &mut parts {
        part.columns = columns.clone();
    }
    let parts = parts.into_iter().map(Rc::new).collect();
    Ok((columns, Body::Union { parts, distinct }))
}
