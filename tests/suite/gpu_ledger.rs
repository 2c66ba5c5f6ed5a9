//! GPU time in a real ledger: added once, kept with its marks, over restarts and pruning.

use costband::analyse::gpu_picture::GpuTimes;
use costband::app::gpu_time;
use costband::domain::band::PeriodLabel;
use costband::domain::gpu_time::{GpuMark, GpuState, GpuTime, HeldBy, StateTime, Workload};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::node::Fleet;
use costband::domain::period::Window;
use costband::domain::price::CapacityType;
use costband::store::{Ledger, Location};
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use std::sync::Arc;

use crate::store::place::contract;

fn fleet(instance_type: &str) -> Fleet {
    Fleet {
        provider: Some(Provider::Aws),
        cluster: "video".to_owned(),
        instance_type: Some(instance_type.to_owned()),
        region_id: Some("us-east-1".to_owned()),
        capacity_type: CapacityType::OnDemand,
        model: "NVIDIA H100 80GB HBM3".to_owned(),
    }
}

fn workload(name: &str) -> Workload {
    Workload { namespace: "ml".to_owned(), name: name.to_owned() }
}

fn time(day: Date, node: &str, held_by: Option<&str>, state: GpuState, ms: u64) -> GpuTime {
    let mut time = StateTime::default();
    time.add(state, ms);
    GpuTime {
        day,
        fleet: fleet("p5.48xlarge"),
        node: node.to_owned(),
        held_by: held_by
            .map(|name| HeldBy { workload: workload(name), pod: format!("{name}-{node}") }),
        time,
    }
}

fn mark(uuid: &str, until: &str) -> GpuMark {
    GpuMark {
        uuid: uuid.to_owned(),
        source: SourceId::new("node"),
        node: "n1".to_owned(),
        source_cluster: None,
        fleet: fleet("p5.48xlarge"),
        counted_until: until.parse().unwrap(),
        last_seen: until.parse().unwrap(),
        lost_since: None,
    }
}

contract! {
    time_is_added_by_fleet_node_and_workload_and_survives_a_restart,
    the_month_before_is_summed_again_where_time_was_added_to_it,
    old_days_go_and_counters_stay,
}

fn time_is_added_by_fleet_node_and_workload_and_survives_a_restart(path: &Location) {
    let (first, second) = (date(2026, 11, 1), date(2026, 11, 2));
    let window = Window::new(first, date(2026, 12, 1));
    let marks = [mark("GPU-1", "2026-11-02T10:00:00Z"), mark("GPU-2", "2026-11-02T10:00:00Z")];
    let mut ledger = Ledger::open(path).unwrap();
    let times = [
        time(first, "n1", Some("train"), GpuState::Busy, 1_000),
        time(first, "n2", None, GpuState::Unallocated, 500),
        time(second, "n1", Some("train"), GpuState::Busy, 30),
    ];
    ledger.keep_gpu_time(&times, &marks, &[]).unwrap();
    let both = ["GPU-1".to_owned(), "GPU-2".to_owned()];
    ledger.keep_gpu_time(&times[..1], &marks[..1], &both).unwrap();
    drop(ledger);

    let ledger = Ledger::open(path).unwrap();
    assert_eq!(ledger.gpu_marks().unwrap(), marks[..1]);
    let days = ledger.gpu_days(&window).unwrap();
    let sums: Vec<_> = days.iter().map(|day| (day.day, day.time.to_milliseconds())).collect();
    assert_eq!(
        sums,
        [(first, [2_000, 0, 0, 0, 500, 0, 0]), (second, [30, 0, 0, 0, 0, 0, 0])],
        "one fleet, two days"
    );
    let nodes: Vec<_> = ledger
        .gpu_nodes(&window)
        .unwrap()
        .into_iter()
        .map(|((node, fleet), time)| (node, fleet.instance_type.unwrap(), time.total()))
        .collect();
    let p5 = "p5.48xlarge".to_owned();
    assert_eq!(nodes, [("n1".to_owned(), p5.clone(), 2_030), ("n2".to_owned(), p5, 500)]);
    let workloads = ledger.gpu_workloads(&window).unwrap();
    assert_eq!(workloads.len(), 1, "what nobody holds is no workload's");
    assert_eq!((&workloads[0].0, workloads[0].2.total()), (&workload("train"), 2_030));
    let pods = ledger.gpu_pods(&window).unwrap();
    assert_eq!((pods.len(), pods[0].0.pod.as_str(), pods[0].2.total()), (1, "train-n1", 2_030));
    assert_eq!(ledger.gpu_totals().unwrap()[0].1.total(), 2_530);
}

fn the_month_before_is_summed_again_where_time_was_added_to_it(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let now = "2026-12-01T01:00:00Z".parse().unwrap();
    let november = date(2026, 11, 30);
    let add = |ledger: &mut Ledger, day| {
        let times = [time(day, "n1", Some("train"), GpuState::Busy, 1_000)];
        ledger.keep_gpu_time(&times, &[], &[]).unwrap();
        [day].into()
    };
    let told = |times: &GpuTimes, label| -> u64 {
        times.workloads[&label].iter().map(|(_, _, time)| time.total()).sum()
    };
    add(&mut ledger, november);
    let first = gpu_time::read(&ledger, now, None).unwrap();
    assert_eq!(
        (told(&first, PeriodLabel::Previous), told(&first, PeriodLabel::Current)),
        (1_000, 0)
    );
    let days = add(&mut ledger, date(2026, 12, 1));
    let second = gpu_time::read(&ledger, now, Some((&first, days))).unwrap();
    let previous = PeriodLabel::Previous;
    assert!(Arc::ptr_eq(&first.workloads[&previous], &second.workloads[&previous]));
    assert_eq!(told(&second, PeriodLabel::Current), 1_000);
    let days = add(&mut ledger, november);
    let third = gpu_time::read(&ledger, now, Some((&second, days))).unwrap();
    assert_eq!(told(&third, previous), 2_000);
    // A month later what was the open period is the one before.
    let later = "2027-01-05T01:00:00Z".parse().unwrap();
    let fourth = gpu_time::read(&ledger, later, Some((&third, [].into()))).unwrap();
    assert_eq!(told(&fourth, previous), 1_000);
}

fn old_days_go_and_counters_stay(path: &Location) {
    let mut ledger = Ledger::open(path).unwrap();
    let times = [
        time(date(2024, 1, 5), "n1", Some("train"), GpuState::Busy, 1_000),
        time(date(2026, 11, 5), "n1", Some("train"), GpuState::Busy, 7),
    ];
    ledger.keep_gpu_time(&times, &[], &[]).unwrap();
    let keep = SignedDuration::from_hours(24 * 400);
    ledger.prune("2026-11-20T00:00:00Z".parse().unwrap(), keep).unwrap();
    let ever = Window::new(date(2000, 1, 1), date(2100, 1, 1));
    assert_eq!(ledger.gpu_days(&ever).unwrap().len(), 1);
    let nodes = ledger.gpu_nodes(&ever).unwrap();
    assert_eq!(nodes.into_values().map(|time| time.total()).collect::<Vec<_>>(), [7]);
    assert_eq!(ledger.gpu_workloads(&ever).unwrap()[0].2.total(), 7);
    assert_eq!(ledger.gpu_totals().unwrap()[0].1.total(), 1_007);
}
