//! The simulated GPU fleets over real sockets: what their pages say is what was true, judged by a
//! reader of a few lines that shares nothing with the agent's.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use costband::domain::gpu_time::{GpuState, StateTime, Workload};
use costband::domain::identity::Provider;
use costband::simulate::scenario::{GpuTruth, Scenario, ScenarioOptions};
use costband::simulate::{SimulateAddresses, Simulated, serve};
use jiff::{SignedDuration, Timestamp};

use crate::clock::SetClock;

/// The XID errors after which a GPU does not work.
const FATAL: [u32; 3] = [79, 74, 48];

struct Fleets {
    scenario: Arc<Scenario>,
    clock: Arc<SetClock>,
    servers: Simulated,
    http: reqwest::Client,
}

impl Fleets {
    async fn start(seed: u64, gpu_scale: u32) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = SetClock::standing_at(Timestamp::UNIX_EPOCH);
        let options = ScenarioOptions { seed, gpu_scale, ..ScenarioOptions::default() };
        let scenario = Arc::new(Scenario::with_options(options, clock.clone()));
        let servers = serve(scenario.clone(), SimulateAddresses::default()).await.unwrap();
        Self { scenario, clock, servers, http: reqwest::Client::new() }
    }

    fn stand_at(&self, at: Timestamp) {
        self.clock.set(at);
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.servers.gpu.url());
        let answer = self.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// What could be known of each GPU in the minute that holds an instant.
    fn minute(&self, provider: Provider, at: Timestamp) -> Vec<GpuTruth> {
        let start = Timestamp::from_second(at.as_second().div_euclid(60) * 60).unwrap();
        let end = start + SignedDuration::from_mins(1);
        self.scenario.gpu_truth_between(provider, start, end)
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Instants within some days of autumn, always the same ones.
fn instants(count: i64) -> impl Iterator<Item = Timestamp> {
    let start = at("2026-09-28T00:00:00Z").as_second();
    (1..=count).map(move |turn| {
        Timestamp::from_second(start + (turn * 2_654_435_761).rem_euclid(21 * 86_400)).unwrap()
    })
}

/// A GPU or a slice as a page tells it.
#[derive(Debug, Default)]
struct Seen {
    node: String,
    engine: Option<f64>,
    utilisation: Option<f64>,
    used: Option<f64>,
    total: f64,
    xid: u32,
    pods: BTreeSet<(String, String)>,
}

/// The GPUs of a page by UUID and MIG profile; pod series of a shared GPU bring pods only.
fn read(page: &str) -> BTreeMap<(String, Option<String>), Seen> {
    let mut seen: BTreeMap<_, Seen> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let label = |wanted: &str| {
            labels.split("\",").find_map(|pair| {
                let (name, value) = pair.split_once("=\"")?;
                (name == wanted).then(|| value.trim_end_matches('"').to_owned())
            })
        };
        let value: f64 = value.parse().unwrap();
        let gpu = seen.entry((label("UUID").unwrap(), label("GPU_I_PROFILE"))).or_default();
        gpu.node = label("Hostname").unwrap();
        if let Some((namespace, pod)) = label("namespace").zip(label("pod")) {
            gpu.pods.insert((namespace, pod));
        }
        if label("vgpu").is_some() || value > 1e15 {
            continue;
        }
        match name {
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE" => gpu.engine = Some(value),
            "DCGM_FI_DEV_GPU_UTIL" => gpu.utilisation = Some(value / 100.0),
            "DCGM_FI_DEV_FB_USED" => (gpu.used, gpu.total) = (Some(value), gpu.total + value),
            "DCGM_FI_DEV_FB_FREE" | "DCGM_FI_DEV_FB_RESERVED" => gpu.total += value,
            "DCGM_FI_DEV_XID_ERRORS" => gpu.xid = value as u32,
            _ => {}
        }
    }
    seen
}

fn state(gpu: &Seen) -> GpuState {
    let band = |share: f64| match share {
        _ if share >= 0.30 => GpuState::Busy,
        _ if share >= 0.05 => GpuState::Low,
        _ => GpuState::HeldIdle,
    };
    if FATAL.contains(&gpu.xid) {
        return GpuState::Unhealthy;
    }
    let judged = band(gpu.engine.unwrap());
    if let Some(utilisation) = gpu.utilisation {
        assert_eq!(band(utilisation), judged, "{gpu:?}");
    }
    if gpu.pods.is_empty() {
        assert_eq!(judged, GpuState::HeldIdle, "nobody makes it busy: {gpu:?}");
        return GpuState::Unallocated;
    }
    if judged != GpuState::HeldIdle {
        return judged;
    }
    let used = gpu.used.expect("an idle slice that is held tells its memory") / gpu.total;
    assert!(!(0.01..=0.02).contains(&used), "{gpu:?}");
    if used > 0.02 { GpuState::HeldIdle } else { GpuState::Empty }
}

fn sevenths(profile: Option<&str>) -> u64 {
    profile.map_or(7, |profile| profile.split('g').next().unwrap().parse().unwrap())
}

fn is_pod_of(workload: &Workload, (namespace, pod): &(String, String)) -> bool {
    let suffix = pod.strip_prefix(&workload.name).and_then(|rest| rest.strip_prefix('-'));
    workload.namespace == *namespace && suffix.is_some()
}

#[tokio::test]
async fn pages_tell_the_truth_of_their_minute() {
    let fleets = Fleets::start(6, 3).await;
    let mut judged: BTreeMap<GpuState, usize> = BTreeMap::new();
    for now in instants(40) {
        fleets.stand_at(now);
        for provider in Provider::ALL {
            let (status, page) = fleets.get(&format!("/{provider}/metrics")).await;
            assert_eq!(status, 200);
            let seen = read(&page);
            let running: BTreeMap<_, _> = fleets
                .scenario
                .nodes(provider, now)
                .into_iter()
                .map(|node| (node.name.clone(), node))
                .collect();
            assert!(seen.values().all(|gpu| running.contains_key(&gpu.node)), "{provider} {now}");
            let mut gpus: BTreeMap<&str, u32> = BTreeMap::new();
            let truths = fleets.minute(provider, now);
            for truth in truths.iter().filter(|truth| running.contains_key(&truth.node)) {
                *gpus.entry(&truth.node).or_default() += 1;
                let known = truth.times.observable;
                let parts: Vec<_> =
                    seen.iter().filter(|((uuid, _), _)| *uuid == truth.uuid).collect();
                let mut wanted = StateTime::default();
                let minute = known.total();
                let mut rest = 7;
                for ((_, profile), gpu) in &parts {
                    assert_eq!(gpu.node, truth.node);
                    let share = sevenths(profile.as_deref());
                    rest -= share;
                    wanted.add(state(gpu), minute * share / 7);
                    *judged.entry(state(gpu)).or_default() += 1;
                    for pod in &gpu.pods {
                        let owners = truth.workloads.keys().filter(|one| is_pod_of(one, pod));
                        assert_eq!(owners.count(), 1, "{pod:?} {truth:?}");
                    }
                }
                if parts.is_empty() {
                    let is_dead = known.milliseconds(GpuState::Unknown) > 0;
                    let gone = if is_dead { GpuState::Unknown } else { GpuState::Unhealthy };
                    wanted.add(gone, minute);
                    *judged.entry(gone).or_default() += 1;
                } else {
                    wanted.add(GpuState::Unallocated, minute * rest / 7);
                }
                for (state, milliseconds) in wanted.iter() {
                    let difference = milliseconds.abs_diff(known.milliseconds(state));
                    assert!(difference <= 4, "{now} {state:?}\n{truth:#?}\n{parts:#?}");
                }
            }
            for (name, node) in running {
                assert_eq!(gpus.get(name.as_str()).copied(), node.gpus, "{name}");
            }
        }
    }
    for state in GpuState::ALL {
        assert!(judged.get(&state).is_some_and(|count| *count > 10), "{state:?} in {judged:?}");
    }
}

/// An instant at which an exporter of a provider's node is dead, with the node's place and name.
fn dead_exporter(fleets: &Fleets, provider: Provider) -> (Timestamp, usize, String) {
    instants(400)
        .find_map(|now| {
            let nodes = fleets.scenario.fleet(provider, now);
            let place = nodes.iter().position(|node| !node.exporter_is_up)?;
            Some((now, place, nodes[place].name.clone()))
        })
        .expect("an exporter dies within three weeks")
}

#[tokio::test]
async fn a_dead_exporter_answers_503_and_is_missing_from_its_cluster() {
    let fleets = Fleets::start(1, 2).await;
    for provider in Provider::ALL {
        let (now, place, name) = dead_exporter(&fleets, provider);
        fleets.stand_at(now);
        assert_eq!(fleets.get(&format!("/{provider}/{place}/metrics")).await.0, 503);
        assert_eq!(fleets.get(&format!("/{provider}/node/{name}/metrics")).await.0, 503);
        let (status, page) = fleets.get(&format!("/{provider}/metrics")).await;
        assert_eq!(status, 200);
        assert!(!page.contains(&format!("Hostname=\"{name}\"")));
        let dead = fleets.minute(provider, now).into_iter().filter(|truth| truth.node == name);
        for truth in dead {
            let unknown = truth.times.observable.milliseconds(GpuState::Unknown);
            assert_eq!(unknown, truth.times.observable.total());
            assert_eq!(truth.times.actual.milliseconds(GpuState::Unknown), 0);
        }
    }
}

#[tokio::test]
async fn a_node_is_asked_for_by_place_or_name_while_it_runs() {
    let fleets = Fleets::start(1, 1).await;
    let morning = at("2026-10-14T06:00:00Z");
    fleets.stand_at(morning);
    let nodes = fleets.scenario.nodes(Provider::Azure, morning);
    for (place, node) in nodes.iter().enumerate() {
        let (status, by_place) = fleets.get(&format!("/azure/{place}/metrics")).await;
        let (_, by_name) = fleets.get(&format!("/azure/node/{}/metrics", node.name)).await;
        assert_eq!(by_place, by_name);
        let hosts: BTreeSet<_> = read(&by_place).into_values().map(|gpu| gpu.node).collect();
        let is_up = fleets.scenario.fleet(Provider::Azure, morning)[place].exporter_is_up;
        assert_eq!(status, if is_up { 200 } else { 503 });
        assert!(!is_up || hosts == BTreeSet::from([node.name.clone()]), "{hosts:?}");
    }
    let unknown = format!("/azure/{}/metrics", nodes.len());
    for path in [&unknown, "/azure/node/nobody/metrics", "/oracle/metrics", "/oracle/0/metrics"] {
        assert_eq!(fleets.get(path).await.0, 404, "{path}");
    }
    // Bought for some hours of the day only.
    let name = &nodes
        .iter()
        .find(|node| node.instance_type.as_deref() == Some("Standard_ND96isr_H100_v5"))
        .unwrap()
        .name;
    let path = format!("/azure/node/{name}/metrics");
    assert_eq!(fleets.get(&path).await.0, 200);
    fleets.stand_at(at("2026-10-14T20:00:00Z"));
    assert_eq!(fleets.get(&path).await.0, 404);
    fleets.stand_at(at("2026-10-15T00:00:00Z"));
    assert_eq!(fleets.get(&path).await.0, 200, "the next day buys it again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binary_takes_a_scale() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("sim");
    let mut nodes = Vec::new();
    for scale in ["1", "12"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_costband"))
            .args(["simulate", "--port", "0", "--gpu-scale", scale, "--mid-month"])
            .arg("--write-config")
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let gpu = lines.find_map(|line| Some(line.unwrap().strip_prefix("gpu    ")?.to_owned()));
        let gpu = gpu.unwrap();
        let written = lines.find(|line| line.as_ref().unwrap().starts_with("config "));
        assert!(written.is_some());
        let text = std::fs::read_to_string(config.join("costband.yaml")).unwrap();
        assert!(text.contains(&format!("url: {gpu}/gcp/metrics")), "{text}");
        let page = reqwest::get(format!("{gpu}/gcp/metrics")).await.unwrap().text().await.unwrap();
        let hosts: BTreeSet<_> = read(&page).into_values().map(|gpu| gpu.node).collect();
        nodes.push(hosts.len());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(nodes[0] <= 3 && nodes[1] > 12, "{nodes:?}");
    let refused = Command::new(env!("CARGO_BIN_EXE_costband"))
        .args(["simulate", "--gpu-scale", "0"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(64));
}
