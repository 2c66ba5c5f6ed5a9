//! The example of alerts says what a file without them means.

use std::collections::BTreeMap;

use costband::app::setup::Setup;
use costband::domain::alert::AlertRule;
use costband::domain::alert_policy::{AlertPolicies, AlertScope};

fn policies(text: &str) -> AlertPolicies {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let environment = BTreeMap::<String, String>::new().into_iter();
    Setup::from_text(text, environment)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .config
        .alerts
        .as_ref()
        .clone()
}

fn example() -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join("examples/alerts.yaml")).unwrap()
}

#[test]
fn the_example_of_alerts_shows_every_rule_with_its_defaults() {
    let (shown, usual) = (policies(&example()), AlertPolicies::default());
    let mut seen = 0;
    macro_rules! hold {
        ($($rule:ident),*) => {$(
            let [(scope, policy)] = shown.$rule.entries.as_slice() else {
                panic!("`{}` stands in the example once", stringify!($rule));
            };
            assert_eq!(*scope, AlertScope::default(), stringify!($rule));
            assert_eq!(*policy, usual.$rule.usual, stringify!($rule));
            seen += 1;
        )*};
    }
    hold!(
        ceiling_exceeded,
        ceiling_forecast,
        pace_fast,
        pace_slow,
        floor_forecast,
        spend_anomaly,
        level_shift,
        new_service,
        new_region,
        gpu_idle_money,
        gpu_under_fed,
        cluster_below_tier,
        reservation_not_running,
        billing_data_late,
        source_failing,
        identity_wrong,
        restatement,
        reconciliation_difference,
        cap_nearly_spent,
        forecast_off,
        receiver_failing,
        ledger_failing
    );
    assert_eq!(seen, AlertRule::ALL.len());
}

#[test]
fn a_file_without_alerts_has_every_default() {
    let text = example();
    let (before, _) = text.split_once("\nalerts:").unwrap();
    let bare = policies(before);
    let bands = bare.bands.clone();
    assert!(bands.contains("aws"), "{bands:?}");
    assert_eq!(bare, AlertPolicies { bands, ..AlertPolicies::default() });
}

#[test]
fn every_rule_stands_in_the_table_of_alerts() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/alerts.md")).unwrap();
    for rule in AlertRule::ALL {
        assert!(text.contains(&format!("| `{rule}` |")), "docs/alerts.md has no row of `{rule}`");
    }
}
