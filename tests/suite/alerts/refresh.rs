//! What fires is told again to receivers that forget, also while the ledger cannot be read.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use costband::app::ledger::OutboxPort;
use costband::domain::alert::{
    AlertDetails, AlertId, AlertKey, AlertPhase, AlertRule, AlertState, Counted, Severity, Subject,
    Told,
};
use costband::domain::alerting::Alerting;
use costband::domain::notice::{AlertChange, AlertNotice, Notice};
use costband::notify::{DeliveryError, Receiver};
use costband::outbox::Outbox;
use costband::store::{Ledger, LedgerHandle};
use costband::telemetry::self_metrics::SelfMetrics;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::SetClock;
use crate::faces::peers::until;

/// Notes what it is told again.
#[derive(Default)]
struct Forgetful(Mutex<Vec<Vec<AlertId>>>);

impl Forgetful {
    fn times(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Receiver for Forgetful {
    fn name(&self) -> &str {
        "forgetful"
    }

    async fn deliver(&self, _: &str, _: &Notice, _: Timestamp) -> Result<(), DeliveryError> {
        Ok(())
    }

    fn refresh_every(&self) -> Option<Duration> {
        Some(Duration::from_millis(10))
    }

    async fn refresh(&self, firing: &[AlertNotice], _: Timestamp) -> Result<(), DeliveryError> {
        let told = firing.iter().map(|alert| alert.id.clone()).collect();
        self.0.lock().unwrap().push(told);
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_of_the_ledger_ends_no_alert_of_a_receiver_that_forgets() {
    let clock = SetClock::at("2026-11-20T12:00:00Z");
    let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let told = Told { at, times: 1, severity: Severity::Warning, dropped: false };
    let state = AlertState {
        key: AlertKey::new(AlertRule::PaceFast).of(Subject::Band, "aws"),
        phase: AlertPhase::Firing,
        since: at,
        fired_at: Some(at),
        ended_at: None,
        end: None,
        counted: Counted::default(),
        details: AlertDetails::new(Severity::Warning),
        told: [("forgetful".to_owned(), told)].into_iter().collect(),
        acknowledged: None,
    };
    let fires = state.key.id();
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(folder.path().join("refresh.db").as_path()).unwrap();
    let kept = AlertChange::Kept { state: Box::new(state), event: None };
    ledger.change_alerts(&[kept], &[], at).unwrap();
    let handle = LedgerHandle::spawn(ledger).unwrap();
    let receiver = Arc::new(Forgetful::default());
    let (_bell, rung) = watch::channel(0);
    let outbox = Outbox {
        ledger: Arc::new(OutboxPort { ledger: handle.clone(), alerting: Alerting::Agent }),
        receivers: [("forgetful".to_owned(), receiver.clone() as Arc<dyn Receiver>)]
            .into_iter()
            .collect(),
        clock,
        metrics: SelfMetrics::new(),
        bell: rung,
    };
    let running = tokio::spawn(outbox.run_until(std::future::pending()));
    until("the first telling", async || (receiver.times() > 0).then_some(())).await;
    handle.close().await.unwrap();
    let before = receiver.times();
    // One may have been under way.
    until("more of them", async || (receiver.times() > before + 2).then_some(())).await;
    running.abort();
    let all = receiver.0.lock().unwrap().clone();
    assert!(all.iter().all(|told| *told == [fires.clone()]), "{all:?}");
}
