//! Cost Management Query: reads a definition, folds the charges of a scope, cuts pages.

mod definition;
mod dimension;
mod filter;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::breakdown::ChargeCategory;
use crate::domain::money::Currency;
use crate::domain::period::BillingPeriod;
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::azure::scope::{Scope, charges};
use crate::simulate::azure::wire::{Call, Number, fresh_guid};
use crate::simulate::azure::{Azure, no_content};
use crate::simulate::charge::Charge;

use definition::{CostType, Granularity, Grouping, Measure};

pub use definition::Definition;
pub use dimension::{charge_type, frequency, location, resource_group, resource_id, resource_name};

/// How many decimals a converted amount keeps. Each charge is converted by itself, so that groups
/// add up to the whole.
const CONVERTED_DECIMALS: u32 = 12;

/// One page of an answer.
pub struct Page {
    body: Option<QueryResult>,
    /// Whether it is not the first page.
    pub continues: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueryResult {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    location: Option<&'static str>,
    sku: Option<&'static str>,
    e_tag: Option<&'static str>,
    properties: Properties,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    next_link: Option<String>,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[serde(untagged)]
enum Key {
    Day(i32),
    Text(String),
    Nothing,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell {
    Amount(Number),
    Unknown(Option<()>),
    Key(Key),
}

impl Page {
    /// Whether it has a `nextLink`.
    pub fn more_follow(&self) -> bool {
        self.body.as_ref().is_some_and(|body| body.properties.next_link.is_some())
    }

    /// Takes all rows away: 204.
    pub fn empty(&mut self) {
        self.body = None;
    }

    /// Makes every amount a tenth larger.
    pub fn inflate(&mut self) {
        let rows = self.body.iter_mut().flat_map(|body| &mut body.properties.rows);
        for cell in rows.flatten() {
            if let Cell::Amount(Number(amount)) = cell {
                *amount += *amount / Decimal::TEN;
            }
        }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.body {
            Some(body) => Json(body).into_response(),
            None => no_content(),
        }
    }
}

/// Where a further page begins, of which query, in which state of the world.
struct Continuation {
    row: usize,
    at: Timestamp,
    digest: u64,
}

impl Continuation {
    fn write(&self) -> String {
        let text = format!("{}.{}.{:x}", self.row, self.at.as_nanosecond(), self.digest);
        URL_SAFE_NO_PAD.encode(text)
    }

    fn read(token: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let mut parts = text.split('.');
        let row = parts.next()?.parse().ok()?;
        let at = Timestamp::from_nanosecond(parts.next()?.parse().ok()?).ok()?;
        let digest = u64::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { row, at, digest })
    }
}

/// Answers one page. The pages of one query show one state of the world.
///
/// # Errors
/// 400 for a `$skiptoken` that is no token or that belongs to another query: the body that is
/// posted to `nextLink` is the body of the first page.
pub fn run(
    azure: &Azure,
    call: &Call,
    scope: &Scope,
    definition: &Definition,
) -> Result<Page, Refusal> {
    let mut hasher = DefaultHasher::new();
    (scope.entity(), definition.digest).hash(&mut hasher);
    let digest = hasher.finish();
    let asked = call.parameter("$skiptoken");
    let start = match asked {
        None => Continuation { row: 0, at: azure.world.clock().now(), digest },
        Some(token) => Continuation::read(token)
            .filter(|continuation| continuation.digest == digest)
            .ok_or_else(|| Refusal::bad_query("the skiptoken does not belong to this query"))?,
    };
    let page_size = call.page_size(azure.options.page_size, azure.options.largest_page)?;
    let all = charges(azure, start.at);
    if !all.iter().any(|charge| scope.tells(charge)) {
        return Ok(Page { body: None, continues: asked.is_some() });
    }
    let mut rows = fold(&all, scope, definition);
    let more = rows.len() > start.row.saturating_add(page_size);
    let rows: Vec<Vec<Cell>> = rows.drain(..).skip(start.row).take(page_size).collect();
    let next_link = more.then(|| {
        let row = start.row.saturating_add(page_size);
        call.next_link(&Continuation { row, ..start }.write())
    });
    let name = fresh_guid();
    let body = QueryResult {
        id: format!("{}/providers/Microsoft.CostManagement/query/{name}", scope.path),
        name,
        kind: "Microsoft.CostManagement/query",
        location: None,
        sku: None,
        e_tag: None,
        properties: Properties { next_link, columns: columns(definition), rows },
    };
    Ok(Page { body: Some(body), continues: asked.is_some() })
}

fn columns(definition: &Definition) -> Vec<Column> {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let mut columns: Vec<Column> =
        definition.measures.iter().map(|measure| column(&measure.name, "Number")).collect();
    match definition.granularity {
        Granularity::Daily => columns.push(column("UsageDate", "Number")),
        Granularity::Monthly => columns.push(column("BillingMonth", "Datetime")),
        Granularity::None => {}
    }
    for grouping in &definition.groupings {
        match grouping {
            Grouping::Dimension { name, .. } => columns.push(column(name, "String")),
            Grouping::Tag(_) => {
                columns.push(column("TagKey", "String"));
                columns.push(column("TagValue", "String"));
            }
        }
    }
    columns.push(column("Currency", "String"));
    columns
}

fn fold(charges: &[Charge], scope: &Scope, definition: &Definition) -> Vec<Vec<Cell>> {
    let mut groups: BTreeMap<(Vec<Key>, Currency), Vec<Option<Decimal>>> = BTreeMap::new();
    for charge in charges {
        if !scope.tells(charge) || !definition.tells(charge) {
            continue;
        }
        let group = groups
            .entry((keys(charge, definition), charge.currency))
            .or_insert_with(|| vec![Some(Decimal::ZERO); definition.measures.len()]);
        for (sum, measure) in group.iter_mut().zip(&definition.measures) {
            *sum = sum.zip(measured(charge, measure.kind, definition.cost)).map(|(a, b)| a + b);
        }
    }
    let rows = groups.into_iter().map(|((keys, currency), sums)| {
        let sums = sums.into_iter().map(|sum| match sum {
            Some(sum) => Cell::Amount(Number(sum)),
            None => Cell::Unknown(None),
        });
        let currency = Key::Text(currency.to_string());
        sums.chain(keys.into_iter().chain([currency]).map(Cell::Key)).collect()
    });
    rows.collect()
}

fn keys(charge: &Charge, definition: &Definition) -> Vec<Key> {
    let mut keys = Vec::with_capacity(3);
    match definition.granularity {
        Granularity::Daily => keys.push(Key::Day(yyyymmdd(charge.day))),
        Granularity::Monthly => keys.push(Key::Text(month_start(charge.day))),
        Granularity::None => {}
    }
    for grouping in &definition.groupings {
        match grouping {
            Grouping::Dimension { value, .. } => keys.push(Key::Text(value(charge))),
            Grouping::Tag(name) => {
                keys.push(Key::Text(name.to_ascii_lowercase()));
                keys.push(Key::Nothing);
            }
        }
    }
    keys
}

fn yyyymmdd(day: Date) -> i32 {
    i32::from(day.year()) * 10_000 + i32::from(day.month()) * 100 + i32::from(day.day())
}

fn month_start(day: Date) -> String {
    format!("{}T00:00:00", BillingPeriod::containing(day).first_day())
}

/// A charge's amount in its own currency on the basis of a cost type.
pub fn cost(charge: &Charge, amortized: bool) -> Decimal {
    if amortized { charge.effective } else { charge.billed }
}

/// The same in US dollars; none where the world does not tell the rate.
pub fn cost_in_usd(charge: &Charge, amortized: bool) -> Option<Decimal> {
    let cost = cost(charge, amortized);
    if charge.currency == Currency::USD {
        return Some(cost);
    }
    let rate = charge.per_usd.filter(|rate| !rate.is_zero())?;
    Some((cost / rate).round_dp(CONVERTED_DECIMALS))
}

fn measured(charge: &Charge, measure: Measure, cost_type: CostType) -> Option<Decimal> {
    let amortized = cost_type == CostType::Amortized;
    match measure {
        Measure::Cost => Some(cost(charge, amortized)),
        Measure::CostUsd => cost_in_usd(charge, amortized),
        Measure::Quantity => Some(charge.quantity),
    }
}

impl Definition {
    /// Whether rows are told apart by anything but their date and currency.
    pub fn is_grouped(&self) -> bool {
        !self.groupings.is_empty()
    }

    /// One unit for each month queried, begun ones whole.
    pub fn processing_units(&self) -> u32 {
        let days = self.last_day.since(self.first_day).map_or(1, |span| span.get_days() + 1);
        u32::try_from(days.max(1)).unwrap_or(1).div_ceil(31)
    }

    fn tells(&self, charge: &Charge) -> bool {
        // The amortised dataset has the shares of a commitment instead of its purchase.
        let spread = self.cost == CostType::Amortized
            && charge.category == ChargeCategory::Purchase
            && charge.effective.is_zero();
        (self.first_day..=self.last_day).contains(&charge.day)
            && !spread
            && self.filter.as_ref().is_none_or(|filter| filter.matches(charge))
    }
}
