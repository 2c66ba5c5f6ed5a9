//! Alerts: rules look at what is known and observe; what they observed is held against what was.
//!
//! Each room holds the rules of one kind. A rule says of each of its subjects whether what it looks
//! for is there; what cannot be told is unknown and neither begins nor ends anything.

mod absence;
mod band;
mod causes;
mod cost;
mod gpu;
mod pace;
mod source;
pub mod state;
pub mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use self::causes::Causes;
use crate::domain::alert::{
    AlertDetails, AlertKey, AlertRule, Figure, FigureName, Observation, Patience, Subject, Verdict,
};
use crate::domain::alert_policy::{AlertPolicies, Policy};
use crate::domain::band::BandJudgement;
use crate::domain::gpu::GpuSourceStatus;
use crate::domain::gpu_money::{GpuPicture, GpuRange};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::money::{Currency, Money};
use crate::domain::spend::{SourceSpend, SourceStatus};
use crate::domain::trend::SourceTrends;

pub use self::absence::Absence;

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
    /// How the reading of every configured GPU telemetry source goes.
    pub gpu_sources: &'a [Arc<GpuSourceStatus>],
    /// GPU time and money.
    pub gpu: &'a GpuPicture,
    /// GPU time and money of the last whole days; none until they were read first.
    pub gpu_window: Option<&'a GpuRange>,
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
pub fn observe(facts: &AlertFacts<'_>, policies: &AlertPolicies) -> Vec<Observation> {
    let mut eye = Eye {
        facts,
        policies,
        causes: Causes::of(facts),
        spend: facts.spend.iter().map(|spend| (&spend.source, spend)).collect(),
        told: Vec::new(),
    };
    band::look(&mut eye);
    cost::look(&mut eye);
    gpu::look(&mut eye);
    source::look(&mut eye);
    eye.told
}

/// What rules look at and what they have said so far.
struct Eye<'a> {
    facts: &'a AlertFacts<'a>,
    policies: &'a AlertPolicies,
    causes: Causes<'a>,
    spend: BTreeMap<&'a SourceId, &'a SourceSpend>,
    told: Vec<Observation>,
}

impl Eye<'_> {
    fn tell<T>(
        &mut self,
        key: AlertKey,
        policy: &Policy<T>,
        verdict: Verdict,
        day: Option<Date>,
        details: AlertDetails,
    ) {
        let patience = (policy.fires_after, policy.clears_after);
        self.tell_after(key, patience, verdict, day, details);
    }

    /// Tells an alert that has a patience of its own, to fire and to clear.
    fn tell_after(
        &mut self,
        key: AlertKey,
        (fires_after, clears_after): (Patience, Patience),
        verdict: Verdict,
        day: Option<Date>,
        details: AlertDetails,
    ) {
        self.told.push(Observation { key, verdict, day, fires_after, clears_after, details });
    }
}

/// An alert of a source.
fn source_key(rule: AlertRule, source: &SourceId, provider: Provider) -> AlertKey {
    AlertKey::new(rule)
        .of(Subject::Source, source.as_str())
        .of(Subject::Provider, provider.as_str())
}

/// The word of a cloud; one's own hardware is in none.
fn provider_word(provider: Option<Provider>) -> &'static str {
    provider.map_or("none", Provider::as_str)
}

/// What is there, what is gone, and what is between the two.
fn verdict(met: bool, is_clear: impl FnOnce() -> bool) -> Verdict {
    if met {
        Verdict::Met
    } else if is_clear() {
        Verdict::Clear
    } else {
        Verdict::Between
    }
}

/// What is there or is gone, with nothing between.
fn either(met: bool) -> Verdict {
    if met { Verdict::Met } else { Verdict::Clear }
}

fn money(amount: Decimal, currency: Currency) -> Figure {
    Figure::Money(Money::new(amount, currency))
}

fn ratio(amount: Decimal, of: Decimal) -> Option<f64> {
    amount.checked_div(of)?.to_f64()
}

fn limit(details: AlertDetails, limit: Figure) -> AlertDetails {
    details.with(FigureName::Limit, limit)
}

#[cfg(test)]
mod tests;
