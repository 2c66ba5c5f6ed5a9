//! The SQL over the billing export: plain GoogleSQL with named parameters.
//!
//! Credits are summed by scalar subqueries: a join with `UNNEST(credits)` would repeat the cost.
//! Columns are named one by one, since Google adds new ones to the export. Schemas:
//! `cloud.google.com/billing/docs/how-to/export-data-bigquery-tables`, pages `standard-usage`,
//! `detailed-usage` and `focus-export`.

use std::fmt::Write;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::collect::gcp::config::TableKind;
use crate::domain::breakdown::{Breakdown, Dimension};
use crate::domain::period::{BillingZone, Window};

/// Credits that are money given and not a discount on a price. Google's own reports put the
/// unspecified ones beside promotions. Every other type, also one that Google adds later, is a
/// discount and lowers spend.
pub const GIVEN_CREDITS: [&str; 3] = ["PROMOTION", "FREE_TIER", "CREDIT_TYPE_UNSPECIFIED"];

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
    /// SKUs of GPUs only, with how much of them was used.
    pub gpus: bool,
    /// Only these values.
    pub filters: Vec<(Dimension, Vec<String>)>,
}

/// Which rows are read: whole usage days, as they stood at an export time.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The usage days, ascending, at least one.
    pub days: &'a [Date],
    /// The newest export time that counts, so that every query of a poll sees the same rows.
    pub through: Timestamp,
}

/// The names of one schema.
struct Words {
    usage_start: &'static str,
    export_time: &'static str,
    account: &'static str,
    service: &'static str,
    project: &'static str,
    project_name: &'static str,
    region: &'static str,
    sku: &'static str,
    currency: &'static str,
    invoice_month: &'static str,
    cost_type: &'static str,
    category: &'static str,
    in_spend: &'static str,
    cost: &'static str,
    /// The amortised cost, where the schema has one.
    effective: Option<&'static str>,
    /// Whether `cost` has every credit in it already.
    net: bool,
    list: &'static str,
    rate: &'static str,
    credits: &'static str,
    credit_type: &'static str,
    credit_amount: &'static str,
    quantity: &'static str,
    unit: &'static str,
}

const EXPORT: Words = Words {
    usage_start: "usage_start_time",
    export_time: "export_time",
    account: "billing_account_id",
    service: "service.description",
    project: "project.id",
    project_name: "project.name",
    region: "location.region",
    sku: "sku.description",
    currency: "currency",
    invoice_month: "invoice.month",
    cost_type: "cost_type",
    category: "CASE WHEN cost_type = 'tax' THEN 'tax' \
               WHEN cost_type = 'adjustment' THEN 'adjustment' \
               WHEN sku.description LIKE 'Commitment%' THEN 'purchase' ELSE 'usage' END",
    in_spend: "IFNULL(cost_type, 'regular') NOT IN ('tax', 'adjustment')",
    cost: "cost",
    effective: None,
    net: false,
    list: "cost_at_list",
    rate: "currency_conversion_rate",
    credits: "credits",
    credit_type: "type",
    credit_amount: "amount",
    quantity: "usage.amount_in_pricing_units",
    unit: "usage.pricing_unit",
};

const FOCUS: Words = Words {
    usage_start: "ChargePeriodStart",
    export_time: "x_ExportTime",
    account: "BillingAccountId",
    service: "ServiceName",
    project: "SubAccountId",
    project_name: "SubAccountName",
    region: "RegionId",
    sku: "ChargeDescription",
    currency: "BillingCurrency",
    // The period starts at midnight UTC or Pacific of the 1st: the same month in UTC.
    invoice_month: "FORMAT_TIMESTAMP('%Y%m', BillingPeriodStart)",
    cost_type: "x_CostType",
    category: "CASE WHEN ChargeCategory = 'Tax' THEN 'tax' \
               WHEN ChargeCategory = 'Credit' THEN 'credit' \
               WHEN ChargeCategory = 'Adjustment' THEN 'adjustment' \
               WHEN ChargeCategory = 'Purchase' THEN 'purchase' ELSE 'usage' END",
    in_spend: "IFNULL(ChargeCategory, 'Usage') NOT IN ('Tax', 'Credit', 'Adjustment')",
    cost: "BilledCost",
    effective: Some("EffectiveCost"),
    net: true,
    list: "ListCost",
    rate: "x_CurrencyConversionRate",
    credits: "x_Credits",
    credit_type: "Type",
    credit_amount: "Amount",
    quantity: "PricingQuantity",
    unit: "PricingUnit",
};

fn words(kind: TableKind) -> &'static Words {
    match kind {
        TableKind::Standard | TableKind::Detailed => &EXPORT,
        TableKind::Focus => &FOCUS,
    }
}

impl Words {
    /// What a dimension is called; none for what the export does not tell.
    fn dimension(&self, dimension: Dimension) -> Option<&'static str> {
        match dimension {
            Dimension::ServiceName => Some(self.service),
            Dimension::SubAccountId => Some(self.project),
            Dimension::RegionId => Some(self.region),
            Dimension::Sku => Some(self.sku),
            Dimension::ChargeCategory => Some(self.cost_type),
            Dimension::InstanceType => None,
        }
    }

    /// The sum of a row's credits whose type is, or is not, in the list.
    fn credit(&self, types: &[&str], within: bool) -> String {
        let list = types.iter().map(|t| format!("'{t}'")).collect::<Vec<_>>().join(", ");
        format!(
            "IFNULL((SELECT SUM(CAST(c.{amount} AS NUMERIC)) FROM UNNEST({credits}) AS c \
             WHERE IFNULL(c.{kind}, ''){not} IN ({list})), 0)",
            amount = self.credit_amount,
            credits = self.credits,
            kind = self.credit_type,
            not = if within { "" } else { " NOT" },
        )
    }

    /// A cost column with the credits that lower spend, and without those that are given.
    fn spend(&self, cost: &str) -> String {
        if self.net {
            format!("CAST({cost} AS NUMERIC) - {}", self.credit(&GIVEN_CREDITS, true))
        } else {
            format!("CAST({cost} AS NUMERIC) + {}", self.credit(&GIVEN_CREDITS, false))
        }
    }
}

/// The top-level columns without which a table is not the export that it is said to be.
pub fn needed_columns(kind: TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Standard | TableKind::Detailed => &[
            "billing_account_id",
            "service",
            "sku",
            "usage_start_time",
            "project",
            "location",
            "cost",
            "currency",
            "usage",
            "credits",
            "invoice",
            "cost_type",
            "export_time",
        ],
        TableKind::Focus => &[
            "BillingAccountId",
            "ServiceName",
            "ChargeDescription",
            "ChargePeriodStart",
            "SubAccountId",
            "SubAccountName",
            "RegionId",
            "BilledCost",
            "EffectiveCost",
            "BillingCurrency",
            "PricingQuantity",
            "PricingUnit",
            "x_Credits",
            "BillingPeriodStart",
            "ChargeCategory",
            "x_CostType",
            "x_ExportTime",
        ],
    }
}

/// The columns of list cost and of the rate to the US dollar, which old tables lack.
pub fn optional_columns(kind: TableKind) -> (&'static str, &'static str) {
    let words = words(kind);
    (words.list, words.rate)
}

/// How a table that is partitioned by a column, or by none (`_PARTITIONTIME`), serves.
pub fn partition_by(kind: TableKind, column: Option<&str>) -> Partition {
    match column {
        None => Partition::LoadDay,
        Some(column) if column == words(kind).export_time => Partition::ExportTime,
        Some(_) => Partition::Other,
    }
}

/// Whether a dimension can be asked for.
pub fn can_ask(kind: TableKind, dimension: Dimension) -> bool {
    words(kind).dimension(dimension).is_some()
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
    if cut.gpus {
        statement.column("quantity", &format!("SUM(CAST({} AS NUMERIC))", words.quantity));
        statement.column("unit", &format!("MIN({})", words.unit));
        statement.column("other_unit", &format!("MAX({})", words.unit));
    }
    statement.read(table, reading);
    if !cut.by_category {
        statement.condition(words.in_spend);
    }
    if cut.gpus {
        statement.condition(&format!("({0} LIKE '%GPU%' OR {0} LIKE '%Gpu%')", words.sku));
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

impl Words {
    fn day(&self) -> String {
        format!("DATE({}, 'America/Los_Angeles')", self.usage_start)
    }
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
