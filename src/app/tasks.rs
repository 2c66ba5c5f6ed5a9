//! The tasks of one configuration: every part wired, named and supervised.

mod following;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore, mpsc, watch};

use crate::analyse::gpu_picture::{GpuBooks, GpuTimes};
use crate::app::alerts::{self, AlertPort, AlertRoom};
use crate::app::central::CentralAsker;
use crate::app::gpu_history::LedgerHistory;
use crate::app::gpu_now::GpuNow;
use crate::app::gpu_time::{self, GpuTimekeeper};
#[cfg(feature = "kubernetes")]
use crate::app::kubernetes;
use crate::app::lease::{HeldMeter, Replica};
use crate::app::ledger::OutboxPort;
use crate::app::polling::Polling;
use crate::app::publish::Publisher;
use crate::app::setup::Setup;
use crate::app::spend::SpendReader;
use crate::app::spend_history::LedgerSpendHistory;
use crate::app::trends::{GpuWindow, TrendReader, Trends};
use crate::app::{central, gpu, nodes};
use crate::collect::poller::Poller;
use crate::config::GpuSource;
use crate::domain::gpu_time::GpuMark;
use crate::domain::node::NodeInventory;
use crate::domain::ports::{Clock, OutboxLedger};
use crate::export::metrics::Renderer;
use crate::notify::Receiver;
use crate::outbox::alive::Heartbeat;
use crate::outbox::{Outbox, Receivers};
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
    /// The agent's part among its replicas.
    pub replica: Replica,
    turns: HashMap<String, Arc<Mutex<()>>>,
}

impl Lasting {
    /// Nothing is published yet.
    pub fn new(clock: Arc<dyn Clock>, demo: bool, replica: Replica) -> Self {
        Self {
            clock,
            demo,
            readiness: Arc::default(),
            published: watch::Sender::new(None),
            replica,
            turns: HashMap::new(),
        }
    }

    /// What one task of a name holds at a time, of whichever configuration it is.
    fn turn(&mut self, name: &str) -> Arc<Mutex<()>> {
        self.turns.entry(name.to_owned()).or_default().clone()
    }
}

/// What the tasks of a replica that acts begin with, as the ledger has it.
pub struct Known {
    marks: Vec<GpuMark>,
    times: GpuTimes,
}

impl Known {
    /// Reads it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read(ledger: &LedgerHandle, now: Timestamp) -> anyhow::Result<Self> {
        let known = ledger.call(move |ledger| {
            let (marks, times) = (ledger.gpu_marks()?, gpu_time::read(ledger, now, None)?);
            Ok::<_, LedgerError>(Self { marks, times })
        });
        Ok(known.await??)
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
    /// Starts every task that the agent's part among its replicas lets run. A replica that follows
    /// knows nothing.
    ///
    /// # Errors
    /// When a client cannot be built.
    pub fn start(
        setup: &Setup,
        polling: &Polling,
        lasting: &mut Lasting,
        known: Option<Known>,
    ) -> anyhow::Result<Self> {
        let Some(Known { marks, times }) = known else {
            return Self::follow(setup, polling, lasting);
        };
        let client = reqwest::Client::builder()
            .user_agent(concat!("costband/", env!("CARGO_PKG_VERSION")))
            // A redirected POST loses its body, and a signed one goes to a host nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("failed to set up TLS; install `ca-certificates`, or name a bundle in `SSL_CERT_FILE`")?;
        let clock = &lasting.clock.clone();
        let (bell, rung) = watch::channel(0);
        let (telemetry, gpus) = watch::channel(GpuNow::new(&setup.config.gpu));
        let (mut supervisor, mut finishing) = (Supervisor::new(), Supervisor::new());

        let (heard, hearing) = mpsc::channel(64);
        let (inventory, nodes) = watch::channel(Arc::new(nodes::joined(&setup.config, &[])));
        let nodes_known = watch_nodes(setup, polling, clock, &inventory, &mut supervisor)?.shared();
        let asked = setup.config.central.clone().map(|central| {
            let (once, asked) = watch::channel(false);
            let asker = CentralAsker {
                central,
                config: setup.config.clone(),
                client: client.clone(),
                clock: clock.clone(),
                gpus: gpus.clone(),
                inventory: inventory.clone(),
                once,
            };
            spawn(&mut supervisor, "central", asker.run());
            asked
        });
        let now = clock.now();
        let known = GpuBooks { times: Arc::new(times), ..GpuBooks::default() };
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
            let (telemetry, heard) = (telemetry.clone(), heard.clone());
            let metrics = polling.metrics.clone();
            let reading = reading.run(client.clone(), clock.clone(), telemetry, heard, metrics);
            let (nodes_known, asked) = (nodes_known.clone(), asked.clone());
            spawn(&mut supervisor, format!("gpu:{}", source.name), async move {
                nodes_known.await;
                if let Some(asked) = asked {
                    central::answered(asked).await;
                }
                reading.await;
            });
        }
        let named = |one: &Arc<dyn Receiver>| (one.name().to_owned(), one.clone());
        let receivers: Receivers = setup.receivers.iter().map(named).collect();
        let room = AlertRoom {
            policies: setup.config.alerts.clone(),
            alerting: setup.config.alerting,
            recipients: Arc::new(setup.recipients.clone()),
            group_wait: setup.config.group_wait,
        };
        let reader = SpendReader::new(setup).with_inventory(nodes);
        let (told, trends) = watch::channel(Trends::default());
        let (gpu_windows, gpu_window) = watch::channel(GpuWindow::default());
        let trend_reader = TrendReader {
            location: setup.ledger.clone(),
            reader: reader.clone(),
            clock: clock.clone(),
            changed: polling.changed.subscribe(),
            told,
            gpu_window: gpu_windows,
            metrics: polling.metrics.clone(),
        };
        spawn(&mut supervisor, "trends", trend_reader.run());
        let (judged, trouble) = (watch::Sender::new(None), watch::Sender::new(None));
        let publisher = Publisher {
            ledger: polling.handle.clone(),
            reader: reader.clone(),
            clock: clock.clone(),
            changed: polling.changed.subscribe(),
            gpus,
            gpu_books,
            trends,
            gpu_window,
            alerts: Some(room),
            known_alerts: Arc::default(),
            known_failures: (polling.metrics.ledger_failures(), None),
            bell,
            judged: judged.clone(),
            trouble: trouble.clone(),
            published: lasting.published.clone(),
            readiness: lasting.readiness.clone(),
            metrics: polling.metrics.clone(),
            renderer: renderer(setup),
        };
        // Both live as long as the publisher listens to them.
        let kept = (polling.changed.clone(), telemetry, heard, inventory);
        spawn(&mut supervisor, "publisher", async move {
            publisher.run().await;
            drop(kept);
        });
        let messages: Arc<dyn OutboxLedger> = Arc::new(OutboxPort {
            ledger: polling.handle.clone(),
            alerting: setup.config.alerting,
        });
        if let Some(heartbeat) = &setup.config.heartbeat {
            for name in &heartbeat.receivers {
                let Some(receiver) = receivers.get(name) else { continue };
                let beating = Heartbeat {
                    receiver: receiver.clone(),
                    every: heartbeat.every,
                    judged: judged.subscribe(),
                    metrics: polling.metrics.clone(),
                };
                spawn(&mut supervisor, format!("heartbeat:{name}"), beating.run());
            }
        }
        spawn(
            &mut supervisor,
            "ledger-alarm",
            alerts::ledger_alarm(setup, &trouble, clock, &polling.metrics).run(),
        );
        let outbox = Outbox {
            ledger: messages,
            receivers,
            clock: clock.clone(),
            metrics: polling.metrics.clone(),
            bell: rung,
        };
        for poller in &polling.pollers {
            let name = format!("poller:{}", poller.source.descriptor().id);
            let turn = lasting.turn(&name);
            let meter = poller.meter.clone();
            let meter = Arc::new(HeldMeter { meter, now: lasting.replica.now.clone() });
            let poller = Poller { meter, ..poller.clone() };
            let held = lasting.replica.held();
            let run = |leaving| held.during(poller.run_until(leaving));
            spawn_in_turn(&mut finishing, name, turn, run);
        }
        let (turn, held) = (lasting.turn("outbox"), lasting.replica.held());
        let run = |leaving| held.during(outbox.run_until(leaving));
        spawn_in_turn(&mut finishing, "outbox", turn, run);
        let (handle, keep) = (polling.handle.clone(), setup.config.store.retention);
        spawn(&mut supervisor, "retention", retention(handle, clock.clone(), keep));
        let handle = polling.handle.clone();
        spawn(&mut supervisor, "ledger", async move { handle.ended().await });
        let face = face(setup, polling, lasting, reader);
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

/// So many questions of spend are answered at a time.
const SPEND_QUESTIONS: usize = 2;
/// How long a question of the past waits for those before it.
const HISTORY_PATIENCE: Duration = Duration::from_secs(5);

/// What the face shows of a configuration.
fn face(setup: &Setup, polling: &Polling, lasting: &Lasting, reader: SpendReader) -> Face {
    let spend_history = LedgerSpendHistory {
        location: setup.ledger.clone(),
        reader: reader.clone(),
        clock: lasting.clock.clone(),
        turns: Arc::new(Semaphore::new(SPEND_QUESTIONS)),
        patience: HISTORY_PATIENCE,
    };
    let history = LedgerHistory {
        location: setup.ledger.clone(),
        reader,
        clock: lasting.clock.clone(),
        turn: Arc::new(Semaphore::new(1)),
        patience: HISTORY_PATIENCE,
    };
    let alerts = AlertPort {
        ledger: polling.handle.clone(),
        clock: lasting.clock.clone(),
        changed: polling.changed.clone(),
    };
    Face {
        alerts: Arc::new(alerts),
        wording: alerts::wording,
        published: lasting.published.subscribe(),
        readiness: lasting.readiness.clone(),
        self_metrics: polling.metrics.clone(),
        bearer_token: setup.config.bearer_token.clone(),
        operator_token: setup.config.operator_token.clone(),
        language: setup.config.language,
        gpu_history: Arc::new(history),
        spend_history: Arc::new(spend_history),
        demo: lasting.demo,
        leadership: lasting.replica.now.clone(),
        shares_ledger: setup.shares_ledger(),
    }
}

fn renderer(setup: &Setup) -> Renderer {
    let limit = usize::try_from(setup.config.series_limit_per_dimension);
    Renderer::new(limit.unwrap_or(usize::MAX)).of_role(setup.config.role.clone())
}

/// Watches nodes where that is configured, and gives what waits until they are known.
#[cfg(feature = "kubernetes")]
fn watch_nodes(
    setup: &Setup,
    polling: &Polling,
    clock: &Arc<dyn Clock>,
    inventory: &watch::Sender<Arc<NodeInventory>>,
    supervisor: &mut Supervisor,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let (watched, tasks) = kubernetes::watch_nodes(&setup.config, clock);
    let known = watched.known();
    for (name, task) in tasks {
        spawn(supervisor, name, task);
    }
    if !watched.is_empty() {
        let (config, metrics) = (setup.config.clone(), polling.metrics.clone());
        spawn(supervisor, "nodes", watched.join(config, inventory.clone(), metrics));
    }
    Ok(known)
}

/// Watches nothing: nodes are those that are configured.
#[cfg(not(feature = "kubernetes"))]
fn watch_nodes(
    setup: &Setup,
    _: &Polling,
    _: &Arc<dyn Clock>,
    _: &watch::Sender<Arc<NodeInventory>>,
    _: &mut Supervisor,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    anyhow::ensure!(setup.config.kubernetes.is_empty(), "this build has no Kubernetes");
    Ok(std::future::ready(()))
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
