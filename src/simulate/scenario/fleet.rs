//! The GPU nodes behind the bills: which run at an instant, and what their exporters tell of them.
//!
//! Each pool of machines that a day pays for runs as many whole-day nodes as its hours fill, and
//! one more from the day's start for the rest. Traps that real pages hold are here on purpose: a
//! sentinel, MIG slices without memory, several pods on one GPU, a GPU that is gone.

use std::ops::Range;

use jiff::civil::Date;

use super::activity::{self, Moment, Part, Work, exporter_is_up, moment};
use super::machines::{BilledMachines, MachineType, machine_type};
use super::roll::Roll;
use super::workload::{Place, Pod, pods};
use crate::domain::identity::Provider;
use crate::domain::node::Node;
use crate::domain::price::CapacityType;

/// A node's page at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuNode {
    /// Its host name.
    pub name: String,
    /// Whether its exporter answers.
    pub exporter_is_up: bool,
    /// What its exporter tells when it answers: a whole GPU or each MIG slice; nothing of a GPU
    /// that is gone.
    pub readings: Vec<GpuReading>,
}

/// What the exporter tells of a GPU, or of a MIG slice of one.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuReading {
    /// The GPU's index on the node.
    pub index: u32,
    /// `GPU-` and a UUID.
    pub uuid: String,
    /// `00000000:1A:00.0`.
    pub pci_bus_id: String,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: &'static str,
    /// The profile and GPU instance of a MIG slice: `3g.20gb`, 1.
    pub slice: Option<(&'static str, u32)>,
    /// Frame buffer in all and in use, MiB; none where the driver does not tell it.
    pub memory_mib: Option<(u64, u64)>,
    /// Share of time in which the graphics engine is active, 0 to 1.
    pub engine_active: f64,
    /// The last XID error; 0 for none.
    pub xid: u32,
    /// Watts.
    pub power: f64,
    /// Millijoules since its boot.
    pub energy: i64,
    /// Who holds it. Several pods take turns on a shared GPU.
    pub pods: Vec<Pod>,
    /// Whether it serves several pods in turns.
    pub is_shared: bool,
    /// Whether it says "not supported" as a number for utilisation and memory temperature.
    pub sentinel: bool,
}

/// A kind of MIG slice.
struct SliceKind {
    profile: &'static str,
    instance: u32,
    sevenths: u32,
    /// Frame buffer, MiB; none where drivers tell none.
    memory_mib: Option<u64>,
}

#[rustfmt::skip] // A table is read in rows.
static SLICES: [SliceKind; 3] = [
    SliceKind { profile: "3g.20gb", instance: 1, sevenths: 3, memory_mib: Some(19_968) },
    SliceKind { profile: "2g.10gb", instance: 3, sevenths: 2, memory_mib: Some(9_984) },
    SliceKind { profile: "1g.5gb", instance: 9, sevenths: 1, memory_mib: None },
];

/// A machine that runs for a part of a billing day.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) kind: &'static MachineType,
    pub(super) region_id: String,
    pub(super) zone: String,
    pub(super) capacity_type: CapacityType,
    /// The seconds (since 1970) in which it runs.
    pub(super) runs: Range<i64>,
    ordinal: u32,
    /// The pool's word in names of workloads.
    tag: String,
    is_runaway: bool,
    roll: Roll,
}

/// The machines of a billing day, in a fixed order.
pub(super) fn machines(
    provider: Provider,
    seed: u64,
    day: Date,
    billed: &[BilledMachines],
) -> Vec<Machine> {
    let zone = provider.billing_zone();
    let (start, end) = (zone.start_of(day).as_second(), zone.end_of(day).as_second());
    let length = u64::try_from(end - start).unwrap_or(1).max(1);
    let mut machines = Vec::new();
    for pool in billed {
        let Some(kind) = machine_type(pool.instance_type) else { continue };
        let whole_days = u32::try_from(pool.run_seconds / length).unwrap_or(u32::MAX);
        let rest = i64::try_from(pool.run_seconds % length).unwrap_or(0);
        let runs = |ordinal| if ordinal < whole_days { start..end } else { start..start + rest };
        let count = whole_days + u32::from(rest > 0);
        machines.extend(
            (0..count).map(|ordinal| machine(provider, seed, pool, kind, ordinal, runs(ordinal))),
        );
    }
    machines
}

fn machine(
    provider: Provider,
    seed: u64,
    pool: &BilledMachines,
    kind: &'static MachineType,
    ordinal: u32,
    runs: Range<i64>,
) -> Machine {
    let region = &pool.region_id;
    let dice = Roll::new(0)
        .word(&pool.sub_account_id)
        .word(region)
        .word(kind.name)
        .word(pool.capacity_type.as_str());
    let name = match provider {
        Provider::Aws => {
            let domain = match region.as_str() {
                "us-east-1" => "ec2.internal".to_owned(),
                other => format!("{other}.compute.internal"),
            };
            let (subnet, host) = (ordinal / 250, 4 + ordinal % 250);
            format!("ip-10-{}-{subnet}-{host}.{domain}", dice.below(250))
        }
        Provider::Gcp => {
            let pool: String = dice.hex().chars().take(8).collect();
            // An odd factor sends 16 bits to 16 bits, each to another.
            let own = ((ordinal & 0xffff) * 0x9e37) & 0xffff;
            format!("gke-vision-{}-{pool}-{own:04x}", kind.short)
        }
        Provider::Azure => {
            let pool = 10_000_000 + dice.below(80_000_000);
            format!("aks-{}-{pool}-vmss{}", kind.short, base_36(ordinal))
        }
    };
    let zone = match provider {
        Provider::Azure => format!("{region}-{}", 1 + ordinal % 3),
        Provider::Gcp => format!("{region}-{}", letter(ordinal)),
        Provider::Aws => format!("{region}{}", letter(ordinal)),
    };
    let tag = match pool.capacity_type {
        CapacityType::Reserved => format!("{}r", kind.short),
        _ => kind.short.to_owned(),
    };
    Machine {
        roll: Roll::new(seed).word(&name),
        name,
        kind,
        region_id: region.clone(),
        zone,
        capacity_type: pool.capacity_type,
        runs,
        ordinal,
        tag,
        is_runaway: super::aws::is_runaway(&pool.sub_account_id, kind.name),
    }
}

fn letter(ordinal: u32) -> char {
    match ordinal % 3 {
        0 => 'a',
        1 => 'b',
        _ => 'c',
    }
}

/// Six digits, as scale sets number their machines.
fn base_36(mut number: u32) -> String {
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
    }
    digits.iter().rev().collect()
}

/// A GPU of a machine with the parts that are told apart.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) uuid: String,
    pub(super) index: u32,
    work: Work,
    parts: [Option<Part>; 3],
}

impl Device {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().flatten()
    }
}

impl Machine {
    pub(super) fn node(&self, provider: Provider) -> Node {
        Node {
            name: self.name.clone(),
            provider: Some(provider),
            cluster: cluster(provider),
            instance_type: Some(self.kind.name.to_owned()),
            region_id: Some(self.region_id.clone()),
            zone: Some(self.zone.clone()),
            capacity_type: self.capacity_type,
            gpus: u32::try_from(self.kind.gpus.len()).ok(),
            hourly_cost: None,
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { tag: &self.tag, ordinal: self.ordinal }
    }

    pub(super) fn exporter_is_up(&self, minute: i64) -> bool {
        exporter_is_up(self.roll, minute)
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = Device> {
        (0..).zip(self.kind.gpus).map(|(index, work)| {
            let work = if self.is_runaway { Work::Runaway } else { *work };
            let own = self.roll.number(i64::from(index));
            let whole = Part { node: self.roll, own, index, work, sevenths: 7, tells_memory: true };
            let slice = |kind: &SliceKind| Part {
                own: own.number(i64::from(kind.instance)),
                sevenths: kind.sevenths,
                tells_memory: kind.memory_mib.is_some(),
                ..whole
            };
            let parts = match work {
                Work::Split => SLICES.each_ref().map(|kind| Some(slice(kind))),
                _ => [Some(whole), None, None],
            };
            Device { uuid: format!("GPU-{}", own.word("uuid").uuid()), index, work, parts }
        })
    }

    /// What its exporter tells, or would tell, at a second.
    pub(super) fn page(&self, second: i64) -> GpuNode {
        let minute = second.div_euclid(60);
        let mut readings = Vec::with_capacity(self.kind.gpus.len());
        for device in self.devices() {
            for (part, kind) in device.parts().zip(&SLICES) {
                let now = moment(part, minute);
                if !now.lost {
                    readings.push(self.reading(&device, part, kind, &now, second));
                }
            }
        }
        GpuNode { name: self.name.clone(), exporter_is_up: self.exporter_is_up(minute), readings }
    }

    fn reading(
        &self,
        device: &Device,
        part: &Part,
        kind: &SliceKind,
        now: &Moment,
        second: i64,
    ) -> GpuReading {
        let slice = (device.work == Work::Split).then_some((kind.profile, kind.instance));
        let total = match slice {
            Some(_) => kind.memory_mib,
            None => Some(self.kind.memory_mib),
        };
        let used = |total: u64| total * activity::memory_per_mille(part, now) / 1_000;
        let engine_active = activity::engine_active(part, now, second);
        let idle_watts = f64::from(self.kind.idle_watts);
        GpuReading {
            index: device.index,
            uuid: device.uuid.clone(),
            pci_bus_id: format!("00000000:{:02X}:00.0", 0x1a + device.index * 0x11),
            model: self.kind.model,
            slice,
            memory_mib: total.map(|total| (total, used(total))),
            engine_active,
            xid: now.xid,
            power: idle_watts * (1.0 + 8.0 * engine_active),
            energy: second.rem_euclid(86_400 * 365) * 1_000 * i64::from(self.kind.idle_watts),
            pods: now.job.map(|job| pods(part, self.place(), job)).unwrap_or_default(),
            is_shared: device.work == Work::Shared,
            sentinel: device.work == Work::Training && device.index == 3,
        }
    }
}

/// The cluster of a provider's nodes.
fn cluster(provider: Provider) -> String {
    format!("video-{provider}")
}

#[cfg(test)]
mod tests;
