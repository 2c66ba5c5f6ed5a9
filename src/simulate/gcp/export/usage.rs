//! The columns of the standard and the detailed usage cost export.

use rust_decimal::Decimal;

use super::{Column, column, usage_start};
use crate::domain::identity::Provider;
use crate::simulate::charge::Charge;
use crate::simulate::gcp::sql::value::{Field, Type, Value};

fn text(name: &str) -> Field {
    Field::new(name, Type::String)
}

fn record(names: &[&str]) -> Type {
    Type::record(names.iter().map(|name| text(name)).collect())
}

fn pairs() -> Type {
    Type::records(vec![text("key"), text("value")])
}

fn values(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Struct(values.into_iter().collect())
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(values.into_iter().collect())
}

pub(super) fn columns(detailed: bool) -> Vec<Column> {
    let mut columns = vec![
        column("billing_account_id", Type::String, |_, account| {
            Value::text(&account.billing_account)
        }),
        column("service", record(&["id", "description"]), |charge, _| {
            values([Value::text_or_null(&charge.service_id), Value::text(&charge.service_name)])
        }),
        column("sku", record(&["id", "description"]), |charge, _| {
            values([Value::text_or_null(&charge.sku_id), Value::text(&charge.sku)])
        }),
        column("usage_start_time", Type::Timestamp, |charge, _| {
            Value::Timestamp(usage_start(charge))
        }),
        column("usage_end_time", Type::Timestamp, |charge, _| {
            Value::Timestamp(Provider::Gcp.billing_zone().end_of(charge.day))
        }),
        column("project", project_type(), |charge, _| project(charge)),
        column("labels", pairs(), |_, _| list([])),
        column("system_labels", pairs(), |charge, _| system_labels(charge)),
        column("location", record(&["location", "country", "region", "zone"]), |charge, _| {
            location(charge)
        }),
        column(
            "tags",
            Type::records(vec![
                text("key"),
                text("value"),
                Field::new("inherited", Type::Bool),
                text("namespace"),
            ]),
            |_, _| list([]),
        ),
        column("transaction_type", Type::String, |_, _| Value::text("GOOGLE")),
        column("seller_name", Type::String, |_, _| Value::text("Google")),
        column("export_time", Type::Timestamp, |charge, _| Value::Timestamp(charge.published_at)),
        column("cost", Type::Float64, |charge, _| Value::exact_float(charge.billed)),
        column("currency", Type::String, |charge, _| Value::text(charge.currency.as_str())),
        column("currency_conversion_rate", Type::Float64, |charge, _| {
            Value::exact_float(charge.per_usd.unwrap_or(Decimal::ONE))
        }),
        column("usage", usage_type(), |charge, _| usage(charge)),
        column("credits", credits_type(), |charge, _| credits(charge)),
        column("invoice", record(&["month", "publisher_type"]), |charge, _| {
            let month = charge.invoice_period.to_string().replace('-', "");
            values([Value::text(&month), Value::text("GOOGLE")])
        }),
        column("cost_type", Type::String, |charge, _| Value::text(&charge.record_type)),
        column("adjustment_info", record(&["id", "description", "mode", "type"]), |charge, _| {
            adjustment(charge)
        }),
        column("cost_at_list", Type::Float64, |charge, _| Value::exact_float(charge.list)),
        column("price", price_type(), |charge, _| price(charge)),
        column("subscription", record(&["instance_id"]), |_, _| values([Value::Null])),
        column("consumption_model", record(&["id", "description"]), |_, _| {
            values([Value::text("7754-699E-0EBF"), Value::text("Default")])
        }),
    ];
    if detailed {
        columns.push(column("resource", record(&["name", "global_name"]), |charge, _| {
            resource(charge)
        }));
    }
    columns
}

fn project_type() -> Type {
    Type::record(vec![
        text("id"),
        text("number"),
        text("name"),
        Field::new("labels", pairs()),
        text("ancestry_numbers"),
        Field::new("ancestors", Type::records(vec![text("resource_name"), text("display_name")])),
    ])
}

/// The whole record is NULL in rows that belong to no project: tax, support, corrections.
fn project(charge: &Charge) -> Value {
    if charge.sub_account_id.is_empty() {
        return Value::Null;
    }
    let number = project_number(&charge.sub_account_id);
    let ancestor = |name: &str, shown: &str| values([Value::text(name), Value::text(shown)]);
    values([
        Value::text(&charge.sub_account_id),
        Value::text(&number),
        Value::text(&charge.sub_account_name),
        list([]),
        Value::text(&format!("/{ORGANIZATION}/")),
        list([
            ancestor(&format!("projects/{number}"), &charge.sub_account_name),
            ancestor(&format!("organizations/{ORGANIZATION}"), "example.com"),
        ]),
    ])
}

const ORGANIZATION: &str = "402190045217";

/// A stable number for a project: 12 digits made of its id.
pub(in crate::simulate::gcp) fn project_number(id: &str) -> String {
    let hash = id.bytes().fold(7_u64, |hash, byte| {
        hash.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(byte))
    });
    (100_000_000_000 + hash % 900_000_000_000).to_string()
}

fn system_labels(charge: &Charge) -> Value {
    list(charge.instance_type.iter().map(|machine| {
        values([Value::text("compute.googleapis.com/machine_spec"), Value::text(machine)])
    }))
}

fn location(charge: &Charge) -> Value {
    let region = charge.region_id.as_str();
    // A region has a dash (`us-central1`), a multi-region (`us`) and `global` have none.
    let is_region = region.contains('-');
    let country = match region.split('-').next() {
        Some("us") => "US",
        _ => "",
    };
    values([
        Value::text_or_null(region),
        Value::text_or_null(country),
        Value::text_or_null(if is_region { region } else { "" }),
        Value::Null,
    ])
}

fn usage_type() -> Type {
    Type::record(vec![
        Field::new("amount", Type::Float64),
        text("unit"),
        Field::new("amount_in_pricing_units", Type::Float64),
        text("pricing_unit"),
    ])
}

/// Usage in base units (seconds, byte-seconds) and in pricing units.
fn usage(charge: &Charge) -> Value {
    let (factor, unit) = base_unit(&charge.unit);
    let base = charge.quantity.checked_mul(factor).unwrap_or(charge.quantity);
    values([
        Value::exact_float(base),
        Value::text_or_null(unit),
        Value::exact_float(charge.quantity),
        Value::text_or_null(&charge.unit),
    ])
}

/// How many base units a pricing unit has, and the base unit's name.
pub(in crate::simulate::gcp) fn base_unit(unit: &str) -> (Decimal, &str) {
    const GIBIBYTE: i64 = 1 << 30;
    match unit {
        "hour" => (Decimal::from(3_600), "seconds"),
        "second" => (Decimal::ONE, "seconds"),
        "gibibyte" => (Decimal::from(GIBIBYTE), "bytes"),
        "tebibyte" => (Decimal::from(GIBIBYTE * 1_024), "bytes"),
        "gibibyte hour" => (Decimal::from(GIBIBYTE * 3_600), "byte-seconds"),
        "gibibyte month" => (Decimal::from(GIBIBYTE * 2_628_000), "byte-seconds"),
        other => (Decimal::ONE, other),
    }
}

fn credits_type() -> Type {
    Type::records(vec![
        text("name"),
        Field::new("amount", Type::Float64),
        text("full_name"),
        text("id"),
        text("type"),
    ])
}

fn credits(charge: &Charge) -> Value {
    list(charge.credits.iter().map(|(kind, name, amount)| {
        values([
            Value::text(name),
            Value::exact_float(*amount),
            Value::text(name),
            Value::text(name),
            Value::text(kind),
        ])
    }))
}

fn adjustment(charge: &Charge) -> Value {
    if charge.record_type != "adjustment" {
        return values([Value::Null, Value::Null, Value::Null, Value::Null]);
    }
    values([
        Value::text_or_null(&charge.sku_id),
        Value::text(&charge.sku),
        Value::text("COMPLETE_NEGATION_WITH_REMONETIZATION"),
        Value::text("GENERAL_ADJUSTMENT"),
    ])
}

fn price_type() -> Type {
    Type::record(vec![
        Field::new("effective_price", Type::Numeric),
        Field::new("tier_start_amount", Type::Numeric),
        text("unit"),
        Field::new("pricing_unit_quantity", Type::Numeric),
    ])
}

fn price(charge: &Charge) -> Value {
    let price = charge.billed.checked_div(charge.quantity);
    let numeric =
        |amount| Value::Numeric(crate::simulate::gcp::sql::value::to_numeric_scale(amount));
    values([
        price.map_or(Value::Null, numeric),
        Value::Numeric(Decimal::ZERO),
        Value::text_or_null(&charge.unit),
        Value::Numeric(Decimal::ONE),
    ])
}

/// Charges name no resource; machines get one name for each type, project and region.
fn resource(charge: &Charge) -> Value {
    let Some(machine) = &charge.instance_type else { return values([Value::Null, Value::Null]) };
    let name = format!("{machine}-pool-0");
    let global = format!(
        "//compute.googleapis.com/projects/{}/zones/{}-a/instances/{name}",
        project_number(&charge.sub_account_id),
        charge.region_id
    );
    values([Value::text(&name), Value::text(&global)])
}
