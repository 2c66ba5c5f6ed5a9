//! What is configured of alerts: which rules look at what, at which thresholds, and who is told.

pub mod thresholds;

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::domain::alert::{AlertKey, AlertRule, Patience, Severity, Subject};
use crate::domain::alert_policy::thresholds::{
    BillingDataLate, CapNearlySpent, CeilingForecast, ClusterBelowTier, FloorForecast, ForecastOff,
    GpuIdleMoney, GpuUnderFed, Health, LevelShift, NewValue, PaceFast, PaceSlow,
    ReconciliationDifference, ReservationNotRunning, Restated, Spike, Thresholds,
};
use crate::domain::notice::Recipient;

/// What a rule looks for, how long it must be so, and who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy<T> {
    /// Whether it looks at all.
    pub enabled: bool,
    /// How much it matters.
    pub severity: Severity,
    /// Receivers by name; none for those of the band, or every receiver.
    pub receivers: Option<Vec<String>>,
    /// An alert that nobody has taken is told again after so long; zero for never.
    pub repeat_after: SignedDuration,
    /// How long it must be met before it fires.
    pub fires_after: Patience,
    /// How long it must be clear before it is over.
    pub clears_after: Patience,
    /// What it looks for.
    pub thresholds: T,
}

/// What an entry of a rule is about. An empty list admits all; a list that is not empty admits
/// nothing whose value is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertScope {
    /// Bands by name.
    pub bands: Vec<String>,
    /// Sources by name.
    pub sources: Vec<String>,
    /// Clouds; `none` is one's own hardware.
    pub providers: Vec<String>,
    /// Clusters.
    pub clusters: Vec<String>,
    /// Workloads: a namespace, or a namespace and a name with a `/` between.
    pub workloads: Vec<String>,
}

impl AlertScope {
    /// Whether an alert's subject is in.
    pub fn admits(&self, key: &AlertKey) -> bool {
        let is_in = |wanted: &[String], subject| {
            wanted.is_empty()
                || key.about(subject).is_some_and(|value| wanted.iter().any(|one| one == value))
        };
        is_in(&self.bands, Subject::Band)
            && is_in(&self.sources, Subject::Source)
            && is_in(&self.providers, Subject::Provider)
            && is_in(&self.clusters, Subject::Cluster)
            && (self.workloads.is_empty() || self.admits_workload(key))
    }

    fn admits_workload(&self, key: &AlertKey) -> bool {
        let (Some(namespace), Some(name)) =
            (key.about(Subject::WorkloadNamespace), key.about(Subject::WorkloadName))
        else {
            return false;
        };
        self.workloads.iter().any(|wanted| match wanted.split_once('/') {
            Some((in_namespace, of_name)) => in_namespace == namespace && of_name == name,
            None => wanted == namespace,
        })
    }
}

/// The entries of one rule, and what holds where none of them matches.
#[derive(Debug, Clone, PartialEq)]
pub struct RulePolicies<T> {
    /// In configured order; the first whose scope admits an alert is its policy.
    pub entries: Vec<(AlertScope, Policy<T>)>,
    /// What holds besides.
    pub usual: Policy<T>,
}

impl<T> RulePolicies<T> {
    /// The policy of an alert.
    pub fn of(&self, key: &AlertKey) -> &Policy<T> {
        let entry = self.entries.iter().find(|(scope, _)| scope.admits(key));
        entry.map_or(&self.usual, |(_, policy)| policy)
    }

    /// The policy of an alert, where it is on.
    pub fn on(&self, key: &AlertKey) -> Option<&Policy<T>> {
        Some(self.of(key)).filter(|policy| policy.enabled)
    }

    /// Whether an entry names workloads.
    pub fn names_workloads(&self) -> bool {
        self.entries.iter().any(|(scope, _)| !scope.workloads.is_empty())
    }
}

impl<T: Thresholds> RulePolicies<T> {
    /// A rule that nothing is configured of.
    pub fn usual(rule: AlertRule) -> Self {
        Self { entries: Vec::new(), usual: Policy::usual(rule) }
    }
}

impl<T: Thresholds> Policy<T> {
    /// A rule's defaults.
    pub fn usual(rule: AlertRule) -> Self {
        let thresholds = T::usual(rule);
        let Usual { enabled, severity, repeat_after, fires_after, clears_after } = usual(rule);
        Self {
            enabled,
            severity,
            receivers: None,
            repeat_after,
            fires_after,
            clears_after,
            thresholds,
        }
    }
}

/// What every policy of a rule has by default.
struct Usual {
    enabled: bool,
    severity: Severity,
    repeat_after: SignedDuration,
    fires_after: Patience,
    clears_after: Patience,
}

const NEVER: SignedDuration = SignedDuration::ZERO;
const DAILY: SignedDuration = SignedDuration::from_hours(24);
const EVERY_THREE_DAYS: SignedDuration = SignedDuration::from_hours(72);

fn usual(rule: AlertRule) -> Usual {
    use AlertRule as Rule;
    use Severity::{Critical, Info, Warning};
    let days = |fires, clears| (Patience::Days(fires), Patience::Days(clears));
    let minutes = |fires, clears| {
        let time = |minutes| Patience::Time(SignedDuration::from_mins(minutes));
        (time(fires), time(clears))
    };
    let (severity, (fires_after, clears_after)) = match rule {
        Rule::CeilingExceeded | Rule::PaceFast => (Critical, days(1, 1)),
        Rule::CeilingForecast | Rule::PaceSlow => (Warning, days(2, 2)),
        Rule::FloorForecast | Rule::ForecastOff => (Info, days(2, 2)),
        Rule::SpendAnomaly | Rule::LevelShift | Rule::NewService | Rule::NewRegion => {
            (Warning, days(1, 1))
        }
        Rule::GpuIdleMoney | Rule::GpuUnderFed | Rule::ReservationNotRunning => {
            (Warning, days(1, 1))
        }
        Rule::ReconciliationDifference => (Warning, days(1, 1)),
        Rule::ClusterBelowTier => (Warning, minutes(60, 15)),
        // After an outage all days come with one reading, and are complete with the next.
        Rule::BillingDataLate => (Warning, minutes(12 * 60, 0)),
        Rule::Restatement | Rule::CapNearlySpent => (Warning, minutes(0, 0)),
        Rule::SourceFailing => (Warning, minutes(120, 0)),
        Rule::IdentityWrong => (Critical, minutes(30, 0)),
        Rule::ReceiverFailing => (Warning, minutes(30, 0)),
        Rule::LedgerFailing => (Critical, minutes(5, 0)),
    };
    // What happened once is told once: it does not come nearer by the day.
    let happened = matches!(
        rule,
        Rule::SpendAnomaly
            | Rule::LevelShift
            | Rule::NewService
            | Rule::NewRegion
            | Rule::Restatement
    );
    let repeat_after = match severity {
        _ if happened => NEVER,
        Critical => DAILY,
        Warning => EVERY_THREE_DAYS,
        Info => NEVER,
    };
    Usual {
        enabled: !matches!(rule, Rule::FloorForecast | Rule::ClusterBelowTier),
        severity,
        repeat_after,
        fires_after,
        clears_after,
    }
}

macro_rules! policies {
    ($($(#[$doc:meta])* $name:ident: $thresholds:ty = $rule:ident),* $(,)?) => {
        /// What is configured of every rule.
        #[derive(Debug, Clone, PartialEq)]
        pub struct AlertPolicies {
            $($(#[$doc])* pub $name: RulePolicies<$thresholds>,)*
            /// The receivers of bands that name their own.
            pub band_receivers: BTreeMap<String, String>,
            /// Every configured band.
            pub bands: BTreeSet<String>,
        }

        impl Default for AlertPolicies {
            fn default() -> Self {
                Self {
                    $($name: RulePolicies::usual(AlertRule::$rule),)*
                    band_receivers: BTreeMap::new(),
                    bands: BTreeSet::new(),
                }
            }
        }

        impl AlertPolicies {
            /// Whether the rule of an alert is on for it, and who is told.
            fn told(&self, key: &AlertKey) -> (bool, Option<&Vec<String>>, SignedDuration) {
                match key.rule {
                    $(AlertRule::$rule => {
                        let of = self.$name.of(key);
                        (of.enabled, of.receivers.as_ref(), of.repeat_after)
                    })*
                }
            }
        }
    };
}

policies! {
    /// Booked money above the ceiling.
    ceiling_exceeded: Health = CeilingExceeded,
    /// A month that will end above the ceiling.
    ceiling_forecast: CeilingForecast = CeilingForecast,
    /// The last days burn far too much.
    pace_fast: PaceFast = PaceFast,
    /// The last week burns too much.
    pace_slow: PaceSlow = PaceSlow,
    /// A month that will end below the floor.
    floor_forecast: FloorForecast = FloorForecast,
    /// Days that stand out.
    spend_anomaly: Spike = SpendAnomaly,
    /// Levels that moved.
    level_shift: LevelShift = LevelShift,
    /// Services that are new.
    new_service: NewValue = NewService,
    /// Regions that are new.
    new_region: NewValue = NewRegion,
    /// GPU money that does nothing.
    gpu_idle_money: GpuIdleMoney = GpuIdleMoney,
    /// GPUs that wait.
    gpu_under_fed: GpuUnderFed = GpuUnderFed,
    /// Clusters that are too small.
    cluster_below_tier: ClusterBelowTier = ClusterBelowTier,
    /// Machines that are paid for and not seen.
    reservation_not_running: ReservationNotRunning = ReservationNotRunning,
    /// Bills that are late.
    billing_data_late: BillingDataLate = BillingDataLate,
    /// Sources that cannot be read.
    source_failing: Health = SourceFailing,
    /// Credentials that are refused.
    identity_wrong: Health = IdentityWrong,
    /// Months and days that moved after they were complete.
    restatement: Restated = Restatement,
    /// Totals that do not agree.
    reconciliation_difference: ReconciliationDifference = ReconciliationDifference,
    /// Caps of requests.
    cap_nearly_spent: CapNearlySpent = CapNearlySpent,
    /// Forecasts that were wrong.
    forecast_off: ForecastOff = ForecastOff,
    /// Receivers that take nothing.
    receiver_failing: Health = ReceiverFailing,
    /// A ledger that keeps nothing.
    ledger_failing: Health = LedgerFailing,
}

/// Who is told of an alert, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// Receivers by name; none for every receiver.
    pub receivers: Option<Vec<String>>,
    /// An alert that nobody has taken is told again after so long; zero for never.
    pub repeat_after: SignedDuration,
}

impl Routing {
    /// Whether a recipient is among those who are told.
    pub fn names(&self, recipient: &Recipient) -> bool {
        self.receivers.as_ref().is_none_or(|names| names.contains(&recipient.name))
    }
}

impl AlertPolicies {
    /// Who is told of an alert: the receivers of its rule, else those of its band.
    pub fn routing(&self, key: &AlertKey) -> Routing {
        let (_, named, repeat_after) = self.told(key);
        let of_band = || {
            let receiver = self.band_receivers.get(key.about(Subject::Band)?)?;
            Some(vec![receiver.clone()])
        };
        Routing { receivers: named.cloned().or_else(of_band), repeat_after }
    }

    /// Whether the rule of an alert is on for it.
    pub fn is_on(&self, key: &AlertKey) -> bool {
        self.told(key).0
    }
}

#[cfg(test)]
mod tests;
