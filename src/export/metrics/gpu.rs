//! Series of GPU time and money.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::{OTHER, Series};
use crate::domain::gpu_money::{FleetNow, GpuPicture, PeriodPicture, PriceSource};
use crate::domain::gpu_time::GpuState;
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Tier};
use crate::domain::money::Currency;
use crate::domain::node::Fleet;
use crate::telemetry::names;

fn provider(provider: Option<Provider>) -> &'static str {
    provider.map_or("none", Provider::as_str)
}

pub(super) fn gpu(page: &mut Series, picture: &GpuPicture, limit: usize) {
    seconds(page, picture);
    for period in &picture.periods {
        money(page, period);
        workloads(page, period, limit);
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
    for cluster in &picture.clusters {
        for tier in Tier::ALL {
            let labels = [provider(cluster.provider), cluster.cluster.as_str(), tier.as_str()];
            page.add(&names::CLUSTER_TIER, &labels, u8::from(tier == cluster.tier));
        }
    }
    for expected in &picture.expected {
        let labels = [expected.band.as_str(), expected.cost.currency.as_str(), "current"];
        let amount = expected.cost.amount.round_dp(10);
        page.known(&names::BAND_EXPECTED_COST, &labels, Some(amount));
    }
}

/// Fleets differ in more than the labels: regions and machine types are added up.
fn seconds(page: &mut Series, picture: &GpuPicture) {
    let mut sums: BTreeMap<(&str, &str, &str, &str), [u64; 7]> = BTreeMap::new();
    for (fleet, time) in &picture.totals {
        let Fleet { cluster, model, capacity_type, .. } = fleet;
        let key =
            (provider(fleet.provider), cluster.as_str(), model.as_str(), capacity_type.as_str());
        let sum = sums.entry(key).or_default();
        for (slot, more) in sum.iter_mut().zip(time.to_milliseconds()) {
            *slot = slot.saturating_add(more);
        }
    }
    for ((provider, cluster, model, capacity_type), times) in &sums {
        for (state, milliseconds) in GpuState::ALL.iter().zip(times) {
            let labels = [*provider, cluster, model, capacity_type, state.as_str()];
            let seconds = Decimal::from_i128_with_scale(i128::from(*milliseconds), 3).normalize();
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
fn workloads(page: &mut Series, period: &PeriodPicture, limit: usize) {
    let mut by_cost: Vec<_> = period.workloads.iter().collect();
    by_cost.sort_by_key(|one| std::cmp::Reverse(one.cost));
    let mut folded: BTreeMap<Currency, (Decimal, Decimal)> = BTreeMap::new();
    let label = period.label.as_str();
    let mut add =
        |namespace: &str, name: &str, currency: Currency, cost: Decimal, idle: Decimal| {
            let labels = [namespace, name, currency.as_str(), label];
            page.known(&names::WORKLOAD_GPU_COST, &labels, Some(cost.round_dp(10)));
            page.known(&names::WORKLOAD_GPU_IDLE_COST, &labels, Some(idle.round_dp(10)));
        };
    for (place, one) in by_cost.into_iter().enumerate() {
        // What the ledger folded already has that name too.
        if place < limit && one.workload.name != OTHER {
            let workload = &one.workload;
            add(&workload.namespace, &workload.name, one.currency, one.cost, one.idle_cost);
        } else {
            let sum = folded.entry(one.currency).or_default();
            *sum = (sum.0 + one.cost, sum.1 + one.idle_cost);
        }
    }
    for (currency, (cost, idle)) in folded {
        add(OTHER, OTHER, currency, cost, idle);
    }
}

/// Two names of one model are one series.
fn prices(page: &mut Series, now: &FleetNow, told: &mut BTreeSet<[String; 6]>) {
    let fleet = &now.fleet;
    let model = GpuModel::of(&fleet.model).map_or(fleet.model.as_str(), |model| model.name);
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
