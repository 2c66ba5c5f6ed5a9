//! The narrow doors through which pure code and collectors reach a clock and the ledger.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::alert::{Acknowledgement, AlertId, AlertState, Silence};
use crate::domain::gpu_money::GpuRange;
use crate::domain::identity::SourceId;
use crate::domain::money::Money;
use crate::domain::notice::{AlertEvent, AlertNotice, QueuedNotice};
use crate::domain::period::Window;
use crate::domain::price::{InUse, PriceReading};
use crate::domain::report::{ScheduleEntry, SourceError, SourceErrorKind, SourceReport};
use crate::domain::spend_range::{NotTold, SpendQuestion, SpendRange};

/// Tells the time. The demo's clock stands in mid-month; every age and period rule asks this one.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// Counts paid requests against a source's monthly cap. What is reserved is on disk before the
/// request leaves, so that no crash forgets money that may have been spent.
#[async_trait]
pub trait Meter: Send + Sync {
    /// Reserves the price of one request.
    ///
    /// `operation` is a fixed word (`GetCostAndUsage`), also the label of
    /// `source_api_requests_total`. A free request is reserved at price zero, to be counted.
    ///
    /// # Errors
    /// [`MeterError`] when the month's cap does not allow it or the ledger cannot keep it.
    async fn reserve(
        &self,
        source: &SourceId,
        operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError>;

    /// Tells what a quota has left, for `source_quota_remaining`. `quota` and `window` are fixed
    /// words (`qpu`, `1h`).
    fn quota(&self, source: &SourceId, quota: &'static str, window: &'static str, remaining: f64);
}

/// Answers what GPUs cost over any days that the ledger holds.
#[async_trait]
pub trait GpuHistory: Send + Sync {
    /// The money of a window of billing days.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn money(&self, window: Window) -> Result<GpuRange, HistoryError>;
}

/// Answers what a source cost over any days that the ledger holds.
#[async_trait]
pub trait SpendHistory: Send + Sync {
    /// The spend that a question asks for.
    ///
    /// # Errors
    /// [`SpendHistoryError`].
    async fn spend(&self, question: SpendQuestion) -> Result<SpendRange, SpendHistoryError>;
}

/// Why a question of spend has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpendHistoryError {
    /// No source of that name is configured.
    #[error("no source is named `{wanted}`; there are {}", listed(known))]
    NoSource {
        /// The name that was asked for.
        wanted: SourceId,
        /// The names that there are.
        known: Vec<SourceId>,
    },
    /// The source does not tell it.
    #[error(transparent)]
    NotTold(#[from] NotTold),
    /// The ledger does not answer.
    #[error(transparent)]
    History(#[from] HistoryError),
}

fn listed(known: &[SourceId]) -> String {
    let names: Vec<String> = known.iter().map(|id| format!("`{id}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Why the past cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Another question is being answered.
    #[error("another range is being read; ask again in a moment")]
    Busy,
    /// The ledger cannot be read.
    #[error("failed to read the ledger: {0}")]
    Ledger(String),
}

/// Why a paid request may not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    /// The cap would be passed.
    #[error("{spent} of the monthly cap of {cap} are spent; the next request costs {price}")]
    CapReached {
        /// Reserved so far this month.
        spent: Money,
        /// The configured cap.
        cap: Money,
        /// What was asked for.
        price: Money,
        /// When the next month's cap begins.
        resets_at: Timestamp,
    },
    /// The ledger could not keep the reservation.
    #[error("failed to keep the reservation: {0}")]
    Ledger(String),
}

/// The ledger as the poller needs it.
#[async_trait]
pub trait PollLedger: Send + Sync {
    /// The state of a source's polling.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn schedule(&self, source: &SourceId) -> Result<ScheduleEntry, String>;

    /// The days that the next poll looks at.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn window(&self, source: &SourceId, now: Timestamp) -> Result<Window, String>;

    /// Whether the ledger knows of money on more than one of some days. A whole bill does not
    /// vanish; an identity that may no longer see it looks just so.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn holds_money(&self, source: &SourceId, days: &[Date]) -> Result<bool, String>;

    /// Keeps a report in one transaction, with the time of the next poll.
    ///
    /// # Errors
    /// The ledger's own text; nothing was kept.
    async fn commit(&self, report: SourceReport, next_poll: Timestamp) -> Result<(), String>;

    /// When list prices were read last; none before the first time.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn prices_read_at(&self, source: &SourceId) -> Result<Option<Timestamp>, String>;

    /// What is in use, of which list prices are worth knowing.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn in_use(&self, source: &SourceId, now: Timestamp) -> Result<InUse, String>;

    /// Keeps list prices in place of those that were read before, but for machines that were not
    /// read; of a whole reading also when it was.
    ///
    /// # Errors
    /// The ledger's own text; those of before stand.
    async fn keep_list_prices(
        &self,
        source: &SourceId,
        reading: PriceReading,
        read_at: Timestamp,
    ) -> Result<(), String>;

    /// Forgets list prices: the source reads none any more.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn forget_list_prices(&self, source: &SourceId) -> Result<(), String>;

    /// Keeps a failure, with the time of the next poll.
    ///
    /// # Errors
    /// The ledger's own text.
    async fn record_failure(
        &self,
        source: &SourceId,
        at: Timestamp,
        error: &SourceError,
        next_poll: Timestamp,
    ) -> Result<(), String>;
}

/// The ledger as the election of a Lease's holder needs it.
#[async_trait]
pub trait LeaseTerms: Send + Sync {
    /// The newest term that the ledger was led in; 0 where it never was.
    ///
    /// # Errors
    /// The ledger's own text: who cannot read it does not take the Lease.
    async fn newest(&self) -> Result<u64, String>;
}

/// Hears of every poll that ended, for the self metrics.
pub trait PollObserver: Send + Sync {
    /// A poll ended well, or with a kind of error, after so long.
    fn poll_ended(
        &self,
        source: &SourceId,
        outcome: Result<(), SourceErrorKind>,
        took: std::time::Duration,
    );
}

/// The ledger as the face needs it for alerts. Errors are the ledger's own text.
#[async_trait]
pub trait AlertLedger: Send + Sync {
    /// The present instant, by the agent's clock.
    fn now(&self) -> Timestamp;

    /// Why nobody is told of some of the alerts that fire, as one word each.
    fn mutes(&self, alerts: &[AlertState], silences: &[Silence])
    -> BTreeMap<AlertId, &'static str>;

    /// What became of alerts, the newest first; of one of them, or of all.
    ///
    /// # Errors
    /// The ledger could not be read.
    async fn history(&self, of: Option<AlertId>, most: u32) -> Result<Vec<AlertEvent>, String>;

    /// Silences that hold or are to come.
    ///
    /// # Errors
    /// The ledger could not be read.
    async fn silences(&self) -> Result<Vec<Silence>, String>;

    /// Keeps who has taken an alert; none where no such alert is pending or fires.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn acknowledge(
        &self,
        id: AlertId,
        taken: Option<Acknowledgement>,
    ) -> Result<Option<AlertState>, String>;

    /// Keeps a silence.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn add_silence(&self, silence: Silence) -> Result<(), String>;

    /// Ends a silence; false where there is none of that name.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn end_silence(&self, id: String) -> Result<bool, String>;
}

/// The ledger as the outbox needs it. Errors are the ledger's own text.
#[async_trait]
pub trait OutboxLedger: Send + Sync {
    /// The first messages for a receiver whose next attempt is due, oldest first.
    ///
    /// # Errors
    /// The ledger could not be read.
    async fn due(&self, receiver: &str, now: Timestamp) -> Result<Vec<QueuedNotice>, String>;

    /// The receivers that messages wait for.
    ///
    /// # Errors
    /// The ledger could not be read.
    async fn receivers(&self) -> Result<Vec<String>, String>;

    /// Keeps that a message is about to be handed over.
    ///
    /// # Errors
    /// The ledger could not be written; it is not handed over then.
    async fn handed(&self, id: i64, at: Timestamp) -> Result<(), String>;

    /// The alerts that fire, that the agent tells of and that a receiver was told of.
    ///
    /// # Errors
    /// The ledger could not be read.
    async fn firing(&self, receiver: &str) -> Result<Vec<AlertNotice>, String>;

    /// Keeps that a message was taken.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn sent(&self, id: i64, at: Timestamp) -> Result<(), String>;

    /// Keeps that an attempt failed, when the next one is, and whether the message may have arrived
    /// all the same.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn failed(
        &self,
        id: i64,
        next_attempt: Timestamp,
        reason: &str,
        may_have_arrived: bool,
    ) -> Result<(), String>;

    /// Keeps that a message will not be tried again.
    ///
    /// # Errors
    /// The ledger could not be written.
    async fn dropped(&self, id: i64, at: Timestamp, reason: &str) -> Result<(), String>;
}
