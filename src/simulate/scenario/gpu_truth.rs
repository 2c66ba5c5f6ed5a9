//! What GPUs truly did and what an observer could know of it, added up minute by minute from the
//! world itself: neither through a page nor a parser.

use std::collections::BTreeMap;

use super::activity::{Job, Moment, Work, moment};
use super::fleet::{Device, Machine};
use super::workload::{pods, sharers};
use crate::domain::gpu_time::{GpuState, StateTime, Workload};
use crate::domain::price::CapacityType;

/// Time by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// What was so.
    pub actual: StateTime,
    /// What could be known: [`GpuState::Unknown`] while the node's exporter was dead.
    pub observable: StateTime,
}

/// What one GPU did in a span of time, in milliseconds.
///
/// A MIG slice `Ng.*` is N sevenths of its GPU; what no slice covers is unallocated. Pods that
/// share a GPU in turns have equal parts of its time. A fraction of a millisecond that a division
/// leaves is unallocated, or nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuTruth {
    /// The node.
    pub node: String,
    /// Its machine type.
    pub instance_type: &'static str,
    /// Its region.
    pub region_id: String,
    /// How it was bought.
    pub capacity_type: CapacityType,
    /// The model as its driver tells it.
    pub model: &'static str,
    /// The device's UUID.
    pub uuid: String,
    /// The device's time; either total is the time for which its node ran.
    pub times: Times,
    /// The part of it that each workload held. An observer knows none of it while the exporter is
    /// dead: the observable times lack those hours and hold nothing unknown.
    pub workloads: BTreeMap<Workload, Times>,
}

/// Into how many shares a GPU's time is divided, so that sevenths, halves and thirds are whole.
const SHARES: u64 = 42;

/// Shares of milliseconds by state.
#[derive(Clone, Copy, Default)]
struct Shares {
    actual: [u64; 7],
    observable: [u64; 7],
}

impl Shares {
    fn add(&mut self, state: GpuState, is_up: bool, shares: u64) {
        self.actual[state as usize] += shares;
        let known = if is_up { state } else { GpuState::Unknown };
        self.observable[known as usize] += shares;
    }

    fn times(&self) -> Times {
        let whole = |shares: [u64; 7]| StateTime::from_milliseconds(shares.map(|sum| sum / SHARES));
        Times { actual: whole(self.actual), observable: whole(self.observable) }
    }
}

/// What each GPU of a machine did between two milliseconds (since 1970).
pub(super) fn of_machine(machine: &Machine, from: i64, until: i64) -> Vec<GpuTruth> {
    let from = from.max(machine.runs.start * 1_000);
    let until = until.min(machine.runs.end * 1_000);
    if from >= until {
        return Vec::new();
    }
    let up: Vec<bool> = minutes(from, until).map(|(at, _)| machine.exporter_is_up(at)).collect();
    machine.devices().map(|device| of_device(machine, &device, from, until, &up)).collect()
}

/// The minutes of a span, each with how many of its milliseconds lie within.
fn minutes(from: i64, until: i64) -> impl Iterator<Item = (i64, u64)> {
    const MINUTE: i64 = 60_000;
    (from.div_euclid(MINUTE)..=(until - 1).div_euclid(MINUTE)).map(move |minute| {
        let within = until.min((minute + 1) * MINUTE) - from.max(minute * MINUTE);
        (minute, u64::try_from(within).unwrap_or(0))
    })
}

fn of_device(machine: &Machine, device: &Device, from: i64, until: i64, up: &[bool]) -> GpuTruth {
    let mut whole = Shares::default();
    let mut held: BTreeMap<Workload, Shares> = BTreeMap::new();
    let mut uncovered = 7;
    for part in device.parts() {
        uncovered -= u64::from(part.sevenths);
        let shares = u64::from(part.sevenths) * (SHARES / 7);
        let mut run: Option<(Job, Shares)> = None;
        let close = |run: Option<(Job, Shares)>, held: &mut BTreeMap<Workload, Shares>| {
            let Some((job, time)) = run else { return };
            for pod in pods(part, machine.place(), job) {
                let workload = Workload { namespace: pod.namespace.to_owned(), name: pod.workload };
                let sum = held.entry(workload).or_default();
                for (sum, more) in sum.actual.iter_mut().zip(time.actual) {
                    *sum += more;
                }
                for (sum, more) in sum.observable.iter_mut().zip(time.observable) {
                    *sum += more;
                }
            }
        };
        let holders = if part.work == Work::Shared { sharers(part) as u64 } else { 1 };
        for ((minute, length), is_up) in minutes(from, until).zip(up) {
            let Moment { state, job, .. } = moment(part, minute);
            whole.add(state, *is_up, shares * length);
            if run.as_ref().map(|(job, _)| *job) != job {
                close(run.take(), &mut held);
                run = job.map(|job| (job, Shares::default()));
            }
            if let Some((_, time)) = &mut run {
                let each = shares * length / holders;
                time.actual[state as usize] += each;
                if *is_up {
                    time.observable[state as usize] += each;
                }
            }
        }
        close(run, &mut held);
    }
    for ((_, length), is_up) in minutes(from, until).zip(up) {
        whole.add(GpuState::Unallocated, *is_up, uncovered * (SHARES / 7) * length);
    }
    let mut times = whole.times();
    let length = u64::try_from(until - from).unwrap_or(0);
    for time in [&mut times.actual, &mut times.observable] {
        time.add(GpuState::Unallocated, length - time.total());
    }
    GpuTruth {
        node: machine.name.clone(),
        instance_type: machine.kind.name,
        region_id: machine.region_id.clone(),
        capacity_type: machine.capacity_type,
        model: machine.kind.model,
        uuid: device.uuid.clone(),
        times,
        workloads: held.into_iter().map(|(workload, shares)| (workload, shares.times())).collect(),
    }
}

/// Adds what the same GPU did in another span.
pub(super) fn merge(truth: &mut GpuTruth, more: GpuTruth) {
    let add = |sum: &mut Times, more: &Times| {
        sum.actual.merge(&more.actual);
        sum.observable.merge(&more.observable);
    };
    add(&mut truth.times, &more.times);
    for (workload, times) in more.workloads {
        add(truth.workloads.entry(workload).or_default(), &times);
    }
}
