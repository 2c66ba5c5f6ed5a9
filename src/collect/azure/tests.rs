#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use serde_json::json;

use super::*;

fn source(entry: serde_json::Value) -> Box<dyn Source> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut problems = Problems::new();
    let source = (KIND.build)(&entry, "sources.azure[0]", &mut problems);
    assert!(problems.is_empty(), "{problems}");
    source.unwrap()
}

fn two_months() -> Window {
    Window::new(date(2026, 1, 1), date(2026, 3, 1))
}

#[test]
fn a_poll_of_two_months_fits_the_quota_of_an_hour() {
    let source = source(json!({"name": "a", "scope": "/subscriptions/1"}));
    let plan = source.plan(&two_months());
    let queries: u32 = plan
        .iter()
        .filter(|planned| planned.operation == "Query" && !planned.purpose.starts_with("names"))
        .map(|planned| planned.at_most)
        .sum();
    assert!(queries + 2 <= QPU_AN_HOUR, "{plan:#?}");
    assert!(plan.iter().all(|planned| planned.price.is_none()));
    assert!(plan[0].purpose.contains(&format!("{} at most of the 600", queries + 2)), "{plan:#?}");
}

#[test]
fn a_band_of_its_own_is_a_breakdown_and_is_planned() {
    let mut source = source(json!({"name": "a", "scope": "/subscriptions/1"}));
    let filter = [(Dimension::ServiceName, vec!["Storage".to_owned()])];
    source.add_filtered("band:storage", &filter).unwrap();
    assert!(source.add_filtered("band:storage", &filter).is_err());
    let added = source.descriptor().breakdowns.last().unwrap();
    assert_eq!((added.query.as_str(), added.role), ("band:storage", BreakdownRole::Filtered));
    assert!(source.plan(&two_months()).iter().any(|each| each.purpose.contains("band:storage")));
}

#[test]
fn the_primary_comes_first_and_defaults_are_azures() {
    let source = source(json!({"name": "a", "scope": "/subscriptions/1", "poll_every": "12h"}));
    let descriptor = source.descriptor();
    assert_eq!(descriptor.breakdowns[0].role, BreakdownRole::Primary);
    assert_eq!(descriptor.poll_every, Duration::from_secs(12 * 3600));
    assert_eq!(descriptor.deadline, Duration::from_secs(600));
    assert_eq!((descriptor.lag.as_hours(), descriptor.maximum_age.as_hours()), (48, 48));
    assert_eq!(descriptor.monthly_cap, None);
}

#[test]
fn the_schema_names_every_key_with_its_meaning() {
    let mut generator = SchemaGenerator::default();
    (KIND.schema)(&mut generator);
    let schema = serde_json::to_value(generator.definitions()).unwrap();
    let properties = schema["AzureSource"]["properties"].as_object().unwrap();
    for key in [
        "name",
        "scope",
        "cloud",
        "credentials",
        "endpoints",
        "method",
        "client_type",
        "poll_every",
        "lag",
    ] {
        assert!(properties.contains_key(key), "{key} is not in {schema:#}");
    }
}
