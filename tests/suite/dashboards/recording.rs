//! What a Prometheus would have scraped of a demo that ran for days: the simulated clouds and
//! exporters through their sockets, a ledger, and the agent's page at each of its clock's hours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use costband::analyse::gpu_time::Accountant;
use costband::app::alerts::{AlertInput, AlertRoom, judge};
use costband::app::demo::World;
use costband::app::gpu_now::GpuNow;
use costband::app::gpu_time;
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::app::spend::{History, SpendReader};
use costband::app::trends;
use costband::collect::gpu::{GpuTarget, scrape};
use costband::domain::gpu_time::StateRules;
use costband::domain::identity::{Provider, SourceId};
use costband::domain::node::NodeInventory;
use costband::domain::ports::Clock;
use costband::domain::price::CapacityType;
use costband::export::metrics::Renderer;
use costband::simulate::SimulateAddresses;
use costband::simulate::scenario::ScenarioOptions;
use costband::snapshot::Snapshot;
use costband::store::Ledger;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::clock::SetClock;

/// From when until when the demo runs, and how often it does what.
pub(super) struct Run {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) poll_every: SignedDuration,
    pub(super) page_every: SignedDuration,
    /// At most the gap after which GPU time is unknown.
    pub(super) gpu_every: SignedDuration,
}

struct Demo {
    clock: Arc<SetClock>,
    world: World,
    setup: Setup,
    polling: Polling,
    reader: SpendReader,
    renderer: Renderer,
    history: Arc<History>,
    accountant: Accountant,
    telemetry: GpuNow,
    inventory: NodeInventory,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// Runs a demo and gives its pages in the OpenMetrics text format, each sample with its time.
pub(super) async fn record(run: &Run) -> String {
    let mut demo = Demo::start(run.from).await;
    let mut text = String::new();
    let (mut polled, mut told) = (Timestamp::MIN, Timestamp::MIN);
    let due = |last: Timestamp, now: Timestamp, every: SignedDuration| {
        last == Timestamp::MIN || now.duration_since(last) >= every
    };
    while demo.clock.now() <= run.until {
        let now = demo.clock.now();
        demo.read_gpus().await;
        if due(polled, now, run.poll_every) {
            demo.poll().await;
            polled = now;
        }
        if due(told, now, run.page_every) {
            scraped(&mut text, &demo.page().await, now);
            told = now;
        }
        demo.clock.advance(run.gpu_every);
    }
    demo.world.servers.shutdown().await;
    text.push_str("# EOF\n");
    text
}

/// Adds a page as Prometheus stores it: with the labels of its target, and its time.
fn scraped(text: &mut String, page: &str, at: Timestamp) {
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let comma = if labels == "}" { "" } else { "," };
        let at = at.as_second();
        let target = "job=\"costband\",instance=\"127.0.0.1:9750\"";
        writeln!(text, "{name}{{{target}{comma}{labels} {value} {at}").unwrap();
    }
}

impl Demo {
    async fn start(from: Timestamp) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = SetClock::standing_at(from);
        let shared: Arc<dyn Clock> = clock.clone();
        let world = World::start_with(
            ScenarioOptions::default(),
            shared.clone(),
            SimulateAddresses::default(),
        );
        let world = world.await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let text = world.write_configuration(folder.path(), "127.0.0.1:0").unwrap();
        let setup = Setup::from_text(&text, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
        let ledger = Ledger::open(&setup.ledger).unwrap();
        let polling = Polling::new(&setup, ledger, shared).unwrap();
        polling.metrics.leads(true);
        polling.metrics.configuration_taken(from);
        Self {
            clock,
            world,
            reader: SpendReader::new(&setup),
            renderer: Renderer::new(200),
            history: Arc::default(),
            accountant: Accountant::new(StateRules::default(), Vec::new()),
            telemetry: GpuNow::new(&setup.config.gpu),
            inventory: NodeInventory::default(),
            client: reqwest::Client::new(),
            setup,
            polling,
            _folder: folder,
        }
    }

    async fn poll(&self) {
        let polls = self.polling.pollers.iter().map(async |poller| {
            if let Err(error) = poller.poll_once().await {
                panic!("{}: {error}", poller.source.descriptor().id);
            }
        });
        join_all(polls).await;
    }

    /// Reads each cloud's exporters, whose nodes Kubernetes would tell.
    async fn read_gpus(&mut self) {
        let (now, scenario) = (self.clock.now(), &self.world.scenario);
        let cluster = |provider: Provider| format!("video-{provider}");
        let whole = Provider::ALL.map(|provider| (Some(provider), cluster(provider)));
        let nodes = Provider::ALL.into_iter().flat_map(|provider| scenario.nodes(provider, now));
        self.inventory = NodeInventory::new(nodes, whole.into(), BTreeMap::new());
        for provider in Provider::ALL {
            let target = GpuTarget {
                id: SourceId::new(format!("gpu-{provider}")),
                url: format!("{}/{provider}/metrics", self.world.servers.gpu.url())
                    .parse()
                    .unwrap(),
                provider: Some(provider),
                cluster: cluster(provider),
                capacity_type: CapacityType::Unknown,
                every: Duration::from_secs(60),
                timeout: Duration::from_secs(30),
            };
            match scrape(&self.client, &target, now).await {
                Ok(report) => {
                    self.polling.metrics.gpu_samples_dropped(&target.id, &report.dropped_samples);
                    self.accountant.observe(&report, &self.inventory);
                    self.telemetry.read(&target.id, &[report], now);
                }
                // No node of the cloud runs.
                Err(error) => assert!(scenario.nodes(provider, now).is_empty(), "{error}"),
            }
        }
        self.accountant.pass(now, &BTreeSet::new(), &BTreeMap::new(), &self.inventory);
    }

    /// What a scrape would get now: keeps GPU time, judges bands and alerts, renders.
    async fn page(&mut self) -> String {
        let (now, reader) = (self.clock.now(), self.reader.clone());
        let (counted, before) = (self.accountant.take(), self.history.clone());
        let read = self.polling.handle.call(move |ledger| {
            ledger.keep_gpu_time(&counted.times, &counted.marks, &counted.forgotten)?;
            let times = gpu_time::read(ledger, now, None)?;
            let history = reader.history(ledger, Some(&before), now)?;
            Ok::<_, costband::store::LedgerError>((reader.read(ledger, now)?, history, times))
        });
        let (reading, history, times) = read.await.unwrap().unwrap();
        self.history = Arc::new(history);
        let books = gpu_time::books(Arc::new(times), &self.accountant, |_| true, &self.inventory);
        let gpu = Arc::new(self.reader.gpu(&reading, &books, now));
        let bands = Arc::new(self.reader.judge(&reading, &self.history, &gpu, now));
        let spend = Arc::new(reading.spend.iter().flatten().cloned().collect::<Vec<_>>());
        let sources = Arc::new(reading.sources.clone());
        let gpu_sources: Vec<_> = self.telemetry.sources().cloned().collect();
        let gpu_sources = Arc::new(gpu_sources);
        let config = &self.setup.config;
        let room = AlertRoom {
            policies: config.alerts.clone(),
            alerting: config.alerting,
            recipients: Arc::new(self.setup.recipients.clone()),
            group_wait: config.group_wait,
        };
        let (reader, bands_, gpu_) = (self.reader.clone(), bands.clone(), gpu.clone());
        let (spend_, sources_) = (spend.clone(), sources.clone());
        let gpu_sources_ = gpu_sources.clone();
        let judged = self.polling.handle.call(move |ledger| {
            let trends = Arc::new(trends::read(&reader, ledger, now)?);
            let input = AlertInput {
                bands: bands_,
                spend: spend_,
                sources: sources_,
                gpu_sources: gpu_sources_,
                gpu: gpu_,
                gpu_window: None,
                trends: Some(trends).filter(|told| !told.is_empty()),
            };
            judge(ledger, &room, &input, now)
        });
        let snapshot = Snapshot {
            at: now,
            spend,
            bands,
            alerts: Arc::new(judged.await.unwrap().unwrap().alerts),
            records: Arc::default(),
            gpus: Arc::new(self.telemetry.reports().cloned().collect()),
            gpu_sources,
            gpu,
            trends: Arc::default(),
            sources,
        };
        self.renderer.render(&snapshot) + &self.polling.metrics.encode()
    }
}
