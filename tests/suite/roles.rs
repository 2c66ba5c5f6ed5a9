//! Agents of every role side by side, as real processes: what each exports, what it learns from the
//! central agent, and what it does without one.

mod central;
mod sidecars;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::Router;
use axum::routing::get;
use costband::app::setup::Setup;
use costband::domain::identity::Provider;
use costband::runtime::clock::SystemClock;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::contract::harness::{Clouds, Options, WrittenWorld, around, fleet};
use crate::contract::program::{Program, page_when};
use crate::dcgm;
use crate::faces::series::{Sample, samples, value};

/// A node's exporter: eight GPUs, of which a trainer holds four, another pod two, and one is shared
/// by both.
fn exporter_page() -> String {
    let holders = |gpu: usize| match gpu {
        0..=3 => vec!["trainer-0"],
        4 | 5 => vec!["api-6d8f9c7b5-x2v7k"],
        6 => vec!["trainer-0", "api-6d8f9c7b5-x2v7k"],
        _ => vec![""],
    };
    dcgm::page(1, |gpu| holders(gpu).into_iter().map(str::to_owned).collect())
}

/// The page of an exporter that lives as long as the test.
async fn exporter() -> String {
    let page = exporter_page();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/metrics", get(async move || page.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/metrics")
}

/// A port that nobody listens on.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

const TOKEN: &str = "central-open-sesame";

/// Writes a configuration and gives its path.
fn written(folder: &Path, name: &str, mut configuration: Value) -> String {
    configuration["log"]["format"] = json!("json");
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, configuration.to_string()).unwrap();
    path.display().to_string()
}

/// What a central agent reads: a cloud's bill and its nodes, and no telemetry. The machine is one
/// that nobody can guess, at a price that no list has.
fn central(clouds: &Clouds, folder: &Path, listen: &str) -> String {
    let mut configuration =
        clouds.configuration(&[Provider::Aws], folder, json!([{"preset": "aws"}]));
    configuration["listen"] = json!(listen);
    configuration["web"] = json!({"bearer_token": token(folder)});
    configuration["nodes"] = json!([{
        "name": "gpu-1", "cluster": "train", "provider": "aws", "instance_type": "p5x.custom",
        "region_id": "us-east-1", "capacity_type": "reserved", "gpus": 8,
    }]);
    configuration["gpu_hour_prices"] = json!({"p5x.custom": "3.21 USD"});
    written(folder, "central", configuration)
}

fn token(folder: &Path) -> Value {
    let path = folder.join("token");
    std::fs::write(&path, TOKEN).unwrap();
    json!({"file": path})
}

/// An agent beside the GPUs of an exporter.
fn beside(folder: &Path, name: &str, page: &str, central: &str, more: Value) -> String {
    let mut configuration = json!({
        "listen": "127.0.0.1:0",
        "node": "gpu-1",
        "store": {"path": folder.join(format!("{name}.db"))},
        "central": {
            "url": format!("http://{central}/"), "bearer_token": token(folder), "every": "1s",
        },
        "gpu": [{"name": "node", "provider": "aws", "url": page, "every": "1s"}],
    });
    for (key, value) in more.as_object().unwrap() {
        configuration[key] = value.clone();
    }
    written(folder, name, configuration)
}

fn node_agent(folder: &Path, page: &str, central: &str) -> String {
    beside(folder, "node", page, central, json!({"role": "node"}))
}

fn sidecar(folder: &Path, page: &str, central: &str) -> String {
    let pod = json!({"namespace": "ml", "name": "trainer-0"});
    beside(folder, "sidecar", page, central, json!({"role": "sidecar", "pod": pod}))
}

async fn clouds() -> Clouds {
    let world =
        WrittenWorld::new(std::sync::Arc::new(SystemClock), fleet(around(Timestamp::now()), 1));
    Clouds::start(world, Options::default()).await
}

fn run(configuration: &str) -> (Program, String) {
    let mut program = Program::start(&["run", "-c", configuration]);
    let address = program.address();
    (program, address)
}

fn sum(page: &str, name: &str) -> f64 {
    let all = samples(page).into_iter().filter(|sample| sample.name == name);
    all.map(|sample| sample.value.parse::<f64>().unwrap()).sum()
}

fn labelled<'a>(samples: &'a [Sample], name: &str, label: &str) -> BTreeSet<&'a str> {
    let of = samples.iter().filter(|sample| sample.name == name);
    of.map(|sample| sample.labels[label].as_str()).collect()
}

/// The families of a page that are not the agent's own.
fn business(page: &str) -> BTreeSet<String> {
    let own = [
        "process_",
        "costband_leader",
        "costband_build_info",
        "costband_config_",
        "costband_gpu_samples_dropped",
    ];
    let names = samples(page).into_iter().map(|sample| sample.name);
    names.filter(|name| !own.iter().any(|own| name.starts_with(own))).collect()
}

/// The document of the node that an agent serves, once it passes.
async fn document(address: &str, passes: impl Fn(&Value) -> bool) -> Value {
    let read = |page: &str| serde_json::from_str::<Value>(page).unwrap_or_default();
    let url = format!("http://{address}/api/v1/nodes/gpu-1");
    read(&page_when(&url, |page| passes(&read(page))).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_role_exports_a_gpu_and_the_central_agent_tells_its_price() {
    let (clouds, page, folder) = (clouds().await, exporter().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let (_central, central) = run(&central(&clouds, folder, "127.0.0.1:0"));
    let (mut node, node_at) = run(&node_agent(folder, &page, &central));
    node.ever("the central agent told of the node");
    let (mut sidecar_, sidecar_at) = run(&sidecar(folder, &page, &central));
    sidecar_.ever("the central agent told of the node");

    let counted = |page: &str| sum(page, "costband_gpu_seconds_total") > 0.0;
    let of_node = page_when(&format!("http://{node_at}/metrics"), counted).await;
    let counted = |page: &str| sum(page, "costband_workload_gpu_seconds_total") > 0.0;
    let of_sidecar = page_when(&format!("http://{sidecar_at}/metrics"), counted).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let of_central = client.get(format!("http://{central}/metrics")).bearer_auth(TOKEN);
    let of_central = of_central.send().await.unwrap().text().await.unwrap();

    // Each GPU's time once in all pages together: in the node agent's.
    let pages = [&of_central, &of_node, &of_sidecar].map(|page| samples(page));
    let telling =
        |name: &str| pages.each_ref().map(|page| page.iter().any(|sample| sample.name == name));
    for name in ["costband_gpu_seconds_total", "costband_gpus", "costband_gpu_cost"] {
        assert_eq!(telling(name), [false, true, false], "{name}");
    }
    assert!(telling("costband_band_ceiling")[0] && business(&of_central).len() > 5);
    let gpus =
        value(&of_node, "costband_gpus", &[("cluster", "train"), ("capacity_type", "reserved")]);
    assert_eq!(gpus.as_deref(), Some("8"));
    let all: Vec<String> = (0..8).map(|gpu| format!("GPU-1-{gpu}")).collect();
    let told = |page: &[Sample]| -> Vec<String> {
        labelled(page, "costband_gpu_info", "gpu_uuid").into_iter().map(str::to_owned).collect()
    };
    assert_eq!(told(&pages[1]), all);
    assert_eq!(told(&pages[2]), ["GPU-1-0", "GPU-1-1", "GPU-1-2", "GPU-1-3", "GPU-1-6"]);
    let tiers = labelled(&pages[2], "costband_gpu_info", "tier");
    assert_eq!(tiers, BTreeSet::from(["optimal"]));
    let forbidden = ["band_", "billed_", "effective_", "source_", "service_", "cluster_tier"];
    for family in business(&of_node) {
        let name = family.strip_prefix("costband_").unwrap();
        assert!(!forbidden.iter().any(|begin| name.starts_with(begin)), "a node tells {family}");
    }

    // The sidecar tells of its own pod, and of nothing else.
    assert_eq!(
        business(&of_sidecar).into_iter().collect::<Vec<_>>(),
        [
            "costband_gpu_info",
            "costband_workload_gpu_cost",
            "costband_workload_gpu_idle_cost",
            "costband_workload_gpu_seconds_total",
        ]
    );
    let names = labelled(&pages[2], "costband_workload_gpu_seconds_total", "workload_name");
    assert_eq!(names, BTreeSet::from(["trainer"]));

    // Machine and price are the central agent's.
    for address in [&node_at, &sidecar_at] {
        let node =
            document(address, |node| node["prices"][0]["price_source"] == "configured").await;
        assert_eq!(node["instance_type"], "p5x.custom", "{node}");
        assert_eq!(node["region_id"], "us-east-1");
        assert_eq!(node["instance_type_is_guessed"], false);
        assert_eq!(node["prices"][0]["price"], "3.21");
        assert_eq!(node["prices"][0]["note"], "told by the central agent: as configured");
    }
    let cost = sum(&of_sidecar, "costband_workload_gpu_cost");
    let hours = sum(&of_sidecar, "costband_workload_gpu_seconds_total") / 3600.0;
    assert!((cost - hours * 3.21).abs() < 1e-6, "{cost} for {hours} hours");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_central_agent_the_machine_is_guessed_until_it_is_there() {
    let (clouds, page, folder) = (clouds().await, exporter().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let address = free_address();
    let (mut node, node_at) = run(&node_agent(folder, &page, &address));
    let guessed = document(&node_at, |node| node["prices"][0].is_object()).await;
    assert_eq!(guessed["instance_type"], "p5.48xlarge", "{guessed}");
    assert_eq!(guessed["instance_type_is_guessed"], true);
    assert_eq!(guessed["prices"][0]["price_source"], "list");
    let note = guessed["prices"][0]["note"].as_str().unwrap();
    assert!(note.ends_with("; told by no central agent"), "{note}");

    let (mut central_, _) = run(&central(&clouds, folder, &address));
    node.ever("the central agent told of the node");
    let told = document(&node_at, |node| node["instance_type"] == "p5x.custom").await;
    assert_eq!(told["instance_type_is_guessed"], false);
    assert_eq!(told["prices"][0]["price_source"], "configured");

    // What it told stands while it is away.
    central_.kill();
    let line = node.line("the node's machine and price are those told before");
    assert!(line.contains("failed to ask the central agent"), "{line}");
    assert_eq!(
        node.count("the node's machine and price are those told before"),
        2,
        "once a change"
    );
    let still = document(&node_at, |node| node["prices"][0].is_object()).await;
    assert_eq!(
        (&still["instance_type"], &still["prices"]),
        (&told["instance_type"], &told["prices"])
    );

    // An agent that starts then infers again, and recovers again.
    assert_eq!(node.terminate(), Some(0));
    let (mut node, node_at) = run(&node_agent(folder, &page, &address));
    let guessed = document(&node_at, |node| node["prices"][0]["price_source"] == "list").await;
    assert_eq!(guessed["instance_type_is_guessed"], true);
    let (_central, _) = run(&central(&clouds, folder, &address));
    node.ever("the central agent told of the node");
    document(&node_at, |node| node["prices"][0]["price_source"] == "configured").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_is_ready_without_central_agent_telemetry_or_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (nobody, silent) = (free_address(), format!("http://{}/metrics", free_address()));
    let more = json!({
        "role": "sidecar",
        "pod": {"namespace": "ml", "name": "trainer-0"},
        "store": {"path": ":memory:"},
    });
    let (mut program, address) = run(&beside(folder.path(), "sidecar", &silent, &nobody, more));
    page_when(&format!("http://{address}/readyz"), |text| text == "ready\n").await;
    let page = page_when(&format!("http://{address}/metrics"), |page| {
        page.contains("costband_workload_gpu_seconds_total")
    })
    .await;
    let own = [("workload_namespace", "ml"), ("workload_name", "trainer"), ("state", "busy")];
    let busy = value(&page, "costband_workload_gpu_seconds_total", &own);
    assert_eq!(busy.as_deref(), Some("0"), "counters begin at 0");
    assert_eq!(business(&page).len(), 1, "{page}");
    assert_eq!(program.terminate(), Some(0));
    for name in [":memory:", ":memory:.lock"] {
        assert!(!Path::new(name).exists(), "`{name}` is no file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_s_counters_survive_its_restart() {
    let (page, folder) = (exporter().await, tempfile::tempdir().unwrap());
    let path = sidecar(folder.path(), &page, &free_address());
    let seconds = |page: &str| sum(page, "costband_workload_gpu_seconds_total");
    let (mut program, address) = run(&path);
    let url = format!("http://{address}/metrics");
    let before = seconds(&page_when(&url, |page| seconds(page) > 0.0).await);
    assert_eq!(program.terminate(), Some(0));
    let (_program, address) = run(&path);
    let url = format!("http://{address}/metrics");
    let first = page_when(&url, |page| page.contains("costband_workload_gpu_seconds_total")).await;
    assert!(seconds(&first) >= before, "{} after {before}", seconds(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_s_counters_survive_another_configuration() {
    let (page, folder) = (exporter().await, tempfile::tempdir().unwrap());
    let path = beside(
        folder.path(),
        "sidecar",
        &page,
        &free_address(),
        json!({
            "role": "sidecar",
            "pod": {"namespace": "ml", "name": "trainer-0"},
            "store": {"path": ":memory:"},
        }),
    );
    let seconds = |page: &str| sum(page, "costband_workload_gpu_seconds_total");
    let (mut program, address) = run(&path);
    let url = format!("http://{address}/metrics");
    let before = seconds(&page_when(&url, |page| seconds(page) > 0.0).await);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"name\":\"node\"", "\"name\":\"exporter\"")).unwrap();
    program.line("configuration reloaded");
    let renamed = "costband_gpu_samples_dropped_total{reason=\"sentinel\",source=\"exporter\"}";
    let page = page_when(&url, |page| page.contains(renamed)).await;
    assert!(seconds(&page) >= before, "{} after {before}", seconds(&page));
    assert!(!page.contains("source=\"node\""), "what is not configured any more is told:\n{page}");
}

fn problems(text: &str) -> Vec<String> {
    let environment = [("POD_NAME", "trainer-0"), ("EMPTY", "")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    match Setup::from_text(text, environment.into_iter()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

const BILL: &str = "sources: {gcp: [{name: g, billing_account: 01ABCD-2EF345-6789AB, project: p, \
                    dataset: d, credentials: {anonymous: true}, \
                    endpoints: {bigquery: 'http://b', billing: 'http://b'}}]}\nbands: [{preset: gcp}]\n\
                    notify: {webhook: [{name: w, url: 'https://x.example', secret: {env: X}}]}\n\
                    kubernetes: [{cluster: train}]\n";

#[test]
fn what_a_role_may_not_have_is_told_at_once_with_its_path() {
    let node = format!(
        "{BILL}lease: {{}}\nrole: node\npod: {{namespace: ml, name: a}}\n\
         gpu:\n- {{name: a, kubernetes: {{namespace: x}}}}\n\
         - {{name: b, prometheus: {{url: 'http://p:9090'}}}}\n- {{name: c, nvml: {{}}}}\n"
    );
    let twice = "whose GPUs would be counted twice: with `role: node` want the `url` of the own \
                 node's exporter";
    assert_eq!(
        problems(&node),
        [
            "`bands`: is the central agent's: with `role: node` no band is judged; want it there"
                .to_owned(),
            format!("`gpu[0].kubernetes`: tells of other nodes, {twice}"),
            format!("`gpu[1].prometheus`: tells of other nodes, {twice}"),
            "`kubernetes`: is the central agent's: with `role: node` the Kubernetes API is not \
             asked; want it there"
                .to_owned(),
            "`lease`: is the central agent's: with `role: node` there is one agent for each node or \
             pod; want it there"
                .to_owned(),
            "`notify`: is the central agent's: with `role: node` there is nothing to \
             notify of; want it there"
                .to_owned(),
            "`pod`: is for `role: sidecar`, and this is a node agent".to_owned(),
            "`sources`: is the central agent's: with `role: node` no bill is read; want it there"
                .to_owned(),
        ]
    );
    let sidecar = "role: sidecar\nnode: $(EMPTY)\npod: {namespace: $(POD_NAMESPACE), name: $(POD_NAME)}\n\
                   central: {url: 'central:9750', every: 100ms, timeout: 0s}\n\
                   gpu: [{name: c, nvml: {}}]\n";
    assert_eq!(
        problems(&sidecar.replace("100ms", "0s")),
        [
            "`central.every`: is too often: want at least `1s`",
            "`central.timeout`: leaves no time: want one such as `5s`",
            "`central.url`: is not an address: want one that begins with `http://` or `https://`",
            "`gpu[0].nvml`: tells of no pod, so that the own pod's GPUs are not known: want the \
             `url` of the node's exporter",
            "`node`: is empty: want a name",
            "`pod.namespace`: the environment variable `POD_NAMESPACE` is not set",
        ]
    );
    assert_eq!(
        problems("role: sidecar\n"),
        [
            "there is nothing to read: want the own node's exporter under `gpu`",
            "`pod`: is missing: a sidecar tells of its own pod alone; want such as `{namespace: \
             $(POD_NAMESPACE), name: $(POD_NAME)}`",
        ]
    );
    let central = "node: a\npod: {namespace: b, name: c}\ncentral: {url: 'http://c'}\n\
                   store: {path: ':memory:'}\ngpu: [{name: a, nvml: {}}]\n";
    assert_eq!(
        problems(central),
        [
            "`central`: is for `role: node` or `sidecar`, and this is a central agent",
            "`node`: is for `role: node` or `sidecar`, and this is a central agent",
            "`pod`: is for `role: sidecar`, and this is a central agent",
            "`store.path`: `:memory:` is for node agents and sidecars: a central agent would forget \
             what it paid for; want a file",
        ]
    );
    assert_eq!(
        problems("role: nod\ngpu: [{name: a, nvml: {}}]\n"),
        ["`role`: `nod` is not one of `central`, `node`, `sidecar`: did you mean `node`?"]
    );
}

#[test]
fn each_role_s_configuration_loads() {
    let gpu = "gpu: [{name: a, url: 'http://h:9400/metrics'}]\n";
    let roles: BTreeMap<&str, String> = BTreeMap::from([
        ("central", gpu.to_owned()),
        ("node", format!("role: node\nbands: []\n{gpu}")),
        ("sidecar", format!("role: sidecar\npod: {{namespace: ml, name: $(POD_NAME)}}\n{gpu}")),
    ]);
    for (role, text) in roles {
        assert_eq!(problems(&text), Vec::<String>::new(), "{role}");
    }
}
