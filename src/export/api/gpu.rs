//! The documents of GPU time and money.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::gpu_money::{
    ClusterTier, FleetMoney, FleetNow, GpuHourPrice, GpuMoney, GpuPicture, NodeNow, NotGpu,
    PaidNotRunning, PartMoney, PeriodPicture, ProviderMoney, StateMoney, WorkloadMoney, hours,
};
use crate::domain::gpu_time::{StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::machine::GpuModel;
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::snapshot::Snapshot;

/// Amounts as they are told: exact to a millionth of a unit of money.
pub(super) fn amount(amount: Decimal) -> String {
    amount.round_dp(6).normalize().to_string()
}

/// GPUs that are counted and priced together.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FleetView {
    /// The cloud; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The cluster.
    pub cluster: String,
    /// The machine type, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The region, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region_id: Option<String>,
    /// `on_demand`, `spot`, `reserved` or `unknown`.
    pub capacity_type: String,
    /// The GPU's model: `H100 80GB`, or as its driver tells it where it is not known.
    pub model: String,
}

/// A price of one GPU for one hour.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuHourPriceView {
    /// `billed`, `list` or `configured`.
    pub price_source: String,
    /// The price.
    pub price: String,
    /// Its currency.
    pub currency: String,
    /// How it was made.
    pub note: String,
}

/// A fleet as it is now.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FleetNowView {
    /// Which GPUs.
    #[serde(flatten)]
    pub fleet: FleetView,
    /// How many.
    pub gpus: u32,
    /// How busy they are on average, 0 to 1; absent where none of them tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_ratio: Option<f64>,
    /// Memory in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Memory in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Where they stand against the hardware guide; absent for a model that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Prices, the one that is used first. None is known where this is empty.
    pub prices: Vec<GpuHourPriceView>,
}

/// A node with GPUs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its GPUs' fleet.
    #[serde(flatten)]
    pub fleet: FleetView,
    /// How many GPUs telemetry tells; how many the node should have where node agents read it.
    pub gpus: u32,
    /// Whether the machine type was guessed from the GPUs, since nobody told it.
    pub instance_type_is_guessed: bool,
    /// GPUs by what they do now; parts of a GPU where it is split.
    pub states: BTreeMap<String, f64>,
    /// GPU-hours in the open billing period by what the GPUs did.
    pub gpu_hours: BTreeMap<String, String>,
    /// Where its GPUs stand against the hardware guide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Prices of a GPU-hour, the one that is used first.
    pub prices: Vec<GpuHourPriceView>,
}

/// The document of one node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeDocument {
    /// When the snapshot was made, RFC 3339.
    pub as_of: String,
    /// The node.
    #[serde(flatten)]
    pub node: NodeView,
}

/// A cluster against the hardware guide.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClusterView {
    /// The cloud; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The cluster.
    pub cluster: String,
    /// `below_minimum`, `minimum`, `recommended` or `optimal`.
    pub tier: String,
    /// GPUs of the minimum's kind or better.
    pub gpus: u32,
    /// Their memory in decimal gigabytes.
    pub memory_gb: u64,
    /// Fast local storage in decimal gigabytes, as far as machine types tell it.
    pub storage_gb: u64,
    /// What is missing to the next tier.
    pub missing: Vec<String>,
}

/// GPU money of a billing period.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuPeriodView {
    /// The billing period, `2026-11`.
    pub period: String,
    /// `current` or `previous`.
    pub period_label: String,
    /// By cloud and currency.
    pub costs: Vec<GpuCostView>,
    /// By fleet.
    pub fleets: Vec<FleetCostView>,
    /// By workload, the most wasteful first.
    pub workloads: Vec<WorkloadCostView>,
    /// Machines that were paid for while no GPU of them was seen, the dearest first.
    pub paid_not_running: Vec<PaidNotRunningView>,
}

/// GPU money of a cloud.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuCostView {
    /// The cloud; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The currency of every amount here.
    pub currency: String,
    /// Effective cost by what the GPUs did.
    pub states: BTreeMap<String, String>,
    /// How much of it no complete bill stands behind yet.
    pub estimated: String,
    /// Effective cost on complete days that is in no state.
    pub residuals: BTreeMap<String, String>,
}

/// GPU time and money of a fleet.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FleetCostView {
    /// Which GPUs.
    #[serde(flatten)]
    pub fleet: FleetView,
    /// GPU-hours by what the GPUs did.
    pub gpu_hours: BTreeMap<String, String>,
    /// GPU-hours that have no price.
    pub unpriced_gpu_hours: String,
    /// The currency of the amounts; absent where nothing has a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Effective cost by what the GPUs did.
    pub states: BTreeMap<String, String>,
    /// All of it over the busy hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_busy_gpu_hour: Option<String>,
}

/// GPU time and money of a workload.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorkloadCostView {
    /// Its namespace.
    pub workload_namespace: String,
    /// Its name.
    pub workload_name: String,
    /// The currency.
    pub currency: String,
    /// What its GPUs cost.
    pub cost: String,
    /// What of it went to idle GPUs.
    pub idle_cost: String,
    /// GPU-hours by what the GPUs did.
    pub gpu_hours: BTreeMap<String, String>,
}

/// Machines that were paid for and not seen.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PaidNotRunningView {
    /// The cloud.
    pub provider: String,
    /// The region.
    pub region_id: String,
    /// The machine type; on Google Cloud the kind of GPU.
    pub machine: String,
    /// Whether it is spot capacity.
    pub spot: bool,
    /// The currency.
    pub currency: String,
    /// What was billed for the hours that nobody saw.
    pub cost: String,
    /// How many GPU-hours these are; absent where the bill does not tell hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<String>,
}

/// What the nodes of now cost in a whole month, beside a band.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ExpectedView {
    /// The band.
    pub band: String,
    /// The billing period.
    pub period: String,
    /// Nodes x price x hours.
    pub cost: String,
    /// Its currency.
    pub currency: String,
    /// The same in words.
    pub sentence: String,
}

pub(super) fn provider(provider: Option<Provider>) -> Option<String> {
    provider.map(|provider| provider.to_string())
}

pub(super) fn fleet(fleet: &Fleet) -> FleetView {
    FleetView {
        provider: provider(fleet.provider),
        cluster: fleet.cluster.clone(),
        instance_type: fleet.instance_type.clone(),
        region_id: fleet.region_id.clone(),
        capacity_type: fleet.capacity_type.as_str().to_owned(),
        model: fleet.model.clone(),
    }
}

fn prices(prices: &[GpuHourPrice]) -> Vec<GpuHourPriceView> {
    let view = |price: &GpuHourPrice| GpuHourPriceView {
        price_source: price.source.as_str().to_owned(),
        price: amount(price.price.amount),
        currency: price.price.currency.to_string(),
        note: price.note.to_string(),
    };
    prices.iter().map(view).collect()
}

/// The fleets of a picture.
pub(super) fn fleets(picture: &GpuPicture) -> Vec<FleetNowView> {
    let view = |now: &FleetNow| FleetNowView {
        fleet: fleet(&now.fleet),
        gpus: now.gpus,
        utilization_ratio: now.utilization,
        memory_used_bytes: now.memory_used_bytes,
        memory_total_bytes: now.memory_total_bytes,
        tier: now.tier.map(|tier| tier.as_str().to_owned()),
        prices: prices(&now.prices),
    };
    picture.fleets.iter().map(view).collect()
}

fn node(picture: &GpuPicture, node: &NodeNow) -> NodeView {
    let priced = picture.fleets.iter().find(|now| now.fleet == node.fleet);
    let known = priced.map(|now| &now.prices).or_else(|| picture.silent_prices.get(&node.fleet));
    let time = picture.node_times.get(&(node.name.clone(), node.fleet.clone()));
    NodeView {
        name: node.name.clone(),
        fleet: fleet(&node.fleet),
        gpus: node.gpus,
        instance_type_is_guessed: node.guessed && node.fleet.instance_type.is_some(),
        states: node
            .states
            .iter()
            .map(|(state, gpus)| (state.as_str().to_owned(), *gpus))
            .collect(),
        gpu_hours: time.map(gpu_hours).unwrap_or_default(),
        tier: GpuModel::of(&node.fleet.model).map(|model| model.tier.as_str().to_owned()),
        prices: known.map_or_else(Vec::new, |known| prices(known)),
    }
}

/// The nodes of a picture.
pub(super) fn nodes(picture: &GpuPicture) -> Vec<NodeView> {
    picture.nodes.iter().map(|now| node(picture, now)).collect()
}

/// One node by its name, whether telemetry here tells of it or a node agent reads it.
pub fn node_named(snapshot: &Snapshot, name: &str) -> Option<NodeDocument> {
    let picture = &snapshot.gpu;
    let mut nodes = picture.nodes.iter().chain(&picture.silent_nodes);
    let found = nodes.find(|node| node.name == name)?;
    Some(NodeDocument { as_of: snapshot.at.to_string(), node: node(picture, found) })
}

/// The clusters of a picture.
pub(super) fn clusters(picture: &GpuPicture) -> Vec<ClusterView> {
    let view = |cluster: &ClusterTier| ClusterView {
        provider: provider(cluster.provider),
        cluster: cluster.cluster.clone(),
        tier: cluster.tier.as_str().to_owned(),
        gpus: cluster.gpus,
        memory_gb: cluster.memory_gb,
        storage_gb: cluster.storage_gb,
        missing: cluster.missing.iter().map(ToString::to_string).collect(),
    };
    picture.clusters.iter().map(view).collect()
}

pub(super) fn gpu_hours(time: &StateTime) -> BTreeMap<String, String> {
    let told = time.iter().filter(|(_, milliseconds)| *milliseconds > 0);
    told.map(|(state, milliseconds)| (state.as_str().to_owned(), amount(hours(milliseconds))))
        .collect()
}

pub(super) fn fleet_cost(of: &FleetMoney) -> FleetCostView {
    FleetCostView {
        fleet: fleet(&of.fleet),
        gpu_hours: gpu_hours(&of.time),
        unpriced_gpu_hours: amount(hours(if of.money.is_some() { 0 } else { of.time.total() })),
        currency: of.money.as_ref().map(|(currency, _)| currency.to_string()),
        states: of.money.as_ref().map(|(_, sums)| states(sums)).unwrap_or_default(),
        price_per_busy_gpu_hour: of.busy_hour_price().map(|(_, price)| amount(price)),
    }
}

pub(super) fn workload(of: &WorkloadMoney) -> WorkloadCostView {
    part(&of.of, of)
}

pub(super) fn part<T>(workload: &Workload, of: &PartMoney<T>) -> WorkloadCostView {
    WorkloadCostView {
        workload_namespace: workload.namespace.clone(),
        workload_name: workload.name.clone(),
        currency: of.currency.to_string(),
        cost: amount(of.cost),
        idle_cost: amount(of.idle_cost),
        gpu_hours: gpu_hours(&of.time),
    }
}

/// The periods of a picture.
pub(super) fn periods(picture: &GpuPicture) -> Vec<GpuPeriodView> {
    picture.periods.iter().map(period).collect()
}

fn period(of: &PeriodPicture) -> GpuPeriodView {
    GpuPeriodView {
        period: of.period.to_string(),
        period_label: of.label.as_str().to_owned(),
        costs: costs(&of.money, &of.not_gpu),
        fleets: of.money.fleets.iter().map(fleet_cost).collect(),
        workloads: of.workloads.iter().map(workload).collect(),
        paid_not_running: paid_not_running(&of.money),
    }
}

pub(super) fn states(states: &StateMoney) -> BTreeMap<String, String> {
    states.iter().map(|(state, sum)| (state.as_str().to_owned(), amount(*sum))).collect()
}

pub(super) fn costs(
    money: &GpuMoney,
    not_gpu: &BTreeMap<(Provider, Currency, NotGpu), Decimal>,
) -> Vec<GpuCostView> {
    let view = |((cloud, currency), money): (&(Option<Provider>, Currency), &ProviderMoney)| {
        let rest = not_gpu
            .iter()
            .filter(|((provider, held, _), _)| Some(*provider) == *cloud && held == currency);
        let rest = rest.map(|((.., kind), sum)| (kind.as_str().to_owned(), amount(*sum)));
        let residuals = money.residuals.iter();
        GpuCostView {
            provider: provider(*cloud),
            currency: currency.to_string(),
            states: states(&money.states),
            estimated: amount(money.estimated),
            residuals: residuals
                .map(|(kind, sum)| (kind.as_str().to_owned(), amount(*sum)))
                .chain(rest)
                .collect(),
        }
    };
    money.by_provider.iter().map(view).collect()
}

pub(super) fn paid_not_running(money: &GpuMoney) -> Vec<PaidNotRunningView> {
    let view = |paid: &PaidNotRunning| PaidNotRunningView {
        provider: paid.group.provider.to_string(),
        region_id: paid.group.region_id.clone(),
        machine: paid.group.machine.clone(),
        spot: paid.group.spot,
        currency: paid.currency.to_string(),
        cost: amount(paid.cost),
        gpu_hours: paid.gpu_hours.map(amount),
    };
    money.paid_not_running.iter().map(view).collect()
}

/// What is expected beside bands.
pub(super) fn expected(picture: &GpuPicture) -> Vec<ExpectedView> {
    let told = picture.expected.iter().map(|expected| ExpectedView {
        band: expected.band.clone(),
        period: expected.period.to_string(),
        cost: amount(expected.cost.amount),
        currency: expected.cost.currency.to_string(),
        sentence: expected.to_string(),
    });
    told.collect()
}
