//! Takes messages that were committed with the state they tell of, hands them to their receivers
//! and keeps the outcome. What is not delivered stays for the next start.
//!
//! Each receiver has a lane of its own, and none waits for another. It hears of an alert in order:
//! a message that it does not take keeps waiting what tells of the same alerts, and nothing else.
//! Before a message is handed over, the ledger notes it, so that one whose outcome nobody lived to
//! note is known to be repeated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::domain::notice::{Notice, NoticeKind, QueuedNotice};
use crate::domain::ports::{Clock, OutboxLedger};
use crate::notify::{DeliveryError, Receiver};
use crate::outbox::alive::Refresher;
use crate::outbox::standing::{Held, Standing, probe};
use crate::telemetry::self_metrics::SelfMetrics;

pub mod alarm;
pub mod alive;
mod standing;

/// How often the outbox is looked at when nobody rings.
const LOOK_EVERY: Duration = Duration::from_secs(15);
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(15 * 60);
/// No receiver is left alone for longer, whatever it asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// After this long a message tells of a world that is gone.
const KEEP_FOR: SignedDuration = SignedDuration::from_hours(72);
/// An end that is not told leaves something open for ever.
const KEEP_END_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Who is told, by configured name.
pub type Receivers = BTreeMap<String, Arc<dyn Receiver>>;

/// What delivering needs.
pub struct Outbox {
    /// Where messages wait.
    pub ledger: Arc<dyn OutboxLedger>,
    /// Who is told.
    pub receivers: Receivers,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Counts outcomes.
    pub metrics: SelfMetrics,
    /// Changes when a message was queued.
    pub bell: watch::Receiver<u64>,
}

impl Outbox {
    /// Delivers until it is asked to leave: a message that is under way is delivered first.
    pub async fn run_until(self, leaving: impl Future<Output = ()>) {
        let leaving = leaving.shared();
        let lanes = self.receivers.values().map(|receiver| self.lane(receiver, leaving.clone()));
        let orphans = async {
            loop {
                self.drop_orphans().await;
                tokio::select! {
                    () = leaving.clone() => return,
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        };
        tokio::join!(join_all(lanes), orphans);
    }

    async fn lane(&self, receiver: &Arc<dyn Receiver>, leaving: impl Future<Output = ()> + Clone) {
        let mut bell = self.bell.clone();
        let mut refresher = Refresher::of(receiver);
        let mut standing = Standing::default();
        loop {
            bell.mark_unchanged();
            self.deliver_to(receiver, &mut standing, leaving.clone()).await;
            // In turn with deliveries: what was just told to be over is not told to fire again.
            let next = refresher.refresh(self.ledger.as_ref(), &self.metrics).await;
            let rung = async {
                if bell.changed().await.is_err() {
                    // Nobody rings any more; the clock still does.
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = leaving.clone() => return,
                () = rung => {}
                () = sleep(LOOK_EVERY.min(next)) => {}
            }
        }
    }

    /// Tries every message that is due, once.
    pub async fn deliver_due(&self) {
        let lanes = self.receivers.values().map(|receiver| async move {
            let leaving = std::future::pending().shared();
            self.deliver_to(receiver, &mut Standing::default(), leaving).await;
        });
        tokio::join!(join_all(lanes), self.drop_orphans());
    }

    /// Tries the messages of a receiver that are due, in order. One that was not taken keeps those
    /// waiting that tell of the same alerts; where several were not, all of them wait.
    async fn deliver_to(
        &self,
        receiver: &Arc<dyn Receiver>,
        standing: &mut Standing,
        leaving: impl Future<Output = ()> + Clone,
    ) {
        if standing.rests(self.clock.now()) {
            return;
        }
        let mut due = self.readable(self.due(receiver.name()).await).await;
        if standing.is_in_doubt() {
            let Some((queued, notice)) = probe(due) else { return };
            if self.deliver(receiver, standing, &queued, &notice).await != Outcome::Done {
                return;
            }
            due = self.readable(self.due(receiver.name()).await).await;
        }
        let mut held = Held::default();
        for (queued, notice) in due {
            if leaving.clone().now_or_never().is_some() {
                return;
            }
            if held.holds(&notice) {
                held.hold(&notice);
                continue;
            }
            match self.deliver(receiver, standing, &queued, &notice).await {
                Outcome::Done => {}
                Outcome::Refused => held.hold(&notice),
                Outcome::Rest => return,
            }
            let rest = receiver.least_interval();
            if !rest.is_zero() {
                tokio::select! {
                    () = leaving.clone() => return,
                    () = sleep(rest) => {}
                }
            }
        }
    }

    async fn due(&self, receiver: &str) -> Vec<QueuedNotice> {
        self.read(self.ledger.due(receiver, self.clock.now()).await)
    }

    fn read<T>(&self, read: Result<Vec<T>, String>) -> Vec<T> {
        read.unwrap_or_else(|error| {
            self.metrics.ledger_failed("outbox");
            tracing::error!(%error, "failed to read the outbox");
            Vec::new()
        })
    }

    /// Gives up what no receiver is configured for any more.
    async fn drop_orphans(&self) {
        for receiver in self.read(self.ledger.receivers().await) {
            if self.receivers.contains_key(&receiver) {
                continue;
            }
            for notice in self.due(&receiver).await {
                self.drop_notice(&notice, "the receiver is not configured any more").await;
            }
        }
    }

    /// The messages that can be read; the others are given up.
    async fn readable(&self, due: Vec<QueuedNotice>) -> Vec<(QueuedNotice, Notice)> {
        let mut readable = Vec::with_capacity(due.len());
        for queued in due {
            match serde_json::from_str(&queued.entry.payload) {
                Ok(notice) => readable.push((queued, notice)),
                Err(error) => {
                    let reason = format!("failed to read the message: {error}");
                    self.drop_notice(&queued, &reason).await;
                }
            }
        }
        readable
    }

    async fn deliver(
        &self,
        receiver: &Arc<dyn Receiver>,
        standing: &mut Standing,
        queued: &QueuedNotice,
        notice: &Notice,
    ) -> Outcome {
        let name = receiver.name();
        if let Err(error) = self.ledger.handed(queued.id, self.clock.now()).await {
            // A message that is sent and not noted would be sent again for ever on a full disk.
            self.metrics.ledger_failed("outbox");
            tracing::error!(%error, "failed to note a delivery, so it is not made");
            return Outcome::Rest;
        }
        if queued.handed_at.is_some() {
            self.metrics.notified(name, "repeated");
        }
        // A receiver checks the age of a signature against the calendar's clock.
        let stamp = Timestamp::now();
        let outcome = receiver.deliver(&queued.entry.dedupe_key, notice, stamp).await;
        let now = self.clock.now();
        let mut came_to = Outcome::Done;
        let kept = match outcome {
            Ok(()) => {
                standing.took();
                self.metrics.notified(name, "sent");
                tracing::info!(receiver = name, "notification delivered");
                self.ledger.sent(queued.id, now).await
            }
            Err(error)
                if !error.is_temporary
                    || now.duration_since(queued.queued_at) > keep_for(notice.kind) =>
            {
                self.drop_notice(queued, &error.reason).await;
                return Outcome::Done;
            }
            Err(error) => {
                came_to = Outcome::Refused;
                if let Some(before) = standing.failed(queued.id, error.retry_after.is_some()) {
                    standing.rest(next_attempt(now, before, &error));
                    came_to = Outcome::Rest;
                }
                self.metrics.notified(name, "failed");
                if queued.last_error.as_ref() != Some(&error.reason) {
                    tracing::warn!(receiver = name, %error, "failed to deliver a notification");
                }
                let next = next_attempt(now, queued.attempts, &error);
                self.ledger.failed(queued.id, next, &error.reason, error.may_have_arrived).await
            }
        };
        self.note(kept);
        came_to
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

/// What handing a message over came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was taken, or given up.
    Done,
    /// It was not taken; another may be.
    Refused,
    /// Nothing more is handed over for now.
    Rest,
}

fn keep_for(kind: NoticeKind) -> SignedDuration {
    match kind {
        NoticeKind::Resolved => KEEP_END_FOR,
        NoticeKind::Firing | NoticeKind::Reminder | NoticeKind::Test => KEEP_FOR,
    }
}

fn next_attempt(now: Timestamp, attempts: u32, error: &DeliveryError) -> Timestamp {
    let doubled = FIRST_RETRY.saturating_mul(1 << attempts.min(10)).min(LONGEST_RETRY);
    let wait = doubled.max(error.retry_after.unwrap_or_default().min(LONGEST_WAIT));
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
