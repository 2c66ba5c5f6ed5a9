//! What dcgm-exporter's metrics mean.
//!
//! Facts about the outside: `Hostname` became `hostname` in 2026 and labels are matched whatever
//! their case; the driver's "not supported" leaks as 9223372036854775794; under time-slicing a
//! device has a series for each pod, so devices are told apart by UUID and MIG instance and the
//! greatest value stands; there is no total of the frame buffer, it is free + used + reserved.

use std::collections::BTreeMap;

use crate::collect::gpu::exposition::{NotASample, Sample, samples};
use crate::domain::gpu::{GpuKey, GpuSample, Utilization, UtilizationSignal};

const MEBIBYTE: f64 = 1_048_576.0;
/// More than any GPU has, in MiB; sentinels are far beyond it.
const MOST_MEBIBYTES: f64 = 16_777_216.0;

/// Why a page tells no GPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDcgm {
    /// A line is not the format.
    #[error(transparent)]
    Format(#[from] NotASample),
    /// The page is well formed and has none of the exporter's metrics.
    #[error("it has no `DCGM_FI_` metric; is it a dcgm-exporter page?")]
    NoGpu,
}

#[derive(Default)]
struct Readings {
    model: String,
    hostname: Option<String>,
    engine_active: Option<f64>,
    gpu_util: Option<f64>,
    used: Option<f64>,
    free: Option<f64>,
    reserved: Option<f64>,
}

/// Reads the GPUs of a page, each device once, and counts values that are not a measurement.
///
/// # Errors
/// [`NotDcgm`]: a line that is no sample, or a page without a GPU.
pub fn gpus(page: &str) -> Result<(Vec<GpuSample>, u64), NotDcgm> {
    let mut devices: BTreeMap<GpuKey, Readings> = BTreeMap::new();
    let mut dropped = 0;
    for sample in samples(page) {
        let sample = sample?;
        let Some(field) = sample.name.strip_prefix("DCGM_FI_") else { continue };
        let Some(key) = key(&sample) else { continue };
        let readings = devices.entry(key).or_default();
        if let Some(model) = sample.label("modelName") {
            model.clone_into(&mut readings.model);
        }
        if let Some(hostname) = sample.label("hostname") {
            readings.hostname = Some(hostname.to_owned());
        }
        let (slot, most) = match field {
            "PROF_GR_ENGINE_ACTIVE" => (&mut readings.engine_active, 1.0),
            "DEV_GPU_UTIL" => (&mut readings.gpu_util, 100.0),
            "DEV_FB_USED" => (&mut readings.used, MOST_MEBIBYTES),
            "DEV_FB_FREE" => (&mut readings.free, MOST_MEBIBYTES),
            "DEV_FB_RESERVED" => (&mut readings.reserved, MOST_MEBIBYTES),
            _ => continue,
        };
        if (0.0..=most).contains(&sample.value) {
            *slot = Some(slot.map_or(sample.value, |held| held.max(sample.value)));
        } else {
            dropped += 1;
        }
    }
    if devices.is_empty() {
        return Err(NotDcgm::NoGpu);
    }
    // A split device has a line of its own beside its slices; only the slices can be held.
    let split: Vec<String> = devices
        .keys()
        .filter(|key| key.mig_instance.is_some())
        .map(|key| key.uuid.clone())
        .collect();
    let gpus = devices
        .into_iter()
        .filter(|(key, _)| key.mig_instance.is_some() || !split.contains(&key.uuid))
        .map(|(key, readings)| gpu(key, readings))
        .collect();
    Ok((gpus, dropped))
}

fn key(sample: &Sample<'_>) -> Option<GpuKey> {
    Some(GpuKey {
        uuid: sample.label("UUID")?.to_owned(),
        mig_instance: sample.label("GPU_I_ID").map(str::to_owned),
    })
}

fn gpu(key: GpuKey, readings: Readings) -> GpuSample {
    let engine = readings.engine_active.and_then(Utilization::from_ratio);
    // GPU_UTIL is 0 under MIG by design, which says nothing.
    let resident = readings
        .gpu_util
        .filter(|_| key.mig_instance.is_none())
        .and_then(Utilization::from_percent);
    let total = readings
        .used
        .zip(readings.free)
        .map(|(used, free)| used + free + readings.reserved.unwrap_or(0.0));
    GpuSample {
        key,
        model: readings.model,
        mig_profile: None,
        hostname: readings.hostname,
        holders: Vec::new(),
        xid: None,
        utilization: engine.or(resident),
        signal: engine
            .map(|_| UtilizationSignal::GrEngineActive)
            .or(resident.map(|_| UtilizationSignal::GpuUtil)),
        memory_used_bytes: readings.used.map(bytes),
        memory_total_bytes: total.map(bytes),
    }
}

fn bytes(mebibytes: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the value was checked to lie between 0 and 2^24 MiB"
    )]
    let bytes = (mebibytes * MEBIBYTE) as u64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
# HELP DCGM_FI_PROF_GR_ENGINE_ACTIVE Ratio of time the graphics engine is active.
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1"} 0.25
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1"} 90
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1",pod="p1"} 1000
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1",pod="p2"} 3000
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1"} 78000
DCGM_FI_DEV_FB_RESERVED{gpu="0",UUID="GPU-a",modelName="NVIDIA H100 80GB HBM3",Hostname="n1"} 559
DCGM_FI_DEV_GPU_UTIL{gpu="1",uuid="GPU-b",modelName="NVIDIA A100-SXM4-40GB",hostname="n1"} 9223372036854775794
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-c",modelName="NVIDIA H100 80GB HBM3"} 0
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="2",UUID="GPU-c",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"} 0.5
DCGM_FI_DEV_GPU_UTIL{gpu="2",UUID="GPU-c",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1g.10gb",GPU_I_ID="8"} 0
"#;

    #[test]
    fn a_time_sliced_gpu_is_counted_once_and_never_summed() {
        let (gpus, _) = gpus(PAGE).expect("well formed");
        let a = gpus.iter().find(|gpu| gpu.key.uuid == "GPU-a").expect("it is there");
        assert_eq!(a.memory_used_bytes, Some(3000 << 20));
        assert_eq!(a.memory_total_bytes, Some((3000 + 78000 + 559) << 20));
        assert_eq!(a.signal, Some(UtilizationSignal::GrEngineActive));
        assert_eq!(a.utilization, Utilization::from_ratio(0.25));
    }

    #[test]
    fn a_sentinel_is_unknown_and_counted() {
        let (gpus, dropped) = gpus(PAGE).expect("well formed");
        let b = gpus.iter().find(|gpu| gpu.key.uuid == "GPU-b").expect("it is there");
        assert_eq!((b.utilization, dropped), (None, 1));
        assert_eq!(b.hostname.as_deref(), Some("n1"));
    }

    #[test]
    fn mig_slices_stand_for_their_device_and_gpu_util_says_nothing_of_them() {
        let (gpus, _) = gpus(PAGE).expect("well formed");
        let slices: Vec<_> = gpus.iter().filter(|gpu| gpu.key.uuid == "GPU-c").collect();
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[0].utilization, Utilization::from_ratio(0.5));
        assert_eq!(slices[1].utilization, None);
    }

    #[test]
    fn a_page_without_a_gpu_is_refused() {
        assert_eq!(gpus("up 1\n"), Err(NotDcgm::NoGpu));
        assert!(matches!(gpus("<html>"), Err(NotDcgm::Format(_))));
    }
}
