//! The agent's GPU money against the simulated world's own truth, over one billing day: exporters'
//! pages and bills through real sockets, time and rows through a real ledger.

use std::collections::{BTreeMap, BTreeSet};

use costband::analyse::gpu_money::gpu_money;
use costband::analyse::gpu_price::PriceBook;
use costband::analyse::gpu_time::Accountant;
use costband::app::gpu_time;
use costband::collect::gpu::{GpuTarget, scrape};
use costband::domain::gpu_money::{GpuMoney, PriceGroup, StateMoney};
use costband::domain::gpu_time::{GpuState, StateRules, StateTime};
use costband::domain::machine::GpuModel;
use costband::domain::node::NodeInventory;
use costband::domain::price::CapacityType;
use costband::simulate::dcgm;
use costband::simulate::scenario::{GpuTruth, Scenario, ScenarioOptions};

use super::harness::*;
use crate::clock::SetClock;
use costband::domain::identity::{Provider, SourceId};
use costband::domain::money::Currency;
use costband::domain::ports::Clock;
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde_json::json;
use std::sync::Arc;

const DAY: &str = "2026-10-14";

pub(super) fn hours(milliseconds: u64) -> Decimal {
    Decimal::from(milliseconds) / Decimal::from(3_600_000)
}

pub(super) fn target(provider: Provider, url: &str) -> GpuTarget {
    GpuTarget {
        id: SourceId::new(format!("gpu-{provider}")),
        url: format!("{url}/{provider}/metrics").parse().unwrap(),
        provider: Some(provider),
        cluster: format!("video-{provider}"),
        capacity_type: CapacityType::Unknown,
        every: std::time::Duration::from_secs(60),
        timeout: std::time::Duration::from_secs(30),
    }
}

/// Under which price a GPU of the truth was billed.
pub(super) fn group(provider: Provider, truth: &GpuTruth) -> PriceGroup {
    let machine = match provider {
        Provider::Gcp => GpuModel::of(truth.model).unwrap().name.to_owned(),
        Provider::Aws | Provider::Azure => truth.instance_type.to_string(),
    };
    PriceGroup { provider, region_id: truth.region_id.to_string(), machine, spot: false }
}

/// As long as the window over which engine time is averaged: a longer past would blur the states.
const STEP: SignedDuration = SignedDuration::from_secs(60);

/// Within a hundredth of the truth; of next to nothing, within a ten-thousandth of the whole, which
/// is what a few scrapes a day cost.
fn near(told: Decimal, truth: Decimal, whole: Decimal, what: &str) {
    let off = (told - truth).abs();
    let allowed = (truth / Decimal::ONE_HUNDRED).max(whole / Decimal::from(10_000));
    assert!(off <= allowed, "{what}: {told} for {truth}, of {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_money_is_the_simulated_truth_and_the_rest_of_the_bill_has_a_name() {
    let clock = SetClock::at("2026-10-13T23:59:00Z");
    let world = Arc::new(Scenario::with_options(ScenarioOptions::default(), clock.clone()));
    let bench =
        Bench::start(&Provider::ALL, world.clone(), clock.clone(), Options::default(), json!([]))
            .await;
    let faults = Arc::default();
    let exporters = Server::start(dcgm::router(world.clone(), Arc::clone(&faults)), faults).await;
    let client = reqwest::Client::new();

    // One Pacific day ends seven hours after the UTC day of the same name.
    let mut counter = Accountant::new(StateRules::default(), Vec::new());
    while clock.now() < at("2026-10-15T07:02:00Z") {
        let now = clock.now();
        let cluster = |provider| target(provider, &exporters.url).cluster;
        let whole = Provider::ALL.map(|provider| (Some(provider), cluster(provider)));
        let nodes = Provider::ALL.into_iter().flat_map(|provider| world.nodes(provider, now));
        let inventory = NodeInventory::new(nodes, whole.into(), BTreeMap::new());
        for provider in Provider::ALL {
            let target = target(provider, &exporters.url);
            match scrape(&client, &target, now).await {
                Ok(report) => counter.observe(&report, &inventory),
                // No node of the cloud runs.
                Err(error) => assert!(world.nodes(provider, now).is_empty(), "{error}"),
            }
        }
        counter.pass(now, &BTreeSet::new(), &BTreeMap::new(), &inventory);
        clock.advance(STEP);
    }
    let counted = counter.take();
    let kept = bench.polling.handle.call(move |ledger| {
        ledger.keep_gpu_time(&counted.times, &counted.marks, &counted.forgotten)
    });
    kept.await.unwrap().unwrap();

    // Its bill is complete some days later.
    bench.advance(24 * 6);
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    bench.advance(7);
    for provider in Provider::ALL {
        bench.poll_well(provider).await;
    }
    let reading = bench.read().await;
    let now = clock.now();
    let books = bench.polling.handle.call(move |ledger| gpu_time::read(ledger, now, None));
    let books = books.await.unwrap().unwrap();
    let day: jiff::civil::Date = DAY.parse().unwrap();
    let days: Vec<_> = books.days.into_iter().filter(|one| one.day == day).collect();
    let bills: Vec<_> =
        reading.gpu_bill.days.iter().filter(|bill| bill.day == day).cloned().collect();
    assert!(bills.iter().all(|bill| bill.is_complete), "{bills:?}");
    let book = PriceBook::new(&bills, Vec::new(), BTreeMap::new());
    let money = gpu_money(&days, &bills, &book, now, |_, _| true);

    // The face tells the same of that day.
    let range = bench.gpu_day(day).await;
    assert_eq!(range.money.by_provider, money.by_provider);
    let idle = |states: &StateMoney| -> Decimal {
        states.iter().filter(|(state, _)| state.is_idle()).map(|(_, money)| money).sum()
    };
    let cost: Decimal = range.nodes.iter().map(|node| node.cost).sum();
    let states: Decimal = money.by_provider.values().map(|sums| sums.total()).sum();
    assert_eq!(cost.round_dp(9), states.round_dp(9), "nodes cost what their states cost");
    let (pods, workloads) = (&range.pods, &range.workloads);
    let held: Decimal = workloads.iter().map(|one| one.idle_cost).sum();
    assert_eq!(pods.iter().map(|one| one.idle_cost).sum::<Decimal>().round_dp(9), held.round_dp(9));
    assert!(pods.len() > workloads.len(), "{} pods", pods.len());
    let all: Decimal = money.by_provider.values().map(|sums| idle(&sums.states)).sum();
    assert!(held > Decimal::ZERO && held < all, "what nobody asked for is no workload's");

    let mut there = BTreeSet::new();
    for provider in Provider::ALL {
        there.extend(held_against_truth(provider, &world, &money, &bills));
    }
    assert_eq!(there, GpuState::ALL.into(), "a state that never is proves nothing");
}

/// Holds a cloud's day against the truth; the states that its GPUs were in.
fn held_against_truth(
    provider: Provider,
    world: &Scenario,
    money: &GpuMoney,
    bills: &[costband::analyse::gpu_bill::BilledDay],
) -> BTreeSet<GpuState> {
    let day = DAY.parse().unwrap();
    let bills: Vec<_> = bills.iter().filter(|bill| bill.group.provider == provider).collect();
    let price = |group: &PriceGroup| {
        let bill = bills.iter().find(|bill| bill.group == *group);
        let bill = bill.unwrap_or_else(|| panic!("{group:?} runs and is not billed: {bills:?}"));
        bill.cost / bill.gpu_hours.unwrap()
    };
    let mut truth: BTreeMap<GpuState, Decimal> = BTreeMap::new();
    let mut time = StateTime::default();
    // A node that comes or goes is told up to a step late.
    let (day_long, step) = (24 * 3_600_000, STEP.as_millis().try_into().unwrap());
    let mut late = Decimal::new(1, 9);
    for gpu in world.gpu_truth(provider, day, provider.billing_zone().end_of(day)) {
        let price = price(&group(provider, &gpu));
        time.merge(&gpu.times.observable);
        if gpu.times.actual.total() < day_long {
            late += hours(step) * price;
        }
        for (state, milliseconds) in gpu.times.observable.iter() {
            *truth.entry(state).or_default() += hours(milliseconds) * price;
        }
    }
    let told = &money.by_provider[&(Some(provider), Currency::USD)];
    let whole: Decimal = truth.values().sum();
    for (state, truth) in &truth {
        let told = told.states.get(state).copied().unwrap_or_default();
        near(told, *truth, whole, &format!("{provider} {}", state.as_str()));
    }
    let idle = |states: &BTreeMap<GpuState, Decimal>| -> Decimal {
        states.iter().filter(|(state, _)| state.is_idle()).map(|(_, money)| money).sum()
    };
    near(told.idle(), idle(&truth), whole, &format!("{provider}: idle money"));

    let billed: Decimal = bills.iter().map(|bill| bill.cost).sum();
    let residual: Decimal = told.residuals.values().sum();
    let difference = told.total() + residual - billed;
    assert!(difference.abs() < Decimal::new(1, 9), "{provider}: {difference} are nowhere");
    assert_eq!(told.estimated, Decimal::ZERO);
    let unseen = (residual - (billed - whole)).abs();
    assert!(unseen <= late, "{provider}: {unseen} of {billed}, at most {late}");
    truth.into_iter().filter(|(_, money)| !money.is_zero()).map(|(state, _)| state).collect()
}
