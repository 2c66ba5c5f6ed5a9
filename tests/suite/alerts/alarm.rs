//! A ledger that keeps nothing is told past the outbox, once, and so is its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use costband::domain::alert::{AlertRule, Severity};
use costband::domain::notice::{Notice, NoticeKind};
use costband::notify::{DeliveryError, Receiver};
use costband::outbox::alarm::{LedgerAlarm, Trouble};
use costband::telemetry::self_metrics::SelfMetrics;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::clock::SetClock;
use crate::faces::peers::until;

/// Takes the second of two copies, and forgets what it is not told again.
#[derive(Default)]
struct Forgetful {
    heard: Mutex<Vec<(String, NoticeKind)>>,
    refreshed: Mutex<usize>,
    attempts: Mutex<usize>,
}

#[async_trait]
impl Receiver for Forgetful {
    fn name(&self) -> &str {
        "forgetful"
    }

    async fn deliver(&self, id: &str, notice: &Notice, _: Timestamp) -> Result<(), DeliveryError> {
        let attempt = {
            let mut attempts = self.attempts.lock().unwrap();
            *attempts += 1;
            *attempts
        };
        if attempt == 1 {
            return Err(DeliveryError::passing("busy"));
        }
        assert_eq!(notice.alerts[0].key.rule, AlertRule::LedgerFailing);
        self.heard.lock().unwrap().push((id.to_owned(), notice.kind));
        Ok(())
    }

    fn refresh_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    async fn refresh(
        &self,
        firing: &[costband::domain::notice::AlertNotice],
        _: Timestamp,
    ) -> Result<(), DeliveryError> {
        assert_eq!(firing.len(), 1);
        *self.refreshed.lock().unwrap() += 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_ledger_that_keeps_nothing_is_told_once_and_so_is_its_end() {
    let receiver = Arc::new(Forgetful::default());
    let (trouble, seen) = watch::channel(None);
    let alarm = LedgerAlarm {
        trouble: seen,
        after: Duration::from_millis(50),
        every: Duration::from_millis(10),
        severity: Severity::Critical,
        receivers: vec![(receiver.clone() as Arc<dyn Receiver>, true)],
        clock: SetClock::at("2026-11-20T12:00:00Z"),
        metrics: SelfMetrics::new(),
    };
    let running = tokio::spawn(alarm.run());
    let since = "2026-11-20T11:55:00Z".parse().unwrap();
    trouble.send_replace(Some(Trouble { since, error: "the disk is full".to_owned() }));
    until("it to be told again", async || (*receiver.refreshed.lock().unwrap() > 3).then_some(()))
        .await;
    let heard = receiver.heard.lock().unwrap().clone();
    assert_eq!(heard.iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), [NoticeKind::Firing]);
    assert_eq!(*receiver.attempts.lock().unwrap(), 2, "tried until it was taken, and no more");

    trouble.send_replace(None);
    until("the end", async || (receiver.heard.lock().unwrap().len() == 2).then_some(())).await;
    // Trouble of another time is told under another key.
    let later = "2026-11-20T13:00:00Z".parse().unwrap();
    trouble.send_replace(Some(Trouble { since: later, error: "it is gone".to_owned() }));
    until("the second time", async || (receiver.heard.lock().unwrap().len() == 3).then_some(()))
        .await;
    let heard = receiver.heard.lock().unwrap().clone();
    let kinds: Vec<NoticeKind> = heard.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [NoticeKind::Firing, NoticeKind::Resolved, NoticeKind::Firing]);
    assert_ne!(heard[0].0, heard[2].0);
    running.abort();
}
