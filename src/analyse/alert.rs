//! Alerts: rules look at what is known and observe; what they observed is held against what was.

pub mod state;
pub mod tell;

use jiff::Timestamp;

use crate::domain::alert::{AlertEnd, AlertKey, Observation, Verdict};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::band::BandJudgement;
use crate::domain::gpu_money::GpuPicture;
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::domain::trend::SourceTrends;

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct AlertFacts<'a> {
    /// The present instant.
    pub now: Timestamp,
    /// Every band against its open and its previous period.
    pub bands: &'a [BandJudgement],
    /// Every billing source that was ever read.
    pub spend: &'a [SourceSpend],
    /// How polling goes, of every configured billing source.
    pub sources: &'a [SourceStatus],
    /// GPU time and money.
    pub gpu: &'a GpuPicture,
    /// Every source's series; none until they were read first.
    pub trends: Option<&'a [SourceTrends]>,
    /// How deliveries go, of every configured receiver.
    pub receivers: &'a [ReceiverHealth],
}

/// How deliveries to a receiver go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverHealth {
    /// Its name.
    pub name: String,
    /// Since when every attempt failed; none while it takes messages or was not tried yet.
    pub failing_since: Option<Timestamp>,
    /// What it said.
    pub error: Option<String>,
    /// How many messages wait for it.
    pub waiting: u64,
}

/// What every rule that is on says of everything that it looks at.
pub fn observe(_facts: &AlertFacts<'_>, _policies: &AlertPolicies) -> Vec<Observation> {
    Vec::new()
}

/// What is so of an alert that was and that nothing was observed of: whether it is gone, or whether
/// that cannot be told.
pub fn absent(
    _key: &AlertKey,
    _facts: &AlertFacts<'_>,
    _policies: &AlertPolicies,
) -> (Verdict, AlertEnd) {
    (Verdict::Unknown, AlertEnd::Cleared)
}
