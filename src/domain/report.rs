//! What a source says after one poll, and what the ledger knows of a source's days.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::domain::breakdown::{Amounts, Breakdown, CostRow, Dimension};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{Currency, Money};
use crate::domain::period::{BillingPeriod, BillingZone, Window};

/// An error's innermost cause; the outer ones repeat what was tried.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Everything one poll of a source read: a whole window or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceReport {
    /// The source.
    pub source: SourceId,
    /// Its provider.
    pub provider: Provider,
    /// The days that were looked at.
    pub window: Window,
    /// The days that were read again: the rows of every breakdown here replace the ledger's rows
    /// of these days. Days of the window that are missing were found unchanged (GCP `export_time`).
    pub days: Vec<Date>,
    /// One entry for each breakdown, the primary among them.
    pub breakdowns: Vec<BreakdownReading>,
    /// The provider's own ungrouped totals of what the primary holds, of every day in `days` that
    /// has a cost.
    pub control_totals: Vec<ControlTotal>,
    /// Names of sub-accounts and the like.
    pub names: Vec<EntityName>,
    /// Budgets that exist at the provider.
    pub budgets: Vec<NativeBudget>,
    /// Up to when the provider's data reaches, where it tells; else the end of the newest day.
    pub data_through: Option<Timestamp>,
    /// Where the next poll goes on, in the source's own words. Kept by the ledger, opaque to it.
    pub cursor: Option<String>,
    /// When the poll began.
    pub observed_at: Timestamp,
}

/// The rows of one breakdown.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakdownReading {
    /// Which breakdown.
    pub breakdown: Breakdown,
    /// Its rows, each identity once.
    pub rows: Vec<CostRow>,
}

/// A provider's own total of one day in one currency, asked without any grouping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlTotal {
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// The totals.
    pub amounts: Amounts,
}

/// What people call a key: an account's name beside its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityName {
    /// What the key is.
    pub dimension: Dimension,
    /// The key as it stands in rows.
    pub key: String,
    /// The name.
    pub name: String,
}

/// A budget that is kept at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeBudget {
    /// Its name there.
    pub name: String,
    /// The amount for its time grain.
    pub amount: Money,
    /// What the provider says was spent.
    pub current_spend: Option<Money>,
    /// What the provider expects.
    pub forecast_spend: Option<Money>,
    /// `Monthly`, `Quarterly`, ... as the provider writes it.
    pub time_grain: String,
}

/// Why a source could not be read. Closed: each is a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceErrorKind {
    /// No, wrong or expired credentials, or an identity that is not the configured one.
    Auth,
    /// The identity is known and may not.
    Forbidden,
    /// The provider's throttle, or our own monthly cap.
    RateLimited,
    /// No answer within the deadline.
    Timeout,
    /// The provider or the way to it is down.
    Unavailable,
    /// An answer that is not what its documentation says, or does not add up.
    Malformed,
    /// The provider has no data yet: an export that is filling, a cost store that is being built.
    NotReady,
    /// What was asked for does not exist or cannot be asked: table, column, scope, export.
    Config,
}

impl SourceErrorKind {
    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::NotReady => "not_ready",
            Self::Config => "config",
        }
    }

    /// Whether the same request may do well later without anybody's help.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::RateLimited | Self::Timeout | Self::Unavailable | Self::NotReady)
    }
}

/// A named failure of a source, with what to do about it. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SourceError {
    /// What kind.
    pub kind: SourceErrorKind,
    /// What was tried and what came back; lower case, no full stop.
    pub message: String,
    /// What a person can do, such as a command to run.
    pub hint: Option<String>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl SourceError {
    /// An error of a kind.
    pub fn new(kind: SourceErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, retry_after: None }
    }

    /// With what a person can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With how long to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// What the ledger knows of one day of a source in one currency, from all polls so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayReading {
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// The sum of the primary rows at the newest reading.
    pub primary: Amounts,
    /// The provider's ungrouped total at the newest reading.
    pub control: Option<Amounts>,
    /// When the amount, to within 0.5 %, was first read. Moves when the day moves.
    pub steady_since: Timestamp,
    /// The newest poll that read the day or found it unchanged.
    pub observed_at: Timestamp,
    /// When the amount last changed at all.
    pub changed_at: Timestamp,
    /// Whether any row was called an estimate by the provider.
    pub estimated: bool,
}

/// A day that was read to its end and has no cost in any currency: a reading of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyDay {
    /// The usage day.
    pub day: Date,
    /// The first reading since which there was none.
    pub since: Timestamp,
    /// The newest poll that found none.
    pub observed_at: Timestamp,
}

/// A day that moved after it had been read: kept so that a closed month never moves silently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restatement {
    /// The source.
    pub source: SourceId,
    /// The usage day.
    pub day: Date,
    /// The billing currency.
    pub currency: Currency,
    /// The primary's total before.
    pub before: Amounts,
    /// The primary's total after.
    pub after: Amounts,
    /// When the change was read.
    pub observed_at: Timestamp,
}

/// The state of a source's polling, as the ledger keeps it across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleEntry {
    /// When the next poll is due; none before the first.
    pub next_poll: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// The newest committed poll.
    pub last_success: Option<Timestamp>,
    /// The newest failure since then: its kind's label and its text.
    pub last_error: Option<(SourceErrorKind, String)>,
    /// Where the next poll goes on.
    pub cursor: Option<String>,
    /// Up to when the provider's data reached at the last success.
    pub data_through: Option<Timestamp>,
}

/// How sure a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Completeness {
    /// May still grow: younger than the source's lag, or moved between the last two polls.
    Provisional,
    /// Older than the lag, and steady between two polls at least six hours apart or settled.
    Complete,
    /// Its billing period is final.
    Final,
}

/// Whether a day was read so late that no second reading is needed: when the period after its own was
/// over too. Invoices are closed within days of their month, and older months are read once, by a
/// backfill.
pub fn is_settled(day: Date, observed_at: Timestamp, zone: BillingZone) -> bool {
    observed_at >= BillingPeriod::containing(day).next().end(zone)
}

/// A period with its finality, for one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PeriodState {
    /// The period.
    pub period: BillingPeriod,
    /// Whether the provider will not change it any more.
    pub is_final: bool,
}
