//! The Price List query API (awsJson 1.1, `AWSPriceListService`): `GetProducts` of EC2.
//!
//! Machines cost what the world bills them at; those that it does not bill, what the table of
//! machines lists. Beside the machine on demand stand the rows that the real list has of the same
//! type: reserved capacity used and unused, Windows, dedicated hosts, preinstalled software, and a
//! row at zero that passes every filter. Bare metal is a family of its own, of dedicated tenancy.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::AwsError;
use super::token::{self, Place};
use super::{Server, request};
use crate::domain::breakdown::ChargeCategory;
use crate::domain::identity::Provider;
use crate::domain::machine::Machine;

pub(super) const TARGET_PREFIX: &str = "AWSPriceListService.";
/// The most products of a page.
const LARGEST_PAGE: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Products {
    service_code: String,
    #[serde(default)]
    filters: Vec<Filter>,
    format_version: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    #[serde(rename = "Type")]
    kind: String,
    field: String,
    value: String,
}

/// One product: its attributes and what an hour of it costs.
struct Product {
    sku: String,
    attributes: BTreeMap<&'static str, String>,
    price: Decimal,
}

/// The body of an answer.
pub(super) fn answer(server: &Server, operation: &str, body: &[u8]) -> Result<String, AwsError> {
    if operation != "GetProducts" {
        return Err(AwsError::new("UnknownOperationException", ""));
    }
    let asked: Products = request::read(body)?;
    if asked.service_code != "AmazonEC2" {
        let message = format!("Service code {} is not valid", asked.service_code);
        return Err(AwsError::modelled("InvalidParameterException", message));
    }
    if asked.format_version.as_deref().is_some_and(|version| version != "aws_v1") {
        return Err(AwsError::modelled("InvalidParameterException", "Invalid format version"));
    }
    let size = asked.max_results.unwrap_or(LARGEST_PAGE);
    if !(1..=LARGEST_PAGE).contains(&size) {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy \
             constraint: Member must have value less than or equal to {LARGEST_PAGE}"
        )));
    }
    if let Some(other) = asked.filters.iter().find(|filter| filter.kind != "TERM_MATCH") {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{}' at 'filters.1.member.type' failed to satisfy \
             constraint: Member must satisfy enum value set: [TERM_MATCH]",
            other.kind
        )));
    }
    let now = server.world.clock().now();
    let place = token::read(asked.next_token.as_deref(), body, now)?;
    let mut products = products(server, place);
    products.retain(|product| {
        asked.filters.iter().all(|filter| {
            product
                .attributes
                .iter()
                .any(|(field, value)| *field == filter.field && *value == filter.value)
        })
    });
    let end = place.offset.saturating_add(size.min(server.options.price_page_size.max(1)));
    let page: Vec<Value> = products
        .iter()
        .skip(place.offset)
        .take(end - place.offset)
        .map(|product| json!(written(product).to_string()))
        .collect();
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": page });
    if end < products.len() {
        answer["NextToken"] = json!(token::write(body, Place { at: place.at, offset: end }));
    }
    Ok(answer.to_string())
}

/// Every product of every machine type, by type and region.
fn products(server: &Server, place: Place) -> Vec<Product> {
    let mut machines: BTreeMap<(String, String), (Decimal, Decimal)> = BTreeMap::new();
    for machine in Machine::all().filter(|machine| machine.provider == Provider::Aws) {
        for region in machine.listed_regions() {
            if let Some((price, _)) = machine.list_price(Some(region)) {
                let key = (machine.instance_type.to_owned(), region.to_owned());
                machines.insert(key, (Decimal::ZERO, price));
            }
        }
    }
    // The price is known best from the charge with the greatest quantity.
    for charge in server.world.charges(Provider::Aws, place.at).iter() {
        let Some(name) = &charge.instance_type else { continue };
        let is_machine = charge.category == ChargeCategory::Usage
            && charge.record_type == "Usage"
            && charge.sku.contains("BoxUsage:");
        if !is_machine || Machine::of(Provider::Aws, name).is_none() {
            continue;
        }
        let known = machines.entry((name.clone(), charge.region_id.clone())).or_default();
        if let (true, Some(price)) =
            (charge.quantity > known.0, charge.list.checked_div(charge.quantity))
        {
            *known = (charge.quantity, price.round_dp(6));
        }
    }
    machines
        .into_iter()
        .flat_map(|((name, region), (_, price))| of_machine(&name, &region, price))
        .collect()
}

fn of_machine(name: &str, region: &str, price: Decimal) -> Vec<Product> {
    let percent = |percent: i64| (price * Decimal::new(percent, 2)).round_dp(6);
    // A machine of nobody else is not shared.
    let is_metal = name.ends_with(".metal");
    let dedicated = if is_metal { price } else { percent(106) };
    // Capacity status, operating system, tenancy, software, price.
    let rows = [
        ("Used", "Linux", "Shared", "NA", Decimal::ZERO),
        ("Used", "Linux", "Shared", "NA", price),
        ("UnusedCapacityReservation", "Linux", "Shared", "NA", price),
        ("AllocatedCapacityReservation", "Linux", "Shared", "NA", Decimal::ZERO),
        ("Used", "Windows", "Shared", "NA", percent(116)),
        ("Used", "Linux", "Shared", "SQL Ent", percent(187)),
        ("Used", "Linux", "Dedicated", "NA", dedicated),
    ];
    let machine = Machine::of(Provider::Aws, name);
    let family = if is_metal { "Compute Instance (bare metal)" } else { "Compute Instance" };
    rows.into_iter()
        .filter(|row| !is_metal || row.2 != "Shared")
        .enumerate()
        .map(|(row, (status, system, tenancy, software, price))| {
            let sku = super::auth::sha256(format!("{name} {region} {row}").as_bytes());
            let box_name = match status {
                "UnusedCapacityReservation" => "UnusedBox",
                "AllocatedCapacityReservation" => "Reservation",
                _ if tenancy == "Dedicated" => "DedicatedUsage",
                _ => "BoxUsage",
            };
            let attributes = BTreeMap::from([
                ("capacitystatus", status.to_owned()),
                ("gpu", machine.map_or(0, |machine| machine.gpus).to_string()),
                ("gpuMemory", "NA".to_owned()),
                ("instanceFamily", "GPU instance".to_owned()),
                ("instanceType", name.to_owned()),
                ("licenseModel", "No License required".to_owned()),
                ("locationType", "AWS Region".to_owned()),
                ("marketoption", "OnDemand".to_owned()),
                ("operatingSystem", system.to_owned()),
                (
                    "operation",
                    if system == "Linux" { "RunInstances" } else { "RunInstances:0002" }.to_owned(),
                ),
                ("preInstalledSw", software.to_owned()),
                ("productFamily", family.to_owned()),
                ("regionCode", region.to_owned()),
                ("servicecode", "AmazonEC2".to_owned()),
                ("tenancy", tenancy.to_owned()),
                ("usagetype", format!("{box_name}:{name}")),
            ]);
            let sku = sku.chars().take(16).collect::<String>().to_uppercase();
            Product { sku, attributes, price }
        })
        .collect()
}

/// A product as the service writes it; the family stands beside the attributes.
fn written(product: &Product) -> Value {
    let mut attributes = product.attributes.clone();
    let family = attributes.remove("productFamily");
    let term = format!("{}.JRTCKXETXF", product.sku);
    let rate = format!("{term}.6YS6EN2CT7");
    let mut amount = product.price;
    amount.rescale(10);
    json!({
        "product": { "productFamily": family, "attributes": attributes, "sku": product.sku },
        "serviceCode": "AmazonEC2",
        "terms": { "OnDemand": { term.clone(): {
            "priceDimensions": { rate.clone(): {
                "unit": "Hrs",
                "endRange": "Inf",
                "description": format!("${amount} per hour"),
                "appliesTo": [],
                "rateCode": rate,
                "beginRange": "0",
                "pricePerUnit": { "USD": amount.to_string() },
            } },
            "sku": product.sku,
            "effectiveDate": "2025-06-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        } } },
        "version": "20260720134430",
        "publicationDate": "2026-07-20T13:44:30Z",
    })
}

/// The refusal of an identity that may not read prices.
pub(super) fn denied(account: &str) -> AwsError {
    AwsError::new(
        "AccessDeniedException",
        format!(
            "User: arn:aws:iam::{account}:user/costband is not authorized to perform: \
             pricing:GetProducts because no identity-based policy allows the pricing:GetProducts \
             action"
        ),
    )
}
