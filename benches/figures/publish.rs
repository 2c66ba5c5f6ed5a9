//! What making one snapshot of a ledger takes, part by part.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use costband::app::setup::Setup;
use costband::app::spend::SpendReader;
use costband::domain::gpu_money::GpuPicture;
use costband::export::metrics::Renderer;
use costband::export::page::Page;
use costband::snapshot::Snapshot;
use costband::store::Ledger;
use jiff::Timestamp;

use crate::measure::{cpu_of, median, milliseconds};
use crate::table::Table;

const TIMES: usize = 5;

/// The CPU of each part.
#[derive(Debug, Default, Clone, Copy)]
pub struct Parts {
    /// Rows into spend and series.
    pub read: Duration,
    /// Bands against them.
    pub judge: Duration,
    /// The record of every band, where none of its days was kept.
    pub record: Duration,
    /// The page's text.
    pub render: Duration,
    /// Its compression.
    pub compress: Duration,
}

/// Publishes a ledger's content some times and gives the median of each part.
pub fn parts(setup: &Setup, ledger: &Ledger) -> anyhow::Result<Parts> {
    let reader = SpendReader::new(setup);
    let mut renderer = Renderer::new(10_000);
    let (mut read, mut judge, mut record) = (Vec::new(), Vec::new(), Vec::new());
    let (mut render, mut compress) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let now = Timestamp::now();
        let (reading, took) = cpu_of(|| Ok(reader.read(ledger, now)?))?;
        read.push(took);
        let history = reader.history(ledger, None, now)?;
        let (judged, took) =
            cpu_of(|| Ok(reader.judge(&reading, &history, &GpuPicture::default(), now)))?;
        judge.push(took);
        let (records, took) = cpu_of(|| Ok(reader.records(&reading, &history, &[], now)))?;
        record.push(took);
        let snapshot = Snapshot {
            alerts: Arc::default(),
            at: now,
            spend: Arc::new(reading.spend.iter().flatten().cloned().collect()),
            bands: Arc::new(judged),
            records: Arc::new(records),
            gpus: Arc::default(),
            gpu_sources: Arc::default(),
            gpu: Arc::default(),
            trends: Arc::default(),
            sources: Arc::new(reading.sources.clone()),
        };
        let (text, took) = cpu_of(|| Ok(renderer.render(&snapshot)))?;
        render.push(took);
        let (_, took) = cpu_of(|| Ok(Page::new(text)))?;
        compress.push(took);
    }
    Ok(Parts {
        read: median(read),
        judge: median(judge),
        record: median(record),
        render: median(render),
        compress: median(compress),
    })
}

/// Adds the parts for a ledger.
pub fn measure(table: &mut Table, setup: &Setup, path: &Path) -> anyhow::Result<()> {
    let ledger = Ledger::open_read_only(path)?;
    let parts = parts(setup, &ledger)?;
    table.row(
        "",
        "CPU of a snapshot of that ledger: read + judge + record + render + compress",
        format!(
            "{:.1} + {:.2} + {:.2} + {:.2} + {:.2} ms",
            milliseconds(parts.read),
            milliseconds(parts.judge),
            milliseconds(parts.record),
            milliseconds(parts.render),
            milliseconds(parts.compress)
        ),
        "",
    );
    Ok(())
}
