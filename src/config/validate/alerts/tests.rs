use std::time::Duration;

use crate::config::GpuFrom;
use crate::config::address::Address;
use crate::config::validate::alerts::*;
use crate::domain::identity::SourceId;
use crate::domain::price::CapacityType;

fn dcgm() -> GpuSource {
    GpuSource {
        name: SourceId::new("dcgm"),
        from: GpuFrom::Page("http://127.0.0.1:9400/metrics".parse::<Address>().unwrap()),
        provider: None,
        cluster: "video".to_owned(),
        instance_type: None,
        region_id: None,
        capacity_type: CapacityType::Unknown,
        every: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
    }
}

fn read(text: &str) -> (AlertPolicies, Vec<String>) {
    let receivers = Known { names: vec!["chat", "pager"], complete: true };
    let names = Names { bands: &[], sources: &[], gpu: &[dcgm()], receivers: &receivers };
    let file: AlertsFile = serde_json::from_str(text).unwrap();
    let mut findings = Findings::default();
    let policies = alerts(Some(&file), &names, &mut findings);
    let told = findings.problems.iter().map(|problem| problem.to_string()).collect();
    (policies, told)
}

#[test]
fn what_is_written_stands_over_the_defaults_and_nothing_else_moves() {
    let (policies, problems) = read(
        r#"{"pace_fast": [{"severity": "info", "three_days": 1.8, "fires_after_days": 3}],
            "billing_data_late": [{"providers": ["aws"], "late_after": "12h", "clears_after": "1h"}]}"#,
    );
    assert_eq!(problems, Vec::<String>::new());
    let usual = AlertPolicies::default();
    let (scope, pace) = &policies.pace_fast.entries[0];
    assert_eq!(*scope, AlertScope::default());
    assert_eq!((pace.severity, pace.fires_after), (Severity::Info, Patience::Days(3)));
    assert_eq!((pace.thresholds.one_day, pace.thresholds.three_days), (2.0, 1.8));
    assert_eq!(pace.clears_after, usual.pace_fast.usual.clears_after);
    let (scope, late) = &policies.billing_data_late.entries[0];
    assert_eq!(scope.providers, ["aws"]);
    assert_eq!(late.clears_after, Patience::Time(SignedDuration::from_hours(1)));
    assert_eq!(late.thresholds.critical_after, SignedDuration::from_hours(72));
    assert_eq!(policies.ceiling_forecast, usual.ceiling_forecast);
}

#[test]
fn an_entry_turns_on_what_is_off_by_default() {
    let (policies, _) = read(r#"{"floor_forecast": [{}]}"#);
    assert!(policies.floor_forecast.entries[0].1.enabled);
    assert!(policies.cluster_below_tier.entries.is_empty());
    assert!(!policies.cluster_below_tier.usual.enabled);
}

#[test]
fn every_problem_is_told_with_its_path() {
    let (_, problems) = read(
        r#"{"ceiling_forecast": [{"probability": 1.2, "receivers": ["pagr"]}, {"bands": ["x"]}],
            "pace_fast": [{"one_day": 2, "clear_below": 3}],
            "gpu_idle_money": [{"share": 0, "least_cost": -1}],
            "gpu_under_fed": [{"workloads": ["a"], "clusters": ["b"]}],
            "billing_data_late": [{"late_after": "100h"}],
            "restatement": [{"told_for": "15d"}],
            "source_failing": [{"sources": ["aws"], "fires_after": "91d"}],
            "receiver_failing": [{"receivers": []}]}"#,
    );
    let paths: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem.split(['`', ':']).find(|part| part.starts_with("alerts")))
        .collect();
    assert_eq!(
        paths,
        [
            "alerts.ceiling_forecast[0].receivers",
            "alerts.ceiling_forecast[0].probability",
            "alerts.ceiling_forecast[1]",
            "alerts.ceiling_forecast[1].bands",
            "alerts.pace_fast[0].clear_below",
            "alerts.gpu_idle_money[0].share",
            "alerts.gpu_idle_money[0].least_cost",
            "alerts.gpu_under_fed[0].workloads",
            "alerts.billing_data_late[0].critical_after",
            "alerts.source_failing[0].sources",
            "alerts.source_failing[0].fires_after",
            "alerts.restatement[0].told_for",
            "alerts.receiver_failing[0].receivers",
        ]
    );
    assert!(problems[0].contains("`pager`"), "{}", problems[0]);
}

#[test]
fn telemetry_is_a_source_of_the_one_rule_that_looks_at_it() {
    let (policies, problems) = read(
        r#"{"source_failing": [{"sources": ["dcgm"], "severity": "critical"}],
            "identity_wrong": [{"sources": ["dcgm"]}]}"#,
    );
    assert_eq!(policies.source_failing.entries[0].0.sources, ["dcgm"]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("alerts.identity_wrong[0].sources"), "{}", problems[0]);
}
