//! From exec to a complete page over a warm ledger, and what the idle agent holds.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use costband::store::Ledger;

use crate::agent::Agent;
use crate::measure::{mebibytes, median, memory, milliseconds, process_cpu, quotient};
use crate::publish;
use crate::table::Table;
use crate::world::{self, Size};

const SIZE: Size = Size { days: 90, services: 50, accounts: 20 };
const STARTS: usize = 11;
/// How long an agent is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Goals 6, 8 and 15.
pub fn measure(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    let folder = folder.join("start");
    std::fs::create_dir_all(&folder)?;
    let setup = world::setup(&folder, None)?;
    let path = folder.join("costband.db");
    let mut ledger = Ledger::open(&path)?;
    let rows = world::fill(&mut ledger, &setup, SIZE)?;
    ledger.close()?;
    let bytes = std::fs::metadata(&path).context("failed to look at the ledger")?.len();
    table.row(
        "15",
        &format!("ledger, {rows} rows of 3 sources x 90 days x 50 services x 20 accounts"),
        format!("{:.1} B a series-day ({:.1} MiB)", quotient(bytes, rows), mebibytes(bytes)),
        "<= 8 B",
    );

    let sources: Vec<String> = setup
        .sources
        .iter()
        .map(|source| format!("costband_effective_cost{{source=\"{}\"", source.descriptor().id))
        .collect();
    let complete = |page: &str| {
        sources.iter().all(|series| page.contains(series)) && page.contains("costband_band_status{")
    };
    let (mut listening, mut served, mut spent) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for _ in 0..STARTS {
        drop(last.take());
        let since = Instant::now();
        let mut agent =
            Agent::start(&folder, |listen| world::configuration(&folder, listen, None))?;
        let (listened, complete_after, _) = agent.wait_for(since, complete)?;
        spent.push(process_cpu(agent.pid)?);
        listening.push(listened);
        served.push(complete_after);
        last = Some(agent);
    }
    let fastest = served.iter().min().copied().unwrap_or_default();
    table.row(
        "8",
        "exec to complete /metrics, that ledger, median of 11 (fastest; CPU)",
        format!(
            "{:.0} ms ({:.0} ms; {:.0} ms)",
            milliseconds(median(served)),
            milliseconds(fastest),
            milliseconds(median(spent)),
        ),
        "<= 20 ms",
    );
    table.row(
        "",
        "exec to a listening face, the same starts",
        format!("{:.0} ms", milliseconds(median(listening))),
        "",
    );
    if let Some(agent) = last {
        std::thread::sleep(SETTLE);
        let held = memory(agent.pid)?;
        table.row(
            "6",
            "RSS at idle, that ledger (of it anonymous; peak)",
            format!(
                "{:.1} MiB ({:.1}; {:.1})",
                mebibytes(held.resident),
                mebibytes(held.anonymous),
                mebibytes(held.peak)
            ),
            "<= 25 MiB",
        );
    }
    publish::measure(table, &setup, &path)
}
