//! What the PromQL reader makes of its target and of answers, without a server.

#![allow(clippy::unwrap_used)]

use super::answer::parse;
use super::fleet::Step;
use super::*;
use crate::domain::gpu::{GpuSample, UtilizationSignal};

const AT: i64 = 1_763_287_200_000;

fn target() -> PromqlTarget {
    PromqlTarget {
        id: SourceId::new("prometheus"),
        url: "http://user:opensesame@prom.example/prometheus/".parse().unwrap(),
        bearer: None,
        basic: None,
        headers: vec![("X-Scope-OrgID".to_owned(), "tenant-a".to_owned())],
        selector: String::new(),
        provider: None,
        cluster: "home".to_owned(),
        cluster_label: None,
        node_label: None,
        pod_labels: PodLabels::Detect,
        capacity_type: CapacityType::OnDemand,
        every: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        step: Duration::from_secs(30),
        delay: Duration::from_secs(60),
    }
}

/// A series of one point.
fn series(name: &str, labels: &str, value: &str) -> String {
    format!(
        "{{\"metric\":{{\"__name__\":\"{name}\",{labels}}},\"values\":[[{}.000,\"{value}\"]]}}",
        AT / 1000
    )
}

fn read(target: &PromqlTarget, series: &[String]) -> Vec<Step> {
    let body = format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{}]}}}}",
        series.join(",")
    );
    let mut fleet = Fleet::new(target.naming(), (AT, AT));
    parse(body.as_bytes(), |series| fleet.add(series.labels(), series.points())).unwrap();
    fleet.steps()
}

fn only(target: &PromqlTarget, series: &[String]) -> GpuSample {
    let mut reports = read(target, series);
    assert_eq!((reports.len(), reports[0].gpus.len()), (1, 1), "{reports:#?}");
    reports.remove(0).gpus.remove(0)
}

fn holders(gpu: &GpuSample) -> Vec<String> {
    gpu.holders.iter().map(|held| format!("{}/{}", held.pod.namespace, held.pod.name)).collect()
}

#[test]
fn the_question_takes_each_sample_into_one_step_and_sees_marks() {
    let mut target = target();
    target.selector = r#"cluster="train","#.to_owned();
    target.cluster_label = Some("k8s_cluster".to_owned());
    let question = question(&target);
    let names = words::metrics().join("|");
    let series = format!("{{__name__=~\"{names}\",cluster=\"train\"}}");
    assert!(question.ends_with(&format!("(last_over_time({series}[30000ms]) and {series})")));
    assert!(question.starts_with("max by (__name__,UUID,"), "{question}");
    assert!(question.contains(",k8s_cluster) ("), "{question}");
    assert!(question.contains("|amd_gpu_gfx_activity"), "{question}");
}

#[test]
fn a_target_is_shown_without_what_opens_it() {
    let shown = format!("{:?} {}", target(), target().endpoint().path());
    assert!(!shown.contains("opensesame") && !shown.contains("tenant-a"), "{shown}");
    assert!(shown.contains("http://prom.example/prometheus`"), "{shown}");
    assert!(shown.ends_with("/prometheus/api/v1/query_range"), "{shown}");
}

#[test]
fn the_holder_is_the_exported_pod_and_never_the_exporter() {
    let gpu =
        |labels: &str| series("DCGM_FI_DEV_GPU_UTIL", &format!("\"UUID\":\"GPU-a\",{labels}"), "5");
    let exported = gpu(
        r#""pod":"gpu-metrics-x","namespace":"monitoring","exported_pod":"train-0","exported_namespace":"ml""#,
    );
    let own = gpu(r#""pod":"nvidia-dcgm-exporter-x","namespace":"gpu-operator""#);
    let plain = gpu(r#""pod":"train-0","namespace":"ml""#);
    let old = gpu(r#""pod_name":"train-0","pod_namespace":"ml""#);
    let empty = gpu(r#""pod":"","namespace":"""#);
    let told = |labels: PodLabels, series: &String| {
        let target = PromqlTarget { pod_labels: labels, ..target() };
        holders(&only(&target, std::slice::from_ref(series)))
    };
    for (series, detected) in [(&exported, 1), (&own, 0), (&plain, 1), (&old, 1), (&empty, 0)] {
        let held = told(PodLabels::Detect, series);
        assert_eq!(held, vec!["ml/train-0"; detected], "{series}");
    }
    assert_eq!(told(PodLabels::Exported, &plain), [""; 0]);
    assert_eq!(told(PodLabels::Exported, &exported), ["ml/train-0"]);
    assert_eq!(told(PodLabels::Plain, &own), ["gpu-operator/nvidia-dcgm-exporter-x"]);
}

#[test]
fn replicas_and_time_slicing_count_a_gpu_once() {
    let of = |name: &str, more: &str, value: &str| {
        series(name, &format!("\"UUID\":\"GPU-a\",\"modelName\":\"NVIDIA H100\"{more}"), value)
    };
    let gpu = only(
        &target(),
        &[
            of("DCGM_FI_DEV_GPU_UTIL", r#","prometheus_replica":"0""#, "40"),
            of("DCGM_FI_DEV_GPU_UTIL", r#","prometheus_replica":"1""#, "41"),
            of("DCGM_FI_DEV_GPU_UTIL", r#","pod":"one","namespace":"ml""#, "30"),
            of("DCGM_FI_DEV_GPU_UTIL", r#","pod":"two","namespace":"ml""#, "10"),
            of("DCGM_FI_DEV_FB_USED", "", "1000"),
            of("DCGM_FI_DEV_FB_FREE", "", "80000"),
            of("DCGM_FI_DEV_FB_RESERVED", "", "559"),
            of("DCGM_FI_DEV_XID_ERRORS", "", "79"),
        ],
    );
    assert_eq!(gpu.utilization.map(|share| share.ratio()), Some(0.41));
    assert_eq!(gpu.signal, Some(UtilizationSignal::GpuUtil));
    assert_eq!(holders(&gpu), ["ml/one", "ml/two"]);
    assert_eq!(gpu.memory_used_bytes, Some(1000 << 20));
    assert_eq!(gpu.memory_total_bytes, Some(81_559 << 20));
    assert_eq!(gpu.xid, Some(79));
}

#[test]
fn what_is_no_measurement_is_unknown_and_counted() {
    let labels = r#""uuid":"GPU-a","hostname":"n1""#;
    let other = r#""uuid":"GPU-b","hostname":"n1""#;
    let reports = read(
        &target(),
        &[
            series("DCGM_FI_DEV_GPU_UTIL", labels, "9223372036854775794"),
            series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, "NaN"),
            series("DCGM_FI_DEV_FB_USED", labels, "+Inf"),
            series("DCGM_FI_DEV_XID_ERRORS", labels, "0"),
            series("DCGM_FI_DEV_XID_ERRORS", other, "78.5"),
            series("DCGM_FI_DEV_FB_USED", r#""gpu":"0""#, "7"),
            series("up", labels, "1"),
        ],
    );
    let gpu = &reports[0].gpus[0];
    assert_eq!((reports[0].dropped.total(), reports[0].gpus.len()), (4, 2));
    let reasons: Vec<_> =
        reports[0].dropped.by_reason().map(|(why, n)| (why.as_str(), n)).collect();
    let expected =
        [("sentinel", 1), ("out_of_range", 1), ("not_a_number", 2), ("too_many_pods", 0)];
    assert_eq!(reasons, expected);
    assert_eq!(reports[0].gpus[1].xid, None, "half an error is none");
    assert_eq!((gpu.utilization, gpu.signal, gpu.memory_used_bytes), (None, None, None));
    assert_eq!((gpu.xid, gpu.hostname.as_deref()), (Some(0), Some("n1")));
}

#[test]
fn slices_stand_for_their_device_and_have_no_gpu_util() {
    let slice = |name: &str, id: &str, value: &str| {
        let labels =
            format!("\"UUID\":\"GPU-c\",\"GPU_I_ID\":\"{id}\",\"GPU_I_PROFILE\":\"1g.10gb\"");
        series(name, &labels, value)
    };
    let reports = read(
        &target(),
        &[
            series("DCGM_FI_DEV_GPU_UTIL", r#""UUID":"GPU-c""#, "0"),
            slice("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "7", "0.5"),
            slice("DCGM_FI_DEV_GPU_UTIL", "8", "0"),
        ],
    );
    let told: Vec<_> = reports[0]
        .gpus
        .iter()
        .map(|gpu| (gpu.key.to_string(), gpu.utilization.map(|share| share.ratio())))
        .collect();
    assert_eq!(told, [("GPU-c/7".to_owned(), Some(0.5)), ("GPU-c/8".to_owned(), None)]);
    assert_eq!(reports[0].gpus[0].mig_profile.as_deref(), Some("1g.10gb"));
}

#[test]
fn each_cluster_has_its_own_report_and_nodes_come_from_the_label_that_was_named() {
    let target = PromqlTarget {
        cluster_label: Some("k8s_cluster".to_owned()),
        node_label: Some("node".to_owned()),
        ..target()
    };
    let of = |uuid: &str, more: &str| {
        series(
            "DCGM_FI_DEV_GPU_UTIL",
            &format!("\"UUID\":\"{uuid}\",\"Hostname\":\"h\"{more}"),
            "1",
        )
    };
    let reports = read(
        &target,
        &[
            of("GPU-z", r#","k8s_cluster":"train","node":"n9""#),
            of("GPU-a", r#","k8s_cluster":"train""#),
            of("GPU-b", ""),
        ],
    );
    let told: Vec<_> = reports
        .iter()
        .flat_map(|report| {
            let cluster = report.cluster.as_str();
            report.gpus.iter().map(move |gpu| (cluster, &*gpu.key.uuid, gpu.hostname.as_deref()))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("home", "GPU-b", Some("h")),
            ("train", "GPU-a", Some("h")),
            ("train", "GPU-z", Some("n9"))
        ]
    );
    assert_eq!(reports.len(), 2);
}

#[test]
fn texts_with_escapes_are_read() {
    let labels = r#""UUID":"GPU-a","modelName":"NVIDIA \"H100\" \u00e9""#;
    let gpu = only(&target(), &[series("DCGM_FI_DEV_GPU_UTIL", labels, "1")]);
    assert_eq!(gpu.model, "NVIDIA \"H100\" é");
}

/// What a page would be to a Prometheus that scraped it, as far as the question keeps its labels.
fn answered(page: &str) -> Vec<String> {
    use crate::collect::gpu::exposition::Reader;
    let kept: Vec<&str> = words::labels().collect();
    let names = words::metrics();
    let mut all = Vec::new();
    let mut reader = Reader::new();
    let each = |line: crate::collect::gpu::exposition::Line<'_>| {
        let mut labels = Vec::new();
        let (_, value) = line.read(|name, value| {
            if kept.contains(&name) && !value.is_empty() {
                labels.push(format!("\"{name}\":{}", serde_json::json!(value.text())));
            }
        })?;
        if names.iter().any(|name| name == line.name) {
            labels.push("\"x\":\"\"".to_owned());
            all.push(series(line.name, &labels.join(","), &value.to_string()));
        }
        Ok(())
    };
    reader.feed(page.as_bytes(), each).unwrap();
    all
}

macro_rules! pages {
    ($($name:literal),*) => {
        [$(($name, include_str!(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gpu/", $name, ".txt")
        ))),*]
    };
}

#[test]
fn a_prometheus_tells_of_every_page_what_the_page_tells() {
    for (name, page) in pages![
        "amd_mi300x",
        "exported_pod",
        "flapping_pod",
        "h100_mig_pod",
        "k80_empty_pod",
        "l40s_unheld",
        "new_names",
        "old_names",
        "sentinel",
        "time_slicing",
        "time_slicing_copies"
    ] {
        let (gpus, dropped) = crate::collect::gpu::page::read(page.as_bytes()).unwrap();
        let steps = read(&target(), &answered(page));
        assert_eq!(steps.len(), 1, "{name}");
        assert_eq!(steps[0].gpus, gpus, "{name}");
        assert_eq!(steps[0].dropped, dropped, "{name}");
    }
}

#[test]
fn an_error_of_a_split_gpu_is_one_of_each_of_its_slices() {
    let slice = r#""UUID":"GPU-c","GPU_I_ID":"7","GPU_I_PROFILE":"1g.10gb""#;
    let gpu = only(
        &target(),
        &[
            series("DCGM_FI_DEV_XID_ERRORS", r#""UUID":"GPU-c""#, "79"),
            series("DCGM_FI_PROF_GR_ENGINE_ACTIVE", slice, "0.5"),
        ],
    );
    assert_eq!((gpu.key.to_string().as_str(), gpu.xid), ("GPU-c/7", Some(79)));
}

#[test]
fn who_scrapes_how_is_learnt_from_the_whole_answer() {
    // At this step nobody holds anything, and the exporter's pod has a name of its own.
    let own = r#""UUID":"GPU-a","pod":"gpu-metrics-x","namespace":"monitoring""#;
    let held = r#""UUID":"GPU-b","pod":"gpu-metrics-y","exported_pod":"train-0""#;
    let point = |seconds: i64| format!("[{}.000,\"5\"]", AT / 1000 + seconds);
    let of = |labels: &str, points: &[i64]| {
        let points: Vec<String> = points.iter().map(|seconds| point(*seconds)).collect();
        format!(
            "{{\"metric\":{{\"__name__\":\"DCGM_FI_DEV_GPU_UTIL\",{labels}}},\"values\":[{}]}}",
            points.join(",")
        )
    };
    let body = format!(
        "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{},{}]}}}}",
        of(own, &[0, 30]),
        of(held, &[30])
    );
    let mut fleet = Fleet::new(target().naming(), (AT, AT + 30_000));
    parse(body.as_bytes(), |series| fleet.add(series.labels(), series.points())).unwrap();
    let told: Vec<Vec<Vec<String>>> =
        fleet.steps().iter().map(|step| step.gpus.iter().map(holders).collect()).collect();
    assert_eq!(told, [vec![vec![]], vec![vec![], vec!["/train-0".to_owned()]]]);
}

#[test]
fn the_namespace_is_the_exporters_own_only_where_it_was_not_renamed() {
    let gpu = |labels: &str| {
        let series = series("DCGM_FI_DEV_GPU_UTIL", &format!("\"UUID\":\"GPU-a\",{labels}"), "5");
        holders(&only(&target(), &[series]))
    };
    assert_eq!(gpu(r#""exported_pod":"p","namespace":"ml","pod":"x""#), ["ml/p"]);
    assert_eq!(gpu(r#""exported_namespace":"ml","namespace":"monitoring","pod":"p""#), ["ml/p"]);
    assert_eq!(gpu(r#""pod":"x-7","container":"nvidia-dcgm-exporter","namespace":"m""#), [""; 0]);
}

#[test]
fn an_answer_of_more_gpus_than_are_held_is_refused() {
    let mut fleet = Fleet::new(target().naming(), (AT, AT + 1_000_000_000));
    let labels = [("__name__", "DCGM_FI_DEV_GPU_UTIL"), ("UUID", "GPU-a")]
        .map(|(name, value)| (name.into(), value.into()));
    let points = (0..=fleet::MOST_READINGS).map(|at| ((AT / 1000) as f64 + at as f64, 1.0));
    assert!(fleet.add(&labels, points).is_err());
    assert!(fleet.is_too_large());
}

#[test]
fn a_single_step_is_read_whole_however_large_the_fleet() {
    let mut fleet = Fleet::new(target().naming(), (AT, AT));
    for gpu in 0..=fleet::MOST_READINGS {
        let labels = [("__name__", "DCGM_FI_DEV_GPU_UTIL"), ("UUID", &*format!("GPU-{gpu}"))]
            .map(|(name, value)| (name.into(), value.to_owned().into()));
        let point = ((AT / 1000) as f64, 1.0);
        assert_eq!(fleet.add(&labels, [point].into_iter()), Ok(()));
    }
    assert!(!fleet.is_too_large());
    assert_eq!(fleet.steps()[0].gpus.len(), fleet::MOST_READINGS + 1);
}
