//! The shapes of the API's documents. Amounts are exact decimals in text; what is not known is
//! absent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::anomalies::{AnomalyView, ChangeView};
use super::gpu::{ClusterView, ExpectedView, FleetNowView, GpuPeriodView, NodeView};

/// `/api/v1/bands`: every band against its open and its previous billing period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Bands {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// One entry for each band and period.
    pub bands: Vec<Band>,
}

/// `costband report --format json`: the bands, what moved, and what GPUs cost.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    /// The bands.
    #[serde(flatten)]
    pub bands: Bands,
    /// What GPUs cost and what they did for it.
    pub gpu_periods: Vec<GpuPeriodView>,
    /// What the nodes of now cost in a whole month; empty without telemetry.
    pub gpu_expected: Vec<ExpectedView>,
    /// What stood out, as `/api/v1/anomalies` tells it.
    pub anomalies: Vec<AnomalyView>,
    /// What moved since last week.
    pub changes: Vec<ChangeView>,
}

/// A band held against one billing period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Band {
    /// The band's name.
    pub band: String,
    /// The billing period, `2026-11`.
    pub period: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// Whether the period will not change any more.
    pub is_final: bool,
    /// `effective` or `billed`.
    pub basis: String,
    /// The currency of every amount here.
    pub currency: String,
    /// The least that is expected of a whole month.
    pub floor: String,
    /// The most that is allowed in a whole month.
    pub ceiling: String,
    /// Booked so far; absent if it was never known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend: Option<String>,
    /// The days of the period that are booked or complete, ascending; empty where `spend` is absent.
    pub days: Vec<BandDayView>,
    /// The part of `spend` on complete days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_spend: Option<String>,
    /// How many days are complete.
    pub complete_days: i64,
    /// The month end at the pace of the complete days; `/api/v1/forecast` says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_rate: Option<String>,
    /// Spend as a share of the ceiling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling_used_ratio: Option<f64>,
    /// `actual`, `pace` and `forecast`.
    pub views: BTreeMap<String, View>,
    /// When the source of the scope that was read longest ago was last read well, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_as_of: Option<String>,
    /// Exchange rates that were used, in words.
    pub exchange_rates: Vec<String>,
    /// Who is asked when it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What to do when it breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
}

/// What a band cost on a day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BandDayView {
    /// The usage day.
    pub day: String,
    /// What it cost.
    pub spend: String,
    /// What is booked of the period up to this day's end; what the invoice carries of days of other
    /// months counts from the first day. The last one is the band's `spend`.
    pub total: String,
    /// `complete` where every source of the band is so, else `provisional`.
    pub completeness: String,
}

/// One view of a band.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct View {
    /// `below`, `within`, `above` or `unknown`.
    pub status: String,
    /// What was compared with what, or why it is unknown.
    pub reason: String,
}

/// `/api/v1/spend`: what every source has billed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Spend {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// One entry for each source that was ever read.
    pub sources: Vec<SourceSpendView>,
}

/// One source's money.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceSpendView {
    /// The source's name.
    pub source: String,
    /// `aws`, `gcp` or `azure`.
    pub provider: String,
    /// The open billing period first, then the previous one.
    pub periods: Vec<PeriodSpendView>,
    /// Up to when the provider's data reaches, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_through: Option<String>,
    /// The newest complete usage day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_complete_day: Option<String>,
    /// Days that moved after they had been complete.
    pub restatements_total: u64,
    /// Budgets that are kept at the provider.
    pub budgets: Vec<BudgetView>,
}

/// One source's money in one billing period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PeriodSpendView {
    /// The billing period, `2026-11`.
    pub period: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// Whether the period will not change any more.
    pub is_final: bool,
    /// Spend: usage and purchases.
    pub totals: Vec<Cost>,
    /// What spend leaves out; the key is the charge category.
    pub excluded: Vec<Cost>,
    /// Spend along each dimension that is told. Each is the whole money again: never add two.
    pub by: BTreeMap<String, Vec<Cost>>,
    /// Spend by usage day.
    pub days: Vec<DayCost>,
    /// The provider's own ungrouped total less the sum by group; the key is empty.
    pub reconciliation_difference: Vec<Difference>,
}

/// An amount on each basis. A missing basis is unknown.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cost {
    /// The dimension's value; empty for a total.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// FOCUS BilledCost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_cost: Option<String>,
    /// FOCUS EffectiveCost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_cost: Option<String>,
    /// FOCUS ListCost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_cost: Option<String>,
}

/// One usage day.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DayCost {
    /// The usage day in the provider's billing zone.
    pub day: String,
    /// `provisional`, `complete` or `final`.
    pub completeness: String,
    /// Its cost.
    #[serde(flatten)]
    pub cost: Cost,
}

/// A difference in one currency.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Difference {
    /// ISO 4217.
    pub currency: String,
    /// The amount.
    pub amount: String,
}

/// A budget that is kept at the provider.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct BudgetView {
    /// Its name there.
    pub name: String,
    /// Its amount with the currency.
    pub amount: String,
    /// What the provider says was spent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_spend: Option<String>,
    /// `Monthly` and the like.
    pub time_grain: String,
}

/// `/api/v1/sources`: how polling goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sources {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// One entry for each configured billing source.
    pub sources: Vec<SourceView>,
    /// One entry for each configured GPU telemetry source.
    pub gpu_sources: Vec<GpuSourceStatusView>,
}

/// How one source's polling goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceView {
    /// The source's name.
    pub source: String,
    /// `aws`, `gcp` or `azure`.
    pub provider: String,
    /// Whether the newest poll did well; absent before the first one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// When the newest good poll was committed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// The kind of the newest failure since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// What failed and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the next poll is due, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll: Option<String>,
    /// Reserved for paid requests in this calendar month.
    pub spent_on_requests: Vec<String>,
    /// The most that requests may cost in a calendar month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_cap: Option<String>,
}

/// How the reading of one GPU telemetry source goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuSourceStatusView {
    /// The source's name.
    pub source: String,
    /// `aws`, `gcp` or `azure`; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The configured cluster.
    pub cluster: String,
    /// Whether the newest reading did well; absent before the first one, and on a replica that
    /// follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// The newest good reading since the agent started, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// The kind of the newest failure since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// What failed and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Since when it fails, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
}

/// `/api/v1/gpu`: GPUs as telemetry tells them.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Gpus {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// One entry for each GPU telemetry source.
    pub sources: Vec<GpuSourceView>,
    /// Fleets as they are now, with their prices.
    pub fleets: Vec<FleetNowView>,
    /// Nodes as they are now.
    pub nodes: Vec<NodeView>,
    /// Clusters against the hardware guide.
    pub clusters: Vec<ClusterView>,
    /// What GPUs cost and what they did for it: the open billing period first.
    pub periods: Vec<GpuPeriodView>,
    /// What the nodes of now cost in a whole month, beside each band.
    pub expected: Vec<ExpectedView>,
    /// What providers list GPU machines and their parts at, before any discount.
    pub list_prices: Vec<ListPriceView>,
}

/// A list price of one SKU in one region.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ListPriceView {
    /// The billing source that was told it.
    pub source: String,
    /// The provider's number of the SKU.
    pub sku_id: String,
    /// What it is.
    pub description: String,
    /// The region.
    pub region_id: String,
    /// `on_demand` or `spot`.
    pub capacity_type: String,
    /// The machine type, where it is the price of whole machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// What the price is for, in UCUM: `h`, `GiBy.h`.
    pub unit: String,
    /// The price of one unit.
    pub price: String,
    /// The price's currency.
    pub currency: String,
    /// Since when it holds, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<String>,
    /// When it was read, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<String>,
}

/// What one telemetry source sees.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuSourceView {
    /// The telemetry source's name.
    pub source: String,
    /// The cloud; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The cluster.
    pub cluster: String,
    /// When it was scraped, RFC 3339.
    pub observed_at: String,
    /// Values that were not a measurement.
    pub dropped_samples: u64,
    /// Each GPU or MIG slice once.
    pub gpus: Vec<GpuView>,
}

/// One GPU. A missing figure is unknown, never idle.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuView {
    /// The device's UUID.
    pub uuid: String,
    /// The MIG GPU instance, where the device is split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig_instance: Option<String>,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// The node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_ratio: Option<f64>,
    /// Frame buffer in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Frame buffer in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// What its own health check says, where the exporter has one (AMD).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// The newest XID error that the driver told; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
}
