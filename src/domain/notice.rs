//! What is told to people: changes of a band's status and the messages that wait to be delivered.

use jiff::Timestamp;

use crate::domain::band::{BandStatus, BandView};
use crate::domain::period::BillingPeriod;

/// Where a view of a band stands in a period, as it was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandState {
    /// The status.
    pub status: BandStatus,
    /// The sentence that went with it.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// A view of a band that moved from one status to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BandStateChange {
    /// The band's name.
    pub band: String,
    /// The billing period.
    pub period: BillingPeriod,
    /// The view.
    pub view: BandView,
    /// The status that was kept so far; none where none was.
    pub before: Option<BandStatus>,
    /// The status from now on.
    pub after: BandStatus,
    /// A sentence for people.
    pub reason: String,
    /// When it moved.
    pub at: Timestamp,
}

/// A message for one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The same for every copy of the same message to the same receiver. The outbox holds a key
    /// once; the receiver is told it too.
    pub dedupe_key: String,
    /// The receiver's configured name.
    pub receiver: String,
    /// The message as JSON text.
    pub payload: String,
}

/// A message that waits to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedNotice {
    /// Its number in the outbox, ascending in the order of queueing.
    pub id: i64,
    /// The message.
    pub entry: OutboxEntry,
    /// Attempts that failed so far.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// Why the newest attempt failed.
    pub last_error: Option<String>,
}
