//! What a user writes of alerts: for each rule a list of entries.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::file::{CloudName, GpuProvider};
use crate::config::values::{Figure, Span};

/// How much an alert matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeverityWord {
    /// Somebody is woken.
    Critical,
    /// Somebody looks within the day.
    Warning,
    /// Nobody need do anything.
    Info,
}

/// A tier of the guide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TierWord {
    /// A100 40GB.
    Minimum,
    /// A100 80GB.
    Recommended,
    /// H100 80GB, and anything newer and larger.
    Optimal,
}

/// What every rule that counts days of data takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct DaysFile {
    /// Whether the rule looks at all.
    pub enabled: Option<bool>,
    /// How much it matters.
    pub severity: Option<SeverityWord>,
    /// The receivers that are told; by default that of the band, else all of them.
    pub receivers: Option<Vec<String>>,
    /// An alert that nobody has taken is told again after so long; `0s` for never.
    pub repeat_after: Option<Span>,
    /// It fires once it is so on so many new complete days, 1 to 60; `1` fires at once.
    #[schemars(range(min = 1, max = 60))]
    pub fires_after_days: Option<u32>,
    /// It is over once it is not so on so many new complete days, 1 to 60.
    #[schemars(range(min = 1, max = 60))]
    pub clears_after_days: Option<u32>,
}

/// What every rule that goes by the clock takes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct TimeFile {
    /// Whether the rule looks at all.
    pub enabled: Option<bool>,
    /// How much it matters.
    pub severity: Option<SeverityWord>,
    /// The receivers that are told; all of them by default.
    pub receivers: Option<Vec<String>>,
    /// An alert that nobody has taken is told again after so long; `0s` for never.
    pub repeat_after: Option<Span>,
    /// It fires once it was so for so long.
    pub fires_after: Option<Span>,
    /// It is over once it was not so for so long.
    pub clears_after: Option<Span>,
}

/// Which bands an entry is about.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct BandScopeFile {
    /// The bands that the entry is about; all by default.
    pub bands: Option<Vec<String>>,
}

/// Which bills an entry is about.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct SourceScopeFile {
    /// The sources that the entry is about, by name: of bills, and for `source_failing` also of GPU
    /// telemetry; all by default.
    pub sources: Option<Vec<String>>,
    /// The clouds that the entry is about; all by default.
    pub providers: Option<Vec<CloudName>>,
}

/// Which GPUs an entry is about.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct GpuScopeFile {
    /// The clouds that the entry is about, `none` for one's own hardware; all by default.
    pub providers: Option<Vec<GpuProvider>>,
    /// The clusters that the entry is about; all by default.
    pub clusters: Option<Vec<String>>,
}

macro_rules! entries {
    ($($(#[$meta:meta])* $name:ident($common:ty, $scope:ty) {
        $($(#[$doc:meta])* $field:ident: $kind:ty),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
        pub struct $name {
            /// What every rule takes.
            #[serde(flatten)]
            pub common: $common,
            /// What the entry is about.
            #[serde(flatten)]
            pub scope: $scope,
            $($(#[$doc])* pub $field: Option<$kind>,)*
        }
    )*};
}

entries! {
    /// An entry of `ceiling_exceeded`.
    CeilingExceededFile(DaysFile, BandScopeFile) {}

    /// An entry of `ceiling_forecast`.
    CeilingForecastFile(DaysFile, BandScopeFile) {
        /// From this probability of ending above the ceiling on; `0.5` by default, `0.2` looks at
        /// the cautious 0.8 quantile.
        probability: Figure,
        /// It is over once the month's end, by the quantile that belongs to `probability`, is at
        /// most so much of the ceiling; `0.97` by default.
        clear_at: Figure,
        /// With fewer complete days of the month and fewer days of history than
        /// `minimum_history_days` nothing is told; `5` by default.
        minimum_complete_days: u32,
        /// With so many days of history the month's first days are enough; `28` by default.
        minimum_history_days: u32,
    }

    /// An entry of `pace_fast`. A burn rate is what a complete day costs over what a day may cost.
    PaceFastFile(DaysFile, BandScopeFile) {
        /// Burn rate over the newest complete day, from which on it is met; `2` by default.
        one_day: Figure,
        /// Burn rate over three complete days, which must be met too; `1.5` by default.
        three_days: Figure,
        /// It is over below this burn rate over one day; `1.5` by default.
        clear_below: Figure,
    }

    /// An entry of `pace_slow`.
    PaceSlowFile(DaysFile, BandScopeFile) {
        /// Burn rate over seven complete days, from which on it is met where the median of the
        /// month's end is above the ceiling; `1.1` by default.
        seven_days: Figure,
        /// It is over below this burn rate over seven days; `1` by default.
        clear_below: Figure,
        /// It is over too once the median of the month's end is at most so much of the ceiling;
        /// `0.97` by default.
        clear_at: Figure,
    }

    /// An entry of `floor_forecast`.
    FloorForecastFile(DaysFile, BandScopeFile) {
        /// From this probability of ending below the floor on; `0.8` by default.
        probability: Figure,
        /// It is over once the month's end, by the quantile of `probability`, is at least so much
        /// of the floor; `1.03` by default.
        clear_at: Figure,
        /// With fewer complete days of the month nothing is told; `7` by default.
        minimum_complete_days: u32,
    }

    /// An entry of `forecast_off`.
    ForecastOffFile(DaysFile, BandScopeFile) {
        /// Past forecasts were off by more than this part in the mean; `0.25` by default.
        error: Figure,
        /// Fewer past forecasts say nothing; `6` by default.
        minimum_forecasts: u32,
    }

    /// An entry of `spend_anomaly`.
    SpikeFile(DaysFile, SourceScopeFile) {
        /// The least difference over all its days, in the bill's currency; `100` by default.
        least_excess: Figure,
        /// Whether days that cost too little are told too; not by default.
        drops: bool,
        /// So many complete days after its last one it is over; `3` by default.
        days_told: u32,
    }

    /// An entry of `level_shift`.
    LevelShiftFile(DaysFile, SourceScopeFile) {
        /// The least difference of a day, in the bill's currency; `50` by default.
        least_excess_per_day: Figure,
        /// Whether levels that fell are told too; not by default.
        drops: bool,
    }

    /// An entry of `new_service` or `new_region`.
    NewValueFile(DaysFile, SourceScopeFile) {
        /// The least cost on complete days since its first, in the bill's currency; `100` by
        /// default.
        least_cost: Figure,
        /// So many days after its first it is not new any more; `14` by default.
        new_for_days: u32,
        /// A bill that knows fewer days before it tells nothing as new; `28` by default.
        minimum_history_days: u32,
    }

    /// An entry of `reconciliation_difference`.
    ReconciliationFile(DaysFile, SourceScopeFile) {
        /// The difference is more than this part of the month's total; `0.001` by default,
        relative: Figure,
        /// and more than so much in the bill's currency; `1` by default.
        absolute: Figure,
    }

    /// An entry of `billing_data_late`.
    BillingDataLateFile(TimeFile, SourceScopeFile) {
        /// The newest complete day is so much older than the bill's usual lag; `48h` by default.
        late_after: Span,
        /// From so much on it is critical; `72h` by default.
        critical_after: Span,
    }

    /// An entry of `source_failing` or `identity_wrong`.
    SourceHealthFile(TimeFile, SourceScopeFile) {}

    /// An entry of `restatement`.
    RestatementFile(TimeFile, SourceScopeFile) {
        /// A month moved by more than this part after it was closed; `0.01` by default.
        month_share: Figure,
        /// A complete day fell by more than this part; `0.2` by default.
        day_fall: Figure,
        /// The least money of either, in the bill's currency; `10` by default.
        least_amount: Figure,
        /// It is over so long after the newest of it, 14 days at most; `72h` by default.
        told_for: Span,
    }

    /// An entry of `cap_nearly_spent`.
    CapFile(TimeFile, SourceScopeFile) {
        /// From this part of `monthly_cap` on; `0.8` by default.
        share: Figure,
    }

    /// An entry of `gpu_idle_money`.
    GpuIdleMoneyFile(DaysFile, GpuScopeFile) {
        /// The least share of idle money in the GPU money of seven days; `0.3` by default,
        share: Figure,
        /// and the least idle money; `500` by default.
        least_cost: Figure,
    }

    /// An entry of `gpu_under_fed`.
    GpuUnderFedFile(DaysFile, GpuScopeFile) {
        /// The workloads that the entry is about, each a namespace, or `namespace/name`. Workloads
        /// are looked at where they are named; fleets always.
        workloads: Vec<String>,
        /// The least share of GPU time that is held idle or low in seven days; `0.6` by default,
        share: Figure,
        /// and the least cost of that time; `500` by default.
        least_cost: Figure,
    }

    /// An entry of `reservation_not_running`.
    ReservationFile(DaysFile, ProviderScopeFile) {
        /// The least cost in seven days; `100` by default.
        least_cost: Figure,
    }

    /// An entry of `cluster_below_tier`.
    ClusterTierFile(TimeFile, GpuScopeFile) {
        /// The least tier; `minimum` by default.
        tier: TierWord,
    }
}

/// Which clouds an entry is about.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct ProviderScopeFile {
    /// The clouds that the entry is about; all by default.
    pub providers: Option<Vec<CloudName>>,
}

/// Rules, each with its entries. The first entry whose scope matches holds; where none does, the
/// defaults.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertsFile {
    /// The money booked is above the ceiling: critical, at once.
    pub ceiling_exceeded: Option<Vec<CeilingExceededFile>>,
    /// The month is expected to end above the ceiling: a warning, after 2 days.
    pub ceiling_forecast: Option<Vec<CeilingForecastFile>>,
    /// The last days burn the ceiling: critical, at once.
    pub pace_fast: Option<Vec<PaceFastFile>>,
    /// The last week burns more than the ceiling allows: a warning, after 2 days.
    pub pace_slow: Option<Vec<PaceSlowFile>>,
    /// The month is expected to end below the floor: off by default, since little spend is seldom a
    /// fault and is often seen late.
    pub floor_forecast: Option<Vec<FloorForecastFile>>,
    /// Days that cost more than they should have: a warning, at once.
    pub spend_anomaly: Option<Vec<SpikeFile>>,
    /// The level of a cost moved and stays: a warning, at once.
    pub level_shift: Option<Vec<LevelShiftFile>>,
    /// A service costs money that never did: a warning, at once.
    pub new_service: Option<Vec<NewValueFile>>,
    /// A region costs money that never did: a warning, at once.
    pub new_region: Option<Vec<NewValueFile>>,
    /// Much of the money of a cluster's GPUs does nothing: a warning, at once.
    pub gpu_idle_money: Option<Vec<GpuIdleMoneyFile>>,
    /// GPUs of a fleet are held and wait: a warning, at once.
    pub gpu_under_fed: Option<Vec<GpuUnderFedFile>>,
    /// A cluster is below a tier of the guide: off by default, since not every cluster is for such
    /// models.
    pub cluster_below_tier: Option<Vec<ClusterTierFile>>,
    /// Machines are paid for and no GPU of them is seen: a warning, at once.
    pub reservation_not_running: Option<Vec<ReservationFile>>,
    /// A bill's newest complete day is too old: a warning, later critical.
    pub billing_data_late: Option<Vec<BillingDataLateFile>>,
    /// A bill or GPU telemetry cannot be read: a warning, after 2 hours.
    pub source_failing: Option<Vec<SourceHealthFile>>,
    /// A bill refuses the credentials or the identity: critical, after half an hour.
    pub identity_wrong: Option<Vec<SourceHealthFile>>,
    /// A closed month moved, or a complete day fell: a warning, at once.
    pub restatement: Option<Vec<RestatementFile>>,
    /// A bill's rows and the provider's own total differ: a warning, at once.
    pub reconciliation_difference: Option<Vec<ReconciliationFile>>,
    /// The monthly cap of a bill's requests is nearly spent: a warning, at once.
    pub cap_nearly_spent: Option<Vec<CapFile>>,
    /// Past forecasts of a band were badly off: for information, after 2 days.
    pub forecast_off: Option<Vec<ForecastOffFile>>,
    /// A receiver takes no messages: a warning through the others, after half an hour.
    pub receiver_failing: Option<Vec<TimeFile>>,
    /// The ledger keeps nothing: critical, after 5 minutes.
    pub ledger_failing: Option<Vec<TimeFile>>,
}
