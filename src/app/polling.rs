//! What polling needs, with or without the rest of the agent around it.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::app::ledger::{CountingMeter, PollPort};
use crate::app::setup::Setup;
use crate::collect::poller::Poller;
use crate::domain::ports::{Clock, Meter, PollLedger, PollObserver};
use crate::store::{Ledger, LedgerHandle, LedgerMeter};
use crate::telemetry::self_metrics::SelfMetrics;

/// The sources of one configuration, wired to the ledger.
#[derive(Clone)]
pub struct Polling {
    /// The ledger's thread.
    pub handle: LedgerHandle,
    /// One poller for each source, in configured order.
    pub pollers: Vec<Poller>,
    /// The agent's own metrics.
    pub metrics: SelfMetrics,
    /// Counts what was kept.
    pub changed: watch::Sender<u64>,
}

impl Polling {
    /// Wires sources to an open ledger.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(setup: &Setup, ledger: Ledger, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let handle = LedgerHandle::spawn(ledger).context("failed to start the ledger's thread")?;
        Ok(Self::over(setup, handle, SelfMetrics::new(), watch::Sender::new(0), clock))
    }

    /// Wires sources to a ledger whose thread runs, with the metrics and the count of before.
    pub fn over(
        setup: &Setup,
        handle: LedgerHandle,
        metrics: SelfMetrics,
        changed: watch::Sender<u64>,
        clock: Arc<dyn Clock>,
    ) -> Self {
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
        Self { handle, pollers, metrics, changed }
    }
}
