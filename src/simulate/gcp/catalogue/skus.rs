//! SKUs: those that the world bills at its list prices, and the GPU machines' parts.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use crate::simulate::charge::Charge;
use crate::simulate::gcp::error::ApiError;
use crate::simulate::gcp::export::base_unit;

/// The service of virtual machines: id and name.
pub(super) const COMPUTE_ENGINE: (&str, &str) = ("6F81-5844-456A", "Compute Engine");

/// Parts of GPU machines that the world may not bill: SKU id, description, pricing unit, US dollars
/// on demand in us-central1 (list prices of August 2026).
const PARTS: [(&str, &str, &str, &str); 16] = [
    // Machines in calendar mode and with a flexible start: of the same use type at half the price.
    (
        "A001-0001-0011",
        "Reserved Nvidia H100 80GB GPU in Americas in Calendar Mode",
        "hour",
        "4.841121",
    ),
    (
        "A001-0001-0012",
        "Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas",
        "hour",
        "4.423936",
    ),
    // A3 Mega has the same GPU at another price.
    ("A001-0001-0005", "Nvidia H100 80GB Plus GPU running in Americas", "hour", "10.344276"),
    ("A001-0001-0006", "A3Plus Instance Core running in Americas", "hour", "0.026924"),
    ("A001-0001-0007", "A3Plus Instance Ram running in Americas", "gibibyte hour", "0.002344"),
    ("A001-0003-0002", "A3Ultra Instance Core running in Americas", "hour", "0.02751"),
    ("A001-0003-0003", "A3Ultra Instance Ram running in Americas", "gibibyte hour", "0.001995"),
    ("A001-0004-0001", "A4 Nvidia B200 (1 gpu slice) running in Americas", "hour", "16.11"),
    ("A001-0001-0001", "Nvidia H100 80GB GPU running in Americas", "hour", "9.796550569"),
    ("A001-0001-0002", "A3 Instance Core running in Americas", "hour", "0.027510000"),
    ("A001-0001-0003", "A3 Instance Ram running in Americas", "gibibyte hour", "0.001995468"),
    (
        "A001-0001-0004",
        "SSD backed Local Storage attached to A3 in Americas",
        "gibibyte hour",
        "0.000110000",
    ),
    ("A001-0002-0001", "Nvidia Tesla A100 GPU running in Americas", "hour", "2.933908"),
    ("A001-0002-0002", "A2 Instance Core running in Americas", "hour", "0.031611"),
    ("A001-0002-0003", "A2 Instance Ram running in Americas", "gibibyte hour", "0.004237"),
    ("A001-0003-0001", "Nvidia H200 141GB GPU running in Virginia", "hour", "9.31175"),
];

struct Sku<'a> {
    id: &'a str,
    description: &'a str,
    region: &'a str,
    unit: &'a str,
    price: Decimal,
}

/// The SKUs of a service with their list prices in a currency.
///
/// # Errors
/// 400 for a currency that the world has no rate for, 404 for an unknown service.
pub(super) fn list(
    charges: &[Charge],
    service: &str,
    currency: &str,
) -> Result<Vec<Value>, ApiError> {
    let rate = rate(charges, currency).ok_or_else(|| {
        let message = format!("Unsupported currency code: {currency}");
        ApiError::rpc(StatusCode::BAD_REQUEST, message)
    })?;
    let mut name = (service == COMPUTE_ENGINE.0).then_some(COMPUTE_ENGINE.1);
    // The price is known best from the charge with the greatest quantity.
    let mut billed: BTreeMap<&str, &Charge> = BTreeMap::new();
    for charge in charges.iter().filter(|charge| charge.service_id == service) {
        name = Some(&charge.service_name);
        let known = billed.entry(&charge.sku).or_insert(charge);
        if charge.quantity.abs() > known.quantity.abs() {
            *known = charge;
        }
    }
    let Some(name) = name else {
        return Err(ApiError::rpc(StatusCode::NOT_FOUND, "Requested entity was not found."));
    };
    let mut skus: Vec<Sku<'_>> = billed
        .values()
        .filter_map(|charge| {
            let per_usd = charge.per_usd.unwrap_or(Decimal::ONE);
            let price = charge.list.checked_div(charge.quantity)?.checked_div(per_usd)?;
            Some(Sku {
                id: &charge.sku_id,
                description: &charge.sku,
                region: &charge.region_id,
                unit: &charge.unit,
                price,
            })
        })
        .collect();
    if service == COMPUTE_ENGINE.0 {
        for (id, description, unit, price) in PARTS {
            if let (false, Ok(price)) = (billed.contains_key(description), price.parse()) {
                skus.push(Sku { id, description, region: "us-central1", unit, price });
            }
        }
    }
    let resource = |sku: &Sku<'_>| resource(sku, (service, name), currency, rate);
    Ok(skus.iter().map(resource).collect())
}

/// How many of a currency one US dollar is.
fn rate(charges: &[Charge], currency: &str) -> Option<Decimal> {
    if currency == "USD" {
        return Some(Decimal::ONE);
    }
    let mut charges = charges.iter();
    charges.find(|charge| charge.currency.as_str() == currency).and_then(|charge| charge.per_usd)
}

fn resource(sku: &Sku<'_>, (service, name): (&str, &str), currency: &str, rate: Decimal) -> Value {
    let price = (sku.price * rate).round_dp(9);
    let units = price.trunc();
    let nanos = ((price - units) * Decimal::from(1_000_000_000)).to_i64().unwrap_or(0);
    let (family, group) = family(name, sku.description);
    let usage_type =
        if sku.description.starts_with("Commitment") { "Commit1Yr" } else { "OnDemand" };
    let (factor, _) = base_unit(sku.unit);
    let (unit, base) = codes(sku.unit);
    json!({
        "name": format!("services/{service}/skus/{}", sku.id),
        "skuId": sku.id,
        "description": sku.description,
        "category": {
            "serviceDisplayName": name,
            "resourceFamily": family,
            "resourceGroup": group,
            "usageType": usage_type,
        },
        "serviceRegions": [if sku.region.is_empty() { "global" } else { sku.region }],
        "pricingInfo": [{
            "summary": "",
            "pricingExpression": {
                "usageUnit": unit,
                "usageUnitDescription": sku.unit,
                "baseUnit": base,
                "baseUnitDescription": base,
                "baseUnitConversionFactor": factor.to_f64(),
                "displayQuantity": 1,
                "tieredRates": [{
                    "startUsageAmount": 0,
                    "unitPrice": {
                        "currencyCode": currency,
                        "units": units.to_string(),
                        "nanos": nanos,
                    },
                }],
            },
            "currencyConversionRate": rate.to_f64(),
            "effectiveTime": "2026-08-01T00:00:00Z",
        }],
        "serviceProviderName": "Google",
        "geoTaxonomy": {
            "type": if sku.region.contains('-') { "REGIONAL" } else { "GLOBAL" },
            "regions": if sku.region.contains('-') { vec![sku.region] } else { Vec::new() },
        },
    })
}

fn family<'a>(service: &'a str, description: &str) -> (&'a str, &'a str) {
    match service {
        "Compute Engine" if description.to_lowercase().contains(" gpu ") => ("Compute", "GPU"),
        "Compute Engine" if description.contains("SSD") => ("Storage", "LocalSSD"),
        "Compute Engine" if description.contains("Ram") => ("Compute", "RAM"),
        "Compute Engine" => ("Compute", "CPU"),
        "Cloud Storage" => ("Storage", "RegionalStorage"),
        "Networking" => ("Network", "InterregionEgress"),
        _ => ("ApplicationServices", service),
    }
}

/// The codes of a pricing unit and its base unit (UCUM, as the catalogue writes them).
fn codes(unit: &str) -> (&str, &str) {
    match unit {
        "hour" => ("h", "s"),
        "second" => ("s", "s"),
        "gibibyte" => ("GiBy", "By"),
        "tebibyte" => ("TiBy", "By"),
        "gibibyte hour" => ("GiBy.h", "By.s"),
        "gibibyte month" => ("GiBy.mo", "By.s"),
        _ => ("count", "count"),
    }
}
