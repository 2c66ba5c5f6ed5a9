//! Executes a plan: joins, filters, groups, orders; evaluates expressions on the way.

mod eval;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::SqlError;
use super::aggregate::State;
use super::bind::TableUse;
use super::cast;
use super::plan::{Body, FromItem, Grouping, Join, Node, OrderKey, QueryPlan, SelectPlan, Source};
use super::value::Value;

/// A row.
pub type Row = Vec<Value>;

/// The row at hand, and those of the enclosing queries.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The row.
    pub row: &'a [Value],
    /// The enclosing query's.
    pub parent: Option<&'a Frame<'a>>,
}

/// The most rows that one FROM may make before the query is refused.
const MOST_JOINED_ROWS: usize = 20_000_000;

/// Runs plans over tables.
pub struct Executor<'a> {
    uses: &'a [Rc<TableUse>],
    made: RefCell<HashMap<*const QueryPlan, Rc<Vec<Row>>>>,
    scanned: RefCell<HashMap<usize, usize>>,
}

/// What a FROM item gives, made once for all rows left of it.
enum Input {
    Rows(Rc<Vec<Row>>),
    Array,
}

impl<'a> Executor<'a> {
    /// An executor over the tables of a bound query.
    pub fn new(uses: &'a [Rc<TableUse>]) -> Self {
        Self { uses, made: RefCell::default(), scanned: RefCell::default() }
    }

    /// For each scanned table, how many rows and columns were read after pruning.
    pub fn scanned(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let scanned = self.scanned.borrow();
        let read: Vec<_> = scanned
            .iter()
            .filter_map(|(table, rows)| {
                let used = self.uses.get(*table)?;
                let real = used.table.columns.len() - used.table.pseudo_columns;
                let columns = used.columns.borrow().iter().filter(|column| **column < real).count();
                Some((*rows, columns))
            })
            .collect();
        read.into_iter()
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// Data errors, in BigQuery's words.
    pub fn query(
        &self,
        plan: &QueryPlan,
        parent: Option<&Frame<'_>>,
    ) -> Result<Rc<Vec<Row>>, SqlError> {
        if plan.once
            && let Some(rows) = self.made.borrow().get(&std::ptr::from_ref(plan))
        {
            return Ok(Rc::clone(rows));
        }
        let mut rows = self.body(&plan.body, parent)?;
        order(&mut rows, &plan.order);
        let end = plan.limit.map_or(usize::MAX, |limit| plan.offset.saturating_add(limit));
        rows.truncate(end);
        rows.drain(..plan.offset.min(rows.len()));
        for row in &mut rows {
            row.truncate(plan.columns.len());
        }
        let rows = Rc::new(rows);
        if plan.once {
            self.made.borrow_mut().insert(std::ptr::from_ref(plan), Rc::clone(&rows));
        }
        Ok(rows)
    }

    fn body(&self, body: &Body, parent: Option<&Frame<'_>>) -> Result<Vec<Row>, SqlError> {
        match body {
            Body::Select(select) => self.select(select, parent),
            Body::Query(plan) => Ok(self.query(plan, parent)?.to_vec()),
            Body::Union { parts, distinct } => {
                let mut rows = Vec::new();
                for part in parts {
                    for row in self.body(&part.body, parent)? {
                        let row = row
                            .iter()
                            .zip(&part.columns)
                            .map(|(value, column)| cast::cast(value, &column.ty));
                        rows.push(row.collect::<Result<Row, _>>()?);
                    }
                }
                if *distinct {
                    once_each(&mut rows, usize::MAX);
                }
                Ok(rows)
            }
        }
    }

    fn select(
        &self,
        select: &SelectPlan,
        parent: Option<&Frame<'_>>,
    ) -> Result<Vec<Row>, SqlError> {
        let mut rows = Vec::new();
        let mut groups = select.grouping.as_ref().map(Groups::new);
        self.joined(select, parent, &mut |row| {
            let frame = Frame { row, parent };
            match &mut groups {
                Some(groups) => groups.take(self, &frame),
                None => {
                    rows.push(self.outputs(&select.outputs, &frame)?);
                    Ok(())
                }
            }
        })?;
        if let Some(groups) = groups {
            for row in groups.finish()? {
                let frame = Frame { row: &row, parent };
                let counts = match &select.having {
                    Some(having) => self.eval(having, &frame)?.is_true(),
                    None => true,
                };
                if counts {
                    rows.push(self.outputs(&select.outputs, &frame)?);
                }
            }
        }
        if select.distinct {
            once_each(&mut rows, select.visible);
        }
        Ok(rows)
    }

    fn outputs(&self, nodes: &[Node], frame: &Frame<'_>) -> Result<Row, SqlError> {
        nodes.iter().map(|node| self.eval(node, frame)).collect()
    }

    /// Calls `each` with every joined row that the filter lets through.
    fn joined(
        &self,
        select: &SelectPlan,
        parent: Option<&Frame<'_>>,
        each: &mut dyn FnMut(&[Value]) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let inputs = select
            .from
            .iter()
            .map(|item| match &item.source {
                Source::Table { table, prune } => {
                    self.scan(*table, item, prune, select.width, parent)
                }
                Source::Query(plan) => Ok(Input::Rows(self.query(plan, parent)?)),
                Source::Unnest { .. } => Ok(Input::Array),
            })
            .collect::<Result<Vec<_>, SqlError>>()?;
        let mut row = vec![Value::Null; select.width];
        let mut made = 0usize;
        self.join(&select.from, &inputs, &mut row, parent, &mut |row| {
            made += 1;
            if made > MOST_JOINED_ROWS {
                return Err(SqlError {
                    reason: "resourcesExceeded",
                    ..SqlError::invalid(
                        "Resources exceeded during query execution: the join makes too many rows",
                    )
                });
            }
            let counts = match &select.filter {
                Some(filter) => self.eval(filter, &Frame { row, parent })?.is_true(),
                None => true,
            };
            if counts { each(row) } else { Ok(()) }
        })
    }

    /// Reads the partitions of a table that the filter does not rule out.
    fn scan(
        &self,
        table: usize,
        item: &FromItem,
        prune: &[Node],
        width: usize,
        parent: Option<&Frame<'_>>,
    ) -> Result<Input, SqlError> {
        let Some(used) = self.uses.get(table) else { return Ok(Input::Rows(Rc::default())) };
        let columns: Vec<usize> = used.columns.borrow().iter().copied().collect();
        let mut rows = Vec::new();
        let mut joined = vec![Value::Null; width];
        for index in 0..used.table.rows {
            let mut row = vec![Value::Null; item.width];
            for column in &columns {
                if let Some(place) = row.get_mut(*column) {
                    *place = (used.table.read)(index, *column);
                }
            }
            if !prune.is_empty() {
                put(&mut joined, item.offset, &row);
                let frame = Frame { row: &joined, parent };
                let mut read = true;
                for condition in prune {
                    read &= self.eval(condition, &frame)?.is_true();
                }
                if !read {
                    continue;
                }
            }
            rows.push(row);
        }
        *self.scanned.borrow_mut().entry(table).or_default() += rows.len();
        Ok(Input::Rows(Rc::new(rows)))
    }

    fn join(
        &self,
        items: &[FromItem],
        inputs: &[Input],
        row: &mut Row,
        parent: Option<&Frame<'_>>,
        each: &mut dyn FnMut(&[Value]) -> Result<(), SqlError>,
    ) -> Result<(), SqlError> {
        let (Some((item, items)), Some((input, inputs))) =
            (items.split_first(), inputs.split_first())
        else {
            return each(row);
        };
        let array_rows;
        let candidates = match (input, &item.source) {
            (Input::Rows(rows), _) => rows.as_ref(),
            (Input::Array, Source::Unnest { array, offset }) => {
                array_rows = elements(&self.eval(array, &Frame { row, parent })?, *offset);
                &array_rows
            }
            (Input::Array, _) => return Ok(()),
        };
        let (condition, is_left) = match &item.join {
            Join::Inner(condition) => (condition, false),
            Join::Left(condition) => (condition, true),
        };
        let mut matched = false;
        for candidate in candidates {
            put(row, item.offset, candidate);
            let fits = match condition {
                Some(condition) => self.eval(condition, &Frame { row, parent })?.is_true(),
                None => true,
            };
            if fits {
                matched = true;
                self.join(items, inputs, row, parent, each)?;
            }
        }
        if is_left && !matched {
            put(row, item.offset, &vec![Value::Null; item.width]);
            self.join(items, inputs, row, parent, each)?;
        }
        Ok(())
    }
}

/// The groups of a SELECT, in the order in which their first rows came.
struct Groups<'p> {
    plan: &'p Grouping,
    places: HashMap<(usize, Row), usize>,
    groups: Vec<(usize, Row, Vec<State>)>,
}

impl<'p> Groups<'p> {
    fn new(plan: &'p Grouping) -> Self {
        Self { plan, places: HashMap::new(), groups: Vec::new() }
    }

    fn states(&self) -> Vec<State> {
        self.plan.aggregates.iter().map(State::new).collect()
    }

    fn take(&mut self, executor: &Executor<'_>, frame: &Frame<'_>) -> Result<(), SqlError> {
        let keys = executor.outputs(&self.plan.keys, frame)?;
        let arguments = self
            .plan
            .aggregates
            .iter()
            .map(|aggregate| {
                aggregate.argument.as_ref().map(|node| executor.eval(node, frame)).transpose()
            })
            .collect::<Result<Vec<_>, _>>()?;
        for (set, members) in self.plan.sets.iter().enumerate() {
            let keys: Row = keys
                .iter()
                .enumerate()
                .map(
                    |(index, key)| if members.contains(&index) { key.clone() } else { Value::Null },
                )
                .collect();
            let place = match self.places.get(&(set, keys.clone())) {
                Some(place) => *place,
                None => {
                    let states = self.states();
                    self.groups.push((set, keys.clone(), states));
                    self.places.insert((set, keys), self.groups.len() - 1);
                    self.groups.len() - 1
                }
            };
            if let Some((_, _, states)) = self.groups.get_mut(place) {
                for (state, argument) in states.iter_mut().zip(&arguments) {
                    state.take(argument.clone())?;
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Row>, SqlError> {
        // The grand total is told even of no rows, by an aggregation without GROUP BY and by an
        // empty grouping set.
        for (set, members) in self.plan.sets.iter().enumerate() {
            let there = self.groups.iter().any(|(other, ..)| *other == set);
            if members.is_empty() && !there {
                let keys = vec![Value::Null; self.plan.keys.len()];
                let states = self.states();
                self.groups.push((set, keys, states));
            }
        }
        let mut rows = Vec::new();
        for (set, mut row, states) in self.groups {
            let members = self.plan.sets.get(set).map_or(&[][..], Vec::as_slice);
            for state in states {
                row.push(state.finish(members)?);
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn elements(array: &Value, offset: bool) -> Vec<Row> {
    let Value::Array(values) = array else { return Vec::new() };
    values
        .iter()
        .zip(0..)
        .map(|(value, place)| {
            let mut row = vec![value.clone()];
            if offset {
                row.push(Value::Int(place));
            }
            row
        })
        .collect()
}

fn put(row: &mut [Value], offset: usize, values: &[Value]) {
    for (place, value) in row.iter_mut().skip(offset).zip(values) {
        *place = value.clone();
    }
}

/// Keeps the first of rows whose first `visible` values are equal.
fn once_each(rows: &mut Vec<Row>, visible: usize) {
    let mut seen = HashSet::new();
    rows.retain(|row| seen.insert(row.iter().take(visible).cloned().collect::<Row>()));
}

fn order(rows: &mut [Row], keys: &[OrderKey]) {
    rows.sort_by(|a, b| {
        for key in keys {
            let (Some(a), Some(b)) = (a.get(key.index), b.get(key.index)) else { continue };
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if key.nulls_first => Ordering::Less,
                (true, false) => Ordering::Greater,
                (false, true) if key.nulls_first => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) if key.descending => b.order(a),
                (false, false) => a.order(b),
            };
            if ordering != Ordering::Equal {
                return ordering;
            }
        }
        Ordering::Equal
    });
}
