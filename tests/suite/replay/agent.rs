//! The parts of an agent that read, judge and tell, over a ledger of its own or a shared one.

use std::sync::Arc;

use costband::app::alerts::{AlertInput, AlertRoom, judge};
use costband::app::ledger::OutboxPort;
use costband::app::polling::Polling;
use costband::app::setup::Setup;
use costband::app::spend::SpendReader;
use costband::app::trends;
use costband::domain::identity::Provider;
use costband::domain::ports::{Clock, OutboxLedger};
use costband::outbox::Outbox;
use costband::simulate::faults::Fault;
use costband::store::{Ledger, LedgerError, Location};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Act;
use super::sink::KEY;
use super::world::{Bill, OUTAGE};
use crate::clock::SetClock;
use crate::contract::harness::{Bench, Options, at};

pub(super) struct Agent {
    pub(super) bench: Bench,
    configuration: String,
    shared: Option<Location>,
    /// What those that went before counted.
    counted: u64,
}

fn bands() -> Value {
    json!([{"name": "aws", "provider": "aws", "floor": 40_000, "ceiling": 70_000}])
}

impl Agent {
    /// Starts one that tells a webhook; one with a shared ledger follows.
    pub(super) async fn start(clock: Arc<SetClock>, url: &str, shared: Option<Location>) -> Self {
        let (world, aws) = (Bill::new(clock.clone()), [Provider::Aws]);
        let bench = Bench::start(&aws, world, clock, Options::default(), bands()).await;
        let folder = bench.folder.path();
        let key = folder.join("key");
        std::fs::write(&key, format!("whsec_{KEY}")).unwrap();
        let mut configuration = bench.clouds.configuration(&aws, folder, bands());
        configuration["notify"] =
            json!({"webhook": [{"name": "ops", "url": url, "secret": {"file": key}}]});
        let configuration = configuration.to_string();
        let mut agent = Self { bench, configuration, shared, counted: 0 };
        agent.restart().await;
        agent
    }

    /// Ends the process, whatever it was about, and starts it anew: nothing is known but what the
    /// ledger and the configuration say.
    pub(super) async fn restart(&mut self) {
        self.counted = self.repeated();
        self.bench.polling.handle.close().await.unwrap();
        let mut setup = Setup::from_text(&self.configuration, std::iter::empty())
            .unwrap_or_else(|p| panic!("{p}"));
        let shared = self.shared.clone();
        if let Some(location) = &shared {
            setup.ledger = location.clone();
        }
        let location = setup.ledger.clone();
        let opened = tokio::task::spawn_blocking(move || match shared {
            Some(location) => Ledger::open_shared(location),
            None => Ledger::open(location),
        });
        let ledger = opened.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
        self.bench.polling = Polling::new(&setup, ledger, self.bench.clock.clone()).unwrap();
        self.bench.reader = SpendReader::new(&setup);
        self.bench.setup = setup;
        self.bench.kept = Default::default();
    }

    /// How many deliveries the agents of this place counted as repeated.
    pub(super) fn repeated(&self) -> u64 {
        let page = self.bench.polling.metrics.encode();
        let counts = page.lines().filter_map(|line| {
            let labels = line.strip_prefix("costband_notifications_total{")?;
            let (labels, count) = labels.split_once("} ")?;
            labels.contains("outcome=\"repeated\"").then(|| count.parse::<f64>().unwrap() as u64)
        });
        self.counted + counts.sum::<u64>()
    }

    pub(super) async fn act(&self, act: Act) {
        match act {
            Act::Poll => self.poll().await,
            Act::Judge => {
                self.judge().await.unwrap();
            }
            Act::Deliver => self.outbox(self.messages()).deliver_due().await,
        }
    }

    async fn poll(&self) {
        let now = self.bench.clock.now();
        let faults = &self.bench.clouds.aws.faults;
        faults.clear();
        let [from, until] = OUTAGE.map(at);
        let is_out = (from..until).contains(&now);
        if is_out {
            faults.order(Fault::ServerError, 100);
        }
        let read = self.bench.poll(Provider::Aws).await;
        assert_eq!(read.is_err(), is_out, "{now}: {read:?}");
    }

    /// Judges and keeps what became of alerts; how many messages were queued.
    pub(super) async fn judge(&self) -> Result<usize, LedgerError> {
        let (reading, history) = (self.bench.read().await, self.bench.history().await);
        let gpu = Arc::new(self.bench.gpu(&reading).await);
        let (reader, now) = (self.bench.reader.clone(), self.bench.clock.now());
        let bands = Arc::new(reader.judge(&reading, &history, &gpu, now));
        let config = &self.bench.setup.config;
        let room = AlertRoom {
            policies: config.alerts.clone(),
            alerting: config.alerting,
            recipients: Arc::new(self.bench.setup.recipients.clone()),
            group_wait: config.group_wait,
        };
        let judged = self.bench.polling.handle.call(move |ledger| {
            let trends = Arc::new(trends::read(&reader, ledger, now)?);
            let input = AlertInput {
                bands,
                spend: Arc::new(reading.spend.iter().flatten().cloned().collect()),
                sources: Arc::new(reading.sources.clone()),
                gpu_sources: Arc::default(),
                gpu,
                gpu_window: None,
                trends: Some(trends).filter(|told| !told.is_empty()),
            };
            judge(ledger, &room, &input, now)
        });
        Ok(judged.await.unwrap()?.queued)
    }

    /// The messages of the ledger.
    pub(super) fn messages(&self) -> Arc<dyn OutboxLedger> {
        Arc::new(OutboxPort {
            ledger: self.bench.polling.handle.clone(),
            alerting: self.bench.setup.config.alerting,
        })
    }

    pub(super) fn outbox(&self, ledger: Arc<dyn OutboxLedger>) -> Outbox {
        let receivers = self.bench.setup.receivers.iter();
        let (_, bell) = watch::channel(0);
        Outbox {
            ledger,
            receivers: receivers.map(|one| (one.name().to_owned(), one.clone())).collect(),
            clock: self.bench.clock.clone(),
            metrics: self.bench.polling.metrics.clone(),
            bell,
        }
    }
}
