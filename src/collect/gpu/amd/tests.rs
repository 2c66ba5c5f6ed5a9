#![allow(clippy::unwrap_used)]

use crate::collect::gpu::page::read;
use crate::domain::gpu::{GpuSample, Pod, Utilization, UtilizationSignal};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpu/", $name, ".txt"))
    };
}

fn find<'a>(gpus: &'a [GpuSample], uuid: &str) -> &'a GpuSample {
    gpus.iter().find(|gpu| gpu.key.uuid == uuid).unwrap()
}

#[test]
fn a_whole_card_is_its_uuid() {
    let (gpus, dropped) = read(fixture!("amd_mi300x").as_bytes()).unwrap();
    assert_eq!((gpus.len(), dropped.total()), (3, 1));
    let busy = find(&gpus, "3dff74a1-0000-1000-80d3-0c4c1df1df58");
    assert_eq!(busy.key.mig_instance, None);
    assert_eq!(busy.model, "AMD Instinct MI300X OAM");
    assert_eq!(busy.hostname.as_deref(), Some("tw038"));
    assert_eq!(busy.utilization, Utilization::from_ratio(1.0));
    assert_eq!(busy.signal, Some(UtilizationSignal::GfxActivity));
    assert_eq!(busy.memory_used_bytes, Some(180_224 << 20));
    assert_eq!(busy.memory_total_bytes, Some(196_592 << 20));
    let pod = Pod { namespace: "default".to_owned(), name: "high-utilization-57ls6".to_owned() };
    assert_eq!(busy.holders.iter().map(|held| &held.pod).collect::<Vec<_>>(), [&pod]);
    let idle = find(&gpus, "ccff74a1-0000-1000-80e0-c6d49f5b0d86");
    assert_eq!(idle.utilization, Utilization::from_ratio(0.0));
    assert!(idle.holders.is_empty());
    assert_eq!(idle.memory_used_bytes, None, "the greatest number is no measurement");
}

#[test]
fn a_partition_is_a_slice_whose_activity_is_unknown() {
    let (gpus, _) = read(fixture!("amd_mi300x").as_bytes()).unwrap();
    let slice = find(&gpus, "692409005296");
    assert_eq!(slice.key.mig_instance.as_deref(), Some("47"));
    assert_eq!(slice.mig_profile.as_deref(), Some("cpx"));
    assert_eq!((slice.utilization, slice.signal), (None, None));
    assert!(slice.holders.is_empty(), "the exporter's own pod holds nothing");
}

#[test]
fn documented_names_with_a_prefix_are_read() {
    let (gpus, dropped) = read(fixture!("amd_documented_names").as_bytes()).unwrap();
    assert_eq!((gpus.len(), dropped.total()), (2, 1));
    let card = find(&gpus, "PCB052756-0046");
    assert_eq!(card.utilization, Utilization::from_percent(37.0));
    assert_eq!(card.memory_total_bytes, Some(65_520 << 20), "the total is told, not added up");
    assert_eq!(card.model, "0x740c");
    assert_eq!(card.holders[0].pod.name, "fold-0");
    let guest = find(&gpus, "guest-2/gpu3");
    assert_eq!((guest.utilization, guest.memory_used_bytes), (None, None));
}

#[test]
fn health_is_the_exporters_own_word() {
    let line = |value: &str| format!("gpu_health{{serial_number=\"a\",gpu_id=\"0\"}} {value}\n");
    let healthy = |page: String| {
        let (gpus, dropped) = read(page.as_bytes()).unwrap();
        (gpus[0].healthy, dropped.total())
    };
    assert_eq!(healthy(line("1")), (Some(true), 0));
    assert_eq!(healthy(line("0")), (Some(false), 0));
    assert_eq!(healthy(line("0") + &line("1")), (Some(false), 0));
    assert_eq!(healthy(line("7")), (None, 1));
}
