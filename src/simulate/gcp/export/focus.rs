//! The columns of the FOCUS usage cost export (preview).
//!
//! Costs: BilledCost and EffectiveCost are cost plus all credits, as in Google's own FOCUS view of
//! the detailed export; ListCost is `cost_at_list`.

use rust_decimal::Decimal;

use super::{Column, column, usage_start};
use crate::domain::identity::Provider;
use crate::simulate::charge::Charge;
use crate::simulate::gcp::sql::value::{Field, Type, Value, to_numeric_scale};

pub(super) fn columns() -> Vec<Column> {
    vec![
        column("BilledCost", Type::Numeric, |charge, _| numeric(net(charge, charge.billed))),
        column("BillingAccountId", Type::String, |_, account| {
            Value::text(&account.billing_account)
        }),
        column("BillingCurrency", Type::String, |charge, _| Value::text(charge.currency.as_str())),
        column("BillingPeriodStart", Type::Timestamp, |charge, _| {
            Value::Timestamp(charge.invoice_period.start(Provider::Gcp.billing_zone()))
        }),
        column("BillingPeriodEnd", Type::Timestamp, |charge, _| {
            Value::Timestamp(charge.invoice_period.end(Provider::Gcp.billing_zone()))
        }),
        column("ChargeCategory", Type::String, |charge, _| Value::text(&category(charge))),
        column("ChargeDescription", Type::String, |charge, _| Value::text(&charge.sku)),
        column("ChargePeriodStart", Type::Timestamp, |charge, _| {
            Value::Timestamp(usage_start(charge))
        }),
        column("ChargePeriodEnd", Type::Timestamp, |charge, _| {
            Value::Timestamp(Provider::Gcp.billing_zone().end_of(charge.day))
        }),
        column("ConsumedQuantity", Type::Numeric, |charge, _| numeric(charge.quantity)),
        column("ConsumedUnit", Type::String, |charge, _| Value::text_or_null(&charge.unit)),
        column("ContractedCost", Type::Numeric, |charge, _| numeric(charge.billed)),
        column("EffectiveCost", Type::Numeric, |charge, _| numeric(net(charge, charge.effective))),
        column("InvoiceIssuerName", Type::String, |_, _| Value::text("Google Cloud")),
        column("ListCost", Type::Numeric, |charge, _| numeric(charge.list)),
        column("ProviderName", Type::String, |_, _| Value::text("Google Cloud")),
        column("PublisherName", Type::String, |_, _| Value::text("Google")),
        column("RegionId", Type::String, |charge, _| Value::text_or_null(&charge.region_id)),
        column("RegionName", Type::String, |charge, _| Value::text_or_null(&charge.region_id)),
        column("ServiceName", Type::String, |charge, _| Value::text(&charge.service_name)),
        column("SkuId", Type::String, |charge, _| Value::text_or_null(&charge.sku_id)),
        column("SubAccountId", Type::String, |charge, _| {
            Value::text_or_null(&charge.sub_account_id)
        }),
        column("SubAccountName", Type::String, |charge, _| {
            Value::text_or_null(&charge.sub_account_name)
        }),
        column("x_CostType", Type::String, |charge, _| Value::text(&charge.record_type)),
        column("x_Credits", credits_type(), |charge, _| credits(charge)),
        column("x_CurrencyConversionRate", Type::Numeric, |charge, _| {
            numeric(charge.per_usd.unwrap_or(Decimal::ONE))
        }),
        column("x_ExportTime", Type::Timestamp, |charge, _| Value::Timestamp(charge.published_at)),
    ]
}

fn numeric(amount: Decimal) -> Value {
    Value::Numeric(to_numeric_scale(amount))
}

fn net(charge: &Charge, cost: Decimal) -> Decimal {
    cost + charge.credits.iter().map(|(_, _, amount)| *amount).sum::<Decimal>()
}

/// FOCUS writes its allowed values with a capital.
fn category(charge: &Charge) -> String {
    let word = charge.category.as_str();
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn credits_type() -> Type {
    Type::records(vec![
        Field::new("Id", Type::String),
        Field::new("FullName", Type::String),
        Field::new("Type", Type::String),
        Field::new("Amount", Type::Numeric),
    ])
}

fn credits(charge: &Charge) -> Value {
    let credits = charge.credits.iter().map(|(kind, name, amount)| {
        let values = [Value::text(name), Value::text(name), Value::text(kind), numeric(*amount)];
        Value::Struct(values.into_iter().collect())
    });
    Value::Array(credits.collect())
}
