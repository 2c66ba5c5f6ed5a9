//! The Consumption API: budgets, charges, balances, marketplaces; usage details in their own room.

mod usage;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;

use crate::domain::breakdown::ChargeCategory;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::simulate::azure::refusal::{self, Refusal};
use crate::simulate::azure::scope::{Scope, charges as all_charges};
use crate::simulate::azure::wire::{Call, Number, fresh_guid};
use crate::simulate::azure::{Azure, Budget, no_content};
use crate::simulate::charge::Charge;

pub use usage::usage_details;

/// What answers one operation.
pub type Operation = fn(&Azure, &Call, &Scope) -> Result<Answer, Refusal>;

/// A good answer and the same without any row.
pub struct Answer {
    /// With its rows.
    pub full: Response,
    /// Without any.
    pub empty: Response,
    /// Whether it is not the first page.
    pub continues: bool,
    /// Whether it has a `nextLink`.
    pub more_follow: bool,
}

impl Answer {
    /// A list in one page. Budgets and charges have no documented 204.
    fn list(value: Vec<impl Serialize>) -> Self {
        let empty = Json(json!({"value": []})).into_response();
        Self::one(Json(List { value, next_link: None }).into_response(), empty)
    }

    fn one(full: Response, empty: Response) -> Self {
        Self { full, empty, continues: false, more_follow: false }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    value: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_link: Option<String>,
}

/// `properties` and what every resource has around them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<P> {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    e_tag: Option<String>,
    properties: P,
}

fn today(azure: &Azure) -> Date {
    BillingZone::Utc.day_of(azure.world.clock().now())
}

/// The actual cost of a scope over some days.
fn actual_cost(azure: &Azure, tells: impl Fn(&Charge) -> bool) -> Decimal {
    let all = all_charges(azure, azure.world.clock().now());
    all.iter().filter(|charge| tells(charge)).map(|charge| charge.billed).sum()
}

#[derive(Serialize)]
struct Spend {
    amount: Number,
    unit: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetProperties {
    category: &'static str,
    amount: Number,
    time_grain: &'static str,
    time_period: serde_json::Value,
    current_spend: Spend,
    #[serde(skip_serializing_if = "Option::is_none")]
    forecast_spend: Option<Spend>,
    notifications: serde_json::Value,
}

fn told_budget(azure: &Azure, scope: &Scope, budget: &Budget) -> Resource<BudgetProperties> {
    let today = today(azure);
    let period = BillingPeriod::containing(today);
    let current = actual_cost(azure, |charge| scope.tells(charge) && period.contains(charge.day));
    let gone = Decimal::from(today.day());
    let forecast = current.checked_mul(Decimal::from(period.days())).map(|whole| whole / gone);
    let unit = azure.options.currency.to_string();
    let spend = |amount: Decimal| Spend { amount: Number(amount), unit: unit.clone() };
    Resource {
        id: format!("{}/providers/Microsoft.Consumption/budgets/{}", scope.path, budget.name),
        name: budget.name.clone(),
        kind: "Microsoft.Consumption/budgets",
        e_tag: Some("\"1d34d016a593709\"".to_owned()),
        properties: BudgetProperties {
            category: "Cost",
            amount: Number(budget.amount),
            time_grain: "Monthly",
            time_period: json!({
                "startDate": format!("{}T00:00:00Z", today.first_of_year()),
                "endDate": format!("{}T00:00:00Z", today.last_of_year()),
            }),
            current_spend: spend(current),
            forecast_spend: forecast.map(|amount| spend(amount.round_dp(12))),
            notifications: json!({
                "Actual_GreaterThan_80_Percent": {
                    "enabled": true,
                    "operator": "GreaterThan",
                    "threshold": 80,
                    "contactEmails": [],
                    "contactRoles": ["Owner"],
                    "contactGroups": [],
                    "thresholdType": "Actual",
                },
            }),
        },
    }
}

/// `GET {scope}/providers/Microsoft.Consumption/budgets`.
pub fn budgets(azure: &Azure, _call: &Call, scope: &Scope) -> Result<Answer, Refusal> {
    let told = azure.options.budgets.iter().map(|budget| told_budget(azure, scope, budget));
    Ok(Answer::list(told.collect()))
}

/// `GET {scope}/providers/Microsoft.Consumption/budgets/{name}`.
pub fn one_budget(azure: &Azure, call: &Call, scope: &Scope) -> Result<Answer, Refusal> {
    let name = call.path.last().map(String::as_str).unwrap_or_default();
    let mut budgets = azure.options.budgets.iter();
    let missing = || {
        let message = format!("Budget '{name}' was not found. (Request ID: {})", fresh_guid());
        Refusal::new(StatusCode::NOT_FOUND, "404", message)
    };
    let found = budgets.find(|budget| budget.name.eq_ignore_ascii_case(name));
    let told = told_budget(azure, scope, found.ok_or_else(missing)?);
    Ok(Answer::one(Json(told).into_response(), missing().into_response()))
}

/// `GET {scope}/providers/Microsoft.Consumption/marketplaces`: the world buys nothing there.
pub fn marketplaces(_: &Azure, _: &Call, _: &Scope) -> Result<Answer, Refusal> {
    Ok(Answer::list(Vec::<()>::new()))
}

#[derive(Serialize)]
struct Amount {
    currency: String,
    value: Number,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargeSummary {
    billing_period_id: String,
    usage_start: String,
    usage_end: String,
    azure_charges: Amount,
    charges_billed_separately: Amount,
    marketplace_charges: Amount,
    billing_account_id: String,
    billing_profile_id: Option<String>,
    invoice_section_id: Option<String>,
    is_invoiced: bool,
}

#[derive(Serialize)]
struct ModernCharges {
    kind: &'static str,
    #[serde(flatten)]
    resource: Resource<ChargeSummary>,
}

/// `GET .../billingAccounts/{id}/providers/Microsoft.Consumption/charges`: this month and the last.
pub fn charges(azure: &Azure, call: &Call, scope: &Scope) -> Result<Answer, Refusal> {
    if !scope.is_billing_account() {
        return Err(refusal::no_such_path(call));
    }
    let open = BillingPeriod::containing(today(azure));
    let told = |period: BillingPeriod| {
        let cost = actual_cost(azure, |charge| scope.tells(charge) && period.contains(charge.day));
        let amount = |value: Decimal| Amount {
            currency: azure.options.currency.to_string(),
            value: Number(value),
        };
        let month = period.to_string().replace('-', "");
        let name = format!("chargeSummary{month}");
        ModernCharges {
            kind: "modern",
            resource: Resource {
                id: format!("/{}/providers/Microsoft.Consumption/charges/{name}", scope.path),
                name,
                kind: "Microsoft.Consumption/charges",
                e_tag: None,
                properties: ChargeSummary {
                    billing_period_id: format!(
                        "/{}/providers/Microsoft.Billing/billingPeriods/{month}",
                        scope.path
                    ),
                    usage_start: period.first_day().to_string(),
                    usage_end: period.first_day().last_of_month().to_string(),
                    azure_charges: amount(cost),
                    charges_billed_separately: amount(Decimal::ZERO),
                    marketplace_charges: amount(Decimal::ZERO),
                    billing_account_id: format!("/{}", scope.path),
                    billing_profile_id: None,
                    invoice_section_id: None,
                    is_invoiced: period < open,
                },
            },
        }
    };
    Ok(Answer::list([open.previous(), open].map(told).into()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BalanceProperties {
    currency: String,
    beginning_balance: Number,
    ending_balance: Number,
    new_purchases: Number,
    adjustments: Number,
    utilized: Number,
    service_overage: Number,
    charges_billed_separately: Number,
    total_overage: Number,
    total_usage: Number,
    azure_marketplace_service_charges: Number,
    billing_frequency: &'static str,
    price_hidden: bool,
    new_purchases_details: Vec<()>,
    adjustment_details: Vec<NamedAmount>,
}

#[derive(Serialize)]
struct NamedAmount {
    name: String,
    value: Number,
}

/// `GET .../billingAccounts/{id}/providers/Microsoft.Consumption/balances` of the open month. The
/// world's credits are its adjustments; nothing is prepaid.
pub fn balances(azure: &Azure, call: &Call, scope: &Scope) -> Result<Answer, Refusal> {
    if !scope.is_billing_account() {
        return Err(refusal::no_such_path(call));
    }
    let period = BillingPeriod::containing(today(azure));
    let usage = actual_cost(azure, |charge| scope.tells(charge) && period.contains(charge.day));
    let credits = -actual_cost(azure, |charge| {
        scope.holds(charge)
            && charge.category == ChargeCategory::Credit
            && period.contains(charge.day)
    });
    let utilized = credits.min(usage);
    let zero = Number(Decimal::ZERO);
    let name = format!("balance{}", period.to_string().replace('-', ""));
    let told = Resource {
        id: format!("/{}/providers/Microsoft.Consumption/balances/{name}", scope.path),
        name,
        kind: "Microsoft.Consumption/balances",
        e_tag: None,
        properties: BalanceProperties {
            currency: azure.options.currency.to_string(),
            beginning_balance: zero,
            ending_balance: Number(credits - utilized),
            new_purchases: zero,
            adjustments: Number(credits),
            utilized: Number(utilized),
            service_overage: Number(usage - utilized),
            charges_billed_separately: zero,
            total_overage: Number(usage - utilized),
            total_usage: Number(usage),
            azure_marketplace_service_charges: zero,
            billing_frequency: "Month",
            price_hidden: false,
            new_purchases_details: Vec::new(),
            adjustment_details: vec![NamedAmount {
                name: "Promo Credit".to_owned(),
                value: Number(credits),
            }],
        },
    };
    Ok(Answer::one(Json(told).into_response(), no_content()))
}
