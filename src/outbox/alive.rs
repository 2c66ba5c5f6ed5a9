//! What is told again and again: alerts that fire, to receivers that forget them, and a sign of life,
//! so that silence is noticed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::domain::notice::AlertNotice;
use crate::domain::ports::OutboxLedger;
use crate::notify::{DeliveryError, Receiver};
use crate::telemetry::self_metrics::SelfMetrics;

/// Tells a receiver again what fires, where it forgets.
pub struct Refresher {
    receiver: Arc<dyn Receiver>,
    due: Instant,
    /// What fired when the ledger could be read last: an outage of the ledger ends no alert.
    firing: Vec<AlertNotice>,
    told: Told,
}

impl Refresher {
    /// One for a receiver.
    pub fn of(receiver: &Arc<dyn Receiver>) -> Self {
        Self {
            receiver: receiver.clone(),
            due: Instant::now(),
            firing: Vec::new(),
            told: Told::new(receiver.name(), "refreshed", "tell again what fires"),
        }
    }

    /// Tells it where it is due, and gives how long it is until it is due again.
    pub async fn refresh(&mut self, ledger: &dyn OutboxLedger, metrics: &SelfMetrics) -> Duration {
        let Some(every) = self.receiver.refresh_every() else { return Duration::MAX };
        let now = Instant::now();
        if now >= self.due {
            self.due = now + every;
            match ledger.firing(self.receiver.name()).await {
                Ok(firing) => self.firing = firing,
                Err(error) => {
                    metrics.ledger_failed("outbox");
                    tracing::error!(%error, "failed to read the alerts that fire; those known last are told again");
                }
            }
            if !self.firing.is_empty() {
                let outcome = self.receiver.refresh(&self.firing, Timestamp::now()).await;
                self.told.note(metrics, outcome);
            }
        }
        self.due.saturating_duration_since(Instant::now())
    }
}

/// Gives a receiver a sign of life as long as the agent does its work: whatever it is that stops,
/// the sign stays out.
pub struct Heartbeat {
    /// Who waits for it.
    pub receiver: Arc<dyn Receiver>,
    /// How often it comes.
    pub every: Duration,
    /// When alerts were judged last with a ledger that keeps things, by the machine's own clock.
    pub judged: watch::Receiver<Option<Instant>>,
    /// Counts outcomes.
    pub metrics: SelfMetrics,
}

/// Alerts are judged twice a minute; after so long something stands still.
const JUDGED_WITHIN: Duration = Duration::from_secs(10 * 60);

impl Heartbeat {
    /// Beats for ever.
    pub async fn run(self) {
        let mut told = Told::new(self.receiver.name(), "beat", "give a sign of life");
        let mut is_well = true;
        loop {
            let judged = self.judged.borrow().is_some_and(|at| at.elapsed() < JUDGED_WITHIN);
            if judged {
                let beat = self.receiver.beat(self.every, Timestamp::now()).await;
                told.note(&self.metrics, beat);
            } else if is_well {
                tracing::error!("no alert was judged for ten minutes; no sign of life is given");
            }
            is_well = judged || self.judged.borrow().is_none();
            sleep(self.every).await;
        }
    }
}

/// Counts every outcome and logs those that differ from the one before.
struct Told {
    receiver: String,
    outcome: &'static str,
    tried: &'static str,
    failure: Option<String>,
}

impl Told {
    fn new(receiver: &str, outcome: &'static str, tried: &'static str) -> Self {
        Self { receiver: receiver.to_owned(), outcome, tried, failure: None }
    }

    fn note(&mut self, metrics: &SelfMetrics, outcome: Result<(), DeliveryError>) {
        let receiver = self.receiver.as_str();
        match outcome {
            Ok(()) => {
                metrics.notified(receiver, self.outcome);
                if self.failure.take().is_some() {
                    tracing::info!(receiver, tried = self.tried, "the receiver answers again");
                }
            }
            Err(error) => {
                metrics.notified(receiver, "failed");
                if self.failure.as_ref() != Some(&error.reason) {
                    let tried = self.tried;
                    tracing::warn!(receiver, tried, %error, "failed to reach the receiver");
                }
                self.failure = Some(error.reason);
            }
        }
    }
}
