//! What is told to people: messages about alerts, and how they wait to be delivered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{
    Acknowledgement, AlertDetails, AlertEnd, AlertId, AlertKey, AlertPhase, AlertState, Severity,
};

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertEventKind {
    /// It fires.
    Fired,
    /// It is over.
    Ended,
    /// Somebody has taken it.
    Acknowledged,
    /// Nobody has taken it any more.
    Unacknowledged,
}

impl AlertEventKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Ended => "ended",
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
        }
    }
}

/// What became of an alert, and how it was then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: AlertEventKind,
    /// The alert.
    pub state: AlertState,
}

/// What is kept of an alert after an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertChange {
    /// It is as it is.
    Kept {
        /// How.
        state: Box<AlertState>,
        /// What became of it, for its history.
        event: Option<AlertEventKind>,
    },
    /// It was pending and is no more.
    Passed(AlertId),
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
    /// When it was handed over by somebody who did not live to note what came of it.
    pub handed_at: Option<Timestamp>,
}

/// Why a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// Alerts began to fire.
    Firing,
    /// Alerts fire still, and nobody has taken them.
    Reminder,
    /// Alerts are over; each says why.
    Resolved,
    /// Somebody tries the way to a receiver.
    Test,
}

impl NoticeKind {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Reminder => "reminder",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// A message: alerts of one kind that came up together. Text and format are each receiver's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Why.
    pub kind: NoticeKind,
    /// When it was queued.
    pub at: Timestamp,
    /// At least one; the gravest first.
    pub alerts: Vec<AlertNotice>,
}

/// One alert in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertNotice {
    /// Its identity: the same from its first firing to its end, in every message and receiver.
    pub id: AlertId,
    /// Rule, subject and billing period.
    #[serde(flatten)]
    pub key: AlertKey,
    /// How far it has come.
    pub phase: AlertPhase,
    /// Since when it was met.
    pub since: Timestamp,
    /// When it fired.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it is over.
    pub end: Option<AlertEnd>,
    /// Who has taken it.
    pub acknowledged: Option<Acknowledgement>,
    /// How much, since when, why.
    pub details: AlertDetails,
}

impl AlertNotice {
    /// What is told of an alert as it is.
    pub fn of(state: &AlertState) -> Self {
        Self {
            id: state.key.id(),
            key: state.key.clone(),
            phase: state.phase,
            since: state.since,
            fired_at: state.fired_at,
            ended_at: state.ended_at,
            end: state.end,
            acknowledged: state.acknowledged.clone(),
            details: state.details.clone(),
        }
    }
}

/// A message for one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The receiver's name.
    pub receiver: String,
    /// The same for every copy of the message.
    pub dedupe_key: String,
    /// The message.
    pub notice: Notice,
}

/// Somebody who may be told, as the choice of who is told what needs to know them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The configured name.
    pub name: String,
    /// How messages are put together.
    pub takes: Takes,
    /// Alerts that matter less are not told.
    pub minimum_severity: Severity,
    /// Whether ends are told.
    pub resolved: bool,
}

/// How messages for a receiver are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One alert a message: what holds alerts by their key.
    Alerts,
    /// Alerts that came up together: what people read.
    Groups,
}
