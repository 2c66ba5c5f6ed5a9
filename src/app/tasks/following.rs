//! The tasks of a replica that follows: it watches what costs nothing, and shows what the ledger that
//! it shares with the holder says. It judges and queues nothing, and writes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Lasting, Tasks, face, renderer, spawn, watch_nodes};
use crate::analyse::gpu_picture::GpuBooks;
use crate::app::gpu_now::GpuNow;
use crate::app::gpu_time;
use crate::app::nodes;
use crate::app::polling::Polling;
use crate::app::publish::Publisher;
use crate::app::setup::Setup;
use crate::app::spend::SpendReader;
use crate::app::trends::{GpuWindow, TrendReader, Trends};
use crate::domain::ports::Clock;
use crate::runtime::supervisor::Supervisor;
use crate::store::{LedgerError, LedgerHandle};
use crate::telemetry::self_metrics::SelfMetrics;
use crate::web::Published;

/// How often the ledger is asked whether anything in it has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// It rests so many times as long as reading and publishing took: the holder writes with every
/// request that it pays for, and a follower is to take little of a core and of the server.
const REST: u32 = 20;
/// It rests at most so long.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long it waits at most to see what it told of published.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(30);

impl Tasks {
    /// Starts what runs while another replica acts.
    ///
    /// # Errors
    /// When this build cannot watch what is configured.
    pub(super) fn follow(
        setup: &Setup,
        polling: &Polling,
        lasting: &Lasting,
    ) -> anyhow::Result<Self> {
        let clock = &lasting.clock;
        let mut supervisor = Supervisor::new();
        let (inventory, nodes) = watch::channel(Arc::new(nodes::joined(&setup.config, &[])));
        drop(watch_nodes(setup, polling, clock, &inventory, &mut supervisor)?);
        let handle = polling.handle.clone();
        spawn(&mut supervisor, "ledger", async move { handle.ended().await });
        let reader = SpendReader::new(setup).with_inventory(nodes);
        let face = face(setup, polling, lasting, reader.clone());
        if face.shares_ledger {
            let kept = (inventory, polling.changed.clone());
            show(setup, polling, lasting, reader, &mut supervisor, kept);
        } else {
            // Its own ledger says what was true when it acted last.
            lasting.published.send_replace(None);
            lasting.readiness.snapshot_published();
            spawn(&mut supervisor, "inventory", async move {
                let _kept = inventory;
                std::future::pending().await
            });
        }
        Ok(Self { face, supervisor, finishing: Supervisor::new() })
    }
}

/// Publishes what the shared ledger says, whenever that changes.
fn show<K: Send + 'static>(
    setup: &Setup,
    polling: &Polling,
    lasting: &Lasting,
    reader: SpendReader,
    supervisor: &mut Supervisor,
    kept: K,
) {
    let clock = &lasting.clock;
    let (books, gpu_books) = watch::channel(Arc::<GpuBooks>::default());
    let look = look(
        polling.handle.clone(),
        clock.clone(),
        books,
        (polling.changed.clone(), lasting.published.subscribe()),
        polling.metrics.clone(),
    );
    spawn(supervisor, "revision", look);
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
    spawn(supervisor, "trends", trend_reader.run());
    let (telemetry, gpus) = watch::channel(GpuNow::new(&setup.config.gpu));
    let publisher = Publisher {
        ledger: polling.handle.clone(),
        reader,
        clock: clock.clone(),
        changed: polling.changed.subscribe(),
        gpus,
        gpu_books,
        trends,
        gpu_window,
        alerts: None,
        known_alerts: Arc::default(),
        known_failures: (polling.metrics.ledger_failures(), None),
        bell: watch::Sender::new(0),
        judged: watch::Sender::new(None),
        trouble: watch::Sender::new(None),
        published: lasting.published.clone(),
        readiness: lasting.readiness.clone(),
        metrics: polling.metrics.clone(),
        renderer: renderer(setup),
    };
    spawn(supervisor, "publisher", async move {
        publisher.run().await;
        drop((kept, telemetry));
    });
}

/// Tells of every change of the ledger, whoever made it, and reads GPU time anew with it.
async fn look(
    ledger: LedgerHandle,
    clock: Arc<dyn Clock>,
    books: watch::Sender<Arc<GpuBooks>>,
    (changed, mut published): (watch::Sender<u64>, watch::Receiver<Option<Arc<Published>>>),
    metrics: SelfMetrics,
) {
    let mut known = None;
    let mut is_failing = false;
    loop {
        let (begun, mut rest) = (Instant::now(), LOOK_EVERY);
        let (now, before) = (clock.now(), known);
        let looked = ledger.call(move |ledger| {
            let revision = ledger.revision()?;
            if before == Some(revision) {
                return Ok(None);
            }
            Ok::<_, LedgerError>(Some((revision, gpu_time::read(ledger, now, None)?)))
        });
        match looked.await {
            Ok(Ok(None)) => is_failing = false,
            Ok(Ok(Some((revision, times)))) => {
                is_failing = false;
                known = Some(revision);
                published.mark_unchanged();
                books.send_replace(Arc::new(GpuBooks {
                    times: Arc::new(times),
                    ..GpuBooks::default()
                }));
                changed.send_modify(|count| *count += 1);
                // A publisher that cannot read publishes nothing.
                drop(timeout(PUBLISHED_WITHIN, published.changed()).await);
                rest = (begun.elapsed() * REST).clamp(LOOK_EVERY, LONGEST_REST);
            }
            Ok(Err(error)) => {
                metrics.ledger_failed("read");
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::error!(%error, "failed to look at the shared ledger; what it said last is shown");
                }
            }
            // Another task tells of the end of the ledger's thread.
            Err(_) => std::future::pending().await,
        }
        tokio::time::sleep(rest).await;
    }
}
