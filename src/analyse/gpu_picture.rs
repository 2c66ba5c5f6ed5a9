//! Puts together what is known of GPUs: time from the ledger, money from the bill, nodes and states
//! of now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;

use crate::analyse::gpu_bill::GpuBill;
use crate::analyse::gpu_money::{gpu_money, nowcast_scores, part_money};
use crate::analyse::gpu_price::PriceBook;
use crate::analyse::gpu_tier::clusters;
use crate::analyse::gpu_time::Figures;
use crate::analyse::nowcast::telemetry_days;
use crate::domain::band::{Band, PeriodLabel};
use crate::domain::gpu_money::{
    Beside, Coverage, Expected, FleetCost, FleetNow, GpuHourPrice, GpuPicture, NodeNow, NotGpu,
    PeriodPicture, zone_of,
};
use crate::domain::gpu_time::{FleetDay, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Machine, model_name};
use crate::domain::money::{Currency, Money};
use crate::domain::node::{Fleet, Node};
use crate::domain::period::BillingZone;

/// Time of workloads by the fleets that they held.
pub type WorkloadTimes = Vec<(Workload, Fleet, StateTime)>;

/// GPU time as the ledger has it.
#[derive(Debug, Clone, Default)]
pub struct GpuTimes {
    /// By fleet and day, of the open period and the one before.
    pub days: Vec<FleetDay>,
    /// By workload, of each period that is told.
    pub workloads: BTreeMap<PeriodLabel, Arc<WorkloadTimes>>,
    /// By node and fleet, of the open period.
    pub nodes: Arc<BTreeMap<(String, Fleet), StateTime>>,
    /// By fleet since the ledger began.
    pub totals: Vec<(Fleet, StateTime)>,
    /// The first day of the period before the open one; none where nothing was read.
    pub first_day: Option<Date>,
}

/// What the ledger and telemetry say of GPUs.
#[derive(Debug, Clone, Default)]
pub struct GpuBooks {
    /// Time.
    pub times: Arc<GpuTimes>,
    /// Nodes as they are now.
    pub nodes: Vec<NodeNow>,
    /// What GPUs measure now, by fleet.
    pub gauges: BTreeMap<Fleet, FleetGauge>,
    /// What is known of nodes beside telemetry.
    pub inventory: Vec<Node>,
    /// GPUs that told something lately, by cluster.
    pub seen: BTreeMap<(Option<Provider>, String), u32>,
}

/// What the GPUs of a fleet measure.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FleetGauge {
    /// Sum of utilisations.
    utilization: f64,
    /// Of so many GPUs.
    measured: u32,
    memory_used_bytes: Option<u64>,
    memory_total_bytes: Option<u64>,
}

impl FleetGauge {
    /// Adds a GPU.
    pub fn add(&mut self, figures: &Figures) {
        if let Some(utilization) = figures.utilization {
            self.utilization += utilization;
            self.measured += 1;
        }
        for (sum, more) in [
            (&mut self.memory_used_bytes, figures.memory_used_bytes),
            (&mut self.memory_total_bytes, figures.memory_total_bytes),
        ] {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or(0).saturating_add(more));
            }
        }
    }
}

/// The picture of an instant.
pub fn picture(
    books: &GpuBooks,
    bill: &GpuBill,
    book: &PriceBook,
    bands: &[Band],
    now: Timestamp,
) -> GpuPicture {
    let fleets = fleets(books, book, now);
    let silent_nodes = silent_nodes(books);
    let periods = PeriodLabel::ALL
        .into_iter()
        .map(|label| {
            let money = gpu_money(&books.times.days, &bill.days, book, now, |provider, day| {
                label.period(now, zone_of(provider)).contains(day)
            });
            let times = books.times.workloads.get(&label).map_or(&[][..], |times| &times[..]);
            PeriodPicture {
                label,
                period: label.period(now, BillingZone::Utc),
                workloads: part_money(times, &money),
                not_gpu: not_gpu(label, bill, now),
                money,
            }
        })
        .collect();
    let scores = nowcast_scores(&books.times.days, &bill.days, book);
    GpuPicture {
        telemetry_days: telemetry_days(&books.times.days, &scores, book, now),
        expected: bands.iter().filter_map(|band| expected(band, &fleets, now)).collect(),
        fleets,
        periods,
        clusters: clusters(&books.nodes),
        coverage: coverage(books),
        scores,
        totals: books.times.totals.clone(),
        nodes: books.nodes.clone(),
        silent_prices: prices(&silent_nodes, book, now),
        silent_nodes,
        node_times: books.times.nodes.clone(),
    }
}

fn fleets(books: &GpuBooks, book: &PriceBook, now: Timestamp) -> Vec<FleetNow> {
    let mut gpus: BTreeMap<&Fleet, u32> = BTreeMap::new();
    for node in &books.nodes {
        *gpus.entry(&node.fleet).or_default() += node.gpus;
    }
    let fleet_now = |(fleet, gpus): (&Fleet, u32)| {
        let gauge = books.gauges.get(fleet).copied().unwrap_or_default();
        let mean = gauge.utilization / f64::from(gauge.measured);
        FleetNow {
            gpus,
            utilization: Some(mean).filter(|_| gauge.measured > 0),
            memory_used_bytes: gauge.memory_used_bytes,
            memory_total_bytes: gauge.memory_total_bytes,
            prices: book.prices(fleet, zone_of(fleet.provider).day_of(now)),
            tier: GpuModel::of(&fleet.model).map(|model| model.tier),
            fleet: fleet.clone(),
        }
    };
    gpus.into_iter().map(fleet_now).collect()
}

/// Nodes that are known of and that no telemetry here tells of: node agents may read it.
fn silent_nodes(books: &GpuBooks) -> Vec<NodeNow> {
    let told: BTreeSet<&str> = books.nodes.iter().map(|node| node.name.as_str()).collect();
    let silent = books.inventory.iter().filter(|node| !told.contains(node.name.as_str()));
    let now = silent.map(|node| {
        let machine = node.provider.zip(node.instance_type.as_deref());
        let machine = machine.and_then(|(provider, name)| Machine::of(provider, name));
        NodeNow {
            name: node.name.clone(),
            fleet: Fleet {
                provider: node.provider,
                cluster: node.cluster.clone(),
                instance_type: node.instance_type.clone(),
                region_id: node.region_id.clone(),
                capacity_type: node.capacity_type,
                model: machine.map_or("unknown", |machine| machine.gpu.name).to_owned(),
            },
            gpus: node.gpus.or(machine.map(|machine| machine.gpus)).unwrap_or(0),
            guessed: false,
            states: BTreeMap::new(),
        }
    });
    now.collect()
}

fn prices(
    nodes: &[NodeNow],
    book: &PriceBook,
    now: Timestamp,
) -> BTreeMap<Fleet, Vec<GpuHourPrice>> {
    let fleets: BTreeSet<&Fleet> = nodes.iter().map(|node| &node.fleet).collect();
    let priced = fleets
        .into_iter()
        .map(|fleet| (fleet.clone(), book.prices(fleet, zone_of(fleet.provider).day_of(now))));
    priced.collect()
}

/// What the rest of the bill went to: the GPU machines are part of what is neither storage nor
/// network.
fn not_gpu(
    label: PeriodLabel,
    bill: &GpuBill,
    now: Timestamp,
) -> BTreeMap<(Provider, Currency, NotGpu), Decimal> {
    let within =
        |provider: Provider, day: Date| label.period(now, provider.billing_zone()).contains(day);
    let mut rest: BTreeMap<_, Decimal> = BTreeMap::new();
    for ((day, provider, currency, kind), amount) in &bill.services {
        if within(*provider, *day) {
            *rest.entry((*provider, *currency, *kind)).or_default() += amount;
        }
    }
    for day in bill.days.iter().filter(|day| day.is_complete) {
        let provider = day.group.provider;
        if within(provider, day.day) {
            *rest.entry((provider, day.currency, NotGpu::Other)).or_default() -= day.cost;
        }
    }
    rest
}

fn coverage(books: &GpuBooks) -> Vec<Coverage> {
    let mut expected: BTreeMap<(Option<Provider>, String), u32> = BTreeMap::new();
    for node in &books.inventory {
        if let Some(gpus) = node.gpus {
            *expected.entry((node.provider, node.cluster.clone())).or_default() += gpus;
        }
    }
    expected
        .into_iter()
        .map(|(key, expected)| {
            let seen = books.seen.get(&key).copied().unwrap_or(0);
            Coverage { provider: key.0, cluster: key.1, seen, expected }
        })
        .collect()
}

/// What the nodes of now cost in the whole open period, in the money of a band that holds whole
/// sources; none where a price is missing or is in another currency.
fn expected(band: &Band, fleets: &[FleetNow], now: Timestamp) -> Option<Expected> {
    if !band.scope.filters.is_empty() || !band.scope.sources.is_empty() {
        return None;
    }
    let in_scope = |fleet: &&FleetNow| match (band.scope.provider, fleet.fleet.provider) {
        (Some(wanted), provider) => provider == Some(wanted),
        (None, provider) => provider.is_some(),
    };
    let zone = zone_of(band.scope.provider);
    let period = PeriodLabel::Current.period(now, zone);
    let hours = Decimal::from(period.seconds(zone)) / Decimal::from(3600);
    let mut cost = Decimal::ZERO;
    let mut parts = Vec::new();
    for fleet in fleets.iter().filter(in_scope) {
        let best = fleet.prices.first()?;
        if best.price.currency != band.currency {
            return None;
        }
        let money = Decimal::from(fleet.gpus) * best.price.amount * hours;
        cost += money;
        parts.push(FleetCost {
            gpus: fleet.gpus,
            model: model_name(&fleet.fleet.model).to_owned(),
            source: best.source,
            cost: Money::new(money.round_dp(0), band.currency),
        });
    }
    if parts.is_empty() {
        return None;
    }
    let limits = band.limits_in(period)?;
    let told = |amount| Money::new(amount, band.currency);
    let beside = if cost < limits.floor {
        Beside::Floor(told(limits.floor))
    } else if cost > limits.ceiling {
        Beside::Ceiling(told(limits.ceiling))
    } else {
        Beside::Within([limits.floor, limits.ceiling].map(told))
    };
    Some(Expected {
        band: band.name.clone(),
        period,
        cost: Money::new(cost, band.currency),
        fleets: parts,
        beside,
    })
}
