//! Names: columns, fields, aliases and enclosing queries.

use std::cell::RefCell;

use sqlparser::ast::{AccessExpr, Expr, Ident, Subscript};
use sqlparser::tokenizer::Location;

use super::Binder;
use crate::simulate::gcp::sql::SqlError;
use crate::simulate::gcp::sql::plan::{Aggregate, Node, Typed};
use crate::simulate::gcp::sql::value::{Field, Type};

/// One FROM item's columns in the row at hand.
#[derive(Debug, Clone)]
pub(super) struct Range {
    /// Its alias.
    pub(super) alias: Option<String>,
    /// Its columns.
    pub(super) columns: Vec<Field>,
    /// How many of them, at the end, `SELECT *` leaves out.
    pub(super) hidden: usize,
    /// Where they begin in the row.
    pub(super) offset: usize,
    /// The table, for the note which columns are read.
    pub(super) table: Option<usize>,
    /// Whether the first column is an array element, whose fields have names of their own.
    pub(super) element: bool,
}

/// Keys and aggregates of a grouped query, for names after the grouping.
pub(super) struct Grouped<'a> {
    /// The scope of the rows that are grouped.
    pub(super) rows: &'a Scope<'a>,
    /// The keys.
    pub(super) keys: &'a [Typed],
    /// The aggregates found so far.
    pub(super) aggregates: RefCell<Vec<Aggregate>>,
}

/// What names mean at one place of a query.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// The FROM items.
    pub(super) ranges: Vec<Range>,
    /// The enclosing query's scope.
    pub(super) parent: Option<&'a Scope<'a>>,
    /// After a grouping: what it keeps.
    pub(super) grouped: Option<&'a Grouped<'a>>,
    /// Select-list aliases, where they are visible.
    pub(super) aliases: Vec<(String, Typed)>,
    /// The clause, for the error about an aggregate function in it.
    pub(super) clause: &'static str,
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

impl Scope<'_> {
    /// How many columns the row has.
    pub(super) fn width(&self) -> usize {
        self.ranges.iter().map(|range| range.columns.len()).sum()
    }

    fn known_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.aliases.iter().map(|(name, _)| name.clone()).collect();
        let scopes = std::iter::successors(Some(self), |scope| scope.parent);
        for scope in scopes {
            let rows = scope.grouped.map_or(scope, |grouped| grouped.rows);
            for range in &rows.ranges {
                names.extend(range.alias.clone());
                names.extend(range.columns.iter().map(|column| column.name.to_string()));
            }
        }
        names
    }
}

/// What a name's first parts lead to, and how many parts that took.
struct Found {
    typed: Typed,
    parts: usize,
}

impl Binder<'_> {
    /// What a path of names means.
    pub(super) fn name(&self, parts: &[Ident], scope: &Scope<'_>) -> Result<Typed, SqlError> {
        let place = parts.first().map_or(Location::empty(), |part| part.span.start);
        let mut depth = 0;
        let mut next = Some(scope);
        while let Some(scope) = next {
            if let Some(found) = self.in_scope(parts, scope, depth, place)? {
                return fields(found, parts);
            }
            next = scope.parent;
            depth += 1;
        }
        let name = parts.first().map_or("", |part| part.value.as_str());
        let close = scope
            .known_names()
            .into_iter()
            .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
            .filter(|(likeness, _)| *likeness > 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = close.map_or(String::new(), |(_, known)| format!("; Did you mean {known}?"));
        Err(SqlError::at(format!("Unrecognized name: {name}{hint}"), place))
    }

    fn in_scope(
        &self,
        parts: &[Ident],
        scope: &Scope<'_>,
        depth: usize,
        place: Location,
    ) -> Result<Option<Found>, SqlError> {
        let Some(first) = parts.first().map(|part| part.value.as_str()) else {
            return Ok(None);
        };
        if depth == 0
            && let Some((_, typed)) = scope.aliases.iter().find(|(name, _)| same(name, first))
        {
            return Ok(Some(Found { typed: typed.clone(), parts: 1 }));
        }
        let Some(grouped) = scope.grouped else {
            return self.in_ranges(parts, scope, depth, place);
        };
        let Some(found) = self.in_ranges(parts, grouped.rows, 0, place)? else {
            return Ok(None);
        };
        // The longest path that is a key.
        let whole = fields(Found { typed: found.typed.clone(), parts: found.parts }, parts)?;
        let mut node = &whole.node;
        let mut steps = Vec::new();
        loop {
            if let Some(index) = grouped.keys.iter().position(|key| key.node == *node) {
                let mut key = Node::Column { depth, index };
                for step in steps.into_iter().rev() {
                    key = Node::Field(Box::new(key), step);
                }
                return Ok(Some(Found {
                    typed: Typed::new(key, whole.ty.clone()),
                    parts: parts.len(),
                }));
            }
            match node {
                Node::Field(inner, step) => {
                    steps.push(*step);
                    node = inner;
                }
                _ => break,
            }
        }
        let name = parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join(".");
        Err(SqlError::at(
            format!(
                "{} expression references column {name} which is neither grouped nor aggregated",
                scope.clause
            ),
            place,
        ))
    }

    fn in_ranges(
        &self,
        parts: &[Ident],
        scope: &Scope<'_>,
        depth: usize,
        place: Location,
    ) -> Result<Option<Found>, SqlError> {
        let name = |index: usize| parts.get(index).map(|part| part.value.as_str());
        let Some(first) = name(0) else { return Ok(None) };
        let mut found: Vec<Found> = Vec::new();
        for range in &scope.ranges {
            for typed in self.columns(range, first, depth) {
                found.push(Found { typed, parts: 1 });
            }
        }
        if found.is_empty()
            && let Some(range) = scope
                .ranges
                .iter()
                .find(|range| range.alias.as_deref().is_some_and(|a| same(a, first)))
        {
            let Some(second) = name(1) else {
                return Err(SqlError::unsupported(
                    format!("the table alias {first} as a value"),
                    place,
                ));
            };
            found.extend(
                self.columns(range, second, depth)
                    .into_iter()
                    .map(|typed| Found { typed, parts: 2 }),
            );
            if found.is_empty() {
                return Err(SqlError::at(format!("Name {second} not found inside {first}"), place));
            }
        }
        if found.len() > 1 {
            return Err(SqlError::at(format!("Column name {first} is ambiguous"), place));
        }
        Ok(found.pop())
    }

    /// The columns of a range with a name: one, or more where it is ambiguous.
    fn columns(&self, range: &Range, name: &str, depth: usize) -> Vec<Typed> {
        let mut found = Vec::new();
        for (index, column) in range.columns.iter().enumerate() {
            let whole = || Node::Column { depth, index: range.offset + index };
            if same(&column.name, name) {
                if let Some(table) =
                    range.table.and_then(|table| self.uses.borrow().get(table).cloned())
                {
                    table.columns.borrow_mut().insert(index);
                }
                found.push(Typed::new(whole(), column.ty.clone()));
            } else if range.element
                && index == 0
                && let Type::Struct(inner) = &column.ty
                && let Some(place) = inner.iter().position(|field| same(&field.name, name))
                && let Some(field) = inner.get(place)
            {
                found.push(Typed::new(Node::Field(Box::new(whole()), place), field.ty.clone()));
            }
        }
        found
    }

    /// Notes that a range's column is read, and gives it.
    pub(super) fn column(&self, range: &Range, index: usize) -> Option<Typed> {
        let column = range.columns.get(index)?;
        if let Some(table) = range.table.and_then(|table| self.uses.borrow().get(table).cloned()) {
            table.columns.borrow_mut().insert(index);
        }
        let node = Node::Column { depth: 0, index: range.offset + index };
        Some(Typed::new(node, column.ty.clone()))
    }

    /// `root.field` after brackets; array subscripts are not served.
    pub(super) fn access(
        &self,
        root: Typed,
        chain: &[AccessExpr],
        _scope: &Scope<'_>,
        place: Location,
    ) -> Result<Typed, SqlError> {
        let mut typed = root;
        for step in chain {
            typed = match step {
                AccessExpr::Dot(Expr::Identifier(name)) => field(typed, name)?,
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    return Err(SqlError::unsupported(
                        format!("the array subscript [{index}]"),
                        place,
                    ));
                }
                other => return Err(SqlError::unsupported(format!("the access {other}"), place)),
            };
        }
        Ok(typed)
    }
}

fn fields(found: Found, parts: &[Ident]) -> Result<Typed, SqlError> {
    parts.iter().skip(found.parts).try_fold(found.typed, field)
}

fn field(typed: Typed, name: &Ident) -> Result<Typed, SqlError> {
    let place = name.span.start;
    let Type::Struct(inner) = &typed.ty else {
        return Err(SqlError::at(
            format!("Cannot access field {} on a value with type {}", name.value, typed.ty),
            place,
        ));
    };
    let index = inner.iter().position(|field| same(&field.name, &name.value));
    match index.and_then(|index| inner.get(index).map(|field| (index, field.ty.clone()))) {
        Some((index, ty)) => Ok(Typed::new(Node::Field(Box::new(typed.node), index), ty)),
        None => Err(SqlError::at(
            format!("Field name {} does not exist in {}", name.value, typed.ty),
            place,
        )),
    }
}
