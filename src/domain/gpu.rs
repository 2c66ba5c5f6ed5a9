//! GPUs as telemetry tells them.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::identity::{Provider, SourceId};

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
    /// `DCGM_FI_DEV_GPU_UTIL`: share of time in which a kernel was resident.
    GpuUtil,
}

/// A GPU or a MIG slice of one, told apart as the driver does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct GpuKey {
    /// The device's UUID.
    pub uuid: String,
    /// The MIG GPU instance, where the device is split.
    pub mig_instance: Option<String>,
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

/// One GPU at one reading. A missing figure is unknown, never idle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GpuSample {
    /// Which GPU.
    pub key: GpuKey,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: String,
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
    /// `on_demand`, `spot`, `reserved`, as configured; `unknown` where it is not.
    pub capacity_type: String,
    /// The GPUs, each device once.
    pub gpus: Vec<GpuSample>,
    /// Values that were not a measurement (sentinels, out of range).
    pub dropped_samples: u64,
    /// When.
    pub observed_at: Timestamp,
}
