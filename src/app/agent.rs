//! The agent: every part started, named and supervised, until it is asked to end.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
#[cfg(feature = "kubernetes")]
use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::analyse::gpu_picture::GpuBooks;
use crate::app::central::CentralAsker;
use crate::app::gpu_history::LedgerHistory;
use crate::app::gpu_time::{self, GpuTimekeeper};
#[cfg(feature = "kubernetes")]
use crate::app::kubernetes;
use crate::app::ledger::{CountingMeter, OutboxPort, PollPort};
use crate::app::publish::{GpuReports, Publisher};
use crate::app::setup::Setup;
use crate::app::spend::SpendReader;
use crate::app::trends::{TrendReader, Trends};
use crate::app::{central, gpu, nodes};
use crate::collect::poller::Poller;
use crate::config::{GpuSource, WebhookConfig};
use crate::domain::ports::{Clock, Meter, PollLedger, PollObserver};
use crate::export::metrics::Renderer;
use crate::notify::Receiver;
use crate::notify::webhook::Webhook;
use crate::outbox::Outbox;
use crate::runtime::readiness::Readiness;
use crate::runtime::supervisor::{Shutdown, Supervisor};
use crate::store::{Ledger, LedgerError, LedgerHandle, LedgerMeter};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::web::{self, Face, Published};

/// The parts that polling needs, with or without the rest of the agent around them.
#[derive(Clone)]
pub struct Polling {
    /// The ledger's thread.
    pub handle: LedgerHandle,
    /// One poller for each source, in configured order.
    pub pollers: Vec<Poller>,
    /// The agent's own metrics.
    pub metrics: SelfMetrics,
    changed: watch::Sender<u64>,
}

impl Polling {
    /// Wires sources to an open ledger.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(setup: &Setup, ledger: Ledger, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let handle = LedgerHandle::spawn(ledger).context("failed to start the ledger's thread")?;
        let metrics = SelfMetrics::new();
        let changed = watch::Sender::new(0);
        let descriptors = || setup.sources.iter().map(|source| source.descriptor());
        let caps = descriptors().map(|d| (d.id.clone(), d.monthly_cap)).collect();
        let meter: Arc<dyn Meter> = Arc::new(CountingMeter {
            meter: LedgerMeter::new(handle.clone(), caps, clock.clone()),
            metrics: metrics.clone(),
        });
        let ledger: Arc<dyn PollLedger> = Arc::new(PollPort {
            handle: handle.clone(),
            rules: setup.rules(),
            breakdowns: descriptors().map(|d| d.breakdowns.clone()).collect(),
            metrics: metrics.clone(),
            changed: changed.clone(),
        });
        let observer: Arc<dyn PollObserver> = Arc::new(metrics.clone());
        let pollers = setup
            .sources
            .iter()
            .map(|source| Poller {
                source: source.clone(),
                ledger: ledger.clone(),
                meter: meter.clone(),
                observer: observer.clone(),
                clock: clock.clone(),
            })
            .collect();
        Ok(Self { handle, pollers, metrics, changed })
    }
}

/// An agent whose address is bound and whose tasks run.
pub struct Agent {
    /// Where the face listens.
    pub address: SocketAddr,
    /// The newest snapshot, for tests and for the demo.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    supervisor: Supervisor,
    readiness: Arc<Readiness>,
    handle: LedgerHandle,
}

impl Agent {
    /// Binds the address and starts every task.
    ///
    /// # Errors
    /// When the address cannot be bound or a client cannot be built.
    pub async fn start(
        setup: &Setup,
        polling: Polling,
        clock: Arc<dyn Clock>,
        demo: bool,
    ) -> anyhow::Result<Self> {
        let listener = web::bind(setup.config.listen).await?;
        let address = listener.local_addr().context("failed to read the bound address")?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("costband/", env!("CARGO_PKG_VERSION")))
            // A redirected POST loses its body, and a signed one goes to a host nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("failed to set up TLS; install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`")?;
        let readiness = Arc::new(Readiness::default());
        let bell = Arc::new(Notify::new());
        let (published, snapshots) = watch::channel(None);
        let (reports, gpus) = watch::channel(GpuReports::new());
        let mut supervisor = Supervisor::new();

        for poller in &polling.pollers {
            let name = format!("poller:{}", poller.source.descriptor().id);
            let mut shutdown = supervisor.shutdown();
            let poller = poller.clone();
            supervisor.spawn(name, async move {
                tokio::select! {
                    () = poller.run() => {}
                    () = shutdown.requested() => {}
                }
            });
        }
        let (heard, hearing) = mpsc::channel(64);
        let (inventory, nodes) = watch::channel(Arc::new(nodes::joined(&setup.config, &[])));
        #[cfg(feature = "kubernetes")]
        let nodes_known = {
            let (watched, tasks) = kubernetes::watch_nodes(&setup.config, &clock);
            let known = watched.known().shared();
            for (name, task) in tasks {
                spawn(&mut supervisor, name, task);
            }
            if !watched.is_empty() {
                let (config, metrics) = (setup.config.clone(), polling.metrics.clone());
                spawn(&mut supervisor, "nodes", watched.join(config, inventory.clone(), metrics));
            }
            known
        };
        #[cfg(not(feature = "kubernetes"))]
        let nodes_known = {
            anyhow::ensure!(setup.config.kubernetes.is_empty(), "this build has no Kubernetes");
            std::future::ready(())
        };
        let asked = setup.config.central.clone().map(|central| {
            let (once, asked) = watch::channel(false);
            let asker = CentralAsker {
                central,
                config: setup.config.clone(),
                client: client.clone(),
                clock: clock.clone(),
                reports: gpus.clone(),
                inventory: inventory.clone(),
                once,
            };
            spawn(&mut supervisor, "central", asker.run());
            asked
        });
        let now = clock.now();
        let known = polling.handle.call(move |ledger| {
            Ok::<_, LedgerError>((ledger.gpu_marks()?, gpu_time::read(ledger, now, None)?))
        });
        let (marks, known) = known.await??;
        let known = GpuBooks { times: Arc::new(known), ..GpuBooks::default() };
        let (books, gpu_books) = watch::channel(Arc::new(known));
        let counted = |source: &GpuSource| {
            let marks = marks.iter().filter(|mark| mark.source == source.name);
            marks.map(|mark| mark.counted_until).max()
        };
        let past = setup.config.gpu.iter().filter(|source| source.has_past());
        let read_until = past.map(|source| (source.name.clone(), counted(source).unwrap_or(now)));
        let timekeeper = GpuTimekeeper {
            marks: marks.clone(),
            read_until: read_until.collect(),
            ledger: polling.handle.clone(),
            clock: clock.clone(),
            heard: hearing,
            inventory: nodes.clone(),
            role: setup.config.role.clone(),
            rules: setup.config.gpu_states,
            books,
            metrics: polling.metrics.clone(),
        };
        let shutdown = supervisor.shutdown();
        supervisor.spawn("gpu-time", timekeeper.run(shutdown));
        let sources = u32::try_from(setup.config.gpu.len()).unwrap_or(u32::MAX);
        for (place, source) in (0..).zip(&setup.config.gpu) {
            let (reading, beside) = gpu::Reading::new(source, counted(source), &clock)?;
            if let Some(beside) = beside {
                spawn(&mut supervisor, format!("pods:{}", source.name), beside);
            }
            let reading = reading.of_node(setup.config.node.clone()).in_turn(place, sources);
            let (reports, heard) = (reports.clone(), heard.clone());
            let metrics = polling.metrics.clone();
            let reading = reading.run(client.clone(), clock.clone(), reports, heard, metrics);
            let (nodes_known, asked) = (nodes_known.clone(), asked.clone());
            spawn(&mut supervisor, format!("gpu:{}", source.name), async move {
                nodes_known.await;
                if let Some(asked) = asked {
                    central::answered(asked).await;
                }
                reading.await;
            });
        }
        let receivers: HashMap<String, Arc<dyn Receiver>> = setup
            .config
            .webhooks
            .iter()
            .map(|webhook| (webhook.name.clone(), receiver(webhook, &client)))
            .collect();
        let reader = SpendReader::new(setup).with_inventory(nodes);
        let (told, trends) = watch::channel(Trends::default());
        let trend_reader = TrendReader {
            location: setup.ledger.clone(),
            reader: reader.clone(),
            clock: clock.clone(),
            changed: polling.changed.subscribe(),
            told,
            metrics: polling.metrics.clone(),
        };
        spawn(&mut supervisor, "trends", trend_reader.run());
        let publisher = Publisher {
            ledger: polling.handle.clone(),
            reader: reader.clone(),
            clock: clock.clone(),
            changed: polling.changed.subscribe(),
            gpus,
            gpu_books,
            trends,
            receivers: receivers.keys().cloned().collect(),
            bell: bell.clone(),
            published,
            readiness: readiness.clone(),
            metrics: polling.metrics.clone(),
            renderer: Renderer::new(
                usize::try_from(setup.config.series_limit_per_dimension).unwrap_or(usize::MAX),
            )
            .of_role(setup.config.role.clone()),
        };
        // Both live as long as the publisher listens to them.
        let kept = (polling.changed.clone(), reports, heard, inventory);
        spawn(&mut supervisor, "publisher", async move {
            publisher.run().await;
            drop(kept);
        });
        let outbox = Outbox {
            ledger: Arc::new(OutboxPort(polling.handle.clone())),
            receivers,
            clock: clock.clone(),
            metrics: polling.metrics.clone(),
            bell,
        };
        spawn(&mut supervisor, "outbox", outbox.run());
        let history_clock = clock.clone();
        let handle = polling.handle.clone();
        spawn(&mut supervisor, "retention", retention(handle, clock, setup.config.store.retention));
        let handle = polling.handle.clone();
        spawn(&mut supervisor, "ledger", async move { handle.ended().await });
        let history = LedgerHistory {
            location: setup.ledger.clone(),
            reader,
            clock: history_clock,
            turn: Arc::new(Semaphore::new(1)),
        };
        let face = Face {
            published: snapshots.clone(),
            readiness: readiness.clone(),
            self_metrics: polling.metrics.clone(),
            bearer_token: setup.config.bearer_token.clone(),
            language: setup.config.language,
            gpu_history: Arc::new(history),
            demo,
        };
        let shutdown = supervisor.shutdown();
        supervisor.spawn("web", serve(listener, face, shutdown));
        Ok(Self {
            address,
            published: snapshots,
            supervisor,
            readiness,
            handle: polling.handle.clone(),
        })
    }

    /// Runs until `stop`, then ends in order: readiness, intake, ledger.
    ///
    /// # Errors
    /// The name of a task that ended by itself, or what the ledger refused at its close.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let readiness = self.readiness.clone();
        let outcome = self
            .supervisor
            .run(async move {
                stop.await;
                readiness.stopping();
            })
            .await;
        if outcome.is_ok() {
            self.handle.close().await.context("failed to close the ledger")?;
        }
        outcome.context("the agent ended")
    }
}

fn spawn(
    supervisor: &mut Supervisor,
    name: impl Into<String>,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let mut shutdown = supervisor.shutdown();
    supervisor.spawn(name, async move {
        tokio::select! {
            () = task => {}
            () = shutdown.requested() => {}
        }
    });
}

async fn serve(listener: tokio::net::TcpListener, face: Face, shutdown: Shutdown) {
    if let Err(error) = web::serve(listener, face, shutdown).await {
        tracing::error!(%error, "the HTTP face failed");
    }
}

/// How long after the start the ledger is pruned first: not before the first snapshot, which waits
/// for the ledger too.
const FIRST_PRUNE: Duration = Duration::from_secs(60);

/// Drops what is older than the ledger keeps, once a day.
async fn retention(handle: LedgerHandle, clock: Arc<dyn Clock>, keep: jiff::SignedDuration) {
    let first = tokio::time::Instant::now() + FIRST_PRUNE;
    let mut days = tokio::time::interval_at(first, Duration::from_secs(86_400));
    loop {
        days.tick().await;
        let now = clock.now();
        match handle.call(move |ledger| ledger.prune(now, keep)).await {
            Ok(Ok(pruned)) => tracing::debug!(?pruned, "ledger pruned"),
            Ok(Err(error)) => tracing::error!(%error, "failed to prune the ledger"),
            Err(_) => return,
        }
    }
}

fn receiver(webhook: &WebhookConfig, client: &reqwest::Client) -> Arc<dyn Receiver> {
    Arc::new(Webhook {
        name: webhook.name.clone(),
        address: webhook.address.clone(),
        secret: webhook.secret.clone(),
        timeout: webhook.timeout,
        client: client.clone(),
    })
}
