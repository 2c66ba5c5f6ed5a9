#![allow(clippy::unwrap_used)]

use jiff::civil::date;
use rust_decimal::Decimal;

use super::*;

fn question(name: &str) -> Question {
    Question::standard().into_iter().find(|question| question.query == name).unwrap()
}

fn lines(question: &Question, page: &str) -> Result<Vec<Line>, SourceError> {
    let page = Page::parse(page.as_bytes())?;
    let columns = Columns::of(&page, question)?;
    page.properties.rows.iter().map(|row| columns.line(row, question)).collect()
}

#[test]
fn the_body_is_the_documented_one() {
    let body = body(
        &question("service_sub_account"),
        Window::new(date(2026, 2, 1), date(2026, 3, 1)),
        CostType::Amortized,
    );
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
        json!({
            "type": "AmortizedCost",
            "timeframe": "Custom",
            "timePeriod": {"from": "2026-02-01T00:00:00Z", "to": "2026-02-28T23:59:59Z"},
            "dataset": {
                "granularity": "Daily",
                "aggregation": {
                    "totalCost": {"name": "Cost", "function": "Sum"},
                    "second": {"name": "CostUSD", "function": "Sum"},
                },
                "grouping": [
                    {"type": "Dimension", "name": "ServiceName"},
                    {"type": "Dimension", "name": "SubscriptionId"},
                ],
                "filter": {"dimensions": {"name": "ChargeType", "operator": "In", "values": [
                    "Purchase", "RoundingAdjustment", "UnusedReservation", "UnusedSavingsPlan", "Usage",
                ]}},
            },
        })
    );
}

#[test]
fn several_filters_are_joined_and_none_is_left_out() {
    let window = Window::new(date(2026, 2, 1), date(2026, 2, 2));
    let parse = |name: &str| {
        let body = body(&question(name), window, CostType::Actual);
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let gpu = parse("gpu_meter");
    let and = gpu["dataset"]["filter"]["and"].as_array().unwrap();
    assert_eq!(and.len(), 2);
    assert_eq!(gpu["dataset"]["aggregation"]["second"]["name"], "UsageQuantity");
    assert!(parse("charge_type")["dataset"].get("filter").is_none());
}

#[test]
fn columns_are_found_by_name_wherever_they_stand() {
    let page = r#"{"properties": {"nextLink": null,
        "columns": [{"name":"currency","type":"String"},{"name":"ServiceName","type":"String"},
            {"name":"UsageDate","type":"Number"},{"name":"SubscriptionId","type":"String"},
            {"name":"CostUSD","type":"Number"},{"name":"Cost","type":"Number"},{"name":"Extra","type":"String"}],
        "rows": [["EUR","Virtual Machines",20260102,null,1e-7,173.41000000000001,"x"]]}}"#;
    let lines = lines(&question("service_sub_account"), page).unwrap();
    assert_eq!(
        lines,
        [Line {
            day: date(2026, 1, 2),
            keys: vec!["Virtual Machines".to_owned(), String::new()],
            category: ChargeCategory::Usage,
            currency: "EUR".parse().unwrap(),
            cost: "173.41000000000001".parse().unwrap(),
            cost_usd: Some("0.0000001".parse().unwrap()),
            quantity: None,
        }]
    );
}

#[test]
fn charge_types_become_categories() {
    let page = r#"{"properties": {"columns": [{"name":"Cost"},{"name":"CostUSD"},{"name":"UsageDate"},
        {"name":"ChargeType"},{"name":"Currency"}], "rows": [
        [1,null,20260101,"UnusedReservation","USD"],[2,2,20260101,"Refund","USD"]]}}"#;
    let lines = lines(&question("charge_type"), page).unwrap();
    let told: Vec<_> =
        lines.iter().map(|line| (line.category, line.keys[0].as_str(), line.cost_usd)).collect();
    assert_eq!(
        told,
        [
            (ChargeCategory::Usage, "usage", None),
            (ChargeCategory::Adjustment, "adjustment", Some(Decimal::TWO)),
        ]
    );
}

#[test]
fn what_is_not_a_page_is_malformed_and_says_why() {
    let columns =
        r#"[{"name":"Cost"},{"name":"CostUSD"},{"name":"UsageDate"},{"name":"Currency"}]"#;
    let page = |rows: &str| format!(r#"{{"properties":{{"columns":{columns},"rows":{rows}}}}}"#);
    for (text, reason) in [
        ("<html></html>".to_owned(), "not JSON"),
        (r#"{"properties":{"columns":[{"na"#.to_owned(), "ends too early"),
        (r#"{"error":{"code":"x"}}"#.to_owned(), "missing"),
        (r#"{"properties":{"columns":[{"name":"Cost"}],"rows":[]}}"#.to_owned(), "`UsageDate`"),
        (page(r#"[[1,1,20260101]]"#), "shorter"),
        (page(r#"[["1",1,20260101,"USD"]]"#), "`Cost`"),
        (page(r#"[[null,1,20260101,"USD"]]"#), "`Cost`"),
        (page(r#"[[1,1,20261301,"USD"]]"#), "`UsageDate`"),
        (page(r#"[[1,1,20260101,"US"]]"#), "`Currency`"),
    ] {
        let error = lines(&question("control"), &text).unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Malformed);
        assert!(error.message.contains(reason), "{}", error.message);
    }
}
