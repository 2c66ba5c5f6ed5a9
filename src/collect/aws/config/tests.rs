#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn problems_of(entry: serde_json::Value) -> Vec<String> {
    let mut problems = Problems::new();
    let settings = parse(&entry, "sources.aws[0]", &mut problems);
    assert_eq!(settings.is_none(), !problems.is_empty());
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn short_entry_has_the_documented_defaults() {
    let mut problems = Problems::new();
    let entry = json!({"name": "main", "account": "012345678901"});
    let settings = parse(&entry, "sources.aws[0]", &mut problems).unwrap();
    assert_eq!(settings.region, "us-east-1");
    assert_eq!(settings.poll_every, Span::hours(8));
    assert_eq!(settings.deadline, Span::seconds(600));
    assert_eq!(settings.lag, Span::hours(48));
    assert_eq!(settings.maximum_age, Span::hours(48));
    assert_eq!(settings.monthly_cap, "30 USD".parse().unwrap());
    assert!(settings.gpu_families.contains(&"p5en".to_owned()));
}

#[test]
fn list_prices_are_asked_in_the_regions_that_have_them() {
    let asked = |change: serde_json::Value| {
        let mut entry = json!({"name": "main", "account": "012345678901"});
        entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let settings = parse(&entry, "sources.aws[0]", &mut Problems::new()).unwrap();
        settings.price_list_region()
    };
    for (region, wanted) in [
        ("us-west-2", Some("us-east-1")),
        ("eu-west-1", Some("eu-central-1")),
        ("ap-northeast-2", Some("ap-south-1")),
        ("cn-north-1", Some("cn-northwest-1")),
        ("us-gov-west-1", None),
        ("eusc-de-east-1", None),
        ("us-iso-east-1", None),
    ] {
        assert_eq!(asked(json!({"region": region})), wanted, "{region}");
    }
    assert_eq!(asked(json!({"list_prices": false})), None);
    let elsewhere = "https://ce.internal.example";
    assert_eq!(asked(json!({"endpoints": {"cost_explorer": elsewhere}})), None);
    let both = json!({"endpoints": {"cost_explorer": elsewhere, "price_list": elsewhere}});
    assert_eq!(asked(both), Some("us-east-1"));
}

#[test]
fn every_problem_is_told_at_once_with_its_path() {
    let told = problems_of(json!({
        "name": "main",
        "account": "12345678901",
        "credentials": {
            "profile": "billing",
            "static": {"access_key_id": "AKIA", "secret_access_key": {}},
            "assume_role": {"role_arn": "costband"},
        },
        "endpoints": {"cost_explorer": "ce.internal"},
        "gpu_families": ["P5"],
        "poll_every": "0s",
        "monthly_cap": "30 EUR",
    }));
    let paths: Vec<&str> = told.iter().map(|problem| problem.split('`').nth(1).unwrap()).collect();
    assert_eq!(
        paths,
        [
            "sources.aws[0].account",
            "sources.aws[0].credentials",
            "sources.aws[0].credentials.static.secret_access_key",
            "sources.aws[0].credentials.assume_role.role_arn",
            "sources.aws[0].endpoints.cost_explorer",
            "sources.aws[0].gpu_families[0]",
            "sources.aws[0].poll_every",
            "sources.aws[0].monthly_cap",
        ],
        "{told:#?}"
    );
}

#[test]
fn role_of_another_account_is_refused_before_any_request() {
    let told = problems_of(json!({
        "name": "main",
        "account": "111111111111",
        "credentials": {
            "assume_role": {"role_arn": "arn:aws:iam::222222222222:role/costband"},
        },
    }));
    assert!(told[0].contains("`222222222222`") && told[0].contains("`111111111111`"));
}

#[test]
fn secret_written_in_the_wrong_place_is_not_repeated() {
    let told = problems_of(json!({
        "name": "main",
        "account": "111111111111",
        "credentials": {"static": {
            "access_key_id": "AKIA", "secret_access_key": "wJalrXUtnFEMI",
        }},
    }));
    assert!(!told[0].contains("wJalrXUtnFEMI"), "{told:?}");
}

#[test]
fn partition_of_the_region_decides_where_the_bill_is() {
    for (region, billing) in [
        ("eu-west-1", "us-east-1"),
        ("us-gov-east-1", "us-gov-west-1"),
        ("cn-north-1", "cn-northwest-1"),
        ("eusc-de-east-1", "eusc-de-east-1"),
    ] {
        let entry = json!({"name": "main", "account": "111111111111", "region": region});
        let settings = parse(&entry, "", &mut Problems::new()).unwrap();
        assert_eq!(settings.billing_region(), billing);
    }
}

#[test]
fn schema_describes_the_entry_and_its_cadence() {
    let schema = schemars::schema_for!(AwsEntry);
    let properties = schema.get("properties").unwrap();
    for key in ["account", "credentials", "gpu_families", "poll_every", "monthly_cap"] {
        let described = properties.get(key).and_then(|property| property.get("description"));
        assert!(described.is_some(), "`{key}` is not described");
    }
}
