//! The tasks of one configuration: every part wired, named and supervised.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, watch};

use crate::analyse::gpu_picture::GpuBooks;
use crate::app::central::CentralAsker;
use crate::app::gpu_history::LedgerHistory;
use crate::app::gpu_time::{self, GpuTimekeeper};
#[cfg(feature = "kubernetes")]
use crate::app::kubernetes;
use crate::app::ledger::OutboxPort;
use crate::app::polling::Polling;
use crate::app::publish::{GpuReports, Publisher};
use crate::app::setup::Setup;
use crate::app::spend::SpendReader;
use crate::app::trends::{TrendReader, Trends};
use crate::app::{central, gpu, nodes};
use crate::config::{GpuSource, WebhookConfig};
use crate::domain::ports::Clock;
use crate::export::metrics::Renderer;
use crate::notify::Receiver;
use crate::notify::webhook::Webhook;
use crate::outbox::Outbox;
use crate::runtime::readiness::Readiness;
use crate::runtime::supervisor::{Supervisor, TaskDied};
use crate::store::{LedgerError, LedgerHandle};
use crate::web::{Face, Published};

/// What outlives a configuration.
pub struct Lasting {
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Whether the clouds are simulated.
    pub demo: bool,
    /// What `/readyz` says.
    pub readiness: Arc<Readiness>,
    /// The newest snapshot: that of before stands until the first one of a new configuration.
    pub published: watch::Sender<Option<Arc<Published>>>,
    turns: HashMap<String, Arc<Mutex<()>>>,
}

impl Lasting {
    /// Nothing is published yet.
    pub fn new(clock: Arc<dyn Clock>, demo: bool) -> Self {
        Self {
            clock,
            demo,
            readiness: Arc::default(),
            published: watch::Sender::new(None),
            turns: HashMap::new(),
        }
    }

    /// What one task of a name holds at a time, of whichever configuration it is.
    fn turn(&mut self, name: &str) -> Arc<Mutex<()>> {
        self.turns.entry(name.to_owned()).or_default().clone()
    }
}

/// The running tasks of one configuration.
pub struct Tasks {
    /// What the face shows of it.
    pub face: Face,
    supervisor: Supervisor,
    finishing: Supervisor,
}

impl Tasks {
    /// Starts every task.
    ///
    /// # Errors
    /// When a client cannot be built or the ledger cannot be read.
    pub async fn start(
        setup: &Setup,
        polling: &Polling,
        lasting: &mut Lasting,
    ) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("costband/", env!("CARGO_PKG_VERSION")))
            // A redirected POST loses its body, and a signed one goes to a host nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("failed to set up TLS; install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`")?;
        let clock = &lasting.clock.clone();
        let bell = Arc::new(Notify::new());
        let (reports, gpus) = watch::channel(GpuReports::new());
        let (mut supervisor, mut finishing) = (Supervisor::new(), Supervisor::new());

        let (heard, hearing) = mpsc::channel(64);
        let (inventory, nodes) = watch::channel(Arc::new(nodes::joined(&setup.config, &[])));
        #[cfg(feature = "kubernetes")]
        let nodes_known = {
            let (watched, tasks) = kubernetes::watch_nodes(&setup.config, clock);
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
            let (reading, beside) = gpu::Reading::new(source, counted(source), clock)?;
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
            path: setup.config.store.path.clone(),
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
            published: lasting.published.clone(),
            readiness: lasting.readiness.clone(),
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
        for poller in &polling.pollers {
            let name = format!("poller:{}", poller.source.descriptor().id);
            let turn = lasting.turn(&name);
            let poller = poller.clone();
            spawn_in_turn(&mut finishing, name, turn, |leaving| poller.run_until(leaving));
        }
        let turn = lasting.turn("outbox");
        spawn_in_turn(&mut finishing, "outbox", turn, |leaving| outbox.run_until(leaving));
        let (handle, keep) = (polling.handle.clone(), setup.config.store.retention);
        spawn(&mut supervisor, "retention", retention(handle, clock.clone(), keep));
        let handle = polling.handle.clone();
        spawn(&mut supervisor, "ledger", async move { handle.ended().await });
        let history = LedgerHistory {
            path: setup.config.store.path.clone(),
            reader,
            clock: clock.clone(),
            turn: Arc::new(Semaphore::new(1)),
        };
        let face = Face {
            published: lasting.published.subscribe(),
            readiness: lasting.readiness.clone(),
            self_metrics: polling.metrics.clone(),
            bearer_token: setup.config.bearer_token.clone(),
            language: setup.config.language,
            gpu_history: Arc::new(history),
            demo: lasting.demo,
        };
        Ok(Self { face, supervisor, finishing })
    }

    /// Waits for the first task that ends by itself.
    pub async fn died(&mut self) -> TaskDied {
        tokio::select! {
            died = self.supervisor.died() => died,
            died = self.finishing.died() => died,
        }
    }

    /// Ends every task, and gives those that finish what they have begun: polls, which are paid
    /// for, and deliveries. They hold their turns until then.
    pub async fn leave(&mut self) -> Supervisor {
        let finishing = std::mem::take(&mut self.finishing);
        finishing.ask();
        std::mem::take(&mut self.supervisor).end().await;
        finishing
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

/// Starts a task that is told when to leave, once the one before it of the same name is gone.
fn spawn_in_turn<F: Future<Output = ()> + Send + 'static>(
    supervisor: &mut Supervisor,
    name: impl Into<String>,
    turn: Arc<Mutex<()>>,
    task: impl FnOnce(BoxFuture<'static, ()>) -> F + Send + 'static,
) {
    let mut shutdown = supervisor.shutdown();
    supervisor.spawn(name, async move {
        let turn = tokio::select! {
            turn = turn.lock_owned() => turn,
            () = shutdown.requested() => return,
        };
        task(async move { shutdown.requested().await }.boxed()).await;
        drop(turn);
    });
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
