//! The definition of a query, read and held against what the service allows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::Value as Json;

use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::ports::Clock;
use crate::simulate::azure::query::dimension;
use crate::simulate::azure::query::filter::Filter;
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::azure::scope::Scope;
use crate::simulate::azure::wire::Call;

/// A query that the service accepts.
pub struct Definition {
    /// Which amounts.
    pub cost: CostType,
    /// The first day.
    pub first_day: Date,
    /// The last day, inclusive.
    pub last_day: Date,
    /// What a row's date is.
    pub granularity: Granularity,
    /// Two at most.
    pub measures: Vec<Column>,
    /// Two at most.
    pub groupings: Vec<Grouping>,
    /// Which charges; none for all.
    pub filter: Option<Filter>,
    /// Tells this body from another one, whatever their spaces and the order of their keys.
    pub digest: u64,
}

/// On which basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostType {
    /// `ActualCost` and `Usage`: billed.
    Actual,
    /// `AmortizedCost`: effective.
    Amortized,
}

/// What a row's date is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// `UsageDate`.
    Daily,
    /// `BillingMonth`.
    Monthly,
    /// No date.
    None,
}

/// A sum under the name that the aggregation gives it.
pub struct Column {
    /// The column's name.
    pub name: String,
    /// What is summed.
    pub kind: Measure,
}

/// What can be summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The cost in the billing currency.
    Cost,
    /// The cost in US dollars.
    CostUsd,
    /// Use in the meters' own units.
    Quantity,
}

/// By what rows are told apart.
pub enum Grouping {
    /// A dimension, named as the request names it.
    Dimension { name: String, value: dimension::Value },
    /// A tag key.
    Tag(String),
}

const MEASURES: [(&str, Measure); 5] = [
    ("Cost", Measure::Cost),
    ("PreTaxCost", Measure::Cost),
    ("CostUSD", Measure::CostUsd),
    ("PreTaxCostUSD", Measure::CostUsd),
    ("UsageQuantity", Measure::Quantity),
];

/// A member of an object, whatever the case of its name: the service reads `dataSet` too.
pub fn member<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    let found = object.as_object()?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// A member that is a text.
pub fn text<'a>(object: &'a Json, name: &str) -> Option<&'a str> {
    member(object, name).and_then(Json::as_str)
}

impl Definition {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// 415 for a body that is not JSON by its header; 400 with *Invalid query definition* else.
    pub fn read(call: &Call, scope: &Scope, clock: &Arc<dyn Clock>) -> Result<Self, Refusal> {
        let kind = call.header("content-type").unwrap_or_default();
        if !kind.to_ascii_lowercase().starts_with("application/json") {
            let message = format!(
                "The content media type '{kind}' is not supported. Only 'application/json' is supported."
            );
            let status = axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Refusal::new(status, "UnsupportedMediaType", message));
        }
        let body: Json = serde_json::from_slice(&call.body).map_err(|_| {
            Refusal::bad_query("the request body is empty or could not be deserialized")
        })?;
        let dataset = member(&body, "dataset")
            .filter(|dataset| dataset.is_object())
            .ok_or_else(|| Refusal::bad_query("Dataset is invalid or not supplied"))?;
        let (first_day, last_day) = days(&body, clock.now())?;
        let tells_resources = scope.tells_resources();
        let mut hasher = DefaultHasher::new();
        body.to_string().hash(&mut hasher);
        Ok(Self {
            cost: cost_type(&body)?,
            first_day,
            last_day,
            granularity: granularity(dataset)?,
            measures: measures(dataset)?,
            groupings: groupings(dataset, tells_resources)?,
            filter: member(dataset, "filter")
                .map(|filter| Filter::read(filter, tells_resources))
                .transpose()?,
            digest: hasher.finish(),
        })
    }
}

fn cost_type(body: &Json) -> Result<CostType, Refusal> {
    let word = text(body, "type").unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "actualcost" | "usage" => Ok(CostType::Actual),
        "amortizedcost" => Ok(CostType::Amortized),
        _ => Err(Refusal::bad_query(format!(
            "Invalid type: '{word}'; valid values: 'Usage','ActualCost','AmortizedCost'"
        ))),
    }
}

fn granularity(dataset: &Json) -> Result<Granularity, Refusal> {
    let word = text(dataset, "granularity").unwrap_or("None");
    match word.to_ascii_lowercase().as_str() {
        "daily" => Ok(Granularity::Daily),
        "monthly" => Ok(Granularity::Monthly),
        "none" => Ok(Granularity::None),
        _ => Err(Refusal::bad_query(format!(
            "Invalid dataset granularity: '{word}'; valid values: 'Daily','Monthly','None'"
        ))),
    }
}

fn measures(dataset: &Json) -> Result<Vec<Column>, Refusal> {
    let aggregation = member(dataset, "aggregation").and_then(Json::as_object);
    let aggregation: Vec<&Json> = aggregation.into_iter().flat_map(|all| all.values()).collect();
    if aggregation.len() > 2 {
        return Err(Refusal::bad_query(
            "Dataset aggregation is invalid; at most 2 aggregation clauses are allowed",
        ));
    }
    let read = |clause: &&Json| {
        let name = text(clause, "name").unwrap_or_default();
        let function = text(clause, "function").unwrap_or_default();
        if !function.eq_ignore_ascii_case("Sum") {
            return Err(Refusal::bad_query(format!(
                "Invalid dataset aggregation function: '{function}'; valid values: 'Sum'"
            )));
        }
        let known = MEASURES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).ok_or_else(
            || {
                let valid: Vec<String> =
                    MEASURES.iter().map(|(known, _)| format!("'{known}'")).collect();
                Refusal::bad_query(format!(
                    "Invalid dataset aggregation: '{name}'; valid values: {}",
                    valid.join(",")
                ))
            },
        )
    };
    aggregation.iter().map(read).collect()
}

fn groupings(dataset: &Json, tells_resources: bool) -> Result<Vec<Grouping>, Refusal> {
    let clauses = member(dataset, "grouping").and_then(Json::as_array);
    let clauses = clauses.map(Vec::as_slice).unwrap_or_default();
    if clauses.len() > 2 {
        return Err(Refusal::bad_query(
            "Dataset grouping is invalid; at most 2 grouping clauses are allowed",
        ));
    }
    let read = |clause: &Json| {
        let name = text(clause, "name").unwrap_or_default();
        let kind = text(clause, "type").unwrap_or_default();
        if kind.eq_ignore_ascii_case("TagKey") {
            return Ok(Grouping::Tag(name.to_owned()));
        }
        if !kind.eq_ignore_ascii_case("Dimension") {
            return Err(Refusal::bad_query(format!(
                "Invalid dataset grouping type: '{kind}'; valid values: 'Dimension','TagKey'"
            )));
        }
        let value = dimension::find(name, tells_resources).map_err(|valid| {
            Refusal::bad_query(format!("Invalid dataset grouping: '{name}'; valid values: {valid}"))
        })?;
        Ok(Grouping::Dimension { name: name.to_owned(), value })
    };
    clauses.iter().map(read).collect()
}

/// The days of a timeframe, both inclusive.
fn days(body: &Json, now: Timestamp) -> Result<(Date, Date), Refusal> {
    let today = BillingZone::Utc.day_of(now);
    let word = text(body, "timeframe").unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "monthtodate" | "billingmonthtodate" => Ok((today.first_of_month(), today)),
        "thelastmonth" | "thelastbillingmonth" => {
            let last = BillingPeriod::containing(today).previous();
            Ok((last.first_day(), last.first_day().last_of_month()))
        }
        "weektodate" => {
            let since_sunday = i64::from(today.weekday().to_sunday_zero_offset());
            Ok((today.saturating_sub(since_sunday.days()), today))
        }
        "custom" => custom_days(body),
        _ => Err(Refusal::bad_query(format!(
            "Invalid timeframe: '{word}'; valid values: 'WeekToDate','MonthToDate',\
             'BillingMonthToDate','TheLastMonth','TheLastBillingMonth','Custom'"
        ))),
    }
}

fn custom_days(body: &Json) -> Result<(Date, Date), Refusal> {
    let period = member(body, "timePeriod")
        .ok_or_else(|| Refusal::bad_query("timePeriod must be supplied with a Custom timeframe"))?;
    let day = |name: &str| {
        text(period, name).and_then(day_of).ok_or_else(|| {
            Refusal::bad_query(format!("timePeriod is invalid; '{name}' must be a date and time"))
        })
    };
    let (from, to) = (day("from")?, day("to")?);
    if from > to {
        return Err(Refusal::bad_query("timePeriod is invalid; 'from' must not be after 'to'"));
    }
    if to >= from.saturating_add(1.year()) {
        return Err(Refusal::bad_query(
            "The time period for pulling the data cannot exceed 1 year(s)",
        ));
    }
    Ok((from, to))
}

/// The UTC day of a time with or without an offset, or of a bare date.
fn day_of(text: &str) -> Option<Date> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(TimeZone::UTC.to_datetime(at).date());
    }
    text.parse::<DateTime>().map(DateTime::date).ok().or_else(|| text.parse().ok())
}
