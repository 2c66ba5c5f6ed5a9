//! The program, from a kubeconfig to its metrics page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use super::pods::pod;
use super::server::ApiServer;
use super::{node, until};
use crate::contract::program::{Program, output, page_when};
use crate::dcgm;
use crate::faces::series::value;

/// A dcgm-exporter of a node with eight GPUs. Its own name for the node is its pod's, as it is where
/// nobody tells it better.
pub struct Exporter {
    pub port: u16,
    pub is_ill: Arc<AtomicBool>,
    pages: Arc<AtomicUsize>,
}

pub async fn exporter(number: u32) -> Exporter {
    let page = dcgm::page(number, |_| vec![format!("trainer-{number}")]);
    let is_ill = Arc::new(AtomicBool::new(false));
    let pages = Arc::new(AtomicUsize::new(0));
    let (ill, read) = (is_ill.clone(), pages.clone());
    let answer = async move || {
        if ill.load(Ordering::SeqCst) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        read.fetch_add(1, Ordering::SeqCst);
        page.clone().into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Exporter { port, is_ill, pages }
}

fn configuration(server: &ApiServer, folder: &std::path::Path) -> String {
    let kubeconfig = server.kubeconfig(folder);
    let (folder, kubeconfig) = (folder.display(), kubeconfig.display());
    let text = format!(
        "listen: 127.0.0.1:0\nlog: {{format: json}}\nbands: []\nstore: {{path: {folder}/costband.db}}\n\
         kubernetes:\n- {{cluster: train, kubeconfig: {kubeconfig}}}\n\
         gpu:\n- name: dcgm\n  every: 1s\n  timeout: 1s\n\
         \x20 kubernetes: {{namespace: gpu-operator, port: metrics}}\n"
    );
    let path = format!("{folder}/costband.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

fn gpus(page: &str) -> Option<String> {
    let labels = [("provider", "aws"), ("cluster", "train"), ("capacity_type", "on_demand")];
    value(page, "costband_gpus", &labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn discovered_pods_become_gpu_seconds_of_the_nodes_that_hold_them() {
    let server = ApiServer::start().await;
    let mut exporters = Vec::new();
    for number in 0..3 {
        let exporter = exporter(number).await;
        server.put("nodes", node(&format!("gpu-{number}"), "p5.48xlarge"));
        if number < 2 {
            server.put(
                "pods",
                pod(&format!("x{number}"), &format!("gpu-{number}"), "127.0.0.1", exporter.port),
            );
        }
        exporters.push(exporter);
    }
    // A node without GPUs, as most clusters have one.
    let mut plain = node("web-1", "m7i.large");
    plain["status"]["capacity"].as_object_mut().unwrap().remove("nvidia.com/gpu");
    server.put("nodes", plain);
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(&server, folder.path());

    let mut program = Program::start(&["run", "-c", &path]);
    let url = format!("http://{}", program.address());
    let metrics = format!("{url}/metrics");
    let page = page_when(&metrics, |page| {
        value(page, "costband_gpu_telemetry_coverage_ratio", &[("cluster", "train")]).is_some()
    })
    .await;
    let coverage = |page: &str| {
        let labels = [("provider", "aws"), ("cluster", "train")];
        let ratio = value(page, "costband_gpu_telemetry_coverage_ratio", &labels)?;
        ratio.parse::<f64>().ok()
    };
    let seen = coverage(&page).unwrap();
    assert!(seen < 0.67, "16 of 24 GPUs are told of at most: {seen}");
    let heard = value(
        &page,
        "costband_node_inventory_last_success_timestamp_seconds",
        &[("cluster", "train")],
    );
    assert!(heard.unwrap().parse::<f64>().unwrap() > 1.7e9);
    // The third pod comes while the agent runs.
    server.put("pods", pod("x2", "gpu-2", "127.0.0.1", exporters[2].port));
    page_when(&metrics, |page| gpus(page).as_deref() == Some("24")).await;
    // One that goes ill is told, and the others are read all the same.
    exporters[1].is_ill.store(true, Ordering::SeqCst);
    assert!(program.line("failed to read the page of a pod").contains("gpu-operator/x1"));
    let read = || exporters[0].pages.load(Ordering::SeqCst);
    let before = read();
    until("two more pages of another", || read() > before + 1).await;
    exporters[1].is_ill.store(false, Ordering::SeqCst);
    assert!(program.line("the page of a pod is read again").contains("gpu-operator/x1"));
    // The API goes away: nodes and pods are what they were.
    server.down(true);
    program.line("failed to watch the Kubernetes API");
    let before = read();
    until("two more pages without the API", || read() > before + 1).await;
    assert_eq!(program.terminate(), Some(0));

    // What was counted is in the ledger, under the nodes' machine type.
    server.down(false);
    let mut program = Program::start(&["run", "-c", &path]);
    let url = format!("http://{}", program.address());
    let busy = [
        ("provider", "aws"),
        ("cluster", "train"),
        ("capacity_type", "on_demand"),
        ("state", "busy"),
    ];
    let page = page_when(&format!("{url}/metrics"), |page| {
        value(page, "costband_gpu_seconds_total", &busy).is_some()
    })
    .await;
    let counted: f64 = value(&page, "costband_gpu_seconds_total", &busy).unwrap().parse().unwrap();
    assert!(counted > 0.0, "{counted}");
    for number in 0..3 {
        let node = page_when(&format!("{url}/api/v1/nodes/gpu-{number}"), |text| {
            text.contains("p5.48xlarge")
        })
        .await;
        assert!(node.contains("\"instance_type_is_guessed\":false"), "{node}");
    }
    assert_eq!(program.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_online_says_which_permission_is_missing() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(&server, folder.path());
    let check = || {
        let (path, folder) = (path.clone(), folder.path().to_owned());
        tokio::task::spawn_blocking(move || output(&["check", "-c", &path, "--online"], &folder))
    };
    let done = check().await.unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{told}");
    for wanted in ["may list and watch nodes", "may list and watch pods in `gpu-operator`"] {
        assert!(told.contains(wanted), "no `{wanted}` in:\n{told}");
    }
    server.forbid("watch", "pods", true);
    let done = check().await.unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert!(told.contains("may not watch pods in `gpu-operator`"), "{told}");
    assert!(told.contains("rbac.podNamespaces: [gpu-operator]"), "{told}");
    assert!(told.contains("may list and watch nodes"), "{told}");
    server.down(true);
    let done = check().await.unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stdout).unwrap().contains("503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_looked_for_while_nodes_are_still_waited_for() {
    let server = ApiServer::start().await;
    server.forbid("list", "nodes", true);
    let folder = tempfile::tempdir().unwrap();
    let path = configuration(&server, folder.path());
    let mut program = Program::start(&["run", "-c", &path]);
    until("the pods", || server.asked("list pods") > 0).await;
    // Telemetry waits for nodes for some ten seconds, in which they are asked for six times.
    let requests = server.requests();
    let first = requests.iter().position(|request| request.starts_with("list pods"));
    let before = requests.iter().take(first.unwrap()).filter(|one| one.starts_with("list nodes"));
    assert!(before.count() < 5, "{requests:?}");
    assert_eq!(program.terminate(), Some(0));
}
