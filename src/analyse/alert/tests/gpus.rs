//! Rules of GPUs, their money and their clusters.

use super::*;
use crate::domain::alert_policy::AlertScope;
use crate::domain::gpu_money::{
    ClusterTier, Coverage, FleetMoney, GpuMoney, Lacking, PaidNotRunning, PriceGroup,
    ProviderMoney, Residual, WorkloadMoney,
};
use crate::domain::gpu_time::{GpuState, StateTime, Workload};
use crate::domain::machine::Tier;
use crate::domain::node::Fleet;
use crate::domain::period::Window;
use crate::domain::price::CapacityType;

const HOUR: u64 = 3_600_000;

fn time(states: &[(GpuState, u64)]) -> StateTime {
    let mut time = StateTime::default();
    for (state, hours) in states {
        time.add(*state, hours * HOUR);
    }
    time
}

/// A cluster whose GPU-hours cost 10 each.
fn world(states: &[(GpuState, u64)]) -> World {
    let fleet = Fleet {
        provider: Some(Provider::Aws),
        cluster: "train".to_owned(),
        instance_type: None,
        region_id: None,
        capacity_type: CapacityType::OnDemand,
        model: "H100 80GB".to_owned(),
    };
    let cost = |hours: u64| Decimal::from(hours * 10);
    let money = states.iter().map(|(state, hours)| (*state, cost(*hours))).collect();
    let workload = WorkloadMoney {
        of: Workload { namespace: "team".to_owned(), name: "llm".to_owned() },
        currency: Currency::USD,
        cost: states.iter().map(|(_, hours)| cost(*hours)).sum(),
        idle_cost: Decimal::from(600),
        time: time(states),
    };
    let range = GpuRange {
        as_of: NOW.parse().unwrap(),
        window: Window::new(day("2026-11-08"), day("2026-11-15")),
        money: GpuMoney {
            by_provider: BTreeMap::new(),
            fleets: vec![FleetMoney {
                fleet,
                time: time(states),
                money: Some((Currency::USD, money)),
            }],
            paid_not_running: Vec::new(),
        },
        workloads: vec![workload],
        pods: Vec::new(),
        nodes: Vec::new(),
    };
    World { window: Some(range), ..World::new() }
}

#[test]
fn idle_money_is_told_by_share_and_by_money() {
    let told = |busy, idle| {
        world(&[(GpuState::Busy, busy), (GpuState::HeldIdle, idle)]).one(AlertRule::GpuIdleMoney)
    };
    let met = told(140, 60);
    assert_eq!((met.verdict, met.day), (Verdict::Met, Some(day("2026-11-14"))));
    assert_eq!(met.key.about(Subject::Cluster), Some("train"));
    assert_eq!(met.key.period, None, "its days roll on over a month's end");
    assert_eq!(met.details.causes[0].name, "team/llm");
    assert_eq!(told(140, 59).verdict, Verdict::Between);
    assert_eq!(told(120, 40).verdict, Verdict::Between, "400 is not below 0.8 of 500");
    assert_eq!(told(10, 39).verdict, Verdict::Clear, "little money");
    assert_eq!(told(800, 200).verdict, Verdict::Clear, "a small share");
}

#[test]
fn what_nobody_sees_or_prices_ends_no_alert() {
    let calm = || world(&[(GpuState::Busy, 100), (GpuState::Low, 1)]);
    let rules = [AlertRule::GpuIdleMoney, AlertRule::GpuUnderFed];
    let verdicts = |world: &World| rules.map(|rule| world.verdict(rule));
    assert_eq!(verdicts(&calm()), [Verdict::Clear; 2]);
    let mut silent = calm();
    let coverage = |seen| Coverage {
        provider: Some(Provider::Aws),
        cluster: "train".to_owned(),
        seen,
        expected: 8,
    };
    silent.gpu.coverage = vec![coverage(0)];
    assert_eq!(verdicts(&silent), [Verdict::Unknown; 2], "its exporter is down");
    silent.gpu.coverage = vec![coverage(3)];
    assert_eq!(verdicts(&silent), [Verdict::Unknown; 2], "most of it tells nothing");
    silent.gpu.coverage = vec![coverage(7)];
    assert_eq!(verdicts(&silent), [Verdict::Clear; 2]);
    let mut unobserved = calm();
    let residuals = BTreeMap::from([(Residual::UnobservedDay, Decimal::ONE)]);
    let money = ProviderMoney { residuals, ..ProviderMoney::default() };
    unobserved.range().money.by_provider.insert((Some(Provider::Aws), Currency::USD), money);
    assert_eq!(verdicts(&unobserved), [Verdict::Unknown; 2], "a billed day was not seen");
    let mut unpriced = calm();
    let keys = rules.map(|rule| unpriced.one(rule).key);
    let fleet = FleetMoney { money: None, ..unpriced.range().money.fleets[0].clone() };
    let idle = FleetMoney { time: time(&[(GpuState::HeldIdle, 1)]), ..fleet.clone() };
    unpriced.range().money.fleets.push(idle.clone());
    assert_eq!(verdicts(&unpriced), [Verdict::Unknown; 2], "unknown money is not zero");
    unpriced.range().money.fleets = vec![idle];
    for key in &keys {
        assert_eq!(unpriced.absent(key).0, Verdict::Unknown, "nothing of it has a price");
        let mut gone = calm();
        gone.range().money.fleets.clear();
        assert_eq!(gone.absent(key), (Verdict::Clear, AlertEnd::Cleared));
        gone.gpu.coverage = vec![coverage(0)];
        assert_eq!(gone.absent(key).0, Verdict::Unknown, "silent for the whole window");
    }
    let busy = FleetMoney { time: time(&[(GpuState::Busy, 9)]), ..fleet };
    let mut worked = calm();
    worked.range().money.fleets.push(busy);
    assert_eq!(worked.verdict(AlertRule::GpuIdleMoney), Verdict::Clear, "it wastes nothing");
}

#[test]
fn workloads_are_causes_where_nobody_can_mistake_their_cluster() {
    let mut world = world(&[(GpuState::HeldIdle, 100)]);
    let causes = |world: &World, rule| {
        let told = world.all(rule).into_iter();
        told.map(|told| told.details.causes.len()).collect::<Vec<_>>()
    };
    let (idle, under_fed) = (AlertRule::GpuIdleMoney, AlertRule::GpuUnderFed);
    assert_eq!((causes(&world, idle), causes(&world, under_fed)), (vec![1], vec![1]));
    let first = world.range().money.fleets[0].clone();
    let mut second = first.clone();
    second.fleet.model = "A100 80GB".to_owned();
    world.range().money.fleets.push(second);
    assert_eq!((causes(&world, idle), causes(&world, under_fed)), (vec![1], vec![0, 0]));
    let mut other = first;
    other.fleet.cluster = "infer".to_owned();
    world.range().money.fleets.push(other);
    assert_eq!(causes(&world, idle), [0, 0]);
}

#[test]
fn where_most_of_the_time_is_unknown_nothing_is_told() {
    let verdict = |unknown| {
        let states = [(GpuState::HeldIdle, 100), (GpuState::Unknown, unknown)];
        world(&states).verdict(AlertRule::GpuIdleMoney)
    };
    assert_eq!((verdict(100), verdict(101)), (Verdict::Met, Verdict::Unknown));
    assert_eq!(World::new().all(AlertRule::GpuIdleMoney), [], "no day was read yet");
}

#[test]
fn a_fleet_that_waits_is_told_and_a_workload_where_it_is_named() {
    let told = |busy, low| world(&[(GpuState::Busy, busy), (GpuState::Low, low)]);
    let rule = AlertRule::GpuUnderFed;
    assert_eq!(told(40, 60).verdict(rule), Verdict::Met);
    assert_eq!(told(41, 59).verdict(rule), Verdict::Between);
    assert_eq!(told(60, 40).verdict(rule), Verdict::Clear);
    let mut named = told(40, 60);
    let scope = AlertScope { workloads: vec!["team/llm".to_owned()], ..AlertScope::default() };
    let policy = named.policies.gpu_under_fed.usual.clone();
    named.policies.gpu_under_fed.entries.push((scope, policy));
    let all = named.all(rule);
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].key.about(Subject::WorkloadName), Some("llm"));
    assert_eq!(all[1].verdict, Verdict::Met);
}

#[test]
fn machines_on_days_that_nobody_saw_run_or_do_not() {
    let mut world = world(&[(GpuState::Busy, 1)]);
    let key = AlertKey::new(AlertRule::ReservationNotRunning)
        .of(Subject::Provider, "aws")
        .of(Subject::Currency, "USD");
    assert_eq!(world.absent(&key), (Verdict::Clear, AlertEnd::Cleared));
    let residuals = BTreeMap::from([(Residual::UnobservedDay, Decimal::ONE)]);
    let money = ProviderMoney { residuals, ..ProviderMoney::default() };
    world.range().money.by_provider.insert((Some(Provider::Aws), Currency::USD), money);
    assert_eq!(world.absent(&key).0, Verdict::Unknown);
}

#[test]
fn machines_that_are_paid_for_and_not_seen_are_told() {
    let verdict = |cost: i64| {
        let mut world = world(&[(GpuState::Busy, 1)]);
        let group = PriceGroup {
            provider: Provider::Aws,
            region_id: "us-east-1".to_owned(),
            machine: "p5.48xlarge".to_owned(),
            spot: false,
        };
        let cost = Decimal::from(cost);
        let of = PaidNotRunning { group, currency: Currency::USD, cost, gpu_hours: None };
        for range in world.window.iter_mut() {
            range.money.paid_not_running.push(of.clone());
        }
        world.verdict(AlertRule::ReservationNotRunning)
    };
    assert_eq!(
        [verdict(100), verdict(99), verdict(80), verdict(79)],
        [Verdict::Met, Verdict::Between, Verdict::Between, Verdict::Clear]
    );
}

#[test]
fn a_cluster_is_held_to_a_tier_only_where_somebody_wants_it() {
    let mut world = World::new();
    let cluster = |tier| ClusterTier {
        provider: None,
        cluster: "lab".to_owned(),
        tier,
        gpus: 1,
        memory_gb: 24,
        storage_gb: 0,
        missing: vec![Lacking::Gpus { count: 7, of: Tier::Minimum }],
    };
    world.gpu.clusters = vec![cluster(Tier::BelowMinimum)];
    assert_eq!(world.all(AlertRule::ClusterBelowTier), []);
    world.policies.cluster_below_tier.usual.enabled = true;
    assert_eq!(world.verdict(AlertRule::ClusterBelowTier), Verdict::Met);
    assert_eq!(world.one(AlertRule::ClusterBelowTier).key.about(Subject::Provider), Some("none"));
    world.gpu.clusters = vec![cluster(Tier::Minimum)];
    assert_eq!(world.verdict(AlertRule::ClusterBelowTier), Verdict::Clear);
}
