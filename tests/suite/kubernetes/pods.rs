//! Pods that serve telemetry come, move, go, and are read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use costband::app::gpu_pods::PodsReader;
use costband::config::{GpuFrom, GpuSource};
use costband::domain::gpu::GpuReport;
use costband::domain::identity::SourceId;
use costband::domain::pods::{PodPages, PodPort};
use costband::domain::price::CapacityType;
use costband::domain::report::{SourceError, SourceErrorKind};
use costband::kubernetes::pods::{Exporter, Exporters, discover};
use costband::runtime::clock::SystemClock;
use serde_json::{Value, json};

use super::agent::exporter;
use super::server::ApiServer;
use super::{cluster, until};

/// A pod of the GPU Operator's DaemonSet.
pub fn pod(name: &str, node: &str, address: &str, port: u16) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "gpu-operator",
            "labels": {"app": "nvidia-dcgm-exporter", "pod-template-generation": "1"},
        },
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "sidecar"},
                {"name": "nvidia-dcgm-exporter", "ports": [{"name": "metrics", "containerPort": port, "protocol": "TCP"}]},
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
        },
    })
}

fn start(server: &ApiServer, folder: &tempfile::TempDir, port: PodPort) -> Exporters {
    let pages = PodPages {
        namespace: "gpu-operator".to_owned(),
        selectors: vec![
            "app.kubernetes.io/name in (dcgm-exporter,gke-managed-dcgm-exporter)".to_owned(),
            "app=nvidia-dcgm-exporter".to_owned(),
        ],
        port,
        tls: false,
        path: "/metrics".to_owned(),
    };
    let (exporters, task) = discover(&cluster(server, folder), pages, Arc::new(SystemClock));
    tokio::spawn(task);
    exporters
}

type Ready = Result<BTreeMap<String, Exporter>, SourceError>;

async fn when(what: &str, exporters: &Exporters, holds: impl Fn(&Ready) -> bool) -> Ready {
    until(what, || holds(&exporters.ready())).await;
    exporters.ready()
}

fn urls(ready: Ready) -> Vec<(String, String)> {
    ready.unwrap().into_values().map(|exporter| (exporter.node, exporter.url.to_string())).collect()
}

#[tokio::test]
async fn ready_pods_are_found_by_either_label_and_those_that_go_are_left() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let exporters = start(&server, &folder, PodPort::Named("metrics".to_owned()));
    assert_eq!(exporters.ready().unwrap_err().kind, SourceErrorKind::NotReady);

    server.put("pods", pod("a", "gpu-1", "10.0.0.1", 9400));
    let mut own_chart = pod("b", "gpu-2", "fd00::2", 9500);
    own_chart["metadata"]["labels"] = json!({"app.kubernetes.io/name": "dcgm-exporter"});
    server.put("pods", own_chart);
    for (name, change, value) in [
        ("not-ready", "/status/conditions/1/status", json!("False")),
        ("pending", "/status/phase", json!("Pending")),
        ("somebody-else", "/metadata/labels/app", json!("web")),
        ("elsewhere", "/metadata/namespace", json!("default")),
        ("no-such-port", "/spec/containers/1/ports/0/name", json!("http")),
        ("no-address", "/status/podIP", json!("")),
        ("on-its-way-out", "/metadata/deletionTimestamp", json!("2026-11-16T10:00:00Z")),
    ] {
        let mut other = pod(name, "gpu-9", "10.0.0.9", 9400);
        other["metadata"]["deletionTimestamp"] = Value::Null;
        *other.pointer_mut(change).unwrap() = value;
        server.put("pods", other);
    }
    let two = |ready: &Ready| ready.as_ref().is_ok_and(|pods| pods.len() == 2);
    let found = urls(when("two pods", &exporters, two).await);
    assert_eq!(
        found,
        [
            ("gpu-1".to_owned(), "http://10.0.0.1:9400/metrics".to_owned()),
            ("gpu-2".to_owned(), "http://[fd00::2]:9500/metrics".to_owned()),
        ]
    );

    let mut ill = pod("a", "gpu-1", "10.0.0.1", 9400);
    ill["status"]["conditions"][1]["status"] = "False".into();
    server.put("pods", ill);
    let one = |ready: &Ready| ready.as_ref().is_ok_and(|pods| pods.len() == 1);
    assert_eq!(urls(when("one pod", &exporters, one).await)[0].0, "gpu-2");
    server.delete("pods", "gpu-operator/b");
    let none = when("no pod", &exporters, |ready| ready.is_err()).await.unwrap_err();
    assert_eq!(none.kind, SourceErrorKind::NotReady);
    assert!(none.message.contains("no ready pod in the namespace `gpu-operator`"), "{none}");
    server.put("pods", pod("a-2", "gpu-1", "10.0.0.3", 9400));
    let back = urls(when("another pod", &exporters, one).await);
    assert_eq!(back[0].1, "http://10.0.0.3:9400/metrics");
    assert_eq!(server.asked("list pods"), 2, "one for each selector: {:?}", server.requests());
}

#[tokio::test]
async fn a_refusal_names_the_namespace_and_the_role() {
    let server = ApiServer::start().await;
    server.forbid("list", "pods", true);
    let folder = tempfile::tempdir().unwrap();
    let exporters = start(&server, &folder, PodPort::Number(9400));
    let forbidden =
        |ready: &Ready| ready.as_ref().is_err_and(|error| error.kind == SourceErrorKind::Forbidden);
    let told = when("the refusal", &exporters, forbidden).await.unwrap_err().to_string();
    for wanted in [
        "a Role in the namespace `gpu-operator`",
        "`{apiGroups: [\"\"], resources: [pods], verbs: [list, watch]}`",
        "chart: `rbac.podNamespaces: [gpu-operator]`",
    ] {
        assert!(told.contains(wanted), "no `{wanted}` in: {told}");
    }
}

#[tokio::test]
async fn a_page_is_its_pod_s_node_and_a_gpu_that_two_pods_tell_of_is_one() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let exporters = start(&server, &folder, PodPort::Named("metrics".to_owned()));
    let (one, two) = (exporter(1).await, exporter(2).await);
    for (name, node, port) in
        [("a", "gpu-1", one.port), ("b", "gpu-1", one.port), ("c", "gpu-2", two.port)]
    {
        server.put("pods", pod(name, node, "127.0.0.1", port));
    }
    let three = |ready: &Ready| ready.as_ref().is_ok_and(|pods| pods.len() == 3);
    when("three pods", &exporters, three).await.unwrap();
    let mut reader = PodsReader {
        source: GpuSource {
            name: SourceId::new("dcgm"),
            // The reader has its pods already.
            from: GpuFrom::Nvml { library: None, hostname: None },
            instance_type: None,
            region_id: None,
            provider: None,
            cluster: "train".to_owned(),
            capacity_type: CapacityType::Unknown,
            every: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
        },
        exporters,
        failing: BTreeMap::new(),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let now = "2026-11-16T10:00:00Z".parse().unwrap();
    let by_node = |report: GpuReport| {
        let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
        for gpu in report.gpus {
            *nodes.entry(gpu.hostname.unwrap()).or_default() += 1;
        }
        nodes.into_iter().collect::<Vec<_>>()
    };
    let all = by_node(reader.read(&client, now).await.unwrap());
    assert_eq!(all, [("gpu-1".to_owned(), 8), ("gpu-2".to_owned(), 8)]);
    two.is_ill.store(true, Ordering::SeqCst);
    let well = by_node(reader.read(&client, now).await.unwrap());
    assert_eq!(well, [("gpu-1".to_owned(), 8)], "the other's page is of no use");
    assert_eq!(reader.failing.keys().collect::<Vec<_>>(), ["gpu-operator/c"]);
    one.is_ill.store(true, Ordering::SeqCst);
    let error = reader.read(&client, now).await.unwrap_err();
    assert_eq!(error.kind, SourceErrorKind::Unavailable);
    assert!(error.message.contains("none of 3 pods could be read"), "{error}");
}

#[tokio::test]
async fn pods_stay_known_while_the_api_is_away() {
    let server = ApiServer::start().await;
    server.put("pods", pod("a", "gpu-1", "10.0.0.1", 9400));
    let folder = tempfile::tempdir().unwrap();
    let exporters = start(&server, &folder, PodPort::Number(9400));
    when("the pod", &exporters, |ready| ready.is_ok()).await.unwrap();
    until("both watches", || server.asked("watch pods") == 2).await;
    server.down(true);
    let refused = server.refused();
    until("two failures of either watch", || server.refused() >= refused + 4).await;
    server.delete("pods", "gpu-operator/a");
    let known = urls(exporters.ready());
    assert_eq!(known, [("gpu-1".to_owned(), "http://10.0.0.1:9400/metrics".to_owned())]);
    server.down(false);
    when("its end", &exporters, |ready| ready.is_err()).await.unwrap_err();
    assert_eq!(server.asked("list pods"), 2, "{:?}", server.requests());
}
