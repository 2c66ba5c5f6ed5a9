//! Usage details: one record for each charge, in the legacy or the modern shape.

use axum::Json;
use axum::response::IntoResponse;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::period::BillingPeriod;
use crate::simulate::azure::consumption::{Answer, List, Resource, today};
use crate::simulate::azure::query::{
    charge_type, cost, cost_in_usd, frequency, location, resource_group, resource_id, resource_name,
};
use crate::simulate::azure::refusal::Refusal;
use crate::simulate::azure::scope::{Scope, charges};
use crate::simulate::azure::wire::{Call, Number};
use crate::simulate::azure::{Azure, UsageDetailsKind, no_content};
use crate::simulate::charge::Charge;

#[derive(Serialize)]
struct UsageDetail {
    kind: &'static str,
    tags: Option<()>,
    #[serde(flatten)]
    resource: Resource<Details>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details {
    Legacy(Box<Legacy>),
    Modern(Box<Modern>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Legacy {
    billing_account_id: String,
    billing_account_name: &'static str,
    billing_period_start_date: String,
    billing_period_end_date: String,
    billing_profile_id: String,
    billing_profile_name: &'static str,
    account_name: &'static str,
    subscription_id: String,
    subscription_name: String,
    date: String,
    product: String,
    part_number: String,
    meter_id: String,
    meter_details: Option<()>,
    quantity: Number,
    effective_price: Number,
    cost: Number,
    unit_price: Number,
    billing_currency: String,
    resource_location: String,
    consumed_service: String,
    resource_id: String,
    resource_name: String,
    invoice_section: &'static str,
    resource_group: String,
    offer_id: &'static str,
    is_azure_credit_eligible: bool,
    publisher_type: &'static str,
    charge_type: String,
    frequency: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Modern {
    billing_account_id: String,
    billing_account_name: &'static str,
    billing_period_start_date: String,
    billing_period_end_date: String,
    billing_profile_id: String,
    billing_profile_name: &'static str,
    subscription_guid: String,
    subscription_name: String,
    date: String,
    product: String,
    meter_id: String,
    meter_name: String,
    meter_category: String,
    quantity: Number,
    unit_of_measure: String,
    unit_price: Number,
    effective_price: Number,
    cost_in_billing_currency: Number,
    cost_in_pricing_currency: Option<Number>,
    #[serde(rename = "costInUSD")]
    cost_in_usd: Option<Number>,
    billing_currency_code: String,
    pricing_currency_code: &'static str,
    resource_location: String,
    consumed_service: String,
    instance_name: String,
    resource_group: String,
    invoice_section_name: &'static str,
    is_azure_credit_eligible: bool,
    publisher_name: &'static str,
    publisher_type: &'static str,
    charge_type: String,
    frequency: &'static str,
}

/// Which records a request asks for.
struct Asked {
    first_day: Date,
    last_day: Date,
    charge_type: Option<String>,
    group: Option<String>,
}

/// `GET {scope}/providers/Microsoft.Consumption/usageDetails`: of the open billing period, or of
/// the days that `startDate` and `endDate` or a legacy `$filter` name.
///
/// # Errors
/// 400 for a filter, a metric or a skiptoken that cannot be read, and for a modern agreement's
/// `$filter` on dates, which that agreement does not support.
pub fn usage_details(azure: &Azure, call: &Call, scope: &Scope) -> Result<Answer, Refusal> {
    let asked = Asked::read(azure, call)?;
    let metric = call.parameter("metric").unwrap_or("actualcost").to_ascii_lowercase();
    let amortized = match metric.as_str() {
        "actualcost" | "usage" => false,
        "amortizedcost" => true,
        _ => return Err(Refusal::bad_request(format!("Invalid metric '{metric}'."))),
    };
    let skip = call.parameter("$skiptoken");
    let row: usize = match skip {
        None => 0,
        Some(token) => token.parse().map_err(|_| Refusal::bad_request("Invalid skiptoken."))?,
    };
    let page_size = call.page_size(azure.options.page_size, azure.options.largest_page)?;
    let all = charges(azure, azure.world.clock().now());
    let mut told = all.iter().filter(|charge| scope.tells(charge) && asked.tells(charge)).skip(row);
    let value: Vec<UsageDetail> = told
        .by_ref()
        .take(page_size)
        .enumerate()
        .map(|(index, charge)| detail(azure, charge, amortized, row + index))
        .collect();
    let more_follow = told.next().is_some();
    let next_link = more_follow.then(|| call.next_link(&(row + page_size).to_string()));
    let full = if value.is_empty() && skip.is_none() {
        no_content()
    } else {
        Json(List { value, next_link }).into_response()
    };
    Ok(Answer { full, empty: no_content(), continues: skip.is_some(), more_follow })
}

fn midnight(day: Date) -> String {
    format!("{day}T00:00:00.0000000Z")
}

fn detail(azure: &Azure, charge: &Charge, amortized: bool, index: usize) -> UsageDetail {
    let account = azure.options.billing_account.clone();
    let period = BillingPeriod::containing(charge.day);
    let (start, end) = (period.first_day(), period.first_day().last_of_month());
    let cost = cost(charge, amortized);
    let each = |amount: Decimal| {
        Number(amount.checked_div(charge.quantity).unwrap_or_default().round_dp(15))
    };
    let product = match &charge.instance_type {
        Some(machine) => format!("{} - {machine} - {}", charge.service_name, charge.region_id),
        None => format!("{} - {}", charge.service_name, charge.sku),
    };
    let is_azure_credit_eligible = true;
    let (kind, properties) = match azure.options.usage_details {
        UsageDetailsKind::Legacy => (
            "legacy",
            Details::Legacy(Box::new(Legacy {
                billing_account_id: account.clone(),
                billing_account_name: "GPU fleet",
                billing_period_start_date: midnight(start),
                billing_period_end_date: midnight(end),
                billing_profile_id: account,
                billing_profile_name: "GPU fleet",
                account_name: "GPU fleet",
                subscription_id: charge.sub_account_id.clone(),
                subscription_name: charge.sub_account_name.clone(),
                date: midnight(charge.day),
                product,
                part_number: charge.sku_id.clone(),
                meter_id: charge.sku_id.clone(),
                meter_details: None,
                quantity: Number(charge.quantity),
                effective_price: each(cost),
                cost: Number(cost),
                unit_price: each(charge.list),
                billing_currency: charge.currency.to_string(),
                resource_location: location(charge).to_owned(),
                consumed_service: charge.service_name.clone(),
                resource_id: resource_id(charge),
                resource_name: resource_name(charge),
                invoice_section: "Unassigned",
                resource_group: resource_group(charge),
                offer_id: "MS-AZR-0017P",
                is_azure_credit_eligible,
                publisher_type: "Azure",
                charge_type: charge_type(charge),
                frequency: frequency(charge),
            })),
        ),
        UsageDetailsKind::Modern => (
            "modern",
            Details::Modern(Box::new(Modern {
                billing_account_id: account.clone(),
                billing_account_name: "GPU fleet",
                billing_period_start_date: midnight(start),
                billing_period_end_date: midnight(end),
                billing_profile_id: account,
                billing_profile_name: "GPU fleet",
                subscription_guid: charge.sub_account_id.clone(),
                subscription_name: charge.sub_account_name.clone(),
                date: midnight(charge.day),
                product,
                meter_id: charge.sku_id.clone(),
                meter_name: charge.sku.clone(),
                meter_category: charge.service_name.clone(),
                quantity: Number(charge.quantity),
                unit_of_measure: charge.unit.clone(),
                unit_price: each(charge.list),
                effective_price: each(cost),
                cost_in_billing_currency: Number(cost),
                cost_in_pricing_currency: cost_in_usd(charge, amortized).map(Number),
                cost_in_usd: cost_in_usd(charge, amortized).map(Number),
                billing_currency_code: charge.currency.to_string(),
                pricing_currency_code: "USD",
                resource_location: location(charge).to_owned(),
                consumed_service: charge.service_name.clone(),
                instance_name: resource_id(charge),
                resource_group: resource_group(charge),
                invoice_section_name: "GPU fleet",
                is_azure_credit_eligible,
                publisher_name: "Microsoft",
                publisher_type: "Microsoft",
                charge_type: charge_type(charge),
                frequency: frequency(charge),
            })),
        ),
    };
    let name = format!("usageDetail{}-{index}", charge.day.strftime("%Y%m%d"));
    UsageDetail {
        kind,
        tags: None,
        resource: Resource {
            id: format!(
                "/subscriptions/{}/providers/Microsoft.Billing/billingPeriods/{}/providers/\
                 Microsoft.Consumption/usageDetails/{name}",
                charge.sub_account_id,
                period.to_string().replace('-', ""),
            ),
            name,
            kind: "Microsoft.Consumption/usageDetails",
            e_tag: None,
            properties,
        },
    }
}

impl Asked {
    fn read(azure: &Azure, call: &Call) -> Result<Self, Refusal> {
        let today = today(azure);
        let mut asked = Self {
            first_day: today.first_of_month(),
            last_day: today.last_of_month(),
            charge_type: None,
            group: None,
        };
        for (name, day) in [("startDate", &mut asked.first_day), ("endDate", &mut asked.last_day)] {
            if let Some(text) = call.parameter(name) {
                *day = read_day(text)
                    .ok_or_else(|| Refusal::bad_request(format!("Invalid {name} '{text}'.")))?;
            }
        }
        if let Some(filter) = call.parameter("$filter") {
            let modern = azure.options.usage_details == UsageDetailsKind::Modern;
            asked.narrow(filter, modern).ok_or_else(|| {
                Refusal::bad_request(format!("Invalid or unsupported filter '{filter}'."))
            })?;
        }
        Ok(asked)
    }

    /// Takes clauses such as `properties/usageStart ge '2026-11-01'`, joined by `and`.
    fn narrow(&mut self, filter: &str, modern: bool) -> Option<()> {
        for clause in filter.split(" and ") {
            let mut words = clause.trim().splitn(3, ' ');
            let (name, operator) = (words.next()?, words.next()?);
            let value = words.next()?.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            let name = name.trim_start_matches("properties/").to_ascii_lowercase();
            match (name.as_str(), operator) {
                ("usagestart" | "usageend" | "date", _) if modern => return None,
                ("usagestart" | "usageend" | "date", operator) => {
                    let day = read_day(value)?;
                    match operator {
                        "ge" => self.first_day = day,
                        "gt" => self.first_day = day.tomorrow().ok()?,
                        "le" => self.last_day = day,
                        "lt" => self.last_day = day.yesterday().ok()?,
                        "eq" => (self.first_day, self.last_day) = (day, day),
                        _ => return None,
                    }
                }
                ("chargetype", "eq") => self.charge_type = Some(value.to_owned()),
                ("resourcegroup", "eq") => self.group = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(())
    }

    fn tells(&self, charge: &Charge) -> bool {
        let same = |asked: &Option<String>, value: String| {
            asked.as_ref().is_none_or(|asked| asked.eq_ignore_ascii_case(&value))
        };
        (self.first_day..=self.last_day).contains(&charge.day)
            && same(&self.charge_type, charge_type(charge))
            && same(&self.group, resource_group(charge))
    }
}

fn read_day(text: &str) -> Option<Date> {
    text.get(..10)?.parse().ok()
}
