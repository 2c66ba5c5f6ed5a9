//! The GPU nodes behind the bills and how busy they are at an instant.
//!
//! One device says "not supported" as a number, one A100 is split into MIG slices: traps that real
//! pages hold.

use jiff::Timestamp;

use super::line::is_weekend;
use super::roll::Roll;
use crate::domain::identity::Provider;
use crate::domain::period::BillingPeriod;

/// A machine with GPUs.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuNode {
    /// Its host name.
    pub hostname: String,
    /// Its machine type: `p5.48xlarge`.
    pub instance_type: &'static str,
    /// Its devices, by index.
    pub gpus: Vec<GpuDevice>,
}

/// One GPU at an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuDevice {
    /// Its index on the node.
    pub index: u32,
    /// `GPU-` and a UUID.
    pub uuid: String,
    /// `00000000:1A:00.0`.
    pub pci_bus_id: String,
    /// `NVIDIA H100 80GB HBM3`.
    pub model: &'static str,
    /// Frame buffer in all, MiB, reserved memory among it.
    pub memory_total_mib: u64,
    /// Frame buffer in use, MiB.
    pub memory_used_mib: u64,
    /// Share of time in which the graphics engine is active, 0 to 1.
    pub engine_active: f64,
    /// The pod that holds it; none for an idle one.
    pub pod: Option<Pod>,
    /// The slices, where it is split. A split device tells nothing of its own use.
    pub slices: Vec<MigSlice>,
    /// Whether it says "not supported" as a number for utilisation and memory temperature.
    pub sentinel: bool,
}

/// A MIG slice of a GPU.
#[derive(Debug, Clone, PartialEq)]
pub struct MigSlice {
    /// `3g.20gb`.
    pub profile: &'static str,
    /// The GPU instance.
    pub instance: u32,
    /// Share of time in which its graphics engine is active, 0 to 1.
    pub engine_active: f64,
    /// The pod that holds it.
    pub pod: Option<Pod>,
}

/// A Kubernetes pod, as the exporter learns it from the kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: String,
    /// The container that asked for the GPU.
    pub container: &'static str,
}

/// How a node is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Busy day and night.
    Training,
    /// Follows the day and the week.
    Serving,
    /// Nobody asked for it.
    Runaway,
}

const H100: (&str, u64) = ("NVIDIA H100 80GB HBM3", 81_559);
const A100: (&str, u64) = ("NVIDIA A100-SXM4-40GB", 40_960);

pub(super) fn nodes(provider: Provider, seed: u64, at: Timestamp) -> Vec<GpuNode> {
    let mut plan = match provider {
        Provider::Aws => vec![
            ("ip-10-0-12-31.ec2.internal", "p5.48xlarge", H100, Work::Training),
            ("ip-10-0-12-87.ec2.internal", "p5.48xlarge", H100, Work::Training),
            ("ip-10-1-40-5.us-west-2.compute.internal", "p4d.24xlarge", A100, Work::Serving),
        ],
        Provider::Gcp => vec![
            ("gke-vision-a3-5c1f", "a3-highgpu-8g", H100, Work::Training),
            ("gke-vision-a2-9d02", "a2-highgpu-8g", A100, Work::Serving),
        ],
        Provider::Azure => vec![
            ("aks-ndh100-31370404-vmss000000", "Standard_ND96isr_H100_v5", H100, Work::Serving),
            ("aks-nda100-18842177-vmss000001", "Standard_ND96asr_v4", A100, Work::Training),
        ],
    };
    if provider == Provider::Aws {
        let day = provider.billing_zone().day_of(at);
        if super::aws::incident(seed, BillingPeriod::containing(day)).contains(day) {
            for hostname in [
                "ip-10-1-77-14.us-west-2.compute.internal",
                "ip-10-1-77-15.us-west-2.compute.internal",
            ] {
                plan.push((hostname, "p5.48xlarge", H100, Work::Runaway));
            }
        }
    }
    plan.into_iter()
        .enumerate()
        .map(|(position, (hostname, instance_type, model, work))| GpuNode {
            hostname: hostname.to_owned(),
            instance_type,
            gpus: (0..8)
                .map(|index| device(hostname, index, model, work, position, seed, at))
                .collect(),
        })
        .collect()
}

fn device(
    hostname: &str,
    index: u32,
    (model, memory_total_mib): (&'static str, u64),
    work: Work,
    position: usize,
    seed: u64,
    at: Timestamp,
) -> GpuDevice {
    let roll = Roll::new(seed).word(hostname).word(&index.to_string());
    let split = work == Work::Serving && index == 7 && model == A100.0;
    let engine_active = engine_active(roll, work, at);
    let held = engine_active > 0.0 || work == Work::Runaway;
    let pod = held.then(|| pod(work, position, index));
    let used_percent = match (work, held) {
        (_, false) => 1,
        (Work::Training, true) => 88 + roll.word("memory").below(8),
        (Work::Serving, true) => 61 + roll.word("memory").below(20),
        (Work::Runaway, true) => 3,
    };
    let slices = [("3g.20gb", 1), ("2g.10gb", 3), ("1g.5gb", 9)]
        .into_iter()
        .filter(|_| split)
        .map(|(profile, instance)| MigSlice {
            profile,
            instance,
            engine_active: self::engine_active(roll.word(profile), Work::Serving, at),
            pod: Some(self::pod(work, position, index * 10 + instance)),
        })
        .collect();
    GpuDevice {
        index,
        uuid: format!("GPU-{}", roll.word("uuid").uuid()),
        pci_bus_id: format!("00000000:{:02X}:00.0", 0x1a + index * 0x11),
        model,
        memory_total_mib,
        memory_used_mib: memory_total_mib * u64::from(used_percent) / 100,
        engine_active,
        pod: if split { None } else { pod },
        slices,
        sentinel: work == Work::Training && index == 3,
    }
}

/// How busy a device is: new every 30 seconds, as the exporter collects.
fn engine_active(roll: Roll, work: Work, at: Timestamp) -> f64 {
    let tick = at.as_second().div_euclid(30).to_string();
    let jitter = f64::from(roll.word(&tick).below(1000)) / 1000.0;
    let local = jiff::tz::TimeZone::UTC.to_datetime(at);
    let busy_hours = (8..20).contains(&local.hour()) && !is_weekend(local.date());
    match work {
        Work::Training => 0.86 + 0.12 * jitter,
        Work::Serving if busy_hours => 0.34 + 0.3 * jitter,
        Work::Serving if roll.word("night").below(4) == 0 => 0.0,
        Work::Serving => 0.05 + 0.1 * jitter,
        Work::Runaway => 0.0,
    }
}

fn pod(work: Work, position: usize, index: u32) -> Pod {
    match work {
        Work::Training => Pod {
            namespace: "training",
            name: format!("video-diffusion-{position}-worker-0"),
            container: "trainer",
        },
        Work::Serving => Pod {
            namespace: "serving",
            name: format!("text-to-video-{position}-6d8f9c7b5-{index:05}"),
            container: "server",
        },
        Work::Runaway => Pod {
            namespace: "research",
            name: format!("sweep-{position}-0"),
            container: "notebook",
        },
    }
}
