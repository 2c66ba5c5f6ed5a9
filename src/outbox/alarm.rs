//! Says aloud that the ledger keeps nothing, past the outbox, which is in the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::domain::alert::{
    AlertDetails, AlertEnd, AlertId, AlertKey, AlertPhase, AlertRule, Figure, FigureName, Severity,
};
use crate::domain::notice::{AlertNotice, Notice, NoticeKind};
use crate::domain::ports::Clock;
use crate::notify::Receiver;
use crate::telemetry::self_metrics::SelfMetrics;

/// How often the end is tried.
const TRIES_OF_THE_END: u32 = 60;

/// Since when, and why, the ledger keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// What it said.
    pub error: String,
}

/// Tells receivers directly that the ledger fails, once, and that it keeps things again.
pub struct LedgerAlarm {
    /// Whether it fails.
    pub trouble: watch::Receiver<Option<Trouble>>,
    /// For how long it must.
    pub after: Duration,
    /// How soon a receiver that did not take it, or that forgets, is told again.
    pub every: Duration,
    /// How much it matters.
    pub severity: Severity,
    /// Who is told, and whether of the end too.
    pub receivers: Vec<(Arc<dyn Receiver>, bool)>,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Counts outcomes.
    pub metrics: SelfMetrics,
}

impl LedgerAlarm {
    /// Listens for ever.
    pub async fn run(mut self) {
        loop {
            let Ok(trouble) = self.trouble.wait_for(Option::is_some).await.map(|held| held.clone())
            else {
                std::future::pending().await
            };
            let Some(trouble) = trouble else { continue };
            let due = Instant::now() + self.after;
            tokio::select! {
                () = sleep_until(due) => {}
                // It was over before it was worth a word.
                _ = self.trouble.wait_for(Option::is_none) => continue,
            }
            let mut told = BTreeSet::new();
            while self.trouble.borrow().is_some() {
                self.tell(&trouble, NoticeKind::Firing, &mut told).await;
                self.refresh(&trouble, &told).await;
                tokio::select! {
                    () = sleep(self.every) => {}
                    _ = self.trouble.wait_for(Option::is_none) => {}
                }
            }
            // Who never heard of it, or of ends at all, need not hear of its end.
            let mut spared: BTreeSet<String> = self
                .receivers
                .iter()
                .filter(|(receiver, resolved)| !resolved || !told.contains(receiver.name()))
                .map(|(receiver, _)| receiver.name().to_owned())
                .collect();
            for _ in 0..TRIES_OF_THE_END {
                self.tell(&trouble, NoticeKind::Resolved, &mut spared).await;
                if spared.len() == self.receivers.len() || self.trouble.borrow().is_some() {
                    break;
                }
                sleep(self.every).await;
            }
        }
    }

    /// Tells it again to those who forget.
    async fn refresh(&self, trouble: &Trouble, told: &BTreeSet<String>) {
        let notice = self.notice(trouble, NoticeKind::Firing);
        for (receiver, _) in &self.receivers {
            if receiver.refresh_every().is_some() && told.contains(receiver.name()) {
                // A failure is counted by what tells it of other alerts.
                let _ = receiver.refresh(&notice.alerts, Timestamp::now()).await;
            }
        }
    }

    /// Tells everybody who is not in `told`, and adds whoever took it.
    async fn tell(&self, trouble: &Trouble, kind: NoticeKind, told: &mut BTreeSet<String>) {
        let notice = self.notice(trouble, kind);
        for (receiver, _) in &self.receivers {
            let name = receiver.name();
            if told.contains(name) {
                continue;
            }
            let mark = format!("{}\u{1f}{}\u{1f}{name}", kind.as_str(), trouble.since);
            let id = format!("ledger-{}", AlertId::digest(&mark));
            match receiver.deliver(&id, &notice, Timestamp::now()).await {
                Ok(()) => {
                    self.metrics.notified(name, "sent");
                    told.insert(name.to_owned());
                }
                Err(error) => {
                    self.metrics.notified(name, "failed");
                    tracing::warn!(receiver = name, %error, "failed to tell that the ledger fails");
                }
            }
        }
    }

    fn notice(&self, trouble: &Trouble, kind: NoticeKind) -> Notice {
        let key = AlertKey::new(AlertRule::LedgerFailing);
        let is_over = kind == NoticeKind::Resolved;
        let now = self.clock.now();
        let alert = AlertNotice {
            id: key.id(),
            key,
            phase: if is_over { AlertPhase::Resolved } else { AlertPhase::Firing },
            since: trouble.since,
            fired_at: Some(trouble.since),
            ended_at: Some(now).filter(|_| is_over),
            end: Some(AlertEnd::Cleared).filter(|_| is_over),
            acknowledged: None,
            details: AlertDetails::new(self.severity)
                .with(FigureName::Since, Figure::At(trouble.since))
                .with(FigureName::Error, Figure::Text(trouble.error.clone())),
        };
        Notice { kind, at: now, alerts: vec![alert] }
    }
}
