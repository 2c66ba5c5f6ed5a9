//! Series become GPUs at steps. Series come one after another and reports are told by time, so
//! that devices are named once and each step keeps figures only.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::answer::{Labels, Series};
use super::{METRICS, PodLabels, PromqlTarget};
use crate::domain::gpu::{
    GpuKey, GpuReport, GpuSample, Holder, Pod, Utilization, UtilizationSignal,
};
use crate::domain::report::{SourceError, SourceErrorKind};

const MEBIBYTE: f64 = 1_048_576.0;
/// More than any GPU has, in MiB; sentinels are far beyond it.
const MOST_MEBIBYTES: f64 = 16_777_216.0;
/// The most that each of [`METRICS`] measures: a ratio, a percentage, MiB, an XID's number.
const MOST: [f64; METRICS.len()] =
    [1.0, 100.0, MOST_MEBIBYTES, MOST_MEBIBYTES, MOST_MEBIBYTES, 65_535.0];

/// A device or a slice, in the order in which reports tell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Device {
    cluster: String,
    key: GpuKey,
}

/// What does not change with time.
#[derive(Debug, Default)]
struct Traits {
    model: String,
    hostname: Option<String>,
    mig_profile: Option<String>,
}

/// A device at a step: the figures of [`METRICS`], and who holds it.
#[derive(Debug, Default)]
struct Readings {
    figures: [Option<f64>; METRICS.len()],
    holders: Vec<usize>,
    dropped: u64,
}

/// The GPUs of one answer.
#[derive(Debug)]
pub(super) struct Fleet {
    range: (i64, i64),
    cluster: String,
    cluster_label: Option<String>,
    node_label: Option<String>,
    pod_labels: PodLabels,
    series: usize,
    warnings: Vec<String>,
    numbers: HashMap<Device, usize>,
    traits: Vec<Traits>,
    pods: Vec<Pod>,
    pod_numbers: HashMap<(String, String), usize>,
    steps: BTreeMap<i64, HashMap<usize, Readings>>,
}

impl Fleet {
    /// A fleet that has not been told of, and the milliseconds that may be.
    pub(super) fn new(target: &PromqlTarget, range: (i64, i64)) -> Self {
        Self {
            range,
            cluster: target.cluster.clone(),
            cluster_label: target.cluster_label.clone(),
            node_label: target.node_label.clone(),
            pod_labels: target.pod_labels,
            series: 0,
            warnings: Vec::new(),
            numbers: HashMap::new(),
            traits: Vec::new(),
            pods: Vec::new(),
            pod_numbers: HashMap::new(),
            steps: BTreeMap::new(),
        }
    }

    /// How many series there were.
    pub(super) fn series(&self) -> usize {
        self.series
    }

    /// What the server warned of.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Keeps warnings.
    pub(super) fn warn(&mut self, warnings: Vec<String>) {
        self.warnings = warnings;
    }

    /// Takes a series in. One of another name or without a UUID is passed over.
    ///
    /// # Errors
    /// A point of a time that was not asked for.
    pub(super) fn add(&mut self, series: &Series<'_>) -> Result<(), &'static str> {
        self.series += 1;
        let labels = &series.metric;
        let metric =
            labels.get("__name__").and_then(|name| METRICS.iter().position(|m| *m == name));
        let (Some(metric), Some(uuid)) = (metric, labels.get("UUID")) else { return Ok(()) };
        let device = self.device(labels, uuid);
        let holder = self.holder(labels);
        for point in &series.values {
            let at = milliseconds(point.0).ok_or("a point has no time")?;
            if at < self.range.0 || at > self.range.1 {
                return Err("a point lies outside of the time that was asked for");
            }
            let readings = self.steps.entry(at).or_default().entry(device).or_default();
            if let Some(pod) = holder.filter(|pod| !readings.holders.contains(pod)) {
                readings.holders.push(pod);
            }
            let most = MOST.get(metric).copied().unwrap_or_default();
            let measured = point.value().filter(|value| (0.0..=most).contains(value));
            match (measured, readings.figures.get_mut(metric)) {
                // Under time-slicing a device has a series for each pod: the greatest stands.
                (Some(value), Some(slot)) => {
                    *slot = Some(slot.map_or(value, |held| held.max(value)));
                }
                _ => readings.dropped += 1,
            }
        }
        Ok(())
    }

    fn device(&mut self, labels: &Labels<'_>, uuid: &str) -> usize {
        let told = self.cluster_label.as_deref().and_then(|label| labels.get(label));
        let device = Device {
            cluster: told.unwrap_or(&self.cluster).to_owned(),
            key: GpuKey {
                uuid: uuid.to_owned(),
                mig_instance: labels.get("GPU_I_ID").map(str::to_owned),
            },
        };
        let number = *self.numbers.entry(device).or_insert_with(|| {
            self.traits.push(Traits::default());
            self.traits.len() - 1
        });
        if let Some(traits) = self.traits.get_mut(number) {
            if let Some(model) = labels.get("modelName") {
                model.clone_into(&mut traits.model);
            }
            let node = self.node_label.as_deref().and_then(|label| labels.get(label));
            if let Some(node) = node.or_else(|| labels.get("hostname")) {
                traits.hostname = Some(node.to_owned());
            }
            if let Some(profile) = labels.get("GPU_I_PROFILE") {
                traits.mig_profile = Some(profile.to_owned());
            }
        }
        number
    }

    /// The pod that a series names, by its number.
    fn holder(&mut self, labels: &Labels<'_>) -> Option<usize> {
        let own = || {
            let name = labels.get("pod").or_else(|| labels.get("pod_name"))?;
            let container = labels.get("container").or_else(|| labels.get("container_name"));
            match self.pod_labels {
                PodLabels::Exported => None,
                PodLabels::Detect if is_exporter(name, container) => None,
                PodLabels::Detect | PodLabels::Plain => Some(name),
            }
        };
        let exported = match self.pod_labels {
            PodLabels::Plain => None,
            PodLabels::Detect | PodLabels::Exported => labels.get("exported_pod"),
        };
        let name = exported.or_else(own)?;
        // A label is renamed only where the target has one of the same name.
        let namespace = exported
            .and_then(|_| labels.get("exported_namespace"))
            .or_else(|| labels.get("namespace"))
            .or_else(|| labels.get("pod_namespace"))
            .unwrap_or_default();
        let identity = (namespace.to_owned(), name.to_owned());
        Some(*self.pod_numbers.entry(identity).or_insert_with(|| {
            self.pods.push(Pod { namespace: namespace.to_owned(), name: name.to_owned() });
            self.pods.len() - 1
        }))
    }

    /// The reports, by time and then by cluster.
    ///
    /// # Errors
    /// A step that no clock tells.
    pub(super) fn reports(self, target: &PromqlTarget) -> Result<Vec<GpuReport>, SourceError> {
        let mut devices: Vec<(Device, usize)> = self.numbers.into_iter().collect();
        devices.sort_unstable();
        let mut reports: Vec<GpuReport> = Vec::new();
        for (at, mut step) in self.steps {
            let observed_at = Timestamp::from_millisecond(at)
                .map_err(|error| SourceError::new(SourceErrorKind::Malformed, error.to_string()))?;
            // A split device has series of its own beside its slices; only slices can be held.
            let split: BTreeSet<(&str, &str)> = devices
                .iter()
                .filter(|(device, number)| {
                    device.key.mig_instance.is_some() && step.contains_key(number)
                })
                .map(|(device, _)| (device.cluster.as_str(), device.key.uuid.as_str()))
                .collect();
            for (device, number) in &devices {
                let Some(readings) = step.remove(number) else { continue };
                let Some(traits) = self.traits.get(*number) else { continue };
                let whole = device.key.mig_instance.is_none();
                if whole && split.contains(&(&*device.cluster, &*device.key.uuid)) {
                    continue;
                }
                let same = reports.last().is_some_and(|report| {
                    report.observed_at == observed_at && report.cluster == device.cluster
                });
                if !same {
                    reports.push(GpuReport {
                        source: target.id.clone(),
                        provider: target.provider,
                        cluster: device.cluster.clone(),
                        capacity_type: target.capacity_type,
                        gpus: Vec::new(),
                        dropped_samples: 0,
                        observed_at,
                    });
                }
                if let Some(report) = reports.last_mut() {
                    report.dropped_samples += readings.dropped;
                    report.gpus.push(sample(&device.key, traits, &readings, &self.pods));
                }
            }
        }
        Ok(reports)
    }
}

/// Whether a pod is the exporter itself: with `honor_labels: false` an idle GPU's series carries
/// the labels of the target that was scraped.
fn is_exporter(pod: &str, container: Option<&str>) -> bool {
    let names = ["dcgm-exporter", "metrics-exporter"];
    let named = |text: &str| names.iter().any(|name| text.contains(name));
    named(pod) || container.is_some_and(named)
}

fn sample(key: &GpuKey, traits: &Traits, readings: &Readings, pods: &[Pod]) -> GpuSample {
    let [engine, util, used, free, reserved, xid] = readings.figures;
    let engine = engine.and_then(Utilization::from_ratio);
    // GPU_UTIL is 0 under MIG by design, which says nothing.
    let util = util.filter(|_| key.mig_instance.is_none()).and_then(Utilization::from_percent);
    let signal = engine
        .map(|_| UtilizationSignal::GrEngineActive)
        .or(util.map(|_| UtilizationSignal::GpuUtil));
    let total = used.zip(free).map(|(used, free)| used + free + reserved.unwrap_or(0.0));
    let mut holders: Vec<&Pod> =
        readings.holders.iter().filter_map(|number| pods.get(*number)).collect();
    holders.sort_unstable();
    GpuSample {
        key: key.clone(),
        model: traits.model.clone(),
        mig_profile: traits.mig_profile.clone(),
        hostname: traits.hostname.clone(),
        utilization: engine.or(util),
        signal,
        memory_used_bytes: used.map(|mebibytes| whole(mebibytes * MEBIBYTE)),
        memory_total_bytes: total.map(|mebibytes| whole(mebibytes * MEBIBYTE)),
        // The exporter tells the device's figure and the pod's by the same name.
        holders: holders
            .into_iter()
            .map(|pod| Holder { pod: pod.clone(), utilization: None })
            .collect(),
        xid: xid.map(whole).and_then(|number| u32::try_from(number).ok()),
    }
}

/// A figure that was checked against [`MOST`] as a whole number.
fn whole(figure: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and three times 2^44"
    )]
    let whole = figure as u64;
    whole
}

/// Seconds with a fraction as whole milliseconds.
fn milliseconds(seconds: f64) -> Option<i64> {
    let milliseconds = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "what is out of range is not kept")]
    (0.0..1e15).contains(&milliseconds).then_some(milliseconds as i64)
}
