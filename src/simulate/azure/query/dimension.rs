//! The dimensions by which a query groups and filters, each made of a charge's own words.
//!
//! A charge names no resource. Resource groups and resources are made of its service and meter, the
//! same for every charge of one meter.

use crate::domain::breakdown::ChargeCategory;
use crate::simulate::charge::Charge;

/// What a dimension says of a charge.
pub type Value = fn(&Charge) -> String;

/// The dimensions in the order in which the service lists them in its refusals.
const DIMENSIONS: &[(&str, Value)] = &[
    ("ResourceGroup", resource_group),
    ("ResourceGroupName", resource_group),
    ("ResourceType", resource_type),
    (RESOURCE_ID, resource_id),
    ("ResourceLocation", |charge| location(charge).to_owned()),
    ("SubscriptionId", |charge| charge.sub_account_id.clone()),
    ("SubscriptionName", |charge| charge.sub_account_name.clone()),
    ("MeterCategory", |charge| charge.service_name.clone()),
    ("MeterSubcategory", |charge| charge.instance_type.clone().unwrap_or_default()),
    ("Meter", |charge| charge.sku.clone()),
    ("MeterId", |charge| charge.sku_id.clone()),
    ("ServiceName", |charge| charge.service_name.clone()),
    ("ServiceTier", |charge| charge.instance_type.clone().unwrap_or_default()),
    ("PartNumber", |charge| charge.sku_id.clone()),
    ("BillingMonth", |charge| super::month_start(charge.day)),
    ("BillingPeriod", |charge| charge.invoice_period.to_string().replace('-', "")),
    ("ChargeType", charge_type),
    ("PublisherType", |_| "Azure".to_owned()),
    ("ReservationId", |_| String::new()),
    ("ReservationName", |_| String::new()),
    ("Frequency", |charge| frequency(charge).to_owned()),
    ("PricingModel", |charge| pricing_model(charge).to_owned()),
    ("BenefitId", |_| String::new()),
    ("BenefitName", |_| String::new()),
];

const RESOURCE_ID: &str = "ResourceId";

/// Finds a dimension, whatever its case.
///
/// # Errors
/// The list of what would have been right, each in single quotes.
pub fn find(name: &str, tells_resources: bool) -> Result<Value, String> {
    let mut allowed =
        DIMENSIONS.iter().filter(|(known, _)| tells_resources || *known != RESOURCE_ID);
    match allowed.clone().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, value)) => Ok(*value),
        None => {
            let first = allowed.next().map(|(known, _)| format!("'{known}'")).unwrap_or_default();
            Err(allowed.fold(first, |list, (known, _)| list + ",'" + known + "'"))
        }
    }
}

/// The region as the bill writes it, which is as the resource provider did: here Virginia by the
/// name that bills have for it, any other by its name in Resource Manager.
pub fn location(charge: &Charge) -> &str {
    match charge.region_id.as_str() {
        "eastus" => "US East",
        other => other,
    }
}

/// `rg-virtual-machines`.
pub fn resource_group(charge: &Charge) -> String {
    format!("rg-{}", slug(&charge.service_name))
}

/// The last word of the resource's id.
pub fn resource_name(charge: &Charge) -> String {
    let name = charge.instance_type.as_ref().unwrap_or(&charge.sku);
    if charge.region_id.is_empty() {
        slug(name)
    } else {
        format!("{}-{}", slug(name), slug(&charge.region_id))
    }
}

/// The whole id, in lower case as the service tells it.
pub fn resource_id(charge: &Charge) -> String {
    format!(
        "/subscriptions/{}/resourcegroups/{}/providers/{}/{}",
        charge.sub_account_id,
        resource_group(charge),
        resource_type(charge),
        resource_name(charge)
    )
}

fn resource_type(charge: &Charge) -> String {
    let service = charge.service_name.to_ascii_lowercase();
    let kind = if charge.instance_type.is_some() || service.contains("virtual machine") {
        "microsoft.compute/virtualmachines"
    } else if service.contains("storage") {
        "microsoft.storage/storageaccounts"
    } else if service.contains("bandwidth") || service.contains("network") {
        "microsoft.network/virtualnetworks"
    } else {
        "microsoft.resources/services"
    };
    kind.to_owned()
}

/// `Usage`, `Purchase`, `UnusedReservation` as the charge says; every correction is a `Refund`.
pub fn charge_type(charge: &Charge) -> String {
    match charge.category {
        ChargeCategory::Adjustment => "Refund".to_owned(),
        ChargeCategory::Purchase if charge.record_type.is_empty() => "Purchase".to_owned(),
        _ if charge.record_type.is_empty() => "Usage".to_owned(),
        _ => charge.record_type.clone(),
    }
}

/// How often the charge comes.
pub fn frequency(charge: &Charge) -> &'static str {
    match charge.category {
        ChargeCategory::Usage => "UsageBased",
        _ => "OneTime",
    }
}

fn pricing_model(charge: &Charge) -> &'static str {
    if charge.sku.contains("Spot") {
        "Spot"
    } else if charge.billed.is_zero() && !charge.effective.is_zero() {
        "Reservation"
    } else {
        "OnDemand"
    }
}

fn slug(text: &str) -> String {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<String> =
        words.filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    words.join("-")
}
