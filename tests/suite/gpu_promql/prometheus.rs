//! A real Prometheus scrapes exporters, and the reader asks it through a door with a lock.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use costband::collect::gpu::promql::PromqlTarget;
use costband::collect::gpu::{GpuTarget, scrape};
use costband::config::secret::SecretRef;
use costband::domain::gpu::{GpuKey, GpuReport, GpuSample};
use costband::domain::identity::{Provider, SourceId};
use costband::domain::ports::Clock;
use costband::simulate::dcgm;
use costband::simulate::scenario::Scenario;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{client, read, target};
use crate::faces::peers::{Running, free_port, peer, until};

/// Prometheus scrapes each second.
const STEP: Duration = Duration::from_secs(3);
const TOKEN: &str = "tok-8d21c0";

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        "2026-11-16T02:00:00Z".parse().unwrap()
    }
}

fn world() -> Arc<Scenario> {
    Arc::new(Scenario::new(3, Arc::new(Fixed)))
}

/// A server that ends with its value.
struct Served {
    address: String,
    _task: JoinSet<()>,
}

async fn serve(router: Router) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    Served { address, _task: task }
}

/// Lets in who has the token and names the tenant, and hands on to Prometheus.
async fn door(address: String) -> Served {
    async fn pass(State(address): State<Arc<String>>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let sent = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        if sent("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        if sent("x-scope-orgid") != Some("train") {
            return StatusCode::FORBIDDEN.into_response();
        }
        let path = parts.uri.path().strip_prefix("/prometheus").unwrap();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let answer = reqwest::Client::new()
            .post(format!("http://{address}{path}"))
            .header("content-type", sent("content-type").unwrap())
            .body(body)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        (status, answer.bytes().await.unwrap()).into_response()
    }
    serve(Router::new().fallback(pass).with_state(Arc::new(address))).await
}

struct Prometheus {
    target: PromqlTarget,
    _folder: tempfile::TempDir,
    _process: Running,
    _door: Served,
}

impl Prometheus {
    /// Scrapes the jobs, each with its lines of YAML.
    async fn start(program: &Path, jobs: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let jobs: String = jobs
            .iter()
            .enumerate()
            .map(|(number, lines)| format!("  - job_name: job{number}\n{lines}"))
            .collect();
        let text = format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}");
        std::fs::write(&config, text).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Running(process);
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).unwrap();
        let door = door(address.clone()).await;
        let mut target = target(&format!("http://{}/prometheus", door.address), STEP);
        target.bearer = Some(SecretRef { file: Some(token), env: None });
        target.headers = vec![("X-Scope-OrgID".to_owned(), "train".to_owned())];
        until("Prometheus", async || {
            let ready = reqwest::get(format!("http://{address}/-/ready")).await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        Self { target, _folder: folder, _process: process, _door: door }
    }

    /// What it tells since an instant, without the step that is not over.
    async fn since(&self, from: Timestamp) -> Vec<GpuReport> {
        let to = Timestamp::now() - SignedDuration::from_millis(1500);
        read(&client(), &self.target, from, to).await.unwrap().reports
    }
}

fn job(address: &str, path: &str, more: &str) -> String {
    format!(
        "    metrics_path: {path}\n    static_configs: [{{targets: [\"{address}\"], labels: {{{more}}}}}]\n"
    )
}

/// What a scrape and a reading both tell of a GPU.
fn figures(gpu: &GpuSample) -> impl PartialEq + std::fmt::Debug {
    (
        gpu.model.clone(),
        gpu.hostname.clone(),
        gpu.utilization,
        gpu.signal,
        gpu.memory_used_bytes,
        gpu.memory_total_bytes,
        gpu.xid,
        // Of each pod that shares the GPU, how much of its time is the pod's.
        gpu.holders.clone(),
    )
}

async fn scraped(address: &str, provider: Provider) -> Vec<GpuSample> {
    let target = GpuTarget {
        id: SourceId::new("scrape"),
        url: format!("http://{address}/{provider}/metrics").parse().unwrap(),
        provider: Some(provider),
        cluster: "train".to_owned(),
        capacity_type: costband::domain::price::CapacityType::Unknown,
        every: STEP,
        timeout: Duration::from_secs(30),
    };
    scrape(&client(), &target, Fixed.now()).await.unwrap().gpus
}

/// The pods behind the GPUs, from the world itself.
fn pods(world: &Scenario, provider: Provider) -> BTreeMap<GpuKey, Vec<String>> {
    let mut pods = BTreeMap::new();
    let nodes = world.fleet(provider, Fixed.now()).into_iter().filter(|node| node.exporter_is_up);
    for gpu in nodes.flat_map(|node| node.readings) {
        let key = GpuKey {
            uuid: gpu.uuid.clone(),
            mig_instance: gpu.slice.map(|(_, instance)| instance.to_string()),
        };
        let names = gpu.pods.iter().map(|pod| format!("{}/{}", pod.namespace, pod.name));
        let mut names: Vec<String> = names.collect();
        names.sort();
        pods.insert(key, names);
    }
    pods
}

fn holders(gpu: &GpuSample) -> Vec<String> {
    let names = gpu.holders.iter().map(|held| format!("{}/{}", held.pod.namespace, held.pod.name));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_tells_what_the_exporters_tell_and_a_dead_one_is_missing() {
    let Some(program) = peer("COSTBAND_PEERS_PROMETHEUS") else { return };
    let world = world();
    let exporters = || serve(dcgm::router(Arc::clone(&world), Arc::default()));
    let (gcp, aws) = (exporters().await, exporters().await);
    // The exporter's own pod as service discovery labels it, and two replicas of one scrape.
    let own = "pod: dcgm-exporter-x7, namespace: gpu-operator, container: exporter";
    let jobs = [
        job(&gcp.address, "/gcp/metrics", &format!("{own}, prometheus_replica: a")),
        job(&gcp.address, "/gcp/metrics", &format!("{own}, prometheus_replica: b")),
        job(&aws.address, "/aws/metrics", own),
    ];
    let began = Timestamp::now();
    let prometheus = Prometheus::start(&program, &jobs).await;

    let wanted: BTreeMap<GpuKey, GpuSample> =
        [scraped(&gcp.address, Provider::Gcp).await, scraped(&aws.address, Provider::Aws).await]
            .concat()
            .into_iter()
            .map(|gpu| (gpu.key.clone(), gpu))
            .collect();
    let mut held = pods(&world, Provider::Gcp);
    held.extend(pods(&world, Provider::Aws));
    assert!(held.values().any(Vec::is_empty) && held.values().any(|pods| !pods.is_empty()));
    assert!(wanted.keys().any(|key| key.mig_instance.is_some()));
    assert!(wanted.values().any(|gpu| gpu.xid.is_some_and(|xid| xid > 0)), "an error is told");
    let parts = |gpu: &GpuSample| gpu.holders.iter().filter(|h| h.utilization.is_some()).count();
    assert!(wanted.values().any(|gpu| parts(gpu) > 1), "a GPU is shared");

    let report = until("a step with every GPU", async || {
        let reports = prometheus.since(began).await;
        reports.into_iter().find(|report| report.gpus.len() >= wanted.len())
    })
    .await;
    assert_eq!(report.gpus.len(), wanted.len(), "each GPU once");
    assert!(report.dropped_samples.total() > 0, "the simulated sentinel is dropped and counted");
    for gpu in &report.gpus {
        assert_eq!(figures(gpu), figures(&wanted[&gpu.key]), "{}", gpu.key);
        assert_eq!(holders(gpu), held[&gpu.key], "{}", gpu.key);
    }

    drop(aws);
    let died = Timestamp::now();
    let dead = pods(&world, Provider::Aws);
    let reports = until("steps long after the end of an exporter", async || {
        let reports = prometheus.since(began).await;
        let long_after = died + SignedDuration::from_secs(12);
        reports.last().is_some_and(|report| report.observed_at > long_after).then_some(reports)
    })
    .await;
    let of_dead = |report: &&GpuReport| report.gpus.iter().any(|gpu| dead.contains_key(&gpu.key));
    let newest = reports.iter().rfind(of_dead).unwrap();
    let step = SignedDuration::try_from(STEP).unwrap();
    assert!(newest.observed_at < died + step, "{} after {died}", newest.observed_at);
    let last = reports.last().unwrap();
    assert_eq!(last.gpus.len(), wanted.len() - dead.len(), "the others are still told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_told_by_one_step_and_a_gpu_by_its_present_pod() {
    let Some(program) = peer("COSTBAND_PEERS_PROMETHEUS") else { return };
    let began = Timestamp::now();
    // An exporter that repeats one old sample: Prometheus marks no end of such a series.
    let old =
        format!("DCGM_FI_DEV_GPU_UTIL{{UUID=\"GPU-old\"}} 50 {}\n", began.as_millisecond() + 500);
    let pod = Arc::new(Mutex::new("one".to_owned()));
    let page = {
        let pod = Arc::clone(&pod);
        move || async move {
            let pod = pod.lock().unwrap();
            format!("DCGM_FI_DEV_GPU_UTIL{{UUID=\"GPU-new\",pod=\"{pod}\",namespace=\"ml\"}} 7\n")
        }
    };
    let served = serve(
        Router::new().route("/old", get(move || async move { old })).route("/new", get(page)),
    )
    .await;
    let jobs = [job(&served.address, "/old", ""), job(&served.address, "/new", "")];
    let prometheus = Prometheus::start(&program, &jobs).await;

    for name in ["two", "three", "four", "five"] {
        let before = pod.lock().unwrap().clone();
        until(&format!("a step with the pod {before}"), async || {
            let reports = prometheus.since(began).await;
            let gpus = &reports.last()?.gpus;
            let gpu = gpus.iter().find(|gpu| gpu.key.uuid == "GPU-new")?;
            (holders(gpu) == [format!("ml/{before}")]).then_some(())
        })
        .await;
        name.clone_into(&mut pod.lock().unwrap());
    }
    let reports = prometheus.since(began).await;
    let of = |uuid: &str| -> Vec<&GpuSample> {
        reports.iter().flat_map(|r| &r.gpus).filter(|gpu| gpu.key.uuid == uuid).collect()
    };
    assert_eq!(of("GPU-old").len(), 1, "{reports:#?}");
    let new = of("GPU-new");
    assert!(new.len() >= 4, "{new:#?}");
    for gpu in new {
        assert!(gpu.holders.len() <= 1, "{gpu:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_door_is_named() {
    let Some(program) = peer("COSTBAND_PEERS_PROMETHEUS") else { return };
    let mut prometheus = Prometheus::start(&program, &[]).await;
    let from = Timestamp::now() - SignedDuration::from_secs(60);
    assert_eq!(prometheus.since(from).await, [], "an empty store is no error");

    let tenant = std::mem::take(&mut prometheus.target.headers);
    let refused = async |target: &PromqlTarget| {
        read(&client(), target, from, Timestamp::now()).await.unwrap_err().kind.as_str()
    };
    assert_eq!(refused(&prometheus.target).await, "forbidden");
    prometheus.target.headers = tenant;
    prometheus.target.selector = "cluster=~".to_owned();
    assert_eq!(refused(&prometheus.target).await, "config");
    prometheus.target.bearer = None;
    assert_eq!(refused(&prometheus.target).await, "auth");
}
