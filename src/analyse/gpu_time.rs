//! Counts GPU time: each device's time once, by state, node, fleet and workload.
//!
//! A reading tells of the time since the reading before. Rules:
//! - A device's time is counted up to an instant and never before it again: a second exporter of
//!   the same device, a clock that was set back, or a reading that comes twice add nothing.
//! - The source that counts a device keeps it for as long as it tells of it.
//! - A silence longer than the gap is unknown, for a day at most. It is counted at once where the
//!   node is known to be there (the inventory lists it, or its source as a whole fails), and
//!   otherwise only if the device comes back: its node may be gone. A node that a known inventory
//!   of its cluster does not list is gone, and counted anew should it come back.
//! - A device that is missing while others of its node are told is lost: unhealthy, for a day at
//!   most, or until its node has as many as it should have.
//! - MIG: a slice `Ng.*` is N sevenths of its device (quarters on an A30), a compute instance `Nc.*`
//!   that is told by itself N; AMD's partitions are equal. What no slice covers is unallocated.
//! - Several pods on a device or slice share its time by their own engine time where the exporter
//!   tells it of all of them, else equally.

mod facts;
mod share;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use self::facts::{NodeFacts, facts, node_name};
use self::share::{Tracks, Unit, shares, split, units};
use crate::analyse::gpu_state::StateTrack;
use crate::domain::gpu::{GpuReport, GpuSample};
use crate::domain::gpu_time::{
    GpuMark, GpuState, GpuTime, HeldBy, StateRules, StateTime, Workload,
};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::machine::Machine;
use crate::domain::node::{Fleet, NodeInventory};
use crate::domain::period::BillingZone;

/// No silence is counted for longer: what is unknown for days is better told by the bill.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(24);
/// So many workloads are told apart on a day,
const MOST_WORKLOADS: usize = 2_000;
/// and so many of their pods.
const MOST_PODS: usize = 5_000;
/// For so many days, since clouds' days begin at different instants.
const DAYS_OF_WORKLOADS: usize = 4;
/// What stands for the others.
const OTHER: &str = "__other__";

/// What a device measured; none for what it did not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// How busy, 0 to 1: of a device that is split, its parts by their size.
    pub utilization: Option<f64>,
    /// Memory in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Memory in all, bytes.
    pub memory_total_bytes: Option<u64>,
}

/// A device at its newest reading.
#[derive(Debug, Clone, Copy)]
pub struct DeviceView<'a> {
    /// Its UUID.
    pub uuid: &'a str,
    /// Its node.
    pub node: &'a str,
    /// Its fleet.
    pub fleet: &'a Fleet,
    /// The telemetry source that counts it.
    pub source: &'a SourceId,
    /// Whether the machine type was guessed.
    pub guessed: bool,
    /// Shares of the device by state, which add up to 1; unknown where it says nothing.
    pub shares: &'a [(GpuState, f64)],
    /// What it measured; nothing where it says nothing.
    pub figures: Figures,
}

/// The cluster that a source names, and the node: names of nodes are unique in a cluster.
type Place = (String, String);

#[derive(Debug)]
struct Device {
    source: SourceId,
    node: String,
    place: Place,
    fleet: Fleet,
    guessed: bool,
    counted_until: Timestamp,
    last_seen: Timestamp,
    /// Since when its node tells of others and not of it.
    lost_since: Option<Timestamp>,
    units: Tracks,
    shares: Vec<(GpuState, f64)>,
    figures: Figures,
    dirty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TimeKey {
    day: Date,
    fleet: Fleet,
    node: String,
    held_by: Option<HeldBy>,
}

/// Who was told apart on a day.
#[derive(Debug, Default)]
struct ToldApart {
    workloads: HashSet<Workload>,
    pods: HashSet<HeldBy>,
}

/// What was counted since the last time that it was taken.
#[derive(Debug, Default)]
pub struct Counted {
    /// Time to be added.
    pub times: Vec<GpuTime>,
    /// Marks of the devices that were counted.
    pub marks: Vec<GpuMark>,
    /// Devices that are no longer counted.
    pub forgotten: Vec<String>,
}

/// The counter of GPU time.
#[derive(Debug)]
pub struct Accountant {
    rules: StateRules,
    devices: HashMap<String, Device>,
    by_node: HashMap<Place, BTreeSet<String>>,
    counted: HashMap<TimeKey, StateTime>,
    forgotten: Vec<String>,
    /// Of the newest days: clouds' days begin at different instants.
    told_apart: BTreeMap<Date, ToldApart>,
}

impl Accountant {
    /// Goes on where the marks stand.
    pub fn new(rules: StateRules, marks: Vec<GpuMark>) -> Self {
        let device = |mark: GpuMark| {
            let device = Device {
                place: place_of(&mark),
                source: mark.source,
                node: mark.node,
                fleet: mark.fleet,
                guessed: false,
                counted_until: mark.counted_until,
                last_seen: mark.last_seen,
                lost_since: mark.lost_since,
                units: HashMap::new(),
                shares: vec![(GpuState::Unknown, 1.0)],
                figures: Figures::default(),
                dirty: false,
            };
            (mark.uuid, device)
        };
        let mut by_node: HashMap<Place, BTreeSet<String>> = HashMap::new();
        for mark in &marks {
            by_node.entry(place_of(mark)).or_default().insert(mark.uuid.clone());
        }
        Self {
            rules,
            devices: marks.into_iter().map(device).collect(),
            by_node,
            counted: HashMap::new(),
            forgotten: Vec::new(),
            told_apart: BTreeMap::new(),
        }
    }

    /// Counts the time up to a reading.
    pub fn observe(&mut self, report: &GpuReport, inventory: &NodeInventory) {
        let mut nodes: HashMap<&str, Vec<&GpuSample>> = HashMap::new();
        for sample in &report.gpus {
            nodes.entry(node_name(report, sample)).or_default().push(sample);
        }
        for (name, samples) in nodes {
            self.node(report, name, &samples, inventory);
        }
    }

    fn node(
        &mut self,
        report: &GpuReport,
        name: &str,
        samples: &[&GpuSample],
        inventory: &NodeInventory,
    ) {
        let now = report.observed_at;
        let mut devices: HashMap<&str, Vec<&GpuSample>> = HashMap::new();
        for sample in samples {
            devices.entry(sample.key.uuid.as_str()).or_default().push(sample);
        }
        let known = inventory.find(&report.cluster, name);
        let count = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        for (uuid, parts) in &devices {
            let model = parts.first().map_or("", |sample| sample.model.as_str());
            let defaults = inventory.defaults.get(&report.source);
            let facts = facts(report, known, defaults, model, count);
            self.device(report, name, uuid, parts, &facts);
        }
        // What its node no longer tells is lost, not idle.
        // A node that has all its GPUs again has got another one for the lost one.
        let machine =
            known.and_then(|node| Machine::of(node.provider?, node.instance_type.as_deref()?));
        let whole = known.and_then(|node| node.gpus).or(machine.map(|machine| machine.gpus));
        let is_whole = whole.is_some_and(|whole| count >= whole);
        let place = (report.cluster.clone(), name.to_owned());
        let known = self.by_node.get(&place).into_iter().flatten();
        let missing: Vec<String> =
            known.filter(|uuid| !devices.contains_key(uuid.as_str())).cloned().collect();
        for uuid in missing {
            let Some(device) = self.devices.get_mut(&uuid) else { continue };
            if device.source != report.source {
                continue;
            }
            let lost_since = *device.lost_since.get_or_insert(now);
            if is_whole || now.duration_since(lost_since) > LONGEST_SILENCE {
                self.forget(&uuid);
            } else {
                self.silent(&uuid, now, GpuState::Unhealthy);
            }
        }
    }

    fn device(
        &mut self,
        report: &GpuReport,
        node: &str,
        uuid: &str,
        parts: &[&GpuSample],
        facts: &NodeFacts,
    ) {
        let (now, gap) = (report.observed_at, self.rules.gap);
        let Some(device) = self.devices.get_mut(uuid) else {
            let mut device = Device {
                source: report.source.clone(),
                node: node.to_owned(),
                place: (report.cluster.clone(), node.to_owned()),
                fleet: facts.fleet.clone(),
                guessed: facts.guessed,
                counted_until: now,
                last_seen: now,
                lost_since: None,
                units: HashMap::new(),
                shares: Vec::new(),
                figures: Figures::default(),
                dirty: true,
            };
            let units = units(&mut device.units, parts, now, &self.rules);
            device.shares = shares(&units);
            device.figures = figures(parts, &units);
            self.devices.insert(uuid.to_owned(), device);
            let place = (report.cluster.clone(), node.to_owned());
            self.by_node.entry(place).or_default().insert(uuid.to_owned());
            return;
        };
        let elsewhere = device.source != report.source || device.node != node;
        // A lost device that another node tells of is that node's from now on.
        let found = elsewhere && device.lost_since.is_some();
        if !found {
            let is_counted_there = elsewhere && now.duration_since(device.last_seen) <= gap;
            if is_counted_there || now <= device.counted_until {
                return;
            }
        }
        if elsewhere {
            device.source = report.source.clone();
            node.clone_into(&mut device.node);
        }
        let place = (report.cluster.clone(), node.to_owned());
        if device.place != place {
            if let Some(uuids) = self.by_node.get_mut(&device.place) {
                uuids.remove(uuid);
            }
            self.by_node.entry(place.clone()).or_default().insert(uuid.to_owned());
            device.place = place;
        }
        let from = device.counted_until;
        // What a look at the silence counted so far is part of it.
        let was_silent = now.duration_since(device.last_seen) > gap;
        if was_silent {
            device.units.values_mut().for_each(StateTrack::forget);
        }
        let units = units(&mut device.units, parts, now, &self.rules);
        device.shares = shares(&units);
        device.figures = figures(parts, &units);
        device.last_seen = device.last_seen.max(now);
        device.lost_since = None;
        let counted = if was_silent { vec![Unit::whole(GpuState::Unknown)] } else { units };
        // Time until now was the old fleet's, should the node have become another machine.
        let fleet = std::mem::replace(&mut device.fleet, facts.fleet.clone());
        device.guessed = facts.guessed;
        device.counted_until = from.max(now);
        device.dirty = true;
        let node = device.node.clone();
        let from = from.max(now - LONGEST_SILENCE);
        self.count(fleet, node, (from, now), counted);
    }

    /// Looks at the devices that said nothing: `failing` are the sources that fail as a whole,
    /// `read_until` those whose past can still be read, and up to when it was. Time after that is
    /// not unknown yet.
    pub fn pass(
        &mut self,
        now: Timestamp,
        failing: &BTreeSet<SourceId>,
        read_until: &BTreeMap<SourceId, Timestamp>,
        inventory: &NodeInventory,
    ) {
        let silent: Vec<String> = self
            .devices
            .iter()
            .filter(|(_, device)| now.duration_since(device.last_seen) > self.rules.gap)
            .map(|(uuid, _)| uuid.clone())
            .collect();
        for uuid in silent {
            let Some(device) = self.devices.get_mut(&uuid) else { continue };
            device.shares = vec![(GpuState::Unknown, 1.0)];
            device.figures = Figures::default();
            let listed = inventory.find(&device.place.0, &device.node).is_some();
            let gone = !listed && inventory.knows(device.fleet.provider, &device.fleet.cluster);
            let there = listed || failing.contains(&device.source);
            let silence = now.duration_since(device.last_seen);
            if gone || silence > LONGEST_SILENCE {
                self.forget(&uuid);
            } else if there {
                let until = read_until.get(&device.source).map_or(now, |until| now.min(*until));
                if until.duration_since(device.last_seen) > self.rules.gap {
                    self.silent(&uuid, until, GpuState::Unknown);
                }
            }
        }
    }

    fn forget(&mut self, uuid: &str) {
        let Some(device) = self.devices.remove(uuid) else { return };
        if let Some(uuids) = self.by_node.get_mut(&device.place) {
            uuids.remove(uuid);
            if uuids.is_empty() {
                self.by_node.remove(&device.place);
            }
        }
        self.forgotten.push(uuid.to_owned());
    }

    /// Counts a device that said nothing since it was counted last.
    fn silent(&mut self, uuid: &str, now: Timestamp, state: GpuState) {
        let Some(device) = self.devices.get_mut(uuid) else { return };
        if now <= device.counted_until {
            return;
        }
        let from = device.counted_until.max(now - LONGEST_SILENCE);
        device.counted_until = now;
        device.units.values_mut().for_each(StateTrack::forget);
        device.shares = vec![(state, 1.0)];
        device.figures = Figures::default();
        device.dirty = true;
        if state != GpuState::Unknown {
            device.last_seen = now;
        }
        let (fleet, node) = (device.fleet.clone(), device.node.clone());
        self.count(fleet, node, (from, now), vec![Unit::whole(state)]);
    }

    /// Adds an interval of a device, cut at the ends of billing days.
    fn count(
        &mut self,
        fleet: Fleet,
        node: String,
        (mut from, until): (Timestamp, Timestamp),
        units: Vec<Unit>,
    ) {
        let zone = fleet.provider.map_or(BillingZone::Utc, Provider::billing_zone);
        while from < until {
            let day = zone.day_of(from);
            let end = zone.end_of(day).min(until);
            let length = u64::try_from(end.duration_since(from).as_millis()).unwrap_or(0);
            for (state, held_by, part) in split(&units, length) {
                let held_by = held_by.map(|held_by| self.told_apart(day, held_by));
                let key = TimeKey { day, fleet: fleet.clone(), node: node.clone(), held_by };
                self.counted.entry(key).or_default().add(state, part);
            }
            from = end;
        }
    }

    fn told_apart(&mut self, day: Date, held_by: &HeldBy) -> HeldBy {
        let seen = self.told_apart.entry(day).or_default();
        let other = || OTHER.to_owned();
        let told = if seen.pods.contains(held_by) {
            held_by.clone()
        } else if !seen.workloads.contains(&held_by.workload)
            && seen.workloads.len() >= MOST_WORKLOADS
        {
            HeldBy { workload: Workload { namespace: other(), name: other() }, pod: other() }
        } else {
            seen.workloads.insert(held_by.workload.clone());
            if seen.pods.len() >= MOST_PODS {
                HeldBy { workload: held_by.workload.clone(), pod: other() }
            } else {
                seen.pods.insert(held_by.clone());
                held_by.clone()
            }
        };
        while self.told_apart.len() > DAYS_OF_WORKLOADS {
            self.told_apart.pop_first();
        }
        told
    }

    /// What was counted since it was taken last.
    pub fn take(&mut self) -> Counted {
        let times = std::mem::take(&mut self.counted)
            .into_iter()
            .map(|(key, time)| GpuTime {
                day: key.day,
                fleet: key.fleet,
                node: key.node,
                held_by: key.held_by,
                time,
            })
            .collect();
        let marks = self
            .devices
            .iter_mut()
            .filter_map(|(uuid, device)| {
                std::mem::take(&mut device.dirty).then(|| GpuMark {
                    uuid: uuid.clone(),
                    source: device.source.clone(),
                    node: device.node.clone(),
                    source_cluster: Some(device.place.0.clone()),
                    fleet: device.fleet.clone(),
                    counted_until: device.counted_until,
                    last_seen: device.last_seen,
                    lost_since: device.lost_since,
                })
            })
            .collect();
        Counted { times, marks, forgotten: std::mem::take(&mut self.forgotten) }
    }

    /// Takes back what could not be kept, to be taken again.
    pub fn put_back(&mut self, counted: Counted) {
        for time in counted.times {
            let GpuTime { day, fleet, node, held_by, time } = time;
            self.counted.entry(TimeKey { day, fleet, node, held_by }).or_default().merge(&time);
        }
        for mark in counted.marks {
            if let Some(device) = self.devices.get_mut(&mark.uuid) {
                device.dirty = true;
            }
        }
        self.forgotten.extend(counted.forgotten);
    }

    /// Every device that is counted.
    pub fn devices(&self) -> impl Iterator<Item = DeviceView<'_>> {
        self.devices.iter().map(|(uuid, device)| DeviceView {
            uuid,
            node: &device.node,
            fleet: &device.fleet,
            source: &device.source,
            guessed: device.guessed,
            shares: &device.shares,
            figures: device.figures,
        })
    }
}

fn place_of(mark: &GpuMark) -> Place {
    let cluster = mark.source_cluster.as_ref().unwrap_or(&mark.fleet.cluster);
    (cluster.clone(), mark.node.clone())
}

/// What a device measured, its parts put together.
fn figures(parts: &[&GpuSample], units: &[Unit]) -> Figures {
    let mut figures = Figures::default();
    let mut weights = 0.0;
    let sum = |sum: Option<u64>, more: Option<u64>| match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (sum, more) => sum.or(more),
    };
    for (part, unit) in parts.iter().zip(units) {
        if let Some(utilization) = part.utilization {
            *figures.utilization.get_or_insert(0.0) += utilization.ratio() * unit.weight;
            weights += unit.weight;
        }
        figures.memory_used_bytes = sum(figures.memory_used_bytes, part.memory_used_bytes);
        figures.memory_total_bytes = sum(figures.memory_total_bytes, part.memory_total_bytes);
    }
    figures.utilization = figures.utilization.filter(|_| weights > 0.0).map(|sum| sum / weights);
    figures
}

#[cfg(test)]
mod tests;
