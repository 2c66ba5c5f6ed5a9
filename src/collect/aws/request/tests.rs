#![allow(clippy::unwrap_used)]

use jiff::civil::date;

use super::*;

fn source() -> SourceId {
    SourceId::new("main")
}

fn families() -> Vec<String> {
    vec!["p5".to_owned(), "p6-*".to_owned()]
}

#[test]
fn spend_is_filtered_by_what_it_leaves_out() {
    let queries = standard(&source(), &families());
    let filter = |name: &str| {
        queries.iter().find(|query| query.name() == name).unwrap().breakdown.filter.clone()
    };
    let spend = r#"RECORD_TYPE not in ["Credit", "Refund", "Tax"]"#;
    assert_eq!(filter("service_sub_account"), spend);
    assert_eq!(filter("control_total"), spend);
    assert_eq!(filter("region"), spend);
    assert_eq!(filter("record_type"), "");
    assert_eq!(
        filter("gpu_instance_type"),
        format!(r#"{spend} and SERVICE in ["{EC2}"] and INSTANCE_TYPE family in ["p5", "p6-*"]"#)
    );
}

#[test]
fn exactly_one_breakdown_is_primary() {
    let queries = standard(&source(), &families());
    let primaries = queries.iter().filter(|query| query.breakdown.role == BreakdownRole::Primary);
    assert_eq!(primaries.count(), 1);
    assert!(queries[0].breakdown.role == BreakdownRole::Primary && queries[1].control);
}

#[test]
fn families_match_whole_names_and_every_size() {
    let families = families();
    for kept in ["p5.48xlarge", "p5.4xlarge", "p6-b200.48xlarge"] {
        assert!(is_of_family(kept, &families), "{kept}");
    }
    for dropped in ["p5en.48xlarge", "p4d.24xlarge", "m5.large", "NoInstanceType", "p5", ""] {
        assert!(!is_of_family(dropped, &families), "{dropped}");
    }
}

#[test]
fn no_families_is_no_request() {
    assert_eq!(standard(&source(), &[]).len(), 4);
}

#[test]
fn band_filter_is_canonical_whatever_its_order() {
    let of = |values: [&str; 2]| {
        let values = values.map(str::to_owned).to_vec();
        filtered(&source(), "band:x", &[(Dimension::RegionId, values)]).unwrap().breakdown
    };
    assert_eq!(of(["us-east-1", "eu-west-1"]), of(["eu-west-1", "us-east-1"]));
    assert_eq!(of(["us-east-1", ""]).dimensions, []);
    assert!(of(["us-east-1", ""]).filter.contains("NoRegion"));
}

#[test]
fn scope_that_cost_explorer_cannot_answer_is_refused_with_the_reason() {
    let refused = |dimension, value: &str| {
        filtered(&source(), "band:x", &[(dimension, vec![value.to_owned()])]).unwrap_err()
    };
    assert!(refused(Dimension::Sku, "a").contains("`sku`"));
    assert!(refused(Dimension::ChargeCategory, "tax").contains("`counts`"));
    assert!(refused(Dimension::ChargeCategory, "taxes").contains("`taxes`"));
    assert!(refused(Dimension::SubAccountId, "prod").contains("`prod`"));
    assert!(filtered(&source(), "band:x", &[]).is_err());
    assert!(filtered(&source(), "band:x", &[(Dimension::RegionId, vec![])]).is_err());
}

#[test]
fn usage_and_purchase_together_are_all_of_spend() {
    let of = |values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let filters = [(Dimension::ChargeCategory, values)];
        filtered(&source(), "band:x", &filters).unwrap().breakdown.filter
    };
    assert_eq!(of(&["usage", "purchase"]), r#"RECORD_TYPE not in ["Credit", "Refund", "Tax"]"#);
    assert!(of(&["purchase"]).contains(r#"and RECORD_TYPE in ["Fee""#));
    assert!(of(&["usage"]).contains(r#"and RECORD_TYPE not in ["Fee""#));
}

#[test]
fn plan_grows_with_the_days_of_the_window() {
    let queries = standard(&source(), &families());
    let month = Window::new(date(2026, 10, 1), date(2026, 11, 1));
    let pages: Vec<u32> = queries.iter().map(|query| query.planned(&month).at_most).collect();
    assert_eq!(pages, [7, 1, 1, 1, 2]);
    let day = Window::new(date(2026, 10, 1), date(2026, 10, 2));
    assert!(queries.iter().all(|query| query.planned(&day).at_most == 1));
    assert_eq!(queries[0].planned(&day).purpose, "service_name x sub_account_id");
    assert_eq!(queries[0].planned(&day).price, Some("0.01 USD".parse().unwrap()));
}
