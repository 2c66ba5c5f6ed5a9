//! A query after its names and types are settled: what [`bind`](super::bind) makes of the text and
//! [`run`](mod@super::run) executes.

use std::fmt;
use std::rc::Rc;

use super::SqlError;
use super::value::{Field, Type, Value};

/// A scalar function: its name, for comparison, and what it does with its evaluated arguments.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name with its overload.
    pub name: &'static str,
    /// Whether a NULL argument makes the result NULL without a call.
    pub strict: bool,
    /// The function.
    pub apply: fn(&[Value]) -> Result<Value, SqlError>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What is done with two numbers of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A literal or a parameter.
    Constant(Value),
    /// A column of the row at hand (depth 0) or of an enclosing query's row.
    Column {
        /// How many queries out.
        depth: usize,
        /// Its place in that row.
        index: usize,
    },
    /// A field of a STRUCT.
    Field(Box<Node>, usize),
    /// A scalar function.
    Call(Function, Vec<Node>),
    /// The first argument that is not NULL.
    Coalesce(Vec<Node>),
    /// Conditions with results, and the result of none.
    Case(Vec<(Node, Node)>, Box<Node>),
    /// Three-valued AND.
    And(Box<Node>, Box<Node>),
    /// Three-valued OR.
    Or(Box<Node>, Box<Node>),
    /// Three-valued NOT.
    Not(Box<Node>),
    /// Compares two values of one type.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// Computes with two numbers of one type.
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// `IS NULL`.
    IsNull(Box<Node>),
    /// `IN` a list.
    In(Box<Node>, Vec<Node>),
    /// `IN UNNEST(array)`.
    InArray(Box<Node>, Box<Node>),
    /// `IN (query)`.
    InQuery(Box<Node>, Rc<QueryPlan>),
    /// CAST to a type; SAFE_CAST gives NULL where it fails.
    Cast {
        /// From what.
        input: Box<Node>,
        /// To which type.
        to: Type,
        /// Whether a failure is NULL.
        safe: bool,
    },
    /// The one value of a query; NULL for none.
    Scalar(Rc<QueryPlan>),
    /// Whether a query has a row.
    Exists(Rc<QueryPlan>),
    /// `ARRAY(query)`.
    ArrayOf(Rc<QueryPlan>),
    /// An array literal.
    Array(Vec<Node>),
    /// A struct.
    Struct(Vec<Node>),
}

/// A node with its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    /// The expression.
    pub node: Node,
    /// Its type.
    pub ty: Type,
    /// Whether it is a literal or a parameter, which take the type that their place asks for.
    pub literal: bool,
}

impl Typed {
    /// An expression that has its type for good.
    pub fn new(node: Node, ty: Type) -> Self {
        Self { node, ty, literal: false }
    }

    /// A literal.
    pub fn literal(value: Value, ty: Type) -> Self {
        Self { node: Node::Constant(value), ty, literal: true }
    }

    /// Whether it is the literal NULL, which has every type.
    pub fn is_null_literal(&self) -> bool {
        self.literal && self.node == Node::Constant(Value::Null)
    }
}

/// A whole query: rows of a body, ordered and cut.
#[derive(Debug, PartialEq)]
pub struct QueryPlan {
    /// The result's columns.
    pub columns: Vec<Field>,
    /// Where rows come from.
    pub body: Body,
    /// How they are ordered.
    pub order: Vec<OrderKey>,
    /// At most how many.
    pub limit: Option<usize>,
    /// How many are left out first.
    pub offset: usize,
    /// Whether the rows depend on nothing outside, so that they are made once.
    pub once: bool,
}

/// Where a query's rows come from.
#[derive(Debug, PartialEq)]
pub enum Body {
    /// A SELECT.
    Select(Box<SelectPlan>),
    /// A query in brackets.
    Query(Rc<QueryPlan>),
    /// The rows of all parts, each part's columns cast to the result's types.
    Union {
        /// The parts.
        parts: Vec<Rc<QueryPlan>>,
        /// Whether equal rows are told once.
        distinct: bool,
    },
}

/// One key of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderKey {
    /// Which output.
    pub index: usize,
    /// Whether large values come first.
    pub descending: bool,
    /// Whether NULLs come first.
    pub nulls_first: bool,
}

/// A SELECT.
#[derive(Debug, PartialEq)]
pub struct SelectPlan {
    /// What is read, joined from left to right; nothing for one row without columns.
    pub from: Vec<FromItem>,
    /// How many columns a joined row has.
    pub width: usize,
    /// Which rows count.
    pub filter: Option<Node>,
    /// How they are grouped.
    pub grouping: Option<Grouping>,
    /// Which groups count.
    pub having: Option<Node>,
    /// What comes out: the columns, then what only the order needs.
    pub outputs: Vec<Node>,
    /// How many of the outputs are columns.
    pub visible: usize,
    /// Whether equal rows are told once.
    pub distinct: bool,
}

/// Grouping keys and aggregates. A group's row is its keys, then its aggregates.
#[derive(Debug, PartialEq)]
pub struct Grouping {
    /// The keys over the joined row.
    pub keys: Vec<Node>,
    /// Which keys each grouping set has; keys outside are NULL.
    pub sets: Vec<Vec<usize>>,
    /// The aggregates over the joined row.
    pub aggregates: Vec<Aggregate>,
    /// Whether there is a group even of no rows: an aggregation without GROUP BY.
    pub always: bool,
}

/// What an aggregate function does.
#[derive(Debug, Clone, PartialEq)]
pub enum AggregateKind {
    /// COUNT(*) and, with an argument, COUNT.
    Count,
    /// COUNTIF.
    CountIf,
    /// SUM in the type of its argument.
    Sum(Type),
    /// AVG in NUMERIC or FLOAT64.
    Average(Type),
    /// MIN.
    Minimum,
    /// MAX.
    Maximum,
    /// ANY_VALUE.
    Any,
    /// LOGICAL_AND (true) or LOGICAL_OR (false).
    Logical(bool),
    /// STRING_AGG with its delimiter.
    Strings(String),
    /// ARRAY_AGG, ignoring NULLs or not.
    Array {
        /// Whether NULLs are left out; BigQuery refuses an array with NULLs in a result.
        ignore_nulls: bool,
    },
    /// GROUPING of a key: 1 where the grouping set has it not.
    Grouping(usize),
}

/// One aggregate.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What it does.
    pub kind: AggregateKind,
    /// With what; nothing for COUNT(*).
    pub argument: Option<Node>,
    /// Whether equal arguments count once.
    pub distinct: bool,
}

/// One joined input.
#[derive(Debug, PartialEq)]
pub struct FromItem {
    /// What is read.
    pub source: Source,
    /// Where its columns stand in the joined row.
    pub offset: usize,
    /// How many they are.
    pub width: usize,
    /// How it is joined to what stands left of it.
    pub join: Join,
}

/// What a FROM item reads.
#[derive(Debug, PartialEq)]
pub enum Source {
    /// A table.
    Table {
        /// Its place in the binder's list.
        table: usize,
        /// Conditions over partitioning pseudo columns only: they decide what is read at all.
        prune: Vec<Node>,
    },
    /// A query: in brackets or by name.
    Query(Rc<QueryPlan>),
    /// The elements of an array; with `offset`, their places too.
    Unnest {
        /// The array, over the columns left of it.
        array: Node,
        /// Whether a column of places follows.
        offset: bool,
    },
}

/// How a FROM item is joined.
#[derive(Debug, PartialEq)]
pub enum Join {
    /// Comma, CROSS JOIN, INNER JOIN with its condition.
    Inner(Option<Node>),
    /// LEFT JOIN.
    Left(Option<Node>),
}
