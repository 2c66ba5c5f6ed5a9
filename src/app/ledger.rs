//! The ledger behind the ports of polling and of the outbox.

mod in_use;

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::sync::watch;

use crate::analyse::period::{PeriodReadings, is_final};
use crate::analyse::spend::SourceRules;
use crate::domain::alerting::Alerting;
use crate::domain::breakdown::{Amounts, Breakdown};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::Money;
use crate::domain::notice::{AlertNotice, QueuedNotice};
use crate::domain::period::{BillingPeriod, Window, next_day};
use crate::domain::ports::{Meter, MeterError, OutboxLedger, PollLedger};
use crate::domain::price::{InUse, PriceReading};
use crate::domain::report::{ScheduleEntry, SourceError, SourceReport};
use crate::store::{Ledger, LedgerError, LedgerHandle, LedgerMeter};
use crate::telemetry::self_metrics::SelfMetrics;

/// How many closed months the first start reads.
const FIRST_MONTHS: usize = 2;
/// Until this day of a month the month before is read again even when it is final, so that a
/// closed month that moves is seen.
const WATCHED_UNTIL_DAY: i8 = 10;
/// How many months before the open one are read after an outage. Cost Explorer and Azure's cost data
/// reach back thirteen months; a source that asks for more is refused for ever.
const REMEMBERED_MONTHS: usize = 12;
/// How long after a good reading a breakdown that it did not hold is asked for.
const NEW_BREAKDOWN_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// How many days before a GCP period its invoice may reach back.
const GCP_LATE_DAYS: i64 = 5;

/// The ledger as pollers see it.
#[derive(Clone)]
pub struct PollPort {
    /// The ledger.
    pub handle: LedgerHandle,
    /// The rules of every source.
    pub rules: Vec<SourceRules>,
    /// The breakdowns that each source reports, in the same order.
    pub breakdowns: Vec<Vec<Breakdown>>,
    /// Counts what the ledger refuses.
    pub metrics: SelfMetrics,
    /// Tells the publisher that something was kept.
    pub changed: watch::Sender<u64>,
}

impl PollPort {
    /// What a source reports; nothing for one that is not configured.
    fn breakdowns_of(&self, source: &SourceId) -> Vec<Breakdown> {
        let place = self.rules.iter().position(|rules| rules.id == *source);
        place.and_then(|place| self.breakdowns.get(place)).cloned().unwrap_or_default()
    }

    fn rules_of(&self, source: &SourceId) -> Result<SourceRules, String> {
        let rules = self.rules.iter().find(|rules| rules.id == *source).cloned();
        rules.ok_or_else(|| format!("the source `{source}` is not configured"))
    }

    async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<R, LedgerError> + Send + 'static,
    ) -> Result<R, String> {
        let outcome = match self.handle.call(work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => {
                self.metrics.ledger_failed(error.operation().as_str());
                error.to_string()
            }
            Err(gone) => gone.to_string(),
        };
        Err(outcome)
    }
}

#[async_trait]
impl PollLedger for PollPort {
    async fn schedule(&self, source: &SourceId) -> Result<ScheduleEntry, String> {
        let source = source.clone();
        let breakdowns = self.breakdowns_of(&source);
        self.call(move |ledger| {
            let mut entry = ledger.schedule(&source)?;
            entry.cursor = ledger.cursor_for(&source, &breakdowns)?;
            if entry.failures == 0 && !holds_all(ledger, &source, &breakdowns)? {
                // A band wants a breakdown that was never read: it does not wait for its turn.
                let soon =
                    entry.last_success.and_then(|at| at.saturating_add(NEW_BREAKDOWN_AFTER).ok());
                entry.next_poll = entry.next_poll.min(soon);
            }
            Ok(entry)
        })
        .await
    }

    async fn window(&self, source: &SourceId, now: Timestamp) -> Result<Window, String> {
        let rules = self.rules_of(source)?;
        let breakdowns = self.breakdowns_of(source);
        self.call(move |ledger| open_window(ledger, &rules, &breakdowns, now)).await
    }

    async fn holds_money(&self, source: &SourceId, days: &[Date]) -> Result<bool, String> {
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
            return Ok(false);
        };
        let (source, window) = (source.clone(), Window::new(*first, next_day(*last)));
        let readings = self.call(move |ledger| ledger.day_readings(&source, &window)).await?;
        let has_money = |amounts: &Amounts| {
            [amounts.billed, amounts.effective].iter().flatten().any(|amount| !amount.is_zero())
        };
        let held = readings
            .iter()
            .filter(|reading| days.contains(&reading.day) && has_money(&reading.primary));
        Ok(held.count() > 1)
    }

    async fn commit(&self, report: SourceReport, next_poll: Timestamp) -> Result<(), String> {
        let source = report.source.clone();
        let committed = self.call(move |ledger| ledger.commit(&report, Some(next_poll))).await?;
        for restatement in &committed.restatements {
            tracing::warn!(%source, day = %restatement.day, "a complete day moved");
        }
        tracing::debug!(%source, rows = committed.rows, "report committed");
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn prices_read_at(&self, source: &SourceId) -> Result<Option<Timestamp>, String> {
        let source = source.clone();
        self.call(move |ledger| ledger.prices_read_at(&source)).await
    }

    async fn in_use(&self, source: &SourceId, now: Timestamp) -> Result<InUse, String> {
        let rules = self.rules_of(source)?;
        self.call(move |ledger| in_use::in_use(ledger, &rules, now)).await
    }

    async fn keep_list_prices(
        &self,
        source: &SourceId,
        reading: PriceReading,
        read_at: Timestamp,
    ) -> Result<(), String> {
        let kept = source.clone();
        self.call(move |ledger| ledger.keep_list_prices(&kept, &reading, read_at)).await?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn forget_list_prices(&self, source: &SourceId) -> Result<(), String> {
        let source = source.clone();
        if self.call(move |ledger| ledger.forget_list_prices(&source)).await? {
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    async fn record_failure(
        &self,
        source: &SourceId,
        at: Timestamp,
        error: &SourceError,
        next_poll: Timestamp,
    ) -> Result<(), String> {
        let (source, kind, message) = (source.clone(), error.kind, error.to_string());
        self.call(move |ledger| ledger.record_failure(&source, at, kind, &message, next_poll))
            .await?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Whether the ledger holds every breakdown that a source reports.
fn holds_all(
    ledger: &Ledger,
    source: &SourceId,
    breakdowns: &[Breakdown],
) -> Result<bool, LedgerError> {
    let held = ledger.breakdowns(source)?;
    Ok(breakdowns.iter().all(|breakdown| held.contains(breakdown)))
}

/// The days that the next poll looks at: two closed months at the first start, then the previous
/// period until it is final, and the open one up to today. After an outage it begins with the month
/// of the last good reading, a year back at most; with a breakdown that was never read, with the
/// previous month.
///
/// # Errors
/// When the ledger cannot be read.
pub fn open_window(
    ledger: &Ledger,
    rules: &SourceRules,
    breakdowns: &[Breakdown],
    now: Timestamp,
) -> Result<Window, LedgerError> {
    let zone = rules.provider.billing_zone();
    let today = zone.day_of(now);
    let current = BillingPeriod::containing(today);
    let previous = current.previous();
    let before = |months| (0..months).fold(current, |period: BillingPeriod, _| period.previous());
    let first = if ledger.first_day(&rules.id)?.is_none() {
        before(FIRST_MONTHS).first_day()
    } else {
        let mut readings = PeriodReadings::default();
        for reading in ledger.day_readings(&rules.id, &previous.window())? {
            readings.add(&reading);
        }
        let settled = is_final(rules.provider, previous, &readings, rules.quiet)
            && today.day() > WATCHED_UNTIL_DAY
            && holds_all(ledger, &rules.id, breakdowns)?;
        let wanted = if settled { current } else { previous };
        let last_success = ledger.schedule(&rules.id)?.last_success;
        let last_read = last_success.map_or(wanted, |at| BillingPeriod::at(at, zone));
        wanted.min(last_read).max(before(REMEMBERED_MONTHS)).first_day()
    };
    let first = match rules.provider {
        Provider::Gcp => first.saturating_sub(GCP_LATE_DAYS.days()),
        Provider::Aws | Provider::Azure => first,
    };
    Ok(Window::new(first, next_day(today)))
}

/// The ledger as the outbox sees it.
#[derive(Clone)]
pub struct OutboxPort {
    /// The ledger.
    pub ledger: LedgerHandle,
    /// Whether the agent tells of money.
    pub alerting: Alerting,
}

impl OutboxPort {
    async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<R, LedgerError> + Send + 'static,
    ) -> Result<R, String> {
        match self.ledger.call(work).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(gone) => Err(gone.to_string()),
        }
    }
}

#[async_trait]
impl OutboxLedger for OutboxPort {
    async fn due(&self, receiver: &str, now: Timestamp) -> Result<Vec<QueuedNotice>, String> {
        let receiver = receiver.to_owned();
        self.call(move |ledger| ledger.outbox_due_to(&receiver, now)).await
    }

    async fn receivers(&self) -> Result<Vec<String>, String> {
        self.call(|ledger| ledger.outbox_receivers()).await
    }

    async fn handed(&self, id: i64, at: Timestamp) -> Result<(), String> {
        self.call(move |ledger| ledger.outbox_handed(id, at)).await
    }

    async fn firing(&self, receiver: &str) -> Result<Vec<AlertNotice>, String> {
        let alerts = self.call(|ledger| ledger.alerts()).await?;
        let told = alerts
            .iter()
            .filter(|held| held.fires() && held.told.contains_key(receiver))
            .filter(|held| self.alerting.tells(held.key.rule));
        Ok(told.map(AlertNotice::of).collect())
    }

    async fn sent(&self, id: i64, at: Timestamp) -> Result<(), String> {
        self.call(move |ledger| ledger.outbox_sent(id, at)).await
    }

    async fn failed(
        &self,
        id: i64,
        next_attempt: Timestamp,
        reason: &str,
        may_have_arrived: bool,
    ) -> Result<(), String> {
        let reason = reason.to_owned();
        self.call(move |ledger| ledger.outbox_failed(id, next_attempt, &reason, may_have_arrived))
            .await
    }

    async fn dropped(&self, id: i64, at: Timestamp, reason: &str) -> Result<(), String> {
        let reason = reason.to_owned();
        self.call(move |ledger| ledger.outbox_dropped(id, at, &reason)).await
    }
}

/// The ledger's meter, with the self metrics beside it.
pub struct CountingMeter {
    /// Reserves on disk.
    pub meter: LedgerMeter,
    /// Counts for the page.
    pub metrics: SelfMetrics,
}

#[async_trait]
impl Meter for CountingMeter {
    async fn reserve(
        &self,
        source: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        self.meter.reserve(source, operation, price).await?;
        self.metrics.request_reserved(source, operation, price);
        Ok(())
    }

    fn quota(&self, source: &SourceId, quota: &'static str, window: &'static str, remaining: f64) {
        self.meter.quota(source, quota, window, remaining);
        self.metrics.quota_remaining(source, quota, window, remaining);
    }
}

#[cfg(test)]
mod tests;
