//! Reads what every source costs from day to day whenever the ledger changed, beside the ledger's
//! own thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, ToSpan};
use tokio::sync::watch;

use crate::analyse::trend::{since_last_week, trends};
use crate::app::spend::SpendReader;
use crate::app::{gpu_history, series};
use crate::domain::gpu_money::GpuRange;
use crate::domain::period::{BillingPeriod, BillingZone, Window, next_day};
use crate::domain::ports::Clock;
use crate::domain::trend::{BandChange, SourceTrends};
use crate::store::{Ledger, LedgerError, Location};
use crate::telemetry::self_metrics::SelfMetrics;

/// How far back forecasts look.
const HISTORY_DAYS: i32 = 400;
/// So many values of a dimension are told: those that cost most.
const MOST_VALUES: usize = 50;
/// Over so many days two weeks are looked for of which all days are complete.
const CHANGE_DAYS: i32 = 45;
/// It rests so many times as long as reading took, so that it takes little of a core,
const REST: u32 = 20;
/// and at least so long.
const LEAST_REST: Duration = Duration::from_secs(1);
/// Days become complete without any commit.
const READ_EVERY: Duration = Duration::from_secs(15 * 60);

/// GPU money that does nothing is looked for in so many of the newest whole days,
const GPU_DAYS: i32 = 7;
/// and not more often than this: a day changes it little.
const GPU_EVERY: SignedDuration = SignedDuration::from_mins(15);

/// GPU time and money of the newest whole days; none before they were read.
pub type GpuWindow = Option<Arc<GpuRange>>;

/// What every source costs from day to day, in configured order.
pub type Trends = Arc<Vec<SourceTrends>>;

/// Reads trends for ever.
pub struct TrendReader {
    /// Where the ledger is.
    pub location: Location,
    /// Which sources there are.
    pub reader: SpendReader,
    /// The agent's clock.
    pub clock: Arc<dyn Clock>,
    /// Counts commits.
    pub changed: watch::Receiver<u64>,
    /// Where trends go.
    pub told: watch::Sender<Trends>,
    /// Where GPU time and money of the newest whole days go.
    pub gpu_window: watch::Sender<GpuWindow>,
    /// Counts what the ledger refuses.
    pub metrics: SelfMetrics,
}

impl TrendReader {
    /// Reads, rests, and reads again once something was kept. Without a source there is nothing to
    /// read for ever: a sidecar may have no file at all.
    pub async fn run(mut self) {
        if self.reader.rules().next().is_none() {
            std::future::pending::<()>().await;
        }
        loop {
            self.changed.mark_unchanged();
            let begun = Instant::now();
            let (location, reader, now) =
                (self.location.clone(), self.reader.clone(), self.clock.now());
            let window = self.gpu_window.borrow().clone();
            let work = move || {
                let ledger = Ledger::open_read_only(location)?;
                let window = gpu_window(&reader, &ledger, window, now)?;
                Ok::<_, LedgerError>((read(&reader, &ledger, now)?, window))
            };
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok((trends, window))) => {
                    // Who listens to trends then finds both.
                    self.gpu_window.send_replace(window);
                    self.told.send_replace(Arc::new(trends));
                }
                Ok(Err(error)) => {
                    self.metrics.ledger_failed("read");
                    tracing::error!(%error, "failed to read trends from the ledger");
                }
                Err(error) => tracing::error!(%error, "failed to read trends"),
            }
            tokio::time::sleep((begun.elapsed() * REST).max(LEAST_REST)).await;
            tokio::select! {
                changed = self.changed.changed() => { if changed.is_err() { return; } }
                () = tokio::time::sleep(READ_EVERY) => {}
            }
        }
    }
}

/// GPU time and money of the newest whole days; those that were read just now as they are.
fn gpu_window(
    reader: &SpendReader,
    ledger: &Ledger,
    before: GpuWindow,
    now: Timestamp,
) -> Result<GpuWindow, LedgerError> {
    // A day of Google Cloud ends up to eight hours after the day of all others.
    let end = BillingZone::Pacific.day_of(now);
    let window = Window::new(end.saturating_sub(GPU_DAYS.days()), end);
    if let Some(range) = &before
        && range.window == window
        && now.duration_since(range.as_of).abs() < GPU_EVERY
    {
        return Ok(before);
    }
    let range = gpu_history::read(reader, ledger, window, now)?;
    // No rule looks at a pod or a node; a large fleet has many.
    Ok(Some(Arc::new(GpuRange { pods: Vec::new(), nodes: Vec::new(), ..range })))
}

/// The trends of every source that has rows.
///
/// # Errors
/// When the ledger cannot be read.
pub fn read(
    reader: &SpendReader,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<Vec<SourceTrends>, LedgerError> {
    let mut told = Vec::new();
    for rules in reader.rules() {
        let zone = rules.provider.billing_zone();
        let today = zone.day_of(now);
        let since = |days: i32| Window::new(today.saturating_sub(days.days()), next_day(today));
        let read = |scope, days| series::read(ledger, rules, scope, &since(days), MOST_VALUES, now);
        let series = read(None, HISTORY_DAYS)?;
        if series.is_empty() {
            continue;
        }
        let mut of = trends(rules.id.clone(), &series, BillingPeriod::at(now, zone));
        for (band, scope) in reader.narrower_bands(&rules.id) {
            if let Some(change) = since_last_week(&read(Some(scope), CHANGE_DAYS)?) {
                of.bands.push(BandChange { band: band.to_owned(), change });
            }
        }
        told.push(of);
    }
    Ok(told)
}
