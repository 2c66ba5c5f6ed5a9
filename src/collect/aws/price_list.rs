//! What EC2 lists its machines at: `GetProducts` of the Price List query API, one question for each
//! machine type and region in use.
//!
//! A product comes as JSON within a string ("GetProducts", `PriceList`). Answers are held against
//! the question again: a product of reserved capacity, another operating system or a dedicated host
//! has the same machine type, and a price of zero means that something else is paid.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::collect::aws::classify::quote;
use crate::collect::aws::normalise::decimal;
use crate::domain::money::{Currency, Money};
use crate::domain::price::{CapacityType, SkuPrice};
use crate::domain::report::{SourceError, SourceErrorKind};

/// The operation, which is free.
pub(crate) const PRICES: &str = "GetProducts";
/// The service's code in the price list.
pub(crate) const EC2: &str = "AmazonEC2";
/// Products of one page at most.
pub(crate) const PAGE_PRODUCTS: i32 = 100;

/// Linux machines that run on demand, without anybody's software on them.
const ON_DEMAND: [(&str, &str); 4] = [
    ("operatingSystem", "Linux"),
    ("preInstalledSw", "NA"),
    // `UnusedCapacityReservation` and `AllocatedCapacityReservation` repeat the machine.
    ("capacitystatus", "Used"),
    ("marketoption", "OnDemand"),
];
const FAMILY: &str = "Compute Instance";
/// A machine without a hypervisor is a family of its own, and of nobody else: its price stands
/// under dedicated tenancy, under shared tenancy or under both.
const BARE_METAL_FAMILY: &str = "Compute Instance (bare metal)";
const TENANCY: &str = "tenancy";
const SHARED: &str = "Shared";
const DEDICATED: &str = "Dedicated";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The machine type.
    pub(crate) instance_type: &'a str,
    /// The region.
    pub(crate) region: &'a str,
    /// When it is asked.
    pub(crate) now: Timestamp,
}

impl<'a> Wanted<'a> {
    /// Attributes that a product must have.
    pub(crate) fn filters(&self) -> Vec<(&'static str, &'a str)> {
        let mut filters = vec![("instanceType", self.instance_type), ("regionCode", self.region)];
        if self.is_bare_metal() {
            filters.push(("productFamily", BARE_METAL_FAMILY));
        } else {
            filters.extend([("productFamily", FAMILY), (TENANCY, SHARED)]);
        }
        filters.extend(ON_DEMAND);
        filters
    }

    /// `g4dn.metal`, `c7i.metal-48xl`.
    fn is_bare_metal(&self) -> bool {
        self.instance_type.split('.').nth(1).is_some_and(|size| size.starts_with("metal"))
    }

    fn is(&self, product: &Product) -> bool {
        let is_filtered = self.filters().iter().all(|(field, value)| match *field {
            "productFamily" => product.product_family.as_deref() == Some(*value),
            field => product.attributes.get(field).is_some_and(|held| held == value),
        });
        is_filtered && (product.has_tenancy(SHARED) || product.has_tenancy(DEDICATED))
    }
}

#[derive(Deserialize)]
struct Listed {
    product: Product,
    terms: Terms,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    sku: String,
    #[serde(default)]
    product_family: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Product {
    fn has_tenancy(&self, tenancy: &str) -> bool {
        self.attributes.get(TENANCY).is_some_and(|held| held == tenancy)
    }
}

#[derive(Deserialize)]
struct Terms {
    #[serde(default, rename = "OnDemand")]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    #[serde(default)]
    effective_date: Option<String>,
    price_dimensions: BTreeMap<String, PriceDimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceDimension {
    unit: String,
    price_per_unit: BTreeMap<String, String>,
}

/// The prices of the products of all pages that are what was asked for: the term that holds now, by
/// the hour, above zero; under shared tenancy, where it has one.
///
/// # Errors
/// Malformed for a product that is not as documented.
pub(crate) fn prices(
    products: &[String],
    wanted: &Wanted<'_>,
) -> Result<Vec<SkuPrice>, SourceError> {
    let (mut shared, mut dedicated) = (Vec::new(), Vec::new());
    for text in products {
        let listed: Listed = serde_json::from_str(text)
            .map_err(|error| malformed(format!("a product that is not as documented: {error}")))?;
        if wanted.is(&listed.product) {
            let is_shared = listed.product.has_tenancy(SHARED);
            let prices = if is_shared { &mut shared } else { &mut dedicated };
            prices.extend(price(&listed, wanted)?);
        }
    }
    Ok(if shared.is_empty() { dedicated } else { shared })
}

fn price(listed: &Listed, wanted: &Wanted<'_>) -> Result<Option<SkuPrice>, SourceError> {
    let since = |term: &Term| -> Option<Timestamp> { term.effective_date.as_ref()?.parse().ok() };
    let holds = |term: &&Term| since(term).is_none_or(|since| since <= wanted.now);
    let Some(term) = listed.terms.on_demand.values().filter(holds).max_by_key(|term| since(term))
    else {
        return Ok(None);
    };
    let Some(hourly) = term.price_dimensions.values().find(|each| each.unit == "Hrs") else {
        return Ok(None);
    };
    // One currency: US dollars, in China CNY.
    let Some((currency, text)) = hourly.price_per_unit.iter().next() else { return Ok(None) };
    let currency: Currency = currency.parse().map_err(|_| malformed(quote(currency)))?;
    let amount = decimal(text).ok_or_else(|| malformed(format!("the price {}", quote(text))))?;
    if amount <= Decimal::ZERO {
        return Ok(None);
    }
    Ok(Some(SkuPrice {
        sku_id: listed.product.sku.clone(),
        description: format!("{} Linux on demand", wanted.instance_type),
        region_id: wanted.region.to_owned(),
        capacity_type: CapacityType::OnDemand,
        instance_type: Some(wanted.instance_type.to_owned()),
        unit: "h".to_owned(),
        price: Money::new(amount.normalize(), currency),
        effective_at: since(term),
        read_at: Some(wanted.now),
    }))
}

fn malformed(problem: String) -> SourceError {
    SourceError::new(SourceErrorKind::Malformed, format!("{PRICES} answered with {problem}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn product(change: impl FnOnce(&mut Value)) -> String {
        let mut product = json!({
            "product": {
                "productFamily": "Compute Instance",
                "sku": "V9KKNWW7XK9EY5Q7",
                "attributes": {
                    "instanceType": "p5.48xlarge", "regionCode": "us-west-2",
                    "operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared",
                    "capacitystatus": "Used", "marketoption": "OnDemand",
                    "usagetype": "USW2-BoxUsage:p5.48xlarge", "gpuMemory": "NA",
                },
            },
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {"V9.JRTC": {
                "effectiveDate": "2026-11-01T00:00:00Z",
                "priceDimensions": {"V9.JRTC.6YS6": {
                    "unit": "Hrs", "pricePerUnit": {"USD": "55.0400000000"},
                }},
            }}},
            "version": "20261120", "publicationDate": "2026-11-20T00:00:00Z",
        });
        change(&mut product);
        product.to_string()
    }

    fn of(products: &[String]) -> Result<Vec<SkuPrice>, SourceError> {
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        let wanted = Wanted { instance_type: "p5.48xlarge", region: "us-west-2", now };
        prices(products, &wanted)
    }

    #[test]
    fn the_price_is_the_decimal_of_its_text() {
        let prices = of(&[product(|_| ())]).unwrap();
        assert_eq!(prices.len(), 1);
        assert_eq!(prices[0].price.to_string(), "55.04 USD");
        assert_eq!(prices[0].instance_type.as_deref(), Some("p5.48xlarge"));
        assert_eq!((prices[0].unit.as_str(), prices[0].region_id.as_str()), ("h", "us-west-2"));
        assert_eq!(prices[0].read_at, Some("2026-11-23T08:00:00Z".parse().unwrap()));
        let yuan = of(&[product(|product| {
            let dimension = json!({"unit": "Hrs", "pricePerUnit": {"CNY": "281.5"}});
            product["terms"]["OnDemand"]["V9.JRTC"]["priceDimensions"]["V9.JRTC.6YS6"] = dimension;
        })]);
        assert_eq!(yuan.unwrap()[0].price.to_string(), "281.5 CNY");
    }

    #[test]
    fn what_only_looks_like_the_machine_on_demand_is_left_out() {
        for (attribute, other) in [
            ("capacitystatus", "UnusedCapacityReservation"),
            ("capacitystatus", "AllocatedCapacityReservation"),
            ("operatingSystem", "Windows"),
            ("preInstalledSw", "SQL Ent"),
            ("tenancy", "Dedicated"),
            ("marketoption", "CapacityBlock"),
            ("instanceType", "p5.4xlarge"),
            ("regionCode", "us-east-1"),
        ] {
            let text =
                product(|product| product["product"]["attributes"][attribute] = json!(other));
            assert_eq!(of(&[text]).unwrap(), [], "{attribute} {other}");
        }
        let family = product(|product| product["product"]["productFamily"] = json!("Fee"));
        assert_eq!(of(&[family]).unwrap(), []);
        let price = |text: &str| {
            product(|product| {
                let dimensions =
                    &mut product["terms"]["OnDemand"]["V9.JRTC"]["priceDimensions"]["V9.JRTC.6YS6"];
                dimensions["pricePerUnit"]["USD"] = json!(text);
            })
        };
        assert_eq!(of(&[price("0.0000000000")]).unwrap(), []);
        assert_eq!(of(&[product(|product| product["terms"] = json!({}))]).unwrap(), []);
        let monthly = product(|product| {
            let term = &mut product["terms"]["OnDemand"]["V9.JRTC"];
            term["priceDimensions"]["V9.JRTC.6YS6"]["unit"] = json!("Mo");
        });
        assert_eq!(of(&[monthly]).unwrap(), []);
        let error = of(&[price("1,5")]).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed);
        assert!(error.message.contains("1,5"), "{error}");
        assert!(of(&["{".to_owned()]).is_err());
    }

    #[test]
    fn a_bare_metal_machine_is_found_in_its_own_family_under_either_tenancy() {
        let metal = |tenancy: &str, amount: &str| {
            product(|product| {
                product["product"]["productFamily"] = json!("Compute Instance (bare metal)");
                product["product"]["attributes"]["instanceType"] = json!("g4dn.metal");
                product["product"]["attributes"]["tenancy"] = json!(tenancy);
                let dimensions =
                    &mut product["terms"]["OnDemand"]["V9.JRTC"]["priceDimensions"]["V9.JRTC.6YS6"];
                dimensions["pricePerUnit"]["USD"] = json!(amount);
            })
        };
        let now = "2026-11-23T08:00:00Z".parse().unwrap();
        let wanted = Wanted { instance_type: "g4dn.metal", region: "us-west-2", now };
        let told = |products: &[String]| -> Vec<String> {
            let prices = prices(products, &wanted).unwrap();
            prices.iter().map(|price| price.price.to_string()).collect()
        };
        let (dedicated, shared) = (metal("Dedicated", "7.824"), metal("Shared", "7.8"));
        assert_eq!(told(&[metal("Host", "7"), dedicated.clone()]), ["7.824 USD"]);
        assert_eq!(told(&[dedicated.clone(), metal("Shared", "0.0000000000")]), ["7.824 USD"]);
        assert_eq!(told(&[dedicated, shared]), ["7.8 USD"]);
        let filters = wanted.filters();
        assert!(filters.contains(&("productFamily", "Compute Instance (bare metal)")));
        assert!(filters.iter().all(|(field, _)| *field != "tenancy"));
    }

    #[test]
    fn a_price_that_is_announced_does_not_hold_yet() {
        let told = of(&[product(|product| {
            let terms = &mut product["terms"]["OnDemand"];
            let mut next = terms["V9.JRTC"].clone();
            next["effectiveDate"] = json!("2026-12-01T00:00:00Z");
            next["priceDimensions"]["V9.JRTC.6YS6"]["pricePerUnit"]["USD"] = json!("41");
            let mut before = next.clone();
            before["effectiveDate"] = json!("2025-01-01T00:00:00Z");
            before["priceDimensions"]["V9.JRTC.6YS6"]["pricePerUnit"]["USD"] = json!("98.32");
            terms["V9.NEXT"] = next;
            terms["V9.A"] = before;
        })]);
        assert_eq!(told.unwrap()[0].price.to_string(), "55.04 USD");
    }
}
