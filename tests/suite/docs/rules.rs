//! Prometheus' rules, held against the agent's: each has its alert there, and each alert its cases.

use std::collections::{BTreeMap, BTreeSet};

use costband::domain::alert::AlertRule;

use super::{files, read};

/// What only Prometheus can tell: of an agent that is gone or does not act.
const OF_PROMETHEUS_ALONE: [&str; 7] = [
    "CostbandAbsent",
    "CostbandScrapeFailing",
    "CostbandNobodyLeads",
    "CostbandConfigurationRefused",
    "CostbandMessageDropped",
    "CostbandGpuTelemetryFailing",
    "CostbandHeartbeat",
];

/// The names of alerts in a file of rules or of their tests, and what follows each.
fn alerts<'a>(text: &'a str, key: &str) -> Vec<(&'a str, &'a str)> {
    let marker = format!("{key}: Costband");
    let starts: Vec<usize> =
        text.match_indices(&marker).map(|(at, _)| at + key.len() + 2).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let parts = starts.iter().zip(ends).map(|(start, end)| text[*start..end].split_once('\n'));
    parts.flatten().collect()
}

fn alert_of(rule: AlertRule) -> String {
    let words = rule.as_str().split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    format!("Costband{}", words.collect::<String>())
}

/// Each file of rules: its name, its text and its tests.
fn rules() -> Vec<(String, String, String)> {
    let names = files("dashboards/rules").into_iter().filter(|path| !path.contains("/tests/"));
    let named = names.map(|path| {
        let stem = path.trim_end_matches(".yaml").replace("rules/", "rules/tests/");
        let tests =
            files("dashboards/rules/tests").into_iter().filter(|test| test.starts_with(&stem));
        (path.clone(), read(&path), tests.map(|test| read(&test)).collect())
    });
    named.collect()
}

#[test]
fn every_rule_of_the_agent_is_one_of_prometheus() {
    let wanted: BTreeSet<String> = AlertRule::ALL.iter().map(|rule| alert_of(*rule)).collect();
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text, _) in rules() {
        for (name, _) in alerts(&text, "alert") {
            places.entry(name.to_owned()).or_default().insert(path.clone());
        }
    }
    for (name, paths) in &places {
        assert_eq!(paths.len(), 1, "{name} stands in {paths:?}");
    }
    let mut found: BTreeSet<String> = places.into_keys().collect();
    for name in OF_PROMETHEUS_ALONE {
        assert!(found.remove(name), "there is no {name}");
    }
    assert_eq!(found, wanted);
}

#[test]
fn what_the_agent_alone_can_judge_comes_from_its_count() {
    for (path, text, _) in rules() {
        let named = text
            .match_indices("{alert=\"")
            .map(|(at, before)| text[at + before.len()..].split('"').next().unwrap_or_default());
        for word in named {
            assert!(AlertRule::ALL.iter().any(|rule| rule.as_str() == word), "{path}: `{word}`");
        }
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    for (path, text, tests) in rules() {
        let cases = alerts(&tests, "alertname");
        for (name, _) in alerts(&text, "alert") {
            let fires = |wanted: bool| {
                cases.iter().any(|(case, rest)| {
                    let first = rest.lines().next().unwrap_or_default().trim();
                    *case == name && (first == "exp_alerts:") == wanted
                })
            };
            assert!(fires(true), "{path}: {name} is never seen to fire");
            assert!(fires(false), "{path}: {name} is never seen to be silent");
        }
    }
}
