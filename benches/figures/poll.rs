//! A poll of 100,000 rows from a simulated Cost Explorer: its parts in this process, and the whole
//! of it in an agent that starts with an empty ledger.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use costband::app::setup::Setup;
use costband::collect::reconcile::reconcile;
use costband::collect::{PollRequest, Source};
use costband::domain::identity::SourceId;
use costband::domain::money::Money;
use costband::domain::period::{BillingPeriod, BillingZone, Window, next_day};
use costband::domain::ports::{Meter, MeterError};
use costband::domain::report::SourceReport;
use costband::simulate::aws::{AwsOptions, router};
use costband::store::Ledger;
use jiff::{SignedDuration, Timestamp};

use crate::agent::Agent;
use crate::measure::{cpu_of, mebibytes, memory, milliseconds, process_cpu};
use crate::publish;
use crate::table::Table;
use crate::world::{self, Bill, Size};

/// Groups on a page of the simulated Cost Explorer. AWS names no page size; the plan of the
/// request counts with a thousand.
const PAGE: usize = 1_000;
const SETTLE: Duration = Duration::from_secs(3);

/// A simulated Cost Explorer on a thread of its own.
pub struct CostExplorer {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl CostExplorer {
    /// Serves a bill.
    pub fn serve(size: Size) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("failed to start a runtime")?;
        let options = AwsOptions { page_size: PAGE, ..AwsOptions::default() };
        let service = router(Arc::new(Bill::new(size)), Arc::default(), options);
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .context("failed to listen")?;
        let address = listener.local_addr()?;
        runtime.spawn(async move { axum::serve(listener, service).await });
        Ok(Self { address, runtime: Some(runtime) })
    }
}

impl Drop for CostExplorer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts requests that would be paid for, and all.
#[derive(Default)]
pub struct Counter(Mutex<(u32, u32)>);

impl Counter {
    /// Paid requests and all requests so far.
    pub fn counted(&self) -> (u32, u32) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Meter for Counter {
    async fn reserve(
        &self,
        _source: &SourceId,
        _operation: &'static str,
        price: Money,
    ) -> Result<(), MeterError> {
        let mut counted = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counted.0 += u32::from(!price.amount.is_zero());
        counted.1 += 1;
        Ok(())
    }

    fn quota(&self, _: &SourceId, _: &'static str, _: &'static str, _: f64) {}
}

/// Polls a window of a setup's first source on this thread.
pub fn collect(setup: &Setup, window: Window, meter: &Counter) -> anyhow::Result<SourceReport> {
    let source: &dyn Source =
        setup.sources.first().ok_or_else(|| anyhow!("no source is configured"))?.as_ref();
    let request = PollRequest { window, now: Timestamp::now(), cursor: None };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(source.poll(&request, meter))
        .map_err(|error| anyhow!("failed to poll: {error}"))
}

/// The window of a first start: two closed months and this one.
pub fn first_window() -> Window {
    let today = BillingZone::Utc.day_of(Timestamp::now());
    let first = BillingPeriod::containing(today).previous().previous().first_day();
    Window::new(first, next_day(today))
}

/// The bill of a first window with about 100,000 rows.
fn size() -> anyhow::Result<Size> {
    let days = u32::try_from(first_window().days().count())?;
    Ok(Size { days: i64::from(days), services: 98_500 / days / 20, accounts: 20 })
}

/// The poll cycle.
pub fn measure(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("poll");
    std::fs::create_dir_all(&folder)?;
    let cloud = CostExplorer::serve(size()?)?;
    let setup = world::setup(&folder, Some(cloud.address))?;
    in_parts(table, &setup)?;
    in_an_agent(table, &folder, cloud.address)
}

fn in_parts(table: &mut Table, setup: &Setup) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (report, collected) = cpu_of(|| collect(setup, first_window(), &Counter::default()))?;
    let ((), reconciled) =
        cpu_of(|| reconcile(&report).map_err(|error| anyhow!("failed to reconcile: {error}")))?;
    let mut ledger = Ledger::open(folder.path().join("costband.db"))?;
    let next = Timestamp::now().saturating_add(SignedDuration::from_hours(8))?;
    let (committed, first_commit) = cpu_of(|| Ok(ledger.commit(&report, Some(next))?))?;
    let (_, committed_again) = cpu_of(|| Ok(ledger.commit(&report, Some(next))?))?;
    drop(report);
    let parts = publish::parts(setup, &ledger)?;
    ledger.close()?;
    let page = parts.render + parts.compress;
    let sum = collected + reconciled + committed_again + parts.read + parts.judge + page;
    table.row(
        "",
        &format!("CPU of a poll cycle of {} rows (AWS)", committed.rows),
        format!("{:.0} ms", milliseconds(sum)),
        "",
    );
    for (part, took) in [
        ("collect: requests, parsing, normalising", collected),
        ("reconcile", reconciled),
        ("commit over the same days (into an empty ledger: next line)", committed_again),
        ("commit into an empty ledger, not in the sum", first_commit),
        ("read the ledger and fold", parts.read),
        ("judge", parts.judge),
        ("render and compress the page", page),
    ] {
        table.row("", &format!("- {part}"), format!("{:.1} ms", milliseconds(took)), "");
    }
    Ok(())
}

fn in_an_agent(table: &mut Table, folder: &Path, cloud: SocketAddr) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut agent =
        Agent::start(folder, |listen| world::configuration(folder, listen, Some(cloud)))?;
    let read = |page: &str| page.contains("costband_effective_cost{source=\"aws-main\"");
    let (_, took, _) = agent.wait_for(since, read)?;
    let spent = process_cpu(agent.pid)?;
    std::thread::sleep(SETTLE);
    let held = memory(agent.pid)?;
    table.row(
        "",
        "the same poll by an agent from exec on: CPU (wall with the simulated cloud)",
        format!("{:.0} ms ({:.1} s)", milliseconds(spent), took.as_secs_f64()),
        "",
    );
    table.row(
        "6",
        "RSS of that agent 3 s after its first poll (of it anonymous; peak)",
        format!(
            "{:.1} MiB ({:.1}; {:.1})",
            mebibytes(held.resident),
            mebibytes(held.anonymous),
            mebibytes(held.peak)
        ),
        "<= 25 MiB",
    );
    Ok(())
}
