//! From series to GPUs: what the series of one page, or of one step of a Prometheus, say together
//! of each device.
//!
//! Devices are told apart by UUID and MIG instance, so each is counted once however many series it
//! has. Where a device is shared, its own series stands, else the greatest of its pods' values;
//! values are never summed. A missing or impossible value is unknown, never 0.

use std::collections::HashMap;

use crate::collect::gpu::figures::{Figure, Figures};
use crate::collect::gpu::series::Series;
use crate::domain::gpu::{
    DropReason, DroppedSamples, GpuKey, GpuSample, Holder, Pod, Utilization, UtilizationSignal,
};

const MEBIBYTE: f64 = 1_048_576.0;
/// More pods than a node can run; what comes behind is dropped and counted.
const MOST_HOLDERS: usize = 512;

#[derive(Debug)]
struct Holding {
    pod: Pod,
    exported: bool,
    figures: Figures,
}

#[derive(Debug)]
struct Device {
    key: GpuKey,
    profile: Option<String>,
    model: String,
    hostname: Option<String>,
    own: Figures,
    shared: Figures,
    holdings: Vec<Holding>,
}

impl Device {
    fn new(key: GpuKey) -> Self {
        Self {
            key,
            profile: None,
            model: String::new(),
            hostname: None,
            own: Figures::default(),
            shared: Figures::default(),
            holdings: Vec::new(),
        }
    }

    fn describe(&mut self, series: &Series<'_>) {
        if let Some(model) = series.model.as_deref().filter(|_| self.model.is_empty()) {
            model.clone_into(&mut self.model);
        }
        if self.hostname.is_none() {
            self.hostname = series.host().map(str::to_owned);
        }
        if self.profile.is_none() {
            self.profile = series.profile.as_deref().map(str::to_owned);
        }
    }

    /// Where the pod that a series names stands among the holdings, if it names one.
    fn holding(&mut self, series: &Series<'_>) -> Result<Option<usize>, TooMany> {
        let Some(holder) = series.holder() else { return Ok(None) };
        let same =
            |held: &Holding| held.pod.name == holder.name && held.pod.namespace == holder.namespace;
        if let Some(at) = self.holdings.iter().position(same) {
            if let Some(held) = self.holdings.get_mut(at) {
                held.exported |= holder.exported;
            }
            return Ok(Some(at));
        }
        if self.holdings.len() == MOST_HOLDERS {
            return Err(TooMany);
        }
        let (namespace, name) = (holder.namespace.to_owned(), holder.name.to_owned());
        self.holdings.push(Holding {
            pod: Pod { namespace, name },
            exported: holder.exported,
            figures: Figures::default(),
        });
        Ok(Some(self.holdings.len() - 1))
    }

    fn figure(&self, figure: Figure) -> Option<f64> {
        self.own.get(figure).or(self.shared.get(figure))
    }

    /// Whether pods have values of a figure that are not the device's. An exporter that knows no
    /// parts writes the device's value beside every pod.
    fn differs(&self, figure: Figure) -> bool {
        let mut values = self.holdings.iter().filter_map(|held| held.figures.get(figure));
        let whole = self.own.get(figure).or_else(|| values.next());
        values.any(|value| Some(value) != whole)
    }

    /// Whether pods' values of a figure are their own parts: they differ, or it makes no
    /// difference, since there is one pod or nothing to share.
    fn is_in_parts(&self, figure: Figure) -> bool {
        let told = self.holdings.iter().filter(|held| held.figures.get(figure).is_some()).count();
        told == 1 || self.figure(figure) == Some(0.0) || self.differs(figure)
    }

    fn holders(&mut self, exported_only: bool) -> Vec<Holder> {
        let engine = self.is_in_parts(Figure::EngineActive);
        let whole = self.key.mig_instance.is_none();
        let resident = whole && self.is_in_parts(Figure::Resident);
        let mut holdings = std::mem::take(&mut self.holdings);
        holdings.retain(|held| held.exported || !exported_only);
        holdings.sort_by(|a, b| a.pod.cmp(&b.pod));
        holdings
            .into_iter()
            .map(|held| {
                let engine = held.figures.get(Figure::EngineActive).filter(|_| engine);
                let resident = held.figures.get(Figure::Resident).filter(|_| resident);
                let utilization = engine
                    .and_then(Utilization::from_ratio)
                    .or(resident.and_then(Utilization::from_percent));
                Holder { pod: held.pod, utilization }
            })
            .collect()
    }

    fn memory(&self) -> (Option<f64>, Option<f64>) {
        let used = self.figure(Figure::MemoryUsed);
        // Where pods tell their parts and nobody the whole, the greatest part is no addend.
        let parts_only =
            self.own.get(Figure::MemoryUsed).is_none() && self.differs(Figure::MemoryUsed);
        let whole_used = used.filter(|_| !parts_only);
        let sum = whole_used
            .zip(self.figure(Figure::MemoryFree))
            .map(|(used, free)| used + free + self.figure(Figure::MemoryReserved).unwrap_or(0.0));
        let told = self.figure(Figure::MemoryTotal);
        let total = told.or(sum).filter(|total| used.is_none_or(|used| used <= *total));
        (used, total)
    }

    fn into_sample(mut self, exported_only: bool) -> GpuSample {
        let (used, total) = self.memory();
        let percent = |figure| self.figure(figure).and_then(Utilization::from_percent);
        let engine = self.figure(Figure::EngineActive).and_then(Utilization::from_ratio);
        // Both are told of whole devices only; of a slice they say 0, or nothing, by design.
        let whole = self.key.mig_instance.is_none();
        let resident = percent(Figure::Resident).filter(|_| whole);
        let gfx = percent(Figure::GfxActivity).filter(|_| whole);
        let signals = [
            (engine, UtilizationSignal::GrEngineActive),
            (resident, UtilizationSignal::GpuUtil),
            (gfx, UtilizationSignal::GfxActivity),
        ];
        let told = signals.into_iter().find_map(|(told, signal)| Some((told?, signal)));
        let xid = self.figure(Figure::Xid).map(whole_number);
        let healthy = self.figure(Figure::Healthy).map(|told| told > 0.0);
        let holders = self.holders(exported_only);
        GpuSample {
            key: self.key,
            model: self.model,
            mig_profile: self.profile,
            hostname: self.hostname,
            utilization: told.map(|(utilization, _)| utilization),
            signal: told.map(|(_, signal)| signal),
            memory_used_bytes: used.map(bytes),
            memory_total_bytes: total.map(bytes),
            holders,
            xid,
            healthy,
        }
    }
}

/// A device names more pods than there can be.
struct TooMany;

/// What a series is of. Series with the same labels are of the same.
#[derive(Debug, Clone, Copy)]
pub enum Subject {
    /// No device that could be named.
    Nothing,
    /// A pod for which there is no room.
    TooMany,
    /// A device, and a pod's part in it where there is one.
    Device {
        /// Its place among the devices.
        device: usize,
        /// The pod's place among those that share the device.
        part: Option<usize>,
        /// Whether the device is shared.
        shared: bool,
    },
}

/// The devices of a page while it is read.
#[derive(Debug, Default)]
pub struct Devices {
    devices: Vec<Device>,
    places: HashMap<String, usize>,
    place: String,
    exported: bool,
    dropped: DroppedSamples,
}

impl Devices {
    /// No device yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no series named a device.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// How many devices and slices were named.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether a series told a holder beside the exporter's own pod.
    pub fn is_exported(&self) -> bool {
        self.exported
    }

    /// Takes `pod` for the exporter's own, as another page of the same Prometheus showed.
    pub fn set_exported(&mut self) {
        self.exported = true;
    }

    /// Finds what a series is of, and takes what its labels say.
    pub fn subject(&mut self, series: &Series<'_>) -> Subject {
        self.exported |= series.is_exported();
        let Some(uuid) = series.uuid.as_deref() else { return Subject::Nothing };
        let instance = series.instance.as_deref();
        self.place.clear();
        self.place.push_str(uuid);
        if let Some(instance) = instance {
            self.place.push('\n');
            self.place.push_str(instance);
        }
        let place = match self.places.get(&self.place) {
            Some(place) => *place,
            None => {
                let mig_instance = instance.map(str::to_owned);
                let key = GpuKey { uuid: uuid.to_owned(), mig_instance };
                self.devices.push(Device::new(key));
                self.places.insert(self.place.clone(), self.devices.len() - 1);
                self.devices.len() - 1
            }
        };
        let Some(device) = self.devices.get_mut(place) else { return Subject::Nothing };
        device.describe(series);
        match device.holding(series) {
            Ok(holding) => {
                let shared = series.shared;
                Subject::Device { device: place, part: holding.filter(|_| shared), shared }
            }
            Err(TooMany) => Subject::TooMany,
        }
    }

    /// Adds what one sample says of its subject.
    pub fn add(&mut self, subject: Subject, figure: Figure, value: f64) {
        let (device, part, shared) = match subject {
            Subject::Nothing => return,
            Subject::TooMany => return self.dropped.add(DropReason::TooManyPods),
            Subject::Device { device, part, shared } => {
                if let Err(reason) = figure.admit(value) {
                    return self.dropped.add(reason);
                }
                (self.devices.get_mut(device), part, shared)
            }
        };
        let Some(device) = device else { return };
        if let Some(held) = part.and_then(|part| device.holdings.get_mut(part)) {
            held.figures.add(figure, value);
        }
        let figures = if shared { &mut device.shared } else { &mut device.own };
        figures.add(figure, value);
    }

    /// The GPUs in the order of their keys, and which values were not a measurement.
    pub fn finish(mut self) -> (Vec<GpuSample>, DroppedSamples) {
        self.devices.sort_by(|a, b| a.key.cmp(&b.key));
        let mut gpus = Vec::with_capacity(self.devices.len());
        let mut devices = self.devices.into_iter().peekable();
        // A split device has a line of its own beside its slices. Only the slices can be held, so
        // they stand for it; its error is one of each of them.
        let mut split: Option<Device> = None;
        while let Some(mut device) = devices.next() {
            if device.key.mig_instance.is_none() {
                if devices.peek().is_some_and(|next| next.key.uuid == device.key.uuid) {
                    split = Some(device);
                    continue;
                }
            } else if let Some(whole) = split.as_ref().filter(|w| w.key.uuid == device.key.uuid) {
                if let Some(xid) = whole.figure(Figure::Xid) {
                    device.own.add(Figure::Xid, xid);
                }
                if device.model.is_empty() {
                    device.model.clone_from(&whole.model);
                }
                if device.hostname.is_none() {
                    device.hostname.clone_from(&whole.hostname);
                }
            }
            gpus.push(device.into_sample(self.exported));
        }
        (gpus, self.dropped)
    }
}

fn bytes(mebibytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "three values of 0 to 2^24 MiB at most are added"
    )]
    let bytes = (mebibytes * MEBIBYTE) as u64;
    bytes
}

fn whole_number(xid: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value was checked to be whole and between 0 and 65535"
    )]
    let xid = xid as u32;
    xid
}
