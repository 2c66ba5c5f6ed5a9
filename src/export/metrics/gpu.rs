//! Series of GPU time and money.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::{OTHER, Series};
use crate::domain::gpu::{GpuReport, GpuSourceStatus, Pod};
use crate::domain::gpu_money::{FleetNow, GpuPicture, PeriodPicture, PriceSource};
use crate::domain::gpu_time::{GpuState, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Tier, model_name};
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::domain::period::BillingPeriod;
use crate::telemetry::names;

fn provider(provider: Option<Provider>) -> &'static str {
    provider.map_or("none", Provider::as_str)
}

/// Which workloads have series of their own in a period, so that membership is fixed for it; and
/// how many were ever folded.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    members: BTreeMap<BillingPeriod, BTreeSet<Workload>>,
    folded: BTreeSet<(BillingPeriod, Workload)>,
}

pub(super) fn gpu(page: &mut Series, picture: &GpuPicture, shown: &mut Workloads, limit: usize) {
    seconds(page, picture);
    gauges(page, picture);
    for period in &picture.periods {
        money(page, period);
        workloads(page, period, shown, limit);
    }
    if !shown.folded.is_empty() {
        page.add(&names::SERIES_FOLDED_TOTAL, &["", "workload"], shown.folded.len());
    }
    let mut told = BTreeSet::new();
    for fleet in &picture.fleets {
        prices(page, fleet, &mut told);
    }
    for coverage in &picture.coverage {
        if coverage.expected > 0 {
            let ratio = f64::from(coverage.seen) / f64::from(coverage.expected);
            let labels = [provider(coverage.provider), &coverage.cluster];
            page.add(&names::GPU_TELEMETRY_COVERAGE_RATIO, &labels, ratio);
        }
    }
    for score in &picture.scores {
        let labels = [score.provider.as_str()];
        page.add(&names::GPU_NOWCAST_ERROR_RATIO, &labels, score.error_ratio);
    }
    for expected in &picture.expected {
        let labels = [expected.band.as_str(), expected.cost.currency.as_str(), "current"];
        let amount = expected.cost.amount.round_dp(10);
        page.known(&names::BAND_EXPECTED_COST, &labels, Some(amount));
    }
}

/// Where clusters stand: only who sees all of a cluster can tell.
pub(super) fn clusters(page: &mut Series, picture: &GpuPicture) {
    for cluster in &picture.clusters {
        for tier in Tier::ALL {
            let labels = [provider(cluster.provider), cluster.cluster.as_str(), tier.as_str()];
            page.add(&names::CLUSTER_TIER, &labels, u8::from(tier == cluster.tier));
        }
    }
}

/// How the reading of each telemetry source goes.
pub(super) fn sources(page: &mut Series, sources: &[Arc<GpuSourceStatus>]) {
    for status in sources {
        let labels = [status.source.as_str(), provider(status.provider), status.cluster.as_str()];
        if let Some(up) = status.up {
            page.add(&names::GPU_SOURCE_UP, &labels, u8::from(up));
        }
    }
}

/// Each GPU that telemetry tells of, or each that a pod holds a part of.
pub(super) fn info(page: &mut Series, reports: &[Arc<GpuReport>], own: Option<&Pod>) {
    let samples = reports.iter().flat_map(|report| &report.gpus);
    let told = samples.filter(|sample| own.is_none_or(|pod| sample.is_held_by(pod)));
    let models: BTreeMap<&str, &str> =
        told.map(|sample| (sample.key.uuid.as_str(), sample.model.as_str())).collect();
    for (uuid, model) in models {
        let tier = GpuModel::of(model).map_or("unknown", |model| model.tier.as_str());
        page.add(&names::GPU_INFO, &[uuid, model_name(model), tier], 1);
    }
}

/// What a sidecar tells: the time that its own pod held GPUs, and what it cost. The ledger of a
/// sidecar holds no other pod's time.
pub(super) fn own_workload(page: &mut Series, picture: &GpuPicture, pod: &Pod) {
    let own = Workload::of_pod(pod);
    let mut sum = StateTime::default();
    for (_, time) in &picture.totals {
        sum.merge(time);
    }
    for (state, milliseconds) in sum.iter() {
        let labels = [own.namespace.as_str(), own.name.as_str(), state.as_str()];
        page.add(&names::WORKLOAD_GPU_SECONDS_TOTAL, &labels, seconds_of(milliseconds));
    }
    for period in &picture.periods {
        // One workload is never too many.
        workloads(page, period, &mut Workloads::default(), 1);
    }
}

fn seconds_of(milliseconds: u64) -> Decimal {
    Decimal::from_i128_with_scale(i128::from(milliseconds), 3).normalize()
}

/// What tells fleets apart in series of GPUs.
fn labels(fleet: &Fleet) -> [&str; 4] {
    let Fleet { cluster, model, capacity_type, .. } = fleet;
    [provider(fleet.provider), cluster, model_name(model), capacity_type.as_str()]
}

/// What the GPUs of now are and measure.
fn gauges(page: &mut Series, picture: &GpuPicture) {
    #[derive(Default)]
    struct Sum {
        gpus: u32,
        known: u32,
        utilization: f64,
        used: Option<u64>,
        total: Option<u64>,
    }
    let mut fleets: BTreeMap<[&str; 4], Sum> = BTreeMap::new();
    for now in &picture.fleets {
        let sum = fleets.entry(labels(&now.fleet)).or_default();
        sum.gpus += now.gpus;
        if let Some(utilization) = now.utilization {
            sum.known += now.gpus;
            sum.utilization += utilization * f64::from(now.gpus);
        }
        for (sum, more) in
            [(&mut sum.used, now.memory_used_bytes), (&mut sum.total, now.memory_total_bytes)]
        {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0).saturating_add(more));
            }
        }
    }
    for (labels, sum) in &fleets {
        page.add(&names::GPUS, labels, sum.gpus);
        if sum.known > 0 {
            let mean = sum.utilization / f64::from(sum.known);
            page.add(&names::GPU_UTILIZATION_RATIO, labels, mean);
        }
        if let Some(used) = sum.used {
            page.add(&names::GPU_MEMORY_USED_BYTES, labels, used);
        }
        if let Some(total) = sum.total {
            page.add(&names::GPU_MEMORY_TOTAL_BYTES, labels, total);
        }
    }
}

/// Fleets differ in more than the labels: regions and machine types are added up.
fn seconds(page: &mut Series, picture: &GpuPicture) {
    let mut sums: BTreeMap<[&str; 4], [u64; 7]> = BTreeMap::new();
    for (fleet, time) in &picture.totals {
        let sum = sums.entry(labels(fleet)).or_default();
        for (slot, more) in sum.iter_mut().zip(time.to_milliseconds()) {
            *slot = slot.saturating_add(more);
        }
    }
    for ([provider, cluster, model, capacity_type], times) in &sums {
        for (state, milliseconds) in GpuState::ALL.iter().zip(times) {
            let labels = [*provider, cluster, model, capacity_type, state.as_str()];
            let seconds = seconds_of(*milliseconds);
            page.add(&names::GPU_SECONDS_TOTAL, &labels, seconds);
        }
    }
}

fn money(page: &mut Series, period: &PeriodPicture) {
    let label = period.label.as_str();
    let exact = |amount: Decimal| Some(amount.round_dp(10));
    for ((cloud, currency), money) in &period.money.by_provider {
        let of = [provider(*cloud), currency.as_str(), label];
        let [cloud, currency, label] = of;
        for (state, amount) in &money.states {
            page.known(&names::GPU_COST, &[cloud, currency, label, state.as_str()], exact(*amount));
        }
        page.known(&names::GPU_COST_ESTIMATED, &of, exact(money.estimated));
        for (kind, amount) in &money.residuals {
            let labels = [cloud, currency, label, kind.as_str()];
            page.known(&names::GPU_COST_RESIDUAL, &labels, exact(*amount));
        }
    }
    for ((cloud, currency, kind), amount) in &period.not_gpu {
        let labels = [cloud.as_str(), currency.as_str(), label, kind.as_str()];
        page.known(&names::GPU_COST_RESIDUAL, &labels, exact(*amount));
    }
}

/// The dearest workloads have series of their own; the others fold into one.
fn workloads(page: &mut Series, period: &PeriodPicture, shown: &mut Workloads, limit: usize) {
    let members = shown.members.entry(period.period).or_default();
    let mut by_cost: Vec<_> = period.workloads.iter().collect();
    by_cost.sort_by_key(|one| Reverse(one.cost));
    for one in &by_cost {
        // What the ledger folded already has that name too.
        if members.len() < limit && one.of.name != OTHER {
            members.insert(one.of.clone());
        }
    }
    let mut sums: BTreeMap<(&str, &str, Currency), (Decimal, Decimal)> = BTreeMap::new();
    for one in by_cost {
        let Workload { namespace, name } = &one.of;
        let key = if members.contains(&one.of) {
            (namespace.as_str(), name.as_str(), one.currency)
        } else {
            shown.folded.insert((period.period, one.of.clone()));
            (OTHER, OTHER, one.currency)
        };
        let sum = sums.entry(key).or_default();
        *sum = (sum.0.saturating_add(one.cost), sum.1.saturating_add(one.idle_cost));
    }
    for ((namespace, name, currency), (cost, idle)) in sums {
        let labels = [namespace, name, currency.as_str(), period.label.as_str()];
        page.known(&names::WORKLOAD_GPU_COST, &labels, Some(cost.round_dp(10)));
        page.known(&names::WORKLOAD_GPU_IDLE_COST, &labels, Some(idle.round_dp(10)));
    }
}

/// Two names of one model are one series.
fn prices(page: &mut Series, now: &FleetNow, told: &mut BTreeSet<[String; 6]>) {
    let fleet = &now.fleet;
    let model = model_name(&fleet.model);
    let of = [
        provider(fleet.provider).to_owned(),
        fleet.cluster.clone(),
        fleet.region_id.clone().unwrap_or_default(),
        fleet.instance_type.clone().unwrap_or_default(),
        model.to_owned(),
        fleet.capacity_type.as_str().to_owned(),
    ];
    if now.prices.is_empty() || !told.insert(of.clone()) {
        return;
    }
    let [cloud, cluster, region, machine, model, capacity] = of.each_ref().map(String::as_str);
    for price in &now.prices {
        let (currency, source) = (price.price.currency, price.source.as_str());
        let labels = [cloud, cluster, region, machine, model, capacity, currency.as_str(), source];
        page.known(&names::GPU_HOUR_PRICE, &labels, Some(price.price.amount.round_dp(10)));
    }
    for source in PriceSource::ALL {
        let selected = now.prices.first().is_some_and(|price| price.source == source);
        let labels = [cloud, cluster, region, machine, model, capacity, source.as_str()];
        page.add(&names::GPU_HOUR_PRICE_SELECTED, &labels, u8::from(selected));
    }
}
