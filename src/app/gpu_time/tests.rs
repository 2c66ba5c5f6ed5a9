#![allow(clippy::unwrap_used)]

use jiff::Timestamp;

use super::*;
use crate::domain::gpu::{DroppedSamples, GpuKey, GpuSample, Holder, Utilization};
use crate::domain::price::CapacityType;

fn pod(name: &str) -> Pod {
    Pod { namespace: "ml".to_owned(), name: name.to_owned() }
}

/// A GPU of one pod, one that two pods share, and one of nobody.
fn report(at: Timestamp) -> GpuReport {
    let sample = |uuid: &str, pods: &[&str]| GpuSample {
        key: GpuKey { uuid: uuid.to_owned(), mig_instance: None },
        model: "NVIDIA H100 80GB HBM3".to_owned(),
        mig_profile: None,
        hostname: Some("gpu-1".to_owned()),
        utilization: Utilization::from_ratio(0.9),
        signal: None,
        memory_used_bytes: Some(70),
        memory_total_bytes: Some(80),
        holders: pods.iter().map(|name| Holder { pod: pod(name), utilization: None }).collect(),
        xid: None,
        healthy: None,
    };
    GpuReport {
        source: SourceId::new("node"),
        provider: Some(Provider::Aws),
        cluster: "train".to_owned(),
        capacity_type: CapacityType::Unknown,
        gpus: vec![
            sample("whole", &["trainer-0"]),
            sample("shared", &["trainer-0", "trainer-1"]),
            sample("nobody's", &[]),
        ],
        dropped_samples: DroppedSamples::default(),
        observed_at: at,
    }
}

/// Milliseconds that an agent counts over a minute, and the devices that it shows.
fn counted(role: &Role) -> (u64, BTreeSet<String>) {
    let start: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let mut accountant = Accountant::new(StateRules::default(), Vec::new());
    let mut own = OwnGpus::new(role);
    for seconds in [0, 30, 60] {
        let report = report(start + SignedDuration::from_secs(seconds));
        accountant.observe(&report, &NodeInventory::default());
        own.observe(&report);
    }
    let times = accountant.take().times;
    let shown = accountant.devices().filter(|device| own.shows(device));
    let shown = shown.map(|device| device.uuid.to_owned()).collect();
    (times.iter().filter(|time| own.counts(time)).map(|time| time.time.total()).sum(), shown)
}

#[test]
fn two_sidecars_never_claim_the_same_time_of_a_gpu() {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let sidecar = |name| counted(&Role::Sidecar(pod(name)));
    assert_eq!(counted(&Role::Node), (180_000, names(&["whole", "shared", "nobody's"])));
    assert_eq!(sidecar("trainer-0"), (90_000, names(&["whole", "shared"])));
    assert_eq!(sidecar("trainer-1"), (30_000, names(&["shared"])));
    assert_eq!(sidecar("trainer-2"), (0, names(&[])));
}
