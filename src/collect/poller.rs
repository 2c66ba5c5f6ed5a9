//! The one loop that polls a source: on its own schedule, one poll at a time, with a deadline,
//! jitter and back-off. The schedule is in the ledger, so that a restart polls nothing early.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use crate::collect::priced::Priced;
use crate::collect::reconcile::reconcile;
use crate::collect::{PollRequest, Source, plan, prices};
use crate::domain::breakdown::BreakdownRole;
use crate::domain::money::Money;
use crate::domain::ports::{Clock, Meter, PollLedger, PollObserver};
use crate::domain::report::{BreakdownReading, SourceError, SourceErrorKind, SourceReport};

/// What a poller works with.
#[derive(Clone)]
pub struct Poller {
    /// The source.
    pub source: Arc<dyn Source>,
    /// Where reports and schedules are kept.
    pub ledger: Arc<dyn PollLedger>,
    /// Who counts paid requests.
    pub meter: Arc<dyn Meter>,
    /// Who hears of the end of each poll.
    pub observer: Arc<dyn PollObserver>,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
}

/// The longest sleep between two looks at the clock, so that a clock that is set forward or a
/// machine that was suspended is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_secs(60);
const FIRST_RETRY_OF_A_LASTING_ERROR: Duration = Duration::from_secs(300);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// How old list prices grow before a poll reads them again: they change a few times a year. Polls
/// are jittered, and so are the readings of prices that follow them.
const PRICES_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// The longest that list prices may take: a price list of 30,000 SKUs comes in some ten pages. A
/// source that reads machine by machine ends before it with what it has.
const PRICES_PATIENCE: Duration = Duration::from_secs(prices::PATIENCE.as_secs() + 10);

impl Poller {
    /// Polls whenever the source is due, for ever.
    pub async fn run(self) {
        self.run_until(std::future::pending()).await;
    }

    /// Polls whenever the source is due, until it is asked to leave: a poll that has begun is paid
    /// for, and ends first.
    pub async fn run_until(self, leaving: impl Future<Output = ()>) {
        let mut leaving = pin!(leaving);
        let id = self.source.descriptor().id.clone();
        if let Err(error) = self.forget_unwanted_prices().await {
            tracing::warn!(source = %id, %error, "failed to forget list prices");
        }
        let mut last_error: Option<SourceError> = None;
        let mut prices_error = None;
        loop {
            tokio::select! {
                biased;
                () = &mut leaving => return,
                () = self.wait_until_due() => {}
            }
            match self.read_bill().await {
                Ok(()) => {
                    if last_error.take().is_some() {
                        tracing::info!(source = %id, "source recovered");
                    } else {
                        tracing::debug!(source = %id, "source polled");
                    }
                }
                Err(error) => {
                    if last_error.as_ref().map(|last| last.kind) != Some(error.kind) {
                        tracing::warn!(source = %id, kind = error.kind.as_str(), %error,
                            "failed to poll source");
                    }
                    last_error = Some(error);
                    continue;
                }
            }
            let error = self.read_prices().await.err();
            let kind = error.as_ref().map(|error| error.kind);
            match error {
                Some(error) if kind != prices_error => tell_prices(id.as_str(), &error),
                Some(error) => tracing::debug!(source = %id, %error, "no list prices again"),
                None => (),
            }
            prices_error = kind;
        }
    }

    async fn wait_until_due(&self) {
        let id = &self.source.descriptor().id;
        loop {
            let due = match self.ledger.schedule(id).await {
                Ok(entry) => entry.next_poll,
                Err(error) => {
                    tracing::warn!(source = %id, %error, "failed to read the schedule");
                    tokio::time::sleep(LONGEST_SLEEP).await;
                    continue;
                }
            };
            let now = self.clock.now();
            let Some(due) = due.filter(|due| *due > now) else { return };
            let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
        }
    }

    /// Polls now, whatever the schedule says, and keeps the outcome; then reads list prices, where
    /// those of before are a day old. Without new ones the old ones stand, and the poll is good.
    ///
    /// # Errors
    /// The source's error; the ledger's last good rows stay.
    pub async fn poll_once(&self) -> Result<(), SourceError> {
        self.read_bill().await?;
        if let Err(error) = self.read_prices().await {
            tell_prices(self.source.descriptor().id.as_str(), &error);
        }
        Ok(())
    }

    /// Reads the list prices of what is in use, where those of before are a day old.
    ///
    /// # Errors
    /// The source's error, with what was not read; the prices of before stay for it.
    async fn read_prices(&self) -> Result<(), SourceError> {
        let id = &self.source.descriptor().id;
        if !self.source.descriptor().list_prices {
            return self.forget_unwanted_prices().await;
        }
        let now = self.clock.now();
        let read_at = self.ledger.prices_read_at(id).await.map_err(unkept)?;
        // A clock that was set back makes them old too.
        if read_at.is_some_and(|at| now.duration_since(at).abs() < PRICES_EVERY) {
            return Ok(());
        }
        let in_use = self.ledger.in_use(id, now).await.map_err(unkept)?;
        let asked = self.source.list_prices(&in_use, now, &*self.meter);
        let reading = tokio::time::timeout(PRICES_PATIENCE, asked).await.map_err(|_| {
            SourceError::new(
                SourceErrorKind::Timeout,
                format!("the price list did not end within {} s", PRICES_PATIENCE.as_secs()),
            )
        })??;
        let Some(reading) = reading else { return Ok(()) };
        let missing = reading.missing();
        self.ledger.keep_list_prices(id, reading, now).await.map_err(unkept)?;
        missing.map_or(Ok(()), Err)
    }

    /// What is switched off is not used: prices of before are gone before anything is polled.
    async fn forget_unwanted_prices(&self) -> Result<(), SourceError> {
        let descriptor = self.source.descriptor();
        if descriptor.list_prices {
            return Ok(());
        }
        self.ledger.forget_list_prices(&descriptor.id).await.map_err(unkept)
    }

    async fn read_bill(&self) -> Result<(), SourceError> {
        let started = Instant::now();
        let meter = Priced::new(&*self.meter);
        let outcome = self.poll_and_keep(&meter).await;
        let id = &self.source.descriptor().id;
        self.observer.poll_ended(
            id,
            outcome.as_ref().copied().map_err(|error| error.kind),
            started.elapsed(),
        );
        if let Err(error) = &outcome {
            let now = self.clock.now();
            let failures = self.ledger.schedule(id).await.map_or(0, |entry| entry.failures);
            let next = after(now, self.retry_delay(error, failures, meter.sum()));
            if let Err(reason) = self.ledger.record_failure(id, now, error, next).await {
                tracing::error!(source = %id, %reason, "failed to keep a poll's failure");
                tokio::time::sleep(FIRST_RETRY).await;
            }
        }
        outcome
    }

    async fn poll_and_keep(&self, meter: &Priced<'_>) -> Result<(), SourceError> {
        let descriptor = self.source.descriptor();
        let now = self.clock.now();
        let entry = self.ledger.schedule(&descriptor.id).await.map_err(unkept)?;
        let window = self.ledger.window(&descriptor.id, now).await.map_err(unkept)?;
        let request = PollRequest { window, now, cursor: entry.cursor };
        let report = tokio::time::timeout(descriptor.deadline, self.source.poll(&request, meter))
            .await
            .map_err(|_| {
                SourceError::new(
                    SourceErrorKind::Timeout,
                    format!(
                        "failed to poll `{}` within its deadline of {} s",
                        descriptor.id,
                        descriptor.deadline.as_secs()
                    ),
                )
                .hint("raise `deadline` if the bill is large")
            })??;
        reconcile(&report)?;
        if is_empty(&report)
            && self.ledger.holds_money(&descriptor.id, &report.days).await.map_err(unkept)?
        {
            return Err(SourceError::new(
                SourceErrorKind::Malformed,
                format!(
                    "the answer tells no cost at all for {} days that had one",
                    report.days.len()
                ),
            )
            .hint("the last good figures stay; check what the identity may still see"));
        }
        let every = plan::cadence(descriptor, meter.sum());
        let every = every.min(descriptor.poll_every.max(plan::DAY));
        let next = after(self.clock.now(), jittered(every));
        self.ledger.commit(report, next).await.map_err(unkept)
    }

    /// How long to wait after a failure: doubling up to an hour or the cadence. From the second
    /// failure on never shorter than the cap allows for what the attempt cost; never shorter than
    /// the provider asks, up to the cadence, so that a raised cap or quota is noticed.
    fn retry_delay(&self, error: &SourceError, failures: u32, spent: Option<Money>) -> Duration {
        let descriptor = self.source.descriptor();
        let first =
            if error.kind.is_temporary() { FIRST_RETRY } else { FIRST_RETRY_OF_A_LASTING_ERROR };
        let longest = match error.kind {
            // The whole window was paid for and may be as wrong again.
            SourceErrorKind::Malformed => descriptor.poll_every,
            _ => LONGEST_RETRY.min(descriptor.poll_every),
        };
        let longest = longest.max(first);
        let doubled = first.saturating_mul(1 << failures.min(16)).min(longest);
        let paid = if failures == 0 {
            Duration::ZERO
        } else {
            plan::within_cap(descriptor, spent).min(plan::DAY)
        };
        let asked = error.retry_after.unwrap_or_default().min(descriptor.poll_every.max(longest));
        jittered(doubled.max(paid)).max(asked)
    }
}

fn unkept(reason: String) -> SourceError {
    SourceError::new(SourceErrorKind::Unavailable, format!("failed to use the ledger: {reason}"))
}

fn tell_prices(source: &str, error: &SourceError) {
    tracing::warn!(source, kind = error.kind.as_str(), %error,
        "failed to read list prices: those of before stand, else the dated table");
}

/// Whether a report read days and found no cost on any of them.
fn is_empty(report: &SourceReport) -> bool {
    let primary = |reading: &&BreakdownReading| reading.breakdown.role == BreakdownRole::Primary;
    !report.days.is_empty()
        && report.breakdowns.iter().filter(primary).all(|reading| reading.rows.is_empty())
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.saturating_add(jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

/// Makes a wait up to 10 % longer, so that many agents do not ask at the same second.
pub fn jittered(wait: Duration) -> Duration {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0u8);
    let thousandths = u32::try_from(random % 101).unwrap_or(0);
    wait.saturating_mul(1000 + thousandths) / 1000
}

#[cfg(test)]
mod tests;
