//! Counts GPU time of every reading, keeps it in the ledger, and tells the publisher.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::analyse::gpu_picture::GpuBooks;
use crate::analyse::gpu_time::{Accountant, Counted};
use crate::domain::band::PeriodLabel;
use crate::domain::gpu::GpuReport;
use crate::domain::gpu_money::NodeNow;
use crate::domain::gpu_time::{GpuMark, GpuState, StateRules};
use crate::domain::identity::{Provider, SourceId};
use crate::domain::node::NodeInventory;
use crate::domain::period::{BillingPeriod, BillingZone, Window};
use crate::domain::ports::Clock;
use crate::runtime::supervisor::Shutdown;
use crate::store::{Ledger, LedgerError, LedgerHandle};
use crate::telemetry::self_metrics::SelfMetrics;

/// How often silent devices are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often what was counted goes into the ledger: as much is unknown after `kill -9`, at most.
const KEEP_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// What a telemetry source has to say.
#[derive(Debug)]
pub enum Heard {
    /// A reading.
    Report(GpuReport),
    /// Its past was read up to an instant, and more of it can be read later.
    ReadUntil(SourceId, Timestamp),
    /// It could not be read.
    Failed(SourceId),
}

/// The task that counts.
pub struct GpuTimekeeper {
    /// The ledger.
    pub ledger: LedgerHandle,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Up to when time is counted already.
    pub marks: Vec<GpuMark>,
    /// The sources whose past can be read, and up to when it was.
    pub read_until: BTreeMap<SourceId, Timestamp>,
    /// Readings.
    pub heard: mpsc::Receiver<Heard>,
    /// What is known of nodes.
    pub inventory: watch::Receiver<Arc<NodeInventory>>,
    /// When a GPU is in which state.
    pub rules: StateRules,
    /// Where figures go.
    pub books: watch::Sender<Arc<GpuBooks>>,
    /// Counts what the ledger refuses.
    pub metrics: SelfMetrics,
}

impl GpuTimekeeper {
    /// Counts until the end is asked for, then keeps the rest.
    pub async fn run(mut self, mut shutdown: Shutdown) {
        let mut accountant = Accountant::new(self.rules, std::mem::take(&mut self.marks));
        let mut failing = BTreeSet::new();
        let mut kept_at = self.clock.now();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = BTreeSet::new();
        loop {
            let mut ending = false;
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some(Heard::Report(report)) => {
                        failing.remove(&report.source);
                        let inventory = self.inventory.borrow().clone();
                        accountant.observe(&report, &inventory);
                        // A source's first figures need not wait.
                        if !known.insert(report.source.clone()) { continue; }
                    }
                    Some(Heard::ReadUntil(source, until)) => {
                        failing.remove(&source);
                        self.read_until.insert(source, until);
                        continue;
                    }
                    Some(Heard::Failed(source)) => { failing.insert(source); continue; }
                    None => ending = true,
                },
                _ = ticks.tick() => {
                    let inventory = self.inventory.borrow().clone();
                    accountant.pass(self.clock.now(), &failing, &self.read_until, &inventory);
                    let since = self.clock.now().duration_since(kept_at);
                    if since.abs() < KEEP_EVERY { continue; }
                }
                () = shutdown.requested() => ending = true,
            }
            kept_at = self.clock.now();
            if !self.keep(&mut accountant).await || ending {
                return;
            }
        }
    }

    /// Keeps what was counted and tells the new figures; false where the ledger is gone.
    async fn keep(&self, accountant: &mut Accountant) -> bool {
        let counted = accountant.take();
        let now = self.clock.now();
        let work = move |ledger: &mut Ledger| {
            let Counted { times, marks, forgotten } = &counted;
            match ledger.keep_gpu_time(times, marks, forgotten) {
                Ok(()) => (None, read(ledger, now)),
                Err(error) => (Some(counted), Err(error)),
            }
        };
        match self.ledger.call(work).await {
            Ok((_, Ok(books))) => {
                let inventory = self.inventory.borrow().clone();
                let books = with_devices(books, accountant, &inventory);
                self.books.send_replace(Arc::new(books));
                true
            }
            Ok((counted, Err(error))) => {
                self.metrics.ledger_failed(error.operation().as_str());
                tracing::error!(%error, "failed to keep or read GPU time; what was counted is kept with the next");
                if let Some(counted) = counted {
                    accountant.put_back(counted);
                }
                true
            }
            Err(_) => false,
        }
    }
}

/// What the ledger knows of GPU time in the open period and the one before.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(ledger: &Ledger, now: Timestamp) -> Result<GpuBooks, LedgerError> {
    let current = BillingPeriod::at(now, BillingZone::Utc);
    let both = Window::new(current.previous().first_day(), current.end_day());
    let mut workloads = BTreeMap::new();
    for (label, period) in
        [(PeriodLabel::Current, current), (PeriodLabel::Previous, current.previous())]
    {
        workloads.insert(label, ledger.gpu_workloads(&period.window())?);
    }
    Ok(GpuBooks {
        days: ledger.gpu_days(&both)?,
        workloads,
        node_times: ledger.gpu_nodes(&current.window())?,
        totals: ledger.gpu_totals()?,
        ..GpuBooks::default()
    })
}

fn with_devices(
    mut books: GpuBooks,
    accountant: &Accountant,
    inventory: &NodeInventory,
) -> GpuBooks {
    let mut nodes: BTreeMap<(&str, &crate::domain::node::Fleet), NodeNow> = BTreeMap::new();
    let mut seen: BTreeMap<(Option<Provider>, String), u32> = BTreeMap::new();
    for device in accountant.devices() {
        let node = nodes.entry((device.node, device.fleet)).or_insert_with(|| NodeNow {
            name: device.node.to_owned(),
            fleet: device.fleet.clone(),
            gpus: 0,
            guessed: device.guessed,
            states: BTreeMap::new(),
        });
        node.gpus += 1;
        for (state, share) in device.shares {
            *node.states.entry(*state).or_default() += share;
        }
        let silent = device.shares.iter().all(|(state, _)| *state == GpuState::Unknown);
        if !silent {
            let key = (device.fleet.provider, device.fleet.cluster.clone());
            *seen.entry(key).or_default() += 1;
        }
    }
    books.nodes = nodes.into_values().collect();
    books.seen = seen;
    books.inventory = inventory.nodes().to_vec();
    books.duplicates = accountant.duplicates();
    books
}
