//! Every metric's name, type, help text and labels, once. The page, the self metrics, the
//! documentation and the dashboards are held against this table by tests.

/// The type of a metric in the exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up.
    Counter,
    /// Buckets, a sum and a count.
    Histogram,
}

impl Kind {
    /// The word on the page.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The whole name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its help text.
    pub help: &'static str,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Family = Family {
                name: concat!("costband_", $name),
                kind: Kind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )*
        /// Every family of the contract, in the order of the page.
        pub const ALL: &[Family] = &[$($constant),*];
    };
}

families! {
    BILLED_COST = Gauge "billed_cost" ["source", "provider", "currency", "period"]
        "Usage and purchases of the billing period as invoiced, before tax, refunds and promotional credits.";
    EFFECTIVE_COST = Gauge "effective_cost" ["source", "provider", "currency", "period"]
        "Usage and purchases of the billing period with commitments amortised, before tax, refunds and promotional credits.";
    EXCLUDED_COST = Gauge "excluded_cost" ["source", "provider", "currency", "period", "kind"]
        "Billed cost of the billing period that is not spend: tax, promotional credits, refunds.";
    SERVICE_BILLED_COST = Gauge "service_billed_cost" ["source", "provider", "currency", "period", "service_name"]
        "Billed cost of the billing period by service.";
    SERVICE_EFFECTIVE_COST = Gauge "service_effective_cost" ["source", "provider", "currency", "period", "service_name"]
        "Effective cost of the billing period by service.";
    SUB_ACCOUNT_BILLED_COST = Gauge "sub_account_billed_cost" ["source", "provider", "currency", "period", "sub_account_id"]
        "Billed cost of the billing period by AWS account, GCP project or Azure subscription.";
    SUB_ACCOUNT_EFFECTIVE_COST = Gauge "sub_account_effective_cost" ["source", "provider", "currency", "period", "sub_account_id"]
        "Effective cost of the billing period by AWS account, GCP project or Azure subscription.";
    SUB_ACCOUNT_INFO = Gauge "sub_account_info" ["source", "provider", "sub_account_id", "sub_account_name"]
        "The name of a sub-account; always 1.";
    REGION_BILLED_COST = Gauge "region_billed_cost" ["source", "provider", "currency", "period", "region_id"]
        "Billed cost of the billing period by region.";
    REGION_EFFECTIVE_COST = Gauge "region_effective_cost" ["source", "provider", "currency", "period", "region_id"]
        "Effective cost of the billing period by region.";
    EFFECTIVE_COST_LAST_COMPLETE_DAY = Gauge "effective_cost_last_complete_day" ["source", "provider", "currency"]
        "Effective cost of the newest complete usage day.";
    BILLING_DATA_THROUGH = Gauge "billing_data_through_timestamp_seconds" ["source", "provider"]
        "Up to when the provider's billing data reaches, in seconds since the epoch.";
    BILLING_COMPLETE_THROUGH = Gauge "billing_complete_through_timestamp_seconds" ["source", "provider"]
        "The end of the newest complete usage day, in seconds since the epoch.";
    BILLING_PERIOD_START = Gauge "billing_period_start_timestamp_seconds" ["source", "provider", "period"]
        "The first instant of the billing period, in seconds since the epoch.";
    BILLING_PERIOD_FINAL = Gauge "billing_period_final" ["source", "provider", "period"]
        "1 if the provider will not change the billing period any more, else 0.";
    BILLING_RECONCILIATION_DIFFERENCE = Gauge "billing_reconciliation_difference" ["source", "provider", "currency", "period"]
        "The provider's own ungrouped total less the sum by group.";
    RESTATEMENTS_TOTAL = Counter "restatements_total" ["source", "provider"]
        "Usage days that moved after they had been complete.";
    BAND_FLOOR = Gauge "band_floor" ["band", "currency", "period"]
        "The least that is expected of the billing period.";
    BAND_CEILING = Gauge "band_ceiling" ["band", "currency", "period"]
        "The most that is allowed in the billing period.";
    BAND_SPEND = Gauge "band_spend" ["band", "currency", "period"]
        "Spend of the billing period in the band, so far.";
    BAND_EXPECTED_COST = Gauge "band_expected_cost" ["band", "currency", "period"]
        "What the GPU nodes of now cost in the whole billing period at their prices.";
    BAND_CEILING_USED_RATIO = Gauge "band_ceiling_used_ratio" ["band", "currency", "period"]
        "Spend of the billing period as a share of the ceiling.";
    BAND_STATUS = Gauge "band_status" ["band", "currency", "period", "view", "status"]
        "1 for the status that holds under a view, 0 for the others.";
    BAND_FORECAST = Gauge "band_forecast" ["band", "currency", "period", "probability"]
        "What spend of the billing period will stay under with a probability.";
    BAND_BREACH_PROBABILITY = Gauge "band_breach_probability" ["band", "currency", "period", "side"]
        "Probability that the billing period ends above the ceiling or below the floor.";
    BAND_CROSSING = Gauge "band_crossing_timestamp_seconds" ["band", "currency", "period", "probability"]
        "End of the first day on which this quantile of spend reaches the ceiling: the day of 0.8 is the earlier, cautious one. Absent where that is not within the period.";
    BAND_BURN_RATE = Gauge "band_burn_rate" ["band", "currency", "period", "days"]
        "What one of the newest 1, 3 or 7 complete days cost over what a day may cost: at 1 the month ends at its ceiling.";
    GPUS = Gauge "gpus" ["provider", "cluster", "model", "capacity_type"]
        "GPUs that telemetry sees, each device once, however it is split.";
    GPU_INFO = Gauge "gpu_info" ["gpu_uuid", "model", "tier"]
        "A GPU of the agent's own node or pod and where it stands against the hardware guide; always 1. Of node agents and sidecars.";
    GPU_UTILIZATION_RATIO = Gauge "gpu_utilization_ratio" ["provider", "cluster", "model", "capacity_type"]
        "Mean utilization of the GPUs whose utilization is known, 0 to 1.";
    GPU_MEMORY_USED_BYTES = Gauge "gpu_memory_used_bytes" ["provider", "cluster", "model", "capacity_type"]
        "GPU memory in use, summed over the GPUs whose use is known.";
    GPU_MEMORY_TOTAL_BYTES = Gauge "gpu_memory_total_bytes" ["provider", "cluster", "model", "capacity_type"]
        "GPU memory in all, summed over the GPUs whose memory is known.";
    GPU_SECONDS_TOTAL = Counter "gpu_seconds_total" ["provider", "cluster", "model", "capacity_type", "state"]
        "GPU time that was counted, by what the GPU did.";
    GPU_COST = Gauge "gpu_cost" ["provider", "currency", "period", "state"]
        "Effective cost of GPUs in the billing period by what they did: as billed on complete days, estimated on the others.";
    GPU_COST_ESTIMATED = Gauge "gpu_cost_estimated" ["provider", "currency", "period"]
        "How much of gpu_cost no complete bill stands behind yet.";
    GPU_COST_RESIDUAL = Gauge "gpu_cost_residual" ["provider", "currency", "period", "residual"]
        "Effective cost on complete days that is in no state: hours without telemetry, and what is no GPU's.";
    GPU_HOUR_PRICE = Gauge "gpu_hour_price" ["provider", "cluster", "region_id", "instance_type", "model", "capacity_type", "currency", "price_source"]
        "What an hour of one GPU costs.";
    GPU_HOUR_PRICE_SELECTED = Gauge "gpu_hour_price_selected" ["provider", "cluster", "region_id", "instance_type", "model", "capacity_type", "price_source"]
        "1 for the source of the price that is used, 0 for the others.";
    GPU_SOURCE_UP = Gauge "gpu_source_up" ["source", "provider", "cluster"]
        "1 if the newest reading of the GPU telemetry source did well, 0 if it failed.";
    GPU_TELEMETRY_COVERAGE_RATIO = Gauge "gpu_telemetry_coverage_ratio" ["provider", "cluster"]
        "GPUs that tell something as a share of those that the known nodes should have.";
    GPU_NOWCAST_ERROR_RATIO = Gauge "gpu_nowcast_error_ratio" ["provider"]
        "By how much estimates of the newest complete days were above their bills, as a share of the bills.";
    CLUSTER_TIER = Gauge "cluster_tier" ["provider", "cluster", "tier"]
        "1 for the tier of the hardware guide that the cluster reaches, 0 for the others.";
    WORKLOAD_GPU_SECONDS_TOTAL = Counter "workload_gpu_seconds_total" ["workload_namespace", "workload_name", "state"]
        "GPU time that the sidecar's own pod held, by what the GPU did.";
    WORKLOAD_GPU_COST = Gauge "workload_gpu_cost" ["workload_namespace", "workload_name", "currency", "period"]
        "Effective cost of the GPUs that a workload held in the billing period.";
    WORKLOAD_GPU_IDLE_COST = Gauge "workload_gpu_idle_cost" ["workload_namespace", "workload_name", "currency", "period"]
        "The part of workload_gpu_cost in which the GPUs were idle.";
    ALERTS = Gauge "alerts" ["alert", "state"]
        "Alerts of the agent by rule, pending and firing, whoever tells them.";
    SERIES_FOLDED_TOTAL = Counter "series_folded_total" ["source", "dimension"]
        "Dimension values that were folded into __other__.";
    SOURCE_UP = Gauge "source_up" ["source", "provider"]
        "1 if the newest poll of the source did well, 0 if it failed.";
    SOURCE_LAST_SUCCESS = Gauge "source_last_success_timestamp_seconds" ["source", "provider"]
        "When the newest good poll was committed, in seconds since the epoch.";
    SOURCE_POLLS_TOTAL = Counter "source_polls_total" ["source", "outcome"]
        "Polls that ended: success, or a kind of error.";
    SOURCE_POLL_DURATION = Histogram "source_poll_duration_seconds" ["source"]
        "How long polls took.";
    SOURCE_API_REQUESTS_TOTAL = Counter "source_api_requests_total" ["source", "operation"]
        "Requests sent to a provider.";
    SOURCE_API_COST_TOTAL = Counter "source_api_cost_total" ["source", "currency"]
        "Money reserved for requests to a provider.";
    SOURCE_API_MONTH_COST = Gauge "source_api_month_cost" ["source", "currency"]
        "Money reserved for requests to a provider in the calendar month (UTC).";
    SOURCE_API_COST_CAP = Gauge "source_api_cost_cap" ["source", "currency"]
        "The most that requests to a provider may cost in a calendar month (UTC).";
    SOURCE_QUOTA_REMAINING = Gauge "source_quota_remaining" ["source", "quota", "window"]
        "What a provider's quota has left.";
    GPU_SAMPLES_DROPPED_TOTAL = Counter "gpu_samples_dropped_total" ["source", "reason"]
        "GPU telemetry that was no measurement, by why: sentinel, out_of_range, not_a_number, too_many_pods.";
    NODES_HEARD = Gauge "node_inventory_last_success_timestamp_seconds" ["cluster"]
        "When the Kubernetes API of a cluster last told of its nodes, in seconds since the epoch.";
    NOTIFICATIONS_TOTAL = Counter "notifications_total" ["receiver", "outcome"]
        "Notifications by outcome: sent, failed, or dropped.";
    LEDGER_ERRORS_TOTAL = Counter "ledger_errors_total" ["operation"]
        "Ledger operations that failed.";
    CONFIG_LAST_RELOAD_SUCCESSFUL = Gauge "config_last_reload_successful" []
        "1 if the configuration file as it was last found is what runs, 0 if it could not be taken.";
    CONFIG_LAST_RELOAD_SUCCESS = Gauge "config_last_reload_success_timestamp_seconds" []
        "When a configuration was last taken, in seconds since the epoch.";
    LEADER = Gauge "leader" []
        "1 if this process polls and notifies.";
    BUILD_INFO = Gauge "build_info" ["version"]
        "The running version; always 1.";
}
