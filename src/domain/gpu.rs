//! GPUs as telemetry tells them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::identity::{Provider, SourceId};
use crate::domain::price::CapacityType;
use crate::domain::report::SourceErrorKind;

/// A share of time, 0 to 1. Made only by [`Utilization::from_percent`] or
/// [`Utilization::from_ratio`], so that a percentage is never taken for a ratio.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct Utilization(f64);

impl Utilization {
    /// From 0 to 100; none outside.
    pub fn from_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then(|| Self(percent / 100.0))
    }

    /// From 0 to 1; none outside.
    pub fn from_ratio(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// The ratio, 0 to 1.
    pub fn ratio(self) -> f64 {
        self.0
    }
}

/// Which signal a utilisation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UtilizationSignal {
    /// `DCGM_FI_PROF_GR_ENGINE_ACTIVE`: share of time in which the graphics engine was active.
    GrEngineActive,
    /// `DCGM_FI_DEV_GPU_UTIL`, or NVML's utilization: share of time in which a kernel was resident.
    GpuUtil,
    /// AMD's `gpu_gfx_activity`: share of time in which the graphics engine was active.
    GfxActivity,
}

impl UtilizationSignal {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GrEngineActive => "gr_engine_active",
            Self::GpuUtil => "gpu_util",
            Self::GfxActivity => "gfx_activity",
        }
    }
}

/// Who holds a GPU: a Kubernetes pod, as the exporter learns it from the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A pod on a GPU. Under time-slicing several pods hold one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holder {
    /// Which pod.
    pub pod: Pod,
    /// How much of the device's time is the pod's, where the exporter tells it.
    pub utilization: Option<Utilization>,
}

/// A GPU or a MIG slice of one, told apart as the driver does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GpuKey {
    /// The device's UUID.
    pub uuid: String,
    /// The MIG GPU instance, where the device is split. NVML with drivers since R470 tells the UUID
    /// of a MIG device instead, which is one compute instance of a GPU instance.
    pub mig_instance: Option<String>,
}

impl GpuKey {
    /// Whether it is a compute instance, of which a GPU instance may have several.
    pub fn is_compute_instance(&self) -> bool {
        self.mig_instance.as_deref().is_some_and(|instance| instance.starts_with("MIG-"))
    }
}

impl fmt::Display for GpuKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uuid)?;
        match &self.mig_instance {
            Some(instance) => write!(f, "/{instance}"),
            None => Ok(()),
        }
    }
}

/// The slices that a MIG profile names: `3g.40gb` is a GPU instance of three, `1c.3g.40gb` a compute
/// instance of one in it (NVIDIA's MIG user guide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigSlices {
    /// Of the compute instance, where it is less than its GPU instance.
    pub compute: Option<u8>,
    /// Of the GPU instance.
    pub gpu: u8,
}

impl MigSlices {
    /// Reads a profile; none where it is no MIG profile.
    pub fn of(profile: &str) -> Option<Self> {
        let find = |kind: char| {
            let mut words = profile.split('.');
            words.find_map(|word| word.strip_suffix(kind)?.parse().ok())
        };
        Some(Self { compute: find('c'), gpu: find('g').filter(|slices| *slices > 0)? })
    }
}

/// One GPU at one reading. A missing figure is unknown, never idle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuSample {
    /// Which GPU.
    pub key: GpuKey,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: String,
    /// What kind of MIG slice: `3g.20gb`.
    pub mig_profile: Option<String>,
    /// The node that holds it.
    pub hostname: Option<String>,
    /// How busy.
    pub utilization: Option<Utilization>,
    /// What told so.
    pub signal: Option<UtilizationSignal>,
    /// Frame buffer in use, bytes.
    pub memory_used_bytes: Option<u64>,
    /// Frame buffer in all, bytes.
    pub memory_total_bytes: Option<u64>,
    /// The pods that hold it, each once; none for a GPU that nobody asked for.
    pub holders: Vec<Holder>,
    /// The newest XID error that the driver told of it; 0 for none.
    pub xid: Option<u32>,
    /// Whether the exporter takes it for healthy; none where it does not judge.
    pub healthy: Option<bool>,
}

impl GpuSample {
    /// Whether a pod holds it, alone or with others.
    pub fn is_held_by(&self, pod: &Pod) -> bool {
        self.holders.iter().any(|holder| holder.pod == *pod)
    }
}

/// Why a value was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// The driver's way to say that it does not know.
    Sentinel,
    /// A number that cannot be measured.
    OutOfRange,
    /// Infinite, or no number at all.
    NotANumber,
    /// It is of a pod, and its GPU has more of them than a node can run.
    TooManyPods,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::Sentinel, Self::OutOfRange, Self::NotANumber, Self::TooManyPods];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinel",
            Self::OutOfRange => "out_of_range",
            Self::NotANumber => "not_a_number",
            Self::TooManyPods => "too_many_pods",
        }
    }
}

/// How many values were not taken, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DroppedSamples([u64; DropReason::ALL.len()]);

impl DroppedSamples {
    /// Counts one.
    pub fn add(&mut self, reason: DropReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds what was dropped elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// How many for each reason.
    pub fn by_reason(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What one scrape of GPU telemetry said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuReport {
    /// The configured telemetry source.
    pub source: SourceId,
    /// The cloud that the GPUs are in; none on premises.
    pub provider: Option<Provider>,
    /// The configured cluster name.
    pub cluster: String,
    /// How they were bought, as configured.
    pub capacity_type: CapacityType,
    /// The GPUs, each device once.
    pub gpus: Vec<GpuSample>,
    /// Values that were not a measurement.
    pub dropped_samples: DroppedSamples,
    /// When.
    pub observed_at: Timestamp,
}

/// How the reading of a configured GPU telemetry source goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuSourceStatus {
    /// The configured telemetry source.
    pub source: SourceId,
    /// The cloud that its GPUs are in; none on premises.
    pub provider: Option<Provider>,
    /// The configured cluster name.
    pub cluster: String,
    /// Whether the newest reading did well; none before the first one ended, where another replica
    /// reads it, and where there is nothing to read now, as in a cluster of no node.
    pub up: Option<bool>,
    /// The newest good reading since the agent started.
    pub last_success: Option<Timestamp>,
    /// Why readings fail, or find nothing to read, since then.
    pub failure: Option<GpuSourceFailure>,
}

/// Why a GPU telemetry source is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuSourceFailure {
    /// What kind, at the newest reading.
    pub kind: SourceErrorKind,
    /// What was tried, what came back and what to do, at the newest reading. Holds no secret.
    pub text: String,
    /// The first reading that failed.
    pub since: Timestamp,
}
