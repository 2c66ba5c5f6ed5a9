//! Alerts: what can be wrong, of what and in which billing period, and how far it has come.

use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::period::BillingPeriod;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* $variant),* }

        impl $name {
            /// All of them, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word in labels, JSON and configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

mod figure;
mod subject;

pub use figure::{AlertCause, AlertDetails, Figure, FigureName, Figures};
pub use subject::{Subject, Subjects};

words! {
    /// What can be wrong.
    AlertRule {
        /// The money booked is above the ceiling.
        CeilingExceeded = "ceiling_exceeded",
        /// The month is expected to end above the ceiling.
        CeilingForecast = "ceiling_forecast",
        /// The last days burn the ceiling so fast that somebody must look at once.
        PaceFast = "pace_fast",
        /// The last week burns more than the ceiling allows.
        PaceSlow = "pace_slow",
        /// The month is expected to end below the floor.
        FloorForecast = "floor_forecast",
        /// Days that cost more or less than they should have.
        SpendAnomaly = "spend_anomaly",
        /// The level of a cost moved and stays.
        LevelShift = "level_shift",
        /// A service costs money that never did.
        NewService = "new_service",
        /// A region costs money that never did.
        NewRegion = "new_region",
        /// Much of the money of GPUs does nothing.
        GpuIdleMoney = "gpu_idle_money",
        /// GPUs are held, their memory is full and their engines wait.
        GpuUnderFed = "gpu_under_fed",
        /// A cluster is smaller than the tier that it should have.
        ClusterBelowTier = "cluster_below_tier",
        /// Machines are paid for and no GPU of them is seen.
        ReservationNotRunning = "reservation_not_running",
        /// The newest complete day of a bill is too old.
        BillingDataLate = "billing_data_late",
        /// A source cannot be read.
        SourceFailing = "source_failing",
        /// A source refuses the credentials or the identity, or it is not the configured one.
        IdentityWrong = "identity_wrong",
        /// A month that was closed has moved.
        Restatement = "restatement",
        /// The sum of the rows and the provider's own total differ.
        ReconciliationDifference = "reconciliation_difference",
        /// The monthly cap of a source's requests is nearly spent.
        CapNearlySpent = "cap_nearly_spent",
        /// Forecasts of this band were badly off.
        ForecastOff = "forecast_off",
        /// A receiver takes no messages.
        ReceiverFailing = "receiver_failing",
        /// The ledger keeps nothing.
        LedgerFailing = "ledger_failing",
    }
}

words! {
    /// How much it matters, the most first.
    Severity {
        /// Somebody is woken.
        Critical = "critical",
        /// Somebody looks within the day.
        Warning = "warning",
        /// Nobody need do anything.
        Info = "info",
    }
}

/// What identifies an alert: the rule, its subject and the billing period. Two alerts of the same
/// subject in two periods are two alerts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// The rule.
    pub rule: AlertRule,
    /// What it is about.
    pub subject: Subjects,
    /// The billing period; none for the agent's own health.
    pub period: Option<BillingPeriod>,
}

impl AlertKey {
    /// An alert of a rule about nothing yet, in no period.
    pub fn new(rule: AlertRule) -> Self {
        Self { rule, subject: Subjects::default(), period: None }
    }

    /// With one more thing that it is about.
    #[must_use]
    pub fn of(mut self, subject: Subject, value: impl Into<String>) -> Self {
        self.subject.insert(subject, value.into());
        self
    }

    /// In a billing period.
    #[must_use]
    pub fn within(self, period: BillingPeriod) -> Self {
        Self { period: Some(period), ..self }
    }

    /// What it is about under one label.
    pub fn about(&self, subject: Subject) -> Option<&str> {
        self.subject.get(subject)
    }

    /// A short name that is the same in every process: 32 hexadecimal digits of a SHA-256 of rule,
    /// period and subject.
    pub fn id(&self) -> AlertId {
        let mut text = format!("{}\u{1f}", self.rule);
        if let Some(period) = self.period {
            text.push_str(&period.to_string());
        }
        for (subject, value) in self.subject.iter() {
            text.push_str(&format!("\u{1e}{subject}\u{1f}{value}"));
        }
        AlertId::digest(&text)
    }
}

/// An alert's identity as one word, for keys of receivers and addresses of the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertId(String);

impl AlertId {
    /// 32 hexadecimal digits of a text's SHA-256.
    pub fn digest(text: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        Self(digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// The word as it was told.
    pub fn known_as(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether what a rule looks for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is.
    Met,
    /// It is neither there nor gone for sure: nothing begins, nothing ends.
    Between,
    /// It is not.
    Clear,
    /// It cannot be told: the data is stale or missing. Whatever was, stays.
    Unknown,
}

/// How long something must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// On so many new complete days of data; on one it holds at once.
    Days(u32),
    /// For so long by the clock; zero holds at once.
    Time(SignedDuration),
}

/// What one evaluation says of one alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Which alert.
    pub key: AlertKey,
    /// Whether it is so.
    pub verdict: Verdict,
    /// The newest complete day that the evaluation rests on, for rules that count days.
    pub day: Option<Date>,
    /// How long it must be met before it fires.
    pub fires_after: Patience,
    /// How long it must be clear before it is resolved.
    pub clears_after: Patience,
    /// What there is to tell.
    pub details: AlertDetails,
}

words! {
    /// How far an alert has come.
    AlertPhase {
        /// It is met, and not for long enough.
        Pending = "pending",
        /// It fires.
        Firing = "firing",
        /// It fired and is over.
        Resolved = "resolved",
    }
}

words! {
    /// Why an alert is over.
    AlertEnd {
        /// What it told of is gone.
        Cleared = "cleared",
        /// What it told of has become usual: the cost stays, it is no news any more.
        Settled = "settled",
        /// Its billing period is final: what was, was.
        PeriodFinal = "period_final",
        /// Its rule, or what it was about, is not configured any more.
        NotConfigured = "not_configured",
    }
}

/// Somebody has taken an alert: it is not repeated while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who, in their own words.
    pub by: String,
    /// What they say of it.
    pub comment: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a receiver was told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When last.
    pub at: Timestamp,
    /// How many times, since it fired.
    pub times: u32,
    /// How much it mattered then; what has become graver is told again.
    pub severity: Severity,
    /// Whether the message was given up: it is told again while it fires.
    #[serde(default)]
    pub dropped: bool,
}

/// What is counted towards firing and towards the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The newest complete day that was counted.
    pub day: Option<Date>,
    /// On how many new complete days it was met, one after the other.
    pub met_days: u32,
    /// On how many it was clear since.
    pub clear_days: u32,
    /// Since when it is clear; none while it is not.
    pub clear_since: Option<Timestamp>,
}

/// An alert as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// Which alert.
    pub key: AlertKey,
    /// How far it has come.
    pub phase: AlertPhase,
    /// Since when it was met, without a break.
    pub since: Timestamp,
    /// When it fired.
    pub fired_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why.
    pub end: Option<AlertEnd>,
    /// What is counted.
    pub counted: Counted,
    /// What there was to tell when it last changed or was told.
    pub details: AlertDetails,
    /// Who was told that it fires, by receiver.
    pub told: BTreeMap<String, Told>,
    /// Who has taken it.
    pub acknowledged: Option<Acknowledgement>,
}

impl AlertState {
    /// Whether it fires.
    pub fn fires(&self) -> bool {
        self.phase == AlertPhase::Firing
    }
}

/// No message about matching alerts is sent for a while. Alerts go on being judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its name in the API.
    pub id: String,
    /// What it matches; every one of them must.
    pub matchers: SilenceMatchers,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when, exclusive.
    pub ends_at: Timestamp,
    /// Who made it, in their own words.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// Which alerts a silence is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceMatchers {
    /// One alert alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertId>,
    /// A rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<AlertRule>,
    /// What they are about, as exact values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subject: BTreeMap<Subject, String>,
}

impl Silence {
    /// Whether it holds at an instant.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it is about an alert.
    pub fn matches(&self, key: &AlertKey) -> bool {
        let SilenceMatchers { alert, rule, subject } = &self.matchers;
        rule.is_none_or(|rule| rule == key.rule)
            && subject.iter().all(|(label, value)| key.about(*label) == Some(value))
            && alert.as_ref().is_none_or(|id| *id == key.id())
    }
}
