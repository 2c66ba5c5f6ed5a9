//! The Retail Prices API (`GET https://prices.azure.com/api/retail/prices`), which asks for no
//! token: the examples and the property table of *Azure Retail Prices overview*.
//!
//! Sizes cost what the world bills them at; those that it does not bill, what the table of machines
//! lists. Beside a size on demand stand the rows that the real list has of it: Windows, spot, low
//! priority, a development price, reservations whose whole term is priced in the unit of an hour, a
//! price that has ended.

use std::collections::BTreeMap;

use axum::Json;
use axum::response::{IntoResponse, Response};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::Azure;
use super::refusal::Refusal;
use super::wire::Call;
use crate::domain::identity::Provider;
use crate::domain::machine::Machine;
use crate::domain::money::Currency;

pub(super) fn answer(azure: &Azure, call: &Call) -> Result<Response, Refusal> {
    let currency = call.parameter("currencyCode").unwrap_or("USD").trim_matches('\'');
    let filters = filters(call.parameter("$filter").unwrap_or_default())?;
    let skip = match call.parameter("$skip") {
        Some(text) => text
            .parse()
            .map_err(|_| Refusal::bad_request(format!("Invalid $skip value '{text}'.")))?,
        None => 0_usize,
    };
    let mut items = items(azure, currency)?;
    items.retain(|item| {
        filters.iter().all(|(field, value)| item.get(*field).is_some_and(|held| held == value))
    });
    let end = skip.saturating_add(azure.options.retail_page_size.max(1));
    let page: Vec<&Map<String, Value>> = items.iter().skip(skip).take(end - skip).collect();
    let next = (end < items.len()).then(|| call.with_parameter("$skip", &end.to_string()));
    let answer = json!({
        "BillingCurrency": currency,
        "CustomerEntityId": "Default",
        "CustomerEntityType": "Retail",
        "Items": page,
        "NextPageLink": next,
        "Count": page.len(),
    });
    Ok(Json(answer).into_response())
}

/// Conditions of the form `field eq 'value'`, joined by `and`: all that is understood here.
fn filters(text: &str) -> Result<Vec<(&str, Value)>, Refusal> {
    let wrong = || Refusal::bad_request(format!("Invalid OData parameters supplied: {text}"));
    text.split(" and ")
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let (field, value) = part.trim().split_once(" eq ").ok_or_else(wrong)?;
            let value = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
            // The field is `type` in an item and `priceType` in a filter.
            let field = if field == "priceType" { "type" } else { field };
            Ok((field, json!(value.ok_or_else(wrong)?.replace("''", "'"))))
        })
        .collect()
}

/// Every row of every size, by size and region.
fn items(azure: &Azure, currency: &str) -> Result<Vec<Map<String, Value>>, Refusal> {
    let now = azure.world.clock().now();
    let charges = azure.world.charges(Provider::Azure, now);
    let rate = if currency == Currency::USD.as_str() {
        Some(Decimal::ONE)
    } else {
        let mut charges = charges.iter();
        charges.find(|charge| charge.currency.as_str() == currency).and_then(|one| one.per_usd)
    };
    let rate = rate.ok_or_else(|| {
        Refusal::bad_request(format!("Currency code '{currency}' is not supported."))
    })?;
    let mut sizes: BTreeMap<(&str, &str), (Decimal, Decimal)> = BTreeMap::new();
    for machine in Machine::all().filter(|machine| machine.provider == Provider::Azure) {
        for region in machine.listed_regions() {
            if let Some((price, _)) = machine.list_price(Some(region)) {
                sizes.insert((machine.instance_type, region), (Decimal::ZERO, price));
            }
        }
    }
    // The price is known best from the charge with the greatest quantity.
    for charge in charges.iter().filter(|charge| charge.record_type == "Usage") {
        let machine = charge.instance_type.as_deref();
        let Some(machine) = machine.and_then(|name| Machine::of(Provider::Azure, name)) else {
            continue;
        };
        let per_usd = charge.per_usd.unwrap_or(Decimal::ONE);
        let price =
            charge.list.checked_div(charge.quantity).and_then(|price| price.checked_div(per_usd));
        let known = sizes.entry((machine.instance_type, charge.region_id.as_str())).or_default();
        if let (true, Some(price)) = (charge.quantity > known.0, price) {
            *known = (charge.quantity, price.round_dp(4));
        }
    }
    Ok(sizes
        .into_iter()
        .flat_map(|((size, region), (_, price))| of_size(size, region, price * rate, currency))
        .collect())
}

fn of_size(size: &str, region: &str, price: Decimal, currency: &str) -> Vec<Map<String, Value>> {
    let name = size.trim_start_matches("Standard_").replace('_', " ");
    let product = format!("Virtual Machines {} Series", name.replace(' ', ""));
    let percent = |percent: i64| price * Decimal::new(percent, 2);
    let hours = |years: i64| Decimal::from(8760 * years);
    // Kind, suffix of the product, suffix of the meter, term, price, end.
    let rows = [
        ("Consumption", " Windows", "", None, percent(145), None),
        ("Consumption", "", " Low Priority", None, percent(20), None),
        ("Consumption", "", " Spot", None, percent(22), None),
        ("Consumption", "", "", None, Decimal::ZERO, None),
        ("Consumption", "", "", None, percent(130), Some("2025-05-31T23:59:59Z")),
        ("Consumption", "", "", None, price, None),
        ("Consumption", " Windows", " Spot", None, percent(40), None),
        ("DevTestConsumption", "", "", None, percent(60), None),
        ("Reservation", "", "", Some("1 Year"), percent(60) * hours(1), None),
        ("Reservation", "", "", Some("3 Years"), percent(40) * hours(3), None),
    ];
    rows.into_iter()
        .zip(1_u32..)
        .map(|((kind, system, bought, term, price, end), row)| {
            let start = if end.is_some() { "2023-01-01" } else { "2025-06-01" };
            let price = json!(number(price.round_dp(6)));
            let mut item = json!({
                "currencyCode": currency,
                "tierMinimumUnits": 0.0,
                "retailPrice": price,
                "unitPrice": price,
                "armRegionName": region,
                "location": region,
                "effectiveStartDate": format!("{start}T00:00:00Z"),
                "meterId": format!("0000{row:04}-0000-4000-8000-000000000000"),
                "meterName": format!("{name}{bought}"),
                "productId": "DZH318Z09V0L",
                "skuId": format!("DZH318Z09V0L/{row:04}"),
                "availabilityId": null,
                "productName": format!("{product}{system}"),
                "skuName": format!("{name}{bought}"),
                "serviceName": "Virtual Machines",
                "serviceId": "DZH313Z7MMC8",
                "serviceFamily": "Compute",
                "unitOfMeasure": "1 Hour",
                "type": kind,
                "isPrimaryMeterRegion": true,
                "armSkuName": size,
            });
            for (key, value) in [("reservationTerm", term), ("effectiveEndDate", end)] {
                if let Some(value) = value {
                    item[key] = json!(value);
                }
            }
            match item {
                Value::Object(item) => item,
                _ => Map::new(),
            }
        })
        .collect()
}

/// A price as the number that the service writes.
fn number(price: Decimal) -> f64 {
    price.to_string().parse().unwrap_or_default()
}
