//! The SQL over the billing export: plain GoogleSQL with named parameters.
//!
//! Credits are summed by scalar subqueries: a join with `UNNEST(credits)` would repeat the cost.
//! Columns are named one by one, since Google adds new ones to the export. Schemas:
//! `cloud.google.com/billing/docs/how-to/export-data-bigquery-tables`, pages `standard-usage`,
//! `detailed-usage` and `focus-export`.

mod words;

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use self::words::Words;
pub use self::words::{
    GIVEN_CREDITS, can_ask, needed_columns, optional_columns, partition_by, words,
};
use crate::collect::gcp::config::TableKind;
use crate::domain::breakdown::{Breakdown, Dimension};
use crate::domain::gpu_family::STEMS;
use crate::domain::period::{BillingZone, Window};

/// The export's table as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `project.dataset.table`, of checked names.
    pub path: String,
    /// Which of Google's schemas it has.
    pub kind: TableKind,
    /// How it is partitioned.
    pub partition: Partition,
    /// Whether it tells the cost at list prices.
    pub has_list: bool,
    /// Whether it tells the rate to the US dollar.
    pub has_rate: bool,
    /// Whether it tells how much was used.
    pub has_use: bool,
}

/// How a table is partitioned, as far as it serves to read less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// By the day on which rows were loaded: `_PARTITIONTIME`.
    LoadDay,
    /// By the export time.
    ExportTime,
    /// Otherwise or not at all: a view, a copy, or by the usage time that is filtered anyway.
    Other,
}

/// A statement with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL.
    pub sql: String,
    /// The parameters that it names.
    pub parameters: Vec<(String, Parameter)>,
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// `TIMESTAMP`.
    Instant(Timestamp),
    /// `ARRAY<DATE>`.
    Days(Vec<Date>),
    /// `ARRAY<STRING>`.
    Texts(Vec<String>),
}

/// One way to cut the money: a breakdown and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What it is called and what its keys are.
    pub breakdown: Breakdown,
    /// All money by category; otherwise spend only.
    pub by_category: bool,
    /// SKUs of GPU machines only, with how much of them was used.
    pub gpus: bool,
    /// Only these values.
    pub filters: Vec<(Dimension, Vec<String>)>,
}

/// Patterns of the SKUs of GPUs (`A4 Nvidia B200 (1 gpu slice)` among them), and of cores and memory
/// of the machine families that only come with GPUs, with the fees of commitments to them.
fn gpu_skus() -> impl Iterator<Item = String> {
    let gpus = ["%GPU%", "%Gpu%", "% gpu %", "%RTX 6000 96GB%"].map(str::to_owned);
    let parts = STEMS.iter().map(|stem| format!("%{stem}%Instance %"));
    let fees = STEMS.iter().map(|stem| format!("Commitment v1: {stem}%"));
    gpus.into_iter().chain(parts).chain(fees)
}

/// Which rows are read: whole usage days, as they stood at an export time.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The usage days, ascending, at least one.
    pub days: &'a [Date],
    /// The newest export time that counts, so that every query of a poll sees the same rows.
    pub through: Timestamp,
}

/// Which days have rows that were exported after `since`, and of which billing account: columns
/// `day`, `account`, `exported`.
pub fn changed_days(table: &Table, window: Window, since: Option<Timestamp>) -> Statement {
    let words = words(table.kind);
    let mut statement = Select::new(words);
    statement.group("day", &words.day());
    statement.group("account", &format!("IFNULL({}, '')", words.account));
    statement.column("exported", &format!("MAX({})", words.export_time));
    statement.between(window);
    let loaded_from = match since {
        Some(since) => {
            statement.condition(&format!("{} > @since", words.export_time));
            statement.parameter("since", Parameter::Instant(since));
            since.max(BillingZone::Pacific.start_of(window.start))
        }
        None => BillingZone::Pacific.start_of(window.start),
    };
    statement.prune(table, loaded_from);
    statement.finish(table)
}

/// The control total: spend by day and currency, asked without any other grouping.
pub fn control(table: &Table, reading: Reading<'_>) -> Statement {
    let words = words(table.kind);
    let mut statement = Select::new(words);
    statement.group("day", &words.day());
    statement.group("currency", words.currency);
    statement.amounts(table);
    statement.read(table, reading);
    statement.condition(words.in_spend);
    statement.finish(table)
}

/// A breakdown. Columns: `day`, `currency`, `invoice_month`, `key0`..., the amounts, and what the
/// cut asks for besides.
pub fn breakdown(table: &Table, reading: Reading<'_>, cut: &Cut) -> Statement {
    let words = words(table.kind);
    let mut statement = Select::new(words);
    statement.group("day", &words.day());
    statement.group("currency", words.currency);
    statement.group("invoice_month", words.invoice_month);
    for (index, dimension) in cut.breakdown.dimensions.iter().enumerate() {
        if let Some(column) = words.dimension(*dimension) {
            statement.group(&format!("key{index}"), &format!("IFNULL({column}, '')"));
        }
    }
    if cut.by_category {
        statement.group("category", words.category);
    }
    statement.amounts(table);
    if cut.by_category {
        for (index, kind) in GIVEN_CREDITS.iter().enumerate() {
            statement.amount(table, &format!("credit{index}"), &words.credit(&[kind], true));
        }
    }
    if cut.breakdown.dimensions.contains(&Dimension::SubAccountId) {
        statement.column("sub_account_name", &format!("MAX({})", words.project_name));
    }
    if cut.gpus && table.has_use {
        statement.column("quantity", &format!("SUM(CAST({} AS NUMERIC))", words.quantity));
        statement.column("unit", &format!("MIN({})", words.unit));
        statement.column("other_unit", &format!("MAX({})", words.unit));
    }
    statement.read(table, reading);
    if !cut.by_category {
        statement.condition(words.in_spend);
    }
    if cut.gpus {
        let wanted: Vec<String> =
            gpu_skus().map(|like| format!("{} LIKE '{like}'", words.sku)).collect();
        statement.condition(&format!("({})", wanted.join(" OR ")));
    }
    for (index, (dimension, values)) in cut.filters.iter().enumerate() {
        let column = match dimension {
            Dimension::ChargeCategory => words.category.to_owned(),
            other => match words.dimension(*other) {
                Some(column) => format!("IFNULL({column}, '')"),
                None => continue,
            },
        };
        statement.condition(&format!("{column} IN UNNEST(@filter{index})"));
        statement.parameter(&format!("filter{index}"), Parameter::Texts(values.clone()));
    }
    statement.finish(table)
}

/// A `SELECT` in the making: the grouped columns come first, so that they are grouped by ordinal.
struct Select {
    words: &'static Words,
    columns: Vec<String>,
    groups: usize,
    conditions: Vec<String>,
    parameters: Vec<(String, Parameter)>,
}

impl Select {
    fn new(words: &'static Words) -> Self {
        Self {
            words,
            columns: Vec::new(),
            groups: 0,
            conditions: Vec::new(),
            parameters: Vec::new(),
        }
    }

    fn group(&mut self, name: &str, expression: &str) {
        self.column(name, expression);
        self.groups += 1;
    }

    fn column(&mut self, name: &str, expression: &str) {
        self.columns.push(format!("{expression} AS {name}"));
    }

    fn condition(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    fn parameter(&mut self, name: &str, value: Parameter) {
        self.parameters.push((name.to_owned(), value));
    }

    /// One amount as `name`, and in US dollars as `name_usd`: each row by its own rate.
    fn amount(&mut self, table: &Table, name: &str, row: &str) {
        self.column(name, &format!("SUM({row})"));
        if table.has_rate {
            let rate = self.words.rate;
            self.column(
                &format!("{name}_usd"),
                &format!(
                    "SUM(CASE WHEN {rate} > 0 THEN CAST(({row}) / CAST({rate} AS NUMERIC) AS NUMERIC) END)"
                ),
            );
        }
    }

    /// `billed`, `effective` where it differs, `list` with how many rows lack it as `unlisted`,
    /// and how many rows lack a rate as `unrated`.
    fn amounts(&mut self, table: &Table) {
        let words = self.words;
        self.amount(table, "billed", &words.spend(words.cost));
        if let Some(effective) = words.effective {
            self.amount(table, "effective", &words.spend(effective));
        }
        if table.has_list {
            self.amount(table, "list", &format!("CAST({} AS NUMERIC)", words.list));
            self.column(
                "unlisted",
                &format!("SUM(CASE WHEN {} IS NULL THEN 1 ELSE 0 END)", words.list),
            );
        }
        if table.has_rate {
            self.column("unrated", &format!("SUM(CASE WHEN {} > 0 THEN 0 ELSE 1 END)", words.rate));
        }
    }

    fn between(&mut self, window: Window) {
        let start = self.words.usage_start;
        self.condition(&format!("{start} >= @from AND {start} < @until"));
        self.parameter("from", Parameter::Instant(BillingZone::Pacific.start_of(window.start)));
        self.parameter("until", Parameter::Instant(BillingZone::Pacific.start_of(window.end)));
    }

    fn read(&mut self, table: &Table, reading: Reading<'_>) {
        let (Some(first), Some(last)) = (reading.days.first(), reading.days.last()) else {
            self.condition("FALSE");
            return;
        };
        let window = Window::new(*first, crate::domain::period::next_day(*last));
        self.between(window);
        let day = self.words.day();
        self.condition(&format!("{day} IN UNNEST(@days)"));
        self.parameter("days", Parameter::Days(reading.days.to_vec()));
        self.condition(&format!("{} <= @through", self.words.export_time));
        self.parameter("through", Parameter::Instant(reading.through));
        self.prune(table, BillingZone::Pacific.start_of(window.start));
    }

    /// Leaves out the partitions of days before `from`, with two days to spare: use is exported
    /// and loaded after it happened.
    fn prune(&mut self, table: &Table, from: Timestamp) {
        let column = match table.partition {
            Partition::LoadDay => "_PARTITIONTIME",
            Partition::ExportTime => self.words.export_time,
            Partition::Other => return,
        };
        let day = BillingZone::Utc.day_of(from).saturating_sub(2.days());
        self.condition(&format!("{column} >= @partition_from"));
        self.parameter("partition_from", Parameter::Instant(BillingZone::Utc.start_of(day)));
    }

    fn finish(self, table: &Table) -> Statement {
        let groups: Vec<String> = (1..=self.groups).map(|ordinal| ordinal.to_string()).collect();
        let mut sql = format!("SELECT\n  {}\n", self.columns.join(",\n  "));
        // Writing into a String cannot fail.
        let _ = write!(
            sql,
            "FROM `{}`\nWHERE {}\nGROUP BY {}",
            table.path,
            self.conditions.join("\n  AND "),
            groups.join(", ")
        );
        Statement { sql, parameters: self.parameters }
    }
}
