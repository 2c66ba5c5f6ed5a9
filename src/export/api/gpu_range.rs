//! The document of GPU time and money over some days.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::gpu::{
    FleetCostView, FleetView, GpuCostView, PaidNotRunningView, WorkloadCostView, amount, costs,
    fleet, fleet_cost, gpu_hours, paid_not_running, part, provider, states, workload,
};
use crate::domain::gpu_money::{GpuMoney, GpuRange, PartMoney, StateMoney};
use crate::domain::gpu_time::{HeldBy, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::export::metrics::OTHER;

/// So many pods are told one by one.
const MOST_PODS: usize = 1_000;

/// GPU time and money of a cluster.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ClusterCostView {
    /// The cloud; absent on premises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The cluster.
    pub cluster: String,
    /// The currency.
    pub currency: String,
    /// Effective cost by what the GPUs did.
    pub states: BTreeMap<String, String>,
}

/// GPU time and money of a pod.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PodCostView {
    /// Its name; `__other__` for pods that are not told apart.
    pub pod_name: String,
    /// Its workload and figures.
    #[serde(flatten)]
    pub cost: WorkloadCostView,
}

/// GPU time and money of a node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeCostView {
    /// Its name.
    pub name: String,
    /// Its GPUs' fleet.
    #[serde(flatten)]
    pub fleet: FleetView,
    /// The currency.
    pub currency: String,
    /// What its GPUs cost.
    pub cost: String,
    /// What of it went to idle GPUs.
    pub idle_cost: String,
    /// GPU-hours by what the GPUs did.
    pub gpu_hours: BTreeMap<String, String>,
}

/// `/api/v1/gpu/range`: GPU time and money of some days.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GpuRangeDocument {
    /// When the answer was made, RFC 3339.
    pub as_of: String,
    /// The first day, in each cloud's own billing zone.
    pub from: String,
    /// The day after the last.
    pub to: String,
    /// By cloud and currency.
    pub costs: Vec<GpuCostView>,
    /// By cluster and currency.
    pub clusters: Vec<ClusterCostView>,
    /// By fleet.
    pub fleets: Vec<FleetCostView>,
    /// By node, the most wasteful first.
    pub nodes: Vec<NodeCostView>,
    /// By workload, the most wasteful first.
    pub workloads: Vec<WorkloadCostView>,
    /// By pod, the most wasteful first; at most 1,000, the others added up as `__other__`.
    pub pods: Vec<PodCostView>,
    /// Machines that were paid for while no GPU of them was seen, the dearest first.
    pub paid_not_running: Vec<PaidNotRunningView>,
}

/// The document of some days.
pub fn gpu_range(range: &GpuRange) -> GpuRangeDocument {
    GpuRangeDocument {
        as_of: range.as_of.to_string(),
        from: range.window.start.to_string(),
        to: range.window.end.to_string(),
        costs: costs(&range.money, &BTreeMap::new()),
        clusters: cluster_costs(&range.money),
        fleets: range.money.fleets.iter().map(fleet_cost).collect(),
        nodes: range.nodes.iter().map(node_cost).collect(),
        workloads: range.workloads.iter().map(workload).collect(),
        pods: pods(&range.pods),
        paid_not_running: paid_not_running(&range.money),
    }
}

fn cluster_costs(money: &GpuMoney) -> Vec<ClusterCostView> {
    let mut clusters: BTreeMap<(Option<Provider>, &str, Currency), StateMoney> = BTreeMap::new();
    for of in &money.fleets {
        let Some((currency, states)) = &of.money else { continue };
        let key = (of.fleet.provider, of.fleet.cluster.as_str(), *currency);
        let sums = clusters.entry(key).or_default();
        for (state, cost) in states {
            *sums.entry(*state).or_default() += cost;
        }
    }
    let view =
        |((cloud, cluster, currency), sums): ((_, &str, Currency), StateMoney)| ClusterCostView {
            provider: provider(cloud),
            cluster: cluster.to_owned(),
            currency: currency.to_string(),
            states: states(&sums),
        };
    clusters.into_iter().map(view).collect()
}

fn node_cost(of: &PartMoney<(String, Fleet)>) -> NodeCostView {
    let (name, its) = &of.of;
    NodeCostView {
        name: name.clone(),
        fleet: fleet(its),
        currency: of.currency.to_string(),
        cost: amount(of.cost),
        idle_cost: amount(of.idle_cost),
        gpu_hours: gpu_hours(&of.time),
    }
}

/// The most wasteful pods, and one for all the others in each currency.
fn pods(all: &[PartMoney<HeldBy>]) -> Vec<PodCostView> {
    let view = |of: &PartMoney<HeldBy>| PodCostView {
        pod_name: of.of.pod.clone(),
        cost: part(&of.of.workload, of),
    };
    let (shown, folded) = all.split_at(all.len().min(MOST_PODS));
    let mut others: BTreeMap<Currency, PartMoney<HeldBy>> = BTreeMap::new();
    for one in folded {
        let other = || OTHER.to_owned();
        let workload = Workload { namespace: other(), name: other() };
        let sum = others.entry(one.currency).or_insert_with(|| PartMoney {
            of: HeldBy { workload, pod: other() },
            currency: one.currency,
            cost: Decimal::ZERO,
            idle_cost: Decimal::ZERO,
            time: StateTime::default(),
        });
        sum.cost += one.cost;
        sum.idle_cost += one.idle_cost;
        sum.time.merge(&one.time);
    }
    shown.iter().chain(others.values()).map(view).collect()
}
