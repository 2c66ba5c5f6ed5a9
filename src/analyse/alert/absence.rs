//! What is so of alerts that nothing was observed of.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::source::telemetry_key;
use super::{AlertFacts, cost, gpu};
use crate::domain::alert::{AlertEnd, AlertKey, AlertRule, Subject, Verdict};
use crate::domain::alert_policy::AlertPolicies;
use crate::domain::band::PeriodLabel;
use crate::domain::period::{BillingPeriod, BillingZone};
use crate::domain::trend::SourceTrends;

/// Tells what became of alerts that nothing was observed of; looks things up once for many of them.
pub struct Absence<'a> {
    facts: &'a AlertFacts<'a>,
    policies: &'a AlertPolicies,
    /// Whether each judged band is final in a period, and which period that is.
    bands: BTreeMap<(&'a str, BillingPeriod), (bool, PeriodLabel)>,
    sources: BTreeSet<&'a str>,
    /// What alerts of GPU telemetry are about.
    telemetry: HashSet<AlertKey>,
    receivers: BTreeSet<&'a str>,
    /// The series of sources that were read.
    read: BTreeMap<&'a str, &'a SourceTrends>,
    /// Clusters that telemetry or the ledger tells of.
    clusters: BTreeSet<&'a str>,
    /// The older of the previous months of all zones.
    oldest: BillingPeriod,
}

const GONE: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::Cleared);
const SETTLED: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::Settled);
const FINAL: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::PeriodFinal);
const NOT_CONFIGURED: (Verdict, AlertEnd) = (Verdict::Clear, AlertEnd::NotConfigured);
const UNKNOWN: (Verdict, AlertEnd) = (Verdict::Unknown, AlertEnd::Cleared);

impl<'a> Absence<'a> {
    /// What is known of what is absent.
    pub fn new(facts: &'a AlertFacts<'a>, policies: &'a AlertPolicies) -> Self {
        let trends = facts.trends.into_iter().flatten();
        let fleets = facts.gpu_window.into_iter().flat_map(|range| &range.money.fleets);
        let now = facts.gpu.clusters.iter().map(|of| of.cluster.as_str());
        Self {
            facts,
            policies,
            bands: facts
                .bands
                .iter()
                .map(|band| ((band.band.as_str(), band.period), (band.is_final, band.label)))
                .collect(),
            sources: facts.sources.iter().map(|status| status.source.as_str()).collect(),
            telemetry: facts.gpu_sources.iter().map(|status| telemetry_key(status)).collect(),
            receivers: facts.receivers.iter().map(|receiver| receiver.name.as_str()).collect(),
            read: trends.map(|of| (of.source.as_str(), of)).collect(),
            clusters: fleets.map(|of| of.fleet.cluster.as_str()).chain(now).collect(),
            oldest: BillingPeriod::at(facts.now, BillingZone::Pacific).previous(),
        }
    }

    /// Whether an alert is gone and why, or whether that cannot be told.
    pub fn of(&self, key: &AlertKey) -> (Verdict, AlertEnd) {
        use AlertRule as Rule;
        if !self.policies.is_on(key) || !self.is_configured(key) {
            return NOT_CONFIGURED;
        }
        match key.rule {
            Rule::CeilingExceeded
            | Rule::CeilingForecast
            | Rule::PaceFast
            | Rule::PaceSlow
            | Rule::FloorForecast
            | Rule::ForecastOff => self.of_band(key),
            Rule::SpendAnomaly | Rule::LevelShift | Rule::NewService | Rule::NewRegion => {
                let source = key.about(Subject::Source).unwrap_or_default();
                match self.read.get(source) {
                    Some(of) if cost::is_settled(key, of, self.policies) => SETTLED,
                    Some(_) => GONE,
                    None => self.of_period(key),
                }
            }
            Rule::GpuIdleMoney | Rule::GpuUnderFed | Rule::ReservationNotRunning => {
                // Its days cost nothing any more, unless nobody saw them or knows their price.
                match self.facts.gpu_window {
                    Some(range) if !gpu::may_hide(key, range, self.facts.gpu) => GONE,
                    _ => UNKNOWN,
                }
            }
            Rule::ClusterBelowTier => {
                let cluster = key.about(Subject::Cluster).unwrap_or_default();
                let gone = self.facts.gpu_window.is_some() && !self.clusters.contains(cluster);
                if gone { NOT_CONFIGURED } else { UNKNOWN }
            }
            Rule::Restatement => {
                let source = key.about(Subject::Source);
                let is_read =
                    self.facts.spend.iter().any(|spend| Some(spend.source.as_str()) == source);
                // What moved stays so.
                if is_read { SETTLED } else { UNKNOWN }
            }
            Rule::ReconciliationDifference => self.of_reconciled(key),
            Rule::CapNearlySpent => {
                let open = BillingPeriod::at(self.facts.now, BillingZone::Utc);
                // The cap itself is not configured any more where its month is the open one.
                if key.period < Some(open) { FINAL } else { NOT_CONFIGURED }
            }
            Rule::BillingDataLate
            | Rule::SourceFailing
            | Rule::IdentityWrong
            | Rule::ReceiverFailing
            | Rule::LedgerFailing => UNKNOWN,
        }
    }

    fn is_configured(&self, key: &AlertKey) -> bool {
        let known =
            |subject, is_known: &dyn Fn(&str) -> bool| key.about(subject).is_none_or(is_known);
        if key.rule == AlertRule::SourceFailing && key.about(Subject::Cluster).is_some() {
            // One whose cluster or cloud was changed is another.
            return self.telemetry.contains(key);
        }
        known(Subject::Band, &|band| self.policies.bands.contains(band))
            && known(Subject::Source, &|source| self.sources.contains(source))
            && known(Subject::Receiver, &|receiver| self.receivers.contains(receiver))
    }

    fn of_band(&self, key: &AlertKey) -> (Verdict, AlertEnd) {
        let (Some(band), Some(period)) = (key.about(Subject::Band), key.period) else {
            return UNKNOWN;
        };
        match self.bands.get(&(band, period)) {
            Some((true, _)) => FINAL,
            // The rule looks at the open month alone, or could not look at all.
            Some(_) if key.rule == AlertRule::ForecastOff => FINAL,
            Some((false, PeriodLabel::Previous))
                if matches!(key.rule, AlertRule::PaceFast | AlertRule::PaceSlow) =>
            {
                SETTLED
            }
            Some(_) => UNKNOWN,
            None => self.of_period(key),
        }
    }

    fn of_period(&self, key: &AlertKey) -> (Verdict, AlertEnd) {
        if key.period.is_some_and(|period| period < self.oldest) { FINAL } else { UNKNOWN }
    }

    fn of_reconciled(&self, key: &AlertKey) -> (Verdict, AlertEnd) {
        let source = key.about(Subject::Source);
        let spend = self.facts.spend.iter().find(|spend| Some(spend.source.as_str()) == source);
        let period = spend.and_then(|spend| {
            spend.periods.iter().find(|period| Some(period.period) == key.period)
        });
        match period {
            Some(period) if period.is_final => FINAL,
            _ => self.of_period(key),
        }
    }
}
