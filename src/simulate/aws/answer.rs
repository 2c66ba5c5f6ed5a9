//! Answers of `GetCostAndUsage` and `GetDimensionValues`: group, add up, cut into pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::error::AwsError;
use super::request::{self, CostAndUsage, DimensionValuesOf, GroupBy};
use super::select::{Filter, Key};
use super::token::{self, Place};
use super::{Answer, Server, Twist};
use crate::domain::identity::Provider;
use crate::domain::period::{BillingPeriod, BillingZone, Window};
use crate::simulate::charge::Charge;

/// The metrics of the service. Negotiated discounts are records of their own in this world, so net
/// and gross are the same.
const METRICS: [&str; 7] = [
    "AmortizedCost",
    "BlendedCost",
    "NetAmortizedCost",
    "NetUnblendedCost",
    "NormalizedUsageAmount",
    "UnblendedCost",
    "UsageQuantity",
];

/// The sums of one group in one time period.
#[derive(Debug, Clone, Default)]
struct Sums {
    billed: Decimal,
    effective: Decimal,
    quantity: Decimal,
    units: BTreeSet<String>,
}

impl Sums {
    fn add(&mut self, charge: &Charge) {
        self.billed += charge.billed;
        self.effective += charge.effective;
        self.quantity += charge.quantity;
        if !charge.unit.is_empty() {
            self.units.insert(charge.unit.clone());
        }
    }

    fn metrics(&self, names: &[String]) -> Value {
        let mut metrics = Map::new();
        for name in names {
            let (amount, unit) = match name.as_str() {
                "AmortizedCost" | "NetAmortizedCost" => (self.effective, "USD"),
                "UsageQuantity" => {
                    let unit = match self.units.first() {
                        Some(unit) if self.units.len() == 1 => unit.as_str(),
                        _ => "N/A",
                    };
                    (self.quantity, unit)
                }
                "NormalizedUsageAmount" => (Decimal::ZERO, "N/A"),
                _ => (self.billed, "USD"),
            };
            let amount = amount.normalize().to_string();
            metrics.insert(name.clone(), json!({ "Amount": amount, "Unit": unit }));
        }
        Value::Object(metrics)
    }
}

/// One time period of an answer with its groups in the order of their keys.
struct Period {
    window: Window,
    groups: Vec<(Vec<String>, Sums)>,
    estimated: bool,
}

/// The charges that are published at an instant and pass a filter.
fn charges(server: &Server, at: Timestamp, twist: Twist) -> Arc<Vec<Charge>> {
    match twist {
        Twist::Empty => Arc::default(),
        _ => server.world.charges(Provider::Aws, at),
    }
}

pub(super) fn cost_and_usage(
    server: &Server,
    body: &[u8],
    twist: Twist,
) -> Result<Answer, AwsError> {
    let request: CostAndUsage = request::read(body)?;
    let now = server.world.clock().now();
    let window = request.time_period.window(now)?;
    let buckets = request::buckets(&request.granularity, window)?;
    let metrics = metrics(&request.metrics)?;
    let keys = group_keys(&request.group_by)?;
    let filter = Filter::new(request.filter.as_ref())?;
    let place = token::read(request.next_page_token.as_deref(), body, now)?;

    let charges = charges(server, place.at, twist);
    let chosen = charges.iter().filter(|charge| filter.admits(charge));
    let mut periods = tell(chosen, &buckets, &keys, place.at);
    if twist == Twist::WrongTotal {
        for (_, sums) in periods.iter_mut().flat_map(|period| &mut period.groups) {
            sums.billed *= Decimal::new(11, 1);
            sums.effective *= Decimal::new(11, 1);
        }
    }
    let entries: usize = periods.iter().map(|period| period.groups.len().max(1)).sum();
    let end = place.offset.saturating_add(server.options.page_size.max(1));
    let results = page(&periods, &keys, &metrics, place.offset..end);
    let next = (end < entries).then(|| token::write(body, Place { at: place.at, offset: end }));
    let mut answer = json!({
        "ResultsByTime": results,
        "DimensionValueAttributes": account_names(&charges, &keys, &results),
    });
    if !request.group_by.is_empty() {
        answer["GroupDefinitions"] = request
            .group_by
            .iter()
            .map(|group| json!({ "Type": group.kind, "Key": group.key }))
            .collect();
    }
    if let Some(token) = &next {
        answer["NextPageToken"] = json!(token);
    }
    Ok(Answer {
        body: answer.to_string(),
        more_follow: next.is_some() && place.offset == 0,
        is_total: keys.is_empty(),
    })
}

fn metrics(names: &[String]) -> Result<Vec<String>, AwsError> {
    if names.is_empty() {
        return Err(AwsError::validation(
            "1 validation error detected: Value null at 'metrics' failed to satisfy constraint: \
             Member must not be null",
        ));
    }
    names
        .iter()
        .map(|name| {
            // The service takes `UNBLENDED_COST` as well as `UnblendedCost`.
            let plain = |name: &str| name.replace('_', "").to_lowercase();
            METRICS
                .into_iter()
                .find(|known| plain(known) == plain(name))
                .map(str::to_owned)
                .ok_or_else(|| AwsError::validation(format!("Metric {name} is invalid")))
        })
        .collect()
}

fn group_keys(groups: &[GroupBy]) -> Result<Vec<Key>, AwsError> {
    if groups.len() > 2 {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value at 'groupBy' failed to satisfy constraint: Member \
             must have length less than or equal to 2, found {}",
            groups.len()
        )));
    }
    groups.iter().map(Key::group).collect()
}

/// Adds up charges by time period and group.
fn tell<'a>(
    charges: impl Iterator<Item = &'a Charge>,
    buckets: &[Window],
    keys: &[Key],
    at: Timestamp,
) -> Vec<Period> {
    let open = BillingPeriod::at(at, BillingZone::Utc).first_day();
    let mut groups: Vec<BTreeMap<Vec<String>, Sums>> = vec![BTreeMap::new(); buckets.len()];
    let mut estimated: Vec<bool> = buckets.iter().map(|bucket| bucket.end > open).collect();
    for charge in charges {
        let position = buckets.partition_point(|bucket| bucket.end <= charge.day);
        let in_bucket = buckets.get(position).is_some_and(|bucket| bucket.contains(charge.day));
        if let (true, Some(of_period), Some(flag)) =
            (in_bucket, groups.get_mut(position), estimated.get_mut(position))
        {
            let group = keys.iter().map(|key| key.of(charge).into_owned()).collect();
            of_period.entry(group).or_default().add(charge);
            *flag |= charge.estimated;
        }
    }
    buckets
        .iter()
        .zip(groups)
        .zip(estimated)
        .map(|((window, groups), estimated)| Period {
            window: *window,
            groups: groups.into_iter().collect(),
            estimated,
        })
        .collect()
}

/// The entries of a page: groups, and each time period without any as one.
fn page(
    periods: &[Period],
    keys: &[Key],
    metrics: &[String],
    range: std::ops::Range<usize>,
) -> Vec<Value> {
    let mut results = Vec::new();
    let mut first = 0;
    for period in periods {
        let count = period.groups.len().max(1);
        let entries = first..first + count;
        first = entries.end;
        let from = range.start.max(entries.start);
        let to = range.end.min(entries.end);
        if from >= to {
            continue;
        }
        let part = period.groups.get(from - entries.start..to - entries.start).unwrap_or_default();
        let total = match part {
            [] => Sums::default().metrics(metrics),
            [(_, sums)] if keys.is_empty() => sums.metrics(metrics),
            _ => json!({}),
        };
        let groups: Vec<Value> = part
            .iter()
            .filter(|_| !keys.is_empty())
            .map(|(group, sums)| json!({ "Keys": group, "Metrics": sums.metrics(metrics) }))
            .collect();
        results.push(json!({
            "TimePeriod": {
                "Start": period.window.start.to_string(),
                "End": period.window.end.to_string(),
            },
            "Total": total,
            "Groups": groups,
            "Estimated": period.estimated,
        }));
    }
    results
}

/// The names of the linked accounts on a page.
fn account_names(charges: &[Charge], keys: &[Key], results: &[Value]) -> Vec<Value> {
    let Some(position) = keys.iter().position(|key| *key == Key::LinkedAccount) else {
        return Vec::new();
    };
    let shown: BTreeSet<&str> = results
        .iter()
        .filter_map(|result| result["Groups"].as_array())
        .flatten()
        .filter_map(|group| group["Keys"][position].as_str())
        .collect();
    let names: BTreeMap<&str, &str> = charges
        .iter()
        .map(|charge| (charge.sub_account_id.as_str(), charge.sub_account_name.as_str()))
        .collect();
    shown
        .into_iter()
        .filter_map(|id| names.get(id).map(|name| (id, name)))
        .map(|(id, name)| json!({ "Value": id, "Attributes": { "description": name } }))
        .collect()
}

pub(super) fn dimension_values(
    server: &Server,
    body: &[u8],
    twist: Twist,
) -> Result<Answer, AwsError> {
    let request: DimensionValuesOf = request::read(body)?;
    let now = server.world.clock().now();
    let window = request.time_period.window(now)?;
    let key = Key::dimension(&request.dimension).ok_or_else(|| {
        AwsError::validation(format!("Dimension {} is not supported", request.dimension))
    })?;
    let filter = Filter::new(request.filter.as_ref())?;
    let place = token::read(request.next_page_token.as_deref(), body, now)?;

    let charges = charges(server, place.at, twist);
    let chosen = charges.iter().filter(|row| window.contains(row.day) && filter.admits(row));
    let wanted = request.search_string.unwrap_or_default();
    let values: BTreeMap<String, &str> = chosen
        .map(|row| (key.of(row).into_owned(), row.sub_account_name.as_str()))
        .filter(|(value, _)| value.contains(&wanted))
        .collect();
    let size = request.max_results.unwrap_or(server.options.page_size).max(1);
    let end = place.offset.saturating_add(size);
    let listed: Vec<Value> = values
        .iter()
        .skip(place.offset)
        .take(size)
        .map(|(value, account)| match key {
            Key::LinkedAccount => json!({
                "Value": value,
                "Attributes": { "description": account },
            }),
            _ => json!({ "Value": value, "Attributes": {} }),
        })
        .collect();
    let next =
        (end < values.len()).then(|| token::write(body, Place { at: place.at, offset: end }));
    let mut answer = json!({
        "ReturnSize": listed.len(),
        "TotalSize": values.len(),
        "DimensionValues": listed,
    });
    if let Some(token) = &next {
        answer["NextPageToken"] = json!(token);
    }
    Ok(Answer {
        body: answer.to_string(),
        more_follow: next.is_some() && place.offset == 0,
        is_total: false,
    })
}
