//! The Cloud Billing API: what people call the billing account, and what GPU machines cost by the
//! list. It tells no spend, so a poll goes on without it.

use std::collections::BTreeSet;
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_billing_v1::client::{CloudBilling, CloudCatalog};
use google_cloud_billing_v1::model::Sku;
use google_cloud_gax::retry_policy::NeverRetry;
use jiff::Timestamp;
use rust_decimal::Decimal;

use crate::collect::gcp::classify::{Failure, classify};
use crate::collect::gcp::client::Counter;
use crate::collect::gcp::config::Settings;
use crate::domain::gpu_family::{GpuFamily, is_spot};
use crate::domain::money::{Currency, Money};
use crate::domain::price::{CapacityType, SkuPrice};
use crate::domain::report::{SourceError, SourceErrorKind};

/// A name is worth a few seconds of a poll and no more.
const NAME_PATIENCE: Duration = Duration::from_secs(15);
/// Google's number of Compute Engine.
const COMPUTE_ENGINE: &str = "services/6F81-5844-456A";
/// The greatest page that the catalogue gives.
const PAGE_SKUS: i32 = 5_000;
/// Compute Engine has some 30,000 SKUs; a list that goes on for ever is not read.
pub const MOST_PAGES: u32 = 40;
/// No part of a machine costs that much an hour, in any currency that bills are in: a sentinel.
const NO_PRICE: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

const TRIED_NAME: &str = "read the billing account's name from the Cloud Billing API";
const TRIED: &str = "read list prices from the Cloud Billing API";

/// Which prices are worth keeping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The regions with GPUs.
    pub regions: BTreeSet<String>,
    /// The currency of the bill.
    pub currency: Currency,
    /// When they are read.
    pub now: Timestamp,
}

/// The display name of the configured billing account, where it has one.
///
/// # Errors
/// Forbidden where the identity may not see it (`billing.accounts.get`, `roles/billing.viewer`),
/// else what [`classify`] makes of the answer.
pub async fn billing_account_name(
    settings: &Settings,
    credentials: Credentials,
) -> Result<Option<String>, SourceError> {
    let asked = async {
        let mut builder =
            CloudBilling::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
        if let Some(endpoint) = &settings.endpoints.billing {
            builder = builder.with_endpoint(endpoint);
        }
        let client = builder.build().await.map_err(|error| misconfigured(&error, TRIED_NAME))?;
        let name = format!("billingAccounts/{}", settings.billing_account);
        let account = client.get_billing_account().set_name(name).send().await;
        account.map(|account| account.display_name).map_err(|error| {
            let mut error = classify(&Failure::from(&error), settings, TRIED_NAME);
            // Hints of BigQuery serve no other API.
            error.hint = match error.kind {
                SourceErrorKind::Config => Some(
                    "run `gcloud services enable cloudbilling.googleapis.com`, and compare \
                     `billing_account` with `gcloud billing accounts list`"
                        .to_owned(),
                ),
                SourceErrorKind::Forbidden | SourceErrorKind::RateLimited => None,
                _ => error.hint,
            };
            error
        })
    };
    match tokio::time::timeout(NAME_PATIENCE, asked).await {
        Ok(name) => name.map(|name| Some(name).filter(|name| !name.is_empty())),
        Err(_) => Err(classify(&Failure::Timeout, settings, TRIED_NAME)),
    }
}

fn misconfigured(error: &impl std::fmt::Display, tried: &str) -> SourceError {
    SourceError::new(SourceErrorKind::Config, format!("failed to {tried}: {error}"))
        .hint("check `endpoints.billing`")
}

/// The list prices of GPU machines' parts.
///
/// # Errors
/// What [`classify`] makes of the answer; nothing where the catalogue was not read to its end.
pub async fn list_prices(
    meter: &Counter<'_>,
    settings: &Settings,
    credentials: Credentials,
    wanted: &Wanted,
) -> Result<Vec<SkuPrice>, SourceError> {
    let catalogue = catalogue_of(settings, credentials).await?;
    let (mut prices, mut token) = (Vec::new(), String::new());
    for _ in 0..MOST_PAGES {
        meter.reserve("skus.list", meter.free()).await?;
        let page = catalogue
            .list_skus()
            .set_parent(COMPUTE_ENGINE)
            .set_currency_code(wanted.currency.as_str())
            .set_page_size(PAGE_SKUS)
            .set_page_token(token)
            .send()
            .await
            .map_err(|error| refused(classify(&Failure::from(&error), settings, TRIED)))?;
        prices.extend(page.skus.iter().flat_map(|sku| sku_prices(sku, wanted)));
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(prices);
        }
    }
    Err(SourceError::new(
        SourceErrorKind::Malformed,
        format!("failed to {TRIED}: the catalogue has more than {MOST_PAGES} pages"),
    ))
}

async fn catalogue_of(
    settings: &Settings,
    credentials: Credentials,
) -> Result<CloudCatalog, SourceError> {
    let mut builder =
        CloudCatalog::builder().with_credentials(credentials).with_retry_policy(NeverRetry);
    if let Some(endpoint) = &settings.endpoints.billing {
        builder = builder.with_endpoint(endpoint);
    }
    builder.build().await.map_err(|error| misconfigured(&error, TRIED))
}

/// Asks for one SKU, for the proof that the list can be read.
///
/// # Errors
/// As [`list_prices`].
pub async fn is_reachable(
    meter: &Counter<'_>,
    settings: &Settings,
    credentials: Credentials,
) -> Result<(), SourceError> {
    let catalogue = catalogue_of(settings, credentials).await?;
    meter.reserve("skus.list", meter.free()).await?;
    let page = catalogue.list_skus().set_parent(COMPUTE_ENGINE).set_page_size(1).send().await;
    page.map(drop).map_err(|error| refused(classify(&Failure::from(&error), settings, TRIED)))
}

/// The price list asks for no role, but for the API itself.
fn refused(mut error: SourceError) -> SourceError {
    if error.kind == SourceErrorKind::Forbidden {
        error.hint = Some("`gcloud services enable cloudbilling.googleapis.com`".to_owned());
    }
    error
}

/// The prices of a SKU in the regions that are wanted; none for one that is no part of a GPU
/// machine, is not bought by use, or has no price.
fn sku_prices(sku: &Sku, wanted: &Wanted) -> Vec<SkuPrice> {
    let Some(category) = &sku.category else { return Vec::new() };
    let capacity_type = match category.usage_type.as_str() {
        // Some spot SKUs bear the use type of those on demand.
        "OnDemand" if is_spot(&sku.description) => CapacityType::Spot,
        "OnDemand" => CapacityType::OnDemand,
        "Preemptible" => CapacityType::Spot,
        _ => return Vec::new(),
    };
    if !is_part(&category.resource_group, &sku.description) {
        return Vec::new();
    }
    let Some((unit, price, effective_at)) = price(sku, wanted.currency) else { return Vec::new() };
    let regions = sku.service_regions.iter().filter(|region| wanted.regions.contains(*region));
    regions
        .map(|region| SkuPrice {
            sku_id: sku.sku_id.clone(),
            description: sku.description.clone(),
            region_id: region.clone(),
            capacity_type,
            instance_type: None,
            unit: unit.clone(),
            price,
            effective_at,
            read_at: Some(wanted.now),
        })
        .collect()
}

/// GPUs, and the cores, memory and disks of the machines that only come with GPUs.
fn is_part(resource_group: &str, description: &str) -> bool {
    resource_group.eq_ignore_ascii_case("GPU")
        || GpuFamily::of_sku(description).is_some()
        || description
            .trim_start_matches("Spot ")
            .trim_start_matches("Preemptible ")
            .starts_with("SSD backed Local Storage")
}

/// The newest price: unit, amount, since when. The amount is `units`, a 64-bit integer that is a
/// text in JSON, and `nanos`; readers that take only one of them are wrong above or below one. Of
/// several tiers the one of large use stands. Zero is a reserved SKU's price, not a list price.
fn price(sku: &Sku, currency: Currency) -> Option<(String, Money, Option<Timestamp>)> {
    let newest = sku.pricing_info.last()?;
    let expression = newest.pricing_expression.as_ref()?;
    let tier = expression
        .tiered_rates
        .iter()
        .max_by(|one, other| one.start_usage_amount.total_cmp(&other.start_usage_amount))?;
    let told = tier.unit_price.as_ref()?;
    if told.currency_code != currency.as_str() {
        return None;
    }
    let amount = Decimal::from(told.units).checked_add(Decimal::new(told.nanos.into(), 9))?;
    if amount <= Decimal::ZERO || amount >= NO_PRICE {
        return None;
    }
    let effective_at =
        newest.effective_time.and_then(|at| Timestamp::new(at.seconds(), at.nanos()).ok());
    Some((expression.usage_unit.clone(), Money::new(amount.normalize(), currency), effective_at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn sku(change: impl FnOnce(&mut Value)) -> Sku {
        let mut sku = json!({
            "name": "services/6F81-5844-456A/skus/A001-0001-0001",
            "skuId": "A001-0001-0001",
            "description": "Nvidia H100 80GB GPU running in Americas",
            "category": {
                "serviceDisplayName": "Compute Engine",
                "resourceFamily": "Compute",
                "resourceGroup": "GPU",
                "usageType": "OnDemand",
            },
            "serviceRegions": ["us-central1", "us-east5"],
            "pricingInfo": [{
                "pricingExpression": {
                    "usageUnit": "h",
                    "tieredRates": [{
                        "startUsageAmount": 0,
                        "unitPrice": {
                            "currencyCode": "USD", "units": "9", "nanos": 796_550_569,
                        },
                    }],
                },
                "effectiveTime": "2026-08-01T00:00:00Z",
            }],
        });
        change(&mut sku);
        serde_json::from_value(sku).unwrap()
    }

    fn of(sku: &Sku) -> Vec<SkuPrice> {
        let regions = ["us-central1".to_owned(), "europe-west4".to_owned()];
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        sku_prices(sku, &Wanted { regions: regions.into(), currency: Currency::USD, now })
    }

    #[test]
    fn units_and_nanos_are_one_price() {
        let prices = of(&sku(|_| ()));
        assert_eq!(prices.len(), 1, "the other region has no costs");
        assert_eq!(prices[0].price.to_string(), "9.796550569 USD");
        assert_eq!((prices[0].unit.as_str(), prices[0].region_id.as_str()), ("h", "us-central1"));
        assert_eq!(prices[0].capacity_type, CapacityType::OnDemand);
        assert_eq!(prices[0].effective_at, Some("2026-08-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_price_of_zero_a_sentinel_or_another_currency_is_no_price() {
        let money = |units: &str, nanos: i32, currency: &str| {
            let price = json!({"currencyCode": currency, "units": units, "nanos": nanos});
            of(&sku(|sku| {
                sku["pricingInfo"][0]["pricingExpression"]["tieredRates"][0]["unitPrice"] = price;
            }))
        };
        assert_eq!(money("0", 1, "USD").len(), 1);
        assert_eq!(money("0", 0, "USD"), []);
        assert_eq!(money("-1", 0, "USD"), []);
        assert_eq!(money("1000000", 0, "USD"), []);
        assert_eq!(money("9", 0, "EUR"), []);
        assert_eq!(of(&sku(|sku| sku["pricingInfo"] = json!([]))), []);
    }

    #[test]
    fn only_parts_of_gpu_machines_that_are_paid_by_use_are_kept() {
        let kept = |description: &str, group: &str, usage: &str| {
            !of(&sku(|sku| {
                sku["description"] = json!(description);
                sku["category"]["resourceGroup"] = json!(group);
                sku["category"]["usageType"] = json!(usage);
            }))
            .is_empty()
        };
        assert!(kept("A3 Instance Core running in Americas", "CPU", "OnDemand"));
        assert!(kept("A3Plus Instance Ram running in Americas", "RAM", "OnDemand"));
        assert!(kept("G4 Instance Core running in Iowa", "CPU", "OnDemand"));
        assert!(kept("Spot Preemptible A2 Instance Ram running in Americas", "RAM", "Preemptible"));
        assert!(kept("SSD backed Local Storage", "LocalSSD", "OnDemand"));
        assert!(!kept("N2 Instance Core running in Americas", "CPU", "OnDemand"));
        assert!(!kept("Commitment v1: Nvidia H100 80GB GPU", "GPU", "Commit1Yr"));
    }

    #[test]
    fn a_spot_sku_with_the_use_type_of_those_on_demand_is_a_spot_price() {
        let prices = of(&sku(|sku| {
            sku["description"] =
                json!("Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Americas");
        }));
        assert_eq!(prices[0].capacity_type, CapacityType::Spot);
    }

    #[test]
    fn the_tier_of_large_use_and_the_newest_price_stand() {
        let rate = |start: u32, units: &str| {
            json!({"startUsageAmount": start,
                   "unitPrice": {"currencyCode": "USD", "units": units, "nanos": 0}})
        };
        let prices = of(&sku(|sku| {
            let mut newer = sku["pricingInfo"][0].clone();
            newer["pricingExpression"]["tieredRates"] = json!([rate(0, "0"), rate(100, "7")]);
            sku["pricingInfo"].as_array_mut().unwrap().push(newer);
        }));
        assert_eq!(prices[0].price.to_string(), "7 USD");
    }
}
