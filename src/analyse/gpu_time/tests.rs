#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::gpu::{DroppedSamples, GpuKey, Holder, Pod, Utilization};
use crate::domain::node::Node;
use crate::domain::price::CapacityType;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_793_664_000 + seconds).unwrap()
}

fn gpu(uuid: &str, node: &str, share: Option<f64>) -> GpuSample {
    GpuSample {
        key: GpuKey { uuid: uuid.to_owned(), mig_instance: None },
        model: "NVIDIA H100 80GB HBM3".to_owned(),
        mig_profile: None,
        hostname: Some(node.to_owned()),
        utilization: share.and_then(Utilization::from_ratio),
        signal: None,
        memory_used_bytes: Some(700),
        memory_total_bytes: Some(1000),
        holders: vec![holder("train-0", None)],
        xid: None,
        healthy: None,
    }
}

fn holder(pod: &str, share: Option<f64>) -> Holder {
    Holder {
        pod: Pod { namespace: "ml".to_owned(), name: pod.to_owned() },
        utilization: share.and_then(Utilization::from_ratio),
    }
}

fn report(source: &str, seconds: i64, gpus: Vec<GpuSample>) -> GpuReport {
    GpuReport {
        source: SourceId::new(source),
        provider: Some(Provider::Aws),
        cluster: "video".to_owned(),
        capacity_type: CapacityType::OnDemand,
        gpus,
        dropped_samples: DroppedSamples::default(),
        observed_at: at(seconds),
    }
}

fn accountant() -> Accountant {
    let rules = StateRules { window: SignedDuration::from_secs(1), ..StateRules::default() };
    Accountant::new(rules, Vec::new())
}

fn sums(counted: &Counted) -> BTreeMap<GpuState, u64> {
    let mut sums = BTreeMap::new();
    for time in &counted.times {
        for (state, milliseconds) in time.time.iter().filter(|(_, ms)| *ms > 0) {
            *sums.entry(state).or_default() += milliseconds;
        }
    }
    sums
}

fn inventory(names: &[&str]) -> NodeInventory {
    let node = |name: &&str| Node {
        name: (*name).to_owned(),
        provider: Some(Provider::Aws),
        cluster: "video".to_owned(),
        instance_type: Some("p5.48xlarge".to_owned()),
        region_id: Some("us-east-1".to_owned()),
        zone: None,
        capacity_type: CapacityType::Reserved,
        gpus: Some(8),
        hourly_cost: None,
    };
    let whole = [(Some(Provider::Aws), "video".to_owned())].into();
    NodeInventory::new(names.iter().map(node), whole, BTreeMap::new())
}

/// Busy and unallocated sevenths of a second of a device whose parts are all busy.
fn covered(model: &str, parts: &[(&str, &str)]) -> (u64, u64) {
    let mut counter = accountant();
    for second in [0, 1] {
        let parts = parts.iter().map(|(instance, profile)| {
            let mut part = gpu("1", "n", Some(0.9));
            part.model = model.to_owned();
            part.key.mig_instance = Some((*instance).to_owned());
            part.mig_profile = Some((*profile).to_owned()).filter(|profile| !profile.is_empty());
            part
        });
        counter.observe(&report("a", second, parts.collect()), &NodeInventory::default());
    }
    let sums = sums(&counter.take());
    let of = |state| sums.get(&state).copied().unwrap_or(0);
    (of(GpuState::Busy), of(GpuState::Unallocated))
}

#[test]
fn a_slice_is_as_much_of_its_device_as_its_profile_says() {
    for (model, profile, busy) in [
        ("NVIDIA A100-SXM4-40GB", "3g.20gb", 429),
        ("NVIDIA A100-SXM4-40GB", "7g.40gb", 1000),
        ("NVIDIA A100-SXM4-40GB", "1g.5gb+me", 143),
        ("NVIDIA A100-SXM4-40GB", "1c.3g.20gb", 429),
        ("NVIDIA A100-SXM4-40GB", "", 143),
        ("NVIDIA A30", "2g.12gb", 500),
        ("AMD Instinct MI300X OAM", "dpx", 500),
        ("AMD Instinct MI300A", "tpx", 333),
        ("AMD Instinct MI300X OAM", "QPX", 250),
        ("AMD Instinct MI300X OAM", "cpx", 125),
        ("AMD Instinct MI300A", "cpx", 167),
    ] {
        assert_eq!(covered(model, &[("2", profile)]), (busy, 1000 - busy), "{model} {profile}");
    }
    let eight: Vec<_> = ["0", "1", "2", "3", "4", "5", "6", "7"].map(|one| (one, "cpx")).into();
    assert_eq!(covered("AMD Instinct MI300X OAM", &eight), (1000, 0));
}

#[test]
fn compute_instances_that_are_told_one_by_one_are_not_each_their_whole_gpu_instance() {
    let three = [("MIG-a", "1c.3g.20gb"), ("MIG-b", "2c.3g.20gb"), ("MIG-c", "4g.20gb")];
    assert_eq!(covered("NVIDIA A100-SXM4-40GB", &three[..1]), (143, 857));
    assert_eq!(covered("NVIDIA A100-SXM4-40GB", &three[..2]), (429, 571));
    assert_eq!(covered("NVIDIA A100-SXM4-40GB", &three), (1000, 0));
}

#[test]
fn time_since_the_reading_before_is_counted_in_the_state_that_is_read() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    counter.observe(&report("a", 60, vec![gpu("1", "n", Some(0.1))]), &nowhere);
    let counted = counter.take();
    assert_eq!(sums(&counted), [(GpuState::Busy, 30_000), (GpuState::Low, 30_000)].into());
    let workload = counted.times[0].held_by.clone().unwrap().workload;
    assert_eq!((workload.namespace.as_str(), workload.name.as_str()), ("ml", "train"));
    assert!(counter.take().times.is_empty(), "nothing is told twice");
}

#[test]
fn two_exporters_of_one_gpu_count_it_once() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    for second in (0..=600).step_by(10) {
        let source = if second % 20 == 0 { "a" } else { "b" };
        counter.observe(&report(source, second, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    }
    assert_eq!(sums(&counter.take()), [(GpuState::Busy, 600_000)].into());
    // The first one dies; the second takes over after the gap, which is unknown.
    for second in (610..=1200).step_by(10) {
        counter.observe(&report("b", second, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    }
    let sums = sums(&counter.take());
    assert_eq!(sums.values().sum::<u64>(), 600_000);
    assert_eq!(sums[&GpuState::Unknown], 190_000);
}

#[test]
fn a_clock_that_goes_back_counts_nothing_twice() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    for second in [0, 30, 7_230, 60, 90, 7_260] {
        counter.observe(&report("a", second, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    }
    assert_eq!(sums(&counter.take()).values().sum::<u64>(), 7_260_000);
}

#[test]
fn a_silence_is_unknown_once_the_gpu_is_back_or_its_node_is_known_to_be_there() {
    let nowhere = NodeInventory::default();
    let nobody = BTreeSet::new();
    let mut counter = accountant();
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    counter.pass(at(3_600), &nobody, &BTreeMap::new(), &nowhere);
    assert!(counter.take().times.is_empty(), "its node may be gone");
    counter.observe(&report("a", 4_000, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    assert_eq!(sums(&counter.take()), [(GpuState::Unknown, 4_000_000)].into());

    for (failing, listed) in [(true, false), (false, true)] {
        let mut counter = accountant();
        let there = if listed { inventory(&["n"]) } else { NodeInventory::default() };
        let failing = if failing { [SourceId::new("a")].into() } else { BTreeSet::new() };
        counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &there);
        counter.pass(at(100), &failing, &BTreeMap::new(), &there);
        assert!(counter.take().times.is_empty(), "one reading may be late");
        counter.pass(at(600), &failing, &BTreeMap::new(), &there);
        counter.pass(at(1_200), &failing, &BTreeMap::new(), &there);
        assert_eq!(sums(&counter.take()), [(GpuState::Unknown, 1_200_000)].into());
        counter.pass(at(90_000), &failing, &BTreeMap::new(), &there);
        assert_eq!(counter.take().forgotten, ["1"]);
    }
}

#[test]
fn a_node_that_its_clusters_inventory_drops_is_gone_and_begins_anew() {
    let nobody = BTreeSet::new();
    let (with, without) = (inventory(&["n"]), inventory(&[]));
    let mut counter = accountant();
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &with);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &with);
    counter.pass(at(600), &nobody, &BTreeMap::new(), &without);
    assert_eq!(counter.take().forgotten, ["1"]);
    counter.observe(&report("a", 7_200, vec![gpu("1", "n", Some(0.9))]), &with);
    counter.observe(&report("a", 7_230, vec![gpu("1", "n", Some(0.9))]), &with);
    assert_eq!(sums(&counter.take()), [(GpuState::Busy, 30_000)].into());
}

#[test]
fn a_node_that_its_inventory_drops_is_gone_though_its_source_fails() {
    let mut counter = accountant();
    let there = inventory(&["n"]);
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &there);
    let failing = [SourceId::new("a")].into();
    counter.pass(at(600), &failing, &BTreeMap::new(), &there);
    assert_eq!(sums(&counter.take()), [(GpuState::Unknown, 600_000)].into());
    counter.pass(at(1_200), &failing, &BTreeMap::new(), &inventory(&[]));
    let counted = counter.take();
    assert_eq!((sums(&counted), counted.forgotten), (BTreeMap::new(), vec!["1".to_owned()]));
}

#[test]
fn a_silence_that_was_looked_at_is_unknown_to_its_end() {
    let mut counter = accountant();
    let there = inventory(&["n"]);
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &there);
    counter.pass(at(570), &[SourceId::new("a")].into(), &BTreeMap::new(), &there);
    counter.observe(&report("a", 600, vec![gpu("1", "n", Some(0.9))]), &there);
    assert_eq!(sums(&counter.take()), [(GpuState::Unknown, 600_000)].into());
}

#[test]
fn a_past_that_can_still_be_read_is_not_unknown_yet() {
    let there = inventory(&["n"]);
    let read_until = BTreeMap::from([(SourceId::new("a"), at(30))]);
    let failing = BTreeSet::from([SourceId::new("a")]);
    let mut counter = accountant();
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &there);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &there);
    counter.pass(at(7_200), &failing, &read_until, &there);
    for second in (60..=7_200).step_by(30) {
        counter.observe(&report("a", second, vec![gpu("1", "n", Some(0.9))]), &there);
    }
    assert_eq!(sums(&counter.take()), [(GpuState::Busy, 7_200_000)].into());
}

#[test]
fn nodes_of_one_name_in_two_clusters_are_two() {
    let nowhere = NodeInventory::default();
    let mut counter = accountant();
    for second in [0, 30, 60] {
        for (cluster, uuid) in [("a", "1"), ("b", "2")] {
            let mut report = report("s", second, vec![gpu(uuid, "gpu-node-1", Some(0.9))]);
            report.cluster = cluster.to_owned();
            counter.observe(&report, &nowhere);
        }
    }
    assert_eq!(sums(&counter.take()), [(GpuState::Busy, 120_000)].into());
}

#[test]
fn a_gpu_that_drops_out_of_its_nodes_page_is_unhealthy() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    let both = vec![gpu("1", "n", Some(0.9)), gpu("2", "n", Some(0.9))];
    counter.observe(&report("a", 0, both), &nowhere);
    for second in [30, 60] {
        counter.observe(&report("a", second, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    }
    assert_eq!(
        sums(&counter.take()),
        [(GpuState::Busy, 60_000), (GpuState::Unhealthy, 60_000)].into()
    );
}

#[test]
fn a_lost_gpu_that_was_replaced_is_counted_no_more() {
    let mut counter = accountant();
    let there = inventory(&["n"]);
    let named = |names: [&str; 8]| names.iter().map(|name| gpu(name, "n", Some(0.9))).collect();
    counter.observe(&report("a", 0, named(["1", "2", "3", "4", "5", "6", "7", "8"])), &there);
    let seven = (1..8).map(|name| gpu(&name.to_string(), "n", Some(0.9))).collect();
    counter.observe(&report("a", 30, seven), &there);
    counter.observe(&report("a", 60, named(["1", "2", "3", "4", "5", "6", "7", "9"])), &there);
    counter.observe(&report("a", 90, named(["1", "2", "3", "4", "5", "6", "7", "9"])), &there);
    let counted = counter.take();
    assert_eq!(counted.forgotten, ["8"]);
    let sums = sums(&counted);
    assert_eq!(sums[&GpuState::Unhealthy], 30_000);
    assert_eq!(sums[&GpuState::Busy], 7 * 90_000 + 30_000);
}

#[test]
fn a_restart_goes_on_at_its_marks() {
    let nowhere = NodeInventory::default();
    let mut counter = accountant();
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    let marks = counter.take().marks;
    for (back, state) in [(60, GpuState::Busy), (7_200, GpuState::Unknown)] {
        let mut counter = Accountant::new(StateRules::default(), marks.clone());
        counter.observe(&report("a", back, vec![gpu("1", "n", Some(0.9))]), &nowhere);
        let milliseconds = u64::try_from(back - 30).unwrap() * 1000;
        assert_eq!(sums(&counter.take()), [(state, milliseconds)].into());
    }
}

#[test]
fn a_lost_gpu_that_another_node_tells_of_is_that_nodes() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    let pair = |node| vec![gpu("1", node, Some(0.9)), gpu("2", node, Some(0.9))];
    counter.observe(&report("a", 0, pair("n")), &nowhere);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    for second in [60, 90] {
        counter.observe(&report("a", second, vec![gpu("1", "n", Some(0.9))]), &nowhere);
        counter.observe(&report("b", second, vec![gpu("2", "m", Some(0.9))]), &nowhere);
    }
    // It was missing for half a minute, and for another until its new node told of it twice.
    assert_eq!(
        sums(&counter.take()),
        [(GpuState::Busy, 120_000), (GpuState::Unhealthy, 60_000)].into()
    );
}

#[test]
fn a_lost_gpu_is_lost_after_a_restart_whatever_its_cluster_is_called() {
    let there = inventory(&["n"]);
    let of = |source, second, gpus| {
        let mut report = report(source, second, gpus);
        report.cluster = "as-the-source-says".to_owned();
        report
    };
    let mut counter = accountant();
    let both = || vec![gpu("1", "n", Some(0.9)), gpu("2", "n", Some(0.9))];
    counter.observe(&of("a", 0, both()), &there);
    counter.observe(&of("a", 30, both()), &there);
    let mut counter = Accountant::new(StateRules::default(), counter.take().marks);
    for second in [60, 90] {
        counter.observe(&of("a", second, vec![gpu("1", "n", Some(0.9))]), &there);
    }
    assert_eq!(
        sums(&counter.take()),
        [(GpuState::Busy, 60_000), (GpuState::Unhealthy, 60_000)].into()
    );
}

#[test]
fn a_lost_gpu_is_given_up_after_a_day_whatever_restarts_there_were() {
    let nowhere = NodeInventory::default();
    let mut counter = accountant();
    let both = vec![gpu("1", "n", Some(0.9)), gpu("2", "n", Some(0.9))];
    counter.observe(&report("a", 0, both), &nowhere);
    let (mut unhealthy, mut marks) = (0, BTreeMap::new());
    for hour in 1..=40 {
        let mut forgotten = Vec::new();
        for second in [-60, 0] {
            let at = hour * 3_600 + second;
            counter.observe(&report("a", at, vec![gpu("1", "n", Some(0.9))]), &nowhere);
            let counted = counter.take();
            unhealthy += sums(&counted).get(&GpuState::Unhealthy).copied().unwrap_or(0);
            marks.extend(counted.marks.into_iter().map(|mark| (mark.uuid.clone(), mark)));
            forgotten.extend(counted.forgotten);
        }
        marks.retain(|uuid, _| !forgotten.contains(uuid));
        counter = Accountant::new(StateRules::default(), marks.values().cloned().collect());
    }
    assert_eq!(marks.len(), 1);
    // Lost from the first reading without it, 59 minutes in, which counts what led up to it.
    assert_eq!(unhealthy, 24 * 3_600_000 + 59 * 60_000);
}

#[test]
fn a_device_measures_what_its_parts_do_by_their_size() {
    let mut counter = accountant();
    let slice = |instance: &str, profile: &str, share| {
        let mut slice = gpu("1", "n", share);
        slice.key.mig_instance = Some(instance.to_owned());
        slice.mig_profile = Some(profile.to_owned());
        slice
    };
    let parts = vec![
        slice("1", "3g.40gb", Some(0.8)),
        slice("2", "1g.10gb", Some(0.0)),
        slice("3", "2g.20gb", None),
    ];
    counter.observe(&report("a", 0, parts), &NodeInventory::default());
    let told: Vec<_> = counter.devices().map(|device| device.figures).collect();
    assert_eq!(told.len(), 1, "a device that is split is one GPU");
    assert!((told[0].utilization.unwrap() - 0.6).abs() < 1e-12, "{told:?}");
    assert_eq!(told[0].memory_used_bytes, Some(2_100));
    counter.pass(
        at(3_600),
        &[SourceId::new("a")].into(),
        &BTreeMap::new(),
        &NodeInventory::default(),
    );
    assert_eq!(counter.devices().next().unwrap().figures, Figures::default());
}

#[test]
fn slices_are_sevenths_and_the_rest_is_unallocated() {
    let slice = |instance: &str, profile: &str, share| {
        let mut slice = gpu("1", "n", Some(share));
        slice.key.mig_instance = Some(instance.to_owned());
        slice.mig_profile = Some(profile.to_owned());
        slice
    };
    let nowhere = NodeInventory::default();
    let mut counter = accountant();
    for second in [0, 70] {
        let slices = vec![slice("1", "3g.20gb", 0.9), slice("2", "2g.10gb", 0.1)];
        counter.observe(&report("a", second, slices), &nowhere);
    }
    assert_eq!(
        sums(&counter.take()),
        [(GpuState::Busy, 30_000), (GpuState::Low, 20_000), (GpuState::Unallocated, 20_000)].into()
    );
}

#[test]
fn pods_on_one_gpu_share_its_time() {
    let nowhere = NodeInventory::default();
    let shares = |one, other| {
        let mut counter = accountant();
        for second in [0, 100] {
            let mut shared = gpu("1", "n", Some(0.9));
            shared.holders = vec![holder("a-0", one), holder("b-0", other)];
            counter.observe(&report("s", second, vec![shared]), &nowhere);
        }
        let mut times: Vec<_> = counter
            .take()
            .times
            .into_iter()
            .map(|time| (time.held_by.unwrap().workload.name, time.time.total()))
            .collect();
        times.sort();
        times.into_iter().map(|(_, total)| total).collect::<Vec<_>>()
    };
    assert_eq!(shares(Some(0.6), Some(0.2)), [75_000, 25_000]);
    assert_eq!(shares(Some(0.6), None), [50_000, 50_000]);
    assert_eq!(shares(Some(0.0), Some(0.0)), [50_000, 50_000]);
}

#[test]
fn a_node_that_changes_its_type_counts_from_then_on_as_the_other() {
    let mut counter = accountant();
    let there = inventory(&["n"]);
    counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &there);
    counter.observe(&report("a", 30, vec![gpu("1", "n", Some(0.9))]), &there);
    let mut nodes = there.nodes().to_vec();
    nodes[0].instance_type = Some("p5.4xlarge".to_owned());
    let changed = NodeInventory::new(nodes, there.whole.clone(), BTreeMap::new());
    counter.observe(&report("a", 60, vec![gpu("1", "n", Some(0.9))]), &changed);
    counter.observe(&report("a", 90, vec![gpu("1", "n", Some(0.9))]), &changed);
    let mut by_type: Vec<_> = counter
        .take()
        .times
        .into_iter()
        .map(|time| (time.fleet.instance_type.unwrap(), time.time.total()))
        .collect();
    by_type.sort();
    assert_eq!(by_type, [("p5.48xlarge".to_owned(), 60_000), ("p5.4xlarge".to_owned(), 30_000)]);
}

#[test]
fn a_machine_type_that_nobody_tells_is_guessed_and_said_so() {
    let nowhere = NodeInventory::default();
    let mut counter = accountant();
    let eight = (0..8).map(|index| gpu(&index.to_string(), "n", Some(0.9))).collect();
    counter.observe(&report("a", 0, eight), &nowhere);
    let view = counter.devices().next().unwrap();
    assert_eq!(view.fleet.instance_type.as_deref(), Some("p5.48xlarge"));
    assert!(view.guessed);
}

#[test]
fn an_interval_over_midnight_belongs_to_both_days() {
    let mut counter = accountant();
    let nowhere = NodeInventory::default();
    // 1793664000 is a UTC midnight.
    counter.observe(&report("a", -20, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    counter.observe(&report("a", 10, vec![gpu("1", "n", Some(0.9))]), &nowhere);
    let mut days: Vec<_> =
        counter.take().times.into_iter().map(|time| (time.day, time.time.total())).collect();
    days.sort();
    assert_eq!(days.iter().map(|(_, total)| *total).collect::<Vec<_>>(), [20_000, 10_000]);
    assert_eq!(days[1].0, days[0].0.tomorrow().unwrap());
}

proptest! {
    #[test]
    fn every_millisecond_between_the_first_and_the_last_reading_is_counted_once(
        steps in proptest::collection::vec((1_i64..600, 0.0_f64..1.0, 1_u8..8, any::<bool>()), 1..60)
    ) {
        let nowhere = NodeInventory::default();
        let mut counter = accountant();
        let (mut second, mut total) = (0, 0);
        counter.observe(&report("a", 0, vec![gpu("1", "n", Some(0.9))]), &nowhere);
        for (step, share, slices, split) in steps {
            second += step;
            let mut sample = gpu("1", "n", Some(share));
            if split {
                sample.key.mig_instance = Some("1".to_owned());
                sample.mig_profile = Some(format!("{slices}g.10gb"));
            }
            counter.observe(&report("a", second, vec![sample]), &nowhere);
            total += sums(&counter.take()).values().sum::<u64>();
        }
        prop_assert_eq!(total, u64::try_from(second).unwrap() * 1000);
    }
}
