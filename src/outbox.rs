//! Takes messages that were committed with the state they tell of, hands them to their receivers
//! and keeps the outcome. What is not delivered stays for the next start.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::domain::notice::QueuedNotice;
use crate::domain::ports::{Clock, OutboxLedger};
use crate::notify::{DeliveryError, Receiver};
use crate::telemetry::self_metrics::SelfMetrics;

/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(15 * 60);
/// After this long a message tells of a world that is gone.
const KEEP_FOR: SignedDuration = SignedDuration::from_hours(72);

/// What delivering needs.
pub struct Outbox {
    /// Where messages wait.
    pub ledger: Arc<dyn OutboxLedger>,
    /// Who is told, by configured name.
    pub receivers: HashMap<String, Arc<dyn Receiver>>,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Counts outcomes.
    pub metrics: SelfMetrics,
    /// Rings when a message was queued.
    pub bell: Arc<Notify>,
}

impl Outbox {
    /// Delivers until it is asked to leave: a message that is under way is delivered first.
    pub async fn run_until(self, leaving: impl Future<Output = ()>) {
        let mut leaving = pin!(leaving);
        loop {
            self.deliver_due().await;
            tokio::select! {
                () = &mut leaving => return,
                // Either is a reason to look again.
                _ = tokio::time::timeout(LOOK_EVERY, self.bell.notified()) => {}
            }
        }
    }

    /// Tries every message that is due, once.
    pub async fn deliver_due(&self) {
        let due = match self.ledger.due(self.clock.now()).await {
            Ok(due) => due,
            Err(error) => {
                self.metrics.ledger_failed("outbox");
                tracing::error!(%error, "failed to read the outbox");
                return;
            }
        };
        // One that was not taken keeps those behind it waiting: a receiver hears things in order.
        let mut waiting: Vec<&str> = Vec::new();
        for notice in &due {
            let receiver = notice.entry.receiver.as_str();
            if !waiting.contains(&receiver) && !self.deliver(notice).await {
                waiting.push(receiver);
            }
        }
    }

    /// Whether the message is done with.
    async fn deliver(&self, notice: &QueuedNotice) -> bool {
        let name = &notice.entry.receiver;
        let Some(receiver) = self.receivers.get(name) else {
            self.drop_notice(notice, "the receiver is not configured any more").await;
            return true;
        };
        // A receiver checks the age of the signature against the calendar's clock.
        let stamp = Timestamp::now();
        let Ok(message) = serde_json::from_str(&notice.entry.payload) else {
            self.drop_notice(notice, "the message in the ledger cannot be read").await;
            return true;
        };
        let outcome = receiver.deliver(&notice.entry.dedupe_key, &message, stamp).await;
        let now = self.clock.now();
        let is_done = outcome.is_ok();
        let kept = match outcome {
            Ok(()) => {
                self.metrics.notified(name, "sent");
                tracing::info!(receiver = name, "notification delivered");
                self.ledger.sent(notice.id, now).await
            }
            Err(error)
                if !error.is_temporary || now.duration_since(notice.queued_at) > KEEP_FOR =>
            {
                self.drop_notice(notice, &error.reason).await;
                return true;
            }
            Err(error) => {
                self.metrics.notified(name, "failed");
                if notice.last_error.as_ref() != Some(&error.reason) {
                    tracing::warn!(receiver = name, %error, "failed to deliver a notification");
                }
                let next = next_attempt(now, notice.attempts, &error);
                self.ledger.failed(notice.id, next, &error.reason).await
            }
        };
        self.note(kept);
        is_done
    }

    async fn drop_notice(&self, notice: &QueuedNotice, reason: &str) {
        let receiver = &notice.entry.receiver;
        self.metrics.notified(receiver, "dropped");
        tracing::error!(receiver, reason, "dropped a notification");
        let kept = self.ledger.dropped(notice.id, self.clock.now(), reason).await;
        self.note(kept);
    }

    fn note(&self, kept: Result<(), String>) {
        if let Err(error) = kept {
            self.metrics.ledger_failed("outbox");
            tracing::error!(%error, "failed to keep a delivery's outcome; it will be repeated");
        }
    }
}

fn next_attempt(now: Timestamp, attempts: u32, error: &DeliveryError) -> Timestamp {
    let doubled = FIRST_RETRY.saturating_mul(1 << attempts.min(10)).min(LONGEST_RETRY);
    let wait = doubled.max(error.retry_after.unwrap_or_default().min(LONGEST_RETRY));
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
