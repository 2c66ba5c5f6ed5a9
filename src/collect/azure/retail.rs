//! What Azure lists its machines at: the Retail Prices API, one question for each size and region in
//! use. It is public, asks for no token and is sent none; it knows the public cloud only.
//!
//! "Azure Retail Prices overview": a size has a row for each operating system, for spot and for low
//! priority, and a reservation's row tells the price of its whole term in the same unit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Url;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::classify;
use super::exchange::{during, follow};
use super::normalise::decimal;
use super::question::MACHINE_UNIT;
use crate::domain::money::{Currency, Money};
use crate::domain::price::{CapacityType, SkuPrice};
use crate::domain::report::{SourceError, SourceErrorKind};

/// The operation's name in counts and plans.
pub(super) const OPERATION: &str = "RetailPrices";
const API_VERSION: &str = "2023-01-01-preview";
const PATH: &str = "/api/retail/prices";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The size: `Standard_ND96isr_H100_v5`.
    pub size: &'a str,
    /// The region by its name in Resource Manager: `eastus`.
    pub region: &'a str,
    /// The currency of the bill.
    pub currency: Currency,
    /// When it is asked.
    pub now: Timestamp,
}

impl Wanted<'_> {
    /// The address of the first page.
    pub fn url(&self, origin: &Url) -> Url {
        let mut url = origin.clone();
        url.set_path(PATH);
        let filter = format!(
            "serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{}' and armSkuName eq '{}'",
            quoted(self.region),
            quoted(self.size)
        );
        url.query_pairs_mut()
            .append_pair("api-version", API_VERSION)
            .append_pair("currencyCode", &format!("'{}'", self.currency))
            .append_pair("$filter", &filter);
        url
    }

    /// The prices among the items of all pages: the newest of each that holds now, on demand and
    /// spot.
    ///
    /// # Errors
    /// Malformed for a price that is no number or in another currency.
    pub fn prices(&self, pages: &[bytes::Bytes]) -> Result<Vec<SkuPrice>, SourceError> {
        let mut newest: BTreeMap<bool, SkuPrice> = BTreeMap::new();
        for page in pages {
            for item in read(page)?.items {
                let Some(price) = self.price(&item)? else { continue };
                let is_spot = price.capacity_type == CapacityType::Spot;
                match newest.get(&is_spot) {
                    Some(known) if known.effective_at >= price.effective_at => (),
                    _ => drop(newest.insert(is_spot, price)),
                }
            }
        }
        Ok(newest.into_values().collect())
    }

    fn price(&self, item: &Item<'_>) -> Result<Option<SkuPrice>, SourceError> {
        let at = |text: &Option<String>| -> Option<Timestamp> { text.as_ref()?.parse().ok() };
        let (since, until) = (at(&item.effective_start_date), at(&item.effective_end_date));
        let holds = since.is_none_or(|since| since <= self.now)
            && until.is_none_or(|until| until > self.now);
        let is_wanted = item.kind == "Consumption"
            && item.reservation_term.is_none()
            && item.unit_of_measure == MACHINE_UNIT
            && item.arm_sku_name.eq_ignore_ascii_case(self.size)
            && item.arm_region_name.eq_ignore_ascii_case(self.region)
            && !item.product_name.ends_with(" Windows")
            && !item.product_name.contains("Cloud Services")
            && !item.meter_name.ends_with(" Low Priority")
            && !item.sku_name.ends_with(" Low Priority");
        if !holds || !is_wanted {
            return Ok(None);
        }
        let currency: Option<Currency> = item.currency_code.parse().ok();
        if currency != Some(self.currency) {
            return Err(malformed(format!(
                "a price in {} where {} was asked for",
                classify::quote(&item.currency_code),
                self.currency
            )));
        }
        let text = item.retail_price.get();
        let amount = decimal(text)
            .ok_or_else(|| malformed(format!("the price {}", classify::quote(text))))?;
        if amount <= Decimal::ZERO {
            return Ok(None);
        }
        let is_spot = item.sku_name.ends_with(" Spot") || item.meter_name.ends_with(" Spot");
        Ok(Some(SkuPrice {
            sku_id: item.sku_id.clone(),
            description: format!("{}, {}", item.product_name, item.sku_name),
            region_id: self.region.to_owned(),
            capacity_type: if is_spot { CapacityType::Spot } else { CapacityType::OnDemand },
            instance_type: Some(self.size.to_owned()),
            unit: "h".to_owned(),
            price: Money::new(amount.normalize(), self.currency),
            effective_at: since,
            read_at: Some(self.now),
        }))
    }
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow, rename = "Items")]
    items: Vec<Item<'a>>,
    #[serde(default, rename = "NextPageLink")]
    next_page_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    currency_code: String,
    #[serde(borrow)]
    retail_price: &'a RawValue,
    arm_region_name: String,
    #[serde(default)]
    arm_sku_name: String,
    #[serde(default)]
    effective_start_date: Option<String>,
    #[serde(default)]
    effective_end_date: Option<String>,
    meter_name: String,
    product_name: String,
    sku_name: String,
    sku_id: String,
    unit_of_measure: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    reservation_term: Option<String>,
}

fn read(page: &[u8]) -> Result<Page<'_>, SourceError> {
    serde_json::from_slice(page)
        .map_err(|error| malformed(format!("a page that is not as documented: {error}")))
}

/// The address of the page after `from`, if there is one.
///
/// # Errors
/// As [`follow`]; Malformed for a page that is not as documented.
pub(super) fn next_page(page: &[u8], from: &Url) -> Result<Option<Url>, SourceError> {
    let Some(link) = read(page)?.next_page_link.filter(|link| !link.is_empty()) else {
        return Ok(None);
    };
    // The real service writes its default port: `https://prices.azure.com:443/...`.
    follow(&link, from).map(Some).map_err(|error| during("list prices", error))
}

fn malformed(problem: String) -> SourceError {
    SourceError::new(SourceErrorKind::Malformed, format!("{OPERATION} answered with {problem}"))
}

/// A text within the quotes of a filter.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    const SIZE: &str = "Standard_ND96isr_H100_v5";

    fn wanted() -> Wanted<'static> {
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        Wanted { size: SIZE, region: "eastus", currency: Currency::USD, now }
    }

    fn item(change: Value) -> Value {
        let mut item = json!({
            "currencyCode": "USD", "tierMinimumUnits": 0.0, "retailPrice": 98.32,
            "unitPrice": 98.32, "armRegionName": "eastus", "location": "US East",
            "effectiveStartDate": "2026-06-01T00:00:00Z", "meterName": "ND96isr H100 v5",
            "meterId": "m", "productId": "p", "skuId": "DZH318Z09V0L/000X",
            "productName": "Virtual Machines NDsr H100 v5 Series", "skuName": "ND96isr H100 v5",
            "serviceName": "Virtual Machines", "serviceId": "s", "serviceFamily": "Compute",
            "unitOfMeasure": "1 Hour", "type": "Consumption", "isPrimaryMeterRegion": true,
            "armSkuName": SIZE,
        });
        for (key, value) in change.as_object().unwrap() {
            item[key] = value.clone();
        }
        item
    }

    fn page(items: &[Value]) -> bytes::Bytes {
        let page = json!({"BillingCurrency": "USD", "Items": items, "NextPageLink": null});
        page.to_string().into()
    }

    fn of(items: &[Value]) -> Result<Vec<SkuPrice>, SourceError> {
        wanted().prices(&[page(items)])
    }

    #[test]
    fn on_demand_and_spot_are_kept_apart() {
        let spot = json!({"skuName": "ND96isr H100 v5 Spot", "meterName": "ND96isr H100 v5 Spot",
                          "retailPrice": 1.9664e1});
        let prices = of(&[item(spot), item(json!({}))]).unwrap();
        let told: Vec<_> =
            prices.iter().map(|price| (price.capacity_type, price.price.to_string())).collect();
        assert_eq!(
            told,
            [
                (CapacityType::OnDemand, "98.32 USD".to_owned()),
                (CapacityType::Spot, "19.664 USD".to_owned())
            ]
        );
        assert_eq!(prices[0].instance_type.as_deref(), Some(SIZE));
        assert_eq!(prices[0].unit, "h");
    }

    #[test]
    fn rows_that_only_look_like_the_price_are_left_out() {
        for trap in [
            json!({"productName": "Virtual Machines NDsr H100 v5 Series Windows"}),
            json!({"skuName": "ND96isr H100 v5 Low Priority", "meterName": "ND96isr H100 v5 Low Priority"}),
            json!({"type": "Reservation", "reservationTerm": "1 Year", "retailPrice": 551_000.0}),
            json!({"reservationTerm": "3 Years"}),
            json!({"type": "DevTestConsumption", "retailPrice": 60.0}),
            json!({"unitOfMeasure": "1/Month"}),
            json!({"retailPrice": 0.0}),
            json!({"armSkuName": "Standard_ND96is_H100_v5"}),
            json!({"armRegionName": "brazilsouth"}),
            json!({"effectiveStartDate": "2026-12-01T00:00:00Z"}),
            json!({"effectiveEndDate": "2026-11-01T00:00:00Z"}),
        ] {
            assert_eq!(of(&[item(trap.clone())]).unwrap(), [], "{trap}");
        }
    }

    #[test]
    fn the_newest_price_that_holds_stands_and_a_foreign_currency_is_an_error() {
        let old = item(json!({"effectiveStartDate": "2024-01-01T00:00:00Z", "retailPrice": 120.0}));
        for items in [[old.clone(), item(json!({}))], [item(json!({})), old]] {
            assert_eq!(of(&items).unwrap()[0].price.to_string(), "98.32 USD");
        }
        let error = of(&[item(json!({"currencyCode": "EUR"}))]).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed);
        assert!(error.message.contains("EUR"), "{error}");
        assert!(of(&[item(json!({"retailPrice": "98"}))]).is_err());
    }

    #[test]
    fn the_next_page_is_on_the_same_host_and_another_page() {
        let from: Url = "https://prices.azure.com/api/retail/prices?x=1".parse().unwrap();
        let next = |link: &str| {
            let page = json!({"Items": [], "NextPageLink": link}).to_string();
            next_page(page.as_bytes(), &from)
        };
        let link = "https://prices.azure.com:443/api/retail/prices?x=1&$skip=100";
        assert!(next(link).unwrap().is_some());
        assert_eq!(next("").unwrap(), None);
        assert!(next("https://prices.example.com/api/retail/prices?$skip=100").is_err());
        assert!(next(from.as_str()).is_err());
    }
}
