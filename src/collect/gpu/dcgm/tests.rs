#![allow(clippy::unwrap_used)]

use crate::collect::gpu::page::{NoTelemetry, read};
use crate::domain::gpu::{GpuSample, Utilization, UtilizationSignal};

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpu/", $name, ".txt"))
    };
}

fn gpus(page: &str) -> (Vec<GpuSample>, u64) {
    let (gpus, dropped) = read(page.as_bytes()).unwrap();
    (gpus, dropped.total())
}

fn ratio(ratio: f64) -> Option<Utilization> {
    Some(Utilization::from_ratio(ratio).unwrap())
}

/// The pods that hold a GPU, with their part in percent.
fn holders(gpu: &GpuSample) -> Vec<(String, Option<f64>)> {
    gpu.holders
        .iter()
        .map(|held| {
            let pod = format!("{}/{}", held.pod.namespace, held.pod.name);
            (pod, held.utilization.map(|part| (part.ratio() * 100.0).round()))
        })
        .collect()
}

fn held(names: &[(&str, Option<f64>)]) -> Vec<(String, Option<f64>)> {
    names.iter().map(|(name, part)| ((*name).to_owned(), *part)).collect()
}

#[test]
fn slices_stand_for_a_split_device() {
    let (gpus, dropped) = gpus(fixture!("h100_mig_pod"));
    let slices: Vec<_> = gpus
        .iter()
        .map(|gpu| (gpu.key.mig_instance.as_deref(), gpu.mig_profile.as_deref(), gpu.utilization))
        .collect();
    // GPU_UTIL is 0 of slices by design: the slice that has nothing else is unknown, not idle.
    let expected = [
        (Some("1"), Some("3g.40gb"), ratio(0.428_571)),
        (Some("2"), Some("1c.3g.40gb"), None),
        (Some("7"), Some("1g.10gb"), ratio(0.0)),
    ];
    assert_eq!(slices, expected);
    assert_eq!(dropped, 0);
    let uuid = "GPU-58e8f5ea-13cc-013a-d88f-2bcf5ae8bc77";
    assert!(gpus.iter().all(|gpu| gpu.key.uuid == uuid && gpu.model == "NVIDIA H100 80GB HBM3"));
    assert!(gpus.iter().all(|gpu| gpu.hostname.as_deref() == Some("gsrh100-074")));
    let pod = "model-playground-stg/text-embedding-predictor-00008-deployment-57946f6c67-vdtjl";
    assert_eq!(holders(&gpus[2]), held(&[(pod, None)]));
    assert!(gpus[0].holders.is_empty() && gpus[1].holders.is_empty());
}

#[test]
fn gpu_util_says_nothing_of_a_pod_on_a_slice() {
    let line = |pod: &str, vgpu: u8| {
        format!(
            "DCGM_FI_DEV_GPU_UTIL{{UUID=\"a\",GPU_I_ID=\"1\",pod=\"{pod}\",vgpu=\"{vgpu}\"}} 0\n"
        )
    };
    let (gpus, _) = gpus(&(line("p", 0) + &line("q", 1)));
    assert_eq!(gpus[0].utilization, None);
    assert_eq!(holders(&gpus[0]), held(&[("/p", None), ("/q", None)]));
}

#[test]
fn memory_that_is_missing_for_a_slice_is_unknown() {
    let (gpus, _) = gpus(fixture!("h100_mig_pod"));
    assert_eq!(gpus[0].memory_used_bytes, Some(20_992 << 20));
    assert_eq!(gpus[0].memory_total_bytes, Some((20_992 + 19_456) << 20));
    assert_eq!((gpus[2].memory_used_bytes, gpus[2].memory_total_bytes), (None, None));
}

#[test]
fn an_error_of_a_split_device_is_one_of_each_slice() {
    let (gpus, _) = gpus(fixture!("h100_mig_pod"));
    assert_eq!(gpus.iter().map(|gpu| gpu.xid).collect::<Vec<_>>(), [Some(94); 3]);
}

#[test]
fn a_gpu_without_pod_labels_is_held_by_nobody() {
    let (gpus, dropped) = gpus(fixture!("l40s_unheld"));
    assert_eq!((gpus.len(), dropped), (1, 0));
    assert_eq!(gpus[0].model, "NVIDIA L40S");
    assert_eq!(gpus[0].hostname.as_deref(), Some("l40s.example.com"));
    assert_eq!(gpus[0].utilization, ratio(0.0));
    assert_eq!(gpus[0].signal, Some(UtilizationSignal::GrEngineActive));
    assert!(gpus[0].holders.is_empty());
    assert_eq!((gpus[0].memory_used_bytes, gpus[0].xid), (None, None));
}

#[test]
fn an_empty_pod_is_nobody_and_an_exporters_own_name_is_no_node() {
    let (gpus, _) = gpus(fixture!("k80_empty_pod"));
    assert!(gpus[0].holders.is_empty());
    assert_eq!(gpus[0].hostname, None);
    assert_eq!(gpus[0].signal, Some(UtilizationSignal::GpuUtil));
    assert_eq!(gpus[0].utilization, ratio(0.0));
}

#[test]
fn what_is_no_measurement_is_unknown_and_counted() {
    let (gpus, dropped) = gpus(fixture!("sentinel"));
    assert_eq!(gpus.len(), 3, "a device that tells nothing good is still there");
    assert!(gpus.iter().all(|gpu| gpu.utilization.is_none() && gpu.signal.is_none()));
    assert!(gpus.iter().all(|gpu| gpu.memory_used_bytes.is_none() && gpu.xid.is_none()));
    // The memory's temperature is nothing that is read; the other six are.
    assert_eq!(dropped, 6);
}

#[test]
fn new_names_timestamps_and_exemplars_are_read() {
    let (gpus, dropped) = gpus(fixture!("new_names"));
    assert_eq!((gpus.len(), dropped), (1, 0));
    let gpu = &gpus[0];
    assert_eq!(gpu.key.uuid, "GPU-0b6e4bd0-5f5c-49cf-9f0f-3df2f9d6a001");
    assert_eq!(gpu.hostname.as_deref(), Some("ip-10-0-1-7.ec2.internal"));
    assert_eq!(gpu.utilization, ratio(0.934_512), "the engine, not the resident kernel");
    assert_eq!(gpu.signal, Some(UtilizationSignal::GrEngineActive));
    assert_eq!(gpu.memory_used_bytes, Some(36_000 << 20));
    assert_eq!(gpu.memory_total_bytes, Some((4_334 + 36_000 + 626) << 20));
    assert_eq!(gpu.xid, Some(0));
    assert_eq!(holders(gpu), held(&[("video/train-0", None)]));
}

#[test]
fn names_of_the_first_release_are_read() {
    let (gpus, _) = gpus(fixture!("old_names"));
    assert_eq!(gpus.len(), 1);
    assert_eq!(gpus[0].utilization, ratio(0.31));
    assert_eq!(gpus[0].memory_total_bytes, Some((8_192 + 7_968) << 20));
    assert_eq!(holders(&gpus[0]), held(&[("speech/asr-7c9d", None)]));
    let without = fixture!("old_names").replace("dcgm_fi_prof_gr_engine_active", "dcgm_x");
    let (gpus, _) = self::gpus(&without);
    assert_eq!(
        (gpus[0].utilization, gpus[0].signal),
        (ratio(0.42), Some(UtilizationSignal::GpuUtil))
    );
}

#[test]
fn the_exporters_own_pod_holds_nothing() {
    let (gpus, _) = gpus(fixture!("exported_pod"));
    let of = |start: &str| gpus.iter().find(|gpu| gpu.key.uuid.starts_with(start)).unwrap();
    assert_eq!(holders(of("GPU-2d")), held(&[("default/pod1", None)]));
    // An exporter with a name of its own is told by the page's `exported_pod` elsewhere.
    assert!(of("GPU-3e").holders.is_empty());
    assert!(of("GPU-4f").holders.is_empty());
    assert_eq!(of("GPU-4f").hostname.as_deref(), Some("worker2"));
    let alone: String =
        fixture!("exported_pod").lines().filter(|line| line.contains("GPU-4f")).collect();
    assert!(self::gpus(&(alone + "\n")).0[0].holders.is_empty());
    let both = "DCGM_FI_DEV_GPU_UTIL{UUID=\"a\",pod=\"p\"} 1\n\
                DCGM_FI_DEV_FB_USED{UUID=\"a\",exported_pod=\"p\",pod=\"other\"} 1\n";
    assert_eq!(holders(&self::gpus(both).0[0]), held(&[("/p", None)]));
}

#[test]
fn a_pod_label_that_flaps_keeps_each_pod_once_and_sums_nothing() {
    let (gpus, _) = gpus(fixture!("flapping_pod"));
    assert_eq!(gpus.len(), 1);
    assert_eq!(gpus[0].utilization, ratio(0.96));
    assert_eq!(gpus[0].memory_used_bytes, Some(1_000 << 20));
    assert_eq!(gpus[0].memory_total_bytes, Some(22_000 << 20));
    let both = [("batch/render-1", None), ("batch/render-2", None)];
    assert_eq!(holders(&gpus[0]), held(&both));
}

#[test]
fn a_time_sliced_gpu_is_counted_once_and_never_summed() {
    let (gpus, dropped) = gpus(fixture!("time_slicing"));
    assert_eq!((gpus.len(), dropped), (2, 1));
    let (own, parts) = (&gpus[0], &gpus[1]);
    assert_eq!(own.utilization, ratio(0.8), "its own series stands beside a greater one of a pod");
    assert_eq!(own.memory_used_bytes, Some(9_000 << 20));
    assert_eq!(own.memory_total_bytes, Some((9_000 + 13_500 + 534) << 20));
    let pods = [("chat/llm-a", Some(24.0)), ("chat/llm-b", Some(95.0)), ("chat/llm-c", None)];
    assert_eq!(holders(own), held(&pods));
    assert_eq!(parts.utilization, ratio(0.4), "the greatest of the pods'");
    assert_eq!(parts.memory_used_bytes, Some(5_000 << 20));
    assert_eq!(parts.memory_total_bytes, None, "nobody told the whole of what is used");
    assert_eq!(holders(parts), held(&[("chat/llm-d", Some(40.0)), ("chat/llm-e", Some(10.0))]));
}

#[test]
fn a_devices_value_beside_every_pod_is_nobodys_part() {
    let (gpus, _) = gpus(fixture!("time_slicing_copies"));
    assert_eq!(gpus.len(), 1);
    assert_eq!(gpus[0].utilization, ratio(0.714));
    assert_eq!(gpus[0].memory_total_bytes, Some(22_500 << 20));
    let pods = ["default/gpu-workload-1", "default/gpu-workload-2", "default/gpu-workload-3"];
    assert_eq!(holders(&gpus[0]), held(&pods.map(|pod| (pod, None))));
    let idle = fixture!("time_slicing_copies").replace("} 0.714", "} 0");
    assert_eq!(holders(&self::gpus(&idle).0[0]), held(&pods.map(|pod| (pod, Some(0.0)))));
}

#[test]
fn a_total_below_what_is_used_is_unknown() {
    let page = "DCGM_FI_DEV_FB_TOTAL{UUID=\"a\"} 10\nDCGM_FI_DEV_FB_USED{UUID=\"a\"} 11\n";
    let (gpus, _) = gpus(page);
    assert_eq!(gpus[0].memory_used_bytes, Some(11 << 20));
    assert_eq!(gpus[0].memory_total_bytes, None);
}

#[test]
fn a_page_that_tells_no_gpu_says_what_was_expected() {
    assert_eq!(read(fixture!("not_gpu").as_bytes()), Err(NoTelemetry::NoGpuMetric));
    assert_eq!(read(b""), Err(NoTelemetry::NoGpuMetric));
    assert_eq!(read(b"DCGM_FI_DEV_GPU_UTIL{gpu=\"0\"} 1\n"), Err(NoTelemetry::NoDevice));
    assert_eq!(read(b"DCGM_FI_DEV_CPU_UTIL_TOTAL{cpu=\"0\"} 1\n"), Err(NoTelemetry::NoDevice));
    assert!(NoTelemetry::NoGpuMetric.to_string().contains("`gpu_gfx_activity`"));
}

#[test]
fn pods_beyond_what_a_node_can_run_are_dropped_and_counted() {
    let page: String = (0..600)
        .map(|pod| format!("DCGM_FI_DEV_GPU_UTIL{{UUID=\"a\",pod=\"p{pod}\"}} 1\n"))
        .collect();
    let (gpus, dropped) = gpus(&page);
    assert_eq!((gpus[0].holders.len(), dropped), (512, 88));
}

#[test]
fn a_page_of_more_devices_than_a_node_can_have_is_refused() {
    use crate::collect::gpu::page::MOST_DEVICES;
    let page = |devices: usize| -> String {
        (0..devices).map(|gpu| format!("DCGM_FI_DEV_GPU_UTIL{{UUID=\"{gpu}\"}} 1\n")).collect()
    };
    assert_eq!(gpus(&page(MOST_DEVICES)).0.len(), MOST_DEVICES);
    let error = read(page(MOST_DEVICES + 1).as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "it names more than 16384 GPUs and slices");
    let cut = page(MOST_DEVICES + 1) + "DCGM_FI_DEV_GPU_UTIL{UUID=\"0\"";
    let error = read(cut.as_bytes()).unwrap_err();
    assert!(matches!(error, NoTelemetry::NotAPage(_)), "its form is still looked at: {error}");
}
