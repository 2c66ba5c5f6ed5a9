#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn settings(entry: serde_json::Value) -> Result<Settings, Vec<String>> {
    let entry: Entry = serde_json::from_value(entry).unwrap();
    let mut problems = Problems::new();
    let settings = Settings::of(&entry, "sources.azure[0]", &mut problems);
    settings.ok_or_else(|| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_least_entry_asks_the_public_cloud() {
    let settings = settings(json!({"name": "azure", "scope": "/subscriptions/1/"})).unwrap();
    assert_eq!(settings.scope, "/subscriptions/1");
    assert_eq!(settings.resource_manager.as_str(), "https://management.azure.com/");
    assert_eq!(settings.token_scope, "https://management.azure.com/.default");
    assert_eq!(settings.client_type, "costband");
}

#[test]
fn list_prices_are_asked_of_the_public_cloud_unless_they_are_not_wanted() {
    let asked = |change: serde_json::Value| {
        let mut entry = json!({"name": "azure", "scope": "/subscriptions/1"});
        entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        settings(entry).map(|settings| settings.retail_prices.map(|url| url.to_string()))
    };
    let public = Ok(Some("https://prices.azure.com/".to_owned()));
    assert_eq!(asked(json!({})), public);
    assert_eq!(asked(json!({"list_prices": false})), Ok(None));
    assert_eq!(asked(json!({"cloud": "china"})), Ok(None));
    let gateway = json!({"resource_manager": "https://arm.example"});
    assert_eq!(asked(json!({"endpoints": gateway})), Ok(None));
    let named = json!({"retail_prices": "http://prices.example"});
    assert_eq!(asked(json!({"endpoints": named})), Ok(Some("http://prices.example/".to_owned())));
    let wrong = asked(json!({"endpoints": {"retail_prices": "prices.example/api"}}));
    assert!(wrong.unwrap_err()[0].contains("endpoints.retail_prices"));
}

#[test]
fn sovereign_clouds_have_their_own_hosts_and_audience() {
    for (cloud, host, login) in [
        ("usgovernment", "management.usgovcloudapi.net", "login.microsoftonline.us"),
        ("china", "management.chinacloudapi.cn", "login.chinacloudapi.cn"),
    ] {
        let settings =
            settings(json!({"name": "a", "scope": "/subscriptions/1", "cloud": cloud})).unwrap();
        assert_eq!(settings.resource_manager.host_str(), Some(host));
        assert_eq!(settings.authority.host_str(), Some(login));
        assert_eq!(settings.token_scope, format!("https://{host}/.default"));
    }
}

#[test]
fn every_fault_of_an_entry_is_told_at_once_with_its_path() {
    let problems = settings(json!({
        "name": " ", "scope": "/subscriptions/../x", "client_type": "a b",
        "credentials": {"method": "client_secret", "client_secret": {}, "tenant_id": "a/b"},
        "endpoints": {"resource_manager": "management.azure.com", "authority": "http://login.example"},
    }))
    .unwrap_err();
    for path in [
        "name",
        "scope",
        "client_type",
        "credentials.client_id",
        "credentials.client_secret",
        "credentials.tenant_id",
        "endpoints.resource_manager",
        "endpoints.authority",
    ] {
        let start = format!("`sources.azure[0].{path}`");
        assert!(problems.iter().any(|text| text.starts_with(&start)), "{path}: {problems:#?}");
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn a_client_secret_goes_to_https_or_a_loopback_address_only() {
    for (authority, good) in [
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost:8080", true),
        ("https://login.example", true),
        ("http://10.0.0.1", false),
        ("http://127.0.0.1.example.com", false),
    ] {
        let entry = json!({
            "name": "a", "scope": "/subscriptions/1", "endpoints": {"authority": authority},
        });
        assert_eq!(settings(entry).is_ok(), good, "{authority}");
    }
}

#[test]
fn only_scopes_of_cost_management_are_taken() {
    let account = "/providers/Microsoft.Billing/billingAccounts";
    for (text, good) in [
        ("/subscriptions/00000000-0000-0000-0000-000000000001".to_owned(), true),
        ("/providers/microsoft.management/managementgroups/root".to_owned(), true),
        (format!("{account}/1234567"), true),
        (format!("{account}/a-b:c-d_2019-05-31/billingProfiles/X"), true),
        (format!("{account}/1/invoices/2"), false),
        ("subscriptions/1".to_owned(), false),
        ("/subscriptions".to_owned(), false),
        ("/subscriptions/1?x=y".to_owned(), false),
        ("/subscriptions/..".to_owned(), false),
        ("https://management.azure.com/subscriptions/1".to_owned(), false),
    ] {
        assert_eq!(scope(&text).is_ok(), good, "{text}");
    }
}

#[test]
fn an_enrolment_is_told_from_other_billing_accounts() {
    let of = |id: &str| {
        settings(json!({
            "name": "a", "scope": format!("/providers/Microsoft.Billing/billingAccounts/{id}"),
        }))
        .unwrap()
    };
    assert_eq!(of("1234567").enrollment(), Some("1234567"));
    assert_eq!(of("a-b:c_2019-05-31").enrollment(), None);
    assert!(of("a-b:c_2019-05-31").is_modern_agreement());
    assert!(!of("1234567").is_modern_agreement());
}
