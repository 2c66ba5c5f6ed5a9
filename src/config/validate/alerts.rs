//! Alerts: for each rule the policies that its entries say, over the rule's defaults.

mod thresholds;

use jiff::SignedDuration;

use super::Known;
use super::bands::unknown;
use crate::config::file::{
    AlertsFile, BandScopeFile, DaysFile, GpuProvider, GpuScopeFile, ProviderScopeFile,
    SeverityWord, SourceScopeFile, TimeFile,
};
use crate::config::structure::Findings;
use crate::config::{GpuSource, SourceEntry};
use crate::domain::alert::{AlertRule, Patience, Severity};
use crate::domain::alert_policy::thresholds::Thresholds;
use crate::domain::alert_policy::{AlertPolicies, AlertScope, Policy, RulePolicies};
use crate::domain::band::Band;

use self::thresholds::Reader;

/// The longest that a rule may wait or stay silent.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What names in entries may refer to.
pub(super) struct Names<'a> {
    pub(super) bands: &'a [Band],
    pub(super) sources: &'a [SourceEntry],
    pub(super) gpu: &'a [GpuSource],
    pub(super) receivers: &'a Known<'a>,
}

pub(super) fn alerts(
    file: Option<&AlertsFile>,
    names: &Names<'_>,
    findings: &mut Findings,
) -> AlertPolicies {
    let none = AlertsFile::default();
    let file = file.unwrap_or(&none);
    let mut reading = Reading { names, findings };
    macro_rules! policies {
        ($($rule:ident = $name:ident),* $(,)?) => {
            AlertPolicies {
                $($rule: reading.rule(file.$rule.as_deref(), AlertRule::$name),)*
                band_receivers: names
                    .bands
                    .iter()
                    .filter_map(|band| Some((band.name.clone(), band.receiver.clone()?)))
                    .collect(),
                bands: names.bands.iter().map(|band| band.name.clone()).collect(),
            }
        };
    }
    policies! {
        ceiling_exceeded = CeilingExceeded,
        ceiling_forecast = CeilingForecast,
        pace_fast = PaceFast,
        pace_slow = PaceSlow,
        floor_forecast = FloorForecast,
        spend_anomaly = SpendAnomaly,
        level_shift = LevelShift,
        new_service = NewService,
        new_region = NewRegion,
        gpu_idle_money = GpuIdleMoney,
        gpu_under_fed = GpuUnderFed,
        cluster_below_tier = ClusterBelowTier,
        reservation_not_running = ReservationNotRunning,
        billing_data_late = BillingDataLate,
        source_failing = SourceFailing,
        identity_wrong = IdentityWrong,
        restatement = Restatement,
        reconciliation_difference = ReconciliationDifference,
        cap_nearly_spent = CapNearlySpent,
        forecast_off = ForecastOff,
        receiver_failing = ReceiverFailing,
        ledger_failing = LedgerFailing,
    }
}

/// One written entry of a rule.
trait Entry {
    /// What its rule looks for.
    type Of: Thresholds;
    /// What every rule takes.
    fn common(&self) -> Common<'_>;
    /// What it is about.
    fn scope(&self) -> AlertScope;
    /// Its thresholds over the rule's defaults.
    fn thresholds(&self, usual: Self::Of, reader: &mut Reader<'_>) -> Self::Of;
}

/// What every rule takes, as it is written.
struct Common<'a> {
    enabled: Option<bool>,
    severity: Option<SeverityWord>,
    receivers: Option<&'a [String]>,
    repeat_after: Option<SignedDuration>,
    fires_after: Option<Patience>,
    clears_after: Option<Patience>,
}

impl DaysFile {
    fn common(&self) -> Common<'_> {
        Common {
            enabled: self.enabled,
            severity: self.severity,
            receivers: self.receivers.as_deref(),
            repeat_after: self.repeat_after.map(|span| span.signed()),
            fires_after: self.fires_after_days.map(Patience::Days),
            clears_after: self.clears_after_days.map(Patience::Days),
        }
    }
}

impl TimeFile {
    fn common(&self) -> Common<'_> {
        Common {
            enabled: self.enabled,
            severity: self.severity,
            receivers: self.receivers.as_deref(),
            repeat_after: self.repeat_after.map(|span| span.signed()),
            fires_after: self.fires_after.map(|span| Patience::Time(span.signed())),
            clears_after: self.clears_after.map(|span| Patience::Time(span.signed())),
        }
    }
}

impl BandScopeFile {
    fn scope(&self) -> AlertScope {
        let bands = self.bands.clone().unwrap_or_default();
        AlertScope { bands, ..AlertScope::default() }
    }
}

impl SourceScopeFile {
    fn scope(&self) -> AlertScope {
        let clouds = self.providers.iter().flatten();
        AlertScope {
            sources: self.sources.clone().unwrap_or_default(),
            providers: clouds.map(|cloud| super::bands::provider_of(*cloud).to_string()).collect(),
            ..AlertScope::default()
        }
    }
}

impl ProviderScopeFile {
    fn scope(&self) -> AlertScope {
        let clouds = self.providers.iter().flatten();
        AlertScope {
            providers: clouds.map(|cloud| super::bands::provider_of(*cloud).to_string()).collect(),
            ..AlertScope::default()
        }
    }
}

impl GpuScopeFile {
    fn scope(&self) -> AlertScope {
        let word = |provider: &GpuProvider| match provider {
            GpuProvider::Aws => "aws",
            GpuProvider::Gcp => "gcp",
            GpuProvider::Azure => "azure",
            GpuProvider::None => "none",
        };
        AlertScope {
            providers: self.providers.iter().flatten().map(|of| word(of).to_owned()).collect(),
            clusters: self.clusters.clone().unwrap_or_default(),
            ..AlertScope::default()
        }
    }
}

struct Reading<'a, 'b> {
    names: &'a Names<'a>,
    findings: &'b mut Findings,
}

impl Reading<'_, '_> {
    fn rule<E: Entry>(&mut self, entries: Option<&[E]>, rule: AlertRule) -> RulePolicies<E::Of> {
        let mut policies = RulePolicies::usual(rule);
        let mut admits_all: Option<usize> = None;
        for (index, entry) in entries.unwrap_or_default().iter().enumerate() {
            let path = format!("alerts.{rule}[{index}]");
            if let Some(before) = admits_all {
                self.findings.add(
                    &path,
                    format!(
                        "is never reached: `alerts.{rule}[{before}]` is about everything; move \
                         this entry before it"
                    ),
                );
            }
            let scope = entry.scope();
            self.refer(&scope, rule, &path);
            if scope == AlertScope::default() && self.findings.is_sound(&path) {
                admits_all.get_or_insert(index);
            }
            let policy = self.policy(entry, rule, &path);
            policies.entries.push((scope, policy));
        }
        policies
    }

    fn policy<E: Entry>(&mut self, entry: &E, rule: AlertRule, path: &str) -> Policy<E::Of> {
        let usual = Policy::usual(rule);
        let common = entry.common();
        if let Some(receivers) = common.receivers {
            let path = format!("{path}.receivers");
            if receivers.is_empty() {
                let message = "is an empty list: name receivers, or leave the key out for all";
                self.findings.add(&path, message);
            }
            let known = &self.names.receivers;
            for name in receivers.iter().filter(|_| known.complete) {
                if !known.names.contains(&name.as_str()) {
                    let known = known.names.iter().copied();
                    self.findings.add(&path, unknown("receiver", name, known));
                }
            }
        }
        let times = [
            ("repeat_after", common.repeat_after),
            ("fires_after", time(common.fires_after)),
            ("clears_after", time(common.clears_after)),
        ];
        for (key, _) in times.iter().filter(|(_, time)| time.is_some_and(|time| time > LONGEST)) {
            self.findings.add(&format!("{path}.{key}"), "is longer than 90 days");
        }
        let mut reader = Reader { path, findings: &mut *self.findings };
        Policy {
            // Who writes an entry of a rule that is off by default wants it.
            enabled: common.enabled.unwrap_or(true),
            severity: common.severity.map_or(usual.severity, severity),
            receivers: common.receivers.map(<[String]>::to_vec),
            repeat_after: common.repeat_after.unwrap_or(usual.repeat_after),
            fires_after: common.fires_after.unwrap_or(usual.fires_after),
            clears_after: common.clears_after.unwrap_or(usual.clears_after),
            thresholds: entry.thresholds(usual.thresholds, &mut reader),
        }
    }

    /// Names that an entry refers to must be there.
    fn refer(&mut self, scope: &AlertScope, rule: AlertRule, path: &str) {
        let bands: Vec<&str> = self.names.bands.iter().map(|band| band.name.as_str()).collect();
        // One rule is about telemetry too.
        let has_telemetry = rule == AlertRule::SourceFailing;
        let gpu_is_sound = !has_telemetry || self.findings.is_sound("gpu");
        let gpu = self.names.gpu.iter().filter(|_| has_telemetry);
        let bills = self.names.sources.iter().map(|source| source.name.as_str());
        let sources: Vec<&str> = bills.chain(gpu.map(|source| source.name.as_str())).collect();
        for (kind, key, wanted, known) in
            [("band", "bands", &scope.bands, bands), ("source", "sources", &scope.sources, sources)]
        {
            let is_whole = gpu_is_sound || key != "sources";
            if !self.findings.is_sound(key) || !is_whole {
                continue;
            }
            for name in wanted.iter().filter(|name| !known.contains(&name.as_str())) {
                let message = unknown(kind, name, known.iter().copied());
                self.findings.add(&format!("{path}.{key}"), message);
            }
        }
    }
}

fn time(patience: Option<Patience>) -> Option<SignedDuration> {
    match patience? {
        Patience::Time(time) => Some(time),
        Patience::Days(_) => None,
    }
}

fn severity(word: SeverityWord) -> Severity {
    match word {
        SeverityWord::Critical => Severity::Critical,
        SeverityWord::Warning => Severity::Warning,
        SeverityWord::Info => Severity::Info,
    }
}

#[cfg(test)]
mod tests;
