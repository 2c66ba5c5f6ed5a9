use super::*;
use crate::domain::money::Currency;

fn band(name: &str) -> AlertKey {
    AlertKey::new(AlertRule::PaceFast).of(Subject::Band, name)
}

fn entry(bands: &[&str], receivers: Option<&[&str]>) -> (AlertScope, Policy<PaceFast>) {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let policy = Policy { receivers: receivers.map(words), ..Policy::usual(AlertRule::PaceFast) };
    (AlertScope { bands: words(bands), ..AlertScope::default() }, policy)
}

#[test]
fn the_first_entry_that_admits_an_alert_is_its_policy() {
    let mut policies = AlertPolicies::default();
    policies.pace_fast.entries = vec![entry(&["a"], Some(&["one"])), entry(&[], Some(&["two"]))];
    policies.band_receivers.insert("a".to_owned(), "own".to_owned());
    let told = |name| policies.routing(&band(name)).receivers;
    assert_eq!(told("a"), Some(vec!["one".to_owned()]));
    assert_eq!(told("b"), Some(vec!["two".to_owned()]));
}

#[test]
fn a_band_tells_its_own_receiver_where_the_rule_names_none() {
    let mut policies = AlertPolicies::default();
    policies.band_receivers.insert("a".to_owned(), "own".to_owned());
    assert_eq!(policies.routing(&band("a")).receivers, Some(vec!["own".to_owned()]));
    assert_eq!(policies.routing(&band("b")).receivers, None);
    assert_eq!(policies.routing(&band("b")).repeat_after, SignedDuration::from_hours(24));
    let once = AlertKey::new(AlertRule::SpendAnomaly);
    assert_eq!(policies.routing(&once).repeat_after, SignedDuration::ZERO);
}

#[test]
fn a_scope_of_something_admits_nothing_whose_value_is_not_known() {
    let (scope, _) = entry(&["a"], None);
    assert!(scope.admits(&band("a")));
    assert!(!scope.admits(&band("b")));
    assert!(!scope.admits(&AlertKey::new(AlertRule::PaceFast)));
    assert!(AlertScope::default().admits(&AlertKey::new(AlertRule::PaceFast)));
}

#[test]
fn a_workload_is_named_by_its_namespace_or_in_full() {
    let key = AlertKey::new(AlertRule::GpuUnderFed)
        .of(Subject::WorkloadNamespace, "team")
        .of(Subject::WorkloadName, "llm")
        .of(Subject::Currency, Currency::USD.as_str());
    for (wanted, is_in) in
        [("team", true), ("team/llm", true), ("team/other", false), ("llm", false)]
    {
        let scope = AlertScope { workloads: vec![wanted.to_owned()], ..AlertScope::default() };
        assert_eq!(scope.admits(&key), is_in, "{wanted}");
    }
}

#[test]
fn two_rules_are_off_by_default_and_only_those() {
    let policies = AlertPolicies::default();
    let off: Vec<AlertRule> = AlertRule::ALL
        .iter()
        .copied()
        .filter(|rule| !policies.is_on(&AlertKey::new(*rule)))
        .collect();
    assert_eq!(off, [AlertRule::FloorForecast, AlertRule::ClusterBelowTier]);
}
