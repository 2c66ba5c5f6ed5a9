#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::domain::gpu_time::{GpuState, StateTime, Workload};
use crate::domain::identity::Provider;
use crate::domain::machine::{GpuModel, Machine};
use crate::domain::period::{BillingPeriod, Window};
use crate::domain::ports::Clock;
use crate::domain::price::CapacityType;
use crate::simulate::charge::World;
use crate::simulate::scenario::{GpuTruth, Scenario, ScenarioOptions};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

fn world(seed: u64, gpu_scale: u32) -> Scenario {
    let options =
        ScenarioOptions { seed, history_months: 3, gpu_scale, ..ScenarioOptions::default() };
    Scenario::with_options(options, Arc::new(Fixed))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When every correction of October is known.
const SETTLED: &str = "2026-11-16T10:00:00Z";
/// Two months, in which a Pacific clock is set and two incidents burn money.
fn two_months(provider: Provider) -> Window {
    match provider {
        Provider::Gcp => Window::new("2026-09-04".parse().unwrap(), "2026-11-03".parse().unwrap()),
        _ => Window::new("2026-09-01".parse().unwrap(), "2026-11-01".parse().unwrap()),
    }
}

type ByMachines = BTreeMap<(Date, String, String), Decimal>;

/// Hours of GPU machines by day, region and type, as published rows tell them; of a machine that
/// is billed in parts, its GPUs.
fn billed_hours(world: &Scenario, provider: Provider, record_types: &[&str]) -> ByMachines {
    let eight = ["p5.48xlarge", "p4d.24xlarge", "g6e.48xlarge", "g5.48xlarge"];
    let azure = [
        "Standard_ND96isr_H100_v5",
        "Standard_ND96asr_v4",
        "Standard_NC24ads_A100_v4",
        "Standard_NC40ads_H100_v5",
    ];
    let mut hours = ByMachines::new();
    for charge in world.charges(provider, at(SETTLED)).iter() {
        let Some(kind) = charge.instance_type.as_deref() else { continue };
        let in_parts = charge.sku.starts_with("Nvidia ");
        let is_machine = eight.contains(&kind) || azure.contains(&kind) || in_parts;
        if !is_machine || !record_types.contains(&charge.record_type.as_str()) {
            continue;
        }
        let parts = Decimal::from(if in_parts { 8 } else { 1 });
        let key = (charge.day, charge.region_id.clone(), kind.to_owned());
        *hours.entry(key).or_default() += charge.quantity / parts;
    }
    hours
}

#[test]
fn nodes_run_the_hours_that_are_billed() {
    for (seed, scale) in [(1, 1), (5, 3), (42, 7), (9, 40)] {
        let world = world(seed, scale);
        for provider in Provider::ALL {
            let run = ["Usage", "SavingsPlanCoveredUsage", "regular"];
            let billed = billed_hours(&world, provider, &run);
            let days: BTreeSet<_> = billed.keys().map(|(day, ..)| *day).collect();
            for day in two_months(provider).days() {
                assert!(days.contains(&day), "{provider} {day}");
                let mut seconds: BTreeMap<(String, String), i64> = BTreeMap::new();
                for machine in world.machines(provider, day) {
                    let key = (machine.region_id.clone(), machine.kind.name.to_owned());
                    *seconds.entry(key).or_default() += machine.runs.end - machine.runs.start;
                }
                let wanted: Vec<_> = billed.iter().filter(|((of, ..), _)| *of == day).collect();
                assert_eq!(seconds.len(), wanted.len(), "{provider} {day}");
                for ((_, region, kind), hours) in wanted {
                    let ran = Decimal::from(seconds[&(region.clone(), kind.clone())]);
                    let difference = (hours * Decimal::from(3_600) - ran).abs();
                    // Two ways of buying may round a second each.
                    assert!(difference <= Decimal::ONE, "{provider} {day} {kind}: {difference}");
                }
            }
        }
    }
}

#[test]
fn unused_reserved_hours_are_paid_and_have_no_node() {
    for scale in [1, 40] {
        let world = world(1, scale);
        let unused = billed_hours(&world, Provider::Azure, &["UnusedReservation"]);
        for day in two_months(Provider::Azure).days() {
            let pools = world.billed_machines(Provider::Azure, day);
            let reserved: Vec<_> =
                pools.iter().filter(|pool| pool.capacity_type == CapacityType::Reserved).collect();
            assert_eq!(reserved.len(), 1);
            let key = (day, "eastus".to_owned(), "Standard_ND96asr_v4".to_owned());
            assert_eq!(
                Decimal::from(reserved[0].unused_seconds),
                unused[&key] * Decimal::from(3_600)
            );
            let whole = 86_400 * u64::from(scale);
            assert_eq!(reserved[0].run_seconds + reserved[0].unused_seconds, whole);
            assert!(reserved[0].unused_seconds > 0);
        }
    }
}

#[test]
fn a_gpus_time_is_its_nodes_running_time_and_workloads_hold_no_more() {
    for (seed, scale) in [(1, 1), (7, 3)] {
        let world = world(seed, scale);
        for provider in Provider::ALL {
            for day in ["2026-10-06", "2026-10-07", "2026-11-01"] {
                let day: Date = day.parse().unwrap();
                let end = provider.billing_zone().end_of(day);
                let mut gpus: BTreeMap<String, (u64, usize)> = BTreeMap::new();
                for truth in world.gpu_truth(provider, day, end) {
                    let total = truth.times.actual.total();
                    assert_eq!(total, truth.times.observable.total());
                    let held: StateTime =
                        truth.workloads.values().fold(StateTime::default(), |mut sum, times| {
                            sum.merge(&times.actual);
                            sum
                        });
                    for (state, milliseconds) in held.iter() {
                        assert!(milliseconds <= truth.times.actual.milliseconds(state));
                    }
                    assert_eq!(held.milliseconds(GpuState::Unallocated), 0);
                    let (time, count) = gpus.entry(truth.node).or_default();
                    (*time, *count) = (*time + total, *count + 1);
                }
                for machine in world.machines(provider, day) {
                    let (time, count) = gpus.remove(&machine.name).unwrap();
                    let ran = u64::try_from(machine.runs.end - machine.runs.start).unwrap();
                    assert_eq!(count, machine.kind.gpus.len());
                    assert_eq!(time, ran * 1_000 * machine.kind.gpus.len() as u64);
                }
                assert!(gpus.is_empty(), "{gpus:?}");
            }
        }
    }
}

#[test]
fn spans_add_up_to_their_whole() {
    let world = world(3, 2);
    let cuts = ["2026-10-05T22:13:07.250Z", "2026-10-06T07:30:00Z", "2026-10-06T15:00:41.003Z"];
    let between = |from: &str, until: &str| {
        let truths = world.gpu_truth_between(Provider::Gcp, at(from), at(until));
        truths.into_iter().map(|truth| (truth.uuid.clone(), truth)).collect::<BTreeMap<_, _>>()
    };
    let whole = between(cuts[0], cuts[2]);
    let (first, second) = (between(cuts[0], cuts[1]), between(cuts[1], cuts[2]));
    assert!(whole.len() >= 16);
    for (uuid, truth) in whole {
        for state in GpuState::ALL {
            let of = |part: &BTreeMap<String, GpuTruth>| {
                part.get(&uuid).map_or(0, |truth| truth.times.actual.milliseconds(state))
            };
            // A slice's sevenths leave a fraction in each span.
            let difference =
                (of(&first) + of(&second)).abs_diff(truth.times.actual.milliseconds(state));
            assert!(difference <= 14, "{uuid} {state:?}: {difference}");
        }
    }
}

#[test]
fn slices_hold_their_sevenths_and_one_seventh_is_nobodys() {
    let world = world(1, 4);
    let day: Date = "2026-10-14".parse().unwrap();
    let end = Provider::Gcp.billing_zone().end_of(day);
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    let mut all = 0;
    for truth in world.gpu_truth(Provider::Gcp, day, end) {
        let of = |name: &str| -> u64 {
            let workloads = truth.workloads.iter().filter(|(workload, _)| workload.name == name);
            workloads.map(|(_, times)| times.actual.total()).sum()
        };
        let total = truth.times.actual.total();
        let (large, small) = (of("thumbnails"), of("safety-filter"));
        if large + small == 0 {
            continue;
        }
        // The profile 3g, and 2g with 1g.
        assert!(large <= total * 3 / 7 && small <= total * 3 / 7, "{truth:?}");
        let free = truth.times.actual.milliseconds(GpuState::Unallocated);
        assert!((large + small + free).abs_diff(total) <= 14, "{truth:?}");
        *held.entry("large").or_default() += large;
        *held.entry("small").or_default() += small;
        all += total;
    }
    assert!(held["large"] * 4 > all && held["small"] * 4 > all, "{held:?} of {all}");
}

#[test]
fn a_dead_exporter_makes_time_unknown_and_changes_nothing_that_is_true() {
    let world = world(1, 10);
    let (mut unknown, mut all) = (0, 0);
    for day in Window::new("2026-10-05".parse().unwrap(), "2026-10-08".parse().unwrap()).days() {
        let end = Provider::Aws.billing_zone().end_of(day);
        for truth in world.gpu_truth(Provider::Aws, day, end) {
            assert_eq!(truth.times.actual.milliseconds(GpuState::Unknown), 0);
            for state in GpuState::ALL.into_iter().filter(|state| *state != GpuState::Unknown) {
                let [observed, actual] = [truth.times.observable, truth.times.actual]
                    .map(|times| times.milliseconds(state));
                assert!(observed <= actual + 1);
            }
            unknown += truth.times.observable.milliseconds(GpuState::Unknown);
            all += truth.times.actual.total();
        }
    }
    let per_mille = unknown * 1_000 / all;
    assert!((1..50).contains(&per_mille), "{per_mille}");
}

#[test]
fn every_state_and_every_kind_of_pod_is_in_a_week() {
    let world = world(1, 2);
    let mut time = StateTime::default();
    let mut names = BTreeSet::new();
    for provider in Provider::ALL {
        let week = Window::new("2026-10-05".parse().unwrap(), "2026-10-12".parse().unwrap());
        for day in week.days() {
            let end = provider.billing_zone().end_of(day);
            for truth in world.gpu_truth(provider, day, end) {
                time.merge(&truth.times.observable);
                names.extend(truth.workloads.into_keys().map(|workload| workload.namespace));
            }
        }
    }
    for (state, milliseconds) in time.iter() {
        assert!(milliseconds * 500 > time.total(), "{state:?} is rare: {time:?}");
    }
    let wanted = ["research", "serving", "shared", "training"];
    assert!(names.iter().eq(wanted.iter()), "{names:?}");
}

/// The states last long enough for a sampling every 30 seconds to see them.
#[test]
fn states_change_a_few_times_a_day() {
    let world = world(2, 1);
    let day: Date = "2026-10-07".parse().unwrap();
    for provider in Provider::ALL {
        for machine in world.machines(provider, day) {
            let minutes = (machine.runs.start / 60)..(machine.runs.end / 60);
            let hours = (minutes.end - minutes.start) / 60 + 1;
            for device in machine.devices() {
                for part in device.parts() {
                    let states = minutes.clone().map(|at| super::moment(part, at).state);
                    let changes = states.clone().zip(states.skip(1)).filter(|(a, b)| a != b);
                    let count = i64::try_from(changes.count()).unwrap();
                    assert!(count <= 4 + hours * 2 / 3, "{}: {count} in {hours} h", machine.name);
                }
            }
        }
    }
}

#[test]
fn nodes_keep_their_names_and_gpus_from_day_to_day() {
    let world = world(4, 40);
    for provider in Provider::ALL {
        let of = |day: &str| -> BTreeMap<String, Vec<String>> {
            let machines = world.machines(provider, day.parse().unwrap());
            let count = machines.len();
            let named: BTreeMap<_, _> = machines
                .iter()
                .map(|machine| {
                    (machine.name.clone(), machine.devices().map(|one| one.uuid).collect())
                })
                .collect();
            assert_eq!(named.len(), count, "names are unique");
            let uuids: BTreeSet<_> = named.values().flatten().collect();
            assert_eq!(uuids.len(), named.values().map(Vec::len).sum::<usize>());
            named
        };
        let (monday, tuesday) = (of("2026-10-12"), of("2026-10-13"));
        let stayed = monday.iter().filter(|(name, gpus)| tuesday.get(*name) == Some(gpus)).count();
        assert!(monday.len() > 60 && stayed * 10 >= monday.len() * 8, "{stayed}");
    }
}

#[test]
fn runaway_nodes_of_the_incident_are_empty_at_every_scale() {
    for scale in [1, 40] {
        let world = world(1, scale);
        let incident = world.incident(BillingPeriod::containing("2026-10-01".parse().unwrap()));
        let day = incident.start;
        let noon = Provider::Aws.billing_zone().start_of(day) + SignedDuration::from_hours(12);
        let runs = |at: Timestamp| {
            let nodes = world.nodes(Provider::Aws, at);
            let far = |region: &Option<String>| region.as_deref() == Some("us-west-2");
            let of_type = |kind: &Option<String>| kind.as_deref() == Some("p5.48xlarge");
            nodes
                .into_iter()
                .filter(|node| far(&node.region_id) && of_type(&node.instance_type))
                .map(|node| node.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(runs(noon).len(), 2);
        assert_eq!(runs(noon - SignedDuration::from_hours(24)), Vec::<String>::new());
        let end = Provider::Aws.billing_zone().end_of(day);
        for truth in world.gpu_truth(Provider::Aws, day, end) {
            if runs(noon).contains(&truth.node) {
                let empty = truth.times.actual.milliseconds(GpuState::Empty);
                assert_eq!(empty, truth.times.actual.total());
            }
        }
    }
}

#[test]
fn scale_multiplies_gpu_machines_and_what_pays_for_them_and_nothing_else() {
    let now = at(SETTLED);
    for provider in Provider::ALL {
        let (one, many) = (world(1, 1).charges(provider, now), world(1, 6).charges(provider, now));
        assert_eq!(one.len(), many.len());
        let has_gpus = |text: &str| {
            ["p5.", "p4d.", "g6e.", "g5.48", "a3-", "a2-", "ND96", "NC24", "NC40"]
                .iter()
                .any(|family| text.contains(family))
        };
        for (one, many) in one.iter().zip(many.iter()) {
            let is_incident = one.region_id == "us-west-2" && one.sku.contains("p5.");
            let pays = one.service_name.starts_with("Savings Plans")
                || one.sku.starts_with("Commitment v1")
                || one.sku.ends_with(" Reservation");
            let is_gpu = one.instance_type.as_deref().is_some_and(has_gpus)
                && one.category != crate::domain::breakdown::ChargeCategory::Adjustment;
            let factor = if (is_gpu || pays) && !is_incident { 6 } else { 1 };
            for (one, many) in [(one.billed, many.billed), (one.effective, many.effective)] {
                let wanted = one * Decimal::from(factor);
                let slack = wanted.abs() * Decimal::new(1, 6) + Decimal::new(1, 4);
                assert!((wanted - many).abs() <= slack, "{provider} {wanted} {many}");
            }
        }
    }
}

#[test]
fn pods_are_named_as_kubernetes_names_those_of_their_workload() {
    let world = world(1, 3);
    let mut workloads = BTreeSet::new();
    for provider in Provider::ALL {
        for hour in 0..24 {
            let now = at("2026-10-06T00:30:00Z") + SignedDuration::from_hours(hour * 7);
            let readings = world.fleet(provider, now).into_iter().flat_map(|node| node.readings);
            for pod in readings.flat_map(|reading| reading.pods) {
                let namespace = pod.namespace.to_owned();
                let told = Workload::of_pod(&crate::domain::gpu::Pod { namespace, name: pod.name });
                assert_eq!((told.namespace.as_str(), &told.name), (pod.namespace, &pod.workload));
                workloads.insert(told.name);
            }
        }
    }
    assert!(workloads.len() > 15, "{workloads:?}");
}

#[test]
fn machine_types_are_what_their_cloud_sells() {
    for provider in Provider::ALL {
        for pool in world(1, 1).billed_machines(provider, "2026-10-06".parse().unwrap()) {
            let sold = Machine::of(provider, pool.instance_type).unwrap();
            let kind = super::machine_type(pool.instance_type).unwrap();
            assert_eq!((sold.gpus, Some(sold.gpu)), (pool.gpus, GpuModel::of(kind.model)));
            // Decimal gigabytes against MiB, of which the driver keeps some.
            let gb = kind.memory_mib * 1_048_576 / 1_000_000_000;
            assert!(gb.abs_diff(u64::from(sold.gpu.memory_gb)) <= 7, "{}: {gb}", kind.name);
        }
    }
}

#[test]
fn same_seed_tells_the_same_fleet_and_another_seed_another() {
    for provider in Provider::ALL {
        let tell = |seed: u64| {
            let (world, now) = (world(seed, 2), at(SETTLED));
            let day = provider.billing_zone().day_of(now);
            (world.fleet(provider, now), world.gpu_truth(provider, day, now))
        };
        assert_eq!(tell(7), tell(7));
        assert_ne!(tell(7), tell(8));
    }
}
