//! What became of alerts that nothing is said of.

use super::*;

const GONE: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::Cleared);
const SETTLED: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::Settled);
const FINAL: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::PeriodFinal);
const NOT_CONFIGURED: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::NotConfigured);

fn of_band(name: &str, month: &str) -> AlertKey {
    AlertKey::new(AlertRule::CeilingForecast).of(Subject::Band, name).within(period(month))
}

#[test]
fn an_alert_of_a_band_ends_with_its_period_its_band_or_its_rule() {
    let mut world = World::with(band());
    assert_eq!(world.absent(&of_band("main", "2026-11")).0, Verdict::Unknown);
    assert_eq!(world.absent(&of_band("main", "2026-10")).0, Verdict::Unknown, "not judged yet");
    assert_eq!(world.absent(&of_band("main", "2026-09")), FINAL);
    assert_eq!(world.absent(&of_band("other", "2026-11")), NOT_CONFIGURED);
    world.policies.ceiling_forecast.usual.enabled = false;
    assert_eq!(world.absent(&of_band("main", "2026-11")), NOT_CONFIGURED);
}

#[test]
fn an_anomaly_that_is_listed_no_more_is_gone_once_series_were_read() {
    let key = source_key(AlertRule::SpendAnomaly, &SourceId::new("aws"), Provider::Aws)
        .of(Subject::FirstDay, "2026-11-02")
        .within(period("2026-11"));
    let mut world = World::new();
    assert_eq!(world.absent(&key).0, Verdict::Unknown, "nothing was read yet");
    world.trends = Some(Vec::new());
    assert_eq!(world.absent(&key).0, Verdict::Unknown, "its source was not read");
    world.trends = Some(vec![SourceTrends {
        source: SourceId::new("aws"),
        period: period("2026-11"),
        trends: Vec::new(),
        change: None,
        bands: Vec::new(),
    }]);
    assert_eq!(world.absent(&key), GONE);
    let moved = source_key(AlertRule::Restatement, &SourceId::new("aws"), Provider::Aws)
        .within(period("2026-09"));
    assert_eq!(world.absent(&moved), SETTLED, "what moved stays so");
    world.sources.clear();
    assert_eq!(world.absent(&key), NOT_CONFIGURED);
}

#[test]
fn a_cap_ends_with_its_month_and_without_its_configuration() {
    let key = |month| {
        source_key(AlertRule::CapNearlySpent, &SourceId::new("aws"), Provider::Aws)
            .within(period(month))
    };
    assert_eq!(World::new().absent(&key("2026-10")), FINAL);
    assert_eq!(World::new().absent(&key("2026-11")), NOT_CONFIGURED);
}

#[test]
fn a_receiver_that_is_not_configured_fails_no_more() {
    let key = AlertKey::new(AlertRule::ReceiverFailing).of(Subject::Receiver, "gone");
    assert_eq!(World::new().absent(&key), NOT_CONFIGURED);
}

#[test]
fn idle_money_is_gone_once_its_days_cost_nothing() {
    let key = AlertKey::new(AlertRule::GpuIdleMoney).of(Subject::Cluster, "train");
    assert_eq!(World::new().absent(&key).0, Verdict::Unknown);
}
